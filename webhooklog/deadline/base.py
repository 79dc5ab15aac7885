"""Give up statements that take too long: a frozen server never answers, but keeps its connections open."""

from functools import partial
from typing import Any

from django.db.backends.postgresql import base
from psycopg import Connection, OperationalError
from psycopg.errors import _WaitTimeout

STATEMENT_SECONDS = 3  # As statement_timeout in databases.py, which ends the statement on a server that is only slow.


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection that closes, and raises OperationalError, if a statement takes longer than STATEMENT_SECONDS."""

    # Django calls this for each new connection, also for those of a pool.
    def _configure_connection(self, connection: Any) -> Any:
        # psycopg waits in this method for each statement, also for those by which Django or a pool tests a connection.
        connection.wait = partial(_wait, connection)
        return super()._configure_connection(connection)  # type: ignore[misc]  # The stubs lack it.


def _wait(connection: Connection, *args: Any, **kwargs: Any) -> Any:
    try:
        return Connection.wait(connection, *args, **{"timeout": STATEMENT_SECONDS} | kwargs)
    except _WaitTimeout as error:
        connection.close()  # Otherwise the next statement would fail, because this one still runs.
        raise OperationalError(f"the server has not answered within {STATEMENT_SECONDS} seconds") from error
