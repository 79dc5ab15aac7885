"""A log that is copied to another database: equal, continued after a kill, refused rather than damaged."""

import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import psycopg
import pytest
from django.core.management import call_command, load_command_class
from django.core.management.base import CommandError
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone

from logs.management.copying import databases
from logs.management.copying.state import State
from logs.management.copying.tables import KEYS_PER_BLOCK
from logs.management.copying.targets import TARGET, opened, settings_for_url
from logs.models import Delivery, HourlyStatus, Outcome, Site, WatchTask, Workflow, WorkflowEvent
from logs.models.watch import LEASE, LONGEST_CLAIM
from tests.integration.own_postgresql import OwnDatabase
from tests.integration.whole_log import make_whole_log, rows_in, rows_of
from tests.load.engines import migrate

pytestmark = pytest.mark.django_db(transaction=True)

PROJECT = Path(__file__).resolve().parents[2]
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


class Copy:
    """A database to copy to."""

    def __init__(self, url):
        self.url = url

    def rows(self):
        """Return all rows, as Django's models have them."""
        return rows_in(settings_for_url(self.url))

    def execute(self, sql):
        """Run a statement without Django, and return its rows."""
        if self.url.startswith("sqlite"):
            with closing(sqlite3.connect(self.url.removeprefix("sqlite:///"), isolation_level=None)) as database:
                return database.execute(sql).fetchall()
        with psycopg.connect(self.url, autocommit=True) as database:
            cursor = database.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def is_touched(self):
        """Whether the command has written to it."""
        catalogue = "sqlite_master" if self.url.startswith("sqlite") else "pg_tables"
        column = "name" if self.url.startswith("sqlite") else "tablename"
        return self.execute(f"SELECT 1 FROM {catalogue} WHERE {column} = 'copy_log_state'") != []


@pytest.fixture(autouse=True)
def other_databases(transactional_db, django_db_blocker, monkeypatch):
    """Allow connections to the databases that the command opens, which Django's tests forbid."""
    monkeypatch.setattr(BaseDatabaseWrapper, "ensure_connection", django_db_blocker._real_ensure_connection)  # noqa: SLF001 - no public name


@pytest.fixture(scope="module")
def migrated_file(tmp_path_factory):
    """An SQLite file with all tables: migrating takes seconds."""
    folder = tmp_path_factory.mktemp("migrated")
    migrate(os.environ | {"DATABASE_URL": f"sqlite:///{folder}/migrated.sqlite3"})
    return folder / "migrated.sqlite3"


@pytest.fixture(scope="module")
def migrated_database(django_db_setup, django_db_blocker):
    """A PostgreSQL database with all tables."""
    database = OwnDatabase()
    migrate(os.environ | {"DATABASE_URL": database.url})
    yield database
    database.drop()


@pytest.fixture
def file(tmp_path, migrated_file):
    """An SQLite file with all tables."""
    shutil.copy(migrated_file, tmp_path / "copy.sqlite3")
    return Copy(f"sqlite:///{tmp_path}/copy.sqlite3")


@pytest.fixture(params=["sqlite", "postgresql"])
def copy(request):
    """A database of each kind with all tables; a run on SQLite has no server."""
    if request.param == "sqlite":
        yield request.getfixturevalue("file")
        return
    if connection.vendor != "postgresql":
        pytest.skip("this run has no PostgreSQL server")
    template = request.getfixturevalue("migrated_database")
    name = f"{template.name}_copy"
    template.administer(f"CREATE DATABASE {name} TEMPLATE {template.name} OWNER {template.name}", "postgres")
    yield Copy(template.url.replace(f"/{template.name}?", f"/{name}?"))
    template.administer(f"DROP DATABASE {name} WITH (FORCE)", "postgres")


