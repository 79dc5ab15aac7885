"""Limit each client's requests per minute, across all processes on this machine.

The counts have their own SQLite file. In the main database, each count would take the write lock and wait for the
disk, and deliveries would wait for readers.
"""

import logging
import os
import sqlite3
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from math import ceil
from pathlib import Path
from threading import Lock, local
from time import monotonic, time
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.template.response import SimpleTemplateResponse
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.views import APIView

from logs.api.authentication import TooManySignIns
from logs.http.client import counted_address
from logs.http.readers import WAITED

WAIT_SECONDS = 0.1  # For other threads and processes; after that, a request is not counted.
SILENT_SECONDS = 600  # Between two log lines about requests that were not counted.

# Counting is a single SQLite step. INSERT ... RETURNING takes two, and between them a thread would hold the write lock
# while it waits for Python's lock: 10 ms and more among busy threads, instead of a few hundredths of a millisecond.
# Each count deletes ten old rows: the file stays small, and no request waits until a flood's rows are deleted. The
# previous minute's rows stay for threads that read the clock just before it ended.
SCHEMA = """
    CREATE TABLE IF NOT EXISTS requests (minute INTEGER, client TEXT, count INTEGER, PRIMARY KEY (minute, client))
        WITHOUT ROWID;
    CREATE TEMP TABLE answer (minute INTEGER, client TEXT, count INTEGER);
    INSERT INTO answer VALUES (NULL, NULL, NULL);
    CREATE TEMP TRIGGER count_request AFTER UPDATE OF client ON answer BEGIN
        INSERT INTO requests VALUES (new.minute, new.client, 1)
            ON CONFLICT (minute, client) DO UPDATE SET count = count + 1;
        UPDATE answer SET count = (SELECT count FROM requests WHERE minute = new.minute AND client = new.client);
        DELETE FROM requests WHERE (minute, client) IN
            (SELECT minute, client FROM requests WHERE minute < new.minute - 1 LIMIT 10);
    END;
"""
COUNT = "UPDATE answer SET minute = ?, client = ?"
FORESEE = "UPDATE answer SET count = 1 + (SELECT count FROM requests WHERE minute = ? AND client = ?)"
RECALL = "UPDATE answer SET count = (SELECT count FROM requests WHERE minute = ? AND client = ?)"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """A client's use of API_REQUESTS_PER_MINUTE."""

    requests: int
    limit: int
    reset_seconds: int  # Until the minute ends; 1 to 60.

    @property
    def headers(self) -> dict[str, str]:
        """The headers that report the usage."""
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(max(0, self.limit - self.requests)),
            "RateLimit-Reset": str(self.reset_seconds),
        }


class ThrottledView(APIView):
    """Counts each request against its token, user or IP address, and rejects requests beyond the limit.

    List this class before any base that replaces the response, such as with a 304: every response reports the usage.
    """

    client: str  # The client for which the request counts.
    usage: Usage | None = None

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Add rate-limit headers to the response."""
        response = super().dispatch(request, *args, **kwargs)
        if isinstance(response, SimpleTemplateResponse):  # It may become a 304 when it is rendered.
            response.add_post_render_callback(self._add_headers)
        else:
            self._add_headers(response)
        return response

    def _add_headers(self, response: HttpResponseBase) -> None:
        for name, value in self.usage.headers.items() if self.usage else ():
            response.headers[name] = value

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Count the request, even if it is rejected before its client is known.

        Raises:
            Throttled: the client has made too many requests.
        """
        self.client = f"address {counted_address(request._request)}"
        try:
            super().initial(request, *args, **kwargs)
        finally:
            if WAITED in request.META:  # The server calls the view again for a request that has been counted.
                self.usage = _usage(RECALL, self.client)
            else:
                self.usage = _usage(COUNT, self.client)
                _reject_excess(self.usage)

    def perform_authentication(self, request: Request) -> None:
        """Authenticate the request, unless its IP address has sent too many wrong credentials.

        Raises:
            AuthenticationFailed: the credentials are wrong; the failure counts against the IP address.
            Throttled: the IP address has sent too many wrong credentials. Accepting correct ones would confirm a guess.
            TooManySignIns: too many passwords are being checked at the same time.
        """
        address = self.client
        if "authorization" in request.headers:
            self.client = f"wrong credentials of {address}"  # Until the credentials turn out to be right.
            _reject_excess(_usage(FORESEE, self.client))
        try:
            super().perform_authentication(request)
        except TooManySignIns:
            self.client = address  # The credentials were not checked, so they do not count as wrong.
            raise
        self.client = _identity(request) or address


