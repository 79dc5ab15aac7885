"""Processes for the tests of ``listen``: a deployed site, a laptop, the network between them, and the command."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from random import Random
from urllib.parse import urlsplit, urlunsplit

import psycopg

from tests.load.engines import PostgreSQLDatabase, SQLiteDatabase, manage, migrate
from tests.load.senders import signed_event
from tests.load.server import PROJECT, Server
from tests.load.stage import site_environment
from tests.load.wire import HOST, Broken, Connection, wait_until

ACCEPTED = "SELECT body FROM logs_delivery WHERE outcome IN ('logged', 'updated', 'duplicate', 'ping') ORDER BY id"


class Place:
    """A webhooklog that serves, and its database."""

    def __init__(self, folder, database):
        self.database = database
        self.environment = site_environment(folder) | database.environment
        self.environment |= {"API_REQUESTS_PER_MINUTE": "0", "WATCH": "off"}
        migrate(self.environment)
        self.server = Server(folder, self.environment)

    @property
    def url(self):
        return f"http://{HOST}:{self.server.port}"

    def start(self):
        self.server.start()
        self.server.wait_until_serving()

    def stop(self):
        self.server.process.terminate()
        self.server.process.wait(timeout=40)

    def bodies(self):
        """Return the bodies of all deliveries that were accepted, in their order."""
        return [bytes(body) for (body,) in self.database.query(ACCEPTED)]

    def token(self):
        manage(self.environment, "createsuperuser", "--noinput", "--username=laptop", "--email=laptop@acme.example")
        return manage(self.environment, "create_token", "laptop", "--name=listen", "--expires=1h").strip()


@contextmanager
def place(folder, database_name=None):
    """Run a webhooklog on SQLite, or on a database of this name at the tests' PostgreSQL."""
    folder.mkdir()
    if database_name is None:
        database = SQLiteDatabase(folder / "data" / "webhooklog.sqlite3")
    else:
        url = os.environ["DATABASE_URL"]
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {database_name}")
            connection.execute(f"CREATE DATABASE {database_name}")
        database = PostgreSQLDatabase(urlunsplit(urlsplit(url)._replace(path=f"/{database_name}")))
    made = Place(folder, database)
    try:
        made.start()
        yield made
    finally:
        made.server.end()


def send(place, count, seed):
    """Send so many events, each until it is acknowledged, as CircleCI does; return how long each took, in seconds."""
    random, seconds = Random(seed), []
    with Connection(place.server.port, timeout_seconds=5) as connection:
        for _ in range(count):
            event = signed_event(random)
            started = time.monotonic()
            wait_until(lambda event=event: _is_taken(event, connection), "an event is acknowledged")
            seconds.append(time.monotonic() - started)
    return seconds


def _is_taken(event, connection):
    with suppress(Broken):
        return connection.post(event.body, event.headers).status in (200, 201)
    return False


class Network:
    """A way to a port that can be cut."""

    def __init__(self, target_port):
        self._target_port = target_port
        self._listener = socket.create_server((HOST, 0))
        self.port = self._listener.getsockname()[1]
        self._open = []
        self._is_down = False
        self._swallows = False
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self):
        """Break all connections, and refuse new ones."""
        self._is_down = True
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def swallow(self):
        """Let all that is sent vanish, without a word to either side."""
        self._swallows = True

    def mend(self):
        self._is_down = self._swallows = False

    def close(self):
        self._listener.close()
        self.cut()
        for each in self._open:
            each.close()

    def _accept(self):
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._open.append(client)
                if self._is_down:
                    client.shutdown(socket.SHUT_RDWR)
                    continue
                with suppress(ConnectionRefusedError):
                    server = socket.create_connection((HOST, self._target_port))
                    self._open.append(server)
                    for pair in ((client, server), (server, client)):
                        threading.Thread(target=self._pump, args=pair, daemon=True).start()
                    continue
                client.shutdown(socket.SHUT_RDWR)

    def _pump(self, source, target):
        with suppress(OSError):
            while data := source.recv(65_536):
                if not self._swallows:
                    target.sendall(data)
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


class Listener:
    """``manage.py listen`` in a process of its own; started again, it goes on with the same state."""

    def __init__(self, folder, environment, *arguments):
        self.output_path = folder / "output"
        self.environment = environment
        self.arguments = [*arguments, f"--state={folder / 'state.json'}"]
        self.process = None

    def start(self, *more):
        with self.output_path.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "listen", *self.arguments, *more],
                cwd=PROJECT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def end(self, signal_number=signal.SIGINT):
        """End it by a signal, and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal_number)
        return self.process.wait(timeout=40)

    @property
    def output(self):
        return self.output_path.read_text()

    def wait_for(self, words):
        wait_until(lambda: words in self.output, f"{words!r} in {self.output!r}")