@pytest.fixture
def empty_databases(tmp_path):
    """Databases without tables, one of each kind if this run has a server."""
    files = [Copy(f"sqlite:///{tmp_path}/{name}.sqlite3") for name in ("one", "two")]
    if connection.vendor == "sqlite":
        yield files
        return
    database = OwnDatabase()
    yield [files[0], Copy(database.url)]
    database.drop()


@pytest.fixture
def before(monkeypatch):
    """Do something to an SQLite copy each time before one of its methods runs."""

    def arrange(name, action):
        method = getattr(databases.SQLite, name)

        def method_after_action(self, *arguments):
            action(self)
            return method(self, *arguments)

        monkeypatch.setattr(databases.SQLite, name, method_after_action)

    return arrange


def copy_log(copy, *options):
    """Run the command, and return what it writes."""
    out = StringIO()
    call_command("copy_log", "--to", copy.url, *options, stdout=out)
    return out.getvalue()


def refusal(copy, *options):
    """Run the command, which fails, and return the message."""
    with pytest.raises(CommandError) as failed:
        copy_log(copy, *options)
    assert failed.value.returncode == 1
    return str(failed.value)


def make_event(key, **columns):
    given = {"event_id": f"event {key}", "received_at": NOON, "verified": True, "project": "orchard"} | columns
    return WorkflowEvent.objects.create(pk=key, **given)


def make_delivery(**columns):
    given = {"outcome": Outcome.LOGGED, "verified": True, "plausible": True, "headers": {}, "body": b"{}"} | columns
    return Delivery.objects.create(received_at=NOON, judged_at=NOON, **given)


def run_elsewhere(source, copy, patch=""):
    """Run the command in a process of its own, with another database as the site's; return its exit code."""
    script = f"{patch}\nfrom webhooklog.command_line import run\nrun(['manage.py', 'copy_log', '--to', {copy.url!r}])"
    environment = os.environ | {"DATABASE_URL": source}
    return subprocess.run([sys.executable, "-c", script], cwd=PROJECT, env=environment, check=False).returncode


def own_url():
    """Return DATABASE_URL for the database of this test."""
    parameters = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{parameters['NAME']}"
    host = connection.get_connection_params()
    return f"postgresql://{host['user']}:@/{parameters['NAME']}?host={host['host']}"


def test_every_table_arrives_equal_and_comes_back_equal(empty_databases):
    make_whole_log()
    wanted = rows_of()
    assert not [label for label, rows in wanted.items() if not rows]
    there, back = empty_databases
    assert copy_log(there).endswith("Both databases are equal.\n")
    assert there.rows() == wanted
    assert run_elsewhere(there.url, back) == 0
    assert back.rows() == wanted


def test_the_second_run_copies_what_was_inserted_updated_and_deleted(copy):
    make_whole_log()
    copy_log(copy)
    event = WorkflowEvent.objects.get(pk=1)
    Delivery.objects.filter(pk=3_000).delete()
    Delivery.objects.filter(event=event).update(event=None)
    WorkflowEvent.objects.filter(pk=2).update(status="failed")
    make_delivery(pk=50_000, event=make_event(50_000))
    event.delete()
    copy_log(copy)
    assert copy.rows() == rows_of()


def test_a_unique_value_may_move_to_a_row_in_another_block(copy):
    low, high = KEYS_PER_BLOCK - 1, KEYS_PER_BLOCK * 3
    for key, status in (low, "success"), (high, "failed"):
        HourlyStatus.objects.create(pk=key, hour=NOON, event_type="x", status=status, count=1)
    copy_log(copy)
    HourlyStatus.objects.all().delete()
    for key, status in (low, "failed"), (high, "success"):
        HourlyStatus.objects.create(pk=key, hour=NOON, event_type="x", status=status, count=1)
    copy_log(copy)
    assert copy.rows() == rows_of()


