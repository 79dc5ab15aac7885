"""What /metrics shows, and to whom."""

import re
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.cache import cache
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from prometheus_client.parser import text_string_to_metric_families

from logs.http import exposition
from logs.insights.counters import count_new
from logs.models import (
    Alarm,
    Channel,
    HourlyLag,
    HourlyStatus,
    HourlyWorkflow,
    Notification,
    RollupState,
    Source,
    Standing,
    WatchTask,
    Workflow,
)
from logs.models.watch import LEASE
from tests.integration.dashboard_log import HOSTILE, HOUR, NOW, THIS_HOUR, make_runs
from tests.integration.standings_log import DAY

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("half_past_two")]

TOKEN = "a-token-of-the-tests-only"
LABELS = {"project": "press", "project_slug": "github/orchard/press", "workflow": "deploy"}
OTHER = {"project": "other", "project_slug": "other", "workflow": "other"}


@pytest.fixture(autouse=True)
def token(settings):
    settings.METRICS_TOKEN = TOKEN
    settings.CIRCLECI_WEBHOOK_SECRETS = {"one": "a-secret-of-the-tests", "open": None}


@pytest.fixture
def scrape(client):
    """Read the metrics, and return the samples of each name as pairs of labels and value."""

    def read():
        cache.clear()
        response = client.get("/metrics", headers={"authorization": f"Bearer {TOKEN}"})
        assert response.status_code == 200
        samples = {}
        for family in text_string_to_metric_families(response.content.decode()):
            samples[family.name] = []
            for sample in family.samples:
                samples.setdefault(sample.name, []).append((sample.labels, sample.value))
        return samples

    return read


def by_labels(samples):
    """Return the values by labels; no two samples may have the same labels."""
    values = {tuple(sorted(labels.items())): value for labels, value in samples}
    assert len(values) == len(samples)
    return values


def add_standing(tone="bad", *, age=HOUR, **columns):
    names = {"project": "press", "project_slug": "github/orchard/press", "workflow": "deploy", "branch": "main"}
    return Standing.objects.create(tone=tone, failures=int(tone == "bad"), last_run_at=NOW - age, **names | columns)


def add_runs(count, status="success", **overrides):
    """Count runs by workflow and in all."""
    hour = make_runs(count, status, **overrides).hour
    known, _ = HourlyStatus.objects.get_or_create(
        hour=hour, event_type="workflow-completed", status=status, defaults={"count": 0}
    )
    known.count += count
    known.save()


# Who may read it.


@pytest.mark.parametrize("path", ["/metrics", "/metrics/"])
def test_the_token_opens_it(client, path):
    response = client.get(path, headers={"authorization": f"bearer {TOKEN}"})
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "no-store" in response.headers["Cache-Control"]
    assert "webhooklog_watch_age_seconds" in response.content.decode()


@pytest.mark.parametrize("path", ["/metrics", "/metrics/"])
def test_without_a_token_in_the_settings_it_does_not_exist(client, settings, path):
    settings.METRICS_TOKEN = ""
    for sent in ({}, {"authorization": "Bearer "}, {"authorization": "Bearer"}):
        response, unknown = client.get(path, headers=sent), client.get("/metrical", headers=sent)
        assert response.status_code == 404
        assert response.json() | {"detail": ""} == unknown.json() | {"detail": ""}


@pytest.mark.parametrize(
    "sent",
    [None, "", "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", TOKEN, "Bearer é"],
)
def test_anything_else_is_refused(client, sent):
    response = client.get("/metrics", headers={} if sent is None else {"authorization": sent})
    assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, 'Bearer realm="metrics"')
    assert response.json() == {"detail": "Send METRICS_TOKEN as a bearer token.", "code": "invalid_token"}


def test_an_administrator_needs_the_token_too(admin_client):
    assert admin_client.get("/metrics").status_code == 401


def test_a_refused_client_costs_no_query(client, django_assert_num_queries):
    with django_assert_num_queries(0):
        client.get("/metrics", headers={"authorization": "Bearer another-token-of-the-tests"})


