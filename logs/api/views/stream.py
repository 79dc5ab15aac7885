"""The endpoint that waits for new deliveries."""

import signal
import time
from random import randint
from threading import BoundedSemaphore

from django.conf import settings
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from logs.api.serializers import StreamSerializer
from logs.api.views.base import ReadingView
from logs.models import Delivery
from logs.permissions import VIEW_BODIES, VIEW_DELIVERIES
from logs.reading.query import read_filters, read_whole_number
from logs.reading.stream import deliveries as stream
from logs.reading.stream.cursors import NOW, start_after

MAX_WAIT_SECONDS = 25  # Proxies stop waiting for a response after 30 seconds or more.
DEFAULT_LIMIT, MAX_LIMIT = 50, 100
# The range of a random delay: clients that all retried at once would fill the queue in which deliveries wait.
RETRY_AFTER_SECONDS = (3, 10)

# For waiting clients: a quarter of this process's threads, so that the other threads stay free for CircleCI.
waiting_places = BoundedSemaphore(settings.WEB_THREADS // 4)


class DeliveryStreamView(ReadingView):
    """Returns each new delivery once, with its bytes, to clients that poll."""

    required_permissions = [VIEW_DELIVERIES, VIEW_BODIES]
    renderer_classes = [JSONRenderer]
    filterset_class = stream.StreamFilterSet

    @property
    def parameters(self) -> list[str]:
        """The names of the query parameters."""
        return [*self.filterset_class.base_filters, "after", "format", "limit", "wait"]

    def get(self, request: Request) -> Response:
        """Return the deliveries after a cursor; if there are none, wait for new ones."""
        query = request.query_params
        filterset = read_filters(self.filterset_class, query, Delivery.objects.all())
        limit = read_whole_number(query, "limit", range(1, MAX_LIMIT + 1), default=DEFAULT_LIMIT)
        seconds = read_whole_number(query, "wait", range(MAX_WAIT_SECONDS + 1), default=MAX_WAIT_SECONDS)
        after = start_after(query.get("after", NOW))
        batch, headers = stream.poll(filterset, after=after, limit=limit), {}
        if seconds and batch.is_last:
            if waiting_places.acquire(blocking=False):
                try:
                    batch = _wait(filterset, batch, after=after, limit=limit, seconds=seconds)
                finally:
                    waiting_places.release()
            else:
                headers["Retry-After"] = str(randint(*RETRY_AFTER_SECONDS))  # noqa: S311 - not a secret
        return Response(StreamSerializer(batch, context={"request": request}).data, headers=headers)


def _wait(
    filterset: stream.StreamFilterSet, batch: stream.Batch, *, after: int, limit: int, seconds: int
) -> stream.Batch:
    """Wait for the first delivery; if there already is one, pause briefly to collect more.

    If deliveries arrived quickly, no client would wait without this pause: many clients would poll nonstop and
    occupy all threads.
    """
    if batch.deliveries:
        time.sleep(stream.POLL_SECONDS)
    start = after if batch.deliveries else batch.end
    return stream.wait(filterset, after=start, limit=limit, seconds=seconds, is_over=_is_stopping)


def _is_stopping() -> bool:
    """Return whether gunicorn is stopping this process.

    Without this check, clients that wait for new deliveries would hold up a restart. gunicorn's worker
    handles SIGTERM with one of its own methods, after which the worker is no longer ``alive``.
    """
    worker = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return not getattr(worker, "alive", True)
