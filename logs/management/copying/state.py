"""The target's own record of a copy: of which log it is, and whether it is complete."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from secrets import token_hex

from django.core.management.base import CommandError
from django.db import transaction

from logs.management.copying.databases import Database

STATE_TABLE = "copy_log_state"


class State:
    """The only row of a table that `copy_log` adds to the target. The site never reads it.

    Args:
        target: the database; the table exists.
    """

    def __init__(self, target: Database) -> None:
        self._target = target
        self._run = token_hex(16)
        # The checksums are those of each table when the last run ended; none while a run is not complete.
        self.site_id, self.checksums = self._read("site_id"), json.loads(self._read("checksums"))

    @classmethod
    def create(cls, target: Database, site_id: str) -> "State":
        """Mark a target as a copy of a site's log, before anything is copied."""
        with transaction.atomic(using=target.connection.alias, durable=True):
            target.execute(
                f"CREATE TABLE {STATE_TABLE}"
                " (site_id text NOT NULL, run text NOT NULL, foreign_keys text NOT NULL, checksums text NOT NULL)"
            )
            target.execute(f"INSERT INTO {STATE_TABLE} VALUES (%s, '', '[]', '{{}}')", [site_id])  # noqa: S608 - a constant
        return cls(target)

    def take_turn(self) -> None:
        """Let this run write, and no earlier run; wait for the transaction that an earlier run has open."""
        with transaction.atomic(using=self._target.connection.alias, durable=True):
            self._write(run=self._run)
            self.checksums = json.loads(self._read("checksums"))  # An earlier run may have written them meanwhile.

    def begin(self, tables: list[str]) -> None:
        """Stop checking the references of some tables, and record that the copy is not complete.

        Raises:
            CommandError: a later run has taken its turn.
        """
        with transaction.atomic(using=self._target.connection.alias, durable=True):
            self._require_turn()
            dropped = json.loads(self._read("foreign_keys")) + self._target.drop_foreign_keys(tables)
            self._write(foreign_keys=json.dumps(dropped), checksums="{}")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Open a transaction of this run.

        Raises:
            CommandError: a later run has taken its turn.
        """
        with self._target.writing():
            self._require_turn()
            yield

    def complete(self, checksums: dict[str, str]) -> None:
        """Restore the checks of references, and record that the copy is complete.

        Raises:
            CommandError: a later run has taken its turn.
            IntegrityError: a row refers to a missing row.
        """
        with transaction.atomic(using=self._target.connection.alias, durable=True):
            self._require_turn()
            self._target.restore_foreign_keys(json.loads(self._read("foreign_keys")))
            self._write(foreign_keys="[]", checksums=json.dumps(checksums))

    def _require_turn(self) -> None:
        """Check that this run is the latest, and keep another one from taking its turn until the transaction ends."""
        self._write(site_id=self.site_id)
        if self._read("run") != self._run:
            raise CommandError("Another copy_log writes to this database: wait until it ends, and run this one again.")

    def _read(self, column: str) -> str:
        [(text,)] = self._target.execute(f"SELECT {column} FROM {STATE_TABLE}")  # noqa: S608 - own names
        return str(text)

    def _write(self, **columns: str) -> None:
        changes = ", ".join(f"{column} = %s" for column in columns)
        self._target.execute(f"UPDATE {STATE_TABLE} SET {changes}", [*columns.values()])  # noqa: S608 - own names