def test_rows_may_refer_to_rows_that_are_copied_later_and_references_are_checked_again(copy):
    make_whole_log()
    copy_log(copy)
    if copy.url.startswith("postgresql"):
        [(foreign_keys,)] = copy.execute("SELECT COUNT(*) FROM pg_constraint WHERE contype = 'f'")
        with connection.cursor() as cursor:
            cursor.execute("SELECT COUNT(*) FROM pg_constraint WHERE contype = 'f'")
            assert cursor.fetchone() == (foreign_keys,)
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            copy.execute("UPDATE logs_attempt SET delivery_id = 77")
    else:
        assert copy.execute("PRAGMA foreign_key_check") == []


@pytest.mark.parametrize("killed_at", [1, 20, 40])
def test_a_copy_that_is_killed_is_continued(copy, killed_at):
    make_whole_log()
    kill = f"""
import os, signal
from logs.management.copying import databases
count = 0
def kill(insert):
    def insert_or_die(self, *arguments):
        global count
        count += 1
        insert(self, *arguments)
        if count == {killed_at}:
            os.kill(os.getpid(), signal.SIGKILL)
    return insert_or_die
for kind in databases.SQLite, databases.PostgreSQL:
    kind.insert = kill(kind.insert)
"""
    assert run_elsewhere(own_url(), copy, kill) == -signal.SIGKILL
    make_event(70_000)
    copy_log(copy)
    assert copy.rows() == rows_of()


def test_an_earlier_run_that_still_writes_is_stopped_by_a_later_one(file, before):
    make_event(1)
    before("insert", lambda database: database.execute("UPDATE copy_log_state SET run = 'a later one'"))
    assert refusal(file).startswith("Another copy_log writes to this database")


def test_an_earlier_run_cannot_change_what_a_later_one_has_read(copy, monkeypatch):
    make_event(1)
    copy_log(copy)
    begin = State.begin

    def write_as_the_earlier_run(later, tables):
        with pytest.raises(CommandError, match="Another copy_log writes"), earlier.writing():
            target.execute("UPDATE logs_workflowevent SET status = 'of the earlier run'")
        begin(later, tables)

    with opened("earlier", settings_for_url(copy.url)) as target:
        earlier = State(target)
        earlier.take_turn()
        monkeypatch.setattr(State, "begin", write_as_the_earlier_run)
        assert copy_log(copy).endswith("Both databases are equal.\n")
        with pytest.raises(CommandError, match="Another copy_log writes"):
            begin(earlier, [])
    assert copy.rows() == rows_of()


def test_a_run_that_ends_while_a_later_one_reads_the_log_is_not_mistaken_for_a_site(copy, monkeypatch):
    make_event(1)
    copy_log(copy)
    take_turn = State.take_turn

    def take_turn_after_another_run(state):
        make_event(2)
        assert run_elsewhere(own_url(), copy) == 0
        take_turn(state)

    monkeypatch.setattr(State, "take_turn", take_turn_after_another_run)
    assert copy_log(copy).endswith("Both databases are equal.\n")


def test_new_rows_get_keys_that_no_row_has_had(copy):
    workflow = Workflow.objects.create()
    key = workflow.pk
    workflow.delete()
    copy_log(copy)
    copy.execute(
        "INSERT INTO logs_workflow (project_slug, name, project) VALUES ('github/acme/orchard', 'build', 'orchard')"
    )
    assert copy.execute("SELECT id FROM logs_workflow") == [(key + 1,)]


def test_a_dry_run_counts_and_writes_nothing(copy):
    make_whole_log()
    Site.objects.all().delete()
    told = copy_log(copy, "--dry-run")
    assert "logs_workflowevent" in told
    assert "rows would be copied, in about 1 min" in told
    assert told.endswith("Nothing was written: this was a dry run.\n")
    assert not copy.is_touched()
    assert not Site.objects.exists()


def test_a_dry_run_does_not_create_the_file(tmp_path):
    told = copy_log(Copy(f"sqlite:///{tmp_path}/new.sqlite3"), "--dry-run")
    assert told.endswith("Nothing was written: this was a dry run.\n")
    assert not list(tmp_path.iterdir())


