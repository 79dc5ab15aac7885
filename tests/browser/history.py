"""Write accounts, and two weeks of history, into a site's database; to be called in the site's own settings.

The log counts events by when they arrive, so what is older passes through the pipeline here, with the times it claims.
"""

from datetime import UTC, datetime, timedelta
from random import Random

from django.contrib.auth.models import Group, User
from django.test import Client

from logs.circleci import samples
from logs.ingest.pipeline import Arrival, authenticate, record
from tests.browser.runs import failing_run, random_run, rerun
from tests.load.senders import SECRET
from tests.load.wire import HOST

DAYS, RUNS_EACH_DAY = 14, 10
GROUPS = {"viewer": "viewers", "operator": "operators"}  # Whose members the accounts become; a migration makes them.


def make_accounts(password):
    """Make the administrator, and an account in each of the other groups."""
    User.objects.create_superuser("administrator", "administrator@acme.example", password)
    for name, group in GROUPS.items():
        user = User.objects.create_user(name, f"{name}@acme.example", password, is_staff=True)
        user.groups.add(Group.objects.get(name=group))


def write_history(seed=1):
    """Record runs of the last days, and those of the failing workflow: green until the first bad commit."""
    random, now = Random(seed), datetime.now(UTC)
    moments = sorted(now - timedelta(days=random.uniform(0.05, DAYS)) for _ in range(DAYS * RUNS_EACH_DAY))
    documents = [document for moment in moments for document in random_run(random, moment)]
    for hours, status in ((30, "success"), (20, "success"), (9, "failed"), (5, "failed")):
        documents += failing_run(random, now - timedelta(hours=hours), status=status)
    for days in (2, 4, 5):
        flaky = failing_run(random, now - timedelta(days=days), branch="release/2026.8")
        documents += flaky
        documents += rerun(random, now - timedelta(days=days - 0.1), flaky, status="success", branch="release/2026.8")
    for document in documents:
        record_in_the_past(random, document)


def act(path, **data):
    """Post a form of the admin's as the operator."""
    client = Client(headers={"host": HOST})
    client.force_login(User.objects.get(username="operator"), "django.contrib.auth.backends.ModelBackend")
    assert client.post(path, data).status_code == 302


def record_in_the_past(random, document):
    """Record a payload as if it had arrived a moment after it happened."""
    body = samples.encode(document)
    arrival = Arrival(
        received_at=datetime.fromisoformat(document["happened_at"]) + timedelta(seconds=random.lognormvariate(0, 0.8)),
        webhook_slug="",
        headers=samples.headers(body, document, SECRET),
        client_address="127.0.0.1",
        body=body,
    )
    record(arrival, authenticate(arrival))
