"""How the webhooks fare: when each was last heard of, and how late its events arrive."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Subquery, Sum

from logs import conf
from logs.insights.buckets import quantile
from logs.insights.periods import Period
from logs.models import Delivery, HourlyLag

Key = tuple[str, bool]  # The name of a webhook, and whether what bears it is signed.


@dataclass(frozen=True, kw_only=True)
class WebhookFigures:
    """A webhook that is configured, or that events name; what nobody signed is kept apart from what was signed."""

    name: str
    is_signed: bool
    is_configured: bool
    last_delivery_at: datetime | None  # One that bore its signature, refused ones too; None: there is none.
    events: int
    median_lag_seconds: float | None
    high_lag_seconds: float | None  # 95 in 100 events arrived sooner.


def read_webhooks(period: Period) -> list[WebhookFigures]:
    """Return the configured webhooks in their order, then the others that events of a period name."""
    last, lags = _last_deliveries(), _lags(period)
    configured = [(webhook.name, webhook.is_signed) for webhook in conf.webhooks()]
    others = sorted(lags.keys() - set(configured))
    figures = [_figures(key, last.get(key[0]), lags[key], is_configured=True) for key in configured]
    return figures + [_figures(key, None, lags[key], is_configured=False) for key in others]


def _figures(
    key: Key, last_delivery_at: datetime | None, lags: Counter[int | None], *, is_configured: bool
) -> WebhookFigures:
    known = {bucket: count for bucket, count in lags.items() if bucket is not None}
    return WebhookFigures(
        name=key[0],
        is_signed=key[1],
        is_configured=is_configured,
        last_delivery_at=last_delivery_at,
        events=lags.total(),
        median_lag_seconds=quantile(known, 0.5),
        high_lag_seconds=quantile(known, 0.95),
    )


def _last_deliveries() -> dict[str, datetime]:
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


def _lags(period: Period) -> defaultdict[Key, Counter[int | None]]:
    lags: defaultdict[Key, Counter[int | None]] = defaultdict(Counter)
    sums = HourlyLag.objects.filter(period.present).values_list("webhook", "verified", "lag_bucket")
    for webhook, verified, bucket, count in sums.annotate(Sum("count")):
        lags[webhook, verified][bucket] += count
    return lags
