"""Answer the probes for liveness (/healthz) and readiness (/readyz)."""

import logging
from collections.abc import Callable

from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.utils import timezone

from logs.insights.watching import WatchState, read_watch
from logs.models import Delivery, WorkflowEvent
from logs.standings.sources import News, read_news
from logs.transactions import durable_transaction

PROBE_PATIENCE_SECONDS = 1
logger = logging.getLogger(__name__)


class HealthMiddleware:
    """Answers /healthz and /readyz ahead of all other middleware.

    Probes use an IP address instead of a host name, and no TLS. Other middleware would reject or redirect the probes.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer a probe, or pass the request on."""
        # A webhook that is sent to a probe's path must not be acknowledged.
        probe = PROBES.get(request.path_info) if request.method in ("GET", "HEAD") else None
        return probe() if probe else self.get_response(request)


def healthz() -> HttpResponse:
    """Return 200 while the process serves requests, whatever the database's state."""
    return JsonResponse({"status": "ok"})


def readyz() -> HttpResponse:
    """Return 200 if the database is reachable, migrated and writable, otherwise 503 with the reason.

    The body also reports the watch, and whether the sources are heard from. Neither decides the status: the site
    receives webhooks nevertheless.
    """
    try:
        executor = MigrationExecutor(connection)
        pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if connection.vendor == "postgresql" and _is_read_only():
            return _unready("the database is read-only; see DATABASE_URL")
    except Error as error:
        # The driver's message may name hosts and users: it goes to the server's log, not to the client.
        logger.warning("not ready: %s", error)
        return _unready("the database cannot be reached; see DATABASE_URL")
    if pending:
        return _unready(f"{len(pending)} migrations are not applied; run `manage.py migrate`")
    try:
        _probe_write()
        watch, news = read_watch(), read_news(timezone.now())
    except Error as error:
        logger.warning("not ready: %s", error)
        return _unready(f"the database cannot be written: {_reason(error)}")
    return JsonResponse({"status": "ready", "watch": _watch_status(watch), "news": _news_status(news)})


def _watch_status(watch: WatchState) -> str:
    if not watch.is_running:
        return "not running"
    return f"failing: {', '.join(watch.errors)}" if watch.errors else "running"


def _news_status(news: News) -> str:
    if not news.is_unknown:
        return "current"
    return f"unknown since {news.since:%Y-%m-%dT%H:%MZ}" if news.since else "unknown"


def _is_read_only() -> bool:
    # For example, a standby that was not promoted answers queries, but stores no events.
    with connection.cursor() as cursor:
        cursor.execute("SHOW transaction_read_only")
        return bool(cursor.fetchone() == ("on",))


def _reason(error: Error) -> str:
    """Return why a write failed, without naming a host or a user.

    PostgreSQL's own error for a statement names only tables, if anything. A broken connection causes no such error.
    """
    if connection.vendor == "sqlite":
        return str(error)
    answer = getattr(error.__cause__, "diag", None)
    return (answer and answer.message_primary) or "the connection failed"


def _probe_write() -> None:
    """Write to the database as a delivery does, without changing stored data.

    SQLite detects a full disk only when it commits, never in a transaction that is rolled back. The function therefore
    commits a number that is already in the file's header. PostgreSQL checks privileges and the server's mode even if
    the statement inserts no rows.

    Raises:
        Error: the database cannot be written to within a few seconds.
    """
    with durable_transaction(patience_seconds=PROBE_PATIENCE_SECONDS), connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA user_version = 0")
            return
        for model in (WorkflowEvent, Delivery):
            table = connection.ops.quote_name(model._meta.db_table)
            cursor.execute(f"INSERT INTO {table} SELECT * FROM {table} WHERE false")  # noqa: S608 - the models' names


def _unready(detail: str) -> HttpResponse:
    return JsonResponse({"status": "unready", "detail": detail}, status=503)


PROBES = {"/healthz": healthz, "/readyz": readyz}
