"""WSGI code runs in threads, which neither slow clients nor waiting ones occupy."""

import asyncio
import threading
import time
from types import SimpleNamespace

import pytest

from logs.http import readers
from logs.http.readers import WAITED, ClientGone, WSGIInThreads, wait_for

STARTED = {"type": "http.response.start", "status": 200, "headers": [(b"x-name", b"value")]}
END = {"type": "http.response.body", "body": b""}


class Response:
    """What a WSGI application returns; `chunks` may be a generator."""

    def __init__(self, chunks, *, streaming=False, is_file=False):
        self.chunks, self.streaming, self.is_closed = chunks, streaming, threading.Event()
        self.has_header = {"Content-Length": is_file}.get

    def __iter__(self):
        yield from self.chunks

    def close(self):
        self.is_closed.set()


class Client:
    """Reads a response; may leave, or stop reading after a number of messages."""

    def __init__(self, *, reads=1_000):
        self.sent, self._reads = [], reads
        self.leaves = asyncio.Event()

    async def receive(self):
        await self.leaves.wait()
        return {"type": "http.disconnect"}

    async def send(self, message):
        if len(self.sent) == self._reads:
            await asyncio.Future()
        self.sent.append(message)

    @property
    def body(self):
        return b"".join(message.get("body", b"") for message in self.sent)


