"""A site with DATABASE_REPLICA_URL, a primary and a real streaming replica: fresh, delayed, cut off, frozen, killed."""

import http.client
import http.cookies
import json
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from threading import Event
from urllib.parse import urlencode

import pytest
from django.db import connection

from tests.integration.streaming_replica import Pair, programs
from tests.integration.test_server import PROJECT, delivery, running, settings_of, wait_until

PASSWORD = "a-password-of-the-replica-tests"
LIST, EXPORT = "/fetch-webhooks-logs", "/fetch-webhooks-logs?format=ndjson"
STREAM = "/deliveries/stream?after=start&wait=0&limit=100"
LOG_PAGES = [f"/admin/logs/{name}/" for name in ("delivery", "notification", "source", "workflowevent")]
STALE_PAGES = ["/admin/", "/admin/?wall", "/admin/pipelines/", "/admin/flaky/", "/admin/insights/", *LOG_PAGES]
CURRENT_PAGES = [*(f"/admin/logs/{name}/" for name in ("channel", "rule", "feed", "apitoken")), "/readyz"]
SEEDS = count(1)
AGE = re.compile(r"data may be up to (\d+) seconds old")


@pytest.fixture(scope="module")
def pair():
    """The two servers."""
    if connection.vendor != "postgresql":
        pytest.skip("about PostgreSQL")
    if programs() is None:
        pytest.skip("PostgreSQL's programs cannot be run here")
    pair = Pair()
    yield pair
    pair.close()


@pytest.fixture
def replica(pair):
    """The replica, which runs, and has all that the primary has, at the beginning of each test."""
    if not pair.replica.is_running:
        pair.replica.start()
    wait_until(lambda: has_all(pair))
    return pair.replica


def has_all(pair):
    ((position,),) = pair.primary.execute("SELECT pg_current_wal_flush_lsn()")
    return pair.replica.execute(f"SELECT pg_last_wal_replay_lsn() >= '{position}'")[0][0]


def urls_of(pair):
    return {"DATABASE_URL": pair.primary.url, "DATABASE_REPLICA_URL": pair.replica.url, "PUBLIC_READ": "true"}


@pytest.fixture(scope="module")
def site(pair, tmp_path_factory):
    """A site that reads from the replica by default."""
    with running(tmp_path_factory.mktemp("site"), **urls_of(pair), WEB_THREADS="4") as server:
        yield server


@pytest.fixture(scope="module")
def patient_site(pair, tmp_path_factory):
    """A site that reads from a replica that is up to a minute behind."""
    with running(tmp_path_factory.mktemp("patient"), **urls_of(pair), REPLICA_MAX_LAG_SECONDS="60") as server:
        yield server


@pytest.fixture(scope="module")
def administrator(site):
    """The name of a user who may do anything."""
    environment = site.environment | {"DJANGO_SUPERUSER_PASSWORD": PASSWORD}
    manage(environment, "createsuperuser", "--noinput", "--email=", "--username=ada")
    return "ada"


def manage(environment, *arguments):
    command = [sys.executable, "manage.py", *arguments]
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Browser:
    """A client with cookies."""

    def __init__(self, server):
        self.server, self.cookies = server, {}

    def request(self, method, path, form=None):
        """Return the status, the headers and the body of an answer."""
        headers = {"cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        if form is not None:
            headers |= {"content-type": "application/x-www-form-urlencoded", "x-csrftoken": self.cookies["csrftoken"]}
        client = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=20)
        client.request(method, path, urlencode(form) if form else None, headers)
        response = client.getresponse()
        for line in response.headers.get_all("set-cookie", []):
            self.cookies |= {name: morsel.value for name, morsel in http.cookies.SimpleCookie(line).items()}
        body = response.read().decode()
        client.close()
        return response.status, response.headers, body

    def get(self, path):
        status, headers, body = self.request("GET", path)
        assert status == 200, body
        return headers, body

    def sign_in(self, username):
        self.get("/admin/login/")
        status, *_ = self.request("POST", "/admin/login/", {"username": username, "password": PASSWORD})
        assert status == 302

    def age(self, path=LIST):
        """Return what an answer says about the age of its data; None if it says nothing."""
        age = self.get(path)[0]["x-data-age"]
        return None if age is None else int(age)


def post(server):
    """Log an event, and return its id."""
    status, body = server.request("POST", "/log-circleci-webhook", *delivery(next(SEEDS)))
    assert status == 201
    return json.loads(body)["id"]


def test_lists_and_exports_are_read_from_an_up_to_date_replica_also_when_nothing_is_written(site, replica, pair):
    seen = post(site)
    wait_until(lambda: has_all(pair))
    time.sleep(1.1)  # The last check.
    for path in (LIST, EXPORT, "/api/changes", "/api/standings"):
        wait_until(lambda path=path: Browser(site).age(path) in range(3))
    assert seen in Browser(site).get(EXPORT)[1]
    reads = "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%logs_workflowevent%' AND pid <> pg_backend_pid()"
    assert pair.replica.execute(reads)


def test_without_writes_the_replica_stays_usable_however_old_its_last_transaction_is(site, replica, pair):
    wait_until(lambda: has_all(pair))
    replica_time = "SELECT extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())"
    wait_until(lambda: pair.replica.execute(replica_time)[0][0] > 11)
    wait_until(lambda: Browser(site).age() in range(3))


def test_a_replica_that_lags_more_than_allowed_is_not_read(site, replica):
    with replica.configured(recovery_min_apply_delay="30s"):
        seen = post(site)
        wait_until(lambda: Browser(site).age() is None)
        assert seen in Browser(site).get(LIST)[1]
        # It may have become too old since the last measurement; the next one logs it.
        wait_until(lambda: Browser(site).age() is None and "the replica is not used: it lags" in site.stderr)


