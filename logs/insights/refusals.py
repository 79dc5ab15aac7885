"""Refused deliveries by outcome and reason."""

from collections import Counter, defaultdict
from dataclasses import dataclass

from logs.insights.periods import Period
from logs.insights.rates import Compared
from logs.models import Delivery
from logs.models.deliveries import REFUSED, DeliveryQuerySet, Outcome

# Limits the work for a page, however many deliveries retention keeps.
MOST_READ = 2_000
SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """An outcome for refused deliveries, with its most frequent reasons."""

    outcome: Outcome
    count: int
    reasons: list[tuple[str, int]]  # Each with its number of deliveries, the most frequent first.
    others: int  # The number of deliveries refused for other reasons.


@dataclass(frozen=True, kw_only=True)
class Refusals:
    """A period's refused deliveries, most frequent outcome first."""

    count: Compared
    is_cut: bool  # Whether there were more than MOST_READ refused deliveries.
    was_cut: bool  # The same for the previous period.
    shown: list[Refusal]
    outcomes = ",".join(REFUSED)

    @property
    def growth(self) -> float | None:
        """The relative change from the previous period; None if unknown."""
        return None if self.is_cut or self.was_cut else self.count.growth


def read_refusals(period: Period) -> Refusals:
    """Return a period's newest refused deliveries, and compare their number with the previous period's."""
    refused = Delivery.objects.refused()
    past = refused.filter(received_at__gte=period.compared_since, received_at__lt=period.compared_until)
    newest = list(_newest(refused.filter(received_at__gte=period.since)).values_list("outcome", "reason"))
    before = _newest(past).count()
    return Refusals(
        count=Compared(now=min(len(newest), MOST_READ), before=min(before, MOST_READ)),
        is_cut=len(newest) > MOST_READ,
        was_cut=before > MOST_READ,
        shown=_by_outcome(newest[:MOST_READ]),
    )


def _by_outcome(refused: list[tuple[str, str]]) -> list[Refusal]:
    """Group by outcome first: a reason can contain text from the client, so the number of reasons is unlimited."""
    reasons: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for outcome, reason in refused:
        reasons[outcome][reason] += 1
    refusals = [_refusal(outcome, counts) for outcome, counts in reasons.items()]
    return sorted(refusals, key=lambda refusal: refusal.count, reverse=True)


def _refusal(outcome: str, counts: Counter[str]) -> Refusal:
    most = counts.most_common(SHOWN)
    others = counts.total() - sum(count for _, count in most)
    return Refusal(outcome=Outcome(outcome), count=counts.total(), reasons=most, others=others)


def _newest(rows: DeliveryQuerySet) -> DeliveryQuerySet:
    # One more than MOST_READ, to detect whether there are more.
    return rows.order_by("-received_at", "-pk")[: MOST_READ + 1]