def test_a_dry_run_cannot_write(file, before):
    def write(database):
        if database.connection.alias == TARGET:
            database.execute("CREATE TABLE garden (id integer)")

    before("count", write)
    assert refusal(file, "--dry-run").startswith("A database failed: attempt to write a readonly database")


def test_a_file_keeps_its_bytes_and_journal_until_it_is_accepted_in_a_real_run(file):
    path = Path(file.url.removeprefix("sqlite:///"))
    file.execute("PRAGMA journal_mode = DELETE")
    known = path.read_bytes()
    copy_log(file, "--dry-run")
    assert (path.read_bytes(), list(path.parent.iterdir())) == (known, [path])
    file.execute("CREATE TABLE copy_log_state (site_id text, run text, foreign_keys text, checksums text)")
    file.execute("INSERT INTO copy_log_state VALUES ('another', '', '[]', '{}')")
    known = path.read_bytes()
    refusal(file)
    assert (path.read_bytes(), list(path.parent.iterdir())) == (known, [path])
    file.execute("DROP TABLE copy_log_state")
    copy_log(file)
    assert file.execute("PRAGMA journal_mode") == [("wal",)]


@pytest.fixture
def usual_umask():
    """Let new files be readable by all users, as in most shells."""
    previous = os.umask(0o022)
    yield
    os.umask(previous)


def test_only_the_owner_may_read_a_new_file(tmp_path, usual_umask, before):
    link, path = tmp_path / "link", tmp_path / "new.sqlite3"
    link.symlink_to(path)
    make_event(1)
    modes = {}
    before("insert", lambda _: modes.update((file.name, file.stat().st_mode) for file in tmp_path.glob("new*")))
    copy_log(Copy(f"sqlite:///{link}"))
    assert {name: stat.S_IMODE(mode) for name, mode in modes.items()} == dict.fromkeys(
        ["new.sqlite3", "new.sqlite3-wal", "new.sqlite3-shm"], 0o600
    )


@pytest.mark.parametrize("options", [[], ["--dry-run"]])
@pytest.mark.parametrize("name", ["missing/new.sqlite3", "loop", "loop/new.sqlite3"])
def test_a_path_that_cannot_be_a_file_is_reported(tmp_path, name, options):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert refusal(Copy(f"sqlite:///{tmp_path}/{name}"), *options).startswith("A database failed: unable to open")


def test_a_dry_run_over_a_copy_counts_the_changes(copy):
    make_event(1)
    copy_log(copy)
    make_event(5_000)
    assert "\n1 rows would be copied" in copy_log(copy, "--dry-run")
    assert copy.execute("SELECT COUNT(*) FROM logs_workflowevent") == [(1,)]


def test_a_database_with_rows_is_refused(copy):
    copy.execute("INSERT INTO logs_site (site_id) VALUES ('another')")
    assert refusal(copy) == "The database is not empty: logs_site has 1 rows. Use an empty database."


def test_a_database_with_tables_of_another_program_is_refused_and_not_changed(empty_databases, tmp_path):
    copy = empty_databases[-1]
    copy.execute("CREATE TABLE garden (id integer)")
    files = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert refusal(copy) == "The database is not empty: it has the table garden. Use an empty database."
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == files


def test_a_database_of_an_earlier_version_is_refused(copy):
    copy.execute("DELETE FROM django_migrations WHERE name = '0019_feeds'")
    assert refusal(copy).startswith("The database lacks migrations of this version. Run `manage.py migrate`")


def test_a_database_of_a_later_version_is_refused(copy):
    copy.execute("INSERT INTO django_migrations (app, name, applied) VALUES ('logs', '9999_later', '2026-05-04')")
    assert refusal(copy) == ("The database has migrations of another version (logs.9999_later). Use an empty database.")


