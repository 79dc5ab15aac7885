"""Call WSGI code in threads, and let its views wait without a thread."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any, Protocol

from logs.http.asgi import Environ, Message, Receive, Send, encode_headers
from logs.ingest.threads import with_usable_connection

# A client that does not read a stream for this long does not occupy a thread any longer. By then, the worker
# (webhooklog/worker.py) has disconnected it.
STALLED_CLIENT_SECONDS = 20
# The log is polled twice a second for each waiting client. A poll occupies a thread for a millisecond or two.
POLL_SECONDS = 0.5
MAX_WAITING = 100

# Keys of a WSGI environment. A view that has nothing to return yet calls `wait_for`, which sets WAIT. A server that can
# wait calls the view again later, with WAITED set to the same `Waiting` object.
WAIT, WAITED = "webhooklog.wait", "webhooklog.waited"

END: Message = {"type": "http.response.body", "body": b""}

# Set when the worker begins to stop: waiting clients then get their first responses.
stopping = Event()


class ClientGone(ConnectionError):
    """The client has left during a stream, or has stopped reading it."""


class Waiting(Protocol):
    """A condition that a client waits for, such as a new delivery."""

    def poll(self) -> bool:
        """Return whether the wait is over; called in a thread."""


def wait_for(environ: Environ, waiting: Waiting, *, seconds: float) -> None:
    """Make the server call this view again once `waiting.poll` returns True or `seconds` have passed.

    A server that cannot wait sends the view's first response instead.
    """
    environ[WAIT] = waiting, seconds


class WSGIInThreads:
    """Calls a WSGI application in at most `threads` threads."""

    def __init__(self, application: Callable[..., Any], *, threads: int) -> None:
        self._application = application
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="readers")
        self._free_waits = MAX_WAITING

    async def respond(self, environ: Environ, receive: Receive, send: Send) -> None:
        """Send the application's response.

        Raises:
            ClientGone: nobody reads the stream.
        """
        loop = asyncio.get_running_loop()
        departure = asyncio.ensure_future(_departure(receive))

        async def send_in_time(message: Message) -> None:
            if departure.done():
                raise ClientGone
            try:
                await asyncio.wait_for(send(message), STALLED_CLIENT_SECONDS)
            except TimeoutError:
                raise ClientGone from None

        def send_from_thread(message: Message) -> None:
            asyncio.run_coroutine_threadsafe(send_in_time(message), loop).result()

        try:
            messages = await self._in_thread(self._call, environ, send_from_thread)
            if WAIT in environ and await self._wait(environ, departure):
                messages = await self._in_thread(self._call, environ, send_from_thread)
            for message in messages:
                await send(message)
        finally:
            departure.cancel()

    async def _wait(self, environ: Environ, departure: "asyncio.Future[None]") -> bool:
        """Wait, and return whether to call the view again; if not, send its first response."""
        waiting, seconds = environ.pop(WAIT)
        if not self._free_waits:
            return False
        self._free_waits -= 1
        try:
            deadline = time.monotonic() + seconds
            while not stopping.is_set() and not departure.done():
                await asyncio.wait([departure], timeout=min(POLL_SECONDS, max(0, deadline - time.monotonic())))
                if await self._in_thread(with_usable_connection, waiting.poll) or time.monotonic() >= deadline:
                    environ[WAITED] = waiting
                    return True
            return False
        finally:
            self._free_waits += 1

    async def _in_thread(self, function: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *args)

    def _call(self, environ: Environ, send: Callable[[Message], None]) -> list[Message]:
        """Call the application, send its response if that is a stream, and return the messages left to send."""
        start: Message = {"type": "http.response.start"}

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
            start.update(status=int(status[:3]), headers=encode_headers(headers))

        response = self._application(environ, start_response)
        try:
            if environ["REQUEST_METHOD"] == "HEAD":
                return [start, END]
            if not response.streaming or response.has_header("Content-Length"):  # The latter is a file.
                return [start, {"type": "http.response.body", "body": b"".join(response)}]
            send(start)
            for chunk in response:
                send({"type": "http.response.body", "body": chunk, "more_body": True})
            return [END]
        finally:
            response.close()


async def _departure(receive: Receive) -> None:
    """Return when the client has left. Any rest of its body, which was too long, is dropped."""
    while (await receive())["type"] != "http.disconnect":
        pass
