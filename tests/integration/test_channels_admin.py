"""Channels in the admin: who may do what, that no page shows a secret, and what each button does."""

import json
import re
from datetime import UTC, datetime, timedelta
from html import escape, unescape

import pytest
import time_machine
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext, override_settings
from django.urls import reverse

from logs.admin.channels import form as channel_form
from logs.models import Channel, Notification, NotificationAttempt, Rule, StateChange, WorkflowEvent
from logs.notifications import sending
from logs.notifications.channels import TRANSPORTS
from logs.notifications.channels.base import Field, Transport
from logs.notifications.guard import Response
from logs.notifications.sealing import seal, unseal
from tests.integration.standings_log import log_run

pytestmark = pytest.mark.django_db

LIST, ADD = reverse("admin:logs_channel_changelist"), reverse("admin:logs_channel_add")
ADD_SLACK = f"{ADD}?kind=slack"
SECRET_PART = "XjkW8vQz"
SECRET = f"https://hooks.slack.com/services/T024BE7LD/B024BE7LH/{SECRET_PART}fQ2x"
OTHER_SECRET = "https://hooks.slack.com/services/T024BE7LD/B024BE7LH/LmNoPqRsTuVw"
NOW = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
MARKUP = "<script>hacked</script>\"'&\u202e"
ROLES = {
    "nobody": [],
    "viewer": ["view_channel"],
    "operator": ["view_channel", "test_channel"],
    "administrator": ["view_channel", "test_channel", "add_channel", "change_channel"],
}


class PagerTransport(Transport):
    """A kind with all kinds of fields."""

    kind, title, is_combined = "pager", "Pager <i>", False
    fields = (
        Field(name="name", label="Team"),
        Field(name="region", label="Region", choices=[("us", "United States"), ("eu", "Europe")], default="eu"),
        Field(name="note", label="Note", is_required=False, pattern="[a-z%]+", invalid="Only a-z, 100 % of it"),
        Field(name="key", label="Key", is_secret=True),
        Field(name="old_key", label="Old key", is_secret=True, is_required=False),
    )


@pytest.fixture(autouse=True)
def clock():
    """The time, which stands still."""
    with time_machine.travel(NOW, tick=False) as clock:
        yield clock


@pytest.fixture
def pager(monkeypatch):
    """Register the other kind."""
    monkeypatch.setitem(TRANSPORTS, "pager", PagerTransport())


@pytest.fixture
def as_role(staff_with):
    """Make a client of a member of staff with a role."""
    return lambda name: staff_with(*ROLES[name], username=name)


@pytest.fixture
def admin(as_role):
    """A client of an administrator."""
    return as_role("administrator")


@pytest.fixture
def operator(as_role):
    """A client of an operator."""
    return as_role("operator")


def make_channel(name="ops", secret=SECRET, **values):
    return Channel.objects.create(**{"name": name, "kind": "slack", "sealed": seal({"url": secret})} | values)


def add_notification(channel, kind="broke", **values):
    number = Notification.objects.count()
    defaults = {"key": f"{kind}:{number}", "thread": "wl-1", "expires_at": NOW + HOUR}
    return Notification.objects.create(channel=channel, kind=kind, **defaults | values)


def add_change(kind="broke", **values):
    event = WorkflowEvent.objects.get(event_id=log_run(1, "failed"))
    columns = {"project_slug": "github/acme/orchard", "project": "orchard", "workflow": "build", "branch": "main"}
    times = {"happened_at": NOW, "noted_at": NOW, "failures": 1}
    return StateChange.objects.create(event=event, kind=kind, **columns | times | values)


def page_of(channel):
    return reverse("admin:logs_channel_change", args=[channel.pk])


def url_of(action, channel):
    return reverse(f"admin:logs_channel_{action}", args=[channel.pk])


def read(client, url, status=200):
    answer = client.get(url)
    assert answer.status_code == status, url
    return answer.content.decode()


def words(html):
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def act(client, action, channel, **data):
    """Press a button; return the words of the page that follows."""
    answer = client.post(url_of(action, channel), data, follow=True)
    assert answer.redirect_chain[-1][0] == page_of(channel)
    return words(answer.content.decode())


def save(client, channel, **data):
    """Change settings; return the answer."""
    values = {"name": channel.name, "hourly_limit": "30", "setting_url": ""} | data
    return client.post(url_of("settings", channel), values)


def audit_log():
    return list(LogEntry.objects.order_by("pk").values_list("user__username", "change_message"))


# Permissions.

# fmt: off
OPENS = [  # list, page, history, add, settings
    ("nobody",        [403, 403, 403, 403, 403]),
    ("viewer",        [200, 200, 200, 403, 403]),
    ("operator",      [200, 200, 200, 403, 403]),
    ("administrator", [200, 200, 200, 200, 200]),
]
ACTS = [  # test, mute, unmute, disable, enable
    ("nobody",        [403, 403, 403, 403, 403]),
    ("viewer",        [403, 403, 403, 403, 403]),
    ("operator",      [302, 302, 302, 403, 403]),
    ("administrator", [302, 302, 302, 302, 302]),
]
# fmt: on


