"""The context of a delivery's page, limited to what the user may view."""

from typing import Any

from django.http import HttpRequest

from logs.admin.body import show_body
from logs.admin.curl import curl_for
from logs.admin.deliveries.advice import advice_for
from logs.admin.deliveries.try_secret import can_try
from logs.models import Delivery, Outcome
from logs.permissions import REPLAY, TRY_SECRETS, VIEW_BODIES

SHOWN_ATTEMPTS = 50


def delivery_context(request: HttpRequest, delivery: Delivery) -> dict[str, Any]:
    """Return the context of a delivery's page."""
    may_see_bodies = request.user.has_perm(VIEW_BODIES)
    body = show_body(bytes(delivery.body)) if may_see_bodies else None
    is_cut = may_see_bodies and not delivery.is_whole
    attempts = list(delivery.attempts.order_by("-pk")[: SHOWN_ATTEMPTS + 1])
    return {
        "delivery": delivery,
        "advice": advice_for(delivery, is_cut=is_cut),
        "is_cut": is_cut,
        "is_usable": not is_cut and delivery.outcome != Outcome.REJECTED,
        "attempts": attempts[:SHOWN_ATTEMPTS],
        "has_more_attempts": len(attempts) > SHOWN_ATTEMPTS,
        "body": body,
        "curl": curl_for(request, delivery) if body else "",
        "may_see_bodies": may_see_bodies,
        "may_try_secret": request.user.has_perm(TRY_SECRETS) and can_try(delivery),
        "may_replay": request.user.has_perm(REPLAY),
    }
