"""A site behind a real PgBouncer in transaction mode, set up as docs/operations.md says."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest
from django.db import connection

from tests.integration.own_postgresql import OwnDatabase
from tests.integration.test_server import delivery, free_port, running, settings_of, wait_until

PROJECT = Path(__file__).resolve().parents[2]
PROGRAM = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
PREPARED_SINCE = (1, 22)
SERVER_SESSIONS = 4
# Each transaction takes another session than the one before, which any use of a session's own state runs into.
EXTRA_SETTINGS = f"""
unix_socket_dir =
server_round_robin = 1
default_pool_size = {SERVER_SESSIONS}
min_pool_size = {SERVER_SESSIONS}
"""


def documented(language):
    """Return the block of PgBouncer's chapter in docs/operations.md that is in this language."""
    text = (PROJECT / "docs" / "operations.md").read_text(encoding="utf-8")
    (chapter,) = re.findall(r"^### PgBouncer\n(.*?)^## ", text, re.DOTALL | re.MULTILINE)
    (block,) = re.findall(rf"^```{language}\n(.*?)^```", chapter, re.DOTALL | re.MULTILINE)
    return block


def version():
    text = subprocess.check_output([PROGRAM, "--version"], text=True)
    return tuple(map(int, re.match(r"PgBouncer (\d+)\.(\d+)", text).groups()))


class Pool:
    """A PgBouncer in front of a database of its own."""

    def __init__(self, folder, database, *, prepares):
        self.database, self.port = database, free_port()
        users = folder / "userlist.txt"
        users.write_text(f'"{database.name}" "{database.password}"\n')
        configuration = folder / "pgbouncer.ini"
        configuration.write_text(self._configuration(users, prepares=prepares))
        self._server = f"postgresql://{database.name}:{database.password}@127.0.0.1:{self.port}"
        self.url = f"{self._server}/webhooklog{'' if prepares else '?prepare_threshold=none'}"
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([PROGRAM, str(configuration)], user=self._user(), stderr=log)

    def _user(self):
        """Return who runs it; not root, whom it refuses, but the user who runs PostgreSQL and may open its socket."""
        if os.getuid():
            return None
        socket = Path(self.database.host) / f".s.PGSQL.{self.database.port}"
        return socket.owner() if socket.exists() else "nobody"

    def _configuration(self, users, *, prepares):
        changes = {
            "host=127.0.0.1": f"host={self.database.host}",
            "port=5432": f"port={self.database.port}",
            "dbname=webhooklog": f"dbname={self.database.name}",
            "listen_port = 6432": f"listen_port = {self.port}",
            "/etc/pgbouncer/userlist.txt": str(users),
        }
        if not prepares:
            unprepared = "max_prepared_statements = 0\n" if version() >= PREPARED_SINCE else ""
            changes["max_prepared_statements = 100\n"] = unprepared
        text = documented("ini")
        for before, after in changes.items():
            assert before in text
            text = text.replace(before, after)
        return f"{text}{EXTRA_SETTINGS}admin_users = {self.database.name}\n"

    def connect(self, database="webhooklog"):
        """Open a connection through the pool, or to its console."""
        return psycopg.connect(f"{self._server}/{database}", autocommit=True)

    def command(self, text):
        """Give a command to the console."""
        with self.connect("pgbouncer") as console, psycopg.ClientCursor(console) as cursor:
            cursor.execute(text)

    def is_listening(self):
        """Whether it serves."""
        assert self.process.poll() is None, self.log.read_text()
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def fill(self):
        """Open all the sessions that the pool may have."""
        with ExitStack() as stack:
            connections = [stack.enter_context(self.connect()) for _ in range(SERVER_SESSIONS)]
            for each in connections:
                each.execute("BEGIN")
            for each in connections:
                each.execute("COMMIT")

    def end(self):
        """Stop it."""
        self.process.terminate()
        self.process.wait()


@contextmanager
def pool_in_front_of(database, *, prepares):
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        pool = Pool(Path(folder), database, prepares=prepares)
        try:
            wait_until(pool.is_listening)
            pool.fill()
            yield pool
        finally:
            pool.end()


def manage(folder, url, *arguments):
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=PROJECT,
        env=settings_of(folder, DATABASE_URL=url),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module", autouse=True)
def pgbouncer():
    """Skip all these tests where they cannot run."""
    if connection.vendor != "postgresql":
        pytest.skip("about PostgreSQL")
    if not PROGRAM:
        pytest.skip("pgbouncer is not installed")


@contextmanager
def own_database():
    database = OwnDatabase()
    try:
        yield database
    finally:
        database.drop()


@pytest.fixture(scope="module")
def configured_database():
    """A database whose role has the documented settings."""
    with own_database() as database:
        for statement in documented("sql").replace(" webhooklog ", f" {database.name} ").splitlines():
            database.administer(statement)
        yield database


