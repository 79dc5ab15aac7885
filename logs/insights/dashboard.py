"""All that the dashboard shows, read in a number of queries that does not depend on how much the log holds."""

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.utils import timezone

from logs.circleci.vocabulary import Tone
from logs.insights.broken import BrokenNow, read_broken
from logs.insights.charts import Chart, chart_of, highest_of, round_ceiling, trend_of
from logs.insights.counting import MAX_AGE
from logs.insights.periods import Period
from logs.insights.refusals import Refusals, read_refusals
from logs.insights.sums import HOUR
from logs.insights.totals import Totals, read_bars, read_totals
from logs.insights.webhooks import WebhookFigures, read_webhooks
from logs.insights.workflows import SlowWorkflow, WorkflowFigures, read_workflows
from logs.models import RollupState, WorkflowEvent

LATE_AFTER = 2 * MAX_AGE  # A page has counted what it could by then, unless there was too much of it.
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
    is_current: bool  # Whether all that was written lately is counted.

    @property
    def is_complete(self) -> bool:
        """Whether figures may be compared to the time before, and what is not known to be broken is not."""
        return self.has_past and self.is_current


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What the rollups tell of a period: the same until they are counted again."""

    totals: Totals
    chart: Chart
    workflows: list[WorkflowRow]
    has_more_workflows: bool
    slowest: list[SlowWorkflow]


@dataclass(frozen=True, kw_only=True)
class Dashboard:
    """The parts of the page."""

    period: Period
    coverage: Coverage | None  # None: nothing is counted yet.
    broken: BrokenNow
    figures: Figures
    refusals: Refusals | None  # None: not for this reader.
    webhooks: list[WebhookFigures]
    keeps_deliveries: bool  # Whether for ever: one that is not there never was.


def read_dashboard(period: Period, *, with_refusals: bool) -> Dashboard:
    """Read all parts of the page for a period."""
    state = RollupState.objects.first()
    return Dashboard(
        period=period,
        coverage=read_coverage(period, state) if state else None,
        broken=read_broken(),
        figures=_remembered_figures(period, state) if state else read_figures(period),
        refusals=read_refusals(period) if with_refusals else None,
        webhooks=read_webhooks(period),
        keeps_deliveries=not (settings.DELIVERY_RETENTION_DAYS or settings.DELIVERY_RETENTION_COUNT),
    )


def _remembered_figures(period: Period, state: RollupState) -> Figures:
    """Return the figures as they were last counted; who looks again within a minute need not wait for them."""
    if state.complete_until < state.counted_until:  # The next hour may be counted at any time, and change no moment.
        return read_figures(period)
    moments = (period.since, period.until, state.counted_from, state.counted_until)
    key = "-".join(["figures", period.name, *(str(moment.timestamp()) for moment in moments)])
    figures: Any = cache.get_or_set(key, partial(read_figures, period), MAX_AGE.total_seconds())
    return figures  # type: ignore[no-any-return]  # The cache knows no types.


def read_figures(period: Period) -> Figures:
    """Read what the rollups tell of a period."""
    workflows, bars = read_workflows(period), read_bars(period)
    return Figures(
        totals=read_totals(period),
        chart=chart_of(bars, height=CHART_HEIGHT, ceiling=round_ceiling(highest_of(bars))),
        workflows=[
            WorkflowRow(figures=each, trend=trend_of(each.bars, width=TREND_WIDTH, height=TREND_HEIGHT))
            for each in workflows.busiest
        ],
        has_more_workflows=workflows.has_more,
        slowest=workflows.slowest,
    )


def read_coverage(period: Period, state: RollupState) -> Coverage:
    """Tell whether the rollups reach from the beginnings of a period and of the time before it until now."""
    # Of the present hour is always counted what is known; before the command has run, nothing else is.
    counted_from = min(state.counted_from, period.until - HOUR)
    # A log that is younger than the period lacks nothing.
    is_complete = (
        counted_from <= period.compared_since or not WorkflowEvent.objects.filter(received_at__lt=counted_from).exists()
    )
    return Coverage(
        counted_from=counted_from,
        counted_until=state.counted_until,
        has_period=is_complete or counted_from <= period.since,
        has_past=is_complete,
        is_current=state.complete_until >= timezone.now() - LATE_AFTER,
    )
