"""How many deliveries were refused at each receiving URL."""

from collections import Counter
from datetime import datetime

from django.db.models import Count

from logs.models import Delivery


def read_refused(since: datetime) -> Counter[str]:
    """Return the number of deliveries refused since a given time, by the last part of the URL, in one query.

    The URL that all webhooks share has an empty one.
    """
    refused = Delivery.objects.refused().filter(received_at__gte=since).order_by()
    return Counter(dict(refused.values_list("webhook_slug").annotate(Count("pk"))))
