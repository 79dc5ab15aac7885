"""A connection to a server that has become read-only is left for one to the primary."""

import tempfile
from contextlib import closing
from pathlib import Path
from random import Random

import pytest
from django.db import connection

from tests.load.engines import EVENTS, PostgreSQLEngine
from tests.load.senders import signed_event
from tests.load.server import WORKERS
from tests.load.stage import Stage, site_environment
from tests.load.standby import Pair
from tests.load.wire import Connection
from webhooklog.failover.base import DatabaseWrapper

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
        cursor.execute("SELECT pg_backend_pid()")
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


def test_a_site_moves_to_the_new_primary_while_the_old_one_still_answers(pair):
    stage = Stage(engine=pair, seed="failover", is_short=True, report=None, tell=lambda _: None)
    random = Random(1)
    with stage.site(WATCH="off") as site:

        def post(count):
            with Connection(site.server.port) as client:
                return [signed_event(random).post_over(client).status for _ in range(count)]

        def ready():
            with Connection(site.server.port) as client:
                return [client.get("/readyz").status for _ in range(20)]

        assert post(20) == [201] * 20
        assert ready() == [200] * 20
        pair.primary.execute(
            "ALTER SYSTEM RESET synchronous_standby_names",
            "ALTER SYSTEM SET default_transaction_read_only = on",
            "SELECT pg_reload_conf()",
        )
        assert ready() == [503] * 20
        assert set(post(4)) == {503}
        pair.promote()
        # An idle connection is tested by its next use; only the writers find out from an event that they cannot store.
        assert ready() == [200] * 20
        answers = post(20)
        assert answers.count(201) >= 20 - WORKERS
        assert answers[-10:] == [201] * 10
        assert pair.primary.execute(f"SELECT count(*) FROM {EVENTS}", database="webhooklog") == [
            (20 + answers.count(201),)
        ]
        assert "Traceback" not in site.server.log
