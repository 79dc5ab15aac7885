"""`manage.py send_test_webhook` tells how it was answered, and fails unless everything was accepted."""

import json
import re
import socket
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from threading import Thread

import pytest
from django.core.management import CommandError, call_command

PATH = "/log-circleci-webhook"
CREATED = json.dumps({"message": "Webhook Event successfully logged", "outcome": "logged"})


@pytest.fixture(autouse=True)
def configured_webhooks(settings, monkeypatch):
    # A terminal is what these tests say it is.
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    settings.CIRCLECI_WEBHOOK_SECRETS = {"My CircleCI Webhook": "a secret of the harbour"}


@pytest.fixture
def unused_url():
    """Return an address where nothing listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{unused.getsockname()[1]}{PATH}"


def refuse(httpserver, status, **body):
    httpserver.expect_request(PATH).respond_with_json(body, status=status)


@contextmanager
def receiver_of_http_1_1():
    """Count connections and requests; the other server of these tests closes each connection after its answer."""

    class Receiver(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self):
            super().setup()
            self.server.connections += 1

        def do_POST(self):
            self.rfile.read(int(self.headers["content-length"]))
            self.server.requests += 1
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        server.connections = server.requests = 0
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_sums_up_many_events(receiver, send, capsys):
    lines = send("--count", "30", "--seed", "1")
    assert len(receiver.log) == 30
    assert re.fullmatch(r"30 sent in \d+\.\d s: [\d.]+ events per second", lines[0])
    assert lines[1] == "answers: 30 x 201"
    figures = re.fullmatch(r"milliseconds: p50 ([\d.]+), p95 ([\d.]+), p99 ([\d.]+), max ([\d.]+)", lines[2])
    assert 0 < float(figures[1]) <= float(figures[2]) <= float(figures[3]) <= float(figures[4])
    assert len(lines) == 3
    assert capsys.readouterr().err == "sending 30 events\n"


def test_shows_a_bar_on_a_terminal(receiver, send, capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    send("--count", "21")
    shown = capsys.readouterr().err
    assert "100%" in shown
    assert "\x1b[" in shown


def test_a_few_random_events_are_listed_and_summed_up(receiver, send, capsys):
    lines = send("--count", "3")
    assert len(lines) == 6
    assert [line.split()[2:4] for line in lines[:3]] == [["201", "logged"]] * 3
    assert lines[4] == "answers: 3 x 201"
    assert capsys.readouterr().err == ""


def test_keeps_to_the_rate(receiver, send):
    started = time.monotonic()
    send("--count", "5", "--rate", "20")
    assert time.monotonic() - started >= 4 / 20


def test_keeps_one_connection_open_for_all_events(send):
    with receiver_of_http_1_1() as server:
        send("--count", "30", url=f"http://127.0.0.1:{server.server_port}{PATH}")
    assert (server.connections, server.requests) == (1, 30)


def test_fails_and_shows_the_detail_of_a_refusal(httpserver, send):
    refuse(httpserver, 401, detail="the signature is wrong", code="unverified")
    with pytest.raises(CommandError, match="3 of 3 events not accepted: 3 x 401 the signature is wrong") as caught:
        send()
    assert caught.value.returncode == 1


@pytest.mark.parametrize("status", [302, 400, 404, 429, 500, 503])
def test_fails_on_every_answer_but_success(httpserver, send, status):
    httpserver.expect_request(PATH).respond_with_data("<h1>no JSON</h1>", status, {"Location": "/elsewhere"})
    with pytest.raises(CommandError, match=f"1 of 1 events not accepted: {status}$"):
        send("--type", "ping")
    assert [request.path for request, _ in httpserver.log] == [PATH]


@pytest.mark.parametrize("body", ["", "null", "[]", '{"detail": {"a": 1}}', "[" * 100_000, "\ufeff{}", "NaN"])
def test_an_answer_of_any_shape_is_shown_by_its_status(httpserver, send, body):
    httpserver.expect_request(PATH).respond_with_data(body, 500)
    with pytest.raises(CommandError, match=r"not accepted: 500$"):
        send("--type", "ping")


def test_an_answer_cannot_rewrite_the_terminal(httpserver, send):
    refuse(httpserver, 400, detail="\x1b[2J\nall is well" + "!" * 1_000)
    with pytest.raises(CommandError) as caught:
        send("--type", "ping")
    assert re.search(r"400 \?\[2J\?all is well!+$", str(caught.value))
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_any_success_is_accepted(httpserver, send, status):
    httpserver.expect_request(PATH).respond_with_data("", status)
    assert send("--type", "ping")[0].split()[2] == str(status)


def test_sends_the_rest_after_a_refusal_and_counts_both(httpserver, send):
    httpserver.expect_ordered_request(PATH).respond_with_json({"detail": "try later"}, status=503)
    for _ in range(2):
        httpserver.expect_ordered_request(PATH).respond_with_data(CREATED, 201)
    with pytest.raises(CommandError, match="1 of 3 events not accepted: 503 try later"):
        send("--count", "3")
    assert len(httpserver.log) == 3


def test_sums_up_before_it_fails(httpserver):
    refuse(httpserver, 503, detail="try later")
    out = StringIO()
    with pytest.raises(CommandError):
        call_command("send_test_webhook", httpserver.url_for(PATH), "--count", "21", stdout=out)
    assert "answers: 21 x 503" in out.getvalue().splitlines()


def test_says_how_to_start_a_server_that_does_not_listen(send, unused_url):
    with pytest.raises(CommandError, match=r"3 of 3 .* 3 x nothing listens at http.*make run"):
        send(url=unused_url)


def test_says_when_a_host_is_not_known(send, monkeypatch):
    def unknown(*_args, **_kwargs):
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(CommandError, match=r"the host of http://harbour\.invalid/ is unknown"):
        send("--type", "ping", url="http://harbour.invalid/")


def test_lists_an_event_without_an_answer(unused_url):
    out = StringIO()
    with pytest.raises(CommandError):
        call_command("send_test_webhook", unused_url, "--type", "ping", stdout=out)
    assert out.getvalue().split()[:4] == ["ping", "-", "no", "answer"]


def test_counts_events_without_an_answer(unused_url):
    out = StringIO()
    with pytest.raises(CommandError):
        call_command("send_test_webhook", unused_url, "--count", "25", stdout=out)
    assert out.getvalue().splitlines()[1:] == ["answers: 25 x no answer"]


def test_gives_up_waiting_after_the_timeout(send):
    # Connections are taken by the system, but nobody answers them.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}{PATH}"
        with pytest.raises(CommandError, match=r"no answer within 0\.1 s"):
            send("--type", "ping", "--timeout", "0.1", url=url)


def test_says_when_a_connection_breaks(send):
    def hang_up():
        connection, _ = server.accept()
        connection.recv(1_000_000)
        connection.close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        thread = Thread(target=hang_up)
        thread.start()
        with pytest.raises(CommandError, match=r"the connection to .* failed"):
            send("--type", "ping", url=f"http://127.0.0.1:{server.getsockname()[1]}{PATH}")
        thread.join()