@pytest.mark.parametrize(("role", "expected"), OPENS)
def test_each_role_opens_its_pages(as_role, role, expected):
    channel = make_channel()
    urls = [
        LIST,
        page_of(channel),
        reverse("admin:logs_channel_history", args=[channel.pk]),
        ADD,
        url_of("settings", channel),
    ]
    client = as_role(role)
    assert [client.get(url).status_code for url in urls] == expected


@pytest.mark.parametrize(("role", "expected"), ACTS)
def test_each_role_has_its_actions(as_role, role, expected):
    channel, client = make_channel(), as_role(role)
    actions = ["test", "mute", "unmute", "disable", "enable"]
    assert [client.post(url_of(action, channel), {"until": "1h"}).status_code for action in actions] == expected


@pytest.mark.parametrize(
    ("role", "buttons"),
    [
        ("viewer", []),
        ("operator", ["Send test message", "Mute channel"]),
        ("administrator", ["Send test message", "Mute channel", "Disable channel"]),
    ],
)
def test_a_page_offers_what_its_reader_may_do(as_role, role, buttons):
    page = read(as_role(role), page_of(make_channel()))
    assert re.findall(r'formaction="[^"]+"\s+class="[^"]+">([^<]+)<', page) == buttons
    assert ("Edit settings" in page) == (role == "administrator")
    assert ("You need permission" in page) == (role == "viewer")


def test_permission_to_act_without_permission_to_view_is_not_enough(staff_with):
    channel, client = make_channel(), staff_with("test_channel", "add_channel")
    assert client.post(url_of("test", channel)).status_code == 403
    assert client.get(ADD).status_code == 403
    assert not Notification.objects.exists()


@pytest.mark.parametrize("action", ["test", "mute", "unmute", "disable", "enable"])
def test_a_get_changes_nothing(admin, action):
    channel = make_channel(enabled=action != "enable")
    before = Channel.objects.values().get()
    assert admin.get(url_of(action, channel)).headers["Location"] == page_of(channel)
    assert Channel.objects.values().get() == before
    assert not Notification.objects.exists()
    assert audit_log() == []


def test_actions_and_forms_need_a_csrf_token(as_role):
    channel = make_channel()
    as_role("administrator")
    client = Client(enforce_csrf_checks=True)
    client.force_login(get_user_model().objects.get())
    for url in (url_of("test", channel), url_of("disable", channel), url_of("settings", channel), ADD_SLACK):
        assert client.post(url).status_code == 403
    assert Channel.objects.get().enabled


def test_channels_are_not_deleted(admin, admin_client):
    channel = make_channel()
    url = reverse("admin:logs_channel_delete", args=[channel.pk])
    for client in (admin, admin_client):
        assert client.post(url, {"post": "yes"}).status_code == 403
        assert "delete" not in read(client, page_of(channel)).lower()
    assert Channel.objects.exists()


def test_an_unknown_channel_leads_home(admin):
    for name in ("change", "settings", "test"):
        url = reverse(f"admin:logs_channel_{name}", args=[999])
        assert admin.post(url).status_code in (302, 403)
        assert admin.get(url, follow=True).status_code == 200


# The list.


def test_without_channels_the_list_says_so_and_offers_the_form(admin, as_role):
    page = read(admin, LIST)
    assert "No channels yet" in page
    assert f'href="{ADD}"' in page
    assert f'href="{ADD}"' not in read(as_role("viewer"), LIST)


# fmt: off
FAILED, BUSY = {"last_error": "400 blocks", "last_error_at": NOW}, {"failures_in_a_row": 2, "last_error": "503 busy"}
UNAVAILABLE = "This site cannot send to it: see CHANNEL_PLUGINS."
STATES = [
    ({},                                                      "? never used"),
    ({"last_sent_at": NOW},                                   "✓ works"),
    ({**FAILED, "last_sent_at": NOW},                         "✓ works"),
    (FAILED,                                                  "✕ last message failed 400 blocks"),
    ({**BUSY, "not_before": NOW + 40 * SECOND},               "… retries in 40 s 503 busy"),
    ({**BUSY, "not_before": NOW - SECOND},                    "✕ failing 503 busy"),
    ({"not_before": NOW + MINUTE},                            "… hourly limit reached until 2026-05-04 10:01:00 UTC"),
    ({"not_before": NOW - MINUTE, "last_sent_at": NOW},       "✓ works"),
    ({"muted_until": NOW + HOUR},                             "■ muted until 2026-05-04 11:00:00 UTC"),
    ({"muted_until": NOW - HOUR, "last_sent_at": NOW},        "✓ works"),
    ({"enabled": False, "disabled_reason": "404 no_service"}, "✕ disabled 404 no_service"),
    ({"enabled": False, "muted_until": NOW + HOUR},           "■ disabled"),
    ({"kind": "pigeon"},                                      f"✕ unknown kind {UNAVAILABLE}"),
]
# fmt: on


