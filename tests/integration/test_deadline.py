"""A statement that its server does not answer in time is given up, and its connection closed."""

import pytest
from django.db import OperationalError, connection

from webhooklog.deadline import base

POOL = {"pool": {"min_size": 1, "max_size": 1, "timeout": 5}}
SLOW, QUICK = "SELECT pg_sleep(2)", "SELECT 1"


@pytest.fixture(params=[{}, POOL], ids=["persistent", "pool"])
def database(request, monkeypatch):
    """A connection of the backend for replicas, to the tests' database, whose deadline is short."""
    if connection.vendor != "postgresql":
        pytest.skip("about PostgreSQL")
    settings = connection.settings_dict
    age = 0 if request.param else None
    options = settings["OPTIONS"] | request.param
    database = base.DatabaseWrapper(settings | {"OPTIONS": options, "CONN_MAX_AGE": age}, "deadline")
    database.ensure_connection()
    monkeypatch.setattr(base, "STATEMENT_SECONDS", 0.5)
    yield database
    database.close()
    database.close_pool()


def execute(database, statement):
    with database.cursor() as cursor:
        return cursor.execute(statement).fetchall()


@pytest.mark.django_db
def test_a_statement_that_is_answered_in_time_keeps_its_connection(database):
    before = database.connection
    assert execute(database, QUICK) == [(1,)]
    database.close_if_unusable_or_obsolete()
    assert database.connection in (before, None)
    assert not before.closed


@pytest.mark.django_db
def test_a_statement_that_is_not_answered_in_time_fails_and_the_next_one_gets_no_answer_of_it(database):
    with pytest.raises(OperationalError, match="the server has not answered within"):
        execute(database, SLOW)
    assert database.connection.closed
    database.close_if_unusable_or_obsolete()
    assert execute(database, QUICK) == [(1,)]
