"""The wall: what a screen shows that is read from across the room."""

import re
from html import unescape

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext

from logs.models import Alarm, AlarmKind, RollupState, Source, StateChange, WatchTask
from tests.integration.dashboard_log import (
    DASHBOARD,
    HOSTILE,
    HOUR,
    NOW,
    SLUG,
    make_delivery,
    make_event,
    make_runs,
    make_standing,
    make_statuses,
    query_of,
    section,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("half_past_two")]


def read(client, **query):
    answer = client.get(DASHBOARD, {"wall": "", "period": "24h"} | query)
    assert answer.status_code == 200
    return answer.content.decode()


def make_change(kind="fixed", hours_ago=1, **overrides):
    values = {"project_slug": SLUG, "workflow": "deploy", "branch": "main", "failures": 1}
    moment = NOW - hours_ago * HOUR
    return StateChange.objects.create(
        kind=kind, event=make_event(), happened_at=moment, noted_at=moment, **values | overrides
    )


def make_broken(count, first=0):
    for number in range(first, first + count):
        event = make_event(workflow=f"deploy-{number:02}", workflow_id=f"run {number}")
        make_standing(event, event, workflow=event.workflow)


def test_has_no_navigation_and_leads_back(ops):
    page = read(ops, period="7d")
    assert 'id="site-nav"' not in page
    assert 'id="header"' not in page
    assert "Breadcrumbs" not in page
    (leave,) = re.findall(r'<a href="([^"]*)">Leave wall mode</a>', page)
    assert query_of(unescape(leave)) == {"period": "7d"}
    assert "reader" not in page  # Who is signed in.


def test_the_dashboard_leads_to_its_wall_and_back(ops):
    make_runs(3)
    page = ops.get(DASHBOARD, {"project": "press", "period": "7d"}).content.decode()
    (wall,) = re.findall(r'<a href="([^"]*)">Wall mode</a>', page)
    page = ops.get(DASHBOARD + unescape(wall)).content.decode()
    assert "<bdi>press</bdi>" in page
    assert "Workflow runs 3 " in section(page, "totals")[0]
    (leave,) = re.findall(r'<a href="([^"]*)">Leave wall mode</a>', page)
    assert query_of(unescape(leave)) == {"project": SLUG, "period": "7d"}


def test_shows_eight_broken_workflows_and_how_many_more_there_are(ops):
    make_broken(20)
    text, _ = section(read(ops), "broken")
    assert re.findall(r"› (deploy-\d\d) Broken since", text) == [f"deploy-{number}" for number in range(19, 11, -1)]
    assert "and 12 more" in text


def test_counts_no_workflow_as_more_where_all_are_shown(ops):
    make_broken(8)
    assert " more" not in section(read(ops), "broken")[0]


def test_tells_what_is_broken_since_when_and_by_whom(ops):
    event = make_event(workflow_id="run")
    make_event(event_type="job-completed", workflow_id="run", job="unit-tests")
    make_standing(event, event)
    text, _ = section(read(ops), "broken")
    assert "✕ press › deploy Broken since 2026-05-04 11:30:00 UTC on main unit-tests 0123456 Ada – Turn the" in text
    assert "1 failed run " in text


@pytest.mark.parametrize(
    ("changes", "since"),
    [
        ([], None),
        ([{"hours_ago": 5}, {"hours_ago": 3}], 3),
        ([{"hours_ago": 5}, {"hours_ago": 3, "branch": "topic"}], 5),
        ([{"hours_ago": 5}, {"hours_ago": 6, "kind": "broke"}], 5),
    ],
)
def test_says_that_all_pass_and_since_when(ops, changes, since):
    for change in changes:
        make_change(**change)
    page = read(ops)
    text, _ = section(page, "broken")
    assert "✓ All workflows pass" in text
    assert "Nothing is broken on the default branches (main, master)." in text
    assert ("since" in text) is bool(since)
    if since:
        assert f'since <time datetime="{(NOW - since * HOUR).isoformat()}" data-style="relative">' in page


def test_since_when_all_pass_is_the_projects_own(ops):
    make_runs(3)
    make_change(hours_ago=5)
    make_change(hours_ago=1, project_slug="github/orchard/mill")
    assert "since 2026-05-04 09:30:00 UTC" in section(read(ops, project="press"), "broken")[0]


def stop_watch(settings):
    WatchTask.objects.update(claimed_until=NOW - HOUR)


