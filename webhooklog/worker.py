"""gunicorn's worker for the event loop, with limits on what its clients can occupy."""

import asyncio
import os
import signal
from threading import Event, Thread
from typing import Any

import django
from django.utils.module_loading import import_string
from gunicorn.asgi.protocol import ASGIProtocol
from gunicorn.workers import gasgi

# How long a client may take to send a request's headers, and then again its body. CircleCI gives up after 10 seconds.
REQUEST_SECONDS = 15
# How long a client may read nothing of a response.
READ_SECONDS = 15
# When the worker stops: how long a request that is on its way may take to arrive over an open connection.
LAST_REQUESTS_SECONDS = 1


class Connection(ASGIProtocol):  # type: ignore[misc]  # gunicorn has no types.
    """A client's connection, with the time since which it has been waiting for a request."""

    def __init__(self, worker: "Worker") -> None:
        super().__init__(worker)
        self._max_buffer_size = 65_536  # Of a body, in bytes. gunicorn's 256 KB would be too much for 4,000 clients.
        self.waits_since = worker.loop.time()
        self._reads_nothing_since: float | None = None
        self._has_ended = False  # The client will send nothing more.

    def connection_made(self, transport: Any) -> None:
        """Register the connection; if there are too many, close the one that has waited longest for a request."""
        super().connection_made(transport)
        connections = self.worker.connections
        connections[self] = None
        if len(connections) > self.worker.worker_connections:
            victim = next((connection for connection in connections if connection.owes_request), self)
            del connections[victim]
            victim.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Unregister the connection."""
        self.worker.connections.pop(self, None)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Note that the client does not read what it is sent."""
        self._reads_nothing_since = self.worker.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """Note that the client reads."""
        self._reads_nothing_since = None
        super().resume_writing()

    def eof_received(self) -> bool:
        """Keep a half-closed connection open until the client has the responses to its requests."""
        if self._current_request is None:
            return False  # Close the connection.
        self._has_ended = True
        if self.owes_request:
            self.give_up()
        return True

    def check(self) -> None:
        """Give up a client that takes too long; called once a second."""
        if self.transport.is_closing() and self._reads_nothing_since is None:
            self._reads_nothing_since = self.worker.loop.time()  # The rest of a response is still to be read.
        if self._reads_nothing_since and self.worker.loop.time() - self._reads_nothing_since > READ_SECONDS:
            self.transport.abort()
        elif self.is_late:
            self.give_up()

    def give_up(self) -> None:
        """Stop waiting for a request; the client of an incomplete one gets an error."""
        if self._current_request is None:
            self.transport.close()
        else:
            self._body_receiver.signal_disconnect()

    def _on_headers_complete(self) -> Any:
        self.waits_since = self.worker.loop.time()
        if self in self.worker.connections:  # Not if the connection is lost.
            self.worker.connections[self] = self.worker.connections.pop(self)
        return super()._on_headers_complete()

    def _arm_keepalive_timer(self) -> None:
        # Replaces a timer for each request: once a second, the worker checks all connections.
        self.waits_since = self.worker.loop.time()
        if self._has_ended:
            self._keepalive_timeout()

    def _feed_callback_parser(self, data: bytes) -> Any:
        try:
            return super()._feed_callback_parser(data)
        except ValueError:  # A Content-Length with more digits than int() accepts, which gunicorn does not expect.
            self._send_error_response(400, "Invalid request")
            self._close_transport()
            return False

    async def _serve_http_request(self, *args: Any) -> Any:
        # gunicorn starts a task here, for applications that continue after their response. This application does not.
        return await self._handle_http_request(*args)

    def _send_error_response(self, status: int, message: str, *args: Any) -> None:
        if status < 500:  # gunicorn logs only its own errors. The message may contain parts of the request.
            self.log.warning("Invalid request from ip=%s: status %d", self.client_address, status)
        super()._send_error_response(status, message, *args)

    @property
    def client_address(self) -> str:
        """The client's IP address; "" on a Unix socket."""
        address = self.transport.get_extra_info("peername")
        return address[0] if isinstance(address, tuple) else ""

    @property
    def owes_request(self) -> bool:
        """Whether no request is being answered: the next one has not arrived, or not completely."""
        return self._current_request is None or not self._body_receiver._complete  # noqa: SLF001 - it has no public name

    @property
    def is_late(self) -> bool:
        """Whether the client takes too long to send a request; between two requests, it has more time."""
        is_kept_alive = self._current_request is None and self.req_count > 1
        limit = self.cfg.keepalive if is_kept_alive else REQUEST_SECONDS
        return self.owes_request and self.worker.loop.time() - self.waits_since > limit


