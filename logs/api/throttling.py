"""Bound how many requests a client may make in a minute, across all processes of this machine.

The counts stand in an SQLite file of their own. In the main database each would take the write lock and wait for the
disk, and so make deliveries wait for readers.
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

WAIT_SECONDS = 0.1  # For other threads and processes; then a request is not counted.
SILENT_SECONDS = 600  # After a line in the log about requests that were not counted.

# Counting is one step of SQLite's. Over the two steps of INSERT ... RETURNING a thread would keep the write lock while
# it waits to go on in Python: among busy threads ten milliseconds and more, and not a few hundredths of one.
# Ten old rows go at a time: the file stays small, and nobody waits until a flood's are gone. The minute before is kept
# for threads that looked at the clock just before it ended.
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

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """How much of API_REQUESTS_PER_MINUTE a client has used."""

    requests: int
    limit: int
    reset_seconds: int  # Until the minute ends; 1 to 60.

    @property
    def headers(self) -> dict[str, str]:
        """The headers that tell the client."""
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(max(0, self.limit - self.requests)),
            "RateLimit-Reset": str(self.reset_seconds),
        }


class ThrottledView(APIView):
    """Counts each request for its token, user or address, and refuses those beyond the limit.

    Among a view's bases it stands before one that makes one answer of another, a 304 say, so that each tells the usage.
    """

    client: str  # For whom the request counts.
    usage: Usage | None = None

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer, and tell the usage."""
        response = super().dispatch(request, *args, **kwargs)
        if isinstance(response, SimpleTemplateResponse):  # It may become a 304 when it is rendered.
            response.add_post_render_callback(self._tell_usage)
        else:
            self._tell_usage(response)
        return response

    def _tell_usage(self, response: HttpResponseBase) -> None:
        for name, value in self.usage.headers.items() if self.usage else ():
            response.headers[name] = value

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Count the request, also one that is refused before anybody knows who sends it.

        Raises:
            Throttled: there have been too many.
        """
        self.client = f"address {counted_address(request._request)}"
        try:
            super().initial(request, *args, **kwargs)
        finally:
            self.usage = _usage(COUNT, self.client)
            _refuse_excess(self.usage)

    def perform_authentication(self, request: Request) -> None:
        """Find out who sends the request, and look at no credentials of an address that has sent too many wrong ones.

        Raises:
            AuthenticationFailed: the credentials are wrong, which counts for their address.
            Throttled: there have been too many of these: even right ones would only tell a guess from another.
            TooManySignIns: too many passwords are being checked at the same time.
        """
        address = self.client
        if "authorization" in request.headers:
            self.client = f"wrong credentials of {address}"  # Until they prove right.
            _refuse_excess(_usage(FORESEE, self.client))
        try:
            super().perform_authentication(request)
        except TooManySignIns:
            self.client = address  # The credentials were not checked, so they do not count as wrong.
            raise
        self.client = _identity(request) or address


def _identity(request: Request) -> str | None:
    """Return the token or else the user of an authenticated request; None where nobody has signed in."""
    if hasattr(request.auth, "pk"):
        return f"token {request.auth.pk}"
    return f"user {request.user.pk}" if request.user.is_authenticated else None


def _refuse_excess(usage: Usage | None) -> None:
    if usage and usage.requests > usage.limit:
        raise Throttled(
            usage.reset_seconds,
            f"More than {usage.limit} requests in a minute; the setting API_REQUESTS_PER_MINUTE says how many may be.",
        )


def _usage(statement: str, client: str) -> Usage | None:
    """Return what COUNT makes or FORESEE finds of a client's usage; None without a limit, or without counts."""
    limit = settings.API_REQUESTS_PER_MINUTE
    if not limit:
        return None
    minute, second = divmod(time(), 60)
    requests = counts().execute(statement, int(minute), client)
    return None if requests is None else Usage(requests=requests, limit=limit, reset_seconds=ceil(60 - second))


class _Own(local):
    """What each thread has of its own."""

    connection: sqlite3.Connection | None = None
    inode: int | None = None  # Of the file that the connection was opened to.


class Counts:
    """The counts in a file, to which each thread has a connection of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._own = _Own()
        self._silent_until = 0.0
        self._silence = Lock()

    def execute(self, statement: str, minute: int, client: str) -> int | None:
        """Return the count that COUNT makes, or FORESEE says it would make.

        None where the file cannot be used: nobody is refused then, since a log that can be read matters more.
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
        """Close this thread's connection; its next request opens another one."""
        if self._own.connection:
            self._own.connection.close()
            self._own.connection = None

    def _connect(self) -> sqlite3.Connection:
        """Return this thread's connection to the file, which somebody may have removed since it was opened."""
        connection = self._own.connection
        if connection is None or self._own.inode != _inode(self._path):
            self.close()
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            connection = sqlite3.connect(self._path, timeout=WAIT_SECONDS, isolation_level=None)
            self._own.connection, self._own.inode = connection, _inode(self._path)
            # Nothing waits for the disk. What a power cut spoils is made anew.
            connection.execute("PRAGMA synchronous = OFF")
            # SQLite does not wait for another process that does the same to a new file; one of them is enough.
            with suppress(sqlite3.OperationalError):
                connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(SCHEMA)
        return connection

    def _give_up(self, error: OSError | sqlite3.Error) -> None:
        """Close the file, for the next request to open it anew, and say so unless that was said lately."""
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

    A fork inherits those of its parent, which it must neither use nor close, under an id that it never asks for.
    Source: https://www.sqlite.org/howtocorrupt.html, section 2.6 (read 2026-11-23).
    """
    return _counts(os.getpid(), settings.API_REQUESTS_FILE)


@cache
def _counts(process_id: int, path: Path) -> Counts:
    return Counts(path)