@pytest.mark.parametrize(("values", "expected"), STATES)
def test_the_list_and_the_page_show_the_state(admin, values, expected):
    channel = make_channel(**values)
    kind = "pigeon" if values.get("kind") else "Slack"
    sent = "– 0" if "last_sent_at" not in values else "Last sent 2026-05-04 10:00:00 UTC 0"
    assert f"ops {kind} {expected} {sent} waiting" in words(read(admin, LIST))
    assert f"State {expected} " in words(read(admin, page_of(channel)))


def test_the_list_counts_what_waits(admin):
    channel, other = make_channel(failures_in_a_row=1), make_channel("other")
    for state in ("waiting", "waiting", "sent"):
        add_notification(channel, state=state)
    add_notification(other, state="dropped")
    page = words(read(admin, LIST))
    assert "ops Slack … retries now – 2 waiting" in page
    assert "other Slack ? never used – 0 waiting" in page


def test_the_list_and_the_page_take_the_same_queries_for_any_number_of_rows(admin):
    channel = make_channel(created_by=get_user_model().objects.get())
    change = add_change()
    counts = []
    for number in range(2):
        for index in range(1 + 24 * number):
            add_notification(channel, change=change, event=change.event, state="sent")
            make_channel(f"{number} {index}")
        for url in (LIST, page_of(channel)):
            with CaptureQueriesContext(connection) as captured:
                read(admin, url)
            counts.append(len(captured))
    assert counts[:2] == counts[2:]
    assert counts[0] <= 6
    assert counts[1] <= 9


# Adding.


def test_the_kinds_are_offered_by_title(admin, pager):
    page = read(admin, ADD)
    kinds = re.findall(r'href="\?kind=(\w+)">([^<]+)<', page)
    assert dict(kinds) == {kind: escape(transport.title) for kind, transport in TRANSPORTS.items()}
    assert kinds == sorted(kinds, key=lambda kind: kind[1].lower())


def test_an_unknown_kind_is_reported(admin):
    page = read(admin, f"{ADD}?kind=%3Cscript%3Ehacked", status=400)
    assert "Unknown kind “&lt;script&gt;hacked”." in page
    assert 'href="?kind=slack"' in page


def test_a_channel_is_added_with_its_secret_sealed_and_the_rest_as_options(admin):
    answer = admin.post(ADD_SLACK, {"name": " ops ", "hourly_limit": "12", "setting_url": SECRET}, follow=True)
    channel = Channel.objects.get()
    assert answer.redirect_chain == [(page_of(channel), 302)]
    assert (channel.name, channel.kind, channel.hourly_limit, channel.options) == ("ops", "slack", 12, {})
    assert unseal(channel.sealed) == {"url": SECRET}
    assert channel.created_by.username == channel.changed_by.username == "administrator"
    assert channel.created_at == channel.changed_at == NOW
    assert channel.enabled
    assert audit_log() == [("administrator", "Added: Slack.")]


def test_a_channel_is_added_and_tested_with_one_button(admin, staff_with):
    values = {"name": "ops", "hourly_limit": "12", "setting_url": SECRET, "test": "yes"}
    answer = admin.post(ADD_SLACK, values, follow=True)
    page = answer.content.decode()
    assert answer.redirect_chain == [(page_of(Channel.objects.get()), 302)]
    assert "Test message queued." in page
    assert [each.kind for each in Notification.objects.all()] == ["test"]
    assert audit_log() == [("administrator", "Added: Slack."), ("administrator", "Requested a test message.")]
    untested = staff_with("view_channel", "add_channel", username="other")
    assert "Add channel and send test" in read(admin, ADD_SLACK)
    assert "Add channel and send test" not in read(untested, ADD_SLACK)
    assert untested.post(ADD_SLACK, values | {"name": "other"}).status_code == 302
    assert Notification.objects.count() == 1


def test_the_page_names_the_rules_that_use_the_channel(admin, staff_with):
    channel, warning = make_channel(), "Nothing is sent to this channel except tests: no rule uses it."
    client = staff_with("view_channel", "view_rule", "add_rule", username="other")
    default_rule = f"{reverse('admin:logs_rule_add')}?default=1&channel={channel.pk}"
    page = unescape(read(client, page_of(channel)))
    assert warning in page
    assert default_rule in page
    assert default_rule not in unescape(read(admin, page_of(channel)))
    rule = Rule.objects.create(name="deploys", enabled=False)
    rule.channels.add(channel)
    page = unescape(read(client, page_of(channel)))
    assert "Used by the rules: deploys (disabled)" in words(page)
    assert "Nothing is sent to this channel except tests: its rules are disabled." in page
    assert f'href="{reverse("admin:logs_rule_change", args=[rule.pk])}"' in page
    assert default_rule not in page
    Rule.objects.update(enabled=True)
    assert warning not in read(client, page_of(channel))
    assert "Used by the rules" not in read(admin, page_of(channel))


def test_the_page_links_to_each_notification(staff_with, operator):
    channel = make_channel()
    row = add_notification(channel)
    link = reverse("admin:logs_notification_change", args=[row.pk])
    assert link not in read(operator, page_of(channel))
    assert link in read(staff_with("view_channel", "view_notification"), page_of(channel))


