"""Who asks too often waits until the minute ends; nobody else does, and never a delivery."""

import base64
import os
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest
import time_machine
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from logs.models import ApiToken
from tests.load.server import Server
from tests.load.wire import Connection, request_bytes

pytestmark = pytest.mark.django_db

LIST = "/fetch-webhooks-logs"
LIMIT = 3
LIMIT_HEADERS = {"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"}


@pytest.fixture(autouse=True)
def low_limit(settings):
    settings.API_REQUESTS_PER_MINUTE = LIMIT


@pytest.fixture(autouse=True)
def clock(request):
    """A clock that stands still, 42 seconds before its minute ends; a server of its own has one that goes."""
    if "server" in request.fixturenames:
        yield None
        return
    with time_machine.travel("2026-05-04 10:00:18", tick=False) as traveller:
        yield traveller


def statuses(client, count, **extra):
    return [client.get(LIST, **extra).status_code for _ in range(count)]


def told(answer):
    """Return the limit, what is left, and the seconds to the minute's end."""
    return tuple(int(answer.headers[f"RateLimit-{name}"]) for name in ("Limit", "Remaining", "Reset"))


def bearer(user, name):
    _, key = ApiToken.issue(user, name=name, lifetime=timedelta(days=1))
    return {"headers": {"authorization": f"Bearer {key}"}}


def basic(password, username="operator"):
    credentials = base64.b64encode(f"{username}:{password}".encode()).decode()
    return {"headers": {"authorization": f"Basic {credentials}"}}


WRONG = {"headers": {"authorization": "Bearer whl_guess"}}