def test_a_replica_that_has_lost_its_primary_is_not_read(site, replica, pair):
    with replica.configured(primary_conninfo=""):
        wait_until(lambda: not pair.primary.execute("SELECT 1 FROM pg_stat_replication"))
        seen = post(site)
        wait_until(lambda: Browser(site).age() is None)
        assert seen in Browser(site).get(LIST)[1]


@pytest.fixture
def delayed(replica, patient_site, pair):
    """The id of an event that the replica will have in half a minute, and with which the log is not empty."""
    post(patient_site)
    wait_until(lambda: has_all(pair))
    with replica.configured(recovery_min_apply_delay="30s"):
        event_id = post(patient_site)
        time.sleep(4)
        yield event_id


def test_what_is_read_from_a_replica_that_lags_less_says_how_old_it_may_be(patient_site, delayed, administrator):
    browser = Browser(patient_site)
    for path in (LIST, EXPORT):
        headers, body = browser.get(path)
        assert 3 <= int(headers["x-data-age"]) <= 60
        assert delayed not in body
    browser.sign_in(administrator)
    del browser.cookies["reads_primary"]
    for path in STALE_PAGES:
        headers, body = browser.get(path)
        assert AGE.search(body), path
        assert abs(int(AGE.search(body)[1]) - int(headers["x-data-age"])) <= 1


def test_accounts_configuration_single_objects_and_the_stream_are_current(patient_site, delayed, administrator):
    browser = Browser(patient_site)
    browser.sign_in(administrator)
    del browser.cookies["reads_primary"]
    for path in (*CURRENT_PAGES, f"{LIST}/{delayed}", STREAM):
        headers, body = browser.get(path)
        assert "x-data-age" not in headers, path
        assert not AGE.search(body)
    assert json.loads(browser.get(STREAM)[1])["deliveries"][-1]["event"]["id"] == delayed


def test_a_client_reads_what_it_has_just_written(patient_site, delayed, administrator):
    browser = Browser(patient_site)
    browser.sign_in(administrator)
    assert delayed in browser.get(LIST)[1]
    del browser.cookies["reads_primary"]
    assert browser.age("/deliveries") >= 3

    key = json.loads(browser.get(STREAM)[1])["deliveries"][-1]["id"]
    assert browser.request("POST", f"/deliveries/{key}/replay", {})[0] == 200
    headers, body = browser.get("/deliveries")
    assert "x-data-age" not in headers
    assert json.loads(body)[0]["id"] == key


def test_killing_the_replica_costs_no_error_and_it_is_read_again_once_it_is_back(site, replica, administrator):
    browser = Browser(site)
    browser.sign_in(administrator)
    del browser.cookies["reads_primary"]
    wait_until(lambda: browser.age() is not None)
    paths, ended, statuses = [LIST, EXPORT, "/admin/", "/admin/logs/delivery/", "/deliveries?format=csv"], Event(), []

    def read(number):
        while not ended.is_set():
            statuses.append(browser.request("GET", paths[number % len(paths)])[0])
            number += 1

    with ThreadPoolExecutor(4) as threads:
        futures = [threads.submit(read, number) for number in range(4)]
        time.sleep(2)
        replica.kill()
        before = len(statuses)
        time.sleep(3)
        ended.set()
    for future in futures:
        future.result()
    assert set(statuses) == {200}
    assert len(statuses) > before + 10 > 20
    assert browser.age() is None
    replica.start()
    wait_until(lambda: browser.age() is not None)
    assert "the replica is used again" in site.stderr


@pytest.mark.parametrize("pool_size", [0, 4])
def test_a_frozen_replica_costs_no_error_and_it_is_read_again_once_it_goes_on(pair, replica, tmp_path, pool_size):
    variables = {"WEB_THREADS": "4", "REPLICA_MAX_LAG_SECONDS": "60", "DATABASE_POOL_SIZE": str(pool_size)}
    with running(tmp_path, **urls_of(pair), **variables) as server, ThreadPoolExecutor(8) as threads:
        browser = Browser(server)

        def read(count):
            return {browser.request("GET", path)[0] for path in [LIST, "/api/changes", EXPORT] * count}

        post(server)
        wait_until(lambda: browser.age() is not None)
        assert set.union(*threads.map(read, [1] * 8)) == {200}  # Each thread has a connection to the replica.
        with replica.frozen():
            # More than the site has threads: a client that waits for one gets an error after 20 seconds.
            readers = threads.map(read, [5] * 8)
            for path in ("/healthz", "/readyz", "/healthz"):
                assert browser.request("GET", path)[0] == 200
            assert set.union(*readers) == {200}
            assert browser.age() is None
        wait_until(lambda: browser.age() is not None)
        assert "the replica is used again" in server.stderr


@pytest.mark.usefixtures("site")
def test_writes_through_the_connection_of_the_replica_fail(pair, replica, tmp_path):
    script = """
from django.db import Error
from logs.models import Feed
try:
    Feed.objects.using("replica").create(name="orchard")
except Error as error:
    print(error)
"""
    for url in (replica.url, pair.primary.url):
        environment = settings_of(tmp_path, **urls_of(pair) | {"DATABASE_REPLICA_URL": url})
        assert "read-only transaction" in manage(environment, "shell", "--no-imports", "-c", script)


def test_a_server_that_is_not_a_standby_of_the_primary_is_not_read(pair, tmp_path):
    with running(tmp_path, **urls_of(pair) | {"DATABASE_REPLICA_URL": pair.primary.url}) as server:
        assert Browser(server).age() is None
        assert "does not name a standby" in server.stderr
