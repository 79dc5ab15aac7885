"""Export a log while something fails, and judge as an HTTP client does whether the export is complete."""

import csv
import io
import json
import os
import signal
from collections.abc import Callable
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import timedelta
from http.client import HTTPConnection, HTTPException

from logs.circleci import samples
from logs.circleci.payload import read_event
from tests.load import nginx
from tests.load.engines import EVENTS, PostgreSQLEngine, manage
from tests.load.wire import HOST

PATH = "/fetch-webhooks-logs?format="
FORMATS = ("csv", "ndjson")
PART_BYTES = 65_536


class OldConnection(HTTPConnection):
    """Speaks HTTP/1.0, in which the end of the connection is the end of an answer without a length."""

    _http_vsn, _http_vsn_str = 10, "HTTP/1.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How a client reaches the site."""

    name: str
    port: int
    is_old: bool = False  # The client speaks HTTP/1.0.


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """What a client received."""

    status: int
    looks_complete: bool
    body: bytes
    form: str

    def ids(self):
        """Return the ids of the events, in their order."""
        text = io.StringIO(self.body.decode(), newline="")
        rows = csv.DictReader(text) if self.form == "csv" else map(json.loads, text)
        return [row["id"] for row in rows]


@contextmanager
def ways_to(site):
    """Give the ways to a site: directly, and behind nginx where that is installed."""
    port = site.server.port
    direct = [Way(name="direct", port=port), Way(name="direct, HTTP/1.0", port=port, is_old=True)]
    if nginx.executable() is None:
        yield direct
        return
    sample = nginx.documented()
    with (
        nginx.nginx(site.folder / "nginx", port, sample) as new,
        nginx.nginx(site.folder / "old-nginx", port, nginx.on_http_1_0(sample)) as old,
    ):
        yield [
            *direct,
            Way(name="nginx", port=new),
            Way(name="nginx, HTTP/1.0 to nginx", port=new, is_old=True),
            Way(name="nginx, HTTP/1.0 to the site", port=old),
        ]


def fill(site, count, random):
    """Let an empty log hold so many events, a second apart."""
    kind = asdict(read_event(samples.encode(samples.workflow_completed(random=random))))
    # Wide rows, so that what lies in buffers on the way is a small part of an export.
    kind |= {"commit_subject": "A subject as long as a line of a log may be " * 5, "verified": True}
    start = samples.REFERENCE_TIME - timedelta(days=30)
    site.database.insert(
        EVENTS,
        [
            kind | {"event_id": f"event-{number}", "received_at": start + timedelta(seconds=number)}
            for number in range(count)
        ],
    )


def token_of(site):
    """Return a token of an account that may read everything."""
    password = {"DJANGO_SUPERUSER_PASSWORD": "unused-by-the-exports"}
    environment = site.server.environment
    manage(environment | password, "createsuperuser", "--noinput", "--username=reader", "--email=reader@acme.example")
    return manage(environment, "create_token", "reader", "--name=exports").strip()


def export(way, token, form, *, during=lambda: None):
    """Export all events; `during` is called once the first bytes are there.

    An export looks complete unless the connection broke, a chunk or the last one is missing, or fewer bytes came than
    the answer had announced. Compression is not asked: not every format or client has it.
    """
    headers = {"Authorization": f"Bearer {token}", "Host": HOST}
    status, body, looks_complete = 0, b"", False
    connection = (OldConnection if way.is_old else HTTPConnection)(HOST, way.port, timeout=60)
    with closing(connection), suppress(OSError, HTTPException):
        connection.request("GET", f"{PATH}{form}", headers=headers)
        answer = connection.getresponse()
        status = answer.status
        body = answer.read(PART_BYTES)
        during()
        while part := answer.read(PART_BYTES):
            body += part
        looks_complete = status == 200 and not answer.length
    return Export(status=status, looks_complete=looks_complete, body=body, form=form)


def take_table_away(site, engine):
    """Let each further query fail."""
    site.database.execute(f"ALTER TABLE {EVENTS} RENAME TO taken_away")


def give_table_back(site, engine):
    """Undo `take_table_away`."""
    site.database.execute(f"ALTER TABLE taken_away RENAME TO {EVENTS}")


def kill_workers(site, engine):
    """End the workers as the kernel does when memory runs out; the master starts others."""
    for pid in site.server.worker_pids():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def wait_until_ready(site, engine):
    """Wait for the new workers."""
    site.server.wait_until_serving()


def stop_postgresql(site, engine):
    """Stop the database's server without finishing anything."""
    engine.stop_at_once()


def start_postgresql(site, engine):
    """Start it again."""
    engine.start()


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Something that fails while an export is sent; both ends take the site and its engine."""

    begin: Callable
    end: Callable


def failures_of(engine):
    """Return what can fail, by name."""
    failures = {
        "table taken away": Failure(begin=take_table_away, end=give_table_back),
        "workers killed": Failure(begin=kill_workers, end=wait_until_ready),
    }
    if isinstance(engine, PostgreSQLEngine):
        failures["PostgreSQL stopped"] = Failure(begin=stop_postgresql, end=start_postgresql)
    return failures
