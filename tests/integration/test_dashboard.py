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
from logs.models import RollupState, Source, WatchTask, WorkflowEvent
from logs.watch.tasks import Counting
from tests.integration.dashboard_log import (
    DASHBOARD,
    DELIVERIES,
    EVENTS,
    HOSTILE,
    HOUR,
    NOW,
    SLUG,
    THIS_HOUR,
    make_body,
    make_delivery,
    make_event,
    make_lags,
    make_runs,
    make_standing,
    make_statuses,
    make_watch,
    query_of,
    read,
    section,
    signed_with,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("half_past_two")]


GOOD, BAD, WORSE = "a" * 40, "b" * 40, "c" * 40
CIRCLECI = "https://app.circleci.com/pipelines/github/orchard/press/7/workflows/7"


def page_of(event):
    return reverse("admin:logs_workflowevent_change", args=[event.pk])


def test_says_that_nothing_is_broken_and_where_it_looked(ops):
    good = make_event(status="success")
    make_standing(good, None)
    assert "Nothing is broken on the default branches (main, master)." in section(read(ops), "broken")[0]


def test_names_patterns_and_the_projects_that_they_are_for(ops, settings):
    settings.DEFAULT_BRANCHES = ["main", "release/*", "github/acme/legacy-*:develop"]
    text, _ = section(read(ops), "broken")
    assert "on the default branches (main, release/*, develop in github/acme/legacy-*)." in text


def test_says_so_where_no_branch_is_a_default_branch(ops, settings):
    settings.DEFAULT_BRANCHES = []
    assert "No default branch is configured; see DEFAULT_BRANCHES." in section(read(ops), "broken")[0]


def test_tells_what_is_broken_since_when_and_by_which_commit(ops):
    good = make_event(status="success", revision=GOOD, commit_subject="Oil the press", author="Grace")
    first = make_event(revision=BAD)
    last = make_event(status="error", revision=WORSE, received_at=NOW, url=CIRCLECI, workflow_id="run 3")
    for job, status in (("test", "failed"), ("lint", "timedout"), ("build", "success")):
        make_event(event_type="job-completed", workflow_id="run 3", job=job, status=status)
    make_body(last)
    make_standing(last, first, good, failures=1_234)
    page = read(ops)
    text, links = section(page, "broken")
    assert "✕ error press › deploy on main Broken since" in text
    assert f'Broken since <time datetime="{first.happened_at.isoformat()}" data-style="relative">' in page
    assert "1,234 failed runs in a row Failed jobs lint , test First bad commit bbbbbbb Turn the press faster" in text
    assert "– Ada Last good commit aaaaaaa Oil the press" in text
    assert "Grace" not in text
    assert links[:5] == [
        reverse("admin:project", args=[SLUG]),
        page_of(last),
        CIRCLECI,
        f"https://github.com/orchard/press/compare/{GOOD}...{WORSE}",
        page_of(first),
    ]
    assert urlsplit(links[5]).path == EVENTS
    assert query_of(links[5]) == {
        "project": SLUG,
        "workflow": "deploy",
        "branch": "main",
        "event_type": "workflow-completed",
    }


def test_links_to_other_sites_open_elsewhere_and_tell_them_nothing(ops):
    good, last = make_event(status="success", revision=GOOD), make_event(revision=BAD, url=CIRCLECI)
    make_body(last)
    make_standing(last, last, good)
    found = re.findall(r'<a class="button secondary"\s+href="https://[^"]*"\s+([^>]*)>', read(ops))
    assert [" ".join(attributes.split()) for attributes in found] == ['rel="noopener noreferrer" target="_blank"'] * 2


def test_a_first_failure_is_one_run_that_is_linked_once(ops):
    event = make_event()
    make_standing(event, event)
    text, links = section(read(ops), "broken")
    assert "1 failed run " in text
    assert links.count(page_of(event)) == 1
    assert "First failed run" not in text


def test_has_no_button_for_what_is_unknown(ops):
    event = make_event()
    make_standing(event, event)
    text, links = section(read(ops), "broken")
    assert "Last good commit none received" in text
    assert "Failed jobs" not in text
    assert ("In CircleCI" in text, "Compare commits" in text) == (False, False)
    assert len(links) == 3