def _identity(request: Request) -> str | None:
    """Return the token or user of an authenticated request; None if the request is anonymous."""
    if hasattr(request.auth, "pk"):
        return f"token {request.auth.pk}"
    return f"user {request.user.pk}" if request.user.is_authenticated else None


def _reject_excess(usage: Usage | None) -> None:
    if usage and usage.requests > usage.limit:
        raise Throttled(
            usage.reset_seconds,
            f"More than {usage.limit} requests in a minute; see the setting API_REQUESTS_PER_MINUTE.",
        )


def _usage(statement: str, client: str) -> Usage | None:
    """Return the client's usage for this minute; None if throttling is off or the store is unavailable."""
    limit = settings.API_REQUESTS_PER_MINUTE
    if not limit:
        return None
    minute, second = divmod(time(), 60)
    requests = counts().execute(statement, int(minute), client)
    return None if requests is None else Usage(requests=requests, limit=limit, reset_seconds=ceil(60 - second))


class _Own(local):
    """The state of one thread."""

    connection: sqlite3.Connection | None = None
    inode: int | None = None  # Of the file that the connection uses.


class Counts:
    """The counts in a file, to which each thread has its own connection."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._own = _Own()
        self._silent_until = 0.0
        self._silence = Lock()

    def execute(self, statement: str, minute: int, client: str) -> int | None:
        """Return the count after COUNT or RECALL, or the count that FORESEE predicts.

        None if the file is unusable; no request is then rejected: access to the log matters more than the limit.
        """
        try:
            connection = self._connect()
            connection.execute(statement, (minute, client))
            (count,) = connection.execute("SELECT count FROM answer").fetchone()
        except (OSError, sqlite3.Error) as error:
            self._give_up(error)
            return None
        return count or 1

    def close(self) -> None:
        """Close this thread's connection; the thread's next request opens a new one."""
        if self._own.connection:
            self._own.connection.close()
            self._own.connection = None

    def _connect(self) -> sqlite3.Connection:
        """Return this thread's connection; reopen the file if it was removed."""
        connection = self._own.connection
        if connection is None or self._own.inode != _inode(self._path):
            self.close()
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            connection = sqlite3.connect(self._path, timeout=WAIT_SECONDS, isolation_level=None)
            self._own.connection, self._own.inode = connection, _inode(self._path)
            # Nothing waits for the disk. A file damaged by a power cut is recreated.
            connection.execute("PRAGMA synchronous = OFF")
            # SQLite does not wait for another process that does this to a new file; it only has to be done once.
            with suppress(sqlite3.OperationalError):
                connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(SCHEMA)
        return connection

    def _give_up(self, error: OSError | sqlite3.Error) -> None:
        """Close the file so that the next request reopens it, and log the error at most once every SILENT_SECONDS."""
        self.close()
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            for suffix in ("-wal", "-shm", ""):
                with suppress(OSError):
                    Path(f"{self._path}{suffix}").unlink()
        with self._silence:
            if monotonic() >= self._silent_until:
                self._silent_until = monotonic() + SILENT_SECONDS
                logger.error("API_REQUESTS_PER_MINUTE is not enforced: %s cannot be used: %s", self._path, error)


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def counts() -> Counts:
    """Return this process's counts.

    A forked process must neither use nor close its parent's connections. Its own process id keeps them out of reach.
    Source: https://www.sqlite.org/howtocorrupt.html, section 2.6 (read 2026-11-23).
    """
    return _counts(os.getpid(), settings.API_REQUESTS_FILE)


@cache
def _counts(process_id: int, path: Path) -> Counts:
    return Counts(path)
