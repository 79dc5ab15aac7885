"""The watch keeps the sources current: which webhooks and projects the log hears from, and since when."""

from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from logs.conf import fingerprint
from logs.models import Delivery, Outcome, Source, SourceState, WatchTask, WebhookSecret, WorkflowEvent
from logs.standings import sources
from logs.standings.sources import drop_idle_sources, read_news
from tests.integration.source_log import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    SECRET,
    SourceWatch,
    make_delivery,
    make_event,
    slug_of,
    source_of,
)

pytestmark = pytest.mark.django_db

UP, NEW, SILENT = SourceState.UP, SourceState.NEW, SourceState.SILENT
REFUSED = [Outcome.UNVERIFIED, Outcome.MALFORMED, Outcome.FORBIDDEN, Outcome.REJECTED]


@pytest.fixture(autouse=True)
def monotonic_clock(clock, monkeypatch):
    """Let time.monotonic() follow the clock that a test moves."""
    monkeypatch.setattr(sources.time, "monotonic", lambda: datetime.now(UTC).timestamp())


@pytest.fixture(autouse=True)
def webhooks(settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = {"one": SECRET, "open": None}
    return settings.CIRCLECI_WEBHOOK_SECRETS


@pytest.fixture
def watch():
    watch = SourceWatch()
    watch.read()
    return watch


def keys():
    return sorted(Source.objects.values_list("webhook", "project_slug"))


def values():
    return sorted(Source.objects.values_list(*sources.KEY, *sources.WRITTEN_COLUMNS), key=str)


# Reading deliveries.


def test_each_configured_webhook_is_a_source_as_soon_as_the_watch_runs(watch):
    assert keys() == [("one", ""), ("open", "")]
    assert {source.state for source in Source.objects.all()} == {NEW}


def test_a_webhook_that_is_configured_later_appears_after_the_restart(watch, webhooks):
    webhooks["two"] = SECRET
    watch.restart()
    watch.read()
    assert keys() == [("one", ""), ("open", ""), ("two", "")]


def test_a_signed_delivery_updates_its_project(watch, clock):
    delivery = make_delivery("orchard")
    watch.read()
    source = source_of("orchard")
    assert (source.project, source.state) == ("acme/orchard", NEW)
    assert source.first_event_at == source.last_delivery_at == delivery.received_at
    assert source.last_event == delivery.event
    assert source.secret_fingerprint == fingerprint(SECRET)
    clock.shift(HOUR)
    later = make_delivery("orchard")
    watch.read()
    source.refresh_from_db()
    assert (source.first_event_at, source.last_delivery_at) == (delivery.received_at, later.received_at)
    assert source.last_event == later.event


@pytest.mark.parametrize("outcome", [Outcome.UPDATED, Outcome.DUPLICATE, Outcome.EXPIRED])
def test_duplicates_and_expired_events_are_signs_of_life(watch, clock, outcome):
    make_delivery("orchard")
    clock.shift(DAY)
    last = make_delivery("orchard", outcome=outcome)
    watch.read()
    source = source_of("orchard")
    assert source.last_delivery_at == last.received_at
    assert source.last_event is not None
    assert source.first_event_at == last.received_at - DAY


@pytest.mark.parametrize("outcome", REFUSED)
def test_a_refused_delivery_is_no_sign_of_life(watch, outcome):
    before = values()
    make_delivery("orchard", outcome=outcome, event=None, verified=outcome == Outcome.FORBIDDEN)
    watch.read()
    assert values() == before


def test_a_ping_updates_the_webhook_itself(watch, clock):
    first = make_delivery(None, outcome=Outcome.PING)
    clock.shift(HOUR)
    last = make_delivery(None, outcome=Outcome.PING)
    watch.read()
    source = source_of(None)
    assert (source.first_ping_at, source.last_delivery_at) == (first.received_at, last.received_at)
    assert (source.first_event_at, source.state) == (None, NEW)


def test_an_unsigned_webhook_is_one_source_for_all_projects_and_stays_new(watch, clock):
    first = make_delivery("orchard", "open", verified=False)
    watch.read()
    clock.shift(60 * DAY)
    last = make_delivery("invented", "open", verified=False)
    watch.read()
    assert keys() == [("one", ""), ("open", "")]
    source = source_of(None, "open")
    assert (source.first_event_at, source.last_delivery_at) == (first.received_at, last.received_at)
    assert (source.state, source.secret_fingerprint, source.project) == (NEW, "", "")


def test_remembers_when_a_secret_was_first_seen(watch, clock):
    first = make_delivery("orchard")
    watch.read()
    clock.shift(DAY)
    make_delivery("orchard")
    other = make_delivery("orchard", secret_fingerprint="01234567")
    make_delivery("orchard", "open", verified=False)
    watch.read()
    found = set(WebhookSecret.objects.values_list("webhook", "fingerprint", "first_seen_at"))
    assert found == {("one", fingerprint(SECRET), first.received_at), ("one", "01234567", other.received_at)}
    assert source_of("orchard").secret_fingerprint == "01234567"


def test_a_source_is_up_from_four_weeks_after_its_first_event_on(watch, clock):
    make_delivery("orchard")
    watch.read()
    clock.shift(28 * DAY - MINUTE)
    make_delivery("orchard")
    watch.read()
    assert source_of("orchard").state == NEW
    clock.shift(MINUTE)
    make_delivery("orchard")
    watch.read()
    source = source_of("orchard")
    assert (source.state, source.state_since) == (UP, datetime.now(UTC))
    clock.shift(MINUTE)
    make_delivery("orchard")
    watch.read()
    assert source_of("orchard").state_since == datetime.now(UTC) - MINUTE


@pytest.mark.parametrize("state", [SILENT, SourceState.LATE])
def test_the_next_delivery_ends_silence(watch, clock, state):
    make_delivery("orchard")
    watch.read()
    clock.shift(40 * DAY)
    Source.objects.filter(project_slug=slug_of("orchard")).update(state=state)
    watch.read()
    assert source_of("orchard").state == state
    make_delivery("orchard")
    watch.read()
    assert source_of("orchard").state == UP


def test_a_muted_source_stays_muted(watch, clock):
    make_delivery("orchard")
    watch.read()
    until = datetime.now(UTC) + DAY
    Source.objects.update(muted_until=until)
    clock.shift(MINUTE)
    make_delivery("orchard")
    watch.read()
    assert source_of("orchard").muted_until == until


# What is read when.


def test_a_check_without_deliveries_is_one_query(watch, django_assert_num_queries):
    with django_assert_num_queries(1):
        list(watch.reader.check(watch.lease))


def test_a_second_check_of_the_same_deliveries_changes_nothing(watch, clock):
    for number in range(10):
        make_delivery("orchard" if number % 2 else "harbour", at=datetime.now(UTC) + number * MINUTE)
    make_delivery(None, outcome=Outcome.PING)
    cursor = watch.lease.cursor
    watch.read()
    before = values()
    clock.shift(MINUTE)
    watch.lease.cursor = cursor
    watch.read()
    assert values() == before


def test_many_deliveries_are_read_in_batches(watch, monkeypatch):
    monkeypatch.setattr(sources, "BATCH_SIZE", 3)
    now = datetime.now(UTC)
    last = [make_delivery(f"project-{number % 4}", at=now - (9 - number) * SECOND) for number in range(10)][-4:]
    assert len(list(watch.reader.check(watch.lease))) == 4
    found = set(Source.objects.exclude(last_event=None).values_list("last_event", flat=True))
    assert found == {delivery.event_id for delivery in last}


def test_reads_no_bodies(watch):
    make_delivery("orchard")
    with CaptureQueriesContext(connection) as captured:
        watch.read()
    assert not [query for query in captured if '"body"' in query["sql"]]


@pytest.mark.parametrize("began_after", [0, 30, 58])
def test_a_delivery_that_appears_late_is_read_within_two_minutes(watch, clock, began_after):
    """On PostgreSQL, a transaction that began earlier can become visible after later ones."""
    clock.shift(began_after * SECOND)
    late = make_delivery("orchard")
    values_of_late = Delivery.objects.filter(pk=late.pk).values().get()
    Delivery.objects.filter(pk=late.pk).delete()
    make_delivery("harbour")
    for _ in range(11):
        watch.read()
        clock.shift(5 * SECOND)
    Delivery.objects.create(**values_of_late)
    for _ in range(25):
        watch.read()
        clock.shift(5 * SECOND)
    assert source_of("orchard").last_delivery_at == late.received_at


def test_goes_on_after_a_restart(watch, clock):
    make_delivery("orchard")
    watch.read()
    make_delivery("harbour")
    watch.restart()
    clock.shift(HOUR)
    watch.read()
    assert keys() == [("one", ""), ("one", slug_of("harbour")), ("one", slug_of("orchard")), ("open", "")]


def keys_read_by(watch):
    """Read; return the keys of the deliveries that were read."""
    found = []
    original = sources._update_sources  # noqa: SLF001 - only watched
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "_update_sources", lambda rows: (found.extend(row.pk for row in rows), original(rows)))
        watch.read()
    return found


