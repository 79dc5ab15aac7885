"""Open the two databases of a copy, and refuse a target that it could damage."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.migrations.loader import MigrationLoader
from django.utils.module_loading import import_string

from logs.management.copying.databases import Database, PostgreSQL, SQLite
from logs.management.copying.state import STATE_TABLE, State
from logs.management.copying.tables import FILLED_BY_MIGRATE, tables

SOURCE, TARGET = "copy_log_source", "copy_log_target"
SQLITE = "django.db.backends.sqlite3"
KINDS: dict[str, type[Database]] = {"sqlite": SQLite, "postgresql": PostgreSQL}


def settings_for_url(text: str) -> dict[str, Any]:
    """Return Django's settings for the database of a URL.

    Raises:
        ValueError: the text is not the URL of a database. The message never contains a password.
    """
    database = import_string(settings.DATABASE_URL_READER)(text)
    complete: dict[str, Any] = connections.configure_settings({DEFAULT_DB_ALIAS: database})[DEFAULT_DB_ALIAS]
    return complete


def settings_of_target(database: dict[str, Any], *, is_dry_run: bool) -> dict[str, Any]:
    """Return settings that open a target without changing it. Create a missing SQLite file, but not in a dry run."""
    if database["ENGINE"] != SQLITE:
        return database
    with suppress(OSError, RuntimeError):  # SQLite reports a path that it cannot open.
        file = Path(database["NAME"]).resolve()
        if not is_dry_run:
            file.touch(mode=0o600, exist_ok=False)  # SQLite would let all users read the password hashes.
        elif file.parent.is_dir() and not file.exists():
            database = database | {"NAME": ":memory:"}  # SQLite would create the file.
    # The site's init_command would change another program's file before `find_state` refuses it. See `begin_session`.
    init_command = "PRAGMA query_only = ON" if is_dry_run else ""
    return database | {"OPTIONS": database["OPTIONS"] | {"init_command": init_command}}


@contextmanager
def opened(alias: str, database: dict[str, Any]) -> Iterator[Database]:
    """Open a database under an alias, which Django's migrations need, until the block ends."""
    options = database["OPTIONS"] | (
        # Otherwise, the driver would replace invalid times with None.
        {"detect_types": 0} if database["ENGINE"] == SQLITE else {}
    )
    options.pop("pool", None)
    connections.settings[alias] = database | {"OPTIONS": options}
    connections[alias] = connections.create_connection(alias)
    try:
        yield KINDS[connections[alias].vendor](connections[alias])
    finally:
        connections[alias].close()
        del connections[alias], connections.settings[alias]


def require_current(source: Database) -> None:
    """Check that the site's database has all migrations of this version.

    Raises:
        CommandError: it does not.
    """
    if _missing_migrations(source):
        raise CommandError("The site's database lacks migrations of this version: run `manage.py migrate` first.")


def find_state(source: Database, target: Database, site_id: str) -> State | None:
    """Return the state of a target that has a copy of this log, complete or not; None if it is empty.

    Raises:
        CommandError: it is the site's own database, or has something else.
    """
    if type(source) is type(target) and source.identity() == target.identity():
        raise CommandError("--to is the site's own database: give another one.")
    names = target.connection.introspection.table_names()
    if unknown := _unknown_migrations(target):
        raise CommandError(f"The database has migrations of another version ({unknown[0]}). Use an empty database.")
    if STATE_TABLE in names:
        state = State(target)
        if state.site_id != site_id:
            raise CommandError("The database has a copy of another log: use an empty database.")
        return state
    if names:
        _require_empty(target, names)
    return None


def _require_empty(target: Database, names: list[str]) -> None:
    """Check that only `migrate` has written to a target."""
    if "django_migrations" not in names:
        raise CommandError(f"The database is not empty: it has the table {names[0]}. Use an empty database.")
    if _missing_migrations(target):
        raise CommandError(
            "The database lacks migrations of this version. Run `manage.py migrate` with its URL as DATABASE_URL, "
            "or use a database without tables, which copy_log migrates itself."
        )
    for table in tables():
        if table.label not in FILLED_BY_MIGRATE and (count := target.count(table)):
            raise CommandError(f"The database is not empty: {table.name} has {count} rows. Use an empty database.")


def prepare(target: Database, state: State | None, site_id: str) -> State:
    """Create the target's tables, or those that are missing; return its state."""
    state = state or State.create(target, site_id)
    if _missing_migrations(target):
        call_command("migrate", database=TARGET, interactive=False, verbosity=0, skip_checks=True)
    return state


def _missing_migrations(database: Database) -> bool:
    loader = MigrationLoader(database.connection)
    return not loader.disk_migrations.keys() <= loader.applied_migrations.keys()


def _unknown_migrations(database: Database) -> list[str]:
    loader = MigrationLoader(database.connection)
    unknown = loader.applied_migrations.keys() - loader.disk_migrations.keys()
    return sorted(f"{app}.{name}" for app, name in unknown if app in loader.migrated_apps)
