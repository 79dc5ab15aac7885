"""``manage.py listen`` at a terminal: its lines, its keys, and addresses that break off."""

import os
import pty
import random
import socket
import sys
import termios
import threading
import time
from contextlib import suppress
from datetime import timedelta
from io import StringIO

import pytest
import time_machine
from django.core.management import CommandError, call_command, execute_from_command_line
from django.utils import timezone

from logs.circleci import samples
from logs.management.commands import listen as listen_module
from logs.management.workbench import sources
from logs.management.workbench.sending import Answer, Failure, WebhookClient
from tests.load.wire import wait_until

pytestmark = pytest.mark.django_db

URL = "https://app.circleci.com/pipelines/"


@pytest.fixture
def listen(monkeypatch, tmp_path):
    """Run the command at a terminal. A thread types each key once its words have appeared, and then q."""
    typist, terminal = pty.openpty()
    stdin = os.fdopen(terminal)
    monkeypatch.setattr(sys, "stdin", stdin)
    before = termios.tcgetattr(terminal)

    def run(address, *script, since="start", arguments=()):
        out, told = StringIO(), StringIO()

        def type_keys():
            try:
                for words, key in script:
                    wait_until(lambda words=words: words in out.getvalue() + told.getvalue(), words, seconds=10)
                    os.write(typist, key)
            finally:
                os.write(typist, b"q")

        hands = threading.Thread(target=type_keys)
        hands.start()
        with pytest.raises(SystemExit) as ended:
            call_command(
                "listen",
                f"--to={address}",
                f"--since={since}",
                f"--state={tmp_path / 'state.json'}",
                *arguments,
                stdout=out,
                stderr=told,
            )
        hands.join()
        assert ended.value.code == 0
        assert termios.tcgetattr(terminal) == before
        return out.getvalue(), told.getvalue()

    yield run
    stdin.close()
    os.close(typist)


def test_each_key_does_what_it_says(listen, deliver, receiver, monkeypatch):
    opened = []
    monkeypatch.setattr(listen_module.webbrowser, "open", opened.append)
    deliver(samples.job_completed(random=random.Random(1), job="lint", project="boats"))
    address = receiver.url_for("/log-circleci-webhook")
    out, told = listen(address, (" ms\n", b"dorx"))
    first, again = out.splitlines()
    assert first.split()[:3] == again.split()[:3]
    assert "  build-and-test / lint  " in first
    requests = [request for request, _ in receiver.log]
    assert len(requests) == 2
    assert requests[0].data == requests[1].data
    assert requests[0].headers["circleci-signature"] == requests[1].headers["circleci-signature"]
    assert [url.startswith(URL) for url in opened] == [True]
    assert "circleci-event-type: job-completed" in told
    assert "1 forwarded" in told


def test_keys_wait_for_nothing_before_there_is_a_delivery(listen, receiver):
    out, told = listen(receiver.url_for("/"), ("listening to", b"rdo"))
    assert out == ""
    assert "0 forwarded" in told


def test_a_repetition_gives_up_after_a_few_seconds_and_says_so(listen, deliver, ping_document, httpserver, monkeypatch):
    assert listen_module.REPEAT_TIMEOUT_SECONDS == 5
    monkeypatch.setattr(listen_module, "REPEAT_TIMEOUT_SECONDS", 0.3)
    over = threading.Event()
    httpserver.expect_ordered_request("/hook").respond_with_data("", 201)
    httpserver.expect_ordered_request("/hook").respond_with_handler(lambda _: over.wait(5) and None)
    deliver(ping_document)
    started = time.monotonic()
    out, told = listen(httpserver.url_for("/hook"), (" 201 ", b"r"), ("no answer within 0.3 s", b"d"))
    over.set()
    assert time.monotonic() - started < 5
    assert " no answer " in out
    assert "circleci-event-type: ping" in told


