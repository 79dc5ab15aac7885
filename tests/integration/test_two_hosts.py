"""Two hosts share one PostgreSQL, through PgBouncer where it is installed: each has its own processes and DATA_DIR."""

import json
import random
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from django.db import connection

from logs.circleci import samples
from logs.circleci.signature import sign
from tests.integration import test_pgbouncer
from tests.integration.own_postgresql import OwnDatabase
from tests.integration.test_server import SECRET, delivery, running, wait_until
from tests.load.engines import manage

RECEIVING_PATH = "/log-circleci-webhook"
API_REQUESTS_PER_MINUTE = 20
CREATE_ROOT = ["createsuperuser", "--noinput", "--username=root", "--email=root@acme.example"]
WATCHING = """
SELECT count(*), count(DISTINCT claim), count(*) FILTER (WHERE claimed_until > now()) FROM logs_watchtask
"""


@contextmanager
def shared_database():
    """Give a database and the URL at which hosts find it."""
    database = OwnDatabase()
    try:
        if not test_pgbouncer.PROGRAM:
            yield database, database.url
            return
        for statement in test_pgbouncer.documented("sql").replace(" webhooklog ", f" {database.name} ").splitlines():
            database.administer(statement)
        prepares = test_pgbouncer.version() >= test_pgbouncer.PREPARED_SINCE
        with test_pgbouncer.pool_in_front_of(database, prepares=prepares) as pool:
            yield database, pool.url
    finally:
        database.drop()


@pytest.fixture(scope="module")
def hosts(tmp_path_factory):
    """Two sites with a watch each, and their database."""
    if connection.vendor != "postgresql":
        pytest.skip("about PostgreSQL")
    with shared_database() as (database, url):
        one, two = (tmp_path_factory.mktemp(name) for name in ("one", "two"))
        settings = {
            "DATABASE_URL": url,
            "WATCH": "embedded",
            "API_REQUESTS_PER_MINUTE": str(API_REQUESTS_PER_MINUTE),
            "PUBLIC_READ": "true",
        }
        with running(one, **settings) as first, running(two, **settings) as second:
            yield first, second, database


def test_a_delivery_that_both_receive_at_once_is_one_event(hosts):
    *sites, database = hosts
    with ThreadPoolExecutor(8) as threads:
        sent = [(site, delivery(seed)) for seed in range(100) for site in sites]
        answers = list(threads.map(lambda each: each[0].request("POST", RECEIVING_PATH, *each[1])[0], sent))
    pairs = list(zip(answers[::2], answers[1::2], strict=True))
    assert {tuple(sorted(pair)) for pair in pairs} == {(200, 201)}
    assert all(201 in column for column in zip(*pairs, strict=True))  # Each host was the first with some.
    ids = [json.loads(delivery(seed)[0])["id"] for seed in range(100)]
    counted = "SELECT count(*), count(DISTINCT event_id) FROM logs_workflowevent WHERE event_id = ANY(%s)"
    with database.connect() as witness:
        assert witness.execute(counted, [ids]).fetchone() == (100, 100)
    assert not any("Traceback" in site.stderr for site in sites)


def test_each_task_of_the_watch_runs_on_one_of_them(hosts):
    *sites, database = hosts
    wait_until(lambda: database.administer("SELECT 1 FROM logs_watchtask WHERE last_finished_at IS NOT NULL"))
    for number in range(1, 11):
        status = "failed" if number % 2 else "success"
        document = samples.workflow_completed(
            random=random.Random(f"two hosts {number}"),
            status=status,
            pipeline=number,
            branch="both",
            happened_at=datetime.now(UTC),
        )
        body = json.dumps(document).encode()
        headers = {"content-type": "application/json", "circleci-signature": sign(body, SECRET)}
        assert sites[number % 2].request("POST", RECEIVING_PATH, body, headers)[0] == 201
    changes = "SELECT kind FROM logs_statechange WHERE branch = 'both' ORDER BY id"
    wait_until(lambda: len(database.administer(changes)) >= 10)
    assert [kind for (kind,) in database.administer(changes)] == ["broke", "fixed"] * 5
    ((tasks, claims, current),) = database.administer(WATCHING)
    assert tasks == current
    assert claims in (1, 2)
    assert all("The watch runs" in site.stderr for site in sites)
    assert not any("has claimed the task" in site.stderr for site in sites)


def test_wrong_passwords_at_either_host_lock_a_client_out_of_both(hosts):
    first, second, _ = hosts
    manage(first.environment | {"DJANGO_SUPERUSER_PASSWORD": "right"}, *CREATE_ROOT)

    def sign_in(site, password):
        credentials = b64encode(f"root:{password}".encode()).decode()
        return site.request("GET", "/deliveries?limit=1", headers={"authorization": f"Basic {credentials}"})[0]

    assert [sign_in(site, "right") for site in (first, second)] == [200, 200]
    assert [sign_in(site, "wrong") for site in [first, second] * 5] == [401] * 10
    assert [sign_in(site, "right") for site in (first, second)] == [401, 401]


def test_each_host_counts_its_own_api_requests(hosts):
    first, second, _ = hosts

    def read(site):
        return site.request("GET", "/fetch-webhooks-logs?limit=1")[0]

    assert 429 in [read(first) for _ in range(2 * API_REQUESTS_PER_MINUTE + 1)]  # A minute may end meanwhile.
    assert read(second) == 200
