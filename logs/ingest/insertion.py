"""Insert an event unless it is known, in one statement that needs no look before it.

The database decides by its unique constraint, waiting for a transaction that is inserting the same id. Django's
``bulk_create(ignore_conflicts=True)`` does the same but cannot tell whether it inserted.
"""

import select
from functools import cache
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.models import Field, Model
from psycopg import Cursor

from logs.models import Delivery, WorkflowEvent

Columns = list["Field[Any, Any]"]


def insert_event(row: WorkflowEvent) -> bool:
    """Insert a row and set its primary key; return False, writing nothing, where its event id is known already."""
    with connection.cursor() as cursor:
        cursor.execute(_event_statement(), _values(row, _columns(WorkflowEvent)))
        inserted = cursor.fetchone()
    row.pk = inserted and inserted[0]
    return inserted is not None


def insert_with_delivery(row: WorkflowEvent, delivery: Delivery) -> bool:
    """Insert an event and the delivery that brought it, durably; return False, writing nothing, where it is known.

    For PostgreSQL only, where a prepared statement, which is a transaction by itself, takes one round trip instead of
    five: Django's cursor would test the connection first, and begin and end a transaction around two statements.

    Raises:
        OperationalError: the database is away or full; nothing is written.
    """
    _drop_dead_connection()
    connection.ensure_connection()
    values = _values(row, _columns(WorkflowEvent)) + _values(delivery, _columns(Delivery)[:-1])
    with connection.wrap_database_errors, Cursor(connection.connection) as cursor:
        cursor.execute(_statement_for_both(), values, prepare=True)
        inserted = cursor.fetchone()
    row.pk = inserted and inserted[0]
    return inserted is not None


def _drop_dead_connection() -> None:
    """Close a connection that the server has ended: when nobody asks it anything, it says nothing but good-bye."""
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
def _columns(model: type[Model]) -> Columns:
    """Return the columns that an insert writes."""
    return [field for field in model._meta.concrete_fields if not field.primary_key]


def _values(row: Model, columns: Columns) -> list[Any]:
    # Each column asks the connection something; to be passed on by the proxy would take longer than all else here.
    database = connections[DEFAULT_DB_ALIAS]
    return [column.get_db_prep_save(getattr(row, column.attname), database) for column in columns]


def _insert_into(model: type[Model]) -> str:
    quote = connection.ops.quote_name
    names = ", ".join(quote(column.attname) for column in _columns(model))
    return f"INSERT INTO {quote(model._meta.db_table)} ({names})"


def _places(columns: Columns) -> str:
    return ", ".join(["%s"] * len(columns))


@cache
def _event_statement() -> str:
    values = f"VALUES ({_places(_columns(WorkflowEvent))})"
    return f"{_insert_into(WorkflowEvent)} {values} ON CONFLICT (event_id) DO NOTHING RETURNING id"


@cache
def _statement_for_both() -> str:
    places = _places(_columns(Delivery)[:-1])  # The last column is the event's key.
    return (
        f"WITH event AS ({_event_statement()})"  # noqa: S608 - names of the models
        f" {_insert_into(Delivery)} SELECT {places}, id FROM event RETURNING event_id"
    )