def test_what_is_read_after_a_break_is_not_read_again(watch, clock, monkeypatch):
    monkeypatch.setattr(sources, "BATCH_SIZE", 3)
    for age in range(20, 0, -1):
        make_delivery("orchard", at=datetime.now(UTC) - age * HOUR)
    fresh = make_delivery("orchard")
    assert len(keys_read_by(watch)) == 21
    for _ in range(2):
        clock.shift(MINUTE)
        assert keys_read_by(watch) == [fresh.pk]
    clock.shift(MINUTE)
    assert keys_read_by(watch) == []


def test_the_first_check_is_not_repeated(clock):
    make_delivery("orchard", at=datetime.now(UTC) - DAY)
    watch = SourceWatch()
    assert len(keys_read_by(watch)) == 1
    clock.shift(MINUTE)
    assert keys_read_by(watch) == []


def test_deliveries_that_are_read_again_move_nothing_back(watch, clock, monkeypatch):
    monkeypatch.setattr(sources, "BATCH_SIZE", 3)
    cursor = watch.lease.cursor
    for age in range(20, 0, -1):
        make_delivery("orchard", at=datetime.now(UTC) - age * DAY)
    make_delivery("orchard", secret_fingerprint="01234567")
    watch.read()
    Source.objects.filter(project_slug=slug_of("orchard")).update(state=SILENT)
    before = values()
    watch.lease.cursor = cursor
    steps = [values() for _ in watch.reader.check(watch.lease)]
    assert len(steps) == 7
    assert all(step == before for step in steps)


