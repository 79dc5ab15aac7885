"""A site that moves from SQLite to PostgreSQL by the commands of docs/operations.md, while webhooks arrive."""

import json
import random
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from django.db import connection

from logs.reading.stream.cursors import encode_cursor
from tests.integration.live import live_site
from tests.integration.own_postgresql import OwnDatabase
from tests.load.engines import PostgreSQLDatabase, manage
from tests.load.senders import Load, signed_event
from tests.load.server import PROJECT, Server
from tests.load.wire import Connection, request_bytes, wait_until

BRANCH = "harvest"
CREATE_USER = """
from django.contrib.auth import get_user_model
get_user_model().objects.create_superuser("gardener", password="roots and branches")
"""


def documented_commands():
    """Return the two blocks of commands of the chapter."""
    text = (PROJECT / "docs" / "operations.md").read_text(encoding="utf-8")
    (chapter,) = re.findall(r"^### From SQLite to PostgreSQL\n(.*?)^### ", text, re.DOTALL | re.MULTILINE)
    blocks = re.findall(r"^ *```sh\n(.*?)\n *```", chapter, re.DOTALL | re.MULTILINE)
    return [[line.strip() for line in block.splitlines()] for block in blocks]


@contextmanager
def own_postgresql():
    """Yield an empty database, whose role may do no more than operators' roles."""
    if connection.vendor != "postgresql":
        pytest.skip("this run has no PostgreSQL server")
    database = OwnDatabase()
    yield PostgreSQLDatabase(database.url)
    database.drop()


class Client:
    """A program with a token."""

    def __init__(self, token):
        self.port = None
        self._headers = {"authorization": f"Bearer {token}"}

    def get(self, path):
        """Return the answer of the site that serves now."""
        with Connection(self.port) as connection:
            return connection.exchange(request_bytes("GET", path, self._headers))

    def read(self, path):
        """Return the JSON of an answer."""
        answer = self.get(path)
        assert answer.status == 200, answer.body
        return json.loads(answer.body)

    def next_path(self, path):
        """Return the path of the page after a page of a list."""
        return re.search(r'<https?://[^/]+(/[^>]+)>; rel="next"', self.get(path).headers["Link"])[1]


def run(command, environment):
    """Run a documented command."""
    command = command.replace("manage.py", f"{sys.executable} manage.py", 1)
    done = subprocess.run(
        ["bash", "-c", command], cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def send_run(port, pipeline, status):
    """Send the run of a pipeline on a branch of its own."""
    options = {"status": status, "pipeline": pipeline, "branch": BRANCH, "happened_at": datetime.now(UTC)}
    with Connection(port) as connection:
        assert signed_event(random.Random(pipeline), **options).post_over(connection).status == 201


def changes(database):
    """Return the state changes that the watch has found on that branch."""
    sql = f"SELECT kind, pipeline_number FROM logs_statechange WHERE branch = '{BRANCH}' ORDER BY id"
    return [tuple(row) for row in database.query(sql)]


def sign_in(port):
    """Return the status of a sign-in with the password."""
    with Connection(port) as connection:
        form = connection.get("/admin/login/")
        token = re.search(rb'name="csrfmiddlewaretoken" value="([^"]+)"', form.body)[1].decode()
        cookie = form.headers["Set-Cookie"].split(";")[0]
        body = f"csrfmiddlewaretoken={token}&username=gardener&password=roots+and+branches&next=/admin/".encode()
        headers = {"cookie": cookie, "content-type": "application/x-www-form-urlencoded"}
        return connection.post(body, headers, path="/admin/login/")


def stop_server(server):
    """Stop a server as systemd does."""
    server.process.send_signal(signal.SIGTERM)
    server.process.wait(timeout=60)


def prepare(site):
    """Create a user, and let the watch find that a branch broke; return a client with a token."""
    manage(site.server.environment, "shell", "--no-imports", "-c", CREATE_USER)
    client = Client(manage(site.server.environment, "create_token", "gardener").strip())
    client.port = site.server.port
    send_run(client.port, 1, "success")
    send_run(client.port, 2, "failed")
    wait_until(lambda: changes(site.database) == [("broke", 2)], "the watch finds the change")
    return client


def observe(client):
    """Return what the client reads by each kind of cursor, and a stream's cursor at the end of the log."""
    cursor = client.read("/deliveries/stream?after=start&limit=5")["cursor"]
    pages = [
        "/fetch-webhooks-logs?limit=100",
        client.next_path("/fetch-webhooks-logs?limit=5"),
        client.next_path("/fetch-webhooks-logs?limit=5&ordering=duration"),
        client.next_path("/deliveries?limit=5"),
        f"/deliveries/stream?after={cursor}&limit=5",
    ]
    return {page: client.read(page) for page in pages}, client.read("/deliveries/stream?after=now&wait=0")["cursor"]


def check(client, known, database, account):
    """Check that the moved site continues where the old one ended."""
    pages, end = known
    assert {page: client.read(page) for page in pages} == pages
    assert account.acknowledged <= {
        event_id for (event_id,) in database.query("SELECT event_id FROM logs_workflowevent")
    }
    [(newest,)] = database.query("SELECT MAX(id) FROM logs_delivery")
    send_run(client.port, 3, "success")
    assert [each["id"] for each in client.read(f"/deliveries/stream?after={end}")["deliveries"]] == [newest + 1]
    wait_until(lambda: changes(database) == [("broke", 2), ("fixed", 3)], "the watch continues")
    wait_until(lambda: client.read("/readyz")["watch"] == "running", "the site is ready, and the watch runs")
    beyond = client.get(f"/deliveries/stream?after={encode_cursor(newest + 2)}")
    assert (beyond.status, json.loads(beyond.body)["code"]) == (400, "invalid_cursor")
    assert sign_in(client.port).status == 302


def test_a_site_moves_to_postgresql_while_webhooks_arrive():
    (forecast, copy, stop, copy_again), start = documented_commands()
    assert (stop, start) == ("systemctl stop webhooklog", ["systemctl daemon-reload", "systemctl start webhooklog"])
    with own_postgresql() as new, live_site("sqlite", WATCH="embedded") as (_, site):
        client, environment = prepare(site), site.server.environment | {"NEW_DATABASE_URL": new.url}
        with Load(site.server.port, connections=2, seed="move", pause_seconds=0.05) as load:
            wait_until(lambda: len(load.account.acknowledged) > 50, "some webhooks arrived")
            assert "rows would be copied" in run(forecast, environment)
            assert "it is not final: webhooklog was running (watch tasks: " in run(copy, environment)
        known = observe(client)
        stop_server(site.server)
        assert "Both databases are equal." in run(copy_again, environment)
        moved = Server(site.folder, site.server.environment | new.environment)
        moved.start()
        try:
            moved.wait_until_serving()
            client.port = moved.port
            check(client, known, new, load.account)
        finally:
            moved.end()
