"""The dashboard of a new site: what is still to be done, until the first event arrives and is reported."""

import re
from html import unescape

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from logs.models import Channel, Delivery, Rule, Source
from logs.notifications.channels import TRANSPORTS
from tests.integration.dashboard_log import DASHBOARD, DELIVERIES, NOW, make_delivery, make_event, make_statuses

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("half_past_two")]

ADD_CHANNEL = reverse("admin:logs_channel_add")
DEFAULT_RULE = f"{reverse('admin:logs_rule_add')}?default=1"
VIEWER = ["view_workflowevent", "view_delivery", "view_channel", "view_rule", "view_source"]
ADMINISTRATOR = [*VIEWER, "add_channel", "add_rule"]


@pytest.fixture(autouse=True)
def webhooks(settings):
    """Two webhooks, one of which is unsigned."""
    settings.CIRCLECI_WEBHOOK_SECRETS = {"Payments": "s", "Open": None}
    settings.SITE_URL = "https://hooks.example.com"


@pytest.fixture
def admin(staff_with):
    """A client of an administrator."""
    return staff_with(*ADMINISTRATOR)


def read(client):
    """Return the page's words, and its links."""
    answer = client.get(DASHBOARD)
    assert answer.status_code == 200
    html = answer.content.decode().partition('id="content-main"')[2].partition('class="applications"')[0]
    text = " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())
    return text, [unescape(link) for link in re.findall(r'href="([^"]*)"', html)]


def make_rule(channel, **values):
    rule = Rule.objects.create(name="r", **values)
    rule.channels.add(channel)
    return rule


def test_lists_what_is_to_be_done_instead_of_empty_figures(admin):
    text, links = read(admin)
    assert "Webhook Payments https://hooks.example.com/log-circleci-webhook/payments Copy" in text
    assert "☑ Secret set (done) ☐ First ping (to do)" in text
    assert "Webhook Open https://hooks.example.com/log-circleci-webhook/open" in text
    assert "☐ Secret set (to do) Add a secret to CIRCLECI_WEBHOOK_SECRETS" in text
    assert "☐ First channel (to do)" in text
    assert "☐ First rule (to do)" in text
    assert {f"{ADD_CHANNEL}?kind={kind}" for kind in TRANSPORTS} < set(links)
    assert f"Add {TRANSPORTS['slack'].title} channel" in text
    assert DEFAULT_RULE in links
    assert [link for link in links if admin.get(link).status_code != 200] == []
    for empty in ("Broken now", "Successful workflows", "Slowest", "No workflow"):
        assert empty not in text


def test_says_so_where_the_watch_does_not_run_and_works_without_it(admin):
    Delivery.objects.create(
        outcome="ping", webhook="Payments", verified=True, plausible=True, headers={}, body=b"", received_at=NOW,
        judged_at=NOW,
    )  # fmt: skip
    text, _ = read(admin)
    assert "The watch is not running." in text
    assert "☑ First ping (done) 2026-05-04 14:30:00 UTC" in text


def test_ticks_what_is_done(admin, watched):
    Source.objects.create(webhook="Open", first_ping_at=NOW)
    make_rule(Channel.objects.create(name="ops", kind="slack"))
    text, links = read(admin)
    assert text.count("☑ First ping (done)") == 1
    assert "☑ First channel (done) ☑ First rule (done)" in text
    assert "The watch is not running" not in text
    assert links == []


def test_links_to_refused_deliveries(admin, staff_with):
    make_delivery()
    text, links = read(admin)
    assert "Deliveries were refused." in text
    assert [link for link in links if link.startswith(DELIVERIES)]
    assert "refused" not in read(staff_with("view_workflowevent", username="other"))[0]


def test_a_viewer_is_offered_nothing_that_only_administrators_may_do(staff_with):
    text, links = read(staff_with(*VIEWER))
    assert "☐ First channel (to do)" in text
    assert links == []


def test_says_so_where_no_webhook_is_configured(admin, settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = {}
    assert "No webhook is configured; see CIRCLECI_WEBHOOK_SECRETS." in read(admin)[0]


def test_says_whose_host_the_url_has(admin, settings):
    settings.SITE_URL = ""
    text, _ = read(admin)
    assert "http://testserver/log-circleci-webhook/payments" in text
    assert "SITE_URL is not set" in text


def test_the_first_event_brings_the_figures(admin):
    make_event(received_at=NOW, changed_at=NOW)
    text, _ = read(admin)
    assert "Set up this site" not in text
    assert "Events 1 " in text


def test_a_log_whose_events_retention_has_removed_is_not_new(admin):
    make_statuses(3, hours_ago=200)
    assert "Set up this site" not in read(admin)[0]


def test_says_what_is_missing_for_the_first_notification(admin, staff_with):
    make_event()
    viewer = staff_with(*VIEWER, username="viewer")
    text, links = read(admin)
    assert "No notifications are sent: no channel is enabled. Add a channel" in text
    assert ADD_CHANNEL in links
    text, links = read(viewer)
    assert "No notifications are sent: no channel is enabled. An administrator can add a channel." in text
    assert ADD_CHANNEL not in links
    channel = Channel.objects.create(name="ops", kind="slack")
    rule = make_rule(channel, enabled=False)
    text, links = read(admin)
    assert "No notifications are sent: no enabled rule uses an enabled channel. Use the default rule" in text
    assert DEFAULT_RULE in links
    assert "An administrator can add a rule." in read(viewer)[0]
    rule.enabled = True
    rule.save()
    assert "No notifications" not in read(admin)[0]
    channel.disable()
    assert "No notifications are sent: no channel is enabled. Add a channel" in read(admin)[0]


def test_costs_a_fixed_number_of_queries(admin, settings):
    with CaptureQueriesContext(connection) as few:
        read(admin)
    settings.CIRCLECI_WEBHOOK_SECRETS |= {f"webhook {number}": "s" for number in range(30)}
    for number in range(30):
        Source.objects.create(webhook=f"webhook {number}", first_ping_at=NOW)
        make_delivery()
        make_rule(Channel.objects.create(name=f"c{number}", kind="slack")).delete()
    with CaptureQueriesContext(connection) as many:
        read(admin)
    # Four for who is asking, two for whether the log is empty, five for what is not set up, and one each for refused
    # deliveries and the watch.
    assert (len(few), len(many)) == (13, 13)
