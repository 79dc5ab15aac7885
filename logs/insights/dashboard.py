"""The dashboard's figures, read in a fixed number of queries, whatever the size of the log."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.utils import timezone

from logs.insights.broken import BrokenNow, read_broken
from logs.insights.charts import Chart, chart_of, highest_of, round_ceiling
from logs.insights.counting import MAX_AGE
from logs.insights.periods import Period
from logs.insights.projects import Project
from logs.insights.refusals import Refusals, read_refusals
from logs.insights.totals import Totals, read_bars, read_totals
from logs.insights.watching import WatchState, read_watch
from logs.insights.webhooks import WebhookFigures, read_webhooks
from logs.insights.workflows import BusyWorkflow, SlowWorkflow, read_workflows
from logs.models import HourlyStatus, RollupState, WorkflowEvent
from logs.times import HOUR

LATE_AFTER = 2 * MAX_AGE  # By then a page has counted the new events, unless there were too many.
CHART_HEIGHT = 160


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """The completeness of the rollups, and therefore of a period's figures."""

    counted_from: datetime
    counted_until: datetime
    has_period: bool  # Whether all events of the period have been counted.
    has_past: bool  # Whether all events of the previous period have also been counted.
    is_current: bool  # Whether all recently written events have been counted.

    @property
    def is_complete(self) -> bool:
        """Whether figures are comparable with the previous period's."""
        return self.has_past and self.is_current


@dataclass(frozen=True, kw_only=True)
class DashboardFigures:
    """A period's figures from the rollups, which change only with the next count."""

    totals: Totals
    chart: Chart
    workflows: list[BusyWorkflow]
    has_more_workflows: bool
    slowest: list[SlowWorkflow]


@dataclass(frozen=True, kw_only=True)
class Dashboard:
    """The parts of the page."""

    period: Period
    project: Project | None  # None: the whole site.
    watch: WatchState
    coverage: Coverage | None  # None: nothing has been counted yet.
    broken: BrokenNow
    figures: DashboardFigures
    refusals: Refusals | None  # None: not requested, or the user may not view refused deliveries.
    webhooks: list[WebhookFigures]  # Empty for a project.
    keeps_deliveries: bool  # Whether retention keeps all deliveries; if so, a missing delivery never arrived.


def read_dashboard(period: Period, project: Project | None = None, *, with_refusals: bool) -> Dashboard:
    """Return all parts of the page for a period.

    Args:
        period: the period of the figures.
        project: only its figures; webhooks and refused deliveries are not counted per project, and are left out.
        with_refusals: whether to read the refused deliveries of the whole site.
    """
    state = RollupState.objects.first()
    return Dashboard(
        period=period,
        project=project,
        watch=read_watch(),
        coverage=read_coverage(period, state) if state else None,
        broken=read_broken(project.slug if project else ""),
        figures=_remembered_figures(period, project, state) if state else read_figures(period, project),
        refusals=None if project or not with_refusals else read_refusals(period),
        webhooks=[] if project else read_webhooks(period),
        keeps_deliveries=not (settings.DELIVERY_RETENTION_DAYS or settings.DELIVERY_RETENTION_COUNT),
    )


def _remembered_figures(period: Period, project: Project | None, state: RollupState) -> DashboardFigures:
    """Return the figures from the last count, cached for a minute."""
    if state.complete_until < state.counted_until:  # Another hour may be counted at any time without changing the key.
        return read_figures(period, project)
    times = (period.since, period.until, state.counted_from, state.counted_until)
    # Two counts can end at the same time; the newest keys tell them apart.
    keys = (state.last_event, state.last_delivery, state.last_attempt)
    of_project = hashlib.sha256(project.slug.encode()).hexdigest() if project else ""  # A slug can be any text.
    parts = ["figures", period.name, of_project, *(str(time.timestamp()) for time in times), *map(str, keys)]
    figures: Any = cache.get_or_set("-".join(parts), partial(read_figures, period, project), MAX_AGE.total_seconds())
    return figures  # type: ignore[no-any-return]  # The cache is untyped.


def read_figures(period: Period, project: Project | None = None) -> DashboardFigures:
    """Return a period's figures from the rollups; for a project, its totals and chart count workflow runs only."""
    counted = project.sums if project else HourlyStatus.objects.all()
    workflows, bars = read_workflows(period, project.workflows if project else None), read_bars(period, counted)
    return DashboardFigures(
        totals=read_totals(period, counted),
        chart=chart_of(bars, height=CHART_HEIGHT, ceiling=round_ceiling(highest_of(bars))),
        workflows=workflows.busiest,
        has_more_workflows=workflows.has_more,
        slowest=workflows.slowest,
    )


def read_coverage(period: Period, state: RollupState) -> Coverage:
    """Return how much of a period and of the previous one the rollups cover, and whether the rollups are current."""
    # A page always counts the current hour; before `rollup` has run, no other hour is counted.
    counted_from = min(state.counted_from, period.until - HOUR)
    # A log younger than the period is complete.
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
