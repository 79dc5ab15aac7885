"""What is broken now is read from indexes, whatever else the log holds."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from logs.insights.broken import RESTING_AFTER, SHOWN, read_broken, read_broken_branches
from logs.models import Delivery, Standing, WorkflowEvent
from tests.plans import assert_reads_little, plan_of, vacuum

pytestmark = pytest.mark.django_db

BRANCHES = 5_000
NOW = datetime(2026, 5, 4, 10, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
OTHERS = 50  # Of so many branches, one has failed within RESTING_AFTER.


@pytest.fixture(scope="module")
def django_db_setup(django_db_setup, django_db_blocker):
    """Fill the log once for all tests of this module, without dead rows of other tests."""
    with django_db_blocker.unblock():
        WorkflowEvent.objects.bulk_create(_events(), batch_size=2_000)
        events = dict(WorkflowEvent.objects.filter(event_type="workflow-completed").values_list("event_id", "pk"))
        Delivery.objects.bulk_create(_deliveries(events), batch_size=2_000)
        Standing.objects.bulk_create(_standings(events), batch_size=2_000)
        vacuum()
        yield
        for model in (Standing, Delivery, WorkflowEvent):
            model.objects.all().delete()


def is_broken(number):
    return number % OTHERS == 0


def _events():
    """Make a run of each branch, and jobs of it."""
    for number in range(BRANCHES):
        moment = NOW - number * MINUTE
        common = {
            "project_slug": "gh/acme/orchard",
            "workflow": "build",
            "workflow_id": f"run-{number}",
            "branch": f"topic-{number}",
            "revision": f"{number:040x}",
            "status": "failed",
            "received_at": moment,
            "happened_at": moment,
            "changed_at": moment,
            "verified": True,
        }
        yield WorkflowEvent(event_id=f"run-{number}", event_type="workflow-completed", **common)
        yield WorkflowEvent(event_id=f"job-{number}", event_type="job-completed", job="test", **common)


def _deliveries(events):
    """Make the versions of each run."""
    for number in range(BRANCHES):
        for version in range(3):
            moment = NOW - number * MINUTE + version * timedelta(seconds=1)
            yield Delivery(
                event_id=events[f"run-{number}"],
                outcome="updated" if version else "logged",
                received_at=moment,
                judged_at=moment,
                verified=True,
                plausible=True,
                headers={},
                body=b'{"version": %d}' % version,
            )


def _standings(events):
    """Make branches of which few are broken; most of the others failed too long ago, or are good."""
    for number in range(BRANCHES):
        is_bad = number % 2 == 0
        run = events[f"run-{number}"]
        yield Standing(
            project_slug="gh/acme/orchard",
            project="orchard",
            workflow="build",
            branch=f"topic-{number}",
            tone="bad" if is_bad else "good",
            failures=1 if is_bad else 0,
            last_id=run,
            last_good_id=events["run-1"],
            broken_since_id=run if is_bad else None,
            last_run_at=NOW - number * MINUTE - (timedelta(0) if is_broken(number) or not is_bad else RESTING_AFTER),
        )


@pytest.fixture
def statements(settings):
    """The statements that read what is broken."""
    settings.DEFAULT_BRANCHES = ["topic-*"]
    with time_machine.travel(NOW, tick=False), CaptureQueriesContext(connection) as captured:
        broken = read_broken()
    assert [each.standing.branch for each in broken.shown] == [f"topic-{number * OTHERS}" for number in range(SHOWN)]
    assert [each.failed_jobs for each in broken.shown] == [["test"]] * SHOWN
    assert broken.count == BRANCHES // OTHERS
    sql = [query["sql"] for query in captured if query["sql"].startswith(("SELECT", "DECLARE"))]
    return [each[each.index("SELECT") :] for each in sql]


def test_reads_only_broken_branches_newest_first(statements):
    keys, *_ = statements
    assert_reads_little(
        keys, "standing_bad", is_range=True, most=BRANCHES // 5
    )  # PostgreSQL may read them as a bitmap, dead rows too, and sort them.


def test_reads_the_rest_by_its_keys(statements):
    _, standings, jobs, bodies = statements
    for sql, tables in ((standings, 4), (jobs, 1), (bodies, 3)):
        _assert_reads_by_key(sql, tables)


def _assert_reads_by_key(sql, tables):
    if connection.vendor == "sqlite":
        reads = [line for line in plan_of(sql).splitlines() if line.startswith(("SCAN", "SEARCH"))]
        assert len(reads) == tables, reads
        assert [line for line in reads if line.startswith("SCAN") or "outcome" in line] == []
    else:
        assert_reads_little(sql, "", most=10 * (SHOWN + 1))


def test_the_broken_branches_of_a_workflow_are_read_from_an_index(settings):
    settings.DEFAULT_BRANCHES = ["topic-*"]
    with time_machine.travel(NOW, tick=False), CaptureQueriesContext(connection) as captured:
        assert len(read_broken_branches("gh/acme/orchard", "build")) == BRANCHES // OTHERS
    (query,) = captured
    assert_reads_little(query["sql"], "standing_(bad|project|unique)", is_range=True, most=BRANCHES // 5)


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="SQLite plans a statement before it knows its values")
def test_sqlite_takes_the_index_of_broken_branches_also_where_the_tone_is_a_parameter():
    rows = Standing.objects.filter(tone="bad", last_run_at__gte=NOW).order_by("-last_run_at", "-pk").values("pk")
    sql, values = rows.query.sql_with_params()
    assert "bad" in values
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}", values)
        plan = str(cursor.fetchall())
    assert "standing_bad" in plan
    assert "TEMP B-TREE" not in plan
