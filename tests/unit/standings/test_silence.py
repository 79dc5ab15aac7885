"""When a source is silent: by its own rhythm of the last four weeks, and never by chance."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logs.models import Source, SourceState
from logs.standings.silence import HISTORY, is_judged, judged_from, state_of_quiet, stretches

UP, LATE, SILENT = SourceState.UP, SourceState.LATE, SourceState.SILENT
MINUTE, HOUR, DAY, WEEK = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1), timedelta(weeks=1)
TUESDAY = datetime(2026, 5, 5, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


def hour_of(time):
    return time.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def hours_of(arrivals):
    return Counter(map(hour_of, arrivals))


def is_office_hour(time):
    """Return whether a time of the day in Berlin is Monday to Friday, 8 to 18 o'clock."""
    return time.weekday() < 5 and 8 <= time.hour < 18


def office_arrivals(first, *, days, per_hour, seed=1):
    """Return the times of events at random times in office hours, by the clocks of Berlin."""
    chance = random.Random(seed)
    hours = (datetime.combine(first + day * DAY, datetime.min.time(), BERLIN) for day in range(days))
    opened = (start.replace(hour=hour) for start in hours for hour in range(24))
    return sorted(
        (start + timedelta(seconds=chance.uniform(0, 3_600))).astimezone(UTC)
        for start in opened
        if is_office_hour(start)
        for _ in range(_poisson(chance, per_hour))
    )


def _poisson(chance, mean):
    """Return how many events happen in an hour, at random."""
    count, left = 0, 1.0
    while True:
        left -= chance.expovariate(mean)
        if left < 0:
            return count
        count += 1


def states(arrivals, since, until, *, step=10 * MINUTE):
    """Yield each time and the state of the source then, as a watch that checks at these times finds it."""
    hours, number, now = hours_of(arrivals), 0, since
    while now <= until:
        while number < len(arrivals) and arrivals[number] <= now:
            number += 1
        yield now, state_of_quiet(arrivals[number - 1], now, hours_before(hours, now))
        now += step


def hours_before(hours, now):
    return {hour: count for hour, count in hours.items() if hour <= now}


# The rule.


def test_twelve_stretches_of_whole_hours_lie_whole_weeks_before_the_silence():
    found = stretches(TUESDAY + 10 * HOUR + 59 * MINUTE, TUESDAY + 13 * HOUR + 20 * MINUTE)
    starts = [TUESDAY - week * WEEK + hour * HOUR for week in (1, 2, 3, 4) for hour in (10, 11, 12)]
    assert found == [(start, start + 2 * HOUR) for start in starts]


def test_an_hour_that_began_with_the_last_delivery_does_not_count():
    assert stretches(TUESDAY, TUESDAY + HOUR)[1] == (TUESDAY - WEEK + HOUR, TUESDAY - WEEK + HOUR)


@pytest.mark.parametrize(
    ("per_stretch", "least", "state"),
    [(8, 8, SILENT), (20, 8, SILENT), (8, 7, LATE), (20, 3, LATE), (20, 2, UP), (0, 0, UP)],
)
def test_the_stretch_with_the_fewest_events_decides(per_stretch, least, state):
    for least_number in range(12):
        last, now = TUESDAY + 10 * HOUR + MINUTE, TUESDAY + 12 * HOUR + MINUTE
        # A silence of one whole hour: each of the twelve stretches is one hour of its own.
        hours = {first: per_stretch for first, _ in stretches(last, now)}
        hours[stretches(last, now)[least_number][0]] = least
        assert state_of_quiet(last, now, hours) == state


def test_part_of_an_hour_causes_no_alarm():
    hours = dict.fromkeys((TUESDAY - 30 * DAY + hour * HOUR for hour in range(24 * 40)), 1_000)
    last = TUESDAY + 10 * HOUR + MINUTE
    assert state_of_quiet(last, TUESDAY + 11 * HOUR + 59 * MINUTE, hours) == UP
    assert state_of_quiet(last, TUESDAY + 12 * HOUR, hours) == SILENT


def test_silence_is_judged_after_four_weeks_of_history():
    source = Source(webhook="one", project_slug="github/acme/orchard", first_event_at=TUESDAY)
    assert judged_from(source) == TUESDAY + HISTORY == TUESDAY + 28 * DAY
    assert not is_judged(source, TUESDAY + HISTORY - MINUTE)
    assert is_judged(source, TUESDAY + HISTORY)


