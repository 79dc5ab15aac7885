"""Leave a server that has become read-only: another host may be the primary now."""

from django.db.backends.postgresql import base
from psycopg import Error


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection that counts as broken once its server is read-only; the next one finds the primary."""

    def is_usable(self) -> bool:
        """Return whether the server responds and is writable; replaces Django's test, which a standby passes."""
        if self.connection is None:
            return False
        try:
            with self.connection.cursor() as cursor:
                is_writable = bool(cursor.execute("SHOW transaction_read_only").fetchone() == ("off",))
        except Error:
            return False
        if not is_writable:
            self.connection.close()  # Otherwise a pool would hand it out again.
        return is_writable
