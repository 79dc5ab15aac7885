"""The two ends of a copy: what each kind of database does in its own way."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from logs.management.copying.tables import Row, Table
from logs.management.copying.values import Reader

LEAST_KEY = -(2**63)
SQLITE_PRAGMAS = (
    "PRAGMA journal_mode = WAL",  # Like the site. Otherwise, each block would wait for the disk.
    "PRAGMA wal_autocheckpoint = 4000",  # In pages. By default, the same pages would be moved to the file more often.
    "PRAGMA temp_store = MEMORY",  # Otherwise, SQLite would copy pages into a file, to be able to undo a statement.
    "PRAGMA foreign_keys = OFF",  # Until the last block is committed, rows refer to missing rows.
    "PRAGMA synchronous = NORMAL",  # A power failure may undo the last blocks. `settle` waits for the disk.
    "PRAGMA cache_size = -200000",  # In kB. Otherwise, an insertion would read parts of large indexes again.
)


class Database(ABC):
    """A database that is copied from or to."""

    snapshot_statements: tuple[str, ...]

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection

    def execute(self, sql: str, parameters: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows; none if it is not a query."""
        with self.connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read one state of the database until the block ends; other processes may go on writing."""
        for statement in self.snapshot_statements:
            self.execute(statement)
        try:
            yield
        finally:
            self.connection.close()

    def blocks(self, table: Table) -> Iterator[int]:
        """Yield the numbers of the blocks that have rows."""
        if not table.has_numbered_keys:
            yield from [0] if self.count(table) else []
            return
        start = LEAST_KEY
        while (key := self._key_from(table, start)) is not None:
            block = key // table.keys_per_block
            yield block
            start = (block + 1) * table.keys_per_block

    def _key_from(self, table: Table, start: int) -> int | None:
        key: int | None
        column = f'"{table.key.column}"'
        [(key,)] = self.execute(f'SELECT MIN({column}) FROM "{table.name}" WHERE {column} >= {start}')  # noqa: S608 - names of models
        return key

    def count(self, table: Table) -> int:
        """Return the number of rows."""
        [(count,)] = self.execute(f'SELECT COUNT(*) FROM "{table.name}"')  # noqa: S608 - a model's table
        return int(count)

    def read(self, table: Table, block: int) -> list[Row]:
        """Return the rows of a block, ordered by their keys."""
        sql = f'SELECT {table.columns} FROM "{table.name}" WHERE {table.condition(block)} ORDER BY 1'  # noqa: S608 - names of models
        return list(map(Reader(table).read, self.execute(sql)))

    def delete(self, table: Table, block: int) -> None:
        """Delete the rows of a block."""
        self.execute(f'DELETE FROM "{table.name}" WHERE {table.condition(block)}')  # noqa: S608 - names of models

    def greatest_key(self, table: Table) -> int:
        """Return the greatest key that was ever given to a row, even if that row was deleted; 0 if none was."""
        [(key,)] = self.execute(f'SELECT MAX("{table.key.column}") FROM "{table.name}"')  # noqa: S608 - names of models
        return max(key or 0, self._last_given(table) or 0)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Open a transaction that reaches the disk with the next one that waits for it."""
        with transaction.atomic(using=self.connection.alias, durable=True):
            self._skip_waiting_for_the_disk()
            yield

    @abstractmethod
    def identity(self) -> tuple[object, ...]:
        """Return what two connections to the same database have in common."""

    @abstractmethod
    def size_bytes(self) -> int:
        """Return the size of the database."""

    @abstractmethod
    def insert(self, table: Table, rows: list[Row]) -> None:
        """Insert rows with their keys."""

    @abstractmethod
    def begin_session(self) -> None:
        """Change settings of the session before many rows are written."""

    @abstractmethod
    def drop_foreign_keys(self, names: list[str]) -> list[str]:
        """Stop checking the references of some tables; return the statements that restore the checks."""

    @abstractmethod
    def restore_foreign_keys(self, statements: list[str]) -> None:
        """Check all references, and those of new rows from now on."""

    @abstractmethod
    def settle(self) -> None:
        """Do now what the database would otherwise do while the site serves."""

    @abstractmethod
    def continue_keys_after(self, table: Table, key: int) -> None:
        """Let new rows get keys above a key; 0 if no row has had a key."""

    @abstractmethod
    def _last_given(self, table: Table) -> int | None: ...

    @abstractmethod
    def _skip_waiting_for_the_disk(self) -> None: ...