# The worker creates its connections by this name.
gasgi.ASGIProtocol = Connection


class Worker(gasgi.ASGIWorker):  # type: ignore[misc]
    """Closes the connections of slow clients and, when it stops, all those that are waiting for a request.

    One worker runs the watch instead of serving requests (`docker/gunicorn.conf.py`).
    """

    is_watch = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.connections: dict[Connection, None] = {}  # In the order of their last requests.

    def load_wsgi(self) -> None:
        """Load the application, which the watch does not need."""
        if self.is_watch:
            os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webhooklog.settings")
            django.setup()
        else:
            super().load_wsgi()

    def run(self) -> None:
        """Serve requests, or run the watch."""
        if self.is_watch:
            self._watch()
        else:
            super().run()

    def _watch(self) -> None:
        for listener in self.sockets:
            listener.sock.close()  # Otherwise connections could wait here that no process accepts.
        stopping = Event()
        for number in (signal.SIGTERM, signal.SIGQUIT):
            # In a thread: `set` would wait forever if the signal has interrupted a call of the event's own.
            signal.signal(number, lambda *_: Thread(target=stopping.set).start())
        if not self.alive:
            return

        def beat() -> None:
            self.tmp.notify()
            if self.ppid != os.getppid():  # The master was killed.
                stopping.set()

        import_string("logs.watch.loop.run")(beat=beat, stopping=stopping)

    def init_signals(self) -> None:
        """Also handle signals that arrive before the loop runs, which uvloop would lose."""
        super().init_signals()
        for number in (signal.SIGTERM, signal.SIGQUIT):
            signal.signal(number, self._stop_before_start)

    def _stop_before_start(self, *_: Any) -> None:
        self.alive = False

    async def _serve(self) -> None:
        self.loop.add_signal_handler(signal.SIGTERM, self.handle_exit_signal)
        self.loop.add_signal_handler(signal.SIGQUIT, self.handle_quit_signal)
        if self.alive:
            await super()._serve()

    def notify(self) -> None:
        """Report to the master, every second, that this worker is alive; then look at the connections."""
        for listener in self.sockets:
            listener.sock.listen(self.cfg.backlog)  # uvloop has reduced it to 100.
        self._report_and_check()

    def _report_and_check(self) -> None:
        super().notify()
        for connection in list(self.connections):
            connection.check()

    def handle_exit_signal(self) -> None:
        """Stop gracefully: clients that wait for something get their responses now."""
        super().handle_exit_signal()
        import_string("logs.http.readers.stopping").set()

    async def _shutdown(self) -> None:
        for server in self.servers:
            server.close()
        self.loop.call_later(LAST_REQUESTS_SECONDS, self._close_waiting)
        # gunicorn does not report while it waits. The master would kill a worker that waits longer than `timeout`.
        reports = self.loop.create_task(self._keep_reporting())
        await super()._shutdown()
        reports.cancel()

    async def _keep_reporting(self) -> None:
        while True:
            self._report_and_check()
            await asyncio.sleep(1)

    def _close_waiting(self) -> None:
        for connection in list(self.connections):
            if connection.owes_request:
                connection.give_up()
