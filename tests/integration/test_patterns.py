"""A text filter finds values in any case and by a pattern, however they are looked up and sorted."""

import random
import re
from contextlib import contextmanager

import psycopg
import pytest
from django.db import connection, connections
from django.http import QueryDict
from django.utils import timezone

from logs.management.filtering import FILTERS, selected_events
from logs.models import Delivery, Outcome, WorkflowEvent
from logs.reading import choices, filters
from logs.reading.query import read_filters
from logs.reading.stream.deliveries import StreamFilterSet
from tests.integration.own_postgresql import OwnDatabase

pytestmark = pytest.mark.django_db

VALUES = [
    "main",
    "Main",
    "máin",
    "release/1",
    "RELEASE/2",
    "release-1",
    "a?c",
    "abc",
    "[a]",
    "50%",
    "Ä",
    "ß",
    "x\ny",
    "",
]


def log(branches):
    """Log an event and a delivery for each branch."""
    now = timezone.now()
    events = WorkflowEvent.objects.bulk_create(
        WorkflowEvent(event_id=str(number), branch=branch, received_at=now, verified=True)
        for number, branch in enumerate(branches)
    )
    usual = {"outcome": Outcome.LOGGED, "verified": True, "plausible": True, "body": b"", "headers": {}}
    Delivery.objects.bulk_create(Delivery(received_at=now, judged_at=now, event=event, **usual) for event in events)


# fmt: off
FOUND = [
    ("MAIN",       ["main", "Main"]),
    ("MÁIN",       ["máin"]),
    ("ma",         []),
    ("ma*",        ["main", "Main"]),
    ("*IN",        ["main", "Main", "máin"]),
    ("m*i*n",      ["main", "Main", "máin"]),
    ("release/*",  ["release/1", "RELEASE/2"]),
    ("*/1",        ["release/1"]),
    ("release/2",  ["RELEASE/2"]),
    ("A?C",        ["a?c"]),
    ("a.c",        []),
    ("[a]",        ["[a]"]),
    ("[ab]*",      []),
    ("50%",        ["50%"]),
    ("_0%",        []),
    ("ä",          ["Ä"]),
    ("SS",         []),
    ("ß*",         ["ß"]),
    ("x*Y",        ["x\ny"]),
    ("\\",         []),
    ("*",          VALUES),
]
# fmt: on


def test_a_value_that_is_spelled_exactly_like_the_pattern_is_the_only_one():
    """Otherwise, one unsigned event with another spelling would take a project's rows out of their index."""
    log(VALUES)
    query = QueryDict("branch=main")
    filterset = read_filters(filters.EventFilterSet, query, WorkflowEvent.objects.all())
    assert list(filterset.qs.values_list("branch", flat=True)) == ["main"]
    assert filterset.scan(in_default_order=True) is None


@pytest.mark.parametrize(("pattern", "found"), FOUND)
def test_finds_the_same_looked_up_tested_on_each_row_and_in_the_stream(monkeypatch, pattern, found):
    log(VALUES)
    query = QueryDict(mutable=True)
    query["branch"] = pattern

    def listed():
        filterset = read_filters(filters.EventFilterSet, query, WorkflowEvent.objects.all())
        return sorted(filterset.qs.values_list("branch", flat=True))

    streamed = read_filters(StreamFilterSet, query, Delivery.objects.all()).qs
    assert listed() == sorted(found)
    assert sorted(delivery.event.branch for delivery in streamed) == sorted(found)
    monkeypatch.setattr(filters, "MAX_LOOKED_UP", 1)
    assert listed() == sorted(found)


@contextmanager
def database_sorted_by(locale):
    """Connect to a database of its own, whose texts are in the order of a locale."""
    own = OwnDatabase()
    own.administer(f"DROP DATABASE {own.name}", "postgres")
    try:
        own.administer(f"CREATE DATABASE {own.name} TEMPLATE template0 LOCALE '{locale}'", "postgres")
    except psycopg.errors.WrongObjectType:
        own.drop()
        pytest.skip("the server's host lacks the locale")
    database = connections.create_connection("default")
    database.settings_dict = database.settings_dict | {"NAME": own.name}
    try:
        with database.cursor() as cursor:
            cursor.execute("CREATE TABLE logs_workflowevent (branch varchar(255))")
        yield database
    finally:
        database.close()
        own.drop()


def some_values(chance):
    return sorted({"".join(chance.choices("aAbBiI/-", k=chance.randrange(6))) for _ in range(300)})


@pytest.mark.parametrize("is_language", [False, True])
def test_looks_up_the_same_values_whichever_way_they_are_read(monkeypatch, is_language):
    if is_language:
        monkeypatch.setattr(choices, "SORTED_BY_LANGUAGE", "1 = 1")
    chance = random.Random(1)
    values = some_values(chance)
    log(values)
    assert_looks_up(values, chance)


@pytest.mark.parametrize("locale", ["en_US.UTF-8", "tr_TR.UTF-8", "da_DK.UTF-8"])
def test_looks_up_the_same_values_in_the_order_of_a_language(monkeypatch, locale):
    if connection.vendor == "sqlite":
        pytest.skip("SQLite compares bytes")
    chance = random.Random(1)
    values = some_values(chance)
    with database_sorted_by(locale) as database, database.cursor() as cursor:
        cursor.executemany("INSERT INTO logs_workflowevent VALUES (%s)", [(value,) for value in values])
        monkeypatch.setattr(choices, "connection", database)
        assert_looks_up(values, chance)


def assert_looks_up(values, chance):
    for _ in range(200):
        pattern = "".join(chance.choices("aAbBiI/-*", k=chance.randrange(1, 5)))
        regex = re.compile(".*".join(map(re.escape, pattern.split("*"))), re.IGNORECASE | re.DOTALL)
        found = choices.values_matching(WorkflowEvent, "branch", pattern, most=1_000)
        assert not found.is_cut
        assert sorted(found.values) == [value for value in values if regex.fullmatch(value)], pattern


def test_a_look_up_reads_a_bounded_number_of_values_and_says_so():
    log([f"release/{number}" for number in range(30)])
    for most, is_cut in [(30, True), (31, False)]:
        assert choices.values_matching(WorkflowEvent, "branch", "*/7", most=most).is_cut is is_cut


def test_a_command_that_waits_finds_values_that_the_log_did_not_contain():
    events = selected_events(dict.fromkeys(FILTERS) | {"branch": "Release/*"}, are_new=True)
    assert not events.exists()
    log(["release/1", "RELEASE/2", "main"])
    assert [event.branch for event in events.order_by("pk")] == ["release/1", "RELEASE/2"]