def test_a_kind_has_its_own_fields_and_an_incident_kind_no_limit(admin, pager):
    url = f"{ADD}?kind=pager"
    page = read(admin, url)
    assert "hourly_limit" not in page
    assert '<option value="eu" selected>' in page
    values = {"name": "on call", "setting_name": "blue", "setting_region": "us", "setting_key": "k" * 32}
    assert admin.post(url, values | {"hourly_limit": "5", "setting_other": "x"}).status_code == 302
    channel = Channel.objects.get()
    assert channel.options == {"name": "blue", "region": "us", "note": ""}
    assert unseal(channel.sealed) == {"key": "k" * 32, "old_key": ""}
    assert channel.hourly_limit is None
    page = words(read(admin, page_of(channel)))
    assert "Team blue Region United States Note – Key ends in …kkkk Old key – Added" in page


@pytest.mark.parametrize(
    ("limit", "failures", "is_pausing"), [("60", 0, False), ("", 0, False), ("60", 1, True), ("30", 0, True)]
)
def test_a_new_limit_ends_the_pause_of_a_channel_that_is_not_failing(admin, limit, failures, is_pausing):
    channel = make_channel(not_before=NOW + HOUR, failures_in_a_row=failures)
    assert save(admin, channel, name="new name", hourly_limit=limit).status_code == 302
    channel.refresh_from_db()
    assert (channel.not_before is not None) == is_pausing


# fmt: off
INVALID = [
    ({"name": ""},                             "This field is required."),
    ({"name": "x" * 101},                      "at most 100 characters"),
    ({"name": "taken"},                        "already exists"),
    ({"name": "a\x00b"},                       "Null characters"),
    ({"hourly_limit": "0"},                    "greater than or equal to 1"),
    ({"hourly_limit": "1001"},                 "less than or equal to 1000"),
    ({"hourly_limit": "many"},                 "Enter a whole number."),
    ({"setting_url": ""},                      "This field is required."),
    ({"setting_url": "http://hooks.slack.com/services/" + SECRET_PART}, "Enter the URL of an incoming webhook"),
    ({"setting_url": f"{SECRET}\nx"},          "Enter the URL of an incoming webhook"),
    ({"setting_url": SECRET + "x" * 4_000},    "at most 4000 characters"),
]
# fmt: on


@pytest.mark.parametrize(("values", "expected"), INVALID)
def test_invalid_settings_are_explained_without_repeating_the_secret(admin, values, expected):
    make_channel("taken")
    answer = admin.post(ADD_SLACK, {"name": "ops", "hourly_limit": "", "setting_url": SECRET} | values)
    assert answer.status_code == 200
    page = unescape(answer.content.decode())
    assert expected in page
    assert SECRET_PART not in page
    assert ("Enter again: Webhook URL." in page) == bool(values.get("setting_url", SECRET))
    assert Channel.objects.count() == 1
    assert audit_log() == []


def test_a_value_outside_a_pattern_or_the_choices_is_explained(admin, pager):
    values = {"name": "on call", "setting_name": "blue", "setting_key": "k" * 32}
    answer = admin.post(f"{ADD}?kind=pager", values | {"setting_region": "mars", "setting_note": "No"})
    page = answer.content.decode()
    assert "Only a-z, 100 % of it" in page
    assert "mars is not one of the available choices" in page
    assert not Channel.objects.exists()


# Settings.


def test_a_stored_key_cannot_be_sent_to_another_server(admin):
    values = {"kind": "pagerduty", "options": {"base_url": "https://events.pagerduty.com"}}
    channel = make_channel(**values, sealed=seal({"routing_key": "k" * 32}))
    evil = save(admin, channel, setting_base_url="https://events.pagerduty.com.example.com", setting_routing_key="")
    assert "is not one of the available choices" in evil.content.decode()
    assert Channel.objects.get().options == values["options"]
    eu = save(admin, channel, setting_base_url="https://events.eu.pagerduty.com", setting_routing_key="")
    assert eu.status_code == 302
    assert Channel.objects.get().options == {"base_url": "https://events.eu.pagerduty.com"}


TOKEN = f"123456789:AAE{SECRET_PART}example_token_0123456789"
TELEGRAM = {"setting_token": TOKEN, "setting_chat_id": "-1001234567890", "setting_base_url": "https://api.telegram.org"}


