"""All that the dashboard shows, read in a number of queries that does not depend on how much the log holds."""

from dataclasses import dataclass
from datetime import datetime

from logs.circleci.vocabulary import Tone
from logs.insights.broken import BrokenNow, read_broken
from logs.insights.charts import Chart, chart_of, highest_of, round_ceiling, trend_of
from logs.insights.counting import coverage
from logs.insights.periods import Period
from logs.insights.refusals import Refusals, read_refusals
from logs.insights.sums import HOUR
from logs.insights.totals import Totals, read_bars, read_totals
from logs.insights.webhooks import WebhookFigures, read_webhooks
from logs.insights.workflows import Sums, WorkflowFigures, read_figures, read_sums, slowest
from logs.models import WorkflowEvent

CHART_HEIGHT = 160
TREND_WIDTH, TREND_HEIGHT = 168, 24  # As in trend.html; wide enough for whole pixels a bar.


@dataclass(frozen=True, kw_only=True)
class WorkflowRow:
    """A workflow's figures with the drawing of its runs."""

    figures: WorkflowFigures
    trend: list[tuple[Tone, str]]


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """How far the rollups, and so the figures of a period, can be relied on."""

    counted_from: datetime
    counted_until: datetime
    has_period: bool  # Whether every event of the period is counted,
    has_past: bool  # and of the time before.


@dataclass(frozen=True, kw_only=True)
class Dashboard:
    """The parts of the page, in its order."""

    period: Period
    coverage: Coverage | None  # None: nothing is counted yet.
    broken: BrokenNow
    totals: Totals
    chart: Chart
    workflows: list[WorkflowRow]
    has_more_workflows: bool
    slowest: list[Sums]
    refusals: Refusals | None  # None: not for this reader.
    webhooks: list[WebhookFigures]


def read_dashboard(period: Period, *, with_refusals: bool) -> Dashboard:
    """Read all parts of the page for a period."""
    sums = read_sums(period)
    figures = read_figures(period, sums)
    bars = read_bars(period)
    return Dashboard(
        period=period,
        coverage=read_coverage(period),
        broken=read_broken(),
        totals=read_totals(period),
        chart=chart_of(bars, height=CHART_HEIGHT, ceiling=round_ceiling(highest_of(bars))),
        workflows=[
            WorkflowRow(figures=each, trend=trend_of(each.bars, width=TREND_WIDTH, height=TREND_HEIGHT))
            for each in figures
        ],
        has_more_workflows=len(sums) > len(figures),
        slowest=slowest(sums),
        refusals=read_refusals(period) if with_refusals else None,
        webhooks=read_webhooks(period),
    )


def read_coverage(period: Period) -> Coverage | None:
    """Tell whether the rollups reach back to the beginnings of a period and of the time before it."""
    counted = coverage()
    if counted is None:
        return None
    # Of the present hour is always counted what is known; before the command has run, nothing else is.
    counted_from, counted_until = min(counted[0], period.until - HOUR), counted[1]
    # A log that is younger than the period lacks nothing.
    is_complete = (
        counted_from <= period.compared_since or not WorkflowEvent.objects.filter(received_at__lt=counted_from).exists()
    )
    return Coverage(
        counted_from=counted_from,
        counted_until=counted_until,
        has_period=is_complete or counted_from <= period.since,
        has_past=is_complete,
    )