@pytest.fixture(scope="module", params=[False, True], ids=["unprepared", "prepared"])
def pool(request, configured_database):
    """A pool, without and with prepared statements."""
    if request.param and version() < PREPARED_SINCE:
        pytest.skip("this pgbouncer cannot keep prepared statements")
    with pool_in_front_of(configured_database, prepares=request.param) as pool:
        yield pool


@pytest.fixture(scope="module")
def server(tmp_path_factory, pool):
    """A site on the pool, whose log is empty at first."""
    pool.database.administer("DROP SCHEMA public CASCADE")
    pool.database.administer(f"CREATE SCHEMA public AUTHORIZATION {pool.database.name}")
    folder = tmp_path_factory.mktemp("server")
    with running(folder, DATABASE_URL=pool.url, WEB_THREADS="8", PUBLIC_READ="true") as server:
        yield server


def post(server, seed):
    return server.request("POST", "/log-circleci-webhook", *delivery(seed))[0]


def test_migrate_refuses_a_pool_that_drops_the_timeouts(tmp_path):
    with own_database() as database, pool_in_front_of(database, prepares=False) as pool:
        done = manage(tmp_path, pool.url, "migrate")
    assert done.returncode == 1
    assert "PostgreSQL's lock_timeout is 0 ms instead of 3000 ms" in done.stderr
    assert "PostgreSQL's idle_in_transaction_session_timeout is 0 ms instead of 10000 ms" in done.stderr


def test_check_finds_a_pool_that_loses_prepared_statements(tmp_path, configured_database):
    with pool_in_front_of(configured_database, prepares=False) as pool:
        done = manage(tmp_path, pool.url.partition("?")[0], "check", "--database", "default")
    assert done.returncode == 1
    assert "(logs.E008)" in done.stderr


def test_check_finds_nothing_in_the_documented_setup(tmp_path, pool):
    assert manage(tmp_path, pool.url, "check", "--database", "default").returncode == 0


def test_deliveries_are_logged_by_many_threads_at_once(server, pool):
    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(lambda seed: post(server, seed), range(100))) == {201}
        assert set(threads.map(lambda seed: post(server, seed), range(100))) == {200}
    assert pool.database.administer("SELECT count(DISTINCT event_id) FROM logs_workflowevent")[0][0] >= 100
    assert "Traceback" not in server.stderr


def test_a_lock_is_given_up(server, pool):
    with pool.database.connect() as other:
        other.execute("BEGIN")
        other.execute("LOCK TABLE logs_delivery IN ACCESS EXCLUSIVE MODE")
        assert post(server, 1_000) == 503  # Not after the client's own 20 seconds.
        assert server.request("GET", "/readyz")[0] == 503
        other.execute("ROLLBACK")
    # Rolling back makes the driver forget its prepared statements.
    assert [post(server, seed) for seed in range(1_000, 1_020)] == [201] * 20
    assert "Traceback" not in server.stderr


def test_a_database_that_is_away_is_answered_503(server, pool):
    pool.command("PAUSE")
    assert post(server, 2_000) == 503
    pool.command("RESUME")
    assert post(server, 2_000) == 201
    assert "Traceback" not in server.stderr


@pytest.fixture
def long_log(server, pool):
    """A log of more events than a page of an export or of `tail` holds."""
    post(server, 3_000)
    columns = [
        name
        for (name,) in pool.database.administer(
            "SELECT column_name FROM information_schema.columns"
            " WHERE table_name = 'logs_workflowevent' AND column_name NOT IN ('id', 'event_id')"
        )
    ]
    names = ", ".join(f'"{name}"' for name in columns)
    pool.database.administer(
        f"INSERT INTO logs_workflowevent (event_id, {names}) SELECT 'copy-' || gen_random_uuid(), {names}"
        " FROM (SELECT * FROM logs_workflowevent ORDER BY id DESC LIMIT 1) newest, generate_series(1, 2500)"
    )
    return pool.database.administer("SELECT count(*) FROM logs_workflowevent")[0][0]


@pytest.mark.parametrize(("form", "heading"), [("csv", 1), ("ndjson", 0)])
def test_an_export_holds_every_event(server, long_log, form, heading):
    status, body = server.request("GET", f"/fetch-webhooks-logs?format={form}")
    assert (status, len(body.splitlines())) == (200, long_log + heading)


def test_tail_shows_every_event_and_goes_on(server, long_log, tmp_path):
    output = tmp_path / "output"
    with output.open("wb") as stdout:
        tail = subprocess.Popen(
            [sys.executable, "manage.py", "tail", "--since", "24h"],
            cwd=PROJECT,
            env=server.environment,
            stdout=stdout,
            stderr=subprocess.PIPE,
        )
    try:
        wait_until(lambda: len(output.read_bytes().splitlines()) == long_log)
        assert post(server, time.time_ns()) == 201
        wait_until(lambda: len(output.read_bytes().splitlines()) == long_log + 1)
    finally:
        tail.send_signal(signal.SIGINT)
        assert tail.wait() == 130, tail.stderr.read()
        tail.stderr.close()