def test_a_telegram_bot_is_added_and_tested_without_showing_its_token(admin, monkeypatch, clock):
    urls = []

    def send(request):
        urls.append(request.url)
        text = json.dumps({"ok": False, "description": f"Not Found: {request.url}"})
        return Response(status=404, headers={}, body=text.encode())

    monkeypatch.setattr("logs.notifications.guard.send", send)
    form = words(read(admin, f"{ADD}?kind=telegram"))
    assert "Bot token From @BotFather in Telegram: /newbot. Chat ID" in form
    wrong = admin.post(f"{ADD}?kind=telegram", TELEGRAM | {"name": "ops", "setting_chat_id": "acme builds"})
    assert "Enter a chat&#x27;s ID (-1001234567890)" in wrong.content.decode()
    added = admin.post(f"{ADD}?kind=telegram", TELEGRAM | {"name": "ops", "hourly_limit": "", "test": "yes"})
    channel = Channel.objects.get()
    assert added.headers["Location"] == page_of(channel)
    assert channel.options == {"chat_id": "-1001234567890", "base_url": "https://api.telegram.org"}
    assert unseal(channel.sealed) == {"token": TOKEN}
    sending.send_waiting(channel.pk, is_stopping=lambda: False)
    assert urls == [f"https://api.telegram.org/bot{TOKEN}/sendMessage"]
    page = words(read(admin, page_of(channel)))
    assert "Bot token ends in …6789 Chat ID -1001234567890 Bot API server https://api.telegram.org" in page
    assert '404 {"ok": false, "description": "Not Found: https://api.telegram.org/bot…/sendMessage"}' in page
    rows = [str(row) for model in (Channel, Notification, NotificationAttempt) for row in model.objects.values()]
    assert SECRET_PART not in page + form + "".join(rows) + str(audit_log())


@pytest.mark.parametrize(
    ("token", "is_saved"), [("", False), ("wrong", False), (TOKEN, True), (TOKEN.replace("AAE", "AAF"), True)]
)
def test_a_stored_token_is_entered_again_before_it_is_sent_to_another_server(admin, token, is_saved):
    options = {"chat_id": "-1001234567890", "base_url": "https://api.telegram.org"}
    channel = make_channel(kind="telegram", options=options, sealed=seal({"token": TOKEN}))
    values = TELEGRAM | {"setting_token": token, "setting_base_url": "https://bots.example.com"}
    answer = save(admin, channel, **values)
    assert (answer.status_code == 302) == is_saved
    if not is_saved:
        page = answer.content.decode()
        assert ("Enter it again, because the server has changed." in page) == (token == "")
        assert ("Enter the token of a bot" in page) == (token == "wrong")
    assert Channel.objects.get().options["base_url"] == (
        "https://bots.example.com" if is_saved else options["base_url"]
    )
    channel.refresh_from_db()
    assert unseal(channel.sealed) == {"token": token if is_saved else TOKEN}


def test_a_stored_token_is_kept_while_the_server_is_the_same(admin):
    options = {"chat_id": "-1001234567890", "base_url": "https://api.telegram.org"}
    channel = make_channel(kind="telegram", options=options, sealed=seal({"token": TOKEN}))
    assert (
        save(admin, channel, **TELEGRAM | {"setting_token": "", "setting_chat_id": "@acme_builds"}).status_code == 302
    )
    channel.refresh_from_db()
    assert channel.options == options | {"chat_id": "@acme_builds"}
    assert unseal(channel.sealed) == {"token": TOKEN}


def test_the_debug_page_shows_no_entered_secret(admin, monkeypatch, settings):
    def fail(form, request):
        raise RuntimeError("a defect")

    settings.DEBUG, admin.raise_request_exception = True, False
    channel = make_channel()
    monkeypatch.setattr("logs.admin.channels.settings._write", fail)
    added = admin.post(ADD_SLACK, {"name": "new", "hourly_limit": "", "setting_url": SECRET})
    for answer in (added, save(admin, channel, setting_url=SECRET)):
        assert answer.status_code == 500
        assert "a defect" in answer.content.decode()
        assert SECRET_PART not in answer.content.decode()


def test_an_empty_secret_field_keeps_the_secret(admin):
    channel = make_channel()
    page = read(admin, url_of("settings", channel))
    assert "Leave empty to keep the stored value, which ends in …fQ2x." in page
    assert save(admin, channel, name="ops 2", hourly_limit="").headers["Location"] == page_of(channel)
    channel.refresh_from_db()
    assert (channel.name, channel.hourly_limit) == ("ops 2", None)
    assert unseal(channel.sealed) == {"url": SECRET}
    assert channel.changed_by.username == "administrator"
    assert audit_log() == [("administrator", "Changed: Name, Messages an hour.")]


def test_an_entered_secret_replaces_the_stored_one(admin):
    channel = make_channel()
    assert save(admin, channel, setting_url=OTHER_SECRET).status_code == 302
    assert unseal(Channel.objects.get().sealed) == {"url": OTHER_SECRET}
    assert audit_log() == [("administrator", "Changed: Webhook URL.")]


def test_saving_without_a_change_records_nothing(admin):
    channel = make_channel()
    before = Channel.objects.values().get()
    assert save(admin, channel).status_code == 302
    assert Channel.objects.values().get() == before
    assert audit_log() == []


def test_saving_keeps_what_the_watch_has_written_meanwhile(admin, monkeypatch):
    channel = make_channel()
    is_valid = channel_form.ChannelForm.is_valid

    def is_valid_later(form):
        Channel.objects.update(claim="watch", last_sent_at=NOW, failures_in_a_row=0, enabled=False)
        return is_valid(form)

    monkeypatch.setattr(channel_form.ChannelForm, "is_valid", is_valid_later)
    save(admin, channel, name="ops 2")
    channel.refresh_from_db()
    assert (channel.name, channel.claim, channel.last_sent_at, channel.enabled) == ("ops 2", "watch", NOW, False)


