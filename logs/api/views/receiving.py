"""CircleCI's endpoint."""

import json
from typing import Any, cast

from django.http import HttpResponse
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.request import Request
from rest_framework.views import APIView

from logs.api.authentication import AuthenticDelivery, CircleCISignatureAuthentication, IsAuthenticDelivery
from logs.api.negotiation import FirstRenderer
from logs.ingest.pipeline import record
from logs.models import Outcome

# What the receiving endpoint answers: the status and the words.
# fmt: off
ANSWERS = {
    Outcome.LOGGED:    (201, "Webhook Event successfully logged"),
    Outcome.UPDATED:   (200, "Webhook Event updated to its newer version"),
    Outcome.DUPLICATE: (200, "Webhook Event was already logged"),
    Outcome.PING:      (200, "Ping received"),
    Outcome.EXPIRED:   (200, "Webhook Event is older than the log keeps events"),
}
# fmt: on


class ReceiveWebhookView(APIView):
    """Receives CircleCI's webhooks: answers 2xx to whatever is authentic and in the log, once it is committed."""

    http_method_names = ["post"]
    authentication_classes = [CircleCISignatureAuthentication]
    permission_classes = [IsAuthenticDelivery]
    content_negotiation_class = FirstRenderer

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuse other methods before anything is read or kept."""
        if request.method != "POST":
            raise MethodNotAllowed(request.method or "")
        super().initial(request, *args, **kwargs)

    def post(self, request: Request, webhook: str | None = None) -> HttpResponse:
        """Log the delivery."""
        delivery = cast("AuthenticDelivery", request.auth)
        verdict = record(delivery.arrival, delivery.sender)
        status, message = ANSWERS[verdict.outcome]
        answer = json.dumps({"message": message, "id": verdict.event_id, "outcome": verdict.outcome})
        return HttpResponse(answer, status=status, content_type="application/json")
