"""Where the dots and lines of a chart of durations are, and how a window is divided into bars."""

from datetime import UTC, datetime, timedelta

import pytest

from logs.insights.lines import duration_chart, round_duration
from logs.insights.series import Point
from logs.insights.windows import MOST_BARS, window_between, window_named
from logs.times import HOUR

NOW = datetime(2026, 5, 4, 10, 30, tzinfo=UTC)
DAY = timedelta(days=1)


def point(median, p95, days=0):
    return Point(since=NOW + days * DAY, total_runs=1, successful_runs=1, failed_runs=0, median=median, p95=p95)


def chart_of(*pairs):
    return duration_chart([point(*pair, days) for days, pair in enumerate(pairs)], DAY, height=100)


def test_a_duration_is_as_high_as_it_is_long():
    chart = chart_of((0, 300), (150, 600))
    assert chart.ceiling == 600
    assert [(dot.x, dot.y) for dot in chart.median] == [(25, 100), (75, 75)]
    assert [(dot.x, dot.y) for dot in chart.p95] == [(25, 50), (75, 0)]
    assert [(step.x, step.width, step.until) for step in chart.steps] == [
        (0, 50, NOW + DAY),
        (50, 50, NOW + 2 * DAY),
    ]


def test_a_line_passes_over_a_step_without_runs():
    chart = chart_of((10, 10), (None, None), (20, 20))
    for _name, dots, pairs in chart.lines:
        assert len(dots) == 2
        assert pairs == [tuple(dots)]


def test_without_durations_there_is_no_chart():
    assert chart_of((None, None)) is None
    assert duration_chart([], DAY, height=100) is None


@pytest.mark.parametrize(
    ("longest", "ceiling"),
    [(0, 10), (10, 10), (11, 20), (61, 120), (3_601, 7_200), (86_401, 172_800), (1_000_000_000, 1_415_577_600)],
)
def test_a_scale_ends_at_a_round_duration(longest, ceiling):
    assert round_duration(longest) == ceiling


@pytest.mark.parametrize(("name", "bars", "hours"), [("24h", 24, 1), ("7d", 28, 6), ("30d", 30, 24), ("90d", 30, 72)])
def test_a_window_has_bars_of_whole_hours(name, bars, hours):
    period = window_named(name, NOW).period
    assert (len(period.bar_starts), period.bar_length) == (bars, hours * HOUR)
    assert period.bar_starts[0] == period.since


@pytest.mark.parametrize("hours", [1, 2, 29, 30, 31, 61, 1_000, 100_000])
def test_bars_cover_any_window(hours):
    window = window_between(NOW - hours * HOUR, NOW)
    starts, length = window.period.bar_starts, window.period.bar_length
    assert len(starts) <= MOST_BARS
    assert starts[-1] < window.until <= starts[-1] + length
