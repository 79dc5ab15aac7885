"""gunicorn runs the watch in one more worker, and replaces it like any other."""

import os
import random
import re
import signal
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from logs.circleci import samples
from tests.integration.test_server import (
    GRACEFUL_TIMEOUT_SECONDS,
    SECRET,
    WAIT_SECONDS,
    running,
    seconds_to_stop,
    wait_until,
)
from tests.load import wire
from tests.load.measuring import children, listeners, open_files

pytestmark = pytest.mark.sqlite_site

SOON_SECONDS = 5  # Within this time, a change is found and a watch that has died is replaced.


def soon(condition):
    wire.wait_until(condition, "what should happen soon", SOON_SECONDS)


def watching(folder, **overrides):
    """Run a site with the watch."""
    return running(folder, **{"WATCH": "embedded"} | overrides)


@pytest.fixture
def site(tmp_path):
    """A site with two workers that serve, and the watch, which runs."""
    with watching(tmp_path, WEB_CONCURRENCY="2") as server:
        wait_until(lambda: len(serving(server)) == 2)
        yield server


def serving(server):
    return set(listeners(server.process.pid, server.port))


def watches(server):
    return set(children(server.process.pid)) - serving(server)


def watch_of(server):
    """Wait for the only watch, and return its process id."""
    wait_until(lambda: len(watches(server)) == 1)
    (pid,) = watches(server)
    return pid


