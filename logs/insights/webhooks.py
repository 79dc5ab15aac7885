"""How the webhooks fare: when each was last heard of, and how late its events arrive."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Subquery, Sum

from logs import conf
from logs.insights.buckets import quantile
from logs.insights.periods import Period
from logs.models import Delivery, HourlyLag


@dataclass(frozen=True, kw_only=True)
class WebhookFigures:
    """A webhook that is configured, or that events name."""

    name: str
    is_configured: bool
    last_accepted_at: datetime | None  # When a delivery last bore its signature; None: never, or nobody keeps it.
    events: int
    median_lag_seconds: float | None
    high_lag_seconds: float | None  # 95 in 100 events arrived sooner.


def read_webhooks(period: Period) -> list[WebhookFigures]:
    """Return the configured webhooks in their order, then the others that sent events in a period."""
    last, lags = _last_accepted(), _lags(period)
    configured = [webhook.name for webhook in conf.webhooks()]
    others = sorted(lags.keys() - set(configured))
    return [
        _figures(name, is_configured=name in configured, last_accepted_at=last.get(name), lags=lags[name])
        for name in configured + others
    ]


def _figures(
    name: str, *, is_configured: bool, last_accepted_at: datetime | None, lags: Counter[int | None]
) -> WebhookFigures:
    known = {bucket: count for bucket, count in lags.items() if bucket is not None}
    return WebhookFigures(
        name=name,
        is_configured=is_configured,
        last_accepted_at=last_accepted_at,
        events=lags.total(),
        median_lag_seconds=quantile(known, 0.5),
        high_lag_seconds=quantile(known, 0.95),
    )


def _last_accepted() -> dict[str, datetime]:
    """Return when each configured webhook was last heard of, by one entry of an index for each of its secrets."""
    newest = [
        Subquery(
            Delivery.objects.filter(webhook=webhook.name, secret_position=position).newest_first().values("pk")[:1]
        )
        for webhook in conf.webhooks()
        for position in (range(len(webhook.secrets)) if webhook.is_signed else [None])
    ]
    found = Delivery.objects.filter(pk__in=newest)  # type: ignore[misc]  # The stubs know no subqueries in a list.
    return dict(found.order_by("received_at").values_list("webhook", "received_at"))


def _lags(period: Period) -> defaultdict[str, Counter[int | None]]:
    lags: defaultdict[str, Counter[int | None]] = defaultdict(Counter)
    rows = HourlyLag.objects.filter(period.present).values_list("webhook", "lag_bucket").annotate(Sum("count"))
    for webhook, bucket, count in rows:
        lags[webhook][bucket] += count
    return lags
