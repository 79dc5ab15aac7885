"""The admin's first page: what is broken, how far its figures go, who sees what, and what it costs."""

import re
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from logs.insights.counting import refresh
from logs.models import RollupState
from tests.integration.dashboard_log import (
    DASHBOARD,
    DELIVERIES,
    EVENTS,
    HOSTILE,
    HOUR,
    NOW,
    SLUG,
    THIS_HOUR,
    make_delivery,
    make_event,
    make_lags,
    make_runs,
    make_standing,
    make_statuses,
    query_of,
    read,
    section,
    signed_with,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("half_past_two")]


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


def test_still_tells_what_is_broken_when_retention_has_removed_the_first_failed_run(ops):
    first, last = make_event(), make_event()
    make_standing(last, first)
    first.delete()
    text, _ = section(read(ops), "broken")
    assert "press › deploy" in text
    assert "Retention has removed the first failed run" in text


def test_leaves_out_what_is_broken_when_retention_has_removed_its_last_run(ops):
    event = make_event()
    make_standing(event, event)
    event.delete()
    assert "Nothing is broken" in section(read(ops), "broken")[0]


@pytest.mark.parametrize(("days", "is_shown"), [(30, True), (31, False)])
def test_leaves_out_what_has_not_run_for_a_month(ops, days, is_shown):
    event = make_event(received_at=NOW - timedelta(days=days))
    make_standing(event, event)
    text, _ = section(read(ops), "broken")
    assert ("press › deploy" in text) is is_shown
    assert "those idle for 30 days are hidden." in text


def test_takes_the_run_that_was_received_last_for_the_last_one_and_says_so(ops):
    make_event(happened_at=NOW - HOUR, received_at=NOW - HOUR, status="success", changed_at=NOW)
    make_event(happened_at=NOW - 9 * HOUR, received_at=NOW, changed_at=NOW)
    RollupState.objects.update(counted_until=NOW - HOUR, complete_until=NOW - HOUR)
    text, _ = section(read(ops), "broken")
    assert "press › deploy" in text
    assert "Workflows whose last received run failed" in text


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
    assert "Only the latest failures are shown." in text


# How far the figures go.


def test_says_so_when_nothing_older_than_this_hour_is_counted(staff_with):
    make_event()
    page = read(staff_with("view_workflowevent"))
    assert re.search(r"Counted only since\s+<time datetime=\"2026-05-04T14:00:00", page)
    assert "Run manage.py rollup" in page


@pytest.mark.parametrize(
    ("hours", "notice", "compares"),
    [
        (23, None, True),
        (20, "so older events are missing.", False),
        (47, None, True),
        (46, "so there is no comparison.", False),
    ],
)
def test_says_so_where_older_events_are_not_counted(ops, counted, hours, notice, compares):
    make_statuses(3)
    make_statuses(2, hours_ago=25)
    counted.counted_from = THIS_HOUR - hours * HOUR
    counted.save()
    if notice or hours == 47:
        make_event(received_at=counted.counted_from - HOUR)
    page = read(ops)
    assert ("Counted only since" in page) is bool(notice)
    assert (notice or "") in page
    assert ("previous day: 2" in section(page, "totals")[0]) is compares


def test_counts_what_is_new_before_it_shows_it(ops, counted):
    RollupState.objects.update(counted_until=NOW - 2 * HOUR, complete_until=NOW - 2 * HOUR)
    make_event(received_at=NOW, changed_at=NOW)
    assert "Events 1 " in section(read(ops), "totals")[0]


@pytest.mark.parametrize(
    ("behind", "is_late"), [(timedelta(minutes=2), False), (timedelta(minutes=2, seconds=1), True)]
)
def test_says_so_where_what_came_lately_is_not_counted(ops, monkeypatch, behind, is_late):
    monkeypatch.setattr("logs.admin_site.refresh_if_stale", lambda: None)
    make_statuses(3)
    make_statuses(2, hours_ago=25)
    RollupState.objects.update(counted_until=NOW - behind, complete_until=NOW - behind)
    page = read(ops)
    assert ("Counted only until" in page) is is_late
    assert ("Nothing is broken" in page) is not is_late
    assert ("previous day: 2" in section(page, "totals")[0]) is not is_late
    if is_late:
        assert page.index("Counted only until") < page.index("broken-title")
        assert f'<time datetime="{(NOW - behind).isoformat()}"' in page
        assert "No known failure on main, master; recent events are not counted yet." in page


def test_says_so_where_a_page_could_not_count_all_that_is_due(ops):
    RollupState.objects.update(counted_until=NOW - 60 * HOUR, complete_until=NOW - 60 * HOUR)
    for hours_ago in range(8):
        moment = NOW - hours_ago * HOUR
        make_event(received_at=moment, changed_at=moment)
    page = read(ops)
    assert "Counted only until" in page
    assert f'<time datetime="{(NOW - HOUR + timedelta(minutes=1)).isoformat()}"' in page
    assert "Counted only until" not in read(ops)


def test_figures_are_not_remembered_while_hours_are_due(ops):
    """All of them written within the last minute: each count ends at the same moment."""
    RollupState.objects.update(complete_until=NOW - timedelta(minutes=3))
    for hours_ago in range(8):
        make_event(received_at=NOW - hours_ago * HOUR, changed_at=NOW - timedelta(seconds=hours_ago))
    steps = refresh()
    next(steps)
    assert "Counted only until" in read(ops)
    assert "Events 1 " in section(read(ops), "totals")[0]
    list(steps)
    assert "Events 8 " in section(read(ops), "totals")[0]


def test_hours_that_are_only_looked_at_again_are_not_due(ops):
    for hours_ago in range(8):
        make_event(received_at=NOW - hours_ago * HOUR, changed_at=NOW - timedelta(minutes=3, seconds=hours_ago))
    # As a command that counted all of them half a minute later has left it.
    counted = NOW - timedelta(minutes=2, seconds=30)
    RollupState.objects.update(counted_until=counted, complete_until=counted)
    assert "Counted only until" not in read(ops)


# Who sees what.


def test_names_the_permission_that_is_missing(staff_with):
    page = read(staff_with("view_delivery"))
    assert "You need permission to view events" in page
    assert "<section aria-labelledby" not in page


def test_keeps_refused_deliveries_from_those_who_may_not_view_them(counted, staff_with):
    make_delivery(reason="a reason of its own")
    page = read(staff_with("view_workflowevent"))
    assert "You need permission to view deliveries." in page
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
    make_lags(1, webhook=HOSTILE)
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
    make_delivery("logged", webhook="Orchard", **signed_with("s"))
    make_delivery()
    page = read(ops)
    names = ("broken", "totals", "hours", "workflows", "slowest", "refusals", "webhooks")
    links = {link for name in names for link in section(page, name)[1]}
    assert [link for link in links if ops.get(link).status_code != 200] == []
    assert len(links) == 3 + 4 + (24 + 2) + 3 + 1 + 1 + 2


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
        make_lags(1, hours_ago=hours_ago)


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
    # Four for who is asking, two for how far the rollups go, and fifteen for what is shown.
    assert (len(little), len(much)) == (21, 21)


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
