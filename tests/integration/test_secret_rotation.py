"""An older secret is safe to remove only when no project can still be signing with it."""

import io
import random
import re
from contextlib import suppress
from datetime import timedelta

import pytest
import time_machine
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from logs import conf
from logs.circleci import samples
from logs.conf import fingerprint
from logs.insights.secret_use import read_rotations, read_uses
from logs.models import Delivery, WorkflowEvent
from tests.integration.dashboard_log import make_event, read, section
from tests.plans import analyze, assert_reads_little, plan_of

pytestmark = pytest.mark.django_db

NEW, OLD = "the-new-secret-of-payments", "the-old-secret-of-payments"
PAYMENTS = "/log-circleci-webhook/payments"
UNKNOWN = "secret 2: unknown whether it is in use"


@pytest.fixture
def rotating(settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = {"payments": [NEW, OLD]}


@pytest.fixture
def build(deliver):
    """Deliver the event of a new build of a project."""
    seeds = iter(range(1_000))

    def run(project, secret, path=PAYMENTS):
        document = samples.workflow_completed(random=random.Random(next(seeds)), project=project)
        assert deliver(document, path, secret=secret).status_code in (201, 403)

    return run


def report():
    output = io.StringIO()
    with suppress(SystemExit):  # No watch runs, which is a problem.
        call_command("check_webhooks", stdout=output)
    return output.getvalue()


def advice():
    """Return what the command says about the old secret."""
    (said,) = re.findall(r"secret 2: (safe to remove|STILL IN USE|unknown|keep it)", report())
    return said


def test_a_rotation_does_not_take_the_old_secrets_deliveries_for_the_new_ones(build, settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = {"payments": OLD}
    build("orchard", OLD)
    settings.CIRCLECI_WEBHOOK_SECRETS = {"payments": [NEW, OLD]}
    output = report()
    assert "secret 1 of 2 (the newest) last verified: never" in output
    assert "0 of 1 projects use the new secret; still on the old one: orchard, 0 minutes ago" in output
    assert "secret 2: keep it; CircleCI has not used the newest secret yet" in output


def test_the_old_secret_is_in_use_while_any_project_of_the_webhook_signs_with_it(build, rotating):
    for project in ("quiet-repo", "orchard", "cellar"):
        build(project, OLD)
    with time_machine.travel(timezone.now() + timedelta(minutes=2)):
        for project in ("orchard", "cellar", "press"):
            build(project, NEW)
        output = report()
        assert "3 of 4 projects use the new secret; still on the old one: quiet-repo, 2 minutes ago\n" in output
        assert advice() == "STILL IN USE"
        build("quiet-repo", NEW)
        assert "4 of 4 projects use the new secret\n" in report()
        assert advice() == "safe to remove"
        build("quiet-repo", OLD)
        assert advice() == "STILL IN USE"


@pytest.mark.parametrize("seed", range(10))
def test_safe_means_that_every_project_last_seen_with_the_old_secret_was_seen_with_the_new_one_since(
    build, rotating, seed
):
    chance, last = random.Random(seed), {}
    for _ in range(12):
        project = chance.choice(["orchard", "cellar", "press"])
        last[project] = chance.choice([NEW, NEW, OLD])
        build(project, last[project])
        if advice() != "keep it":
            assert (advice() == "safe to remove") == (OLD not in last.values())


def test_the_order_of_deliveries_counts_and_not_the_clock(build, rotating):
    build("orchard", NEW)
    with time_machine.travel(timezone.now() - timedelta(hours=1)):
        build("orchard", OLD)
    assert advice() == "STILL IN USE"


def test_of_three_secrets_each_older_one_has_its_own_advice(build, settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = {"payments": ["the-third-secret", NEW, OLD]}
    build("orchard", OLD)
    build("orchard", "the-third-secret")
    build("cellar", NEW)
    output = report()
    assert "1 of 2 projects use the new secret; still on an old one: cellar (secret 2), 0 minutes ago" in output
    assert "secret 2: STILL IN USE" in output
    assert "secret 3: safe to remove" in output


def test_two_projects_of_one_name_are_told_apart_by_their_slugs(build, rotating):
    build("orchard", OLD)
    WorkflowEvent.objects.update(project="cellar")
    build("cellar", OLD)
    build("press", NEW)
    assert "github/acme/cellar, 0 minutes ago; github/acme/orchard, 0 minutes ago" in report()


def test_names_ten_projects_at_most(build, rotating):
    for number in range(12):
        build(f"repo-{number}", OLD)
    output = report()
    assert "repo-2, 0 minutes ago; and 2 more\n" in output
    assert "repo-1," not in output


def test_another_webhook_of_the_log_says_nothing_about_this_one(build, settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = {"payments": [NEW, OLD], "deploys": "the-secret-of-deploys", "lab": None}
    build("orchard", NEW)
    build("press", "the-secret-of-deploys", "/log-circleci-webhook/deploys")
    build("guest", None, "/log-circleci-webhook/lab")
    assert "1 of 1 projects use the new secret\n" in report()
    assert advice() == "safe to remove"


def test_a_stranger_adds_no_project_by_an_unsigned_webhook(build, settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = {"lab": None}
    build("invented", None, "/log-circleci-webhook/lab")
    assert [use.project_slug for use in read_uses()["lab"]] == [""]


# Deliveries without a project.


def test_a_ping_with_the_old_secret_counts_until_a_ping_or_all_projects_have_used_the_new_one(
    build, deliver, ping_document, rotating
):
    build("orchard", NEW)
    deliver(ping_document, PAYMENTS, secret=OLD)
    assert "still on the old one: a delivery without a project, 0 minutes ago" in report()
    assert advice() == "STILL IN USE"
    build("orchard", NEW)
    assert advice() == "safe to remove"
    deliver(ping_document, PAYMENTS, secret=OLD)
    deliver(ping_document, PAYMENTS, secret=NEW)
    assert advice() == "safe to remove"


def test_a_forbidden_delivery_shows_which_secret_is_in_use(build, settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = {"payments": {"secrets": [NEW, OLD], "projects": ["github/acme/pay-*"]}}
    build("pay-api", NEW)
    build("orchard", OLD)
    assert advice() == "STILL IN USE"


# What does not show its secret.


def stored_before_fingerprints():
    """Make all deliveries what an earlier version stored."""
    Delivery.objects.update(secret_fingerprint=None, project_slug=None)


def test_a_delivery_stored_before_the_upgrade_is_unknown_until_its_project_uses_the_new_secret(build, rotating):
    build("quiet-repo", OLD)
    stored_before_fingerprints()
    build("orchard", NEW)
    output = report()
    assert "1 of 2 projects use the new secret\n" in output
    assert "projects whose secret is unknown: github/acme/quiet-repo\n" in output
    assert "another or unknown secret, last verified: 20" in output
    assert UNKNOWN in output
    build("quiet-repo", NEW)
    assert advice() == "safe to remove"


def test_another_secret_key_makes_no_secret_safe_to_remove(build, rotating, settings):
    build("orchard", OLD)
    build("press", OLD)
    settings.SECRET_KEY = "another-key-of-the-site"
    build("press", NEW)
    output = report()
    assert "projects whose secret is unknown: orchard\n" in output
    assert UNKNOWN in output


@pytest.mark.parametrize(("name", "is_its_own"), [("payments", True), ("another", False)])
def test_a_project_without_deliveries_left_is_unknown(build, rotating, name, is_its_own):
    build("orchard", NEW)
    make_event(project_slug="github/acme/archived", name=name)
    make_event(project_slug="github/acme/imported", name=name, verified=False)
    assert (UNKNOWN in report()) == is_its_own
    assert ("github/acme/archived" in report()) == is_its_own
    assert "github/acme/imported" not in report()


def test_a_log_with_more_projects_than_are_read_is_unknown(build, rotating, monkeypatch):
    build("orchard", NEW)
    build("press", NEW)
    assert advice() == "safe to remove"
    monkeypatch.setattr("logs.insights.secret_use.MAX_PROJECTS", 2)
    assert advice() == "unknown"


# The dashboard agrees.


def test_the_dashboard_says_the_same(build, rotating, staff_with):
    dashboard = staff_with("view_workflowevent", "view_delivery")

    def shown():
        return section(read(dashboard), "webhooks")[0]

    build("orchard", OLD)
    assert "still in use 0 of 1 projects use the new secret" in shown()
    build("orchard", NEW)
    assert "safe to remove 1 of 1 projects use the new secret" in shown()
    make_event(project_slug="github/acme/archived", name="payments")
    assert "unknown 1 of 2 projects use the new secret" in shown()


# What it costs.

# Half of the deliveries were stored by an earlier version. Only those of "deploys" have events.
EVENTS = """
INSERT INTO logs_workflowevent (
    event_id, event_type, received_at, verified, name, project, project_slug, project_id, organization, workflow,
    workflow_id, job, status, branch, tag, revision, commit_subject, author, pipeline_id, trigger, url
)
WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 10000)
SELECT 'event-' || n, '', {now}, true, 'deploys', '', 'github/acme/deployed-' || (n % 5), '', '', '', '', '', '', '',
    '', '', '', '', '', '', '' FROM number
"""
DELIVERIES = """
INSERT INTO logs_delivery (
    webhook, secret_fingerprint, project_slug, event_id, received_at, judged_at, outcome, reason, verified,
    webhook_slug, plausible, headers, body
)
WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 10000)
SELECT webhook.name,
    CASE WHEN n <= 5000 THEN NULL WHEN n % 2 = 0 THEN '{new}' ELSE '{old}' END,
    CASE WHEN n > 5000 THEN 'github/acme/repo-' || (n % 7) END,
    event.id, {now}, {now}, 'logged', '', true, '', true, '{{}}', '{{}}'
FROM number CROSS JOIN (SELECT 'payments' AS name UNION SELECT 'deploys') AS webhook
LEFT JOIN logs_workflowevent AS event ON event.event_id = 'event-' || n AND webhook.name = 'deploys'
ORDER BY n
"""


@pytest.fixture
def long_log():
    """A log of 10,000 deliveries of each of two webhooks."""
    with connection.cursor() as cursor:
        for statement in (EVENTS, DELIVERIES):
            cursor.execute(statement.format(now="CURRENT_TIMESTAMP", new=fingerprint(NEW), old=fingerprint(OLD)))
    analyze()


def test_an_index_leads_to_the_newest_delivery_of_each_secret_and_project(long_log, rotating):
    with CaptureQueriesContext(connection) as captured:
        uses = read_uses()["payments"]
    last = {(use.fingerprint, use.project_slug): use.key for use in uses}
    assert len(last) == len(uses) == 1 + 2 * 7
    signed = Delivery.objects.filter(webhook="payments", secret_fingerprint=fingerprint(NEW))
    of_repo = signed.filter(project_slug="github/acme/repo-0")
    assert last[fingerprint(NEW), "github/acme/repo-0"] == of_repo.latest("pk").pk
    assert last[None, ""] == Delivery.objects.filter(webhook="payments", secret_fingerprint=None).latest("pk").pk
    (query,) = captured.captured_queries
    if connection.vendor == "sqlite":
        plan = plan_of(query["sql"])
        reads = re.findall(r"^SEARCH (?:logs_delivery|following) .*", plan, re.MULTILINE)
        assert len(reads) == 3
        assert all("USING COVERING INDEX delivery_secret_project (webhook=? AND" in line for line in reads)
        assert "TEMP B-TREE" not in plan
    else:
        assert_reads_little(query["sql"], "delivery_secret_project", most=200)


def test_the_projects_of_other_webhooks_are_found_by_a_few_events_each(long_log, rotating):
    uses = read_uses()
    with CaptureQueriesContext(connection) as captured:
        rotation = read_rotations(uses)["payments"]
    assert (rotation.projects, rotation.unknown) == (7, [])
    _, query = captured.captured_queries
    if connection.vendor == "sqlite":
        assert "SEARCH logs_workflowevent USING INDEX event_project_slug_newest" in plan_of(query["sql"])
        assert "SCAN logs" not in plan_of(query["sql"])
    else:
        assert_reads_little(query["sql"], "event_project_slug_newest")


def test_reads_the_same_few_statements_for_any_number_of_webhooks(rotating, settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = {f"webhook {number}": "a-secret" for number in range(20)}
    with CaptureQueriesContext(connection) as captured:
        assert read_uses() == {webhook.name: [] for webhook in conf.webhooks()}
    assert len(captured) == 1


# The upgrade.


def test_the_earlier_version_may_write_while_the_new_one_starts(rotating):
    now = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO logs_delivery (received_at, judged_at, outcome, reason, webhook, verified, secret_position,"
            " webhook_slug, plausible, headers, body)"
            " VALUES (%s, %s, 'logged', '', 'payments', true, 0, '', true, '{}', %s)",
            [now, now, b"{}"],
        )
    assert Delivery.objects.get().secret_position is None
    assert UNKNOWN not in report()
    assert advice() == "keep it"
