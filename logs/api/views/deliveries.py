"""The endpoints for deliveries."""

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from rest_framework.exceptions import NotFound
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from logs.api.negotiation import FirstRenderer
from logs.api.serializers.log import DeliveryDetailSerializer, DeliverySerializer, ReplaySerializer
from logs.api.views.base import PagedListView, ReadingView, truth
from logs.circleci.vocabulary import EVENT_TYPE_HEADER, SIGNATURE_HEADER
from logs.http.downloads import body_response
from logs.ingest.replay import replay
from logs.models import Delivery
from logs.permissions import REPLAY, VIEW_BODIES, VIEW_DELIVERIES
from logs.reading.filters import DeliveryFilterSet
from logs.reading.pages import BY_ARRIVAL

PROOF = {SIGNATURE_HEADER, EVENT_TYPE_HEADER}


class DeliveryListView(PagedListView):
    """Lists deliveries, newest first."""

    name = "Deliveries"
    required_permissions = [VIEW_DELIVERIES]
    queryset = Delivery.objects.for_lists()
    serializer_class = DeliverySerializer
    filterset_class = DeliveryFilterSet
    orders = {"received_at": BY_ARRIVAL}
    export_name = "deliveries"


class DeliveryDetailView(ReadingView):
    """Shows one delivery with its headers and every verdict on it."""

    name = "Delivery"
    required_permissions = [VIEW_DELIVERIES]

    def get(self, request: Request, pk: int) -> Response:
        """Return the delivery."""
        delivery = get_object_or_404(Delivery.objects.for_lists(), pk=pk)
        return Response(DeliveryDetailSerializer(delivery).data)


class DeliveryBodyView(ReadingView):
    """Returns a delivery's bytes."""

    required_permissions = [VIEW_DELIVERIES, VIEW_BODIES]
    content_negotiation_class = FirstRenderer  # The bytes have one format, whatever the client accepts.
    parameters = []

    def get(self, request: Request, pk: int) -> HttpResponse:
        """Return the bytes as they arrived, with the signature and event type in their original headers."""
        delivery = get_object_or_404(Delivery, pk=pk)
        response = body_response(delivery)
        for name in delivery.headers.keys() & PROOF:
            response.headers[name] = delivery.headers[name]
        return response


class DeliveryReplayView(ReadingView):
    """Passes a delivery through the pipeline again."""

    http_method_names = ["post"]
    required_permissions = [VIEW_DELIVERIES, REPLAY]
    renderer_classes = [JSONRenderer]  # The browsable API would need a form.
    parameters = ["dry_run", "format"]

    def post(self, request: Request, pk: int) -> Response:
        """Judge the delivery by its original bytes under the current settings, and log its event if accepted."""
        try:
            result = replay(pk, actor=request.user.get_username(), dry_run=truth(request, "dry_run"))
        except Delivery.DoesNotExist as error:
            raise NotFound from error
        return Response(ReplaySerializer(result).data)
