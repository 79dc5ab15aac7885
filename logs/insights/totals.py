"""The number of events and failed runs, in total and per bar."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, QuerySet, Sum

from logs.circleci.vocabulary import BAD_STATUSES, GOOD_STATUSES, EventType, Tone, tone_of
from logs.insights.periods import Period
from logs.insights.rates import Compared, success_rate
from logs.models import HourlyStatus, HourlyWorkflow

Sums = QuerySet[HourlyStatus] | QuerySet[HourlyWorkflow]


@dataclass(frozen=True, kw_only=True)
class Totals:
    """The headline figures of a period."""

    events: Compared  # From the sums of workflows: their runs only.
    success_rate: Compared
    failed_runs: Compared


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One part of a period, with the number of events of each tone."""

    since: datetime
    until: datetime
    counts: Counter[Tone]

    @property
    def total(self) -> int:
        """The sum of all counts."""
        return self.counts.total()


def read_totals(period: Period, rows: Sums) -> Totals:
    """Return the totals of rollup rows for a period and the previous period; only workflow runs count as runs."""
    runs = Q(event_type=EventType.WORKFLOW_COMPLETED) if rows.model is HourlyStatus else Q()
    kinds = {"events": Q(), "good": runs & Q(status__in=GOOD_STATUSES), "bad": runs & Q(status__in=BAD_STATUSES)}
    times = {"now": period.present, "before": period.past}
    sums = rows.filter(hour__gte=period.compared_since).aggregate(
        **{
            f"{kind}_{time}": Sum("count", filter=of_kind & of_time, default=0)
            for kind, of_kind in kinds.items()
            for time, of_time in times.items()
        }
    )
    return Totals(
        events=Compared(now=sums["events_now"], before=sums["events_before"]),
        success_rate=Compared(
            now=success_rate(sums["good_now"], sums["bad_now"]),
            before=success_rate(sums["good_before"], sums["bad_before"]),
        ),
        failed_runs=Compared(now=sums["bad_now"], before=sums["bad_before"]),
    )


def read_bars(period: Period, rows: Sums) -> list[Bar]:
    """Return the rollup rows of a period as bars, oldest first; each bar counts events by the tone of their status."""
    counts: defaultdict[int, Counter[Tone]] = defaultdict(Counter)
    sums = rows.filter(period.present).values_list(period.bar_number, "status").annotate(Sum("count"))
    for number, status, count in sums:
        counts[number][tone_of(status)] += count
    return bars_of(period, counts)


def bars_of(period: Period, counts: defaultdict[int, Counter[Tone]]) -> list[Bar]:
    """Return every bar of a period, including empty ones, oldest first; `counts` is keyed by bar number."""
    return [
        Bar(since=start, until=start + period.bar_length, counts=counts[number])
        for number, start in enumerate(period.bar_starts)
    ]
