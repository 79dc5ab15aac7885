"""Read deliveries from a deployed webhooklog or the local database, and retry after outages."""

import json
import time
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, repeat
from random import uniform
from typing import Any, Protocol, TypeVar

import urllib3
from django.db import DatabaseError, connection
from django.http import QueryDict
from django.utils.http import urlencode
from urllib3.exceptions import HTTPError

from logs.exceptions import InvalidQuery
from logs.management.terminal import printable
from logs.models import Delivery
from logs.reading.query import read_filters
from logs.reading.stream import deliveries as stream
from logs.reading.stream.cursors import NOW, encode_cursor, start_after

# After READ_TIMEOUT_SECONDS of silence, a connection counts as dead. TCP keep-alive would not do: its options differ
# between systems, and it only reaches the nearest proxy. The site can wait for deliveries for 25 seconds, but is asked
# to wait for 5. This costs the site little: a waiting listener holds no thread, and sends a dozen requests a minute.
WAIT_SECONDS = 5
READ_TIMEOUT_SECONDS = 8
CONNECT_TIMEOUT_SECONDS = 5
BATCH_SIZE = 50
BACK_OFF_SECONDS = (1, 2, 4, 8, 16, 30)  # The last pause repeats.
MAX_JITTER = 1.25  # Each pause is multiplied by a random factor up to this, so that listeners do not return together.

RESTART_HINT = "Restart with --since."

T = TypeVar("T")


class Outage(Exception):
    """A temporary failure, after which to retry; the message describes the failure."""

    def __init__(self, message: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds  # From Retry-After; None if the header is missing.


class Unrecoverable(Exception):
    """A failure that lasts until the operator changes something; the message says what to change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceDelivery:
    """A delivery from a source."""

    cursor: str  # Continues after this delivery.
    id: int
    received_at: datetime
    headers: Mapping[str, str]
    body: bytes
    event: Mapping[str, Any]  # As in the API; empty if there is no event, or the token may not view it.


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceBatch:
    """The deliveries from one poll; often there are none."""

    deliveries: list[SourceDelivery]
    cursor: str  # For the next poll.
    pause_seconds: float = 0  # Before the next poll.


class Source(Protocol):
    """A log from which deliveries are read."""

    def poll(self, after: str) -> SourceBatch:
        """Return the deliveries after a cursor; if there are none yet, wait for new ones.

        Raises:
            Outage: the source is temporarily unavailable.
            Unrecoverable: the source rejects the request, or is not a webhooklog.
        """


class Site:
    """A deployed webhooklog, read through its API.

    Args:
        url: the site's URL, without an API path.
        token: the token of a user who may view deliveries and bodies.
        filters: API parameters.
    """

    def __init__(self, url: str, token: str, filters: Mapping[str, str]) -> None:
        self._url = f"{url.rstrip('/')}/deliveries/stream"
        self._filters = dict(filters) | {"limit": str(BATCH_SIZE)}
        self._pool = urllib3.PoolManager(
            headers={"authorization": f"Bearer {token}", "accept": "application/json", "accept-encoding": "gzip"},
            timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT_SECONDS, read=READ_TIMEOUT_SECONDS),
        )

    def poll(self, after: str) -> SourceBatch:
        """Return the deliveries after a cursor."""
        # For NOW, do not wait: see LocalLog.
        fields = self._filters | {"after": after, "wait": "0" if after == NOW else str(WAIT_SECONDS)}
        try:
            response = self._pool.request("GET", self._url, fields=fields, retries=False, redirect=False)
        except HTTPError as error:
            raise Outage(f"{self._url} cannot be reached: {error}") from error
        if response.status != 200:
            raise self._failure(response)
        try:
            document = json.loads(response.data)
            return SourceBatch(
                deliveries=[_from_api(each) for each in document["deliveries"]],
                cursor=document["cursor"],
                pause_seconds=_retry_after(response) or 0,
            )
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise Unrecoverable(f"{self._url} does not answer like a webhooklog: {error!r}") from error

    def _failure(self, response: urllib3.BaseHTTPResponse) -> Outage | Unrecoverable:
        try:
            document = json.loads(response.data)
            detail, code = printable(document["detail"]), document.get("code")
        except (ValueError, LookupError, TypeError, AttributeError):
            detail, code = printable(response.headers.get("location", "")) or "not a response from webhooklog", None
        message = f"{self._url} answers {response.status}: {detail}"
        if response.status == 429 or response.status >= 500:
            return Outage(message, retry_after_seconds=_retry_after(response))
        return Unrecoverable(f"{message} {RESTART_HINT}" if code == "invalid_cursor" else message)


class LocalLog:
    """The database of this installation."""

    def __init__(self, filters: Mapping[str, str]) -> None:
        """Take the filters as API parameters.

        Raises:
            Unrecoverable: a filter is invalid.
        """
        query = QueryDict(urlencode(filters))
        try:
            self._filterset = read_filters(stream.StreamFilterSet, query, Delivery.objects.all())
        except InvalidQuery as error:
            raise Unrecoverable(str(error)) from error

    def poll(self, after: str) -> SourceBatch:
        """Return the deliveries after a cursor."""
        try:
            # For NOW, return the cursor at once: an outage before the cursor is known would lose deliveries.
            seconds = 0 if after == NOW else WAIT_SECONDS
            batch = stream.wait(self._filterset, after=start_after(after), limit=BATCH_SIZE, seconds=seconds)
        except InvalidQuery as error:
            raise Unrecoverable(f"{error} {RESTART_HINT}") from error
        except DatabaseError as error:
            connection.close()
            raise Outage(f"the database failed: {error}") from error
        return SourceBatch(deliveries=[_from_log(each) for each in batch.deliveries], cursor=encode_cursor(batch.end))


def retrying(attempt: Callable[[], T], report: Callable[[str], None]) -> T:
    """Call `attempt`, with growing pauses, until it raises no Outage; report an outage's start and end once each."""
    outage = None
    for seconds in chain(BACK_OFF_SECONDS, repeat(BACK_OFF_SECONDS[-1])):
        try:
            result = attempt()
        except Outage as error:
            wait = error.retry_after_seconds
            if outage is None:
                report(f"{error}; retrying" if wait is None else f"{error}; retrying in {wait:.0f} s")
            outage = error
            time.sleep((seconds if wait is None else wait) * uniform(1, MAX_JITTER))
        else:
            if outage:
                report("continuing")
            return result
    raise AssertionError("an endless loop has ended")


def _retry_after(response: urllib3.BaseHTTPResponse) -> float | None:
    seconds = response.headers.get("retry-after", "")
    return float(seconds) if seconds.isascii() and seconds.isdigit() else None


def _from_api(shown: Mapping[str, Any]) -> SourceDelivery:
    return SourceDelivery(
        cursor=shown["cursor"],
        id=shown["id"],
        received_at=datetime.fromisoformat(shown["received_at"]),
        headers={str(name): str(value) for name, value in shown["headers"].items()},
        body=b64decode(shown["body_base64"]),
        event=shown["event"] or {},
    )


def _from_log(delivery: Delivery) -> SourceDelivery:
    names = ("event_type", "project", "workflow", "job", "status", "url")
    return SourceDelivery(
        cursor=encode_cursor(delivery.pk),
        id=delivery.pk,
        received_at=delivery.received_at,
        headers=delivery.headers,
        body=bytes(delivery.body),
        event={name: getattr(delivery.event, name) for name in names} if delivery.event else {},
    )
