"""Leave a server that has become read-only: another host may be the primary now."""

from typing import Any

from django.db.backends.postgresql import base
from psycopg import Connection, Error


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection that counts as broken once its server is read-only; the next one finds the primary."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Return a connection to a writable server. Django tests those that it holds, but these may be from a pool."""
        connection = super().get_new_connection(conn_params)
        # All connections in the pool may be to the old primary. After as many, the next one is new, which libpq tests.
        for _ in range(self.pool.max_size if self.pool else 0):
            connection.autocommit = True  # It may be False after an error; the test would then begin a transaction.
            if _is_writable(connection):
                break
            self.pool.putconn(connection)
            connection = super().get_new_connection(conn_params)
        return connection

    def is_usable(self) -> bool:
        """Return whether the server responds and is writable; replaces Django's test, which a standby passes."""
        return self.connection is not None and _is_writable(self.connection)


def _is_writable(connection: Connection) -> bool:
    """Return whether a server responds and is writable; if not, close the connection."""
    try:
        with connection.cursor() as cursor:
            is_writable = bool(cursor.execute("SHOW transaction_read_only").fetchone() == ("off",))
    except Error:
        is_writable = False
    if not is_writable:
        connection.close()  # Otherwise a pool would hand it out again.
    return is_writable
