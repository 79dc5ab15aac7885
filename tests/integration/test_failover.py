"""A connection to a server that has become read-only is left for one to the primary."""

import tempfile
from contextlib import closing
from pathlib import Path
from random import Random

import psycopg
import pytest
from django.db import connection

from tests.load.engines import EVENTS, PostgreSQLEngine, manage
from tests.load.senders import signed_event
from tests.load.server import WORKERS
from tests.load.stage import Stage, site_environment
from tests.load.standby import DATABASE, Pair
from tests.load.wire import Connection, request_bytes
from webhooklog.failover.base import DatabaseWrapper

LIST = "/fetch-webhooks-logs"
PID = "SELECT pg_backend_pid()"
TEST = "SHOW transaction_read_only"
READ_ONLY = "SET default_transaction_read_only = on"


@pytest.fixture(autouse=True)
def of_postgresql():
    if connection.vendor != "postgresql":
        pytest.skip("about PostgreSQL")


@pytest.fixture(params=[{}, {"pool": {"min_size": 1, "max_size": 1, "timeout": 5}}], ids=["persistent", "pool"])
def database(request):
    """A connection of the backend for several hosts, to the tests' database."""
    settings = connection.settings_dict
    options = settings["OPTIONS"] | request.param
    age = 0 if request.param else None
    database = DatabaseWrapper(settings | {"OPTIONS": options, "CONN_MAX_AGE": age}, "failover")
    yield database
    database.close()
    database.close_pool()


def session(database):
    with database.cursor() as cursor:
        cursor.execute(PID)
        return cursor.fetchone()[0]


@pytest.mark.django_db
def test_a_request_keeps_a_session_that_is_writable(database):
    first = session(database)
    database.close_if_unusable_or_obsolete()
    assert session(database) == first


@pytest.mark.django_db
def test_a_request_leaves_a_session_that_has_become_read_only(database):
    first = session(database)
    with database.cursor() as cursor:
        cursor.execute(READ_ONLY)
    assert not database.is_usable()
    database.close()
    assert session(database) != first


@pytest.mark.django_db
def test_a_failed_write_ends_a_session_that_has_become_read_only(database):
    first = session(database)
    with database.cursor() as cursor:
        cursor.execute(READ_ONLY)
    with pytest.raises(Exception, match="read-only transaction"), database.cursor() as cursor:
        cursor.execute("CREATE TABLE never_made ()")
    database.close_if_unusable_or_obsolete()
    assert session(database) != first


POOL = {"pool": {"min_size": 2, "max_size": 2, "timeout": 5}}


@pytest.fixture
def pooled(monkeypatch):
    """A connection to the tests' database from a pool of two, with the settings of a site, and its statements."""
    settings = connection.settings_dict
    variables = {"CONN_MAX_AGE": 0, "CONN_HEALTH_CHECKS": False, "OPTIONS": settings["OPTIONS"] | POOL}
    database = DatabaseWrapper(settings | variables, "pooled")
    execute, statements = psycopg.Cursor.execute, []

    def noted(cursor, query, *args, **kwargs):
        statements.append(query)
        return execute(cursor, query, *args, **kwargs)

    session(database)
    database.close()
    database.pool.wait()
    monkeypatch.setattr(psycopg.Cursor, "execute", noted)
    yield database, statements
    database.close()
    database.close_pool()


@pytest.mark.django_db
def test_a_connection_from_a_pool_is_tested_once(pooled):
    database, statements = pooled
    session(database)
    assert statements == [TEST, PID]


@pytest.mark.django_db
def test_no_connection_from_a_pool_is_to_a_server_that_has_become_read_only(pooled):
    database, statements = pooled
    others = [database.pool.getconn() for _ in range(2)]
    for other in others:
        other.execute(READ_ONLY)
        database.pool.putconn(other)
    statements.clear()
    session(database)
    assert database.connection not in others
    assert all(other.closed for other in others)
    assert statements.count(TEST) == 2


@pytest.mark.django_db
def test_a_connection_from_a_pool_can_be_used_after_an_error_in_a_transaction(pooled):
    database, _ = pooled
    others = [database.pool.getconn() for _ in range(2)]
    for other in others:
        other.autocommit = False
        database.pool.putconn(other)
    session(database)
    assert database.connection in others
    assert database.get_autocommit()


@pytest.mark.django_db
def test_a_server_that_reports_to_be_writable_but_is_not_is_tested_only_a_few_times(pooled):
    database, statements = pooled
    database.pool.kwargs["options"] = "-c default_transaction_read_only=on"
    database.pool.drain()
    session(database)
    assert statements.count(TEST) == 2


@pytest.fixture
def pair():
    """A primary with a standby."""
    with tempfile.TemporaryDirectory(prefix="webhooklog-failover-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL runs as a user of its own.
        (folder / "pair").mkdir()
        with (
            closing(PostgreSQLEngine(folder, site_environment(folder))) as engine,
            closing(Pair(folder / "pair", engine)) as pair,
        ):
            yield pair


@pytest.mark.parametrize("pool_size", [0, 4])
def test_a_site_moves_to_the_new_primary_while_the_old_one_still_answers(pair, pool_size):
    stage = Stage(engine=pair, seed="failover", is_short=True, report=None, tell=lambda _: None)
    random = Random(1)
    with stage.site(WATCH="off", DATABASE_POOL_SIZE=str(pool_size)) as site:
        token = key_of_a_token(site.server.environment)

        def post(count):
            with Connection(site.server.port) as client:
                return [signed_event(random).post_over(client).status for _ in range(count)]

        def get(path, count):
            return [get_once(path) for _ in range(count)]

        def get_once(path):
            with Connection(site.server.port) as client:  # Of one of the workers, each with connections of its own.
                return client.exchange(request_bytes("GET", path, {"authorization": f"Bearer {token}"})).status

        assert post(20) == [201] * 20
        assert get("/readyz", 20) == get(LIST, 20) == [200] * 20
        pair.primary.execute(
            "ALTER SYSTEM RESET synchronous_standby_names",
            "ALTER SYSTEM SET default_transaction_read_only = on",
            "SELECT pg_reload_conf()",
        )
        assert get("/readyz", 4) == [503] * 4
        assert set(post(4)) == {503}
        pair.promote()
        # An idle connection is tested by its next use; only the writers find out from an event that they cannot store.
        assert get(LIST, 20) == [200] * 20
        pair.primary.execute("DELETE FROM logs_apitoken", database=DATABASE)
        assert get(LIST, 20) == [401] * 20
        answers = post(20)
        assert answers.count(201) >= 20 - WORKERS
        assert answers[-10:] == [201] * 10
        assert pair.primary.execute(f"SELECT count(*) FROM {EVENTS}", database=DATABASE) == [(20 + answers.count(201),)]
        assert get("/readyz", 20) == [200] * 20
        assert "Traceback" not in site.server.log


def key_of_a_token(environment):
    """Return the key of an API token of a new user who may read the log."""
    manage(environment, "createsuperuser", "--noinput", "--username=ada", "--email=ada@acme.example")
    return manage(environment, "create_token", "ada", "--name=failover").strip()
