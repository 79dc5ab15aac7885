"""Read from a streaming replica where a request may (ADR 20); everything else reads and writes the primary."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Lock, local
from typing import Any, TypeVar

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS as PRIMARY
from django.db import Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

REPLICA = "replica"
CHECK_SECONDS = 1
MAX_CHECK_SECONDS = 2  # While a check takes longer, no other request reads from the replica.
RETRY_SECONDS = 10  # A host that does not answer delays a request by the time-out of the connection each time.

# The tables that may be read from the replica: the log, and what is derived from it. Accounts, tokens, feeds, channels,
# rules and the watch's leases are not among them: a revoked token must not work, and a running watch not seem dead.
MODELS = frozenset(
    {
        "logs.alarm",
        "logs.attempt",
        "logs.claim",
        "logs.dailyworkflow",
        "logs.delivery",
        "logs.flake",
        "logs.hourlylag",
        "logs.hourlystatus",
        "logs.hourlyworkflow",
        "logs.notification",
        "logs.notificationattempt",
        "logs.rollupstate",
        "logs.source",
        "logs.standing",
        "logs.statechange",
        "logs.summedday",
        "logs.workflow",
        "logs.workflowevent",
    }
)

# A primary in recovery has no current position, and fails here. The identifier is that of the data's initdb.
_PRIMARY_STATE = "SELECT pg_current_wal_flush_lsn(), clock_timestamp(), system_identifier FROM pg_control_system()"
_REPLICA_STATE = """
SELECT pg_is_in_recovery() AND system_identifier = %s, pg_last_wal_replay_lsn() >= %s::pg_lsn,
    pg_last_xact_replay_timestamp()
FROM pg_control_system()
"""

logger = logging.getLogger(__name__)
Result = TypeVar("Result")


class ReplicaUnusable(Exception):
    """The replica answers, but must not be read."""


class _ThisThread(local):
    uses_replica = False
    has_read = False  # Whether this request has read from the replica.
    as_of = 0.0  # A time (of time.monotonic()) up to which the replica has all commits, if it is used.


class Replica:
    """The state of the replica, as this process last measured it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._as_of: float | None = None
        self._next_check = 0.0
        self._problem = ""

    def as_of(self) -> float | None:
        """Return a time (of time.monotonic()) up to which the replica has all commits; None if it must not be read.

        One thread at a time checks; the others use the last result, which gets older meanwhile, until the next one is
        MAX_CHECK_SECONDS overdue: a replica that is frozen would keep their threads waiting, too.
        """
        if time.monotonic() >= self._next_check and self._lock.acquire(blocking=False):
            try:
                self._check()
            finally:
                self._lock.release()
        as_of, now = self._as_of, time.monotonic()
        if as_of is None or now - as_of > settings.REPLICA_MAX_LAG_SECONDS:
            return None
        return as_of if now < self._next_check + MAX_CHECK_SECONDS else None

    def give_up(self, problem: str) -> None:
        """Do not use the replica for RETRY_SECONDS."""
        self._as_of = None
        self._next_check = time.monotonic() + RETRY_SECONDS
        self._log(problem)

    def _check(self) -> None:
        started = time.monotonic()
        try:
            lag_seconds = _measure()
        except (Error, ReplicaUnusable) as error:
            self.give_up(str(error))
            return
        self._as_of = started - lag_seconds
        self._next_check = time.monotonic() + CHECK_SECONDS
        self._log("it lags" if lag_seconds > settings.REPLICA_MAX_LAG_SECONDS else "")

    def _log(self, problem: str) -> None:
        """Log a change of state, not each check."""
        if problem and not self._problem:
            logger.warning("the replica is not used: %s", problem)
        elif self._problem and not problem:
            logger.warning("the replica is used again")
        self._problem = problem


def _measure() -> float:
    """Return the replica's lag in seconds: never too little, but too much just after the primary was idle.

    The primary's position decides. A replica that has lost its primary has replayed all that it received, and the time
    of its last transaction is old on an idle primary, too. All times are from the primary's clock.

    Raises:
        Error: one of the servers cannot be reached, or the primary is not a primary.
        ReplicaUnusable: the replica is not a standby of the primary, or has not replayed anything yet.
    """
    with connections[PRIMARY].cursor() as cursor:
        cursor.execute(_PRIMARY_STATE)
        position, now, identifier = cursor.fetchone()
    with connections[REPLICA].cursor() as cursor:
        cursor.execute(_REPLICA_STATE, [identifier, position])
        is_standby, has_all, last_replayed_at = cursor.fetchone()
    if not is_standby:
        raise ReplicaUnusable("DATABASE_REPLICA_URL does not name a standby of the server in DATABASE_URL")
    if has_all:
        return 0.0
    if last_replayed_at is None:
        raise ReplicaUnusable("it has not replayed a transaction yet")
    lag: timedelta = now - last_replayed_at
    return max(0.0, lag.total_seconds())


replica = Replica()
_this_thread = _ThisThread()


class ReplicaRouter:
    """Sends the reads of MODELS to the replica if this thread's request may use it."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str:
        """Return the database to read from."""
        return REPLICA if model._meta.label_lower in MODELS and _alias() == REPLICA else _database_of(**hints)

    def db_for_write(self, model: type[Model], **hints: Any) -> str:
        """Return the database to write to."""
        return _database_of(**hints)

    def allow_relation(self, one: Model, other: Model, **hints: Any) -> bool | None:
        """Allow a relation between rows of the primary and the replica, which are the same."""
        return _database_of(one) == _database_of(other) == PRIMARY or None

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        """Forbid migrations of the replica."""
        return False if db == REPLICA else None


def _database_of(instance: Model | None = None, **hints: Any) -> str:
    """Return an instance's database, as Django does; the primary for an instance from the replica."""
    database = instance._state.db if instance else None
    return PRIMARY if database in (None, REPLICA) else database


def _alias() -> str:
    # A transaction reads what it writes.
    if not _this_thread.uses_replica or connections[PRIMARY].in_atomic_block:
        return PRIMARY
    _this_thread.has_read = True
    return REPLICA


def reading_connection() -> BaseDatabaseWrapper:
    """Return the connection for a statement, written by hand, that reads only tables of MODELS."""
    return connections[_alias()]


def read_from_replica() -> None:
    """Let the rest of this thread's request read from the replica, if that is usable."""
    as_of = replica.as_of()
    if as_of is not None:
        _this_thread.uses_replica, _this_thread.as_of = True, as_of


@contextmanager
def on_primary() -> Iterator[None]:
    """Read from the primary in this block, or in the decorated function."""
    uses_replica, _this_thread.uses_replica = _this_thread.uses_replica, False
    try:
        yield
    finally:
        _this_thread.uses_replica = uses_replica


def data_age_seconds() -> float | None:
    """Return how old the data that this request has read may be; None if none came from the replica."""
    return time.monotonic() - _this_thread.as_of if _this_thread.has_read else None


def leave_replica(problem: str) -> bool:
    """Stop using the replica; return False if this request does not read from it, so that it is not the problem."""
    if not (_this_thread.uses_replica and _this_thread.has_read):
        return False
    replica.give_up(problem)
    _this_thread.uses_replica = False
    return True


def read_again(read: Callable[[], Result]) -> Result:
    """Call a function that reads; if this fails on the replica, call it again on the primary."""
    try:
        return read()
    except Error as error:
        if not leave_replica(str(error)):
            raise
        return read()


def reset(**_: Any) -> None:
    """Begin with the primary again, at the beginning and the end of a request."""
    _this_thread.uses_replica = _this_thread.has_read = False
