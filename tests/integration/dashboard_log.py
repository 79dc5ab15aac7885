"""What the dashboard is shown in tests: a log at a fixed time; and how its page is read."""

import html
import random
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

from django.urls import reverse

from logs.circleci import samples
from logs.conf import fingerprint
from logs.insights.buckets import GROWTH
from logs.models import Delivery, HourlyLag, HourlyStatus, HourlyWorkflow, Standing, WatchTask, Workflow, WorkflowEvent

DASHBOARD = reverse("admin:index")
EVENTS = reverse("admin:logs_workflowevent_changelist")
DELIVERIES = reverse("admin:logs_delivery_changelist")
NOW = datetime(2026, 5, 4, 14, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
THIS_HOUR = NOW.replace(minute=0)
SLUG = "github/orchard/press"
HOSTILE = "<script>alert(1)</script>{{ 7*7 }}\u202e'\""


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


def make_standing(last, broken_since, last_good=None, **overrides):
    """Make a branch that has been broken since a run, or is good if that is None."""
    last_good = last_good if broken_since else last
    values = {
        "project_slug": SLUG,
        "project": "press",
        "workflow": "deploy",
        "branch": "main",
        "tone": "bad" if broken_since else "good",
        "failures": (1 if broken_since == last else 2) if broken_since else 0,
        "broken_at": broken_since and broken_since.happened_at,
        "last_good_at": last_good and last_good.happened_at,
        "last_run_at": last.received_at,
    }
    return Standing.objects.create(last=last, broken_since=broken_since, last_good=last_good, **values | overrides)


def make_body(event, repository="https://github.com/orchard/press"):
    """Make the delivery of an event's payload, which names its repository."""
    body = {"pipeline": {"vcs": {"provider_name": "github", "target_repository_url": repository}}}
    return make_delivery("logged", event=event, verified=True, reason="", body=samples.encode(body))


def make_watch(**overrides):
    """Make the task that judges branches, and the one that reads deliveries, as a running watch has them."""
    WatchTask.objects.create(name="sources", last_finished_at=NOW)
    values = {
        "claimed_until": NOW + timedelta(minutes=1),
        "last_started_at": NOW,
        "last_finished_at": NOW,
        "cursor": NOW.isoformat(),
    }
    return WatchTask.objects.create(name="follow", **values | overrides)


def make_statuses(count, status="success", hours_ago=0, event_type="workflow-completed"):
    return HourlyStatus.objects.create(
        hour=THIS_HOUR - hours_ago * HOUR, event_type=event_type, status=status, count=count
    )


def make_runs(count, status="success", hours_ago=0, bucket=80, **overrides):
    values = {"project_slug": SLUG, "project": "press", "workflow": "deploy"} | overrides
    workflow, _ = Workflow.objects.get_or_create(
        project_slug=values["project_slug"], name=values["workflow"], defaults={"project": values["project"]}
    )
    return HourlyWorkflow.objects.create(
        hour=THIS_HOUR - hours_ago * HOUR,
        status=status,
        count=count,
        duration_bucket=bucket,
        seconds=0 if bucket is None else count * GROWTH**bucket,
        workflow=workflow,
    )


def make_lags(count, bucket=3, webhook="Orchard", *, verified=True, hours_ago=0):
    hour = THIS_HOUR - hours_ago * HOUR
    return HourlyLag.objects.create(hour=hour, webhook=webhook, verified=verified, lag_bucket=bucket, count=count)


def make_delivery(outcome="unverified", hours_ago=0, **overrides):
    moment = NOW - hours_ago * HOUR
    values = {"reason": "no secret matches", "verified": False, "plausible": True, "headers": {}, "body": b"{}"}
    return Delivery.objects.create(received_at=moment, judged_at=moment, outcome=outcome, **values | overrides)


def signed_with(secret, project_slug="gh/acme/orchard"):
    """Return the columns of a delivery that a secret signed for a project."""
    return {"verified": True, "secret_fingerprint": fingerprint(secret), "project_slug": project_slug}


def read(client, period="24h"):
    answer = client.get(DASHBOARD, {"period": period})
    assert answer.status_code == 200
    return answer.content.decode()


def section(page, name):
    """Return a part of the page without tags, its spaces made one; and the addresses it links to."""
    found = re.search(rf'<section[^>]* aria-labelledby="{name}-title">.*?</section>', page, re.DOTALL)[0]
    text = re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", found)))
    return text, [html.unescape(link) for link in re.findall(r'href="([^"]*)"', found)]


def query_of(link):
    return {name: value for name, (value,) in parse_qs(urlsplit(link).query).items()}
