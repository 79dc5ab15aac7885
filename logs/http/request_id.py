"""Give each request an id that its log lines, its access log line and its answer share."""

import logging
import re
from collections.abc import Callable
from contextvars import ContextVar
from random import getrandbits
from typing import Any

from django.core.signals import request_finished
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponseBase

from logs.http.client import comes_from_proxy

HEADER = "X-Request-ID"
WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{1,64}")

current: ContextVar[str | None] = ContextVar("request_id", default=None)


class RequestIdMiddleware:
    """Takes the id that a trusted proxy has given a request, or makes one, and tells it in the answer."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Pass the request on."""
        # Not secret; the system's own source of chance would let another thread take Python's lock.
        request_id = _given_id(request) or f"{getrandbits(128):032x}"
        current.set(request_id)
        response = self.get_response(request)
        response.headers[HEADER] = request_id
        return response


class RequestIdFilter(logging.Filter):
    """Marks every record with the id of the request that is being served; None outside of requests."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record through."""
        record.request_id = current.get()
        return True


@receiver(request_finished, dispatch_uid="logs.http.request_id")
def forget(**_: Any) -> None:
    """Forget the id, but not before the answer is sent: Django logs refusals after the middleware has returned."""
    current.set(None)


def _given_id(request: HttpRequest) -> str | None:
    """Return the id that came with a request; None where whoever sent it is not trusted or it is not well-formed.

    Of a stranger's choosing, it could make requests look like somebody else's.
    """
    given = request.META.get("HTTP_X_REQUEST_ID", "")
    return given if WELL_FORMED.fullmatch(given) and comes_from_proxy(request) else None
