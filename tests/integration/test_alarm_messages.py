"""What messages about alarms say, and which channels get them."""

import json
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model

from logs import conf
from logs.models import Alarm, Channel, Notification, Source, WatchTask
from logs.models.notifications import LIFETIME
from logs.notifications import outbox, sending
from logs.notifications.channels.base import Message
from logs.notifications.channels.mail import email_of
from logs.notifications.composing import compose
from logs.notifications.guard import Response
from logs.notifications.sealing import seal
from tests.integration.alarm_log import (
    OLD,
    SECRETS,
    Checks,
    add_channel,
    add_rule,
    add_source,
    add_token,
    hear,
    messages,
    note_secret,
    now,
)
from tests.integration.standings_log import DAY, HOUR, MINUTE, SECOND, refuse_run

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def site(settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = SECRETS
    settings.SITE_URL = "https://hooks.example.com"


@pytest.fixture
def check(clock):
    return Checks(clock)


@pytest.fixture
def ops():
    channel = add_channel()
    add_rule(channel)
    return channel


def content(kind="alarm"):
    return compose(Notification.objects.filter(kind=kind).latest("pk"))


def sent():
    Notification.objects.waiting().update(state="sent")


# Rules.


@pytest.mark.parametrize(
    ("projects", "is_reported"),
    [
        ("", True),
        ("github/acme/*", True),
        ("github/other/*\ngithub/acme/garden", True),
        ("github/acme/*\n!github/acme/garden", False),
        ("!github/acme/garden", False),
        ("!github/acme/shop", True),
        ("garden", True),
        ("github/ACME/*", False),
        ("github/other/*", False),
    ],
)
def test_a_rules_projects_select_sources(check, projects, is_reported):
    add_rule(add_channel(), projects=projects)
    add_source(state="silent")
    check()
    assert Alarm.objects.count() == 1
    assert messages() == [("alarm", "ops")] * is_reported


def test_a_silent_webhook_is_reported_if_a_rule_selects_one_of_its_projects(check):
    add_rule(add_channel(), projects="github/acme/p3")
    add_rule(add_channel("chat"), name="other", projects="github/acme/p30")
    for number in range(5):
        add_source(f"github/acme/p{number}", state="silent")
    check()
    assert messages() == [("alarm", "ops")]


def test_projects_do_not_restrict_other_kinds(check):
    add_rule(add_channel(), projects="github/acme/garden")
    add_channel("chat", enabled=False, disabled_reason="404 no_service")
    check()
    assert messages() == [("alarm", "ops")]


@pytest.mark.parametrize(
    "columns", [{"enabled": False}, {"kinds": ["token"]}, {"kinds": []}, {"subject": "runs"}], ids=str
)
def test_a_rule_without_the_kind_of_the_alarm_reports_nothing(check, columns):
    rule = add_rule(add_channel(), **{name: value for name, value in columns.items() if name == "kinds"})
    for name in columns.keys() & {"enabled", "subject"}:
        setattr(rule, name, columns[name])
    rule.save()
    add_source(state="silent")
    check()
    assert (Alarm.objects.count(), messages()) == (1, [])


def test_two_rules_for_one_channel_send_one_message(check, ops):
    add_rule(ops, name="other")
    add_source(state="silent")
    check()
    assert messages() == [("alarm", "ops")]


def test_a_rule_that_is_added_later_does_not_report_an_open_alarm(check, ops):
    add_source(state="silent")
    check()
    add_rule(add_channel("chat"), name="late")
    check()
    assert messages() == [("alarm", "ops")]


def test_a_disabled_channel_and_one_of_an_unknown_kind_get_nothing(check):
    add_rule(add_channel("off", enabled=False), add_channel("pigeon", kind="pigeon"))
    add_source(state="silent")
    assert not check()
    assert messages() == []


# Ends.


def test_the_end_goes_only_to_channels_that_got_the_beginning(check):
    channels = {name: add_channel(name) for name in ("sent", "waiting", "failed", "expired", "dropped", "late")}
    rule = add_rule(*(channel for name, channel in channels.items() if name != "late"))
    source = add_source(state="silent")
    check()
    for name, channel in channels.items():
        Notification.objects.filter(channel=channel).update(state=name)
    rule.channels.add(channels["late"])
    hear(source)
    check()
    assert sorted(name for kind, name in messages() if kind == "alarm_over") == ["sent"]


def test_the_end_is_sent_without_a_rule(check, ops):
    source = add_source(state="silent")
    check()
    sent()
    ops.rules.all().delete()
    hear(source)
    check()
    assert messages() == [("alarm", "ops"), ("alarm_over", "ops")]


@pytest.mark.parametrize(("kind", "is_sent"), [("slack", False), ("pagerduty", True)])
def test_a_disabled_channel_gets_the_ends_of_its_incidents(check, kind, is_sent):
    channel = add_channel(kind=kind)
    add_rule(channel, kinds=["silence"])
    source = add_source(state="silent")
    check()
    sent()
    channel.disable()
    hear(source)
    assert check() is is_sent
    assert messages() == [("alarm", "ops")] + [("alarm_over", "ops")] * is_sent


@pytest.mark.parametrize(("kind", "lifetime"), [("mail", LIFETIME), ("pagerduty", outbox.END_LIFETIME)])
def test_the_end_of_an_incident_waits_for_a_year(check, kind, lifetime):
    add_rule(add_channel(kind=kind))
    source = add_source(state="silent")
    check()
    sent()
    hear(source)
    check()
    assert Notification.objects.get(kind="alarm_over").expires_at == now() + lifetime


# What is sent.


@pytest.fixture
def vendor(monkeypatch):
    """Accept all requests, and return their documents."""
    requests = []

    def send(request):
        requests.append(json.loads(request.body))
        return Response(status=202, headers={}, body=b"")

    monkeypatch.setattr("logs.notifications.guard.send", send)
    return requests


def send_due():
    for key in Channel.objects.due().values_list("pk", flat=True):
        sending.send_waiting(key, is_stopping=lambda: False)


@pytest.fixture
def pager():
    secrets = {"routing_key": "0" * 32}
    channel = Channel.objects.create(name="on-call", kind="pagerduty", sealed=seal(secrets), hourly_limit=None)
    add_rule(channel)
    return channel


def test_pagerduty_resolves_what_an_alarm_triggered(check, vendor, pager):
    source = add_source(state="silent")
    check()
    send_due()
    check.skip(2 * HOUR)
    hear(source)
    check()
    send_due()
    begin, end = vendor
    assert (begin["event_action"], end["event_action"]) == ("trigger", "resolve")
    assert begin["dedup_key"] == end["dedup_key"]
    assert begin["payload"]["summary"] == "acme/garden has been silent since Mon 2026-05-04 08:30 UTC"
    assert begin["payload"]["class"] == "log"


def test_an_alarm_that_was_over_before_it_was_reported_is_dropped_with_its_end(check, vendor, pager):
    pager.mute(now() + 30 * MINUTE)
    sources = [add_source(f"github/acme/p{number}") for number in range(2)]
    for _ in range(2):
        Source.objects.filter(pk=sources[0].pk).update(state="silent")
        check()
        hear(sources[0])
        check()
    check.skip(HOUR)
    send_due()
    assert vendor == []
    assert set(Notification.objects.values_list("state", flat=True)) == {"dropped"}


def test_one_recovery_message_is_sent(check, vendor, pager):
    source = add_source(state="silent")
    check()
    send_due()
    hear(source)
    for _ in range(5):
        check()
        send_due()
    assert [event["event_action"] for event in vendor] == ["trigger", "resolve"]


def test_the_messages_about_an_alarm_are_one_conversation_by_mail(check, settings):
    channel = add_channel(kind="mail")
    add_rule(channel)
    source = add_source(state="silent")
    check()
    sent()
    hear(source)
    check()
    emails = [
        email_of(Message(id=each.pk, thread=each.thread, content=compose(each), settings={"to": "ada@example.com"}))
        for each in Notification.objects.order_by("pk")
    ]
    assert [email.subject for email in emails] == [
        "[webhooklog] acme/garden has been silent since Mon 2026-05-04 08:30 UTC",
        "[webhooklog] acme/garden delivers again, after 2 h",
    ]
    assert len({email.extra_headers["References"] for email in emails}) == 1
    assert len({email.extra_headers["Message-ID"] for email in emails}) == 2


# What they say.


def open_silence(clock, check):
    source = add_source(state="silent")
    yield
    check.skip(14 * MINUTE)
    hear(source)
    yield


def open_silent_webhook(clock, check):
    sources = [add_source(f"circleci/a1/b{number}", state="silent", project=f"p{number}") for number in range(17)]
    yield
    check.skip(14 * MINUTE)
    hear(sources[3])
    yield


def remove_source(clock, check):
    source = add_source(state="silent")
    yield
    source.delete()
    yield


def open_refusals(clock, check):
    for number in range(5):
        refuse_run(number, "success", webhook_slug="payments")
    yield
    check(minutes=29)
    clock.shift(MINUTE)
    yield


def disable_channel(clock, check):
    channel = add_channel("chat", enabled=False, disabled_reason="404 no_service")
    yield
    check.skip(HOUR)
    channel.enable()
    yield


def fail_task(clock, check):
    WatchTask.objects.create(name="rollup", last_error="ValueError: no", claimed_until=now() + DAY)
    clock.shift(-11 * MINUTE)
    check(minutes=10)
    clock.shift(MINUTE)
    yield
    check.skip(HOUR)
    WatchTask.objects.update(last_error="")
    yield


def expire_token(clock, check):
    add_token(get_user_model().objects.create_user("ada"), expires=5 * DAY)
    yield
    check.skip(5 * DAY)
    yield


def revoke_token(clock, check):
    token = add_token(get_user_model().objects.create_user("ada"), expires=5 * DAY)
    yield
    token.delete()
    yield


def use_old_secret(clock, check):
    note_secret(seen=8 * DAY)
    add_source(secret_fingerprint=conf.fingerprint(OLD))
    yield
    Source.objects.update(secret_fingerprint="")
    yield


SOURCES = "https://hooks.example.com/admin/logs/source/"
SITE = "https://hooks.example.com/admin/"


@pytest.mark.usefixtures("ops")
@pytest.mark.parametrize(
    ("problem", "headline", "end", "fact"),
    [
        (
            open_silence,
            "acme/garden has been silent since Mon 2026-05-04 08:30 UTC",
            "acme/garden delivers again, after 2 h 14 min",
            ("Projects", "github/acme/garden"),
        ),
        (
            open_silent_webhook,
            "All 17 projects of payments have been silent since Mon 2026-05-04 08:30 UTC",
            "payments delivers again, after 2 h 14 min",
            ("Projects", "p0, p1, p10, p11, p12, p13, p14, p15, p16, p2, p3, p4, p5, p6, p7, and 2 more"),
        ),
        (
            remove_source,
            "acme/garden has been silent since Mon 2026-05-04 08:30 UTC",
            "acme/garden is no longer expected to deliver",
            ("Webhook", "payments"),
        ),
        (
            open_refusals,
            "5 deliveries to …/payments were refused in 10 minutes",
            "The burst of refused deliveries to …/payments is over",
            ("Reason", "They look like CircleCI's, but no configured secret matches their signatures."),
        ),
        (
            disable_channel,
            "The channel chat is disabled",
            "The channel chat is enabled again, after 1 h",
            ("Reason", "404 no_service"),
        ),
        (
            fail_task,
            "The watch's task rollup is failing",
            "The watch's task rollup works again, after 1 h 10 min",
            ("Error", "ValueError: no"),
        ),
        (
            expire_token,
            "The API token grafana expires on Sat 2026-05-09 10:30 UTC",
            "The API token grafana has expired",
            ("User", "ada"),
        ),
        (
            revoke_token,
            "The API token grafana expires on Sat 2026-05-09 10:30 UTC",
            "The API token grafana was replaced or revoked, or is no longer used",
            ("User", "ada"),
        ),
        (
            use_old_secret,
            "Deliveries of payments are still signed with an old secret",
            "The old secret of payments is no longer in use, or was removed",
            ("Projects", "acme/garden"),
        ),
    ],
)
def test_a_message_says_what_is_wrong_and_what_to_do(clock, check, problem, headline, end, fact):
    steps = problem(clock, check)
    next(steps)
    check()
    begin = content()
    assert (begin.headline, begin.tone) == (headline, "bad")
    assert fact in begin.facts
    assert "What to do" in dict(begin.facts)
    assert all(value for _, value in begin.facts)
    assert all(url.startswith(SITE) for _, url in begin.links)
    sent()
    next(steps)
    check()
    over = content("alarm_over")
    assert (over.headline, over.tone) == (end, "bad" if "has expired" in end else "good")
    assert "What to do" not in dict(over.facts)


@pytest.mark.usefixtures("ops")
@pytest.mark.parametrize(
    ("slug", "headline"),
    [
        ("", "5 deliveries to the URL that all webhooks share were refused in 10 minutes"),
        ("invented", "5 deliveries to URLs that belong to no webhook were refused in 10 minutes"),
    ],
)
def test_refusals_at_other_urls_are_named(check, slug, headline):
    for number in range(5):
        refuse_run(number, "success", webhook_slug=slug)
    check()
    assert content().headline == headline
    assert content().links == [("Open in webhooklog", f"{SITE}logs/delivery/?outcome=unverified")]


@pytest.mark.usefixtures("ops")
@pytest.mark.parametrize(
    ("away", "headline"),
    [
        (28 * MINUTE, "The watch was stopped from Mon 2026-05-04 10:30 to 10:58 UTC"),
        (14 * HOUR, "The watch was stopped from Mon 2026-05-04 10:30 to Tue 2026-05-05 00:30 UTC"),
    ],
)
def test_a_stopped_watch_is_one_message(check, clock, away, headline):
    check()
    clock.shift(away)
    check()
    assert messages() == [("alarm_over", "ops")]
    assert (content("alarm_over").headline, content("alarm_over").tone) == (headline, "good")
    assert dict(content("alarm_over").facts)["Duration"] == ("28 min" if away < HOUR else "14 h")


def test_a_stopped_watch_resolves_no_incident(check, clock):
    add_rule(add_channel(), add_channel("pager", kind="pagerduty"), kinds=["watch"])
    check()
    clock.shift(HOUR)
    check()
    assert messages() == [("alarm_over", "ops")]


@pytest.mark.usefixtures("ops")
def test_programs_get_the_kind_the_times_and_the_detail(check):
    source = add_source(state="silent")
    check()
    sent()
    check.skip(HOUR)
    hear(source)
    check()
    detail = {
        "webhook": "payments",
        "project_slug": "github/acme/garden",
        "project": "acme/garden",
        "last_delivery_at": "2026-05-04T08:30:00+00:00",
    }
    begin = {"id": Alarm.objects.get().pk, "alarm": "silence", "opened_at": "2026-05-04T10:30:00Z", "closed_at": None}
    assert content().data == begin | {"detail": detail}
    assert content("alarm_over").data == begin | {"closed_at": "2026-05-04T11:30:00Z", "detail": detail}
    assert content().happened_at == "2026-05-04T10:30:00+00:00"
    assert content("alarm_over").happened_at == "2026-05-04T11:30:00+00:00"


@pytest.mark.usefixtures("ops")
def test_a_program_gets_a_bounded_number_of_names_of_a_webhook(check):
    for number in range(500):
        add_source(f"github/acme/{'p' * 100}{number}", state="silent")
    check()
    assert len(json.dumps(content().data)) < 3_000


@pytest.mark.usefixtures("ops")
@pytest.mark.parametrize("kind", ["alarm", "alarm_over"])
def test_a_message_about_an_alarm_that_was_deleted_says_so(kind, clock):
    headline = "An alarm closed" if kind == "alarm_over" else "An alarm opened"
    found = compose(Notification(kind=kind, alarm_id=1))
    assert found.headline == f"{headline}; retention has removed the details"


def test_the_time_between_two_checks_is_not_a_stop(check, clock):
    check()
    clock.shift(timedelta(minutes=3))
    check()
    assert not Alarm.objects.exists()
    clock.shift(timedelta(minutes=3) + SECOND)
    check()
    assert Alarm.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_an_alarm_that_outlives_retention_is_ended(check, ops, clock, settings):
    settings.NOTIFICATION_RETENTION_DAYS = 7
    source = add_source(state="silent")
    check()
    sent()
    clock.shift(timedelta(days=9))
    assert sum(outbox.delete_old()) == 0
    hear(source)
    check()
    about_silence = Notification.objects.filter(alarm__kind="silence").order_by("pk")
    assert list(about_silence.values_list("kind", flat=True)) == ["alarm", "alarm_over"]


def test_an_alarm_that_is_over_is_dropped_even_if_its_channel_is_disabled(check, ops):
    source = add_source(state="silent")
    check()
    Channel.objects.update(enabled=False, disabled_reason="")
    hear(source)
    check()
    assert list(Notification.objects.values_list("kind", "state")) == [("alarm", "dropped")]
