"""The page of sources: its webhooks, their projects, who may mute them, and what it costs."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from urllib.parse import quote

import pytest
import time_machine
from django.contrib.admin.models import LogEntry
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from logs.admin.sources import blocks as sources_blocks
from logs.conf import fingerprint
from logs.models import Channel, Delivery, HourlyLag, Source, WatchTask, WebhookSecret, WorkflowEvent
from tests.integration.dashboard_log import HOSTILE

pytestmark = pytest.mark.django_db

PAGE, MUTE, UNMUTE = (reverse(f"admin:logs_source_{name}") for name in ("changelist", "mute", "unmute"))
NOW = datetime(2026, 5, 4, 14, 30, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SLUG = "github/acme/orchard"
ROLES = {
    "nobody": [],
    "viewer": ["view_source"],
    "operator": ["view_source", "mute_source"],
    "no viewer": ["mute_source"],
}


@pytest.fixture(autouse=True)
def clock(settings):
    """The time, which stands still, and a site with one webhook that has an older secret."""
    settings.CIRCLECI_WEBHOOK_SECRETS = {"Payments": ["new", "old"]}
    settings.SITE_URL = "https://hooks.example.com"
    with time_machine.travel(NOW, tick=False) as clock:
        yield clock


@pytest.fixture(autouse=True)
def is_read(db):
    """The watch has just read all deliveries."""
    return WatchTask.objects.create(name="sources", last_finished_at=NOW)


@pytest.fixture
def as_role(staff_with):
    """Make a client of a member of staff with a role."""
    return lambda name: staff_with(*ROLES[name], username=name)


@pytest.fixture
def viewer(as_role):
    """A client whose user may view sources."""
    return as_role("viewer")


@pytest.fixture
def operator(as_role):
    """A client whose user may mute sources."""
    return as_role("operator")


def make_source(project_slug=SLUG, **values):
    defaults = {
        "webhook": "Payments",
        "project": project_slug.rpartition("/")[2],
        "state": "up",
        "first_event_at": NOW - 100 * DAY,
        "last_delivery_at": NOW - 2 * MINUTE,
        "secret_fingerprint": fingerprint("new") if project_slug else "",
    }
    return Source.objects.create(project_slug=project_slug, **defaults | values)


def make_event(**values):
    defaults = {"event_id": "e1", "event_type": "workflow-completed", "workflow": "build", "branch": "main"}
    return WorkflowEvent.objects.create(
        **defaults | {"status": "success", "received_at": NOW, "verified": True} | values
    )


def make_refused(slug, hours_ago=1):
    moment = NOW - hours_ago * HOUR
    values = {"outcome": "unverified", "verified": False, "plausible": True, "headers": {}, "body": b"{}"}
    return Delivery.objects.create(received_at=moment, judged_at=moment, webhook_slug=slug, **values)


def make_ping(hours_ago=4):
    moment = NOW - hours_ago * HOUR
    values = {"outcome": "ping", "verified": True, "plausible": True, "headers": {}, "body": b"{}"}
    return Delivery.objects.create(received_at=moment, judged_at=moment, webhook="Payments", **values)


def words(html):
    main = html.partition('<main id="content-start"')[2].partition("</main>")[0] or html
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", main)).split())


def read(client, **query):
    answer = client.get(PAGE, query)
    assert answer.status_code == 200
    return words(answer.content.decode())


def audit_log():
    return list(LogEntry.objects.order_by("pk").values_list("user__username", "object_repr", "change_message"))


# Permissions.


@pytest.mark.parametrize(
    ("role", "page", "mute"),
    [("nobody", 403, 403), ("viewer", 200, 403), ("operator", 200, 200), ("no viewer", 403, 403)],
)
def test_each_role_has_its_actions(as_role, role, page, mute):
    source, client = make_source(), as_role(role)
    assert client.get(PAGE).status_code == page
    assert client.get(MUTE, {"target": source.pk}).status_code == mute
    may = mute == 200
    assert client.post(MUTE, {"target": source.pk, "until": "1d"}).status_code == (302 if may else 403)
    source.refresh_from_db()
    assert (source.muted_until is not None) is may
    assert client.post(UNMUTE, {"target": source.pk}).status_code == (302 if may else 403)
    assert len(audit_log()) == (2 if may else 0)
    answer = client.get(PAGE).content.decode()
    assert (MUTE in answer) is may
    assert ("You need permission to mute sources." in answer) is (role == "viewer")


def test_links_and_refusals_only_for_those_who_may_see_them(viewer, staff_with):
    event = make_event()
    make_source(last_event=event)
    make_refused("payments")
    page = viewer.get(PAGE).content.decode()
    assert "Refused in 24 h" not in page
    assert f"/workflowevent/{event.pk}/" not in page
    page = staff_with("view_source", "view_workflowevent", "view_delivery", username="all").get(PAGE).content.decode()
    assert f"/workflowevent/{event.pk}/" in page
    assert "Refused in 24 h" in page


def test_the_site_links_to_it(viewer, as_role):
    assert f'href="{PAGE}"' in viewer.get(reverse("admin:index")).content.decode()
    assert f'href="{PAGE}"' not in as_role("nobody").get(reverse("admin:index")).content.decode()


# What it shows.


def test_shows_each_project_with_its_state(staff_with):
    HourlyLag.objects.create(
        hour=NOW - 5 * HOUR, webhook="Payments", verified=True, project_slug=SLUG, lag_bucket=18, count=9
    )
    HourlyLag.objects.create(
        hour=NOW - 30 * HOUR, webhook="Payments", verified=True, project_slug=SLUG, lag_bucket=90, count=900
    )
    WebhookSecret.objects.create(webhook="Payments", fingerprint=fingerprint("new"), first_seen_at=NOW - 12.5 * DAY)
    WebhookSecret.objects.create(webhook="Payments", fingerprint=fingerprint("old"), first_seen_at=NOW - 400 * DAY)
    make_source(last_event=make_event())
    make_source("github/acme/shop", state="late", secret_fingerprint=fingerprint("old"))
    make_source("github/acme/garden", state="silent", last_delivery_at=NOW - 3 * DAY, secret_fingerprint="00000000")
    make_source("github/acme/field", state="new", first_event_at=NOW - 5 * DAY)
    make_source("github/acme/pond", state="new", first_event_at=None, last_delivery_at=None, secret_fingerprint="")
    page = read(staff_with("view_source", "view_workflowevent"))
    assert "orchard ■ not judged too quiet to judge" in page
    assert "build success on main" in page
    assert f"1 s / 1 s Secret {fingerprint('new')} 12 days" in page
    assert "shop … late" in page
    assert f"{fingerprint('old')} 400 days old secret" in page
    assert "garden ✕ silent" in page
    assert "00000000 no longer configured" in page
    assert "field ? new silence is judged from 27 May" in page
    assert "pond ? new no signed event yet" in page
    names = ("garden", "late", "field", "orchard")
    assert sorted(names, key=page.rindex) == list(names)  # The worst first.


def make_busy():
    """Let a project have enough events in each of the last four weeks."""
    HourlyLag.objects.bulk_create(
        HourlyLag(
            hour=NOW.replace(minute=0) - (week * 7 * DAY - HOUR),
            webhook="Payments",
            verified=True,
            project_slug=SLUG,
            lag_bucket=18,
            count=9,
        )
        for week in (1, 2, 3, 4)
    )


@pytest.mark.parametrize(
    ("source", "own", "is_busy", "shown"),
    [
        ({}, {}, True, "✓ up"),
        ({"muted_until": NOW}, {"muted_until": NOW}, True, "✓ up"),
        ({}, {}, False, "■ not judged too quiet to judge"),
        ({"muted_until": NOW + DAY}, {}, True, "■ not judged Muted until"),
        ({}, {"muted_until": NOW + DAY}, True, "■ not judged"),
        ({"secret_fingerprint": "00000000"}, {}, True, "■ not judged"),
        ({"webhook": "Removed"}, {}, True, "■ not judged"),
        ({"state": "late", "muted_until": NOW + DAY}, {}, True, "… late Muted until"),
        ({"state": "silent", "muted_until": NOW + DAY}, {}, False, "✕ silent Muted until"),
        ({"state": "new", "first_event_at": None}, {}, False, "? new no signed event yet"),
    ],
)
def test_a_source_is_up_only_if_its_silence_would_be_noticed(viewer, source, own, is_busy, shown):
    make_source(**source)
    make_source("", **own)
    if is_busy:
        make_busy()
    assert f"orchard {shown}" in read(viewer)


def test_shows_the_slugs_of_projects_that_share_a_name(viewer):
    for slug in (SLUG, "gitlab/acme/orchard", "github/acme/shop"):
        make_source(slug)
    make_source("github/acme/garden", project="")
    page = read(viewer)
    for shown in (SLUG, "gitlab/acme/orchard", "shop", "github/acme/garden"):
        assert f" {shown} ■ not judged" in page


def test_shows_the_receiving_url_with_a_button_to_copy_it(viewer, settings):
    page = viewer.get(PAGE).content.decode()
    assert '<code id="url-1">https://hooks.example.com/log-circleci-webhook/payments</code>' in page
    assert 'data-copy="url-1"' in page
    assert "SITE_URL is not set" not in page
    settings.SITE_URL = ""
    page = viewer.get(PAGE).content.decode()
    assert '<code id="url-1">http://testserver/log-circleci-webhook/payments</code>' in page
    assert "SITE_URL is not set" in page


def test_counts_what_was_refused_at_each_url(staff_with, settings):
    settings.CIRCLECI_WEBHOOK_SECRETS |= {"Lab": "secret"}
    client = staff_with("view_source", "view_delivery")
    for slug, hours_ago in (("payments", 1), ("payments", 23), ("payments", 25), ("", 1)):
        make_refused(slug, hours_ago)
    page = client.get(PAGE).content.decode()
    assert re.findall(r"Refused in 24 h: (\S+)", words(page)) == ["2", "0", "1"]
    (link,) = {unescape(link) for link in re.findall(r'href="([^"]+address=payments)"', page)}
    assert "received_after=24h" in link
    assert client.get(link).content.decode().count('class="row-link"') == 2
    assert len(re.findall(r'href="[^"]+received_after=24h"', page)) == 1  # No filter selects the shared URL.
    assert "Refused in 24 h: 1 · View refused deliveries of all URLs" in words(page)


def test_shows_how_far_a_rotation_is(viewer):
    moment = {"received_at": NOW, "judged_at": NOW, "outcome": "logged", "plausible": True, "headers": {}, "body": b""}
    for slug, secret in (("a", "new"), ("b", "old")):
        Delivery.objects.create(
            webhook="Payments", verified=True, project_slug=slug, secret_fingerprint=fingerprint(secret), **moment
        )
    assert "1 of 2 projects use the new secret" in read(viewer)


def test_shows_unsigned_webhooks_and_those_no_longer_configured_last(viewer, settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = {"Payments": "new", "Open": None}
    make_source(webhook="Aged")
    make_source("", webhook="Open", state="new", first_event_at=None)
    make_source()
    page = read(viewer)
    assert page.index("Payments https") < page.index("Open unsigned") < page.index("Aged not configured")
    assert "all projects ? new Last delivery" in page
    assert "log-circleci-webhook/aged" not in page


def test_a_webhook_that_has_only_been_pinged_has_a_row_without_a_project(viewer):
    make_source("", state="new", first_event_at=None, first_ping_at=NOW)
    assert "without a project ? new Last delivery" in read(viewer)
    make_source()
    assert "without a project" not in read(viewer)


def test_leaves_out_projects_without_a_delivery_for_90_days(viewer):
    make_source(last_delivery_at=NOW - 90 * DAY)
    make_source("github/acme/gone", last_delivery_at=NOW - 90 * DAY - MINUTE)
    page = read(viewer)
    assert "orchard" in page
    assert "gone" not in page


def test_a_webhook_without_an_event_shows_its_checklist(viewer, settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = {"Payments": "new", "Open": None}
    checklist = "☑ Secret set (done) ☐ First ping (to do) Add the webhook in CircleCI with this URL"
    page = read(viewer)
    assert checklist in page
    assert "☐ Secret set (to do)" in page
    make_ping()
    Channel.objects.create(name="ops", kind="slack")
    page = read(viewer)
    assert "☑ First ping (done) 2026-05-04 10:30:00 UTC ☐ First event (to do)" in page
    assert "☑ First channel (done)" in page
    make_source()
    make_source("", webhook="Open", first_ping_at=NOW, first_event_at=NOW)
    assert "☑ Secret set" not in read(viewer)


def test_an_event_that_retention_has_removed_is_a_dash(viewer):
    source = make_source(last_event=make_event())
    WorkflowEvent.objects.all().delete()
    assert "build success" not in read(viewer)
    assert Source.objects.get(pk=source.pk).last_event_id


def test_cuts_long_tables_and_finds_the_others(viewer, monkeypatch):
    monkeypatch.setattr(sources_blocks, "MOST_SHOWN", 2)
    for name in ("a", "b", "needle"):
        make_source(f"github/acme/{name}")
    page = read(viewer)
    assert "needle" not in page
    assert "1 more project; filter to find it." in page
    page = read(viewer, project="NEED")
    assert "needle" in page
    assert "more project" not in page
    make_source("", last_delivery_at=NOW)
    page = read(viewer, project="nothing")
    assert "No matches." in page
    assert "without a project" not in page
    assert read(viewer, project="\0" + "x" * 999)


def test_says_so_where_the_watch_does_not_run(viewer):
    assert "The watch is not running." in read(viewer)


def test_hostile_names_are_text(operator, settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = {HOSTILE: "s"}
    event = make_event(workflow=HOSTILE, branch=HOSTILE, status=HOSTILE)
    source = make_source(HOSTILE, webhook=HOSTILE, project=HOSTILE, state="silent", last_event=event)
    page = operator.get(PAGE).content.decode()
    assert "<script>alert" not in page
    assert f"?target=webhook:{quote(HOSTILE, safe='')}" in page
    for target in (source.pk, f"webhook:{HOSTILE}"):
        answer = operator.get(MUTE, {"target": target})
        assert answer.status_code == 200
        assert b"<script>alert" not in answer.content


def test_the_last_event_needs_permission(viewer, staff_with):
    make_source(last_event=make_event(workflow="secret-workflow"))
    assert "secret-workflow" not in read(viewer)
    assert "secret-workflow" in read(staff_with("view_source", "view_workflowevent", username="reader"))


def test_long_names_are_cut_by_their_lines(viewer):
    make_source(project="x" * 255)
    assert re.search(r'<span class="lines">\s*<bdi title="[^"]+">x{255}</bdi>', viewer.get(PAGE).content.decode())


# Silence.


@pytest.mark.parametrize("path", [PAGE, reverse("admin:index")])
def test_names_what_is_silent(staff_with, path):
    make_event()
    for name in ("garden", "shed", "pond", "field", "gate"):
        make_source(f"github/acme/{name}", state="silent", last_delivery_at=NOW - 3 * DAY)
    make_source()
    page = words(staff_with("view_source", "view_workflowevent").get(path).content.decode())
    assert "field has been silent since 2026-05-01 14:30:00 UTC , garden" in page
    assert "pond has been silent" not in page.partition("and 2 more")[0]
    assert "and 2 more" in page
    assert "state unknown" not in page


def test_says_that_the_status_is_unknown_in_place_of_nothing_broken(staff_with, settings):
    settings.DEFAULT_BRANCHES = ["main"]
    make_event()
    make_source(state="silent", last_delivery_at=NOW - 3 * DAY)
    dashboard = reverse("admin:index")
    page = words(staff_with("view_source", "view_workflowevent").get(dashboard).content.decode())
    assert page.count("No news since 2026-05-01 14:30:00 UTC – state unknown. View sources") == 2
    assert "Nothing is broken" not in page
    page = words(staff_with("view_workflowevent", username="other").get(dashboard).content.decode())
    assert "No news since" in page
    assert "View sources" not in page


def test_says_that_the_status_is_unknown_if_the_watch_does_not_read_deliveries(staff_with, is_read):
    make_event()
    make_source()
    dashboard, client = reverse("admin:index"), staff_with("view_source", "view_workflowevent")
    unknown = "The watch has not read the deliveries {} – state unknown."
    is_read.last_finished_at = NOW - 6 * MINUTE
    is_read.save()
    assert words(client.get(dashboard).content.decode()).count(unknown.format("since 2026-05-04 14:24:00 UTC")) == 2
    is_read.delete()
    assert words(client.get(dashboard).content.decode()).count(unknown.format("yet")) == 2


def test_silence_is_for_those_who_may_view_sources(staff_with):
    make_event()
    make_source("github/acme/garden", state="silent")
    make_source()
    assert "silent" not in words(staff_with("view_workflowevent").get(reverse("admin:index")).content.decode())


# Muting.


@pytest.mark.parametrize(
    ("data", "until"),
    [
        ({"until": "1d"}, NOW + DAY),
        ({"until": "7d"}, NOW + 7 * DAY),
        ({"until": "date", "date": "2026-05-10"}, datetime(2026, 5, 10, tzinfo=UTC)),
    ],
)
def test_mutes_and_unmutes_a_project(operator, data, until):
    source, other = make_source(), make_source("github/acme/shop")
    answer = operator.post(MUTE, {"target": source.pk} | data, follow=True)
    assert answer.redirect_chain == [(PAGE, 302)]
    source.refresh_from_db()
    assert (source.muted_until, source.muted_by.username) == (until, "operator")
    page = words(answer.content.decode())
    text = f"Muted until {until:%Y-%m-%d %H:%M} UTC."
    assert f"Payments · orchard: {text}" in page
    assert f"Muted until {until:%Y-%m-%d %H:%M:%S} UTC by operator" in page
    operator.post(UNMUTE, {"target": source.pk})
    source.refresh_from_db()
    assert (source.muted_until, source.muted_by) == (None, None)
    name = "Payments · orchard"
    assert audit_log() == [("operator", name, text), ("operator", name, "Unmuted.")]
    other.refresh_from_db()
    assert other.muted_until is None


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"until": "for ever"},
        {"until": "date"},
        {"until": "date", "date": "2026-05-04"},
        {"until": "date", "date": "2027-05-06"},
        {"until": "date", "date": "tomorrow"},
    ],
)
def test_refuses_other_times(operator, data):
    source = make_source()
    answer = operator.post(MUTE, {"target": source.pk} | data)
    assert answer.status_code == 200
    assert b"errorlist" in answer.content
    source.refresh_from_db()
    assert source.muted_until is None
    assert audit_log() == []


def test_mutes_a_webhook_before_its_first_delivery(operator):
    operator.post(MUTE, {"target": "webhook:Payments", "until": "7d"})
    own = Source.objects.get()
    assert (own.webhook, own.project_slug, own.muted_until) == ("Payments", "", NOW + 7 * DAY)
    page = operator.get(PAGE).content.decode()
    assert "Muted until 2026-05-11 14:30:00 UTC by operator" in words(page)
    assert "Unmute webhook" in page
    operator.post(UNMUTE, {"target": "webhook:Payments"})
    own.refresh_from_db()
    assert own.muted_until is None


def test_mutes_and_unmutes_all_webhooks(operator, settings):
    settings.CIRCLECI_WEBHOOK_SECRETS |= {"Lab": "s"}
    make_source(webhook="Aged")
    answer = operator.post(MUTE, {"target": "all", "until": "1d"}, follow=True)
    assert "3 sources: Muted until" in words(answer.content.decode())
    muted = Source.objects.filter(muted_until=NOW + DAY, project_slug="")
    assert set(muted.values_list("webhook", flat=True)) == {"Payments", "Lab", "Aged"}
    assert len(audit_log()) == 3
    operator.post(UNMUTE, {"target": "all"})
    assert not muted.exists()


def test_a_mute_that_has_ended_is_not_shown(viewer, clock):
    make_source(muted_until=NOW + DAY)
    assert "Muted until" in read(viewer)
    clock.shift(DAY)
    assert "Muted until" not in read(viewer)


@pytest.mark.parametrize("target", ["", "webhook:", "webhook:nobody", "0", "9" * 40, "٣", "x"])
def test_an_unknown_target_is_not_found(operator, target):
    make_source()
    assert operator.get(MUTE, {"target": target}).status_code == 404
    assert operator.post(MUTE, {"target": target, "until": "1d"}).status_code == 404
    assert operator.post(UNMUTE, {"target": target}).status_code == 404


def test_a_get_unmutes_nothing(operator):
    source = make_source(muted_until=NOW + DAY)
    assert operator.get(UNMUTE, {"target": source.pk}).status_code == 302
    source.refresh_from_db()
    assert source.muted_until


def test_the_links_of_the_audit_log_lead_to_the_page(viewer):
    source = make_source()
    assert viewer.get(reverse("admin:logs_source_change", args=[source.pk])).url == PAGE
    assert viewer.get(reverse("admin:logs_source_history", args=[source.pk])).status_code == 200


# What it costs.


def test_costs_the_same_number_of_queries_however_many_sources_there_are(staff_with, settings):
    client = staff_with("view_source", "mute_source", "view_workflowevent", "view_delivery")
    make_source(last_event=make_event())
    with CaptureQueriesContext(connection) as few:
        read(client)
    settings.CIRCLECI_WEBHOOK_SECRETS |= {f"webhook {number}": ["new", "old"] for number in range(5)}
    for number in range(60):
        event = make_event(event_id=f"e-{number}")
        values = {"webhook": f"webhook {number % 7}", "state": "silent", "last_event": event}
        make_source(f"github/acme/{number}", muted_until=NOW + DAY, **values)
        make_refused(f"webhook-{number % 5}")
    cache.clear()
    with CaptureQueriesContext(connection) as many:
        read(client)
    # Four for who is asking, four for what is not set up, three for the sources, three for the secrets' use, and one
    # each for refused deliveries, the watch and lags; four for silence.
    assert (len(few), len(many)) == (21, 21)


def test_unmuting_all_webhooks_unmutes_their_projects_too(operator):
    make_source(muted_until=NOW + DAY)
    make_source("", muted_until=NOW + DAY)
    make_source("github/acme/garden", muted_until=NOW - DAY)
    assert "Unmute all webhooks and projects" in read(operator)
    answer = operator.post(UNMUTE, {"target": "all"}, follow=True)
    assert "2 sources: Unmuted." in answer.content.decode()
    assert not Source.objects.filter(muted_until__gt=NOW).exists()
    assert len(audit_log()) == 2


def test_a_muted_project_can_be_unmuted_with_all(operator):
    make_source(muted_until=NOW + DAY)
    assert "Unmute all webhooks and projects" in read(operator)
