"""The ASGI application answers what is not a webhook with the WSGI application, and frees what a request has taken."""

import asyncio

import pytest

from logs.api.asgi import Application
from logs.http import bodies
from logs.http.bodies import LARGE_BODY_BYTES

SCOPE = {
    "type": "http",
    "method": "POST",
    "scheme": "http",
    "raw_path": b"/somewhere",
    "query_string": b"",
    "http_version": "1.1",
    "client": None,
    "server": None,
    "headers": [],
}


class Response(list):
    streaming = False

    def close(self):
        pass


def echo_length(environ, start_response):
    """Return the length of a body, and fail if it ends in a 0."""
    content = environ["wsgi.input"].read()
    if content.endswith(b"0"):
        raise ZeroDivisionError
    start_response("200 OK", [])
    return Response([str(len(content)).encode()])


async def answer(application, *messages, scope=SCOPE):
    remaining, sent = list(messages), []

    async def receive():
        if not remaining:
            await asyncio.Future()
        return remaining.pop(0)

    async def send(message):
        sent.append(message)

    await asyncio.wait_for(application(scope, receive, send), 5)
    return sent


def test_a_request_that_fails_frees_the_place_of_its_large_body(monkeypatch):
    monkeypatch.setattr(bodies, "LARGE_BODIES", 1)
    large = b"x" * LARGE_BODY_BYTES

    async def fail_and_succeed():
        application = Application(echo_length)
        with pytest.raises(ZeroDivisionError):
            await answer(application, {"type": "http.request", "body": large + b"0"})
        return await answer(application, {"type": "http.request", "body": large + b"1"})

    _, body = asyncio.run(fail_and_succeed())
    assert body["body"] == str(LARGE_BODY_BYTES + 1).encode()


def test_reads_no_more_than_django_would_take(settings):
    settings.MAX_BODY_BYTES, settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10, 20

    async def send_chunks():
        chunks = [{"type": "http.request", "body": b"12345678", "more_body": True} for _ in range(10)]
        scope = SCOPE | {"headers": [(b"content-length", b"80")]}
        return await answer(Application(echo_length), *chunks, scope=scope)

    assert asyncio.run(send_chunks())[1]["body"] == b"24"


def test_follows_the_server_through_its_life():
    async def live():
        messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
        return await answer(Application(echo_length), *messages, scope={"type": "lifespan"})

    assert asyncio.run(live()) == [{"type": "lifespan.startup.complete"}, {"type": "lifespan.shutdown.complete"}]


def test_refuses_a_websocket():
    async def connect():
        return await answer(Application(echo_length), {"type": "websocket.connect"}, scope={"type": "websocket"})

    assert asyncio.run(connect()) == [{"type": "websocket.close"}]
