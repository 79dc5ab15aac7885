"""Insert an event unless its id is known, in one statement.

The database decides with its unique constraint, and waits for a transaction that is inserting the same id. Django's
``bulk_create(ignore_conflicts=True)`` does the same but does not report whether it inserted.
"""

import itertools
import json
import select
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any, NamedTuple, cast

from django.db import DEFAULT_DB_ALIAS, InterfaceError, InternalError, OperationalError, connection, connections
from django.db.models import Field, Model
from psycopg import RawCursor

from logs.ingest import threads
from logs.ingest.records import seconds_since
from logs.ingest.threads import with_usable_connection
from logs.ingest.writer import Writer
from logs.models import Delivery, WorkflowEvent
from logs.transactions import durable_transaction, require_time_left, sqlite_turn

# How many events may share a commit. On PostgreSQL, each number of events needs its own prepared statement.
MOST_TOGETHER = 16
# Waiting for other events, for a turn (transactions.py) and for a lock (databases.py) takes less than 10 s in total.
PATIENCE_SECONDS = 3
# SQLSTATE codes: a PostgreSQL limit exceeded by a row (class 54), a lock timeout, and a deadlock.
OF_ONE_EVENT = ("54", "55P03", "40P01")

Columns = dict[str, Any]  # The values of a row's columns by name.


class Pair(NamedTuple):
    """An event and the delivery that brought it."""

    event: Columns
    delivery: Columns  # Without the event's key.
    is_bound: bool = False  # Its webhook is bound to projects, so the project id must not be another project's.
    started_at: float | None = None  # When its request arrived, by `monotonic`; None if no client waits for a response.


_UNLESS_KNOWN = "ON CONFLICT (event_id) DO NOTHING"
# True if the project id was last seen with the event's own slug, or never. identity.py decides all other cases.
# With = instead of BETWEEN, PostgreSQL may scan the whole table by event_newest for the first event of a new project.
_PROJECT_ID_IS_FREE = """sent.project_id = '' OR sent.project_slug = COALESCE((
    SELECT known.project_slug FROM logs_workflowevent known
    WHERE known.project_id BETWEEN sent.project_id AND sent.project_id
    AND known.project_slug <> '' AND known.verified >= sent.verified
    ORDER BY known.project_id, known.received_at DESC, known.id DESC LIMIT 1), sent.project_slug)"""


def insert_event(row: WorkflowEvent) -> bool:
    """Insert a row and set its primary key; return False and write nothing if its event id is known."""
    with connection.cursor() as cursor:
        cursor.execute(_event_statement("%s"), _values(WorkflowEvent, vars(row)))
        inserted = cursor.fetchone()
    row.pk = inserted and inserted[0]
    return inserted is not None


async def insert_on_loop(pair: Pair) -> bool:
    """Insert an event and its delivery durably; return False and write nothing if the event may not be new.

    An event may not be new if its id is known, or if its webhook is bound and its project id was last seen with another
    slug. Events that arrive at the same time share a transaction.

    Raises:
        OperationalError: the database is unreachable, full or too slow. If too slow, the rows may have been written.
    """
    started = time.monotonic()
    try:
        key = await writer.submit(pair)
    except TimeoutError as error:
        raise OperationalError(str(error)) from error
    except Exception as error:
        # Any kind of error: one that another event in the group has caused must not fail this event.
        if not _may_be_anothers(error):
            raise
        key = await threads.authentic.run(_insert_alone, pair, started)
    return key is not None


def _insert_alone(pair: Pair, started: float) -> int | None:
    require_time_left(started)
    return insert_pairs([pair])[0]


def insert_pairs(pairs: Sequence[Pair]) -> list[int | None]:
    """Insert events with their deliveries; return the events' primary keys, with None for each event not inserted."""
    # If one event arrived twice at the same time, only the first is inserted; the caller handles the second.
    first = {pair.event["event_id"]: pair for pair in reversed(pairs)}
    insert = _insert_in_turn if connection.vendor == "sqlite" else _insert_at_once
    # In order of their ids: otherwise two processes could wait for each other.
    inserted = insert([pair for _, pair in sorted(first.items())])
    return [inserted.get(pair.event["event_id"]) if first[pair.event["event_id"]] is pair else None for pair in pairs]


