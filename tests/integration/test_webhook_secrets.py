"""Which secret signed, whether an old one is still in use, and what a bound webhook may speak for."""

import io
from contextlib import suppress
from datetime import timedelta

import pytest
import time_machine
from django.core.management import call_command
from django.utils import timezone

from logs.conf import fingerprint
from logs.models import Delivery, Outcome, WatchTask, WorkflowEvent

pytestmark = pytest.mark.django_db

NEW, OLD = "the-new-secret-of-payments", "the-old-secret-of-payments"
PAYMENTS = "/log-circleci-webhook/payments"


def report():
    """Return what the command says."""
    output = io.StringIO()
    with suppress(SystemExit):  # No watch runs, which is a problem.
        call_command("check_webhooks", stdout=output)
    return output.getvalue()


@pytest.fixture
def rotating(settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = {"payments": [NEW, OLD]}


@pytest.mark.parametrize(("secret", "position"), [(NEW, 0), (OLD, 1)])
def test_records_by_position_and_never_by_value_which_secret_matched(
    deliver, workflow_document, rotating, secret, position
):
    deliver(workflow_document(), PAYMENTS, secret=secret)
    delivery = Delivery.objects.get()
    assert delivery.secret_fingerprint == fingerprint(secret)
    assert delivery.secret_position == position
    assert secret not in str(Delivery.objects.values())


def test_the_position_of_a_secret_follows_the_configuration(deliver, workflow_document, settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = {"payments": OLD}
    deliver(workflow_document(), PAYMENTS, secret=OLD)
    positions = []
    for secrets in (OLD, [NEW, OLD], NEW):
        settings.CIRCLECI_WEBHOOK_SECRETS = {"payments": secrets}
        positions.append(Delivery.objects.get().secret_position)
    assert positions == [0, 1, None]


def test_tells_to_keep_the_old_secret_until_circleci_uses_the_new_one(deliver, workflow_document, rotating):
    deliver(workflow_document(), PAYMENTS, secret=OLD)
    output = report()
    assert "secret 1 of 2 (the newest) last verified: never" in output
    assert "secret 2: keep it; CircleCI has not used the newest secret yet" in output


def test_tells_that_the_old_secret_is_still_in_use(deliver, workflow_document, rotating):
    deliver(workflow_document(1), PAYMENTS, secret=NEW)
    deliver(workflow_document(2), PAYMENTS, secret=OLD)
    assert "secret 2: STILL IN USE" in report()


def test_tells_that_the_old_secret_may_go(deliver, workflow_document, rotating):
    deliver(workflow_document(1), PAYMENTS, secret=OLD)
    deliver(workflow_document(2), PAYMENTS, secret=NEW)
    assert "1 of 1 projects use the new secret\n  secret 2: safe to remove" in report()


def test_tells_what_was_refused_last_at_each_address(deliver, workflow_document, rotating):
    deliver(workflow_document(), PAYMENTS, secret="wrong")
    deliver(workflow_document(), secret=None)
    output = report()
    assert "unverified: the circleci-signature matches no secret (secrets of webhook payments tried: 2)" in output
    assert "unverified: the circleci-signature header is missing" in output
    assert f"payments  ({PAYMENTS})\n" in output
    assert NEW not in output
    assert OLD not in output


def test_tells_of_an_unsigned_webhook_and_of_none(deliver, workflow_document, settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = {"lab": None}
    deliver(workflow_document(), "/log-circleci-webhook/lab", secret=None)
    output = report()
    assert "not signed: anyone who knows its URL can log events" in output
    assert "last accepted: 20" in output
    settings.CIRCLECI_WEBHOOK_SECRETS = {}
    assert "No webhook is configured: set CIRCLECI_WEBHOOK_SECRETS." in report()


def test_reads_no_bodies_and_few_rows(deliver, workflow_document, rotating, django_assert_num_queries):
    for seed in range(20):
        deliver(workflow_document(seed), PAYMENTS, secret=NEW)
    # Sources, uses of secrets, the log's projects, two addresses, two for the watch, three for problems.
    with django_assert_num_queries(9) as captured:
        report()
    assert not [query for query in captured.captured_queries if '"body"' in query["sql"]]


@pytest.fixture
def bound(settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = {
        "payments": {"secrets": [NEW], "projects": ["github/acme/pay-*", "circleci/*"]}
    }


@pytest.mark.parametrize(
    ("project", "status"), [("pay-api", 201), ("pay-web", 201), ("orchard", 403), ("xpay-api", 403)]
)
def test_a_bound_webhook_speaks_for_its_projects_only(deliver, workflow_document, bound, project, status):
    answer = deliver(workflow_document(project=project), PAYMENTS, secret=NEW)
    assert answer.status_code == status
    assert WorkflowEvent.objects.exists() == (status == 201)


def test_a_foreign_project_is_refused_with_the_reason_and_kept_whole(deliver, workflow_document, bound):
    answer = deliver(workflow_document(project="orchard"), PAYMENTS, secret=NEW)
    assert answer.json() == {
        "detail": "webhook payments may not send events of the project 'github/acme/orchard'",
        "code": "forbidden_project",
    }
    delivery = Delivery.objects.get()
    assert (delivery.outcome, delivery.webhook, delivery.verified) == (Outcome.FORBIDDEN, "payments", True)
    assert delivery.reason == answer.json()["detail"]


def test_an_event_without_a_project_cannot_prove_that_it_belongs(deliver, workflow_document, bound):
    document = workflow_document(project="pay-api")
    del document["project"]
    assert deliver(document, PAYMENTS, secret=NEW).status_code == 403


def test_the_ping_of_a_bound_webhook_is_accepted(deliver, ping_document, bound):
    assert deliver(ping_document, PAYMENTS, secret=NEW).json()["outcome"] == "ping"


def test_the_bare_address_holds_a_webhook_to_its_projects_too(deliver, workflow_document, bound):
    assert deliver(workflow_document(project="orchard"), secret=NEW).status_code == 403


def watch_paragraph():
    """Return the lines of the watch's paragraph, without its title."""
    return report().split("\nWatch\n")[1].partition("Problems\n")[0].splitlines()


def make_task(name="follow", *, claimed_for=timedelta(minutes=1), **columns):
    now = timezone.now()
    WatchTask.objects.create(name=name, claimed_until=now + claimed_for, **{"last_started_at": now} | columns)


def test_says_that_no_watch_has_ever_run(rotating):
    advice = "State changes are not found: unset WATCH or run manage.py watch"
    assert watch_paragraph() == [f"  NOT RUNNING; last active: never. {advice}"]


def test_says_that_the_watch_runs(rotating):
    make_task()
    assert watch_paragraph() == ["  running"]


def test_says_since_when_the_watch_does_not_run(rotating):
    with time_machine.travel("2026-05-04T10:00:00Z", tick=False):
        make_task("follow")
        make_task("prune", last_started_at=timezone.now() - timedelta(hours=7))
    with time_machine.travel("2026-05-04T10:30:00Z", tick=False):
        (line,) = watch_paragraph()
    assert line.startswith("  NOT RUNNING; last active: 2026-05-04 10:00:00 UTC (30 minutes ago). ")


def test_says_which_tasks_of_the_watch_fail_and_why(rotating):
    make_task("follow", last_error="BranchesSkipped: 1 branches cannot be judged, such as \x1b[31m · build · main")
    make_task("rollup", last_error="OperationalError")
    running, follow, rollup = watch_paragraph()
    assert running == "  running"
    assert follow.startswith("  the task follow is failing: BranchesSkipped: 1 branches cannot be judged")
    assert follow.isprintable()
    assert rollup == "  the task rollup is failing: OperationalError"