class Waiting:
    """What a client waits for; it is there after a number of polls."""

    def __init__(self, polls):
        self.polls = polls
        self.threads = []

    def poll(self):
        self.threads.append(threading.current_thread().name)
        self.polls -= 1
        return self.polls <= 0


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Poll often, and do not stop."""
    monkeypatch.setattr(readers, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(readers, "stopping", threading.Event())


def application_of(*responses):
    """Make an application that returns these responses, one for each call."""
    remaining = list(responses)

    def application(environ, start_response):
        start_response("200 OK", [("X-Name", "value")])
        return remaining.pop(0)

    return application


def application_that_waits(waiting, *, seconds):
    """Make an application that returns `first`, and once it is called again, the object that it gets back."""

    def application(environ, start_response):
        start_response("200 OK", [("X-Name", "value")])
        if WAITED in environ:
            assert environ[WAITED] is waiting
            return Response([b"second"])
        wait_for(environ, waiting, seconds=seconds)
        return Response([b"first"])

    return application


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 10))


async def respond(application, client, *, threads=1):
    await WSGIInThreads(application, threads=threads).respond({"REQUEST_METHOD": "GET"}, client.receive, client.send)


async def until(condition):
    while not condition():
        await asyncio.to_thread(time.sleep, 0.005)


def test_sends_a_response_at_once():
    async def get():
        await respond(application_of(response), client := Client())
        return client.sent

    response = Response([b"one", b"two"])
    assert run(get()) == [STARTED, {"type": "http.response.body", "body": b"onetwo"}]
    assert response.is_closed.is_set()


def test_sends_each_chunk_of_a_stream_before_the_next_is_made():
    async def get():
        client = Client()
        seen = []

        def chunks():
            for chunk in (b"one", b"two", b"three"):
                seen.append(client.body)
                yield chunk

        await respond(application_of(response := Response(chunks(), streaming=True)), client)
        assert response.is_closed.is_set()
        return seen, client.sent

    seen, sent = run(get())
    assert seen == [b"", b"one", b"onetwo"]
    assert sent == [
        STARTED,
        *({"type": "http.response.body", "body": chunk, "more_body": True} for chunk in (b"one", b"two", b"three")),
        END,
    ]


def test_an_error_of_the_application_is_raised_and_its_thread_serves_the_next_request():
    def fail(environ, start_response):
        if "fails" in environ:
            raise ZeroDivisionError
        return application_of(Response([b"next"]))(environ, start_response)

    async def get_twice():
        in_threads, client = WSGIInThreads(fail, threads=1), Client()
        with pytest.raises(ZeroDivisionError):
            await in_threads.respond({"REQUEST_METHOD": "GET", "fails": True}, client.receive, client.send)
        await in_threads.respond({"REQUEST_METHOD": "GET"}, client.receive, client.send)
        return client.body

    assert run(get_twice()) == b"next"


def test_a_client_that_leaves_ends_its_stream():
    async def leave():
        loop, client = asyncio.get_running_loop(), Client()
        made = []

        def endless():
            for number in range(1_000_000):
                if number == 3:
                    loop.call_soon_threadsafe(client.leaves.set)
                made.append(number)
                yield b"%d" % number
                time.sleep(0.001)

        response = Response(endless(), streaming=True)
        in_threads = WSGIInThreads(application_of(response, Response([b"next"])), threads=1)
        with pytest.raises(ClientGone):
            await in_threads.respond({"REQUEST_METHOD": "GET"}, client.receive, client.send)
        assert response.is_closed.is_set()
        other = Client()
        await in_threads.respond({"REQUEST_METHOD": "GET"}, other.receive, other.send)
        return made, other.body

    made, next_body = run(leave())
    assert 3 < len(made) < 1_000
    assert next_body == b"next"


def test_a_client_that_does_not_read_its_stream_frees_its_thread(monkeypatch):
    monkeypatch.setattr(readers, "STALLED_CLIENT_SECONDS", 0.1)

    async def stall():
        stalled, other = Client(reads=2), Client()
        response = Response([b"one", b"two", b"three"], streaming=True)
        in_threads = WSGIInThreads(application_of(response, Response([b"next"])), threads=1)
        first = asyncio.create_task(in_threads.respond({"REQUEST_METHOD": "GET"}, stalled.receive, stalled.send))
        await until(lambda: len(stalled.sent) == 2)
        await in_threads.respond({"REQUEST_METHOD": "GET"}, other.receive, other.send)
        with pytest.raises(ClientGone):
            await first
        assert response.is_closed.is_set()
        return stalled.body, other.body

    assert run(stall()) == (b"one", b"next")


def test_a_file_is_read_before_it_is_sent_so_that_no_slow_client_holds_its_thread():
    async def get():
        await respond(application_of(Response([b"one", b"two"], streaming=True, is_file=True)), client := Client())
        return client.sent

    assert run(get()) == [STARTED, {"type": "http.response.body", "body": b"onetwo"}]


def test_the_response_to_head_has_no_body():
    async def head():
        response = Response([b"one"])
        client = Client()
        in_threads = WSGIInThreads(application_of(response), threads=1)
        await in_threads.respond({"REQUEST_METHOD": "HEAD"}, client.receive, client.send)
        assert response.is_closed.is_set()
        return client.sent

    assert run(head()) == [STARTED, END]


def test_a_request_that_is_cancelled_ends_its_stream(monkeypatch):
    monkeypatch.setattr(readers, "STALLED_CLIENT_SECONDS", 0.1)

    async def cancel():
        client = Client(reads=10)
        task = asyncio.create_task(respond(application_of(response), client))
        await until(lambda: len(client.sent) == 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(response.is_closed.is_set)

    response = Response((b"x" for _ in range(1_000)), streaming=True)
    run(cancel())


def test_calls_the_view_again_once_something_is_there():
    async def wait():
        await respond(application_that_waits(waiting, seconds=60), client := Client())
        return client.sent

    waiting = Waiting(polls=3)
    assert run(wait()) == [STARTED, {"type": "http.response.body", "body": b"second"}]
    assert len(waiting.threads) == 3
    assert all(name.startswith("readers") for name in waiting.threads)


def test_calls_the_view_again_when_the_time_is_over():
    async def wait():
        started = time.monotonic()
        await respond(application_that_waits(Waiting(polls=1_000_000), seconds=0.2), client := Client())
        return client.body, time.monotonic() - started

    body, seconds = run(wait())
    assert body == b"second"
    assert 0.2 <= seconds < 5


def test_waiting_clients_occupy_no_thread():
    async def wait():
        clients = [Client() for _ in range(5)]
        pool = WSGIInThreads(application, threads=1)
        waiting = [
            asyncio.create_task(pool.respond({"REQUEST_METHOD": "GET"}, client.receive, client.send))
            for client in clients
        ]
        await until(lambda: len(polled) >= 5)
        other = Client()
        await pool.respond({"REQUEST_METHOD": "GET", "quick": True}, other.receive, other.send)
        assert not any(task.done() for task in waiting)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        return other.body

    def application(environ, start_response):
        start_response("200 OK", [])
        if "quick" not in environ:
            wait_for(environ, SimpleNamespace(poll=lambda: polled.append(1)), seconds=60)
        return Response([b"answered"])

    polled = []
    assert run(wait()) == b"answered"


def test_a_client_that_leaves_is_waited_for_no_longer():
    async def wait():
        client, waiting = Client(), Waiting(polls=1_000_000)
        task = asyncio.create_task(respond(application_that_waits(waiting, seconds=60), client))
        await until(lambda: waiting.threads)
        client.leaves.set()
        await task
        polls = len(waiting.threads)
        await asyncio.sleep(0.05)
        assert len(waiting.threads) == polls
        return client.body

    assert run(wait()) == b"first"


def test_when_the_server_stops_waiting_clients_get_their_first_response():
    async def wait():
        client, waiting = Client(), Waiting(polls=1_000_000)
        task = asyncio.create_task(respond(application_that_waits(waiting, seconds=60), client))
        await until(lambda: waiting.threads)
        readers.stopping.set()
        await task
        return client.body

    assert run(wait()) == b"first"


def test_when_too_many_clients_wait_the_next_gets_its_first_response(monkeypatch):
    monkeypatch.setattr(readers, "MAX_WAITING", 1)

    async def wait():
        waiting = Waiting(polls=1_000_000)
        pool = WSGIInThreads(application_that_waits(waiting, seconds=60), threads=1)
        waiter, refused, last = Client(), Client(), Client()
        task = asyncio.create_task(pool.respond({"REQUEST_METHOD": "GET"}, waiter.receive, waiter.send))
        await until(lambda: waiting.threads)
        await pool.respond({"REQUEST_METHOD": "GET"}, refused.receive, refused.send)
        assert not task.done()
        waiting.polls = 0
        await task
        waiting.polls = 0
        await pool.respond({"REQUEST_METHOD": "GET"}, last.receive, last.send)
        return waiter.body, refused.body, last.body

    assert run(wait()) == (b"second", b"first", b"second")


def test_a_poll_that_fails_frees_the_place_of_its_client(monkeypatch):
    monkeypatch.setattr(readers, "MAX_WAITING", 1)

    async def wait():
        waiting = Waiting(polls=1)
        pool = WSGIInThreads(application_that_waits(waiting, seconds=60), threads=1)
        with monkeypatch.context() as patch:
            patch.setattr(waiting, "poll", lambda: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                await pool.respond({"REQUEST_METHOD": "GET"}, (client := Client()).receive, client.send)
        await pool.respond({"REQUEST_METHOD": "GET"}, client.receive, client.send)
        return client.body

    assert run(wait()) == b"second"