@pytest.mark.parametrize("known", [{"commit_subject": ""}, {"revision": ""}, {"commit_subject": "", "revision": ""}])
def test_shows_what_is_known_of_a_commit(ops, known):
    event = make_event(author="", **known)
    make_standing(event, event)
    text, _ = section(read(ops), "broken")
    shown = " ".join(filter(None, [event.revision[:7], event.commit_subject])) or "–"
    assert f"First bad commit {shown} Last good commit" in text


def test_compares_nothing_for_an_unknown_repository(ops):
    good, last = make_event(status="success", revision=GOOD), make_event(revision=BAD)
    make_body(last, repository="javascript:alert(1)")
    make_standing(last, last, good)
    page = read(ops)
    assert "Compare commits" not in page
    assert "javascript:" not in page


def test_compares_the_commits_of_the_version_that_is_shown(ops):
    good, last = make_event(status="success", revision=GOOD), make_event(revision=BAD)
    make_body(last, repository="https://github.com/orchard/moved")
    make_body(last, repository="https://github.com/orchard/press")
    make_standing(last, last, good)
    assert f"https://github.com/orchard/press/compare/{GOOD}...{BAD}" in section(read(ops), "broken")[1]


def test_another_projects_jobs_are_not_among_the_failed_ones(ops):
    last = make_event(workflow_id="run")
    make_event(event_type="job-completed", workflow_id="run", job="forged", project_slug="github/elsewhere/fork")
    make_standing(last, last)
    assert "forged" not in section(read(ops), "broken")[0]


def test_shows_eight_failed_jobs_and_how_many_more_there_are(ops):
    last = make_event(workflow_id="run")
    for number in range(10):
        make_event(event_type="job-completed", workflow_id="run", job=f"test-{number}")
    make_standing(last, last)
    text, _ = section(read(ops), "broken")
    assert "test-7 and 2 more" in text


def test_says_so_where_a_run_is_not_signed(ops):
    make_standing(event := make_event(verified=False), event)
    assert "on main not signed" in section(read(ops), "broken")[0]
    WorkflowEvent.objects.update(verified=True)
    assert "not signed" not in section(read(ops), "broken")[0]


def test_still_tells_what_is_broken_when_retention_has_removed_its_runs(ops):
    good, first, last = make_event(status="success"), make_event(), make_event(url=CIRCLECI)
    standing = make_standing(last, first, good)
    make_body(last)
    WorkflowEvent.objects.all().delete()
    page = read(ops)
    text, links = section(page, "broken")
    assert "✕ failed press › deploy on main Broken since" in text
    assert f'<time datetime="{standing.broken_at.isoformat()}"' in page
    assert "First bad commit removed by retention Last good commit removed by retention" in text
    assert [urlsplit(link).path for link in links] == [reverse("admin:project", args=[SLUG]), EVENTS]


@pytest.mark.parametrize(("days", "is_shown"), [(30, True), (31, False)])
def test_leaves_out_what_has_not_run_for_a_month(ops, days, is_shown):
    event = make_event(received_at=NOW - timedelta(days=days))
    make_standing(event, event)
    text, _ = section(read(ops), "broken")
    assert ("press › deploy" in text) is is_shown
    assert "those idle for 30 days are hidden." in text


def test_the_newest_pipeline_decides_and_the_page_says_so(ops):
    assert "Workflows whose newest finished pipeline failed" in section(read(ops), "broken")[0]


@pytest.mark.parametrize(
    ("branches", "is_shown"),
    [
        (["main"], False),
        (["topic/7"], True),
        (["topic/*"], True),
        ([f"{SLUG}:topic/*"], True),
        (["topic/7", "github/orchard/*:main"], False),
        (["topic/7", "github/elsewhere/*:main"], True),
    ],
)
def test_looks_at_the_default_branches_only(ops, settings, branches, is_shown):
    event = make_event(branch="topic/7")
    make_standing(event, event, branch="topic/7")
    settings.DEFAULT_BRANCHES = branches
    text, _ = section(read(ops), "broken")
    assert ("on topic/7" in text, "Nothing is broken" in text) == (is_shown, not is_shown)


# Whether the watch runs.


def test_says_nothing_of_a_watch_that_runs(ops):
    assert "watch" not in read(ops).replace('class="swatch"', "")


