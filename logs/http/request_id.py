"""Assign each request an id for its log lines, its access log line and its response."""

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
    """Takes the request id from a trusted proxy or creates an id, and adds the id to the response."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Pass the request on."""
        request_id = assign_id(request)
        response = self.get_response(request)
        response.headers[HEADER] = request_id
        return response


def assign_id(request: HttpRequest) -> str:
    """Set and return the id of a request that has just arrived; its log lines include the id from then on."""
    # The id is not secret. The system's random source would release Python's lock to another thread.
    request_id = _given_id(request) or f"{getrandbits(128):032x}"
    current.set(request_id)
    return request_id


class RequestIdFilter(logging.Filter):
    """Adds the current request's id to every log record; None outside requests."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return True for every record."""
        record.request_id = current.get()
        return True


@receiver(request_finished, dispatch_uid="logs.http.request_id")
def clear_id(**_: Any) -> None:
    """Clear the id once the response is sent: Django logs errors after the middleware has returned."""
    current.set(None)


def _given_id(request: HttpRequest) -> str | None:
    """Return the request's own id; None if it is malformed or not from a trusted proxy.

    An untrusted client could choose the id of another client's request.
    """
    given = request.META.get("HTTP_X_REQUEST_ID", "")
    return given if WELL_FORMED.fullmatch(given) and comes_from_proxy(request) else None