def is_running(pid):
    """Return whether a process has not ended; one that nobody has waited for yet has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def query(server, sql):
    with closing(sqlite3.connect(server.folder / "data" / "webhooklog.sqlite3", timeout=WAIT_SECONDS)) as connection:
        return connection.execute(sql).fetchall()


def send_run(server, pipeline, status):
    document = samples.workflow_completed(
        random=random.Random(pipeline), status=status, pipeline=pipeline, happened_at=datetime.now(UTC), branch="main"
    )
    body = samples.encode(document)
    headers = samples.headers(body, document, SECRET)
    assert server.request("POST", "/log-circleci-webhook", body, headers)[0] == 201


def changes(server):
    return query(server, "SELECT kind, pipeline_number, quiet_reason FROM logs_statechange ORDER BY id")


def standings(server):
    return query(server, "SELECT tone, pipeline_number FROM logs_standing")


def test_one_more_worker_runs_the_watch_and_accepts_no_connection(site):
    watch = watch_of(site)
    assert len(children(site.process.pid)) == 3
    assert not [name for name in open_files(watch) if name.startswith("socket:")]
    ready = b'{"status": "ready", "watch": "running", "news": "current"}'
    wait_until(lambda: site.request("GET", "/readyz")[1] == ready)
    assert {site.request("GET", "/healthz")[0] for _ in range(50)} == {200}
    assert len(children(site.process.pid)) == 3


def test_finds_what_broke_and_what_was_fixed_within_seconds(site):
    send_run(site, 1, "success")
    wait_until(lambda: standings(site) == [("good", 1)])
    send_run(site, 2, "failed")
    soon(lambda: changes(site) == [("broke", 2, "")])
    send_run(site, 3, "success")
    soon(lambda: changes(site) == [("broke", 2, ""), ("fixed", 3, "")])
    assert standings(site) == [("good", 3)]


def test_finds_changes_that_followed_each_other_at_once(site):
    watch_of(site)
    for pipeline, status in enumerate(["success", "failed", "success"], start=1):
        send_run(site, pipeline, status)
    soon(lambda: [change[:2] for change in changes(site)] == [("broke", 2), ("fixed", 3)])


def test_a_watch_that_was_killed_is_replaced_and_the_other_workers_live_on(site):
    killed, others = watch_of(site), serving(site)
    os.kill(killed, signal.SIGKILL)
    soon(lambda: len(watches(site) - {killed}) == 1)
    assert serving(site) == others
    assert len(children(site.process.pid)) == 3


def test_a_worker_that_was_killed_is_not_replaced_by_a_second_watch(site):
    watch, (killed, other) = watch_of(site), serving(site)
    wait_until(lambda: site.stderr.count("ASGI server listening") == 2)
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: len(children(site.process.pid)) == 3 and killed not in children(site.process.pid))
    wait_until(lambda: site.stderr.count("ASGI server listening") == 3)
    assert watches(site) == {watch}
    assert len(serving(site) - {other}) == 1


def has_new_workers(server, before, count):
    """Return whether all workers are others than before, and as many as there should be."""
    now = children(server.process.pid)
    return len(now) == count and not before & set(now)


def test_a_reload_starts_one_new_watch_with_new_settings(tmp_path):
    env_file = tmp_path / "env"
    env_file.write_text("")
    with watching(tmp_path, ENV_FILE=str(env_file)) as server:
        before = {watch_of(server), *serving(server)}
        wait_until(lambda: re.search("The watch runs: follow, .*, forget\n", server.stderr))
        env_file.write_text("PRUNE_AT=03:30\n")
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: has_new_workers(server, before, count=2))
        wait_until(lambda: re.search("The watch runs: follow, .*, forget, prune\n", server.stderr))
        watch_of(server)
        # It takes over what the old one has released.
        send_run(server, 1, "failed")
        wait_until(lambda: standings(server) == [("bad", 1)])
        assert server.stderr.count("The watch runs") == 2
        assert server.stderr.count("The watch has stopped") == 1
        assert "Traceback" not in server.stderr


def test_a_reload_ends_and_starts_the_watch_as_the_environment_says(tmp_path):
    watch_file = tmp_path / "watch"
    watch_file.write_text("embedded")
    with watching(tmp_path, WATCH="", WATCH_FILE=str(watch_file)) as server:
        for value, count in (("off", 1), ("embedded", 2)):
            wait_until(lambda: len(serving(server)) == 1)
            before = set(children(server.process.pid))
            watch_file.write_text(value)
            server.process.send_signal(signal.SIGHUP)
            wait_until(lambda: has_new_workers(server, before, count))  # noqa: B023 - called before they change
            wait_until(lambda: len(serving(server)) == 1)
            assert len(watches(server)) == count - 1


@pytest.mark.parametrize("stop", [os.kill, os.killpg], ids=["the master alone", "the group, as a terminal does"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_stop_ends_the_watch_too(tmp_path, stop, number):
    with watching(tmp_path) as server:
        pids = {watch_of(server), *serving(server)}
        wait_until(lambda: "The watch runs" in server.stderr)
        started = time.monotonic()
        stop(server.process.pid, number)
        assert server.process.wait(WAIT_SECONDS) == 0
        assert time.monotonic() - started < GRACEFUL_TIMEOUT_SECONDS / 2
    assert not [pid for pid in pids if is_running(pid)]
    assert server.stderr.count("The watch has stopped") == 1
    assert not any(word in server.stderr for word in ("Traceback", "Exception", "SIGKILL")), server.stderr


def test_a_stop_during_the_start_of_the_watch_is_quick(tmp_path):
    with watching(tmp_path) as server:
        os.kill(watch_of(server), signal.SIGKILL)
        wait_until(lambda: server.stderr.count("Booting worker") == 3)
        assert seconds_to_stop(server) < GRACEFUL_TIMEOUT_SECONDS / 2
    assert "Traceback" not in server.stderr


def test_the_watch_ends_when_the_master_is_killed(tmp_path):
    with watching(tmp_path) as server:
        watch = watch_of(server)
        wait_until(lambda: "The watch runs" in server.stderr)
        server.process.kill()
        server.process.wait(WAIT_SECONDS)
        wait_until(lambda: not is_running(watch))
    assert "The watch has stopped" in server.stderr


def test_no_worker_runs_the_watch_where_it_is_off(tmp_path):
    with running(tmp_path, WATCH="off", WEB_CONCURRENCY="2") as server:
        wait_until(lambda: server.stderr.count("ASGI server listening") == 2)
        assert len(serving(server)) == 2 == len(children(server.process.pid))
        assert "The watch" not in server.stderr