@pytest.mark.parametrize(("seconds", "is_running"), [(99, True), (100, False)])
def test_says_so_where_the_watch_does_not_run_and_since_when(ops, seconds, is_running):
    last = NOW - timedelta(minutes=2)
    WatchTask.objects.update(claimed_until=NOW - timedelta(seconds=seconds), last_started_at=last)
    page = read(ops)
    assert ("The watch is not running." in page) is not is_running
    assert ("Nothing is broken" in page) is is_running
    if not is_running:
        assert page.index("The watch is not running.") < page.index("broken-title")
        assert f'It last ran <time datetime="{last.isoformat()}" data-style="relative">' in page
        assert "Set <code>WATCH=embedded</code>, or run <code>manage.py watch</code> on the server." in page
        assert "Nothing was broken on the default branches (main, master) at the watch" in page


def test_says_so_where_no_watch_has_ever_run(counted, staff_with):
    page = read(staff_with("view_workflowevent"))
    assert "The watch is not running." in page
    assert "It last ran" not in page
    assert "The watch has not read the deliveries yet – state unknown." in section(page, "broken")[0]


@pytest.mark.parametrize("cursor", [None, "2026-05-04T14:30:00+00:00"])
def test_claims_that_nothing_is_broken_only_once_all_branches_were_judged(ops, cursor):
    WatchTask.objects.update(cursor=cursor)
    WatchTask.objects.create(name="rollup", cursor="another task's")
    text, _ = section(read(ops), "broken")
    unknown = "No failure is known yet; the watch has not checked all branches."
    assert ("Nothing is broken" in text, unknown in text) == (bool(cursor), not cursor)


def test_says_that_more_may_be_broken_until_all_branches_were_judged(ops):
    make_standing(event := make_event(), event)
    assert "has not checked all branches" not in read(ops)
    WatchTask.objects.update(cursor=None)
    assert "The watch has not checked all branches yet." in section(read(ops), "broken")[0]


def test_names_the_tasks_that_fail_and_why(ops):
    WatchTask.objects.update(last_error=f"BranchesSkipped: {HOSTILE}")
    WatchTask.objects.create(name="prune", last_error="OperationalError")
    page = read(ops)
    assert re.search(r"The watch task <code>follow</code> is failing:\s+<bdi>BranchesSkipped: &lt;script&gt;", page)
    assert re.search(r"The watch task <code>prune</code> is failing:\s+<bdi>OperationalError</bdi>", page)
    assert "The watch is not running." not in page
    assert "Nothing was broken on the default branches (main, master) at the watch" in page


def test_a_task_that_only_counts_does_not_cast_doubt_on_what_is_broken(ops):
    WatchTask.objects.create(name="rollup", last_error="OperationalError")
    assert "Nothing is broken" in section(read(ops), "broken")[0]


def test_shows_the_ten_that_failed_last_and_that_there_are_more(ops):
    for number in range(11):
        event = make_event(workflow=f"deploy-{number:02}")
        make_standing(event, event, workflow=event.workflow)
    text, _ = section(read(ops), "broken")
    assert re.findall(r"› (deploy-\d\d) on", text) == [f"deploy-{number:02}" for number in range(10, 0, -1)]
    assert "Only the latest failures are shown." in text


# How far the figures go.


@pytest.mark.usefixtures("large_log")
def test_says_so_when_nothing_older_than_this_hour_is_counted(staff_with):
    make_event()
    page = read(staff_with("view_workflowevent"))
    assert re.search(r"Counted only since\s+<time datetime=\"2026-05-04T14:00:00", page)
    assert "Start the watch to count the rest." in page
    make_watch()
    page = read(staff_with("view_workflowevent", username="another"))
    assert "The watch is counting the rest." in page
    assert "Start the watch" not in page


@pytest.mark.parametrize("is_running", [True, False])
def test_says_so_when_nothing_is_counted(staff_with, monkeypatch, is_running):
    monkeypatch.setattr("logs.admin_site.dashboard.refresh_if_stale", lambda: None)
    make_event()
    if is_running:
        make_watch()
    page = " ".join(read(staff_with("view_workflowevent")).split())
    todo = "The watch is counting the rest." if is_running else "Start the watch to count the rest."
    assert f"Nothing is counted yet. {todo}" in page


@pytest.mark.usefixtures("large_log")
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


def test_shows_the_first_events_although_the_watch_has_just_counted_an_empty_log(watched, staff_with):
    list(Counting().run(None))
    client = staff_with("view_workflowevent")
    assert "Set up this site" in read(client)
    make_event(received_at=NOW, changed_at=NOW)
    make_event(received_at=NOW, changed_at=NOW)
    assert "Events 2 " in section(read(client), "totals")[0]