@pytest.mark.parametrize(("slug", "first"), [("github/acme/orchard", None), ("", TUESDAY)])
def test_the_silence_of_a_webhook_without_signed_events_is_never_judged(slug, first):
    source = Source(webhook="one", project_slug=slug, first_event_at=first)
    assert judged_from(source) is None
    assert not is_judged(source, TUESDAY + 10 * HISTORY)


hour_counts = st.dictionaries(st.integers(0, 24 * 42), st.integers(0, 30), max_size=400)
minutes = st.integers(0, 14 * 24 * 60)


@given(hour_counts, minutes, minutes, st.integers(-200, 200))
def test_whole_weeks_earlier_or_later_change_nothing(counts, last, quiet, weeks):
    hours = {TUESDAY - 6 * WEEK + hour * HOUR: count for hour, count in counts.items()}
    last_at = TUESDAY - WEEK + last * MINUTE
    now = last_at + quiet * MINUTE
    moved = {hour + weeks * WEEK: count for hour, count in hours.items()}
    assert state_of_quiet(last_at + weeks * WEEK, now + weeks * WEEK, moved) == state_of_quiet(last_at, now, hours)


@given(hour_counts, minutes, minutes, minutes)
def test_a_later_clock_makes_nothing_less_silent_without_a_delivery(counts, last, quiet, longer):
    hours = {TUESDAY - 6 * WEEK + hour * HOUR: count for hour, count in counts.items()}
    last_at = TUESDAY - WEEK + last * MINUTE
    order = [UP, LATE, SILENT]
    earlier = state_of_quiet(last_at, last_at + quiet * MINUTE, hours)
    later = state_of_quiet(last_at, last_at + (quiet + longer) * MINUTE, hours)
    assert order.index(earlier) <= order.index(later)


# Simulations.


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("per_hour", [0.3, 1, 6, 40])
def test_office_hours_raise_no_alarm_at_night_or_on_weekends(per_hour, seed):
    first = datetime(2026, 3, 23, tzinfo=UTC)  # The clocks change on the first weekend.
    arrivals = office_arrivals(first, days=70, per_hour=per_hour, seed=seed)
    since, until = first + 42 * DAY, first + 70 * DAY
    assert [time for time, state in states(arrivals, since, until, step=HOUR) if state == SILENT] == []


def silent_around(changes_on):
    """Return when a busy source counts as silent around a change of the clocks."""
    arrivals = office_arrivals(changes_on - 40 * DAY, days=75, per_hour=20)
    found = states(arrivals, changes_on - 3 * DAY, changes_on + 33 * DAY)
    return [time for time, state in found if state == SILENT]


def test_the_change_of_the_clocks_in_spring_raises_no_alarm():
    assert silent_around(datetime(2026, 3, 29, tzinfo=UTC)) == []


def test_the_change_of_the_clocks_in_autumn_raises_no_alarm_but_until_the_first_delivery_of_the_monday():
    # The office opens an hour later by UTC. Of the three shifts, two still contain its first hour in the weeks before,
    # and the third contains the last hour of the Friday instead.
    opens = datetime(2026, 10, 26, 8, tzinfo=BERLIN)
    found = silent_around(datetime(2026, 10, 25, tzinfo=UTC))
    assert all(opens <= time < opens + HOUR for time in found)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("per_hour", [6, 40])
def test_an_outage_on_a_tuesday_at_eleven_is_noticed_within_three_hours(per_hour, seed):
    arrivals = office_arrivals(TUESDAY - 43 * DAY, days=50, per_hour=per_hour, seed=seed)
    outage = datetime(2026, 5, 5, 11, tzinfo=BERLIN)
    before = [time for time in arrivals if time < outage]
    found = dict(states(before, outage.astimezone(UTC), outage.astimezone(UTC) + 3 * HOUR))
    assert SILENT in found.values()
    assert next(iter(found.values())) == UP


def test_every_silence_is_noticed_at_last_if_each_week_has_eight_events():
    nightly = [TUESDAY - day * DAY + 3 * HOUR for day in range(40, 0, -1)] * 2  # Two events each night.
    assert state_of_quiet(max(nightly), TUESDAY + 2 * DAY, hours_of(nightly)) == LATE
    assert state_of_quiet(max(nightly), TUESDAY + 5 * DAY, hours_of(nightly)) == SILENT