def test_an_optional_secret_can_be_removed(admin, pager):
    secrets = {"key": "k" * 32, "old_key": "o" * 32}
    channel = make_channel(kind="pager", sealed=seal(secrets), options={"name": "blue", "region": "eu", "note": ""})
    page = read(admin, url_of("settings", channel))
    assert "remove_old_key" in page
    assert "remove_key" not in page
    kept = {"setting_name": "blue", "setting_region": "eu"}
    save(admin, channel, **kept)
    assert unseal(Channel.objects.get().sealed) == secrets
    save(admin, channel, **kept, remove_old_key="on")
    assert unseal(Channel.objects.get().sealed) == {"key": "k" * 32, "old_key": ""}
    assert audit_log() == [("administrator", "Changed: Remove the stored value: Old key.")]


def test_a_failure_of_the_old_settings_ends_with_them(admin):
    failure = {"failures_in_a_row": 9, "failing_since": NOW, "not_before": NOW + HOUR, "disabled_reason": "404"}
    channel = make_channel(enabled=False, **failure)
    save(admin, channel, name="ops 2")
    assert not Channel.objects.get().enabled
    save(admin, channel, setting_url=OTHER_SECRET)
    channel.refresh_from_db()
    assert (channel.enabled, channel.disabled_reason, channel.failures_in_a_row) == (True, "", 0)
    assert (channel.failing_since, channel.not_before) == (None, None)


def test_a_channel_that_a_user_disabled_stays_disabled(admin):
    channel = make_channel(enabled=False)
    save(admin, channel, setting_url=OTHER_SECRET)
    assert not Channel.objects.get().enabled


def test_a_channel_of_an_unknown_kind_has_no_settings(admin):
    channel = make_channel(kind="pigeon")
    assert "Edit settings" not in read(admin, page_of(channel))
    assert admin.get(url_of("settings", channel)).status_code == 302


# Secrets.


def test_no_page_shows_more_of_a_secret_than_its_end(admin, as_role, admin_client):
    channel = make_channel()
    save(admin, channel, setting_url=SECRET[:-4] + "Zy9w", name="ops 2")
    save(admin, channel, setting_url="wrong" + SECRET)
    act(admin, "test", channel)
    urls = [
        LIST,
        page_of(channel),
        url_of("settings", channel),
        reverse("admin:logs_channel_history", args=[channel.pk]),
        reverse("admin:admin_logentry_changelist"),
    ]
    sealed = Channel.objects.get().sealed
    for url in urls:
        page = read(admin_client, url)
        assert SECRET_PART not in page, url
        assert "T024BE7LD" not in page, url
        assert sealed not in page, url
    assert "Zy9w" in read(admin_client, page_of(channel))
    for role in ("viewer", "operator"):
        page = read(as_role(role), page_of(channel))
        assert "Zy9w" not in page
        assert "Webhook URL hidden" in words(page)
    entries = " ".join(LogEntry.objects.values_list("change_message", flat=True))
    assert SECRET_PART not in entries
    assert "Zy9w" not in entries


@pytest.mark.parametrize("length", [1, 4, 15])
def test_of_a_short_secret_nothing_is_shown(admin, pager, length):
    secret = "xyzuvwabcdefghi"[:length]
    options = {"name": "blue", "region": "eu", "note": ""}
    channel = make_channel(kind="pager", sealed=seal({"key": secret, "old_key": ""}), options=options)
    assert "Key stored Old key –" in words(read(admin, page_of(channel)))
    page = read(admin, url_of("settings", channel))
    assert "Leave empty to keep it." in page
    assert "ends in" not in page


def test_a_secret_field_is_no_password_field_and_offers_nothing_to_remember(admin):
    (field,) = re.findall(r'<input[^>]*name="setting_url"[^>]*>', read(admin, ADD_SLACK))
    assert 'type="text"' in field
    assert 'autocomplete="off"' in field
    assert 'class="secret"' in field
    assert "value=" not in field


def test_an_unreadable_secret_is_reported_and_entered_again(admin, operator):
    with override_settings(SECRET_KEY="another key, for example of another site"):
        channel = make_channel()
    expected = "Its secret cannot be read: SECRET_KEY has changed. Enter it again."
    page = words(read(admin, page_of(channel)))
    assert expected in page
    assert "✕ secret unreadable" in page
    assert "Send test message" not in page
    assert expected in read(admin, url_of("settings", channel))
    assert read(operator, page_of(channel))
    Channel.objects.update(enabled=False, disabled_reason="its secret cannot be read: SECRET_KEY has changed")
    assert save(admin, channel, name="ops 2").status_code == 200  # The secret is required.
    assert not Channel.objects.get().enabled
    assert save(admin, channel, setting_url=OTHER_SECRET).status_code == 302
    channel.refresh_from_db()
    assert channel.enabled
    assert unseal(channel.sealed) == {"url": OTHER_SECRET}
    assert expected not in read(admin, page_of(channel))


