"""Follow deliveries, at a deployed webhooklog or in this one's own database, through whatever fails on the way."""

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

# Silence for READ_TIMEOUT_SECONDS is a dead connection, on every system and behind every proxy: options of keep-alive
# differ between systems, and tell only that the nearest proxy is there. So the site, which could keep an answer back
# for 25 seconds, is asked for one after 5. What a listener costs it is the thread that waits, the same for both.
WAIT_SECONDS = 5
READ_TIMEOUT_SECONDS = 8
CONNECT_TIMEOUT_SECONDS = 5
BATCH_SIZE = 50
BACK_OFF_SECONDS = (1, 2, 4, 8, 16, 30)  # The last one again and again.
MAX_JITTER = 1.25  # So much longer a pause may be, by chance: a crowd shall not come back all at once.

T = TypeVar("T")


class Outage(Exception):
    """Something does not work that may work again without anybody's doing; the message says what."""

    def __init__(self, message: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds  # As the other side has asked for; None leaves it open.


class Refused(Exception):
    """Somebody must change something; the message says what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """A delivery as it is handed out."""

    cursor: str  # Where to read on behind it.
    id: int
    received_at: datetime
    headers: Mapping[str, str]
    body: bytes
    event: Mapping[str, Any]  # The API's object; empty where there is none, or it may not be seen.


@dataclass(frozen=True, slots=True, kw_only=True)
class Followings:
    """What has come, often nothing."""

    deliveries: list[Followed]
    cursor: str  # Where to read on.
    pause_seconds: float = 0  # Before that.


class Source(Protocol):
    """Where deliveries come from."""

    def following(self, after: str) -> Followings:
        """Return the deliveries behind a cursor; wait for some where there are none.

        Raises:
            Outage: it does not answer at present.
            Refused: it will not.
        """


class Site:
    """A deployed webhooklog, through its API.

    Args:
        url: where it is, without a path of the API's.
        token: of a user who may view deliveries and bodies.
        filters: parameters of the API.
    """

    def __init__(self, url: str, token: str, filters: Mapping[str, str]) -> None:
        self._url = f"{url.rstrip('/')}/deliveries/stream"
        self._filters = dict(filters) | {"limit": str(BATCH_SIZE)}
        self._pool = urllib3.PoolManager(
            headers={"authorization": f"Bearer {token}", "accept": "application/json", "accept-encoding": "gzip"},
            timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT_SECONDS, read=READ_TIMEOUT_SECONDS),
        )

    def following(self, after: str) -> Followings:
        """Return the deliveries behind a cursor."""
        # As in OwnLog, the present is not waited for.
        fields = self._filters | {"after": after, "wait": "0" if after == NOW else str(WAIT_SECONDS)}
        try:
            response = self._pool.request("GET", self._url, fields=fields, retries=False, redirect=False)
        except HTTPError as error:
            raise Outage(f"{self._url} cannot be reached: {error}") from error
        if response.status != 200:
            raise self._failure(response)
        try:
            document = json.loads(response.data)
            return Followings(
                deliveries=[_from_api(each) for each in document["deliveries"]],
                cursor=document["cursor"],
                pause_seconds=_retry_after(response) or 0,
            )
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise Refused(f"{self._url} does not answer as webhooklog does: {error!r}") from error

    def _failure(self, response: urllib3.BaseHTTPResponse) -> Outage | Refused:
        try:
            document = json.loads(response.data)
            detail, code = printable(document["detail"]), document.get("code")
        except (ValueError, LookupError, TypeError, AttributeError):
            detail, code = printable(response.headers.get("location", "")) or "not in webhooklog's words", None
        told = f"{self._url} answers {response.status}: {detail}"
        if response.status == 429 or response.status >= 500:
            return Outage(told, retry_after_seconds=_retry_after(response))
        return Refused(f"{told} Begin anew with --since." if code == "invalid_cursor" else told)


class OwnLog:
    """This webhooklog's own database."""

    def __init__(self, filters: Mapping[str, str]) -> None:
        """Take the filters, as parameters of the API.

        Raises:
            Refused: one of them cannot be understood.
        """
        query = QueryDict(urlencode(filters))
        try:
            self._filterset = read_filters(stream.StreamFilterSet, query, Delivery.objects.all())
        except InvalidQuery as error:
            raise Refused(str(error)) from error

    def following(self, after: str) -> Followings:
        """Return the deliveries behind a cursor."""
        try:
            # The present is a place in the log that must be known before there is anything to lose by an outage.
            seconds = 0 if after == NOW else WAIT_SECONDS
            batch = stream.wait(self._filterset, after=start_after(after), limit=BATCH_SIZE, seconds=seconds)
        except InvalidQuery as error:
            raise Refused(f"{error} Begin anew with --since.") from error
        except DatabaseError as error:
            connection.close()
            raise Outage(f"the database fails: {error}") from error
        return Followings(deliveries=[_from_log(each) for each in batch.deliveries], cursor=encode_cursor(batch.end))


def persistently(attempt: Callable[[], T], tell: Callable[[str], None]) -> T:
    """Call something until it raises no Outage, with growing pauses; tell of an outage once, and once of its end."""
    outage = None
    for seconds in chain(BACK_OFF_SECONDS, repeat(BACK_OFF_SECONDS[-1])):
        try:
            result = attempt()
        except Outage as error:
            wanted = error.retry_after_seconds
            if outage is None:
                tell(f"{error}; trying again" if wanted is None else f"{error}; trying again in {wanted:.0f} s")
            outage = error
            time.sleep((seconds if wanted is None else wanted) * uniform(1, MAX_JITTER))
        else:
            if outage:
                tell("going on")
            return result
    raise AssertionError("an endless loop has ended")


def _retry_after(response: urllib3.BaseHTTPResponse) -> float | None:
    seconds = response.headers.get("retry-after", "")
    return float(seconds) if seconds.isascii() and seconds.isdigit() else None


def _from_api(shown: Mapping[str, Any]) -> Followed:
    return Followed(
        cursor=shown["cursor"],
        id=shown["id"],
        received_at=datetime.fromisoformat(shown["received_at"]),
        headers={str(name): str(value) for name, value in shown["headers"].items()},
        body=b64decode(shown["body_base64"]),
        event=shown["event"] or {},
    )


def _from_log(delivery: Delivery) -> Followed:
    names = ("event_type", "project", "workflow", "job", "status", "url")
    return Followed(
        cursor=encode_cursor(delivery.pk),
        id=delivery.pk,
        received_at=delivery.received_at,
        headers=delivery.headers,
        body=bytes(delivery.body),
        event={name: getattr(delivery.event, name) for name in names} if delivery.event else {},
    )
