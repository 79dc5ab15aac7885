"""Decide which requests may read from the replica, and report the age of what they have read (ADR 20)."""

from collections.abc import Callable
from math import ceil
from typing import Any

from django.conf import settings
from django.core.signals import request_finished
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from logs.replica import data_age_seconds, leave_replica, read_from_replica, reset

HEADER = "X-Data-Age"
# Set by a request that may have written. While the client sends it, the client's requests read what was written.
COOKIE = "reads_primary"
COOKIE_MARGIN_SECONDS = 5
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")

# Lists, exports, figures and dashboards. A page about one object is not among them, nor is a live update: the client
# may have its id, or its cursor, from the primary.
VIEWS = frozenset(
    {
        "admin:flaky",
        "admin:index",
        "admin:insights",
        "admin:logs_delivery_changelist",
        "admin:logs_delivery_suggestions",
        "admin:logs_notification_changelist",
        "admin:logs_source_changelist",
        "admin:logs_workflowevent_changelist",
        "admin:logs_workflowevent_suggestions",
        "admin:pipelines",
        "admin:project",
        "admin:workflow",
        "feeds:badge",
        "feeds:badge-json",
        "feeds:cctray",
        "feeds:changes",
        "logs:cctray",
        "logs:changes",
        "logs:deliveries",
        "logs:events",
        "logs:flaky-jobs",
        "logs:jobs",
        "logs:recoveries",
        "logs:series",
        "logs:standings",
        "logs:workflows",
    }
)

# A stream is read after the middleware has returned.
request_finished.connect(reset, dispatch_uid="logs.http.replica")


class ReplicaMiddleware:
    """Lets VIEWS read from the replica, except for clients that have just written."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Pass the request on; if the replica fails, pass it on again to read from the primary."""
        reset()
        response = self.get_response(request)
        if response.status_code == 503 and leave_replica("a request failed"):
            reset()
            request.COOKIES[COOKIE] = "now"
            response = self.get_response(request)
        age_seconds = data_age_seconds()
        if age_seconds is not None:
            response.headers[HEADER] = str(ceil(age_seconds))
        if request.method not in SAFE_METHODS:
            response.set_cookie(
                COOKIE,
                "now",
                # Later, the replica has the write, or lags too much to be used.
                max_age=settings.REPLICA_MAX_LAG_SECONDS + COOKIE_MARGIN_SECONDS,
                path=settings.SESSION_COOKIE_PATH,
                secure=settings.SESSION_COOKIE_SECURE,
                httponly=True,
                samesite="Lax",
            )
        return response

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> None:
        """Choose the database for the view's reads."""
        match = request.resolver_match
        is_listed = match is not None and match.view_name in VIEWS
        if is_listed and request.method in ("GET", "HEAD") and COOKIE not in request.COOKIES:
            read_from_replica()