class SQLite(Database):
    """A file. Its times are text, its booleans are numbers."""

    snapshot_statements = ("BEGIN", "SELECT 1 FROM sqlite_master")  # The first query fixes the state that is read.

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        super().__init__(connection)
        connection.ensure_connection()
        # Bytes that are not UTF-8 are found when values are checked, not when they are read.
        connection.connection.text_factory = partial(str, encoding="utf-8", errors="surrogateescape")

    def identity(self) -> tuple[object, ...]:
        """Return the path of the file."""
        return (Path(self.connection.settings_dict["NAME"]).resolve(),)

    def size_bytes(self) -> int:
        """Return the size of the file."""
        [(pages,)], [(size,)] = self.execute("PRAGMA page_count"), self.execute("PRAGMA page_size")
        return int(pages * size)

    def insert(self, table: Table, rows: list[Row]) -> None:
        """Insert rows, with values as Django writes them; times are compared as text."""
        places = ", ".join(["%s"] * len(table.fields))
        sql = f'INSERT INTO "{table.name}" ({table.columns}) VALUES ({places})'  # noqa: S608 - names of models
        with self.connection.cursor() as cursor:
            cursor.executemany(sql, [[_as_text(value) for value in row] for row in rows])

    def begin_session(self) -> None:
        """Write ahead, check no references, wait for no disk; `migrate` would check references again."""
        for pragma in SQLITE_PRAGMAS:
            self.execute(pragma)

    def drop_foreign_keys(self, names: list[str]) -> list[str]:
        """Do nothing: this session does not check references."""
        return []

    def restore_foreign_keys(self, statements: list[str]) -> None:
        """Check all rows; other connections check new rows anyway."""
        self.connection.check_constraints()

    def settle(self) -> None:
        """Move everything from the write-ahead log to the file, and to the disk."""
        self.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def continue_keys_after(self, table: Table, key: int) -> None:
        """Set the sequence, which is a row of a table of SQLite's own."""
        self.execute("DELETE FROM sqlite_sequence WHERE name = %s", [table.name])
        if key:
            self.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (%s, %s)", [table.name, key])

    def _last_given(self, table: Table) -> int | None:
        rows = self.execute("SELECT seq FROM sqlite_sequence WHERE name = %s", [table.name])
        return rows[0][0] if rows else None

    def _skip_waiting_for_the_disk(self) -> None:
        """Do nothing: a pragma says so for the whole session."""


def _as_text(value: Any) -> Any:
    return str(value.astimezone(UTC).replace(tzinfo=None)) if isinstance(value, datetime) else value


class PostgreSQL(Database):
    """A database of a server."""

    snapshot_statements = (
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        "SET LOCAL idle_in_transaction_session_timeout = 0",  # The source is idle while the target writes.
        "SELECT 1",
    )

    def identity(self) -> tuple[object, ...]:
        """Return the database and when its server started, to the microsecond; a server may have several addresses."""
        return self.execute("SELECT current_database(), pg_postmaster_start_time()")[0]

    def size_bytes(self) -> int:
        """Return the size on the server's disk."""
        return int(self.execute("SELECT pg_database_size(current_database())")[0][0])

    def insert(self, table: Table, rows: list[Row]) -> None:
        """Insert rows with COPY."""
        sql = f'COPY "{table.name}" ({table.columns}) FROM STDIN'
        with self.connection.wrap_database_errors, self.connection.cursor() as cursor, cursor.copy(sql) as copy:
            for row in rows:
                copy.write_row(row)

    def begin_session(self) -> None:
        """Do nothing: PgBouncer would not keep settings of a session."""

    def drop_foreign_keys(self, names: list[str]) -> list[str]:
        """Drop the constraints: until the last block is committed, rows refer to missing rows."""
        found = self.execute(
            "SELECT conrelid::regclass::text, quote_ident(conname), pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE contype = 'f' AND conrelid = ANY(%s::regclass[])",
            [names],
        )
        for table, name, _ in found:
            self.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
        return [f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}" for table, name, definition in found]

    def restore_foreign_keys(self, statements: list[str]) -> None:
        """Add the constraints again, which checks all rows."""
        for statement in statements:
            self.execute(statement)

    def settle(self) -> None:
        """Collect statistics: without them, the first queries would read whole tables."""
        self.execute("ANALYZE")

    def continue_keys_after(self, table: Table, key: int) -> None:
        """Set the sequence."""
        self.execute(f"SELECT setval({self._sequence(table)}, %s, %s)", [key or 1, bool(key)])

    def _last_given(self, table: Table) -> int | None:
        key: int | None = self.execute(f"SELECT pg_sequence_last_value({self._sequence(table)})")[0][0]
        return key

    def _sequence(self, table: Table) -> str:
        return f"pg_get_serial_sequence('{table.name}', '{table.key.column}')::regclass"

    def _skip_waiting_for_the_disk(self) -> None:
        self.execute("SET LOCAL synchronous_commit = off")
