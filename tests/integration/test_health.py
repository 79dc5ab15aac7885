"""What probes learn."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.core.management import call_command
from django.db import OperationalError, connection
from django.db.migrations.loader import MigrationLoader
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from logs.models import Source, WatchTask

READY = {"status": "ready", "news": "current"}


@pytest.fixture(autouse=True)
def webhooks(settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = {}
    return settings.CIRCLECI_WEBHOOK_SECRETS


def test_healthz_touches_nothing(client, settings):
    # No database fixture: a query would be an error here.
    settings.ALLOWED_HOSTS = []
    settings.SECURE_SSL_REDIRECT = True
    answer = client.get("/healthz", headers={"host": "10.1.2.3:8000"})
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.django_db
def test_readyz_is_green_on_a_migrated_database(client):
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, READY | {"watch": "not running"})


def task(name, claimed_for, error=""):
    """Make a task of the watch that a process has claimed for so many seconds from now, or not at all."""
    now = timezone.now()
    claimed_until = None if claimed_for is None else now + timedelta(seconds=claimed_for)
    WatchTask.objects.create(name=name, claimed_until=claimed_until, last_started_at=now, last_error=error)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("claims", "watch"),
    [
        ([20, 20], "running"),
        ([None, 10], "running"),
        # A running watch extends its claims to 20 seconds ahead: two minutes have passed 100 seconds later.
        ([-99], "running"),
        ([-100], "not running"),
        ([-3_600, -101], "not running"),
        ([None], "not running"),
    ],
)
def test_readyz_says_whether_a_watch_has_been_active_within_two_minutes(client, claims, watch):
    with time_machine.travel("2026-05-04T10:30:00Z", tick=False):
        for number, claimed_for in enumerate(claims):
            task(f"task {number}", claimed_for)
        answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, READY | {"watch": watch})


@pytest.mark.django_db
def test_readyz_names_the_tasks_that_fail_but_not_their_errors(client):
    task("follow", 60, error="ValueError: of project secret")
    task("rollup", 60)
    assert client.get("/readyz").json()["watch"] == "failing: follow"
    task("prune", 60, error="OperationalError")
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["watch"]) == (200, "failing: follow, prune")


@pytest.mark.django_db
def test_readyz_calls_a_watch_that_has_ended_not_running_even_if_it_failed_before(client):
    task("follow", -110, error="OperationalError")
    assert client.get("/readyz").json()["watch"] == "not running"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("states", "news"),
    [
        ({"orchard": "silent", "harbour": "silent"}, "unknown since 2026-05-03T22:00Z"),
        ({"harbour": "up", "orchard": "silent"}, "current"),
        ({}, "unknown"),
    ],
)
def test_readyz_says_that_the_state_is_unknown_and_since_when_but_stays_green(client, webhooks, states, news):
    webhooks["one"] = "a-secret-of-the-tests"
    with time_machine.travel("2026-05-04T10:30:00Z", tick=False):
        now = timezone.now()
        WatchTask.objects.create(name="sources", last_finished_at=now)
        Source.objects.create(webhook="one", state_since=now - timedelta(days=2))
        for number, (slug, state) in enumerate(states.items()):
            last = datetime(2026, 5, 3, 22 - number, tzinfo=UTC)
            Source.objects.create(webhook="one", project_slug=slug, state=state, last_delivery_at=last)
        with CaptureQueriesContext(connection) as captured:
            answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, READY | {"watch": "not running", "news": news})
    assert len([query for query in captured if "logs_source" in query["sql"]]) == 1


@pytest.mark.django_db
def test_readyz_says_that_the_state_is_unknown_if_the_watch_does_not_read_deliveries(client, webhooks):
    webhooks["one"] = "a-secret-of-the-tests"
    assert client.get("/readyz").json()["news"] == "unknown"
    WatchTask.objects.create(name="sources", last_finished_at=datetime(2026, 5, 3, 22, tzinfo=UTC))
    assert client.get("/readyz").json()["news"] == "unknown since 2026-05-03T22:00Z"


@pytest.mark.django_db(transaction=True)
def test_readyz_names_missing_migrations(client):
    call_command("migrate", "logs", "zero", verbosity=0)
    try:
        answer = client.get("/readyz")
    finally:
        call_command("migrate", "logs", verbosity=0)
    assert answer.status_code == 503
    count = sum(app == "logs" for app, _ in MigrationLoader(connection).disk_migrations)
    assert answer.json() == {
        "status": "unready",
        "detail": f"{count} migrations are not applied; run `manage.py migrate`",
    }


@pytest.mark.django_db
def test_readyz_is_red_on_a_database_that_takes_no_event(client):
    if connection.vendor != "postgresql":
        pytest.skip("about PostgreSQL's stand-by servers")
    with connection.cursor() as cursor:
        cursor.execute("SET transaction_read_only = on")
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["detail"]) == (503, "the database is read-only; see DATABASE_URL")


def test_readyz_says_that_the_database_is_away_but_not_where_it_is(client, monkeypatch):
    def unreachable(*args, **kwargs):
        raise OperationalError("connection to db.internal refused for user webhooklog")

    monkeypatch.setattr(connection, "cursor", unreachable)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["detail"] == "the database cannot be reached; see DATABASE_URL"
