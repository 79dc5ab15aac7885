"""Insert an event unless it is known, in one statement that needs no look before it."""

from django.db import connection

from logs.models import WorkflowEvent


def insert_event(row: WorkflowEvent) -> bool:
    """Insert a row and set its primary key; return False, writing nothing, where its event id is known already.

    The database decides by its unique constraint, waiting for a transaction that is inserting the same id. Django's
    ``bulk_create(ignore_conflicts=True)`` does the same but cannot tell whether it inserted.
    """
    meta, quote = WorkflowEvent._meta, connection.ops.quote_name
    fields = [field for field in meta.concrete_fields if not field.primary_key]
    sql = (
        f"INSERT INTO {quote(meta.db_table)} ({', '.join(quote(field.get_attname()) for field in fields)})"  # noqa: S608 - names of the model
        f" VALUES ({', '.join(['%s'] * len(fields))})"
        f" ON CONFLICT ({quote('event_id')}) DO NOTHING RETURNING {quote('id')}"
    )
    values = [field.get_db_prep_save(getattr(row, field.attname), connection) for field in fields]
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        inserted = cursor.fetchone()
    if inserted is not None:
        row.pk = inserted[0]
    return inserted is not None