def let_deliveries_go_unread(settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = {"Orchard": "s"}
    WatchTask.objects.filter(name="sources").delete()


def follow_nothing(settings):
    WatchTask.objects.update(cursor=None)


def name_no_branch(settings):
    settings.DEFAULT_BRANCHES = []


@pytest.mark.parametrize(
    ("happen", "words"),
    [
        (stop_watch, "The watch is not running."),
        (let_deliveries_go_unread, "state unknown"),
        (follow_nothing, "the watch has not checked all branches"),
        (name_no_branch, "No default branch is configured"),
    ],
)
def test_never_says_that_all_pass_where_that_is_unknown(ops, settings, happen, words):
    happen(settings)
    page = read(ops)
    assert "All workflows pass" not in page
    assert "State unknown" in section(page, "broken")[0]
    assert words in page
    assert "wall-good" not in page


def test_shows_open_alarms_to_those_who_may_view_them(ops, staff_with):
    detail = {"project": "press", "webhook": "Orchard", "last_delivery_at": NOW.isoformat()}
    for number in range(5):
        Alarm.objects.create(kind=AlarmKind.SILENCE, key=f"{number}", opened_at=NOW, detail=detail)
    assert "open alarm" not in read(ops)
    page = read(staff_with("view_workflowevent", "view_alarm", username="on-call"))
    assert page.count('<p class="news">') == 4
    assert "2 more open alarms" in page


@pytest.mark.parametrize("query", [{}, {"wall": ""}])
def test_names_a_silent_source_once(watched, staff_with, settings, query):
    settings.CIRCLECI_WEBHOOK_SECRETS = {"Orchard": "s"}
    make_event()
    for slug, state in (("garden", "silent"), ("pond", "silent"), ("shop", "up")):
        source = Source.objects.create(
            webhook="Orchard",
            project_slug=slug,
            project=slug,
            state=state,
            last_delivery_at=NOW if state == "up" else NOW - 9 * HOUR,
        )
        if slug == "garden":
            detail = {"project": slug, "webhook": "Orchard", "last_delivery_at": NOW.isoformat()}
            Alarm.objects.create(kind=AlarmKind.SILENCE, key=f"source:{source.pk}", opened_at=NOW, detail=detail)
    permissions = ["view_workflowevent", "view_source"]
    without = staff_with(*permissions, username="viewer").get(DASHBOARD, query).content.decode()
    page = staff_with(*permissions, "view_alarm", username="on-call").get(DASHBOARD, query).content.decode()
    named = re.compile(r"<bdi>(\w+)</bdi>\s+has been silent|<bdi>(\w+) has been silent")
    assert named.findall(without) == [("garden", ""), ("pond", "")]
    assert named.findall(page) == [("pond", ""), ("", "garden")]


def test_shows_no_figure_of_refused_deliveries_to_those_who_may_not_view_them(ops, staff_with):
    make_delivery()
    assert "Refused deliveries 1 " in section(read(ops), "totals")[0]
    assert "Refused" not in read(staff_with("view_workflowevent", username="viewer"))


def test_says_so_where_figures_are_missing(ops, monkeypatch):
    monkeypatch.setattr("logs.admin_site.dashboard.refresh_if_stale", lambda: None)
    make_statuses(3)
    RollupState.objects.update(complete_until=NOW - HOUR)
    assert "Counted only until" in read(ops)


def test_shows_nothing_without_permission_or_events(staff_with, settings):
    assert "No event has arrived yet." in read(staff_with("view_workflowevent", username="viewer"))
    make_broken(1)
    page = read(staff_with("view_delivery", username="other"))
    assert "You need permission to view events." in page
    assert "deploy-00" not in page


def test_hostile_names_are_text(ops):
    names = ("project", "workflow", "commit_subject", "author", "revision", "status")
    event = make_event(workflow_id="run", **dict.fromkeys(names, HOSTILE))
    make_event(event_type="job-completed", workflow_id="run", job=HOSTILE)
    make_standing(event, event, event, project=HOSTILE, workflow=HOSTILE)
    page = read(ops)
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;{{ 7*7 }}" in page


def test_costs_the_same_number_of_queries_however_much_there_is(ops):
    make_change()
    make_runs(1)
    with CaptureQueriesContext(connection) as all_pass:
        read(ops)
    make_broken(1)
    cache.clear()
    with CaptureQueriesContext(connection) as little:
        read(ops)
    make_broken(40, first=1)
    for number in range(40):
        make_runs(3, workflow=f"w{number}")
        make_change(hours_ago=number)
    cache.clear()
    with CaptureQueriesContext(connection) as much:
        read(ops)
    # Three for what is broken, because no workflow has succeeded before; one for the last change where all pass.
    assert (len(all_pass), len(little), len(much)) == (32, 33, 33)