def test_the_copy_of_another_log_is_refused(copy):
    make_event(1)
    copy_log(copy)
    Site.objects.update(site_id="another")
    assert refusal(copy) == "The database has a copy of another log: use an empty database."


def test_a_copy_that_a_site_has_used_is_refused(copy):
    make_event(1)
    copy_log(copy)
    copy.execute("UPDATE logs_workflowevent SET status = 'failed'")
    for _ in range(2):  # A run that was refused has not written to the copy.
        assert refusal(copy) == (
            "The copy has changed since it was complete, in logs_workflowevent: a site may have run on it. Use an "
            "empty database."
        )


def test_a_database_that_does_not_answer_is_reported():
    message = refusal(Copy("postgresql://gardener:roots@127.0.0.1:1/garden"))
    assert message.startswith("A database failed: connection failed")
    assert "roots" not in message


def test_a_url_that_is_not_a_database_is_a_wrong_argument(capsys):
    with pytest.raises(SystemExit) as ended:
        load_command_class("logs", "copy_log").run_from_argv(["manage.py", "copy_log", "--to", "mysql://a:roots@b/c"])
    assert ended.value.code == 2
    message = capsys.readouterr().err
    assert "Must be postgresql://user:password@host:5432/name or sqlite:////absolute/path" in message
    assert "roots" not in message


def test_the_own_database_is_refused():
    assert refusal(Copy(own_url())) == "--to is the site's own database: give another one."


def test_a_row_that_another_program_changes_meanwhile_is_reported(file, before):
    make_event(1)
    make_delivery()
    before("insert", lambda database: database.execute("UPDATE logs_workflowevent SET status = 'changed'"))
    assert refusal(file).startswith("The databases differ in logs_workflowevent: ")


def test_a_row_that_refers_to_a_missing_row_is_reported_before_anything_is_written(file):
    if connection.vendor != "sqlite":
        pytest.skip("only SQLite can have such rows, after its checks were turned off")
    with connection.constraint_checks_disabled():
        make_delivery(event_id=7)
    assert "has an invalid foreign key: logs_delivery.event_id contains a value '7'" in refusal(file)
    assert not file.is_touched()
    Delivery.objects.all().delete()


WRONG = {
    "UPDATE logs_workflowevent SET branch = 'a' || char(0)": "column branch: contains a NUL character ('a\\x00')",
    "UPDATE logs_workflowevent SET branch = CAST(x'61ff' AS text)": "column branch: is not valid Unicode ('a\\udcff')",
    "UPDATE logs_workflowevent SET job_number = 'seven'": "column job_number: must be a whole number ('seven')",
    "UPDATE logs_workflowevent SET duplicates = 3000000000": (
        "column duplicates: must be from 0 to 2147483647 (3000000000)"
    ),
    "UPDATE logs_workflowevent SET happened_at = 'at noon'": "column happened_at: must be a time ('at noon')",
    "UPDATE logs_workflowevent SET happened_at = '0001-01-01 00:00:00+02:00'": (
        "column happened_at: must be a time ('0001-01-01 00:00:00+02:00')"
    ),
    "UPDATE logs_delivery SET client_address = 'nonsense'": (
        "column client_address: must be an IP address ('nonsense')"
    ),
    "UPDATE logs_delivery SET client_address = '192.0.2.07'": (
        "column client_address: must be an IP address ('192.0.2.07')"
    ),
    "UPDATE logs_delivery SET client_address = '192.0.2.7:5678'": (
        "column client_address: must be an IP address ('192.0.2.7:5678')"
    ),
    "UPDATE logs_delivery SET client_address = 'fe80::1%eth0'": (
        "column client_address: must be an IP address ('fe80::1%eth0')"
    ),
    "UPDATE logs_delivery SET client_address = CAST('abcd' AS blob)": (
        "column client_address: must be an IP address (b'abcd')"
    ),
    "UPDATE logs_workflowevent SET verified = 2": "column verified: must be true or false (2)",
    "UPDATE logs_workflowevent SET tag = replace(hex(zeroblob(128)), '0', 'x')": (
        "column tag: has 256 characters, at most 255 are accepted ('xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx)"
    ),
}


