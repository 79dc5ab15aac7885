"""A payload goes to the IP address that was judged, whatever the name resolves to the next time."""

import socket
import threading

import pytest

from logs.management.workbench.sending import Failure, Message, WebhookClient

MESSAGE = Message(label="delivery 1", body=b"{}", headers={})
NAME = "laptop.example"
PUBLIC = "93.184.215.14"


@pytest.fixture
def resolver(monkeypatch):
    """Resolve NAME to the next of some lists of addresses, the last one repeatedly; return all lookups of it."""
    look_up, lookups = socket.getaddrinfo, []

    def resolve(*answers):
        def found(host, port, *args, **kwargs):
            if host != NAME:
                return look_up(host, port, *args, **kwargs)
            addresses = answers[min(len(lookups), len(answers) - 1)]
            lookups.append(addresses)
            return [entry for each in addresses for entry in look_up(each, port, 0, socket.SOCK_STREAM)]

        monkeypatch.setattr(socket, "getaddrinfo", found)
        return lookups

    return resolve


def sender(port, *, scheme="http", **options):
    return WebhookClient(f"{scheme}://{NAME}:{port}/", timeout_seconds=5, **{"allow_public": False} | options)


def test_connects_to_the_address_that_was_judged(resolver, httpserver):
    lookups = resolver(["127.0.0.1"], [PUBLIC])
    httpserver.expect_request("/").respond_with_data("", 201)
    assert sender(httpserver.port).send(MESSAGE).http_status == 201
    assert lookups == [["127.0.0.1"]]
    ((request, _),) = httpserver.log
    assert request.headers["host"] == f"{NAME}:{httpserver.port}"


def test_judges_each_connection_and_sends_nothing_to_a_public_address(resolver, httpserver):
    lookups = resolver(["127.0.0.1"], [PUBLIC], ["127.0.0.1", PUBLIC], ["127.0.0.1"])
    httpserver.expect_request("/").respond_with_data("", 201, headers={"connection": "close"})
    sending = sender(httpserver.port)
    answers = [sending.send(MESSAGE) for _ in range(4)]
    assert [(each.http_status, each.failure) for each in answers] == [
        (201, None),
        (None, Failure.UNREACHABLE),
        (None, Failure.UNREACHABLE),
        (201, None),
    ]
    assert f"{NAME} has the public IP address {PUBLIC}" in answers[1].reason
    assert len(lookups) == 4
    assert len(httpserver.log) == 2


def test_a_name_that_resolves_to_nothing_any_more_is_a_reason(monkeypatch):
    def unknown(*_args, **_kwargs):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    answer = sender(1).send(MESSAGE)
    assert (answer.failure, answer.reason.partition(":")[0]) == (Failure.UNREACHABLE, f"the host '{NAME}' is unknown")


def test_tries_each_address_of_a_name(resolver, httpserver):
    resolver(["::1", "127.0.0.1"])
    httpserver.expect_request("/").respond_with_data("", 201)
    assert sender(httpserver.port).send(MESSAGE).http_status == 201


def test_says_that_nothing_listens_at_any_of_them(resolver, unused_port):
    resolver(["::1", "127.0.0.1"])
    answer = sender(unused_port).send(MESSAGE)
    assert answer.failure is Failure.UNREACHABLE
    assert "nothing listens at" in answer.reason


def test_an_address_in_brackets_needs_no_name():
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        port = server.getsockname()[1]
    assert WebhookClient(f"http://[::1]:{port}/", allow_public=False).send(MESSAGE).failure is Failure.UNREACHABLE


def test_tls_asks_for_the_name_and_not_for_the_address(resolver):
    resolver(["127.0.0.1"], [PUBLIC])
    with socket.create_server(("127.0.0.1", 0)) as server:
        greetings = []

        def take():
            taken, _ = server.accept()
            with taken:
                greetings.append(taken.recv(65_536))

        thread = threading.Thread(target=take)
        thread.start()
        assert sender(server.getsockname()[1], scheme="https").send(MESSAGE).failure is Failure.UNREACHABLE
        thread.join()
    assert NAME.encode() in greetings[0]  # In the extension "server_name", which is not encrypted.


@pytest.mark.parametrize("allow_public", [False, True])
def test_follows_no_redirect(resolver, httpserver, allow_public):
    resolver(["127.0.0.1"])
    httpserver.expect_request("/").respond_with_data("", 307, headers={"location": f"http://{PUBLIC}/"})
    assert sender(httpserver.port, allow_public=allow_public).send(MESSAGE).http_status == 307
    assert len(httpserver.log) == 1


@pytest.mark.parametrize("allow_public", [False, True])
@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
def test_a_proxy_of_the_environment_is_not_used(resolver, httpserver, monkeypatch, unused_port, name, allow_public):
    resolver(["127.0.0.1"])
    for each in ("NO_PROXY", "no_proxy", "REQUEST_METHOD"):
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv(name, f"http://127.0.0.1:{unused_port}")
    httpserver.expect_request("/").respond_with_data("", 201)
    assert sender(httpserver.port, allow_public=allow_public).send(MESSAGE).http_status == 201


def test_the_internet_is_reached_if_asked_for(resolver, httpserver, monkeypatch):
    """It is 127.0.0.1 here, which is judged as if it were public."""
    resolver(["127.0.0.1"])
    monkeypatch.setattr("logs.management.workbench.forwarding._is_private", lambda _: False)
    httpserver.expect_request("/").respond_with_data("", 201)
    assert sender(httpserver.port, allow_public=True).send(MESSAGE).http_status == 201
    assert "has the public IP address" in sender(httpserver.port).send(MESSAGE).reason
