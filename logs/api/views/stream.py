"""The endpoint that waits for new deliveries."""

from random import randint

from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from logs.api.serializers.log import StreamSerializer
from logs.api.views.base import ReadingView
from logs.http.readers import WAITED, wait_for
from logs.models import Delivery
from logs.permissions import VIEW_BODIES, VIEW_DELIVERIES
from logs.reading.query import read_filters, read_whole_number
from logs.reading.stream import deliveries as stream
from logs.reading.stream.cursors import NOW, start_after

MAX_WAIT_SECONDS = 25  # Proxies stop waiting for a response after 30 seconds or more.
DEFAULT_LIMIT, MAX_LIMIT = 50, 100
# The range of a random delay: clients that all retried at once would fill the queue of readers' requests.
RETRY_AFTER_SECONDS = (3, 10)


class Wait:
    """A client's wait for the next delivery.

    A client that already has deliveries waits briefly for more. If deliveries arrived quickly, no client would wait
    otherwise: many clients would poll nonstop and occupy all threads.
    """

    def __init__(self, filterset: stream.StreamFilterSet, batch: stream.Batch, *, after: int, limit: int) -> None:
        self.batch = batch
        self.error: Exception | None = None
        self._filterset, self._limit = filterset, limit
        self._after = after if batch.deliveries else batch.end

    def poll(self) -> bool:
        """Poll for deliveries; return True if there are any, or if there is an error for the view to raise."""
        try:
            self.batch = stream.poll(self._filterset, after=self._after, limit=self._limit)
        except Exception as error:  # noqa: BLE001 - the view's exception handler responds to any error
            self.error = error
            return True
        self._after = self.batch.end
        return bool(self.batch.deliveries)


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
        if waited := request.META.get(WAITED):
            if waited.error:
                raise waited.error
            return self._response(request, waited.batch)
        after = start_after(query.get("after", NOW))
        batch = stream.poll(filterset, after=after, limit=limit)
        response = self._response(request, batch)
        if seconds and batch.is_last:
            wait_for(request.META, Wait(filterset, batch, after=after, limit=limit), seconds=seconds)
            # For a server that cannot wait, or has too many waiting clients.
            response.headers["Retry-After"] = str(randint(*RETRY_AFTER_SECONDS))  # noqa: S311 - not a secret
        return response

    def _response(self, request: Request, batch: stream.Batch) -> Response:
        return Response(StreamSerializer(batch, context={"request": request}).data)