@pytest.mark.parametrize(
    ("behind", "is_late"), [(timedelta(minutes=2), False), (timedelta(minutes=2, seconds=1), True)]
)
def test_says_so_where_what_came_lately_is_not_counted(ops, monkeypatch, behind, is_late):
    monkeypatch.setattr("logs.admin_site.dashboard.refresh_if_stale", lambda: None)
    make_statuses(3)
    make_statuses(2, hours_ago=25)
    RollupState.objects.update(counted_until=NOW - behind, complete_until=NOW - behind)
    page = read(ops)
    assert ("Counted only until" in page) is is_late
    assert "Nothing is broken" in page
    assert ("previous day: 2" in section(page, "totals")[0]) is not is_late
    if is_late:
        assert f'<time datetime="{(NOW - behind).isoformat()}"' in page
        assert "The watch is counting the rest." in page


def test_says_so_where_a_page_could_not_count_all_that_is_due(ops):
    RollupState.objects.update(counted_until=NOW - 60 * HOUR, complete_until=NOW - 60 * HOUR)
    for hours_ago in range(8):
        moment = NOW - hours_ago * HOUR
        make_event(received_at=moment, changed_at=moment)
    page = read(ops)
    assert "Counted only until" in page
    assert f'<time datetime="{(NOW - HOUR + timedelta(minutes=1)).isoformat()}"' in page
    assert "Counted only until" not in read(ops)


@pytest.mark.usefixtures("large_log")
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


def test_hostile_names_are_text(ops, settings):
    names = ("project", "workflow", "branch", "commit_subject", "author", "revision", "status")
    event = make_event(workflow_id="run", **dict.fromkeys(names, HOSTILE))
    make_event(event_type="job-completed", workflow_id="run", job=HOSTILE)
    settings.DEFAULT_BRANCHES = ["*"]
    make_standing(event, event, event, project=HOSTILE, workflow=HOSTILE, branch=HOSTILE)
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
    make_standing(make_event(), make_event(), make_event(status="success"))
    make_statuses(2, "failed")
    make_runs(5, "failed")
    make_delivery("logged", webhook="Orchard", **signed_with("s"))
    make_delivery()
    page = read(ops)
    names = ("broken", "totals", "hours", "workflows", "slowest", "refusals", "webhooks")
    links = {link for name in names for link in section(page, name)[1]}
    assert [link for link in links if ops.get(link).status_code != 200] == []
    assert len(links) == 4 + 4 + (24 + 2) + 5 + 1 + 1 + 2


# What it costs.


def fill():
    for number in range(40):
        Source.objects.create(webhook="Orchard", project_slug=f"github/orchard/{number}", state="silent")
        good = make_event(workflow=f"w{number}", status="success", revision=GOOD)
        first, last = (make_event(workflow=f"w{number}", workflow_id=f"run {number}", revision=BAD) for _ in range(2))
        make_event(event_type="job-completed", workflow_id=f"run {number}", job="test")
        make_body(last)
        make_standing(last, first, good, workflow=last.workflow)
        WatchTask.objects.create(name=f"task {number}", last_error="failed")
        make_delivery(reason=f"reason {number}")
        for hours_ago in (0, 5, 30):
            make_runs(number + 1, "failed", hours_ago, workflow=f"w{number}")
    for hours_ago in range(48):
        make_statuses(3, hours_ago=hours_ago)
        make_lags(1, hours_ago=hours_ago)
    Source.objects.create(webhook="Orchard", project_slug="heard", state="up", last_delivery_at=NOW + HOUR)


@pytest.mark.parametrize("period", ["24h", "7d"])
def test_costs_the_same_number_of_queries_however_much_there_is(ops, settings, period):
    event = make_event(workflow_id="run")
    make_standing(event, event, make_event(status="success"))
    make_runs(1)
    settings.CIRCLECI_WEBHOOK_SECRETS = {"Orchard": ["new", "old"]}
    with CaptureQueriesContext(connection) as little:
        read(ops, period)
    fill()
    settings.CIRCLECI_WEBHOOK_SECRETS |= {f"webhook {number}": ["new", "old"] for number in range(30)}
    cache.clear()
    with CaptureQueriesContext(connection) as much:
        read(ops, period)
    # Four for who is asking, six for how far the rollups go, one for the projects, one for the watch, four for what is
    # broken, thirteen for the figures, and six for silence and what is not set up.
    assert (len(little), len(much)) == (36, 36)


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
