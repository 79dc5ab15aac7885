"""Which deliveries were refused, and why."""

from collections import Counter
from dataclasses import dataclass

from logs.insights.periods import Period
from logs.insights.rates import Compared
from logs.models import Delivery
from logs.models.deliveries import REFUSED, DeliveryQuerySet, Outcome

# Retention bounds what was refused; this bounds the page, whatever retention is set to.
MOST_READ = 2_000
SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A reason to refuse deliveries, and how many it refused."""

    outcome: Outcome
    reason: str
    count: int


@dataclass(frozen=True, kw_only=True)
class Refusals:
    """The refused deliveries of a period, the most frequent reasons first."""

    count: Compared
    is_cut: bool  # Whether there were more than were read.
    shown: list[Refusal]
    outcomes = ",".join(REFUSED)


def read_refusals(period: Period) -> Refusals:
    """Read the newest refused deliveries of a period and count those of the time before."""
    refused = Delivery.objects.refused()
    past = refused.filter(received_at__gte=period.compared_since, received_at__lt=period.compared_until)
    reasons = Counter(_newest(refused.filter(received_at__gte=period.since)).values_list("outcome", "reason"))
    return Refusals(
        count=Compared(now=reasons.total(), before=_newest(past).count()),
        is_cut=reasons.total() == MOST_READ,
        shown=[
            Refusal(outcome=Outcome(outcome), reason=reason, count=count)
            for (outcome, reason), count in reasons.most_common(SHOWN)
        ],
    )


def _newest(rows: DeliveryQuerySet) -> DeliveryQuerySet:
    return rows.order_by("-received_at", "-pk")[:MOST_READ]
