"""Errors as JSON: ``{"detail": a message for people, "code": a stable word for programs}``."""

import logging
import sqlite3
from collections.abc import Callable
from typing import Any

from django.db import DatabaseError, DataError, InterfaceError, InternalError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from rest_framework import exceptions, status
from rest_framework.response import Response
from rest_framework.views import exception_handler as rest_framework_handler

from logs.exceptions import (
    EncodingRefused,
    InvalidQuery,
    SignatureRefused,
    WebhookLogError,
)
from logs.ingest.answers import REFUSALS

RETRY_AFTER_SECONDS = 10
# SQLSTATE codes: a missing privilege, and a table or a column that no migration has created yet.
OF_THE_SITE = ("42501", "42P01", "42703")

logger = logging.getLogger(__name__)


class DatabaseUnavailable(exceptions.APIException):
    """The database is unreachable, locked, full or not writable. Nothing was written; the client may retry."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = "The database is unavailable. Send the request again later; nothing will be logged twice."
    default_code = "database_unavailable"
    wait = RETRY_AFTER_SECONDS  # REST framework sends it as Retry-After.


class BadRequest(exceptions.APIException):
    """The request is invalid."""

    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "bad_request"


class UnsupportedContentEncoding(exceptions.APIException):
    """The body is compressed; the response's Accept-Encoding lists the accepted encodings (RFC 9110, 15.5.16)."""


class HTTPVersionTooOld(exceptions.APIException):
    """The client or a proxy uses a version of HTTP in which a truncated stream looks complete."""

    # RFC 9110 requires an Upgrade header; a WSGI application may not send one.
    status_code = status.HTTP_426_UPGRADE_REQUIRED
    default_detail = (
        "An export without limit needs HTTP/1.1 or newer on every connection: over HTTP/1.0, a truncated export looks "
        "complete. Behind nginx, set proxy_http_version 1.1. Pages (limit=500) also work over HTTP/1.0."
    )
    default_code = "http_version_too_old"


class ServerEndsBrokenStreams(exceptions.APIException):
    """The site runs on a server that makes a broken stream look complete."""

    status_code = status.HTTP_501_NOT_IMPLEMENTED
    default_detail = (
        "This server cannot send an export without limit: a truncated export would look complete. Run the site on "
        "gunicorn, or read pages (limit=500)."
    )
    default_code = "server_ends_broken_streams"


# The API exception for those of the application's exceptions whose responses have headers of their own.
WITH_HEADERS: dict[type[WebhookLogError], type[exceptions.APIException]] = {
    SignatureRefused: exceptions.AuthenticationFailed,
    EncodingRefused: UnsupportedContentEncoding,
}


def http_error(error: WebhookLogError) -> exceptions.APIException:
    """Return the API exception for one of the application's exceptions."""
    meaning = WITH_HEADERS.get(type(error), exceptions.APIException)(str(error), error.code)
    _outcome, meaning.status_code = REFUSALS[type(error)]
    return meaning


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Return the response for a REST view's exception; None leaves it to Django, which returns 500."""
    if isinstance(error, WebhookLogError):
        error = http_error(error)
    elif isinstance(error, InvalidQuery):
        error = BadRequest(str(error), error.code)
    elif isinstance(error, Http404):
        error = exceptions.NotFound()
    elif isinstance(error, DatabaseError | InterfaceError):
        error = _database_meaning(error) or error
    response = rest_framework_handler(error, context)
    if response is not None and isinstance(error, exceptions.APIException):
        response.data = {"detail": error.detail, "code": error.get_codes()}
        if isinstance(error, UnsupportedContentEncoding):
            response.headers["Accept-Encoding"] = "identity"
    return response


def _database_meaning(error: Exception) -> exceptions.APIException | None:
    if isinstance(error, DataError):
        # For example, a NUL character, which PostgreSQL rejects even in a query.
        return BadRequest("The request contains a text that the database cannot store.", "unstorable_text")
    if isinstance(error, OperationalError | InterfaceError | InternalError) or _is_of_the_site(error):
        logger.error("the database failed: %s", error)
        return DatabaseUnavailable()
    return None


def _is_of_the_site(error: Exception) -> bool:
    """Return whether the operator must fix the database, although the driver blames the statement."""
    is_of_damaged_file = type(error.__cause__) is sqlite3.DatabaseError
    return is_of_damaged_file or getattr(error.__cause__, "sqlstate", None) in OF_THE_SITE


class DatabaseErrorMiddleware:
    """Handles database errors outside REST views, as `exception_handler` does inside them."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Pass the request on."""
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Return the response for a database error; None leaves any other exception to Django."""
        return database_error_response(exception)


def database_error_response(error: Exception) -> HttpResponse | None:
    """Return the response for a database error; None for any other exception."""
    meaning = _database_meaning(error)
    if meaning is None:
        return None
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if isinstance(meaning, DatabaseUnavailable) else None
    body = {"detail": meaning.detail, "code": meaning.get_codes()}
    return JsonResponse(body, status=meaning.status_code, headers=headers)