def _insert_at_once(pairs: Sequence[Pair]) -> dict[str, int]:
    """Insert with one prepared statement, which is its own transaction: one round trip to PostgreSQL instead of five.

    Django's cursor would first test the connection, then begin and end a transaction around two statements per event.
    """
    _drop_dead_connection()
    connection.ensure_connection()
    _set_seconds(pairs)
    events = [[*_texts(WorkflowEvent, pair.event), pair.is_bound] for pair in pairs]
    deliveries = [[pair.event["event_id"], *_texts(Delivery, pair.delivery)] for pair in pairs]
    with connection.wrap_database_errors, RawCursor(connection.connection) as cursor:
        cursor.execute(_statement_for(len(pairs)), [*itertools.chain(*events, *deliveries)], prepare=True)
        return dict(cursor.fetchall())


def _insert_in_turn(pairs: Sequence[Pair]) -> dict[str, int]:
    """Insert with two statements per event in one SQLite transaction, where a round trip is only a function call.

    This uses sqlite3 directly because Django's cursor rewrites a statement's placeholders on each call.
    """
    inserted = {}
    with durable_transaction(), connection.wrap_database_errors:
        _set_seconds(pairs)
        execute = connection.connection.execute
        for pair in pairs:
            of_event = [_sqlite_value(pair.event[name]) for name in _names(WorkflowEvent)]
            key = execute(_guarded_event_statement(), [*of_event, pair.is_bound]).fetchone()
            if key:
                inserted[pair.event["event_id"]] = key[0]
                of_delivery = [_sqlite_value(pair.delivery[name]) for name in _names(Delivery)]
                execute(_delivery_statement(), [*of_delivery, *key])
    return inserted


def _set_seconds(pairs: Sequence[Pair]) -> None:
    """Set how long each request has taken so far, including its wait for other events and for SQLite's lock."""
    for pair in pairs:
        if pair.started_at is not None:
            pair.delivery["response_seconds"] = seconds_since(pair.started_at)


writer: Writer[Pair, int | None] = Writer(
    partial(with_usable_connection, insert_pairs),
    turn=sqlite_turn,
    most=MOST_TOGETHER,
    patience_seconds=PATIENCE_SECONDS,
)


def _may_be_anothers(error: Exception) -> bool:
    """Return whether an error may have been caused by another event in the same statement, not by the database."""
    if isinstance(error, OperationalError | InterfaceError | InternalError):
        return (getattr(error.__cause__, "sqlstate", None) or "").startswith(OF_ONE_EVENT)
    return True


def _drop_dead_connection() -> None:
    """Close the connection if the server has ended it: an idle connection becomes readable only in that case."""
    if connection.connection is None:
        return
    is_dead = connection.connection.closed
    if not is_dead:
        poll = select.poll()
        poll.register(connection.connection.fileno(), select.POLLIN)
        is_dead = bool(poll.poll(0))
    if is_dead:
        connection.close()


@cache
def _fields(model: type[Model]) -> list["Field[Any, Any]"]:
    """Return the fields that an insert writes, except a delivery's foreign key to its event."""
    return [field for field in model._meta.concrete_fields if not field.primary_key and not field.is_relation]


@cache
def _names(model: type[Model]) -> list[str]:
    return [field.attname for field in _fields(model)]


def _values(model: type[Model], columns: Columns) -> list[Any]:
    # Each field calls the connection; through Django's proxy, these calls would take longer than everything else here.
    database = connections[DEFAULT_DB_ALIAS]
    return [field.get_db_prep_save(columns[field.attname], database) for field in _fields(model)]


def _sqlite_value(value: Any) -> str | bytes | bool | int | float | None:
    """Return a value as Django stores it in SQLite, but faster: without a call to each field."""
    match value:
        case datetime():
            return str(value.astimezone(UTC).replace(tzinfo=None))
        case dict():
            return json.dumps(value)
        case None | str() | bytes() | bool() | int() | float():
            return value
    raise TypeError(f"no column holds a {type(value).__name__}")


