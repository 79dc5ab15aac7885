"""Send requests to the ASGI application as gunicorn does, on an event loop in this process."""

import asyncio
import json
from typing import NamedTuple

from django.db import connection, connections

from webhooklog.asgi import application

# A test that changes it closes the connections itself.
CONN_MAX_AGE_SECONDS = 0
# The function that inserts events together, for tests that let it fail.
INSERT = f"logs.ingest.insertion.{'_insert_in_turn' if connection.vendor == 'sqlite' else '_insert_at_once'}"


class Answer(NamedTuple):
    status_code: int
    headers: dict
    content: bytes

    def json(self):
        return json.loads(self.content)


class Exchange:
    """One request and what is answered; `chunks` is the body as it arrives, and `leaves` cuts it short."""

    def __init__(self, method, path, *, chunks=(b"",), headers=None, query="", leaves=False, client="127.0.0.1"):
        names = {"host": "testserver"} | {name.lower(): value for name, value in (headers or {}).items()}
        self.scope = {
            "type": "http",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "http_version": "1.1",
            "client": (client, 4711),
            "server": ("127.0.0.1", 8000),
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in names.items()],
        }
        self._messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
        if not leaves:
            self._messages[-1]["more_body"] = False
        self._leaves = leaves
        self.sent = []

    async def receive(self):
        if self._messages:
            return self._messages.pop(0)
        if not self._leaves:
            await asyncio.Future()  # A client that stays.
        return {"type": "http.disconnect"}

    async def send(self, message):
        self.sent.append(message)

    async def answer(self):
        await application(self.scope, self.receive, self.send)
        start, *parts = self.sent
        headers = {name.decode(): value.decode("latin-1") for name, value in start["headers"]}
        return Answer(start["status"], headers, b"".join(part["body"] for part in parts))


def answers(*exchanges):
    """Let all requests arrive at once, and return their answers in the same order."""
    return run_on_loop(_all(exchanges))


async def _all(exchanges):
    return await asyncio.gather(*(exchange.answer() for exchange in exchanges))


def run_on_loop(requests):
    """Return the result of a coroutine.

    Threads that the application keeps must not keep database connections, which would outlive the test.
    """
    options = connections.settings["default"]
    kept, options["CONN_MAX_AGE"] = options["CONN_MAX_AGE"], CONN_MAX_AGE_SECONDS
    try:
        return asyncio.run(requests)
    finally:
        options["CONN_MAX_AGE"] = kept