def test_the_next_delivery_counts_although_a_clock_was_ahead_before(watch, clock):
    make_delivery("orchard", at=datetime.now(UTC) + 365 * DAY)
    watch.read()
    last = make_delivery("orchard")
    watch.read()
    assert source_of("orchard").last_delivery_at == last.received_at


def test_the_first_check_reads_the_last_29_days():
    now = datetime.now(UTC)
    make_delivery("gone", at=now - 30 * DAY)
    make_delivery("orchard", at=now - 28 * DAY)
    make_delivery("orchard", at=now - DAY)
    SourceWatch().read()
    assert keys() == [("one", ""), ("one", slug_of("orchard")), ("open", "")]
    source = source_of("orchard")
    assert (source.first_event_at, source.last_delivery_at) == (now - 28 * DAY, now - DAY)
    assert source.state == UP


def test_the_first_check_of_a_log_without_recent_deliveries_reads_none():
    make_delivery("gone", at=datetime.now(UTC) - 30 * DAY)
    watch = SourceWatch()
    watch.read()
    assert watch.lease.cursor["read"] == Delivery.objects.get().pk
    assert keys() == [("one", ""), ("open", "")]


def test_a_new_source_is_as_old_as_its_oldest_event_of_the_last_29_days():
    """Retention may have removed its deliveries."""
    now = datetime.now(UTC)
    ages = {("orchard", "one", True): 29, ("orchard", "two", True): 29.5, ("orchard", "one", False): 29.5}
    WorkflowEvent.objects.bulk_create(
        make_event(project, webhook, at=now - age * DAY, verified=verified)
        for (project, webhook, verified), age in ages.items()
    )
    make_delivery("orchard")
    SourceWatch().read()
    assert source_of("orchard").first_event_at == now - 29 * DAY


def test_deliveries_of_releases_without_slugs_count_for_the_projects_of_their_events(watch):
    make_delivery("orchard", project_slug=None, secret_fingerprint=None)
    watch.read()
    assert source_of("orchard").secret_fingerprint == ""


# Removal.


def test_a_source_without_a_delivery_for_90_days_is_removed_but_no_configured_webhook(watch, clock, webhooks):
    make_delivery("orchard")
    make_delivery(None, "removed", outcome=Outcome.PING)
    watch.read()
    clock.shift(90 * DAY)
    make_delivery("harbour")
    watch.read()
    list(drop_idle_sources())
    assert len(keys()) == 5
    clock.shift(MINUTE)
    list(drop_idle_sources())
    assert keys() == [("one", ""), ("one", slug_of("harbour")), ("open", "")]


# News.


def make_source(project=None, webhook="one", state=SILENT, age=DAY, **columns):
    now = datetime.now(UTC)
    values = {"state_since": now - 2 * DAY, "last_delivery_at": None if age is None else now - age} | columns
    return Source.objects.create(
        webhook=webhook, project_slug=(project and slug_of(project)) or "", state=state, **values
    )


def news():
    found = read_news(datetime.now(UTC))
    return found.is_unknown, found.since, [source.project_slug for source in found.silent]


