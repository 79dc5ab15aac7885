"""The figures of runs, against the sample that CircleCI's guide to its API has published.

Source: https://circleci.com/docs/api-developers-guide/ (read 2026-11-29).
"""

from datetime import UTC, datetime, timedelta

import pytest

from logs.insights.figures import Durations, Recoveries, durations_of, figures_of

NOW = datetime(2026, 5, 4, 10, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)


def at(text):
    return datetime.fromisoformat(text)


def runs(*statuses, seconds=60.0):
    return [(status, seconds, NOW) for status in statuses]


def test_the_first_workflow_of_the_sample_is_reproduced_to_the_last_digit():
    first, last = at("2020-01-15T03:20:24.927Z"), at("2020-01-21T23:23:04.390Z")
    step = (last - first) / 81
    statuses = ["success"] * 49 + ["failed"] * 33
    figures = figures_of((status, 9_000.0, first + number * step) for number, status in enumerate(statuses))
    assert (figures.total_runs, figures.successful_runs, figures.failed_runs) == (82, 49, 33)
    assert figures.success_rate == 0.5975609756097561
    assert figures.throughput == 11.714285714285714


def test_the_second_workflow_of_the_sample_is_reproduced_to_the_last_digit():
    started, ended = at("2020-01-19T15:00:16.032Z"), at("2020-01-19T15:26:26.648Z")
    figures = figures_of([("success", (ended - started).total_seconds(), ended)])
    assert (figures.total_runs, figures.success_rate, figures.throughput) == (1, 1.0, 1.0)
    assert figures.durations == Durations(min=1570, mean=1570, median=1570, p95=1570, max=1570)


def test_the_third_workflow_of_the_sample_is_reproduced_to_the_last_digit():
    first, last = at("2020-01-15T01:45:03.613Z"), at("2020-01-21T23:46:25.970Z")
    figures = figures_of(("success", 46.0, first + number * (last - first) / 166) for number in range(167))
    assert (figures.success_rate, figures.throughput) == (1.0, 23.857142857142858)


@pytest.mark.parametrize(
    ("started", "ended", "seconds"),
    [
        ("2020-01-21T20:34:50.223Z", "2020-01-21T23:09:13.953Z", 9263),
        ("2020-01-21T20:14:00.247Z", "2020-01-21T22:45:15.614Z", 9075),
        ("2020-01-21T20:08:06.950Z", "2020-01-21T23:23:04.390Z", 11697),
        ("2020-01-21T19:31:11.081Z", "2020-01-21T22:05:02.072Z", 9230),
        ("2020-01-21T18:39:42.662Z", "2020-01-21T21:17:04.417Z", 9441),
        ("2020-01-21T18:38:28.225Z", "2020-01-21T21:14:30.330Z", 9362),
        ("2020-01-20T03:09:50.448Z", "2020-01-20T05:38:21.392Z", 8910),
    ],
)
def test_the_durations_of_the_runs_in_the_sample_are_reproduced(started, ended, seconds):
    assert durations_of([(at(ended) - at(started)).total_seconds()]).median == seconds


def test_both_policies_for_canceled_runs_are_given():
    figures = figures_of(runs("success", "success", "failed", "canceled"))
    assert figures.success_rate == 2 / 3
    assert figures.success_rate_of_all == 2 / 4


def test_runs_that_were_all_canceled_have_no_success_rate():
    figures = figures_of(runs("canceled", "canceled"))
    assert (figures.success_rate, figures.success_rate_of_all, figures.durations) == (None, 0.0, None)


def test_failed_runs_are_those_that_failed_had_an_error_or_were_unauthorized():
    figures = figures_of(runs("failed", "error", "unauthorized", "on_hold", "nonsense", "success"))
    assert figures.failed_runs == 3
    assert figures.statuses["error"] == 1
    assert figures.success_rate == 1 / 6


def test_no_runs_have_no_figures():
    assert figures_of([]) is None
    assert durations_of([]) is None


def test_canceled_and_unknown_durations_do_not_count():
    durations = figures_of([("success", 10.9, NOW), ("canceled", 999.0, NOW), ("failed", None, NOW)]).durations
    assert durations == Durations(min=10, mean=10, median=10, p95=10, max=10)


def test_quantiles_are_durations_of_runs():
    durations = durations_of(range(1, 101))
    assert (durations.min, durations.median, durations.p95, durations.max) == (1, 50, 95, 100)
    assert durations.mean == round(50.5)


@pytest.mark.parametrize(
    ("first", "last", "days"),
    [
        ("2026-05-04T00:00:00Z", "2026-05-04T23:59:59Z", 1),
        ("2026-05-04T23:59:59Z", "2026-05-05T00:00:00Z", 2),
        ("2026-05-04T23:30:00-02:00", "2026-05-05T03:00:00Z", 1),
        ("2024-02-28T12:00:00Z", "2024-03-01T12:00:00Z", 3),
    ],
)
def test_throughput_divides_by_the_calendar_days_from_the_first_run_to_the_last(first, last, days):
    figures = figures_of([("success", 1.0, at(first)), ("success", 1.0, at(last))])
    assert figures.throughput == 2 / days


def test_recoveries_have_means():
    assert Recoveries(count=2, failures=3, total=3 * HOUR).mttr == 5_400
    assert Recoveries(count=2, failures=3, total=3 * HOUR).mttr_per_failure == 3_600
    assert Recoveries().mttr is None
    assert Recoveries().mttr_per_failure is None