@pytest.mark.parametrize("sql", WRONG)
def test_a_value_that_postgresql_would_reject_is_reported_before_anything_is_written(file, sql):
    if connection.vendor != "sqlite":
        pytest.skip("only SQLite stores such values")
    make_delivery(pk=1, event=make_event(1))
    with connection.cursor() as cursor:
        cursor.execute(sql)
    first, line = refusal(file).splitlines()
    assert first == "These values cannot be copied, and nothing was copied. Correct them, or delete their rows:"
    assert line == f"{sql.split()[1]}, key 1, {WRONG[sql]}"
    assert not file.is_touched()


def test_times_and_ip_addresses_in_other_spellings_arrive_as_django_writes_them(empty_databases):
    there, back = empty_databases
    make_delivery(pk=1, event=make_event(1))
    copy_log(there)
    there.execute("UPDATE logs_workflowevent SET happened_at = '2026-05-04T14:00:00+02:00'")
    there.execute("UPDATE logs_delivery SET client_address = '2001:0DB8:0000:0000:0000:0000:255.255.255.255'")
    assert run_elsewhere(there.url, back) == 0
    rows = back.rows()
    assert [event["happened_at"] for event in rows["logs.WorkflowEvent"]] == [NOON]
    assert [delivery["client_address"] for delivery in rows["logs.Delivery"]] == ["2001:db8::ffff:ffff"]


def test_the_watch_continues_where_it_was(copy):
    WatchTask.objects.create(name="follow", cursor={"until": "2026-05-04T12:00:00+00:00", "skipped": []})
    copy_log(copy)
    assert copy.rows()["logs.WatchTask"] == rows_of()["logs.WatchTask"]


def test_a_copy_is_not_final_while_a_watch_runs(copy):
    tasks = [WatchTask(name=name, claimed_until=timezone.now() + LEASE) for name in ("rollup", "follow")]
    WatchTask.objects.bulk_create(tasks)
    assert copy_log(copy).endswith(
        "The copy is equal to the log at the start of this run, but it is not final: webhooklog was running (watch "
        "tasks: follow, rollup). Stop all its processes, then run the command again.\n"
    )
    WatchTask.objects.update(claimed_until=timezone.now())
    assert copy_log(copy).endswith("Both databases are equal.\n")
    assert copy.rows() == rows_of()


def test_a_copy_is_not_final_if_a_watch_stopped_after_its_start(file, before):
    WatchTask.objects.create(name="follow")
    before("begin_session", lambda _: WatchTask.objects.update(claimed_until=timezone.now()))
    assert "it is not final" in copy_log(file)


def test_a_claim_by_a_clock_that_was_ahead_does_not_count(file):
    ahead = timezone.now() + LONGEST_CLAIM + timedelta(minutes=5)
    WatchTask.objects.create(name="follow", claimed_until=ahead)
    assert copy_log(file).endswith("Both databases are equal.\n")


def test_sessions_are_left_out(copy, client_of, user_with):
    client_of(user_with())
    copy_log(copy)
    assert copy.execute("SELECT COUNT(*) FROM django_session") == [(0,)]
    assert copy.execute("SELECT COUNT(*) FROM auth_user") == [(1,)]


def test_a_copy_reads_one_state_of_the_log_while_the_site_writes(file, before):
    make_event(1)
    before("begin_session", lambda _: WorkflowEvent.objects.filter(pk=2).exists() or make_event(2))
    copy_log(file)
    assert file.execute("SELECT id FROM logs_workflowevent") == [(1,)]
    copy_log(file)
    assert file.execute("SELECT id FROM logs_workflowevent ORDER BY id") == [(1,), (2,)]