def test_a_post_is_rejected(client):
    assert client.post("/metrics", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 405


def test_a_database_that_is_away_is_a_503(client, monkeypatch):
    def fail():
        raise OperationalError("words of the driver about db.internal")

    monkeypatch.setattr(exposition, "read_watch", fail)
    response = client.get("/metrics", headers={"authorization": f"Bearer {TOKEN}"})
    assert (response.status_code, response.json()["code"]) == (503, "database_unavailable")
    assert "db.internal" not in response.content.decode()


def test_the_figures_are_read_every_ten_seconds_at_most(client, django_assert_num_queries):
    sent = {"authorization": f"Bearer {TOKEN}"}
    first = client.get("/metrics", headers=sent).content
    with django_assert_num_queries(0):
        assert client.get("/metrics", headers=sent).content == first


# What it shows.


def test_counts_deliveries_and_events(scrape, deliver, workflow_document):
    assert "webhooklog_deliveries_total" not in scrape()
    deliver(workflow_document(status="failed"))
    list(count_new())
    samples = scrape()
    assert ({"outcome": "logged"}, 1) in samples["webhooklog_deliveries_total"]
    assert ({"outcome": "unverified"}, 0) in samples["webhooklog_deliveries_total"]
    assert ({"type": "workflow-completed", "status": "failed"}, 1) in samples["webhooklog_events_total"]


def test_shows_when_a_webhook_last_delivered(scrape):
    Source.objects.create(webhook="one", project_slug="github/acme/a", last_delivery_at=NOW - HOUR)
    Source.objects.create(webhook="one", project_slug="github/acme/b", last_delivery_at=NOW - DAY)
    Source.objects.create(webhook="open")
    Source.objects.create(webhook="removed", last_delivery_at=NOW)
    at = (NOW - HOUR).timestamp()
    assert scrape()["webhooklog_last_delivery_timestamp_seconds"] == [({"webhook": "one"}, at)]


def test_shows_quantiles_of_the_lag_of_configured_webhooks(scrape):
    for webhook, verified, hours_ago in (("one", True, 0), ("open", True, 0), ("gone", True, 0), ("one", True, 24)):
        hour = THIS_HOUR - hours_ago * HOUR
        HourlyLag.objects.create(hour=hour, webhook=webhook, verified=verified, lag_bucket=14, count=3)
    samples = {labels["quantile"]: value for labels, value in scrape()["webhooklog_delivery_lag_seconds"]}
    assert samples == {"0.5": pytest.approx(1.03, rel=0.01), "0.95": pytest.approx(1.03, rel=0.01)}


def test_shows_which_default_branches_are_broken(scrape):
    add_standing()
    add_standing("good", workflow="build")
    add_standing(branch="feature")
    add_standing(workflow="removed", age=31 * DAY)
    assert by_labels(scrape()["webhooklog_branch_broken"]) == by_labels(
        [
            (LABELS | {"branch": "main"}, 1),
            (LABELS | {"workflow": "build", "branch": "main"}, 0),
            (OTHER | {"branch": "other"}, 0),
        ]
    )


def test_beyond_the_limit_broken_branches_are_first_and_the_others_are_added_up(scrape, settings):
    settings.METRICS_MAX_WORKFLOWS = 2
    for number in range(5):
        add_standing("good", workflow=f"good-{number}")
        add_standing(workflow=f"broken-{number}", age=number * HOUR)
    samples = scrape()["webhooklog_branch_broken"]
    assert [(labels["workflow"], value) for labels, value in samples] == [
        ("broken-0", 1),
        ("broken-1", 1),
        ("other", 3),
    ]


def test_shows_the_runs_of_a_day(scrape):
    add_runs(3)
    add_runs(2, hours_ago=23)
    add_runs(1, "failed")
    add_runs(9, hours_ago=24)
    window = {"window": "24h"}
    assert by_labels(scrape()["webhooklog_workflow_runs"]) == by_labels(
        [(LABELS | window | {"status": "failed"}, 1), (LABELS | window | {"status": "success"}, 5)]
    )


def test_shows_quantiles_of_the_durations_of_finished_runs(scrape):
    add_runs(90, bucket=60)
    add_runs(10, "failed", bucket=80)
    add_runs(99, "canceled", bucket=99)
    add_runs(5, "error", bucket=None)
    samples = scrape()["webhooklog_workflow_duration_seconds"]
    assert {labels.pop("quantile"): value for labels, value in samples} == {
        "0.5": pytest.approx(18.1, rel=0.01),
        "0.95": pytest.approx(49.8, rel=0.01),
    }
    assert all(labels == LABELS | {"window": "24h"} for labels, _ in samples)


def test_beyond_the_limit_the_busiest_workflows_have_series_and_the_others_are_added_up(scrape, settings):
    settings.METRICS_MAX_WORKFLOWS = 2
    for number in range(5):
        add_runs(10 - number, workflow=f"w{number}", status="success")
    add_runs(1, "failed", workflow="w4")
    samples = scrape()
    runs = [(labels["workflow"], labels["status"], value) for labels, value in samples["webhooklog_workflow_runs"]]
    assert sorted(runs) == [
        ("other", "failed", 1),
        ("other", "success", 8 + 7 + 6),
        ("w0", "success", 10),
        ("w1", "success", 9),
    ]
    assert {labels["workflow"] for labels, _ in samples["webhooklog_workflow_duration_seconds"]} == {"w0", "w1"}


def test_statuses_that_clients_invent_are_other(scrape):
    for number in range(5):
        add_runs(1, f"invented-{number}")
    assert scrape()["webhooklog_workflow_runs"] == [(LABELS | {"status": "other", "window": "24h"}, 5)]


def test_names_are_escaped_and_keep_their_text(scrape):
    name = f'{HOSTILE}\n"}} 1\\\t{{'
    make_runs(1, workflow=name)
    add_standing(workflow=name, branch="main")
    samples = scrape()
    assert {labels["workflow"] for labels, _ in samples["webhooklog_workflow_runs"]} == {name}
    assert name in {labels["workflow"] for labels, _ in samples["webhooklog_branch_broken"]}


def test_projects_of_the_same_name_have_different_series(scrape):
    for slug in ("github/orchard/press", "bitbucket/orchard/press"):
        add_runs(3, project_slug=slug)
        add_standing(project_slug=slug)
    samples = scrape()
    for name in ("webhooklog_workflow_runs", "webhooklog_branch_broken"):
        assert {labels["project_slug"] for labels, _ in samples[name]} >= {slug, "github/orchard/press"}


def test_a_project_that_a_client_calls_other_is_added_to_the_others(scrape, settings):
    settings.METRICS_MAX_WORKFLOWS = 1
    for count, name in enumerate(("press", "other"), 3):
        add_runs(count, project_slug=name, project=name, workflow=name)
        add_standing(project_slug=name, project=name, workflow=name, branch="main" if name == "press" else "other")
    settings.DEFAULT_BRANCHES = ["main", "other"]
    samples = scrape()
    assert list(by_labels(samples["webhooklog_workflow_runs"]).values()) == [7]
    assert len(by_labels(samples["webhooklog_branch_broken"])) == 2


def test_shows_channels(scrape):
    chat = Channel.objects.create(name="chat", kind="slack")
    Channel.objects.create(name="mail", kind="mail", failing_since=NOW)
    Channel.objects.create(name="pager", kind="pagerduty", enabled=False, disabled_reason="404")
    Channel.objects.create(name="unused", kind="mail", enabled=False)
    for number, state in enumerate(["waiting", "waiting", "sent"]):
        Notification.objects.create(channel=chat, kind="test", key=str(number), state=state, expires_at=NOW)
    samples = scrape()
    waiting = {labels["channel"]: value for labels, value in samples["webhooklog_notifications_waiting"]}
    failing = {labels["channel"]: value for labels, value in samples["webhooklog_channel_failing"]}
    assert waiting == {"chat": 2, "mail": 0, "pager": 0, "unused": 0}
    assert failing == {"chat": 0, "mail": 1, "pager": 1, "unused": 0}


def test_shows_open_alarms_by_kind(scrape):
    Alarm.objects.create(kind="silence", key="a", opened_at=NOW)
    Alarm.objects.create(kind="silence", key="b", opened_at=NOW)
    Alarm.objects.create(kind="refusals", key="a", opened_at=NOW, closed_at=NOW)
    samples = {labels["kind"]: value for labels, value in scrape()["webhooklog_alarms_open"]}
    assert samples == {"silence": 2, "refusals": 0, "channel": 0, "watch": 0, "token": 0, "secret": 0}


def test_shows_the_ages_of_the_watch_and_of_the_figures(scrape):
    samples = scrape()
    never = [({}, float("inf"))]
    assert samples["webhooklog_watch_age_seconds"] == samples["webhooklog_rollup_age_seconds"] == never
    WatchTask.objects.create(name="follow", claimed_until=NOW + LEASE - timedelta(seconds=5))
    long_ago = NOW - timedelta(minutes=7)
    RollupState.objects.create(counted_from=long_ago, counted_until=NOW, complete_until=long_ago)
    samples = scrape()
    assert samples["webhooklog_watch_age_seconds"] == [({}, 5)]
    assert samples["webhooklog_rollup_age_seconds"] == [({}, 7 * 60)]


def test_a_clock_that_was_set_back_gives_no_negative_age(scrape):
    RollupState.objects.create(counted_from=NOW, counted_until=NOW, complete_until=NOW + HOUR)
    assert scrape()["webhooklog_rollup_age_seconds"] == [({}, 0)]


# What it costs, and whether Prometheus accepts it.


def fill(count):
    for number in range(count):
        add_runs(1, workflow=f"w{number}", project_slug=f"github/acme/{number}")
        add_standing(workflow=f"w{number}")
        Channel.objects.create(name=f"channel-{number}", kind="mail")
        Source.objects.create(webhook="one", project_slug=f"github/acme/{number}", last_delivery_at=NOW)
        HourlyLag.objects.create(hour=THIS_HOUR, webhook="one", verified=True, lag_bucket=3, count=1)
        Alarm.objects.create(kind="silence", key=str(number), opened_at=NOW)


def test_takes_as_many_queries_however_much_there_is(scrape):
    list(count_new())
    fill(1)
    with CaptureQueriesContext(connection) as few:
        scrape()
    for model in (HourlyWorkflow, HourlyStatus, Workflow, Standing, Channel, Source, HourlyLag, Alarm):
        model.objects.all().delete()
    fill(30)
    with CaptureQueriesContext(connection) as many:
        scrape()
    assert len(few) == len(many) == 17


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (apt-get install prometheus)")
def test_promtool_accepts_it(client, scrape):
    list(count_new())
    fill(3)
    make_runs(1, workflow=HOSTILE)
    scrape()
    text = client.get("/metrics", headers={"authorization": f"Bearer {TOKEN}"}).content
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_the_page_describes_every_metric_with_its_labels(scrape):
    list(count_new())
    fill(1)
    samples = {name: found for name, found in scrape().items() if found}
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(webhooklog_\w+)` \| ([^|]*)\|", page, re.MULTILINE)
    documented = {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}
    assert documented == {name: set(found[0][0]) for name, found in samples.items()}