def test_beyond_the_limit_a_client_is_told_when_to_come_again(reader):
    answers = [reader.get(LIST) for _ in range(LIMIT + 2)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert [told(answer) for answer in answers] == [(3, 2, 42), (3, 1, 42), (3, 0, 42), (3, 0, 42), (3, 0, 42)]
    assert answers[-1].headers["Retry-After"] == "42"
    assert answers[-1].headers["Content-Type"] == "application/json"
    assert answers[-1].json() == {
        "detail": "More than 3 requests in a minute; see the setting API_REQUESTS_PER_MINUTE."
        " Expected available in 42 seconds.",
        "code": "throttled",
    }
    assert "Retry-After" not in answers[0].headers


def test_the_end_of_the_minute_frees_again(reader, clock):
    assert statuses(reader, LIMIT + 1)[-1] == 429
    clock.shift(41.9)
    refused = reader.get(LIST)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
    clock.shift(0.1)
    answer = reader.get(LIST)
    assert (answer.status_code, told(answer)) == (200, (3, 2, 60))


def test_every_answer_tells_the_usage(reader, client, settings):
    settings.API_REQUESTS_PER_MINUTE = 100
    etag = reader.get(LIST).headers["ETag"]
    answers = {
        304: reader.get(LIST, headers={"if-none-match": etag}),
        400: reader.get(f"{LIST}?nosuch=1"),
        401: client.get(LIST),
        403: reader.get("/deliveries"),
        404: reader.get(f"{LIST}/unknown"),
        405: reader.post(LIST),
        406: reader.get(LIST, headers={"accept": "image/png"}),
        412: reader.get(LIST, headers={"if-match": '"another"'}),
    }
    assert {status: answer.status_code for status, answer in answers.items()} == {status: status for status in answers}
    for answer in [*answers.values(), reader.head(LIST), reader.get(f"{LIST}?format=csv"), reader.options(LIST)]:
        assert set(answer.headers) >= LIMIT_HEADERS
    assert reader.get(f"{LIST}?format=csv").streaming


@pytest.mark.parametrize("extra", [{"query_params": {"format": "nosuch"}}, {"headers": {"accept": "image/png"}}])
def test_requests_that_end_before_anybody_is_known_count_for_their_address(client, extra):
    assert statuses(client, LIMIT + 1, **extra)[-1] == 429


def test_requests_that_are_refused_count_too(reader):
    assert [reader.get("/deliveries").status_code for _ in range(LIMIT + 1)] == [403, 403, 403, 429]


def test_one_users_flood_throttles_nobody_else(user_with, client_of, settings):
    settings.PUBLIC_READ = True
    flooding, other = (client_of(user_with("view_workflowevent", username=name)) for name in ("a", "b"))
    assert statuses(flooding, LIMIT + 1)[-1] == 429
    assert told(other.get(LIST))[1] == LIMIT - 1
    assert told(Client().get(LIST))[1] == LIMIT - 1


def test_one_tokens_flood_throttles_neither_another_token_nor_its_user(client, user_with, client_of):
    user = user_with("view_workflowevent")
    flooding, other = bearer(user, "dashboard"), bearer(user, "notebook")
    assert statuses(client, LIMIT + 1, **flooding)[-1] == 429
    assert told(client.get(LIST, **other))[1] == LIMIT - 1
    assert told(client_of(user).get(LIST))[1] == LIMIT - 1


def test_a_token_is_the_same_from_every_address(client, user_with):
    token = bearer(user_with("view_workflowevent"), "dashboard")
    answers = [client.get(LIST, REMOTE_ADDR=f"192.0.2.{number}", **token) for number in range(LIMIT + 1)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]


def test_whoever_has_not_signed_in_counts_by_address(client, settings):
    settings.PUBLIC_READ = True
    assert statuses(client, LIMIT + 1, REMOTE_ADDR="192.0.2.1")[-1] == 429
    assert statuses(client, LIMIT, REMOTE_ADDR="192.0.2.2") == [200] * LIMIT


def test_behind_a_proxy_the_clients_address_counts_and_not_the_proxys(client, settings):
    settings.PUBLIC_READ = True
    settings.TRUSTED_PROXIES = [ip_network("127.0.0.1")]
    assert statuses(client, LIMIT + 1, headers={"x-forwarded-for": "192.0.2.1"})[-1] == 429
    assert statuses(client, LIMIT, headers={"x-forwarded-for": "192.0.2.2"}) == [200] * LIMIT
    # An address that the client has invented itself frees nobody.
    assert statuses(client, 1, headers={"x-forwarded-for": "192.0.2.3, 192.0.2.1"}) == [429]


def test_nobody_is_believed_about_an_address_without_a_trusted_proxy(client, settings):
    settings.PUBLIC_READ = True
    answers = [client.get(LIST, headers={"x-forwarded-for": f"192.0.2.{number}"}) for number in range(LIMIT + 1)]
    assert answers[-1].status_code == 429


def test_guessing_tokens_is_bounded_even_for_the_one_that_hits(client, user_with, clock):
    token = bearer(user_with("view_workflowevent"), "dashboard")
    assert statuses(client, LIMIT + 1, **WRONG) == [401, 401, 401, 429]
    refused = client.get(LIST, **token)
    assert (refused.status_code, told(refused), refused.json()["code"]) == (429, (3, 0, 42), "throttled")
    assert statuses(client, 1, REMOTE_ADDR="192.0.2.9", **token) == [200]
    clock.shift(42)
    assert statuses(client, 1, **token) == [200]


def test_guessing_closes_neither_sessions_nor_what_is_public(reader, client, settings):
    settings.PUBLIC_READ = True
    assert statuses(client, LIMIT + 1, **WRONG)[-1] == 429
    assert statuses(reader, 1) == [200]
    assert statuses(client, LIMIT, REMOTE_ADDR="127.0.0.1") == [200] * LIMIT


def test_a_flood_without_credentials_keeps_nobody_from_signing_in(client, user_with):
    token = bearer(user_with("view_workflowevent"), "dashboard")
    assert statuses(client, LIMIT + 1)[-1] == 429
    assert statuses(client, 1, **token) == [200]


def test_right_credentials_never_count_as_guesses(client, user_with):
    user = user_with("view_workflowevent")
    tokens = [bearer(user, str(number)) for number in range(LIMIT + 2)]
    assert [client.get(LIST, **token).status_code for token in tokens] == [200] * len(tokens)


def test_wrong_passwords_count_too(client):
    get_user_model().objects.create_superuser("operator", password="a good password")
    assert statuses(client, LIMIT + 1, **basic("wrong")) == [401, 401, 401, 429]
    assert statuses(client, 1, **basic("a good password")) == [429]


def test_deliveries_are_never_throttled(deliver, workflow_document, client, settings):
    settings.API_REQUESTS_PER_MINUTE = 1
    statuses(client, 2)
    answers = [deliver(workflow_document(seed)) for seed in range(4)]
    answers += [deliver(workflow_document(seed), secret="wrong") for seed in range(4)]
    assert [answer.status_code for answer in answers] == [201] * 4 + [401] * 4
    assert not LIMIT_HEADERS & set(answers[0].headers) | LIMIT_HEADERS & set(answers[-1].headers)


def test_a_limit_of_nought_is_none_and_keeps_no_file(reader, settings):
    settings.API_REQUESTS_PER_MINUTE = 0
    assert statuses(reader, 10) == [200] * 10
    assert not LIMIT_HEADERS & set(reader.get(LIST).headers)
    assert not settings.API_REQUESTS_FILE.exists()


def test_counts_that_cannot_be_kept_make_nothing_unreadable(reader, settings, caplog):
    settings.API_REQUESTS_FILE.mkdir()
    assert statuses(reader, LIMIT + 5) == [200] * (LIMIT + 5)
    assert not LIMIT_HEADERS & set(reader.get(LIST).headers)
    assert [record.getMessage().split(":")[0] for record in caplog.records] == [
        "API_REQUESTS_PER_MINUTE is not enforced"
    ]


def test_reading_costs_no_query_more(reader, settings, django_assert_num_queries):
    settings.API_REQUESTS_PER_MINUTE = 0
    reader.get(LIST)
    with CaptureQueriesContext(connection) as before:
        reader.get(LIST)
    settings.API_REQUESTS_PER_MINUTE = LIMIT
    with django_assert_num_queries(len(before)):
        reader.get(LIST)


@pytest.fixture
def server(tmp_path):
    """A gunicorn of two workers."""
    environment = {
        "PATH": os.environ["PATH"],
        "ENV_FILE": os.devnull,
        "DATA_DIR": str(tmp_path / "data"),
        "SECRET_KEY": "a-key-of-the-throttling-tests-" + "0123456789" * 4,
        "ALLOWED_HOSTS": "127.0.0.1",
        "TRUSTED_PROXIES": "127.0.0.1",
        "API_REQUESTS_PER_MINUTE": "100",
        "WATCH": "off",
    }
    running = Server(tmp_path, environment)
    try:
        running.start()
        running.wait_until_serving()
        yield running
    finally:
        running.end()


def burst(port, address):
    """Return how often each status was answered to 200 requests of one client, of which eight are open at a time."""

    def status_of(_):
        with Connection(port) as connection:
            return connection.exchange(request_bytes("GET", LIST, {"X-Forwarded-For": address})).status

    with ThreadPoolExecutor(8) as threads:
        return Counter(threads.map(status_of, range(200)))


def has_open(pid, path):
    return path in [os.path.realpath(link) for link in Path(f"/proc/{pid}/fd").iterdir()]


def test_the_workers_of_a_server_count_together(server, tmp_path):
    counts = str(tmp_path / "data" / "requests.sqlite3")
    for attempt in range(20):
        minute = time.time() // 60
        answers = burst(server.port, f"192.0.2.{attempt}")
        in_one_minute = time.time() // 60 == minute
        if in_one_minute and all(has_open(pid, counts) for pid in server.worker_pids()):
            break
    assert answers == {401: 100, 429: 100}
    assert [has_open(pid, counts) for pid in server.worker_pids()] == [True, True]
    assert "not enforced" not in server.log


def test_all_addresses_of_an_ipv6_network_count_together(client):
    assert [client.get(LIST, REMOTE_ADDR=f"2001:db8::{n}").status_code for n in range(5)] == [401] * 3 + [429] * 2
    assert client.get(LIST, REMOTE_ADDR="2001:db8:0:1::1").status_code == 401
