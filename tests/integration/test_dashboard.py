"""The admin's first page: what is broken, and figures that each lead to the list that proves them."""

import html
import random
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
import time_machine
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from logs.insights.buckets import GROWTH
from logs.models import (
    Delivery,
    HourlyLag,
    HourlyStatus,
    HourlyWorkflow,
    RollupState,
    Standing,
    WorkflowEvent,
)

pytestmark = pytest.mark.django_db

DASHBOARD = reverse("admin:index")
EVENTS = reverse("admin:logs_workflowevent_changelist")
DELIVERIES = reverse("admin:logs_delivery_changelist")
NOW = datetime(2026, 5, 4, 14, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
THIS_HOUR = NOW.replace(minute=0)
SLUG = "github/orchard/press"
HOSTILE = "<script>alert(1)</script>{{ 7*7 }}\u202e'\""


@pytest.fixture(autouse=True)
def half_past_two(settings):
    """Stop the clock, and name the default branches."""
    settings.DEFAULT_BRANCHES = ["main", "master"]
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def counted():
    """A log whose events of the last months are all counted."""
    return RollupState.objects.create(counted_from=NOW - timedelta(days=90), counted_until=NOW)


@pytest.fixture
def staff_with(user_with, client_of):
    """Make a client whose user may enter the admin and has these permissions."""

    def make(*codenames):
        user = user_with(*codenames)
        user.is_staff = True
        user.save()
        return client_of(user)

    return make


@pytest.fixture
def ops(counted, staff_with):
    """A client whose user may view events and deliveries, on a counted log."""
    return staff_with("view_workflowevent", "view_delivery")


def make_event(**overrides):
    values = {
        "event_id": f"{random.getrandbits(128):032x}",
        "event_type": "workflow-completed",
        "project": "press",
        "project_slug": SLUG,
        "workflow": "deploy",
        "branch": "main",
        "status": "failed",
        "revision": "0123456789abcdef0123456789abcdef01234567",
        "commit_subject": "Turn the press faster",
        "author": "Ada",
        "happened_at": NOW - 3 * HOUR,
        "received_at": NOW - 3 * HOUR,
        "verified": True,
    }
    return WorkflowEvent.objects.create(**values | overrides)


def make_standing(last, broken_since, **overrides):
    values = {"project_slug": SLUG, "project": "press", "workflow": "deploy", "branch": "main"} | overrides
    return Standing.objects.create(last=last, broken_since=broken_since, **values)


def make_statuses(count, status="success", hours_ago=0, event_type="workflow-completed"):
    return HourlyStatus.objects.create(
        hour=THIS_HOUR - hours_ago * HOUR, event_type=event_type, status=status, count=count
    )


def make_runs(count, status="success", hours_ago=0, bucket=80, **overrides):
    values = {"project_slug": SLUG, "project": "press", "workflow": "deploy"} | overrides
    return HourlyWorkflow.objects.create(
        hour=THIS_HOUR - hours_ago * HOUR,
        status=status,
        count=count,
        duration_bucket=bucket,
        seconds=0 if bucket is None else count * GROWTH**bucket,
        **values,
    )


def make_delivery(outcome="unverified", hours_ago=0, **overrides):
    moment = NOW - hours_ago * HOUR
    values = {"reason": "no secret matches", "verified": False, "plausible": True, "headers": {}, "body": b"{}"}
    return Delivery.objects.create(received_at=moment, judged_at=moment, outcome=outcome, **values | overrides)


def read(client, period="24h"):
    answer = client.get(DASHBOARD, {"period": period})
    assert answer.status_code == 200
    return answer.content.decode()


def section(page, name):
    """Return a part of the page without tags, its spaces made one; and the addresses it links to."""
    found = re.search(rf'<section aria-labelledby="{name}-title">.*?</section>', page, re.DOTALL)[0]
    text = re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", found)))
    return text, [html.unescape(link) for link in re.findall(r'href="([^"]*)"', found)]


def query_of(link):
    return {name: value for name, (value,) in parse_qs(urlsplit(link).query).items()}


# What is broken now.


def test_says_that_nothing_is_broken_and_where_it_looked(ops):
    good = make_event(status="success")
    make_standing(good, None)
    assert "Nothing is broken on main, master." in section(read(ops), "broken")[0]


def test_tells_what_is_broken_since_when_and_by_which_commit(ops):
    first, last = make_event(), make_event(status="error", received_at=NOW)
    make_standing(last, first)
    page = read(ops)
    text, links = section(page, "broken")
    for shown in ("error", "press › deploy", "on main", "0123456", "Turn the press faster", "Ada"):
        assert shown in text
    assert f'<time datetime="{first.happened_at.isoformat()}" data-style="relative">' in page
    assert links[:2] == [reverse("admin:logs_workflowevent_change", args=[event.pk]) for event in (last, first)]
    assert urlsplit(links[2]).path == EVENTS
    assert query_of(links[2]) == {
        "project": SLUG,
        "workflow": "deploy",
        "branch": "main",
        "event_type": "workflow-completed",
    }


def test_links_the_one_failed_run_once(ops):
    event = make_event()
    make_standing(event, event)
    assert section(read(ops), "broken")[1].count(reverse("admin:logs_workflowevent_change", args=[event.pk])) == 1


@pytest.mark.parametrize("gone", ["first", "last", "both"])
def test_still_tells_what_is_broken_when_retention_has_removed_the_events(ops, gone):
    first, last = make_event(), make_event()
    make_standing(last, first)
    for event in {"first": [first], "last": [last], "both": [first, last]}[gone]:
        event.delete()
    text, _ = section(read(ops), "broken")
    assert "press › deploy" in text
    assert ("the log no longer holds it" in text) is (gone != "last")
    assert ("Last run" in text) is (gone == "first")


def test_looks_at_the_default_branches_only(ops, settings):
    event = make_event(branch="topic")
    make_standing(event, event, branch="topic")
    assert "Nothing is broken" in section(read(ops), "broken")[0]
    settings.DEFAULT_BRANCHES = ["topic"]
    assert "Nothing is broken" not in section(read(ops), "broken")[0]


def test_shows_the_ten_that_failed_last_and_that_there_are_more(ops):
    for number in range(11):
        event = make_event(workflow=f"deploy-{number:02}")
        make_standing(event, event, workflow=event.workflow)
    text, _ = section(read(ops), "broken")
    assert re.findall(r"› (deploy-\d\d) on", text) == [f"deploy-{number:02}" for number in range(10, 0, -1)]
    assert "There are more" in text


# Figures.


def test_sums_up_the_period_and_compares_it_to_the_time_before(ops):
    make_statuses(30)
    make_statuses(10, "failed", 23)
    make_statuses(5, "canceled", 1)
    make_statuses(5, "failed", 1, event_type="job-completed")
    make_statuses(9, hours_ago=24)
    make_statuses(1, "failed", 47)
    make_statuses(1_000, "failed", 48)
    text, links = section(read(ops), "totals")
    assert "Events 50 the day before: 10 ▲ up by 400 %" in text
    assert "Successful workflows 75 % the day before: 90 % ▼ down by 15 points" in text
    assert "Failed runs 10 the day before: 1 ▲ up by 900 %" in text
    assert [query_of(link) for link in links[:2]] == [
        {"received_after": "2026-05-03T15:00Z"},
        {"received_after": "2026-05-03T15:00Z", "event_type": "workflow-completed"},
    ]
    assert {"failed", "error"} <= set(query_of(links[2])["status"].split(","))


def test_a_week_is_chosen_by_a_tab(ops):
    make_statuses(7, hours_ago=100)
    make_statuses(9, hours_ago=170)
    page = read(ops, "7d")
    text, links = section(page, "totals")
    assert "Events 7 the week before: 9" in text
    assert query_of(links[0]) == {"received_after": "2026-04-27T18:00Z"}
    assert re.findall(r'href="\?period=(\w+)"\s+aria-current="page"', page) == ["7d"]


def test_a_period_nobody_knows_shows_a_day(ops):
    assert "the day before" in read(ops, "<b>")


def test_draws_a_bar_for_each_hour_and_tells_the_same_in_numbers(ops):
    make_statuses(30, hours_ago=2)
    make_statuses(10, "failed", 2)
    make_statuses(1, "a new word")
    page = read(ops)
    text, links = section(page, "hours")
    assert page.count('class="hit"') == 24
    assert "✕ failed 10 ? other 1 ✓ succeeded 30" in text
    assert "Most, 40, came in the bar that begins at Mon 12:00 UTC." in text
    assert "Mon 2026-05-04 12:00 10 0 30 40" in text
    hour = {"received_after": "2026-05-04T12:00Z", "received_before": "2026-05-04T13:00Z"}
    assert [query_of(link) for link in links].count(hour) == 2  # of the bar, and of the table


def test_a_week_has_28_bars(ops):
    assert read(ops, "7d").count('class="hit"') == 28


# Workflows.


def test_tells_how_each_workflow_fares_beside_the_time_before(ops):
    make_runs(8, bucket=100)
    make_runs(2, "failed", 5, bucket=100)
    make_runs(4, "canceled", 5, bucket=None)
    make_runs(10, hours_ago=30, bucket=95)
    text, links = section(read(ops), "workflows")
    assert "deploy press 14 2 failed runs of deploy 80 % ▼ down by 20 points" in text
    assert "2 min 14 s ▲ up by 28 %" in text
    assert "failures in 1 of 24 bars" in text
    assert query_of(links[0]) == {
        "received_after": "2026-05-03T15:00Z",
        "project": SLUG,
        "workflow": "deploy",
        "event_type": "workflow-completed",
    }
    assert "failed" in query_of(links[1])["status"]


def test_a_new_workflow_is_compared_to_nothing(ops):
    make_runs(3)
    text, _ = section(read(ops), "workflows")
    assert "as before" not in text
    assert not set("▲▼") & set(text)


def test_a_workflow_whose_times_are_unknown_has_no_median(ops):
    make_runs(3, bucket=None)
    make_runs(3, hours_ago=30)
    assert "deploy press 3 0 100 % = as before – " in section(read(ops), "workflows")[0]


def test_keeps_workflows_of_one_name_apart_by_project(ops):
    make_runs(3, "failed")
    make_runs(4, project_slug="github/orchard/mill", project="mill")
    text, _ = section(read(ops), "workflows")
    assert "deploy mill 4 0 100 %" in text
    assert "deploy press 3 3 failed runs of deploy 0 %" in text


def test_a_renamed_project_is_one(ops):
    make_runs(3)
    make_runs(4, project="old press")
    assert "7 0 100 %" in section(read(ops), "workflows")[0]


def test_shows_those_with_the_most_runs(ops):
    for number in range(1, 17):
        make_runs(number, workflow=f"w{number:02}")
    text, _ = section(read(ops), "workflows")
    assert ("w02" in text, "w01" in text) == (True, False)
    assert "Others ran less often" in text


def test_a_workflow_that_rests_is_not_shown(ops):
    make_runs(3, hours_ago=30)
    assert "No workflow has run in this time." in section(read(ops), "workflows")[0]


def test_names_the_slowest_of_those_that_run_often(ops):
    make_runs(3, bucket=100)
    make_runs(2, bucket=150, workflow="seldom")
    make_runs(9, bucket=120, workflow="slow")
    text, links = section(read(ops), "slowest")
    assert re.findall(r"(slow|seldom|deploy) press", text) == ["slow", "deploy"]
    assert "on average of 9 runs" in text
    assert query_of(links[0])["ordering"] == "-duration"


# Deliveries and webhooks.


def test_tells_which_deliveries_were_refused_and_why(ops):
    for _ in range(3):
        make_delivery()
    make_delivery("malformed", reason="not JSON")
    make_delivery("logged")
    make_delivery(hours_ago=25)
    page = read(ops)
    text, links = section(page, "refusals")
    assert re.findall(r"✕ (\w+) (no secret matches|not JSON) (\d)", text) == [
        ("unverified", "no secret matches", "3"),
        ("malformed", "not JSON", "1"),
    ]
    assert query_of(links[0]) == {"received_after": "2026-05-03T15:00Z", "outcome": "unverified"}
    assert "Refused deliveries 4 the day before: 1 ▲ up by 300 %" in section(page, "totals")[0]


def test_reads_a_bounded_number_of_refused_deliveries(ops, monkeypatch):
    monkeypatch.setattr("logs.insights.refusals.MOST_READ", 2)
    for _ in range(3):
        make_delivery()
    page = read(ops)
    assert "Refused deliveries 2+" in section(page, "totals")[0]
    assert "Why the newest 2 were refused; there are more." in section(page, "refusals")[0]


def test_never_reads_the_bodies_of_deliveries(ops, webhook_secrets):
    make_delivery()
    with CaptureQueriesContext(
        connection,
    ) as queries:
        read(ops)
    assert not [query for query in queries.captured_queries if '"body"' in query["sql"]]


def test_tells_when_each_webhook_was_last_heard_of_and_how_late_its_events_are(ops, settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = {"Orchard": ["new", "old"], "Open": None, "Silent": "s"}
    for position, hours_ago in ((1, 1), (0, 2), (0, 3)):
        make_delivery("logged", hours_ago, webhook="Orchard", secret_position=position)
    make_delivery("logged", 4, webhook="Open", secret_position=None)
    for bucket, count in ((0, 50), (60, 50), (None, 7)):
        HourlyLag.objects.create(hour=THIS_HOUR, webhook="Orchard", lag_bucket=bucket, count=count)
    HourlyLag.objects.create(hour=THIS_HOUR, webhook="Elsewhere", lag_bucket=60, count=1)
    page = read(ops)
    text, links = section(page, "webhooks")
    assert "Orchard 2026-05-04 13:30:00 UTC 107" in text
    assert "under 1 s 18 s" in text
    assert "Open 2026-05-04 10:30:00 UTC 0" in text
    assert "Silent … never heard of 0" in text
    assert "Elsewhere not configured by this name 1" in text
    assert query_of(links[1]) == {"received_after": "2026-05-03T15:00Z", "webhook": "Orchard"}


# How far the figures go.


def test_says_so_when_nothing_older_than_this_hour_is_counted(staff_with):
    make_event()
    page = read(staff_with("view_workflowevent"))
    assert re.search(r"Figures reach back to\s+<time datetime=\"2026-05-04T14:00:00", page)
    assert "Run manage.py rollup" in page


@pytest.mark.parametrize(
    ("hours", "notice", "compares"),
    [(23, None, True), (20, "what is older is missing", False), (47, None, True), (46, "are not compared", False)],
)
def test_says_so_where_older_events_are_not_counted(ops, counted, hours, notice, compares):
    make_statuses(3)
    make_statuses(2, hours_ago=25)
    counted.counted_from = THIS_HOUR - hours * HOUR
    counted.save()
    if notice or hours == 47:
        make_event(received_at=counted.counted_from - HOUR)
    page = read(ops)
    assert ("Figures reach back to" in page) is bool(notice)
    assert (notice or "") in page
    assert ("the day before: 2" in section(page, "totals")[0]) is compares


def test_counts_what_is_new_before_it_shows_it(ops, counted):
    RollupState.objects.update(counted_until=NOW - 2 * HOUR)
    make_event(received_at=NOW, changed_at=NOW)
    assert "Events 1 " in section(read(ops), "totals")[0]


# Who sees what.


def test_names_the_permission_that_is_missing(staff_with):
    page = read(staff_with("view_delivery"))
    assert "you need the permission logs.view_workflowevent" in page
    assert "<section aria-labelledby" not in page


def test_keeps_refused_deliveries_from_those_who_may_not_view_them(counted, staff_with):
    make_delivery(reason="a reason of its own")
    page = read(staff_with("view_workflowevent"))
    assert "you need the permission logs.view_delivery." in page
    assert "a reason of its own" not in page
    assert DELIVERIES not in page
    assert "Refused deliveries" not in section(page, "totals")[0]


def test_keeps_the_tables_within_reach(counted, admin_client):
    page = read(admin_client)
    for name in ("logs_workflowevent", "logs_delivery", "logs_apitoken", "auth_user", "auth_group"):
        assert f'href="{reverse(f"admin:{name}_changelist")}"' in page


def test_the_page_of_one_application_lists_its_tables_only(admin_client):
    answer = admin_client.get(reverse("admin:app_list", args=["logs"]))
    assert answer.status_code == 200
    assert b"<section aria-labelledby" not in answer.content


def test_hostile_names_are_text(ops):
    event = make_event(
        project=HOSTILE, workflow=HOSTILE, branch="main", commit_subject=HOSTILE, author=HOSTILE, revision=HOSTILE
    )
    make_standing(event, event, project=HOSTILE, workflow=HOSTILE)
    make_runs(5, project=HOSTILE, workflow=HOSTILE, project_slug="a/&status=success")
    make_delivery(reason=HOSTILE)
    HourlyLag.objects.create(hour=THIS_HOUR, webhook=HOSTILE, lag_bucket=1, count=1)
    make_statuses(2, HOSTILE)
    page = read(ops)
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;{{ 7*7 }}" in page
    link = section(page, "workflows")[1][0]
    assert (query_of(link)["project"], query_of(link)["workflow"]) == ("a/&status=success", HOSTILE)
    assert " style=" not in page


def test_every_link_leads_to_a_page(ops, settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = {"Orchard": "s"}
    make_standing(make_event(), make_event())
    make_statuses(2, "failed")
    make_runs(5, "failed")
    make_delivery("logged", webhook="Orchard", secret_position=0)
    make_delivery()
    page = read(ops)
    names = ("broken", "totals", "hours", "workflows", "slowest", "refusals", "webhooks")
    links = {link for name in names for link in section(page, name)[1]}
    assert [link for link in links if ops.get(link).status_code != 200] == []
    assert len(links) == 3 + 4 + 24 + 2 + 1 + 1 + 2


# What it costs.


def fill():
    for number in range(40):
        event = make_event(workflow=f"w{number}")
        make_standing(event, event, workflow=event.workflow)
        make_delivery(reason=f"reason {number}")
        for hours_ago in (0, 5, 30):
            make_runs(number + 1, "failed", hours_ago, workflow=f"w{number}")
    for hours_ago in range(48):
        make_statuses(3, hours_ago=hours_ago)
        HourlyLag.objects.create(hour=THIS_HOUR - hours_ago * HOUR, webhook="Orchard", lag_bucket=3, count=1)


@pytest.mark.parametrize("period", ["24h", "7d"])
def test_costs_the_same_number_of_queries_however_much_there_is(ops, settings, period):
    event = make_event()
    make_standing(event, event)
    make_runs(1)
    settings.CIRCLECI_WEBHOOK_SECRETS = {"Orchard": ["new", "old"]}
    with CaptureQueriesContext(connection) as little:
        read(ops, period)
    fill()
    settings.CIRCLECI_WEBHOOK_SECRETS |= {f"webhook {number}": ["new", "old"] for number in range(30)}
    cache.clear()
    with CaptureQueriesContext(connection) as much:
        read(ops, period)
    # Four for who is asking, two for how far the rollups go, and eleven for what is shown.
    assert (len(little), len(much)) == (17, 17)


def test_the_figures_are_read_once_for_each_count(ops):
    make_statuses(3, hours_ago=1)
    before = section(read(ops), "hours")
    with CaptureQueriesContext(connection) as again:
        assert section(read(ops), "hours") == before
    assert not [query for query in again.captured_queries if "hourlyworkflow" in query["sql"]]
    make_statuses(4, hours_ago=2)
    RollupState.objects.update(counted_until=NOW - timedelta(seconds=1))
    assert section(read(ops), "hours") != before


def test_somebody_who_is_not_staff_has_to_sign_in(client):
    get_user_model().objects.create_user("reader")
    assert client.get(DASHBOARD).status_code == 302