def ago(age):
    return datetime.now(UTC) - age


@pytest.fixture
def is_read():
    """The watch has just read all deliveries."""
    return WatchTask.objects.create(name="sources", last_finished_at=datetime.now(UTC))


@pytest.mark.usefixtures("is_read")
def test_a_log_without_sources_is_not_unknown():
    assert news() == (False, None, [])


def test_news_is_unknown_if_the_watch_has_never_read_the_deliveries(webhooks):
    assert news() == (True, None, [])
    webhooks.clear()
    assert news() == (False, None, [])


@pytest.mark.parametrize(("age", "is_unknown"), [(5 * MINUTE, False), (6 * MINUTE, True)])
def test_news_is_unknown_if_the_watch_has_not_read_the_deliveries_for_minutes(age, is_unknown):
    make_source("orchard", state=UP, age=HOUR)
    WatchTask.objects.create(name="sources", last_finished_at=ago(age))
    assert news() == (is_unknown, ago(age if is_unknown else HOUR), [])
    assert read_news(datetime.now(UTC)).is_outdated == is_unknown


@pytest.mark.usefixtures("is_read")
def test_news_is_unknown_if_every_source_is_silent(django_assert_num_queries):
    make_source(state=NEW, age=None)
    make_source("orchard", age=2 * DAY)
    make_source("harbour", age=3 * DAY)
    with django_assert_num_queries(3):
        assert news() == (True, ago(2 * DAY), [slug_of("harbour"), slug_of("orchard")])


@pytest.mark.usefixtures("is_read")
def test_a_source_that_was_quiet_before_the_others_does_not_count():
    make_source("orchard", age=HOUR)
    make_source("harbour", state=UP, age=DAY)
    make_source("shed", state=UP, age=2 * HOUR)
    assert news() == (True, ago(HOUR), [slug_of("orchard")])


@pytest.mark.usefixtures("is_read")
@pytest.mark.parametrize("state", [UP, SourceState.LATE])
def test_one_source_that_is_heard_from_suffices(state):
    make_source("orchard")
    make_source("harbour", state=state, age=2 * HOUR)
    assert news() == (False, ago(2 * HOUR), [slug_of("orchard")])


@pytest.mark.usefixtures("is_read")
@pytest.mark.parametrize(("age", "is_unknown"), [(DAY, True), (DAY - MINUTE, False)])
def test_a_new_source_is_unknown_after_a_day_without_a_delivery(age, is_unknown):
    make_source("orchard", state=NEW, age=age)
    assert news() == (is_unknown, ago(age), [])


@pytest.mark.usefixtures("is_read")
@pytest.mark.parametrize(("age", "is_unknown"), [(DAY, True), (DAY - MINUTE, False)])
def test_a_new_webhook_has_a_day_for_its_first_delivery(age, is_unknown):
    make_source(state=NEW, age=None, state_since=ago(age))
    assert news() == (is_unknown, None, [])


@pytest.mark.usefixtures("is_read")
def test_a_ping_is_no_news_of_a_webhook_with_projects():
    make_source(state=NEW, age=MINUTE)
    make_source("orchard", age=2 * DAY)
    assert news() == (True, ago(2 * DAY), [slug_of("orchard")])


@pytest.mark.usefixtures("is_read")
def test_muted_sources_are_left_out():
    make_source("orchard", muted_until=ago(-MINUTE), state=UP, age=MINUTE)
    make_source("harbour", age=2 * DAY)
    assert news() == (True, ago(2 * DAY), [slug_of("harbour")])
    Source.objects.update(muted_until=ago(MINUTE))
    assert news()[0] is False


@pytest.mark.usefixtures("is_read")
@pytest.mark.parametrize("state", [SILENT, UP])
def test_if_all_sources_are_muted_all_of_them_count(state):
    make_source("orchard", state=state, muted_until=ago(-MINUTE))
    assert news() == (state == SILENT, ago(DAY), [])


@pytest.mark.usefixtures("is_read")
def test_a_muted_webhook_mutes_its_projects():
    make_source(state=NEW, muted_until=ago(-MINUTE))
    make_source("orchard")
    make_source(webhook="open", state=NEW, age=HOUR)
    assert news() == (False, ago(HOUR), [])


@pytest.mark.usefixtures("is_read")
def test_webhooks_that_are_no_longer_configured_are_left_out():
    make_source("orchard", state=UP, webhook="removed", age=MINUTE)
    make_source("harbour", age=2 * DAY)
    assert news() == (True, ago(2 * DAY), [slug_of("harbour")])
