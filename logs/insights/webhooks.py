"""Figures for webhooks: the last delivery, secret rotation and event lag."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Sum

from logs import conf
from logs.insights.buckets import quantile
from logs.insights.periods import Period
from logs.insights.secret_use import Rotation, Use, read_rotations, read_uses
from logs.models import HourlyLag

WebhookKey = tuple[str, bool]  # A webhook's name, and whether its events are signed.


@dataclass(frozen=True, kw_only=True)
class WebhookFigures:
    """The figures for a webhook, configured or named in events; signed and unsigned events have separate figures."""

    name: str
    is_signed: bool
    is_configured: bool
    last_delivery_at: datetime | None  # Also counts refused deliveries with its signature; None before the first one.
    rotation: Rotation | None  # None if there is no older secret.
    events: int
    median_lag_seconds: float | None
    high_lag_seconds: float | None  # The 95th percentile.


def read_webhooks(period: Period) -> list[WebhookFigures]:
    """Return the configured webhooks in order, then other webhooks named in the period's events."""
    uses, lags = read_uses(), count_lags(period)
    rotations = read_rotations(uses)
    configured = [(webhook.name, webhook.is_signed) for webhook in conf.webhooks()]
    others = sorted(lags.keys() - set(configured))
    figures = [
        _figures(
            key,
            lags[key],
            is_configured=True,
            last_delivery_at=_last_delivery_at(uses[webhook.name], is_signed=webhook.is_signed),
            rotation=rotations.get(webhook.name),
        )
        for key, webhook in zip(configured, conf.webhooks(), strict=True)
    ]
    return figures + [_figures(key, lags[key], is_configured=False) for key in others]


def _figures(
    key: WebhookKey,
    lags: Counter[int | None],
    *,
    is_configured: bool,
    last_delivery_at: datetime | None = None,
    rotation: Rotation | None = None,
) -> WebhookFigures:
    known = {bucket: count for bucket, count in lags.items() if bucket is not None}
    return WebhookFigures(
        name=key[0],
        is_signed=key[1],
        is_configured=is_configured,
        last_delivery_at=last_delivery_at,
        rotation=rotation,
        events=lags.total(),
        median_lag_seconds=quantile(known, 0.5),
        high_lag_seconds=quantile(known, 0.95),
    )


def _last_delivery_at(uses: Sequence[Use], *, is_signed: bool) -> datetime | None:
    """Return when the last delivery arrived; one without a stored fingerprint counts as both signed and unsigned."""
    return max(
        (use.received_at for use in uses if (use.fingerprint != "") == is_signed or use.fingerprint is None),
        default=None,
    )


def count_lags(period: Period) -> defaultdict[WebhookKey, Counter[int | None]]:
    """Return how many of a period's events are in each lag bucket, by webhook; bucket None is an unknown lag."""
    lags: defaultdict[WebhookKey, Counter[int | None]] = defaultdict(Counter)
    # By hour, in the order of the index: SQLite would take four times as long to sort the sums of all projects.
    by_hour = HourlyLag.objects.filter(period.present).values("hour", "webhook", "verified", "lag_bucket")
    sums = by_hour.annotate(sum=Sum("count")).order_by("hour", "webhook", "verified", "lag_bucket")
    for webhook, verified, bucket, count in sums.values_list("webhook", "verified", "lag_bucket", "sum"):
        lags[webhook, verified][bucket] += count
    return lags