# Actions.


def test_a_test_is_queued_at_once_even_after_a_failure(operator):
    channel = make_channel(not_before=NOW + HOUR, failures_in_a_row=5)
    page = act(operator, "test", channel)
    assert "Test message queued. Its result appears on this page within seconds." in page
    assert "The test message is waiting to be sent …" in page
    test = Notification.objects.get()
    assert (test.kind, test.state, test.channel) == ("test", "waiting", channel)
    assert Channel.objects.due().exists()
    assert audit_log() == [("operator", "Requested a test message.")]
    assert "data-poll" in read(operator, page_of(channel))


# fmt: off
RESULTS = [
    ({"state": "sent", "last_status": 200},                 "The test message was sent."),
    ({"state": "sent", "last_status": 202},                 "which does not prove that it is shown. Did it arrive?"),
    ({"state": "failed", "last_error": "400 <b>no"},        "The test failed: 400 <b>no"),
    ({"state": "waiting", "last_error": "503 busy"},        "The test failed and will be repeated: 503 busy"),
    ({"state": "expired"},                                  "The test message was not sent."),
]
# fmt: on


@pytest.mark.parametrize(("values", "expected"), RESULTS)
def test_the_page_shows_the_result_of_a_test_in_the_vendors_words(operator, values, expected):
    channel = make_channel()
    add_notification(channel, kind="test", **values)
    page = read(operator, page_of(channel))
    assert expected in words(page)
    assert "400 <b>no" not in page
    assert ("data-poll" in page) == (values["state"] == "waiting")


@pytest.mark.parametrize(("kind", "status"), [("pagerduty", 202), ("zendesk", 200)])
def test_the_result_says_that_a_test_opens_nothing(operator, kind, status):
    channel = make_channel(kind=kind)
    add_notification(channel, kind="test", state="sent", last_status=status)
    page = words(read(operator, page_of(channel)))
    assert "The test succeeded. A test opens no incident or ticket." in page
    assert "Did it arrive?" not in page


def test_an_old_result_is_only_in_the_table(operator, clock):
    channel = make_channel()
    add_notification(channel, kind="test", state="sent")
    clock.shift(16 * MINUTE)
    assert "The test message was sent." not in read(operator, page_of(channel))


def test_the_page_stops_polling_after_two_minutes_or_once_the_channel_is_disabled(operator, clock):
    channel = make_channel()
    add_notification(channel, kind="test", last_error="404 no_service")
    Channel.objects.update(enabled=False)
    page = read(operator, page_of(channel))
    assert "data-poll" not in page
    assert "The test failed: 404 no_service" in page
    Channel.objects.update(enabled=True)
    clock.shift(2 * MINUTE)
    assert "data-poll" not in read(operator, page_of(channel))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"enabled": False}, "Enable the channel before you test it."),
        ({"muted_until": NOW + HOUR}, "Unmute the channel before you test it."),
        ({"kind": "pigeon"}, "This site cannot send to this kind of channel: see CHANNEL_PLUGINS."),
    ],
)
def test_a_channel_that_sends_nothing_is_not_tested(operator, values, expected):
    channel = make_channel(**values)
    assert "Send test message" not in read(operator, page_of(channel))
    assert expected in act(operator, "test", channel)
    assert not Notification.objects.exists()
    assert audit_log() == []


def test_the_page_reports_a_watch_that_is_not_running(operator):
    assert "The watch is not running, so messages wait." in read(operator, page_of(make_channel()))


@pytest.mark.parametrize(
    ("choice", "until"),
    [
        ("1h", NOW + HOUR),
        ("4h", NOW + 4 * HOUR),
        ("morning", datetime(2026, 5, 5, 8, 0, tzinfo=UTC)),
        ("7d", NOW + 7 * DAY),
    ],
)
def test_a_channel_is_muted_and_unmuted(operator, choice, until):
    channel = make_channel()
    page = act(operator, "mute", channel, until=choice)
    assert f"Muted until {until:%Y-%m-%d %H:%M} UTC." in page
    channel.refresh_from_db()
    assert (channel.muted_until, channel.changed_by.username) == (until, "operator")
    assert "Unmute channel" in page
    assert "Unmuted." in act(operator, "unmute", channel)
    assert Channel.objects.get().muted_until is None
    assert audit_log() == [("operator", f"Muted until {until:%Y-%m-%d %H:%M} UTC."), ("operator", "Unmuted.")]


@pytest.mark.parametrize("choice", ["", "forever", "1h "])
def test_a_channel_is_muted_only_for_an_offered_time(operator, choice):
    channel = make_channel()
    assert "Select how long to mute the channel." in act(operator, "mute", channel, until=choice)
    assert Channel.objects.get().muted_until is None
    assert audit_log() == []


