"""Each problem of the log opens one alarm, which is closed once when the problem is over."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.db import IntegrityError, OperationalError, connection, transaction
from django.template.loader import render_to_string
from django.test.utils import CaptureQueriesContext

from logs import conf
from logs.exceptions import SignatureRefused
from logs.ingest.pipeline import Arrival, keep_refused
from logs.models import Alarm, ApiToken, Channel, Delivery, Notification, Source, WatchTask
from logs.notifications import alarms
from logs.notifications.alarms import checking
from logs.watch import leases, loop, tasks
from logs.watch.leases import LeaseLost
from logs.watch.loop import Job
from tests.integration.alarm_log import (
    NEW,
    OLD,
    SECRETS,
    Checks,
    FakeLease,
    add_channel,
    add_rule,
    add_source,
    add_token,
    hear,
    messages,
    note_secret,
    now,
    stored,
)
from tests.integration.standings_log import DAY, HOUR, MINUTE, SECOND, refuse_run

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def ops(settings):
    """Report all alarms to one channel."""
    settings.CIRCLECI_WEBHOOK_SECRETS = SECRETS
    channel = add_channel()
    add_rule(channel)
    return channel


@pytest.fixture
def check(clock):
    return Checks(clock)


@pytest.fixture
def user():
    return get_user_model().objects.create_user("ada")


def refuse(count=5, *, slug="payments", apart=10 * SECOND, clock=None):
    for number in range(count):
        refuse_run(number, "success", webhook_slug=slug)
        if clock:
            clock.shift(apart)


# Problems, each with its end.


def silence(clock, check, user):
    source = add_source(state="silent")
    yield
    check.skip(2 * HOUR)
    hear(source)


def refusals(clock, check, user):
    refuse(clock=clock)
    yield
    check(minutes=29)
    clock.shift(MINUTE)


def disabled_channel(clock, check, user):
    channel = add_channel("chat", enabled=False, disabled_reason="404 no_service")
    yield
    channel.enable()


def failing_task(clock, check, user):
    clock.shift(-11 * MINUTE)
    task = WatchTask.objects.create(name="follow", last_error="ValueError: no", claimed_until=now() + DAY)
    check(minutes=10)
    assert not Alarm.objects.exists()
    clock.shift(MINUTE)
    yield
    WatchTask.objects.filter(pk=task.pk).update(last_error="", last_finished_at=now())


def expiring_token(clock, check, user):
    token = add_token(user, expires=5 * DAY)
    yield
    token.delete()


def old_secret(clock, check, user):
    note_secret(seen=8 * DAY)
    source = add_source(secret_fingerprint=conf.fingerprint(OLD))
    yield
    Source.objects.filter(pk=source.pk).update(secret_fingerprint=conf.fingerprint(NEW))


PROBLEMS = {
    "silence": silence,
    "refusals": refusals,
    "channel": disabled_channel,
    "watch": failing_task,
    "token": expiring_token,
    "secret": old_secret,
}


@pytest.mark.parametrize("kind", PROBLEMS)
def test_each_problem_opens_one_alarm_and_closes_it_once(clock, check, user, kind):
    problem = PROBLEMS[kind](clock, check, user)
    next(problem)
    assert check()
    assert (stored(), messages()) == ([(kind, True)], [("alarm", "ops")])
    assert not check()
    other = FakeLease(check.lease.cursor)
    assert not alarms.check(other)
    Notification.objects.update(state="sent")
    next(problem, None)
    assert check()
    assert not check()
    other.cursor = check.lease.cursor
    assert not alarms.check(other)
    assert (stored(), messages()) == ([(kind, False)], [("alarm", "ops"), ("alarm_over", "ops")])
    assert len(set(Notification.objects.values_list("thread", flat=True))) == 1


@pytest.mark.parametrize("kind", PROBLEMS)
def test_two_watches_that_see_a_problem_at_the_same_time_open_one_alarm(clock, check, user, monkeypatch, kind):
    next(PROBLEMS[kind](clock, check, user))
    other = FakeLease(check.lease.cursor)
    with monkeypatch.context() as earlier:
        earlier.setattr(checking, "_open_alarms", lambda: checking.defaultdict(dict))
        for lease in (check.lease, other):
            alarms.check(lease)
    assert (stored(), messages()) == ([(kind, True)], [("alarm", "ops")])


def test_the_database_holds_one_open_alarm_about_a_problem(clock):
    Alarm.objects.create(kind="token", key="1", opened_at=now())
    with pytest.raises(IntegrityError), transaction.atomic():
        Alarm.objects.create(kind="token", key="1", opened_at=now())


def test_a_problem_that_returns_opens_another_alarm_in_the_same_thread(check):
    source = add_source(state="silent")
    for _ in range(2):
        check()
        Notification.objects.update(state="sent")
        hear(source)
        check()
        Source.objects.update(state="silent")
    assert stored() == [("silence", False)] * 2
    assert len(set(Notification.objects.values_list("thread", flat=True))) == 1


def test_a_check_without_problems_is_six_reads(check, settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = {"payments": NEW}
    check()
    with CaptureQueriesContext(connection) as captured:
        check()
    assert len(captured) == 6, [
        query["sql"] for query in captured
    ]  # The secrets in use are read during rotations only.
    assert not [query["sql"] for query in captured if not query["sql"].startswith("SELECT")]


def test_a_check_takes_as_many_statements_for_twenty_problems_as_for_one(check):
    counts = []
    add_source("github/acme/up")
    for numbers in (range(1), range(1, 20)):
        for number in numbers:
            add_source(f"github/acme/p{number}", state="silent")
        with CaptureQueriesContext(connection) as captured:
            check()
        counts.append(len(captured))
    assert counts[1] <= counts[0]
    assert len(messages()) == 20


def test_a_check_whose_transaction_fails_is_repeated(check, monkeypatch):
    add_source(state="silent")
    with monkeypatch.context() as broken:
        broken.setattr(checking, "notify", _fail)
        with pytest.raises(OperationalError):
            check()
    check()
    assert (stored(), messages()) == ([("silence", True)], [("alarm", "ops")])


def _fail(**options):
    raise OperationalError("the disk is full")


def test_a_process_that_lost_its_lease_writes_nothing(check):
    add_source(state="silent")
    lease = FakeLease()

    def renew():
        raise LeaseLost

    lease.renew = renew
    with pytest.raises(LeaseLost):
        alarms.check(lease)
    assert stored() == []
    assert lease.cursor == {}


# Silence.


def test_one_silent_project_among_twenty_of_a_webhook_is_reported_by_name(check):
    sources = [add_source(f"github/acme/p{number}") for number in range(20)]
    check()
    Source.objects.filter(pk=sources[7].pk).update(state="silent")
    check()
    assert [alarm.detail["project"] for alarm in Alarm.objects.all()] == ["acme/p7"]
    assert [shown.headline for shown in alarms.open_alarms()] == [
        "acme/p7 has been silent since Mon 2026-05-04 08:30 UTC"
    ]


@pytest.mark.parametrize("state", ["new", "up", "late"])
def test_other_states_are_no_problem(check, state):
    add_source(state=state)
    check()
    assert stored() == []


def test_a_webhook_of_which_all_projects_fall_silent_is_one_alarm(check, clock):
    sources = [add_source(f"github/acme/p{number}", state="silent") for number in range(20)]
    add_source("github/acme/young", state="new")
    add_source("", state="new")
    check()
    [alarm] = Alarm.objects.all()
    assert (alarm.key, alarm.detail["count"]) == ("webhook:payments", 20)
    assert len(alarm.detail["projects"]) == 15
    check.skip(HOUR)
    hear(sources[0])
    check()
    assert stored() == [("silence", False)]
    check(minutes=50)
    hear(*sources[2:])
    check(minutes=9)
    assert stored() == [("silence", False)], "the others have an hour to deliver"
    check(minutes=2)
    assert [alarm.detail["project"] for alarm in Alarm.objects.open()] == ["acme/p1"]


def test_a_webhook_with_one_project_is_reported_by_the_project(check):
    add_source(state="silent")
    add_source("", state="new")
    check()
    assert Alarm.objects.get().detail["project"] == "acme/garden"


def test_projects_that_fall_silent_one_after_the_other_have_an_alarm_each(check):
    first, second = add_source("github/acme/a", state="silent"), add_source("github/acme/b")
    check()
    Source.objects.filter(pk=second.pk).update(state="silent")
    check()
    assert stored() == [("silence", True)] * 2
    hear(first, second)
    check()
    assert stored() == [("silence", False)] * 2


def test_projects_of_different_webhooks_have_alarms_of_their_own(check):
    for webhook in SECRETS:
        add_source(state="silent", webhook=webhook)
    check()
    assert stored() == [("silence", True)] * 2


@pytest.mark.parametrize("muted", ["github/acme/garden", ""])
def test_a_muted_holiday_stays_quiet(check, clock, muted):
    source = add_source()
    add_source("github/acme/other")
    if muted:
        Source.objects.filter(pk=source.pk).update(muted_until=now() + 3 * DAY)
    else:
        add_source("", state="new", muted_until=now() + 3 * DAY)
    check()
    Source.objects.filter(pk=source.pk).update(state="silent")
    for _ in range(2 * 24):
        check.skip(HOUR)
        assert not check()
    hear(source)
    check.skip(2 * DAY)
    assert not check()
    assert (stored(), messages()) == ([], [])


def test_an_alarm_opens_after_the_mute_if_the_source_is_still_silent(check, clock):
    add_source(state="silent", muted_until=now() + HOUR)
    check()
    assert stored() == []
    check(minutes=61)
    assert stored() == [("silence", True)]


@pytest.mark.parametrize("count", [1, 3])
def test_a_mute_does_not_end_an_open_alarm(check, count):
    sources = [add_source(f"github/acme/p{number}", state="silent") for number in range(count)]
    check()
    Source.objects.update(muted_until=now() + DAY)
    check()
    assert stored() == [("silence", True)]
    hear(*sources)
    check()
    assert stored() == [("silence", False)]


def test_a_webhook_that_is_no_longer_configured_has_no_alarm(check, settings):
    add_source(state="silent")
    check()
    settings.CIRCLECI_WEBHOOK_SECRETS = {"lab": SECRETS["lab"]}
    check()
    assert stored() == [("silence", False)]


# Refusals.


def test_five_forged_deliveries_in_a_minute_are_one_alarm_that_ends_after_half_an_hour(check, clock):
    refuse(5, apart=12 * SECOND, clock=clock)
    assert {(row.outcome, row.plausible) for row in Delivery.objects.all()} == {("unverified", True)}
    check()
    [alarm] = Alarm.objects.all()
    assert (alarm.key, alarm.detail["count"]) == ("payments", 5)
    check(minutes=29)
    assert stored() == [("refusals", True)]
    check(minutes=1)
    assert stored() == [("refusals", False)]


def test_another_refusal_prolongs_an_alarm(check, clock):
    refuse()
    check()
    check(minutes=20)
    refuse(1)
    check(minutes=29)
    assert stored() == [("refusals", True)]
    check(minutes=1)
    assert stored() == [("refusals", False)]


@pytest.mark.parametrize(
    "noise",
    [
        lambda _: refuse(4),
        lambda clock: refuse(20, apart=3 * MINUTE, clock=clock),
        lambda _: [refuse(4, slug=slug) for slug in ("payments", "lab", "")],
        lambda _: _scan(50),
    ],
    ids=["four", "spread out", "at several URLs", "implausible"],
)
def test_background_noise_is_no_alarm(check, clock, noise):
    noise(clock)
    assert Delivery.objects.exists()
    assert not check()
    assert stored() == []


def _scan(count):
    for _ in range(count):
        arrival = Arrival(received_at=now(), webhook_slug="payments", headers={}, client_address=None, body=b"a=b")
        keep_refused(arrival, SignatureRefused("no signature"))


def test_urls_of_no_webhook_count_together(check):
    for number in range(5):
        refuse(1, slug=f"invented-{number}")
    check()
    assert [(alarm.key, alarm.detail["address"]) for alarm in Alarm.objects.all()] == [("*", None)]


def test_deliveries_that_a_replay_has_repaired_do_not_count(check):
    refuse()
    Delivery.objects.update(outcome="logged", verified=True)
    assert not check()


# Channels.


def test_a_channel_that_a_user_disables_is_no_problem(check):
    add_channel("chat").disable()
    check()
    assert stored() == []


def test_a_disabled_channel_is_reported_to_the_others(check, ops):
    chat = add_channel("chat")
    add_rule(chat, ops, name="both")
    Channel.objects.filter(pk=chat.pk).update(enabled=False, disabled_reason="404 no_service")
    check()
    Notification.objects.update(state="sent")
    Channel.objects.filter(pk=chat.pk).update(enabled=True, disabled_reason="")
    check()
    assert messages() == [("alarm", "ops"), ("alarm_over", "ops")]


# The watch.


def test_a_task_that_works_in_between_has_no_alarm(check):
    WatchTask.objects.create(name="follow", last_error="ValueError: no", claimed_until=now() + DAY)
    for _ in range(4):
        check(minutes=6)
        WatchTask.objects.update(last_finished_at=now())
    assert stored() == []


def test_a_task_that_is_turned_off_has_no_alarm(check):
    WatchTask.objects.create(name="prune", last_error="ValueError: no", claimed_until=now() - HOUR)
    check(minutes=20)
    assert stored() == []


def test_a_restart_does_not_forget_since_when_a_task_fails(check):
    WatchTask.objects.create(name="follow", last_error="ValueError: no", claimed_until=now() + DAY)
    check(minutes=6)
    check.lease = FakeLease(check.lease.cursor)
    check(minutes=6)
    assert stored() == [("watch", True)]


@pytest.fixture
def monotonic_clock(clock, monkeypatch):
    """Let time.monotonic() follow the clock that a test moves."""
    monkeypatch.setattr(leases.time, "monotonic", lambda: now().timestamp())
    monkeypatch.setattr(loop.connection, "close_if_unusable_or_obsolete", lambda: None)


def watch():
    return Job(next(task for task in tasks.all_tasks() if task.name == "alarms"))


def run(job, clock, duration, step=5 * SECOND):
    for _ in range(duration // step):
        clock.shift(step)
        while job.advance():
            pass


@pytest.mark.usefixtures("monotonic_clock")
@pytest.mark.parametrize("is_released", [True, False])
def test_a_watch_that_returns_reports_once_when_it_was_stopped(clock, is_released):
    first = watch()
    run(first, clock, 5 * MINUTE)
    if is_released:
        first.release()
    clock.shift(28 * MINUTE)
    for again in (watch(), watch()):
        run(again, clock, 5 * MINUTE)
    [alarm] = Alarm.objects.all()
    assert (alarm.kind, alarm.key) == ("watch", "stopped")
    assert timedelta(minutes=28) <= alarm.closed_at - alarm.opened_at <= timedelta(minutes=30)
    assert messages() == [("alarm_over", "ops")]


@pytest.mark.usefixtures("monotonic_clock")
def test_a_short_restart_is_not_reported(clock):
    first = watch()
    run(first, clock, 5 * MINUTE)
    first.release()
    clock.shift(90 * SECOND)
    run(watch(), clock, 5 * MINUTE)
    assert stored() == []


@pytest.mark.usefixtures("monotonic_clock")
def test_checks_that_fail_are_not_a_watch_that_was_stopped(clock, monkeypatch):
    job = watch()
    run(job, clock, 5 * MINUTE)
    with monkeypatch.context() as broken:
        broken.setattr(checking, "_open_alarms", _fail)
        run(job, clock, 20 * MINUTE)
    run(job, clock, 5 * MINUTE)
    assert stored() == []


@pytest.mark.usefixtures("monotonic_clock")
def test_an_alarm_wakes_the_sender(clock):
    task = next(task for task in tasks.all_tasks() if task.name == "alarms")
    sending = task.run.__self__
    job = Job(task)
    run(job, clock, MINUTE)
    assert not sending.wake.is_set()
    add_source(state="silent")
    run(job, clock, MINUTE)
    assert sending.wake.is_set()


# Tokens and secrets.


@pytest.mark.parametrize(
    ("options", "is_problem"),
    [
        ({"expires": 5 * DAY}, True),
        ({"expires": 8 * DAY}, False),
        ({"expires": None}, False),
        ({"expires": -DAY}, False),
        ({"expires": 5 * DAY, "used": 31 * DAY}, False),
        ({"expires": 5 * DAY, "used": None}, False),
    ],
)
def test_a_token_in_use_that_expires_soon_is_a_problem(check, user, options, is_problem):
    add_token(user, **options)
    check()
    assert stored() == [("token", True)] * is_problem


@pytest.mark.parametrize("end", ["replaced", "revoked", "expired"])
def test_the_alarm_about_a_token_ends(check, clock, user, end):
    token = add_token(user, expires=5 * DAY)
    check()
    if end == "replaced":
        add_token(user, expires=None, used=None)
    elif end == "revoked":
        ApiToken.objects.all().delete()
    else:
        check.skip(5 * DAY + SECOND)
    check()
    assert stored() == [("token", False)]
    assert ApiToken.objects.filter(pk=token.pk).exists() is (end != "revoked")


@pytest.mark.parametrize(
    ("seen", "fingerprint", "delivered", "is_problem"),
    [
        (8 * DAY, OLD, HOUR, True),
        (6 * DAY, OLD, HOUR, False),
        (8 * DAY, NEW, HOUR, False),
        (8 * DAY, "unknown", HOUR, False),
        (8 * DAY, OLD, 9 * DAY, False),
    ],
)
def test_an_old_secret_in_use_a_week_after_the_new_one_is_a_problem(check, seen, fingerprint, delivered, is_problem):
    note_secret(seen=seen)
    add_source(secret_fingerprint=conf.fingerprint(fingerprint), last_delivery_at=now() - delivered)
    check()
    assert stored() == [("secret", True)] * is_problem


def test_the_first_sighting_of_the_old_secret_does_not_count(check):
    note_secret(OLD, seen=100 * DAY)
    add_source(secret_fingerprint=conf.fingerprint(OLD))
    check()
    assert stored() == []


# Retention, and what pages show.


def test_old_alarms_that_are_over_are_deleted_in_the_hourly_task(check, settings):
    old = now() - (settings.NOTIFICATION_RETENTION_DAYS + 1) * DAY
    Alarm.objects.create(kind="token", key="over", opened_at=old, closed_at=old)
    Alarm.objects.create(kind="token", key="open", opened_at=old)
    Alarm.objects.create(kind="token", key="recent", opened_at=old, closed_at=now())
    [forget] = [task for task in tasks.all_tasks() if task.name == "forget"]
    list(forget.run(None))
    assert sorted(Alarm.objects.values_list("key", flat=True)) == ["open", "recent"]


def test_pages_show_open_and_recent_alarms_in_one_query_each(check, clock, user, django_assert_num_queries):
    source = add_source(state="silent")
    check()
    check.skip(HOUR)
    hear(source)
    add_token(user, expires=5 * DAY)
    check()
    with django_assert_num_queries(1):
        [shown] = alarms.open_alarms()
    assert (shown.kind, shown.headline, shown.until) == (
        "token",
        "The API token grafana expires on Sat 2026-05-09 11:30 UTC",
        None,
    )
    with django_assert_num_queries(1):
        recent = alarms.recent_alarms(10)
    assert [(each.kind, each.until is None) for each in recent] == [("token", True), ("silence", False)]
    assert recent[1].until - recent[1].since == HOUR
    assert len(alarms.recent_alarms(1)) == 1


def test_the_dashboards_card_names_the_open_alarms_and_escapes_them(check):
    template = "logs/admin/dashboard/alarms.html"
    assert render_to_string(template, {"alarms": alarms.open_alarms()}).strip() == ""
    add_source("github/acme/<b>garden</b>", state="silent")
    check()
    text = render_to_string(template, {"alarms": alarms.open_alarms()})
    assert "acme/&lt;b&gt;garden&lt;/b&gt; has been silent since Mon 2026-05-04 08:30 UTC" in text


@pytest.mark.parametrize(
    ("kind", "page", "permission"),
    [
        ("silence", "/admin/logs/source/", "logs.view_source"),
        ("refusals", "/admin/logs/delivery/?outcome=unverified", "logs.view_delivery"),
        ("channel", "/admin/logs/channel/{channel}/change/", "logs.view_channel"),
        ("watch", None, ""),
        ("token", "/admin/logs/apitoken/", "logs.view_apitoken"),
        ("secret", "/admin/logs/source/", "logs.view_source"),
    ],
)
def test_an_alarm_links_to_the_page_where_it_is_fixed(clock, check, user, kind, page, permission):
    next(PROBLEMS[kind](clock, check, user))
    check()
    template, shown = "logs/admin/dashboard/alarms.html", alarms.open_alarms()
    links = re.findall(r'href="([^"]*)"', render_to_string(template, {"alarms": shown, "perms": {permission}}))
    channel = Channel.objects.order_by("pk").last()
    assert links == ([page.format(channel=channel.pk)] if page else [])
    assert "href" not in render_to_string(template, {"alarms": shown, "perms": {"logs.view_alarm"}})


def test_a_silence_is_shown_once(check):
    in_alarm = add_source(state="silent")
    for slug in ("github/acme/shop", "github/acme/shed"):
        add_source(slug, webhook="lab", state="silent")
    check()
    new = add_source("github/acme/pond", state="silent")
    assert alarms.without_alarm(Source.objects.all(), alarms.open_alarms()) == [new]
    assert alarms.without_alarm([in_alarm], []) == [in_alarm]
