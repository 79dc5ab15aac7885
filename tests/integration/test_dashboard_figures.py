"""The dashboard's figures of a day or a week, each of which leads to the list that proves it."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from logs.circleci.vocabulary import BAD_STATUSES, GOOD_STATUSES
from logs.insights.periods import period_of
from logs.insights.totals import read_bars
from logs.models import HourlyStatus
from logs.times import HOUR
from tests.integration.dashboard_log import (
    SLUG,
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

FINISHED = ",".join(GOOD_STATUSES + BAD_STATUSES)


def test_sums_up_the_period_and_compares_it_to_the_time_before(ops):
    make_statuses(30)
    make_statuses(10, "failed", 23)
    make_statuses(5, "canceled", 1)
    make_statuses(5, "failed", 1, event_type="job-completed")
    make_statuses(9, hours_ago=24)
    make_statuses(1, "failed", 47)
    make_statuses(1_000, "failed", 48)
    text, links = section(read(ops), "totals")
    assert "Events 50 previous day: 10 ▲ up by 400 %" in text
    assert "Successful workflows 75 % previous day: 90 % ▼ down by 15 points" in text
    assert "Failed runs 10 previous day: 1 ▲ up by 900 %" in text
    assert [query_of(link) for link in links[:2]] == [
        {"received_after": "2026-05-03T15:00Z"},
        {"received_after": "2026-05-03T15:00Z", "event_type": "workflow-completed", "status": FINISHED},
    ]
    assert {"failed", "error"} <= set(query_of(links[2])["status"].split(","))


def test_a_week_is_chosen_by_a_tab(ops):
    make_statuses(7, hours_ago=100)
    make_statuses(9, hours_ago=170)
    page = read(ops, "7d")
    text, links = section(page, "totals")
    assert "Events 7 previous week: 9" in text
    assert query_of(links[0]) == {"received_after": "2026-04-27T18:00Z"}
    assert re.findall(r'href="\?period=(\w+)"\s+aria-current="page"', page) == ["7d"]


def test_a_period_nobody_knows_shows_a_day(ops):
    assert "previous day" in read(ops, "<b>")


def test_draws_a_bar_for_each_hour_and_tells_the_same_in_numbers(ops):
    make_statuses(30, hours_ago=2)
    make_statuses(10, "failed", 2)
    make_statuses(1, "a new word")
    page = read(ops)
    text, links = section(page, "hours")
    assert page.count('class="hit"') == 24
    assert "✕ failed 10 events: failed ? other 1 ✓ succeeded 30 events: succeeded" in text
    assert [query_of(link)["status"] for link in links[:2]] == [",".join(BAD_STATUSES), "success"]
    assert "The highest bar, from Mon 12:00 UTC, has 40 events." in text
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
    assert "deploy press 14 runs of deploy 2 failed runs of deploy 80 % of the finished runs of deploy ▼ down" in text
    assert "▼ down by 20 points" in text
    assert "2 min 14 s ▲ up by 28 %" in text
    assert "failures in 1 of 24 bars" in text
    assert query_of(links[0]) == {
        "received_after": "2026-05-03T15:00Z",
        "project": SLUG,
        "workflow": "deploy",
        "event_type": "workflow-completed",
    }
    assert query_of(links[1]) == query_of(links[0])
    assert [query_of(link)["status"] for link in links[2:4]] == [",".join(BAD_STATUSES), FINISHED]
    assert links[4].startswith(reverse("admin:workflow"))
    assert query_of(links[4]) == {"project": SLUG, "workflow": "deploy", "window": "24h"}
    assert links[5:] == [f"{reverse('admin:insights')}?window=24h"]


def test_a_new_workflow_is_compared_to_nothing(ops):
    make_runs(3)
    text, _ = section(read(ops), "workflows")
    assert "as before" not in text
    assert not set("▲▼") & set(text)


def test_a_workflow_whose_times_are_unknown_has_no_median(ops):
    make_runs(3, bucket=None)
    make_runs(3, hours_ago=30)
    assert "of the finished runs of deploy = unchanged – " in section(read(ops), "workflows")[0]


def test_keeps_workflows_of_one_name_apart_by_project(ops):
    make_runs(3, "failed")
    make_runs(4, project_slug="github/orchard/mill", project="mill")
    text, _ = section(read(ops), "workflows")
    assert "deploy mill 4 runs of deploy 0 100 %" in text
    assert "deploy press 3 runs of deploy 3 failed runs of deploy 0 %" in text


def test_a_renamed_project_is_one(ops):
    make_runs(3)
    make_runs(4, project="old press")
    assert "7 runs of deploy 0 100 %" in section(read(ops), "workflows")[0]


def test_shows_those_with_the_most_runs(ops):
    for number in range(1, 17):
        make_runs(number, workflow=f"w{number:02}")
    text, _ = section(read(ops), "workflows")
    assert ("w02" in text, "w01" in text) == (True, False)
    assert "Less frequent workflows are not shown." in text


def test_a_workflow_that_rests_is_not_shown(ops):
    make_runs(3, hours_ago=30)
    assert "No workflow ran in this period." in section(read(ops), "workflows")[0]


def test_names_the_slowest_of_those_that_run_often(ops):
    make_runs(3, bucket=100)
    make_runs(2, bucket=150, workflow="seldom")
    make_runs(9, bucket=120, workflow="slow")
    text, links = section(read(ops), "slowest")
    assert re.findall(r"(slow|seldom|deploy) press", text) == ["slow", "deploy"]
    assert "mean of 9 runs" in text
    assert query_of(links[0])["ordering"] == "-duration"
    assert query_of(links[0])["status"] == FINISHED


def test_what_no_list_can_show_alone_is_no_link(ops):
    """A filter for nothing leaves everything."""
    make_runs(5, "failed", project_slug="")
    make_runs(5, workflow="")
    event = make_event(workflow="")
    make_standing(event, event, workflow="")
    page = read(ops)
    links = [link for name in ("workflows", "slowest", "broken") for link in section(page, name)[1]]
    assert links == [
        f"{reverse('admin:insights')}?window=24h",
        reverse("admin:project", args=[SLUG]),
        reverse("admin:logs_workflowevent_change", args=[event.pk]),
    ]
    assert f"– {SLUG} 5 0 100 %" in section(page, "workflows")[0]
    assert "deploy press 5 5 0 %" in section(page, "workflows")[0]


def test_shows_the_slugs_of_projects_that_share_a_name(ops):
    make_runs(5, workflow="deploy")
    make_runs(4, workflow="test")
    make_runs(3, project_slug="gitlab/orchard/press", workflow="lint")
    make_runs(2, project_slug="github/orchard/mill", project="mill", workflow="grind")
    make_runs(1, project_slug="github/orchard/pond", project="", workflow="drain")
    text, _ = section(read(ops), "workflows")
    for shown in (
        f"deploy {SLUG} 5",
        f"test {SLUG} 4",
        "lint gitlab/orchard/press 3",
        "grind mill 2",
        "drain github/orchard/pond 1",
    ):
        assert shown in text


# Deliveries and webhooks.


def test_tells_which_deliveries_were_refused_and_why(ops):
    for _ in range(3):
        make_delivery()
    make_delivery(reason="no signature")
    make_delivery("malformed", reason="not JSON")
    make_delivery("logged")
    make_delivery(hours_ago=25)
    page = read(ops)
    text, links = section(page, "refusals")
    unverified = "✕ unverified 4 deliveries: unverified no secret matches 3 no signature 1"
    assert f"{unverified} ✕ malformed 1 deliveries: malformed not JSON 1" in text
    assert query_of(links[0]) == {"received_after": "2026-05-03T15:00Z", "outcome": "unverified"}
    assert "Refused deliveries 5 previous day: 1 ▲ up by 400 %" in section(page, "totals")[0]


def test_reasons_that_a_client_words_push_out_no_other_outcome(ops):
    make_delivery()
    for number in range(12):
        make_delivery("forbidden", reason=f"may not speak for {number:02}")
    text, links = section(read(ops), "refusals")
    assert "✕ forbidden 12 deliveries: forbidden may not speak for" in text
    assert "other reasons 7 ✕ unverified 1 deliveries: unverified no secret matches 1" in text
    assert [query_of(link)["outcome"] for link in links] == ["forbidden", "unverified"]


@pytest.mark.parametrize(("now", "before"), [(2, 3), (3, 2), (3, 3), (2, 1)])
def test_compares_refused_deliveries_only_where_all_were_counted(ops, monkeypatch, now, before):
    monkeypatch.setattr("logs.insights.refusals.MOST_READ", 2)
    for hours_ago, count in ((0, now), (25, before)):
        for _ in range(count):
            make_delivery(hours_ago=hours_ago)
    shown = {1: "1", 2: "2", 3: "2+"}
    text, _ = section(read(ops), "totals")
    assert f"Refused deliveries {shown[now]} previous day: {shown[before]} " in text
    assert bool(set("▲▼=") & set(text)) is (now < 3 > before)


def test_reads_a_bounded_number_of_refused_deliveries(ops, monkeypatch):
    monkeypatch.setattr("logs.insights.refusals.MOST_READ", 2)
    for _ in range(3):
        make_delivery()
    with CaptureQueriesContext(connection) as queries:
        page = read(ops)
    (refused,) = [query["sql"] for query in queries.captured_queries if '"reason"' in query["sql"]]
    assert refused.endswith("LIMIT 3")
    assert "Refused deliveries 2+" in section(page, "totals")[0]
    assert "The newest 2 refused deliveries, by outcome and reason." in section(page, "refusals")[0]


def test_never_reads_the_bodies_of_deliveries(ops, webhook_secrets):
    make_delivery()
    with CaptureQueriesContext(
        connection,
    ) as queries:
        read(ops)
    assert not [query for query in queries.captured_queries if '"body"' in query["sql"]]


def test_tells_when_each_webhook_was_last_heard_of_and_how_late_its_events_are(ops, settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = {"Orchard": ["new", "old"], "Open": None, "Silent": "s"}
    settings.DELIVERY_RETENTION_DAYS = settings.DELIVERY_RETENTION_COUNT = 0
    for secret, hours_ago in (("old", 1), ("new", 2), ("new", 3)):
        make_delivery("logged", hours_ago, webhook="Orchard", **signed_with(secret))
    make_delivery("logged", 4, webhook="Open", secret_fingerprint="", project_slug="")
    for bucket, count in ((0, 50), (60, 50), (None, 7)):
        make_lags(count, bucket)
    make_lags(1, webhook="Elsewhere")
    page = read(ops)
    text, links = section(page, "webhooks")
    assert "Orchard 2026-05-04 13:30:00 UTC 107" in text
    assert "under 1 s 18 s" in text
    assert "Open unsigned 2026-05-04 10:30:00 UTC 0" in text
    assert "Silent … never 0" in text
    assert "Elsewhere not configured 1" in text
    assert query_of(links[1]) == {"received_after": "2026-05-03T15:00Z", "webhook": "Orchard", "verified": "true"}


@pytest.mark.parametrize(
    ("days", "count", "silence"),
    [
        (0, 0, "never"),
        (30, 0, "none within the retention period"),
        (0, 1_000, "none within the retention period"),
    ],
)
def test_says_never_only_where_all_deliveries_are_kept(ops, settings, days, count, silence):
    settings.CIRCLECI_WEBHOOK_SECRETS = {"Silent": "s"}
    settings.DELIVERY_RETENTION_DAYS, settings.DELIVERY_RETENTION_COUNT = days, count
    assert f"Silent … {silence} 0" in section(read(ops), "webhooks")[0]


def test_what_nobody_signed_writes_no_figures_of_a_webhook_that_signs(ops, settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = {"Orchard": "s", "Open": None}
    settings.DELIVERY_RETENTION_DAYS = settings.DELIVERY_RETENTION_COUNT = 0
    make_lags(5, 0)
    make_lags(70, 100, verified=False)
    make_lags(3, webhook="Open", verified=False)
    make_lags(2, webhook="")
    text, links = section(read(ops), "webhooks")
    assert "events by the webhook name in the payload" in text
    assert "Orchard … never 5 events of Orchard under 1 s" in text
    assert "Open unsigned … never 3 events of Open" in text
    assert "Orchard unsigned – 70 events of Orchard 2 min" in text
    window = {"received_after": "2026-05-03T15:00Z"}
    assert [query_of(link) for link in links] == [
        window | {"webhook": "Orchard", "verified": "true"},
        window | {"webhook": "Open", "verified": "false"},
        window | {"webhook": "Orchard", "verified": "false"},
    ]


@pytest.mark.parametrize("name", ["24h", "7d"])
def test_each_hour_of_a_period_falls_into_one_of_its_bars(counted, name):
    period = period_of(name, timezone.now())
    hours = [period.since + number * HOUR for number in range((period.until - period.since) // HOUR)]
    HourlyStatus.objects.bulk_create(HourlyStatus(hour=hour, status="success", count=1) for hour in hours)
    bars = read_bars(period, HourlyStatus.objects.all())
    assert [bar.total for bar in bars] == [sum(bar.since <= hour < bar.until for hour in hours) for bar in bars]
    assert sum(bar.total for bar in bars) == len(hours)