def test_a_channel_is_disabled_and_enabled(admin):
    channel = make_channel(failures_in_a_row=3, failing_since=NOW, not_before=NOW + HOUR)
    page = act(admin, "disable", channel)
    assert "■ disabled" in page
    assert "Enable channel" in page
    channel.refresh_from_db()
    assert (channel.enabled, channel.changed_by.username) == (False, "administrator")
    Channel.objects.update(disabled_reason="404 no_service")
    act(admin, "enable", channel)
    channel.refresh_from_db()
    assert (channel.enabled, channel.disabled_reason, channel.failures_in_a_row) == (True, "", 0)
    assert (channel.failing_since, channel.not_before) == (None, None)
    assert audit_log() == [("administrator", "Disabled."), ("administrator", "Enabled.")]


# Notifications.


@pytest.mark.parametrize(
    ("action", "enabled", "message"),
    [("disable", False, "The channel is disabled already."), ("enable", True, "The channel is enabled already.")],
)
def test_a_repeated_request_changes_nothing(admin, action, enabled, message):
    reason = "" if enabled else "404 no_service"
    channel = make_channel(enabled=enabled, disabled_reason=reason, failures_in_a_row=3)
    assert message in act(admin, action, channel)
    stored = Channel.objects.get()
    assert (stored.enabled, stored.disabled_reason, stored.failures_in_a_row) == (enabled, reason, 3)
    assert (stored.changed_by, audit_log()) == (None, [])


def test_the_page_lists_the_newest_notifications(staff_with):
    client = staff_with("view_channel", "view_workflowevent")
    channel, change = make_channel(), add_change()
    add_notification(channel, kind="digest", content={"headline": "37 changes: 31 broke"}, state="sent")
    add_notification(
        channel, change=change, event=change.event, state="failed", attempts_made=1, last_error="400 invalid_blocks"
    )
    page = read(client, page_of(channel))
    row = "✕ not sent broke 2026-05-04 10:00:00 UTC orchard · build on main 1 attempts 400 invalid_blocks"
    assert f"{row} ✓ sent digest 2026-05-04 10:00:00 UTC 37 changes: 31 broke 0 attempts –" in words(page)
    assert f'href="{reverse("admin:logs_workflowevent_change", args=[change.event_id])}"' in page


def test_the_link_to_the_event_needs_permission_and_an_event(staff_with, operator):
    channel, change = make_channel(), add_change()
    add_notification(channel, change=change, event=change.event)
    link = reverse("admin:logs_workflowevent_change", args=[change.event_id])
    assert link not in read(operator, page_of(channel))
    change.event.delete()
    page = read(staff_with("view_channel", "view_workflowevent"), page_of(channel))
    assert link not in page
    assert "orchard · build on main" in page
    StateChange.objects.all().delete()
    assert "broke 2026-05-04 10:00:00 UTC – 0 attempts" in words(read(operator, page_of(channel)))


def test_only_twenty_notifications_are_shown(operator):
    channel = make_channel()
    for number in range(21):
        add_notification(channel, content={"headline": f"number {number}."})
    page = read(operator, page_of(channel))
    assert "number 0." not in page
    assert page.count("number ") == 20
    assert "Only the newest are shown." in page


@pytest.mark.parametrize(
    ("attempt", "state", "expected"),
    [
        ({"started_at": NOW - HOUR}, "sent", "may have been sent twice"),
        ({"started_at": NOW - HOUR}, "waiting", "may have been sent"),
        ({"started_at": NOW - 59 * SECOND}, "waiting", ""),  # In flight.
        ({"started_at": NOW - HOUR, "ended_at": NOW}, "sent", ""),
    ],
)
def test_an_attempt_without_an_end_is_shown(operator, attempt, state, expected):
    channel = make_channel()
    notification = add_notification(channel, state=state, attempts_made=2)
    NotificationAttempt.objects.create(notification=notification, **attempt)
    found = re.findall(r'<span class="unsigned">([^<]+)<', read(operator, page_of(channel)))
    assert found == ([expected] if expected else [])


def test_an_attempt_is_in_flight_as_long_as_a_lease(operator, monkeypatch):
    monkeypatch.setattr(sending, "LEASE", 2 * HOUR)
    channel = make_channel()
    NotificationAttempt.objects.create(notification=add_notification(channel), started_at=NOW - HOUR)
    assert "may have been sent" not in read(operator, page_of(channel))


def test_hostile_names_are_escaped(admin, admin_client):
    error = f"500 {MARKUP}"
    channel = make_channel(f"a {MARKUP}", last_error=error, last_error_at=NOW)
    change = add_change(project=MARKUP, workflow=MARKUP, branch=MARKUP)
    add_notification(channel, change=change, event=change.event, last_error=error)
    add_notification(channel, kind="digest", content={"headline": MARKUP})
    save(admin, channel, name=f"b {MARKUP}")
    act(admin, "disable", channel)
    urls = [
        LIST,
        page_of(channel),
        url_of("settings", channel),
        reverse("admin:logs_channel_history", args=[channel.pk]),
        reverse("admin:admin_logentry_changelist"),
    ]
    for url in urls:
        page = read(admin_client, url)
        assert "<script>hacked" not in page, url
        assert "&lt;script&gt;hacked" in page, url
