"""The endpoint that waits for new deliveries."""

import signal
import time
from base64 import b64encode
from random import randint
from threading import BoundedSemaphore
from typing import Any

from django.conf import settings
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from logs.api.errors import BadRequest
from logs.api.filtering import StrictFilterBackend
from logs.api.permissions import may
from logs.api.serializers import DeliverySerializer, WorkflowEventSerializer
from logs.api.views.reading import ReadingView
from logs.models import Delivery
from logs.permissions import VIEW_BODIES, VIEW_DELIVERIES, VIEW_EVENTS
from logs.reading.cursors import InvalidCursor
from logs.reading.stream import deliveries as stream
from logs.reading.stream.cursors import NOW, encode_cursor, place

MAX_WAIT_SECONDS = 25  # Proxies give up an answer that takes 30 seconds or more.
DEFAULT_LIMIT, MAX_LIMIT = 50, 100
# By chance between these, so that a crowd does not come back all at once, and fill the queue that deliveries stand in.
RETRY_AFTER_SECONDS = (3, 10)

# For those who wait: a quarter of this process's threads, so that the others stay free for CircleCI.
waiting_places = BoundedSemaphore(settings.WEB_THREADS // 4)


class DeliveryStreamView(ReadingView):
    """Hands out deliveries with their bytes as they arrive, each once, to clients that ask again and again."""

    required_permissions = [VIEW_DELIVERIES, VIEW_BODIES]
    renderer_classes = [JSONRenderer]
    filterset_class = stream.StreamFilterSet
    filterset: stream.StreamFilterSet  # The filter backend leaves it here.

    @property
    def parameters(self) -> list[str]:
        """The names of the query parameters that there are."""
        return [*self.filterset_class.base_filters, "after", "format", "limit", "wait"]

    def get(self, request: Request) -> Response:
        """Return the deliveries behind a cursor; where there are none, wait for some."""
        StrictFilterBackend().filter_queryset(request, Delivery.objects.all(), self)
        limit = _whole_number(request, "limit", default=DEFAULT_LIMIT, least=1, most=MAX_LIMIT)
        seconds = _whole_number(request, "wait", default=MAX_WAIT_SECONDS, least=0, most=MAX_WAIT_SECONDS)
        after = _after(request)
        batch, headers = stream.look(self.filterset, after=after, limit=limit), {}
        if seconds and batch.is_last:
            if waiting_places.acquire(blocking=False):
                try:
                    batch = self._waited_for(batch, after=after, limit=limit, seconds=seconds)
                finally:
                    waiting_places.release()
            else:
                headers["Retry-After"] = str(randint(*RETRY_AFTER_SECONDS))  # noqa: S311 - no secret
        deliveries = _as_objects(request, batch.deliveries) if batch.deliveries else []
        return Response({"deliveries": deliveries, "cursor": encode_cursor(batch.end)}, headers=headers)

    def _waited_for(self, batch: stream.Batch, *, after: int, limit: int, seconds: int) -> stream.Batch:
        """Wait for deliveries, or a moment for more of them.

        If those who have something to read took no time, nobody would wait while deliveries come quickly, and a crowd
        would come back at once, again and again, and take all threads.
        """
        if batch.deliveries:
            time.sleep(stream.POLL_SECONDS)
        start = after if batch.deliveries else batch.end
        return stream.wait(self.filterset, after=start, limit=limit, seconds=seconds, is_over=_is_stopping)


def _is_stopping() -> bool:
    """Tell whether gunicorn ends this process; a restart, during which nothing is received, would wait for who waits.

    gunicorn's worker handles SIGTERM by a method of its own, and is not ``alive`` from then on.
    """
    worker = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return not getattr(worker, "alive", True)


def _after(request: Request) -> int:
    try:
        return place(request.query_params.get("after", NOW))
    except InvalidCursor as error:
        raise BadRequest(str(error), "invalid_cursor") from error


def _whole_number(request: Request, name: str, *, default: int, least: int, most: int) -> int:
    text = request.query_params.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most)) and least <= int(text) <= most):
        raise BadRequest(f"{name} must be a whole number from {least} to {most}.", "invalid_parameter")
    return int(text)


def _as_objects(request: Request, deliveries: list[Delivery]) -> list[dict[str, Any]]:
    # Two serializers for all deliveries: to make one takes far longer than to use it.
    flat, flat_event = DeliverySerializer().to_representation, WorkflowEventSerializer().to_representation
    sees_events = may(request, VIEW_EVENTS)
    return [
        flat(delivery)
        | {
            "cursor": encode_cursor(delivery.pk),
            "headers": delivery.headers,
            "body_base64": b64encode(delivery.body).decode(),
            "event": flat_event(delivery.event) if delivery.event and sees_events else None,
        }
        for delivery in deliveries
    ]
