"""What of the dashboard needs no database: periods, rates, where bars stand, and how figures are written."""

from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from logs.circleci.vocabulary import Tone
from logs.insights.charts import LEAST_HEIGHT, chart_of, highest_of, round_ceiling
from logs.insights.periods import period_of
from logs.insights.rates import Compared, success_rate
from logs.insights.totals import Bar
from logs.templatetags import figures
from logs.times import HOUR

NOW = datetime(2026, 5, 4, 14, 37, 12, tzinfo=UTC)


def at(day, hour):
    return datetime(2026, 5, day, hour, tzinfo=UTC)


def bar(**counts):
    return Bar(since=at(4, 14), until=at(4, 15), counts=Counter({Tone[name.upper()]: n for name, n in counts.items()}))


def drawn(bars):
    return chart_of(bars, height=80, ceiling=highest_of(bars))


def test_a_day_is_24_whole_hours_with_the_present_one():
    day = period_of("24h", NOW)
    assert (day.since, day.until) == (at(3, 15), at(4, 15))
    assert day.bar_starts == [at(3, 15) + number * HOUR for number in range(24)]


def test_a_week_is_cut_into_quarters_of_days_and_ends_with_the_present_hour():
    week = period_of("7d", NOW)
    assert (week.since, week.until) == (datetime(2026, 4, 27, 18, tzinfo=UTC), at(4, 15))
    assert (len(week.bar_starts), week.bar_starts[-1]) == (28, at(4, 12))


@pytest.mark.parametrize("name", ["24h", "7d"])
def test_is_compared_to_as_many_hours_of_the_time_before(name):
    period = period_of(name, NOW)
    assert period.compared_until - period.compared_since == period.until - period.since
    assert period.compared_until <= period.since


@pytest.mark.parametrize("name", ["", "8d", "24h\x00", "<script>"])
def test_an_unknown_period_is_a_day(name):
    assert period_of(name, NOW) == period_of("24h", NOW)


def test_the_first_instant_of_an_hour_belongs_to_it():
    assert period_of("24h", at(4, 15)).until == at(4, 16)


@pytest.mark.parametrize(("good", "bad", "rate"), [(0, 0, None), (3, 1, 0.75), (0, 2, 0.0), (5, 0, 1.0)])
def test_only_finished_runs_make_a_success_rate(good, bad, rate):
    assert success_rate(good, bad) == rate


@pytest.mark.parametrize(
    ("now", "before", "difference", "growth"),
    [(12, 10, 2, 0.2), (5, 0, 5, None), (None, 10, None, None), (5, None, None, None), (0, 4, -4, -1.0)],
)
def test_compares_a_figure_to_the_one_before_where_that_can_be_said(now, before, difference, growth):
    figure = Compared(now=now, before=before)
    assert (figure.difference, figure.growth) == (difference, growth)


@pytest.mark.parametrize(
    ("highest", "ceiling"), [(1, 2), (2, 2), (3, 4), (9, 10), (11, 12), (41, 60), (250, 300), (399_999, 400_000)]
)
def test_a_scale_ends_in_a_round_number_with_a_whole_half(highest, ceiling):
    assert round_ceiling(highest) == ceiling
    assert ceiling % 2 == 0


def test_what_failed_stands_on_the_ground_and_the_rest_upon_it():
    parts = drawn([bar(good=30, bad=10)]).columns[0].parts
    assert [(part.tone, part.y, part.height) for part in parts] == [(Tone.BAD, 60.0, 20.0), (Tone.GOOD, 0.0, 60.0)]


def test_one_failure_among_many_successes_is_still_to_be_seen():
    parts = drawn([bar(good=99_999, bad=1)]).columns[0].parts
    assert parts[0].height == LEAST_HEIGHT
    assert all(part.y >= 0 and part.y + part.height <= 80 for part in parts)


def test_bars_stand_side_by_side_within_the_chart():
    columns = drawn([bar(good=1)] * 28).columns
    assert all(left.x + left.width < right.x for left, right in pairwise(columns))
    assert columns[-1].x + columns[-1].width < 100


def test_a_legend_names_good_and_bad_always_and_others_where_there_are_any():
    assert drawn([bar(), bar()]).legend == [(Tone.BAD, 0), (Tone.GOOD, 0)]
    assert drawn([bar(stopped=2), bar(good=1)]).legend == [
        (Tone.BAD, 0),
        (Tone.STOPPED, 2),
        (Tone.GOOD, 1),
    ]


def test_a_chart_tells_its_highest_bar_and_a_tick_for_every_four():
    bars = [Bar(since=at(4, hour), until=at(4, hour + 1), counts=Counter({Tone.GOOD: hour % 7})) for hour in range(12)]
    chart = drawn(bars)
    assert chart.highest.since == at(4, 6)
    assert chart.ticks == [at(4, 0), at(4, 4), at(4, 8)]


@pytest.mark.parametrize(
    ("share", "text"),
    [(None, "–"), (1.0, "100 %"), (0.9999, "99.9 %"), (0.29, "29 %"), (0.0, "0 %"), (2 / 3, "66.6 %")],
)
def test_says_100_percent_of_nothing_but_all(share, text):
    assert figures.percent(share).replace("\u00a0", " ") == text


def test_writes_an_hour_so_that_a_link_means_the_same_later():
    assert figures.hour_in_url(at(4, 15)) == "2026-05-04T15:00Z"


@pytest.mark.parametrize(
    ("share", "rising", "shown"),
    [
        (0.123, "bad", ("change-bad", "▲", "up by", "12\u00a0%")),
        (-0.5, "bad", ("change-good", "▼", "down by", "50\u00a0%")),
        (12.0, "good", ("change-good", "▲", "up by", "1,200\u00a0%")),
        (0.5, "", ("change-none", "▲", "up by", "50\u00a0%")),
        (0.001, "bad", ("= unchanged",)),
    ],
)
def test_tells_growth_by_a_sign_and_a_word_beside_its_colour(share, rising, shown):
    html = figures.growth(share, rising)
    assert all(text in html for text in shown)


def test_tells_the_change_of_a_rate_in_points():
    html = figures.points(-0.025, "good")
    assert all(text in html for text in ("change-bad", "▼", "2.5 points"))


def test_tells_no_change_where_there_is_nothing_to_compare():
    assert (figures.growth(None), figures.points(None)) == ("", "")


@pytest.mark.parametrize("tone", Tone)
def test_each_tone_has_a_sign_and_a_word(tone):
    assert figures.tone_sign(tone)
    assert figures.tone_word(tone)