def _texts(model: type[Model], columns: Columns) -> list[str | bytes | bool | None]:
    """Return a row's values as text that PostgreSQL can parse, except bytes, booleans and None.

    Each combination of types needs its own prepared statement. psycopg would use different types for short numbers,
    long numbers and None.
    """
    return [_text(columns[name]) for name in _names(model)]


_TO_TEXT: dict[type, Callable[[Any], str]] = {int: str, float: str, datetime: str, dict: json.dumps}


def _text(value: Any) -> str | bytes | bool | None:
    if isinstance(value, str):
        return str(value)  # A StrEnum member has its own type.
    if value is None or isinstance(value, bytes | bool):
        return value
    if convert := _TO_TEXT.get(type(value)):
        return convert(value)
    raise TypeError(f"no column holds a {type(value).__name__}")


def _insert_into(model: type[Model], *more: str) -> str:
    names = ", ".join([*_quoted_names(model), *more])
    return f"INSERT INTO {connection.ops.quote_name(model._meta.db_table)} ({names})"


@cache
def _event_statement(placeholder: str) -> str:
    placeholders = ", ".join([placeholder] * len(_names(WorkflowEvent)))
    return f"{_insert_into(WorkflowEvent)} VALUES ({placeholders}) {_UNLESS_KNOWN} RETURNING id"


@cache
def _guarded_event_statement() -> str:
    """Return the SQLite statement that inserts an event unless its id is known or its project id is taken."""
    names = _names(WorkflowEvent)
    placeholders = ", ".join(f"?{number} AS {connection.ops.quote_name(name)}" for number, name in enumerate(names, 1))
    return (
        f"{_insert_into(WorkflowEvent)} SELECT * FROM (SELECT {placeholders}) sent"  # noqa: S608 - names of the model
        f" WHERE NOT ?{len(names) + 1} OR {_PROJECT_ID_IS_FREE} {_UNLESS_KNOWN} RETURNING id"
    )


@cache
def _delivery_statement() -> str:
    placeholders = ", ".join("?" for _ in [*_names(Delivery), "event_id"])
    return f"{_insert_into(Delivery, 'event_id')} VALUES ({placeholders})"


@cache
def _statement_for(count: int) -> str:
    """Return the PostgreSQL statement that inserts `count` events, each with its delivery."""
    event_names, delivery_names = _quoted_names(WorkflowEvent), _quoted_names(Delivery)
    numbers = itertools.count(1)
    sent = ", ".join(_placeholders(numbers, [*_types(WorkflowEvent), "::boolean"]) for _ in range(count))
    arrived = ", ".join(_placeholders(numbers, ["", *_types(Delivery)]) for _ in range(count))
    return (
        f"WITH sent ({', '.join(event_names)}, is_bound) AS (VALUES {sent}),"  # noqa: S608 - names of the models
        f" event AS ({_insert_into(WorkflowEvent)} SELECT {', '.join(f'sent.{name}' for name in event_names)} FROM sent"
        f" WHERE NOT sent.is_bound OR {_PROJECT_ID_IS_FREE} {_UNLESS_KNOWN} RETURNING id, event_id),"
        f" arrived (event_id, {', '.join(delivery_names)}) AS (VALUES {arrived}),"
        f" kept AS ({_insert_into(Delivery, 'event_id')} SELECT {', '.join(f'arrived.{n}' for n in delivery_names)},"
        " event.id FROM arrived JOIN event USING (event_id))"
        " SELECT event_id, id FROM event"
    )


def _quoted_names(model: type[Model]) -> list[str]:
    return [connection.ops.quote_name(name) for name in _names(model)]


def _types(model: type[Model]) -> list[str]:
    """Return casts to the columns' types, without lengths: a cast to a length would silently truncate the value."""
    return ["::" + cast("str", field.db_type(connection)).partition("(")[0] for field in _fields(model)]


def _placeholders(numbers: Iterator[int], types: Sequence[str]) -> str:
    """Return a row of numbered placeholders, each with a cast to its type."""
    return f"({', '.join(f'${next(numbers)}{type_}' for type_ in types)})"