@pytest.mark.parametrize(
    ("since", "arguments", "jobs"),
    [
        ("start", [], ["lint", "test", "ship"]),
        ("24h", [], ["test", "ship"]),
        ("{a day ago}", [], ["test", "ship"]),
        ("start", ["--job=test"], ["test"]),
        ("start", ["--tag=v1"], ["ship"]),
        ("start", ["--author=Ada Only"], ["lint"]),
    ],
)
def test_passes_on_what_is_chosen(listen, deliver, receiver, since, arguments, jobs):
    with time_machine.travel(timezone.now() - timedelta(days=2)):
        deliver(samples.job_completed(random=random.Random(1), job="lint", author="Ada Only"))
    deliver(samples.job_completed(random=random.Random(2), job="test"))
    deliver(samples.job_completed(random=random.Random(3), job="ship", host=samples.Host.GITLAB, tag="v1"))
    since = since.replace("{a day ago}", (timezone.now() - timedelta(days=1)).isoformat())
    last = (f" / {jobs[-1]} ", b"")
    out, _ = listen(receiver.url_for("/log-circleci-webhook"), last, since=since, arguments=arguments)
    assert [line.partition(" / ")[2].split()[0] for line in out.splitlines()] == jobs


def test_says_what_since_may_be(capsys):
    with pytest.raises(SystemExit):
        execute_from_command_line(["manage.py", "listen", "--to=http://127.0.0.1:1/", "--since=yesterday"])
    assert "Invalid time 'yesterday': use ISO 8601 (2026-05-04T10:00Z)" in capsys.readouterr().err


@pytest.mark.parametrize(("option", "told"), [("--status=faild", "failed"), ("--outcome=loged", "logged")])
def test_suggests_a_word_before_it_listens(monkeypatch, tmp_path, option, told):
    monkeypatch.setattr(listen_module, "LocalLog", lambda _: pytest.fail("it listens"))
    with pytest.raises(CommandError, match=rf"is unknown: did you mean {told}\?"):
        call_command("listen", "--to=http://127.0.0.1:1/", f"--state={tmp_path / 'state'}", option)


class Breaking:
    """A server that breaks off every answer to what holds some bytes."""

    def __init__(self, marker):
        self.taken = []
        self._marker = marker
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}/"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                with client:
                    request = b""
                    while not request.endswith(b"}"):
                        request += client.recv(65_536)
                    self.taken.append(self._marker in request)
                    if not self.taken[-1]:
                        client.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    def close(self):
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join()


@pytest.fixture
def at_once(monkeypatch):
    """Make no pauses between tries."""
    monkeypatch.setattr(sources, "BACK_OFF_SECONDS", (0.01,))


def test_a_delivery_whose_answers_break_off_is_sent_three_times_and_the_next_follows(
    listen, deliver, workflow_document, at_once
):
    deliver(workflow_document(1, project="poison"))
    deliver(workflow_document(2, project="boats"))
    server = Breaking(b'"poison"')
    out, told = listen(server.url, (" 201 ", b""))
    server.close()
    assert server.taken == [True, True, True, False]
    first, second = out.splitlines()
    assert " broken off " in first
    assert " 201 " in second
    assert "was broken off 3 times and is not sent again" in told


def test_what_crashes_its_receiver_is_sent_three_times_however_long_that_is_away(
    listen, deliver, workflow_document, at_once, monkeypatch
):
    deliver(workflow_document(1))
    lacks = [
        Failure.BROKEN_OFF,
        *[Failure.UNREACHABLE] * 3,
        Failure.BROKEN_OFF,
        Failure.UNREACHABLE,
        Failure.BROKEN_OFF,
    ]
    left = list(lacks)

    def send(self, message):
        return Answer(http_status=None, failure=left.pop(0), outcome="", reason="gone", milliseconds=1)

    monkeypatch.setattr(WebhookClient, "send", send)
    out, told = listen("http://127.0.0.1:1/", ("is not sent again", b""))
    assert left == []
    assert "gone; retrying\n" in told
    assert " broken off " in out
