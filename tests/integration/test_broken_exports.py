"""A client can always tell an export that broke off from a complete one, whatever fails and whatever is between."""

import random
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from tests.integration.live import live_site
from tests.load import exports

ROWS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A site with a log, and how clients reach it."""

    engine: Any
    site: Any
    ways: dict
    token: str


@pytest.fixture(scope="module")
def world(pytestconfig):
    """A site with a database server of its own, which tests may stop."""
    with ExitStack() as stack:
        database = pytestconfig.getoption("database")
        engine, site = stack.enter_context(live_site(database, API_REQUESTS_PER_MINUTE="0"))
        exports.fill(site, ROWS, random.Random(1))
        ways = {way.name: way for way in stack.enter_context(exports.ways_to(site))}
        yield World(engine=engine, site=site, ways=ways, token=exports.token_of(site))


def way_of(world, name):
    if name not in world.ways:
        pytest.skip("nginx is not installed (apt-get install nginx)")
    return world.ways[name]


NEW_WAYS = ["direct", "nginx"]
OLD_WAYS = ["direct, HTTP/1.0", "nginx, HTTP/1.0 to nginx", "nginx, HTTP/1.0 to the site"]
FAILURES = ["table taken away", "workers killed", "PostgreSQL stopped"]


@pytest.mark.parametrize("form", exports.FORMATS)
@pytest.mark.parametrize("name", NEW_WAYS)
def test_an_undisturbed_export_is_complete(world, name, form):
    received = exports.export(way_of(world, name), world.token, form)
    assert received.looks_complete
    assert len(set(received.ids())) == ROWS == len(received.ids())


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("name", NEW_WAYS + OLD_WAYS)
def test_an_export_that_breaks_off_never_looks_complete(world, name, failure):
    way, failures = way_of(world, name), exports.failures_of(world.engine)
    if failure not in failures:
        pytest.skip("only PostgreSQL has a server")
    happened = []

    def fail():
        happened.append(failure)
        failures[failure].begin(world.site, world.engine)

    try:
        received = exports.export(way, world.token, "csv", during=fail)
    finally:
        if happened:
            failures[failure].end(world.site, world.engine)
    assert happened
    assert not received.looks_complete


@pytest.mark.parametrize("name", OLD_WAYS)
def test_an_export_over_http_1_0_is_an_error_that_names_the_fix(world, name):
    received = exports.export(way_of(world, name), world.token, "csv")
    assert received.status == 426
    assert b"proxy_http_version 1.1" in received.body
    assert b"limit" in received.body
