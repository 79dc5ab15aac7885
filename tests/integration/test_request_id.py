"""One id leads from an answer to the log lines that tell of it."""

import logging
import re
from ipaddress import ip_network

import pytest
from django.http import HttpResponse
from django.test import Client

from logs.http import request_id
from logs.http.request_id import RequestIdFilter

pytestmark = pytest.mark.django_db

MADE_HERE = re.compile(r"[0-9a-f]{32}")


@pytest.fixture
def log(caplog):
    """What reaches the log, with the ids that its filter gives the records."""
    caplog.handler.addFilter(marking := RequestIdFilter())
    yield caplog
    caplog.handler.removeFilter(marking)


@pytest.fixture
def trusted_proxy(settings):
    settings.TRUSTED_PROXIES = [ip_network("192.0.2.0/28")]
    return {"REMOTE_ADDR": "192.0.2.1"}


def id_of(answer):
    return answer.headers["X-Request-ID"]


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/admin/", "/nowhere", "/fetch-webhooks-logs", "/%00"])
def test_every_answer_tells_an_id_of_its_own(client, path):
    first, second = id_of(client.get(path)), id_of(client.get(path))
    assert MADE_HERE.fullmatch(first)
    assert MADE_HERE.fullmatch(second)
    assert first != second


def test_refusals_tell_it_too(client, deliver):
    answers = [deliver(b"{}", secret="wrong"), client.get("/", headers={"host": "unknown.example.org"})]
    assert [answer.status_code for answer in answers] == [401, 400]
    assert all(MADE_HERE.fullmatch(id_of(answer)) for answer in answers)


def test_the_lines_of_a_request_carry_its_id(deliver, log):
    answer = deliver(b"{}", secret="wrong")
    assert {record.name: record.request_id for record in log.records} == {"logs.ingest.pipeline": id_of(answer)}


def test_what_django_logs_after_the_middleware_has_returned_carries_the_id_too(client, log, monkeypatch):
    monkeypatch.setattr("logs.http.probes.PROBES", {"/readyz": lambda: HttpResponse(status=503)})
    answer = client.get("/readyz")
    assert {record.name: record.request_id for record in log.records} == {"django.request": id_of(answer)}


def test_a_defect_is_logged_with_the_id_that_its_answer_tells(client, log, monkeypatch):
    def broken():
        raise RuntimeError("a defect")

    monkeypatch.setattr("logs.http.probes.PROBES", {"/healthz": broken})
    client.raise_request_exception = False
    answer = client.get("/healthz")
    assert answer.status_code == 500
    assert [record.request_id for record in log.records if record.exc_info] == [id_of(answer)]


def test_what_is_logged_outside_of_requests_has_none(client, log):
    client.get("/healthz")
    logging.getLogger("logs").warning("between two requests")
    assert log.records[-1].request_id is None


def test_a_trusted_proxys_id_is_taken(client, trusted_proxy):
    for given in ("a", "A-b_c.9", "0" * 64):
        assert id_of(client.get("/healthz", headers={"x-request-id": given}, **trusted_proxy)) == given


@pytest.mark.parametrize(
    "odd",
    ["", "x" * 65, "a b", "a\nforged", "a\n", "a\r\nSet-Cookie: a=b", "é", "a,b", "\x00", '"', "<b>", "²"],
)
def test_an_odd_id_is_not_taken_even_from_a_trusted_proxy(client, trusted_proxy, odd):
    assert MADE_HERE.fullmatch(id_of(client.get("/healthz", headers={"x-request-id": odd}, **trusted_proxy)))


@pytest.mark.parametrize("address", ["192.0.2.16", "2001:db8::1", "127.0.0.1", "", "unix"])
def test_a_strangers_id_is_not_taken(client, trusted_proxy, address):
    answer = client.get("/healthz", headers={"x-request-id": "chosen"}, REMOTE_ADDR=address)
    assert MADE_HERE.fullmatch(id_of(answer))


def test_nobodys_id_is_taken_unless_a_proxy_is_trusted(client, settings):
    settings.TRUSTED_PROXIES = []
    assert id_of(client.get("/healthz", headers={"x-request-id": "chosen"})) != "chosen"


def test_claiming_to_come_through_a_proxy_makes_no_id_trusted(client, trusted_proxy):
    headers = {"x-request-id": "chosen", "x-forwarded-for": "192.0.2.1"}
    assert id_of(client.get("/healthz", headers=headers, REMOTE_ADDR="198.51.100.7")) != "chosen"


def test_an_id_is_forgotten_when_the_answer_is_sent():
    Client().get("/healthz")
    assert request_id.current.get() is None
