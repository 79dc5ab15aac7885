"""Bursts of refused deliveries that look like CircleCI's."""

from collections import Counter
from collections.abc import Container
from datetime import datetime, timedelta

from django.db.models import Count, Q

from logs import conf
from logs.models import Delivery, Outcome
from logs.notifications.alarms.problems import Problems

LEAST = 5
WITHIN = timedelta(minutes=10)
OVER_AFTER = timedelta(minutes=30)
UNKNOWN = "*"  # All URLs of no webhook together: anyone can invent them. No slug contains an asterisk.


def find_refusals(opened: Container[str], now: datetime) -> Problems:
    """Return the URLs with at least LEAST refusals in the last WITHIN.

    Also return those with an open alarm and a refusal in the last OVER_AFTER.
    """
    refused = Delivery.objects.filter(outcome=Outcome.UNVERIFIED, plausible=True, received_at__gt=now - OVER_AFTER)
    recent = Count("pk", filter=Q(received_at__gt=now - WITHIN))
    known = {"", *(webhook.slug for webhook in conf.webhooks())}
    counts: Counter[str] = Counter()
    for slug, count in refused.order_by().values_list("webhook_slug").annotate(recent=recent):
        counts[slug if slug in known else UNKNOWN] += count
    return {
        key: {
            "address": None if key == UNKNOWN else key,
            "count": count,
            "minutes": WITHIN // timedelta(minutes=1),
        }
        for key, count in counts.items()
        if count >= LEAST or key in opened
    }
