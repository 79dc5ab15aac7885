"""Requests are counted exactly, whoever counts at once, and whatever becomes of the file."""

import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from logs.api.throttling import COUNT, FORESEE, SILENT_SECONDS, WAIT_SECONDS, Counts

ROOT = Path(__file__).parents[3]
PROLOGUE = """
import json, os, sys, threading
from pathlib import Path
import django
from django.conf import settings
django.setup()
settings.API_REQUESTS_FILE = Path(sys.argv[1])
from logs.api import throttling
throttling.WAIT_SECONDS = 30  # A slow machine makes no count inexact.
def count():
    return throttling.counts().execute(throttling.COUNT, 1, "client")
"""
HAMMER = """
def hammer():
    counted.extend(count() for _ in range(100))
counted = []
threads = [threading.Thread(target=hammer) for _ in range(4)]
print("ready", flush=True)
sys.stdin.readline()
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps(counted))
"""
FORK = """
count()
ended, end = os.pipe()
if os.fork():
    throttling.counts().close()
else:
    os.close(end)
    os.read(ended, 1)  # Until the parent has gone.
    print(count(), flush=True)
    os._exit(0)  # As a killed process ends, without closing anything.
"""
COUNT_WITHOUT_END = """
while True:
    print(count(), flush=True)
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "not-yet-made" / "counts.sqlite3"


@pytest.fixture
def counts(path):
    with closing(Counts(path)) as opened:
        yield opened


@pytest.fixture
def start(path):
    """Start a program that counts in a process of its own, which ends with the test."""
    environment = {
        "PATH": os.environ["PATH"],
        "ENV_FILE": os.devnull,
        "SECRET_KEY": "key",
        "DATA_DIR": str(path.parents[1] / "data"),
        "DJANGO_SETTINGS_MODULE": "webhooklog.settings",
    }
    with ExitStack() as processes:

        def start_process(program):
            process = subprocess.Popen(
                [sys.executable, "-c", PROLOGUE + program, str(path)],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            processes.enter_context(process)
            processes.callback(process.kill)
            return process

        yield start_process


def rows_in(path):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT minute, client, count FROM requests").fetchall()


def test_processes_and_threads_at_once_never_count_the_same(start):
    processes = [start(HAMMER) for _ in range(4)]
    counted = []
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:  # All of them make the file.
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        counted += json.loads(process.communicate(timeout=60)[0])
    assert sorted(counted) == list(range(1, 4 * 4 * 100 + 1))


def test_a_fork_does_not_count_by_its_parents_connection(start, counts):
    # By that, it would write into a log that its parent has removed at its end.
    output, _ = start(FORK).communicate(timeout=60)
    assert output == "2\n"
    assert counts.execute(COUNT, 1, "client") == 3


def test_killing_a_process_loses_no_count_and_breaks_nothing(start, path, counts):
    last = 0
    for _ in range(3):
        process = start(COUNT_WITHOUT_END)
        told = [int(process.stdout.readline()) for _ in range(200)]
        process.kill()
        told += map(int, process.stdout.read().splitlines())
        assert told == list(range(told[0], told[0] + len(told)))
        assert told[0] > last
        last = told[-1]
    assert counts.execute(COUNT, 1, "client") > last
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_clients_and_minutes_are_counted_apart(counts):
    assert [counts.execute(COUNT, 1, "client") for _ in range(3)] == [1, 2, 3]
    assert counts.execute(COUNT, 1, "somebody else") == 1
    assert counts.execute(COUNT, 2, "client") == 1


def test_foreseeing_tells_the_next_count_and_counts_nothing(counts):
    assert counts.execute(FORESEE, 1, "client") == 1
    counts.execute(COUNT, 1, "client")
    assert [counts.execute(FORESEE, 1, "client") for _ in range(2)] == [2, 2]


def test_the_file_does_not_grow_with_time(counts, path):
    for minute in range(100):
        for client in range(20):
            counts.execute(COUNT, minute, f"address {client}")
    assert {minute for minute, *_ in rows_in(path)} <= {98, 99}


def test_the_end_of_a_flood_is_forgotten_a_few_rows_at_a_time(counts, path):
    for client in range(100):
        counts.execute(COUNT, 1, f"address {client}")
    counts.execute(COUNT, 3, "client")
    assert len(rows_in(path)) == 91
    for client in range(10):
        counts.execute(COUNT, 3, f"address {client}")
    assert {minute for minute, *_ in rows_in(path)} == {3}


def test_the_minute_before_is_kept_for_a_thread_that_is_late(counts):
    counts.execute(COUNT, 1, "client")
    counts.execute(COUNT, 2, "somebody else")
    assert counts.execute(COUNT, 1, "client") == 2


def test_the_folder_is_its_owners_only(counts, path):
    counts.execute(COUNT, 1, "client")
    assert path.parent.stat().st_mode & 0o777 == 0o700


def make_folder(path):
    path.mkdir(parents=True)


def make_parent_a_file(path):
    path.parent.write_text("")


def make_something_else(path):
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE requests (id)")


@pytest.mark.parametrize("spoil", [make_folder, make_parent_a_file, make_something_else])
def test_an_unusable_file_counts_nothing_and_is_told_once(path, counts, caplog, spoil):
    spoil(path)
    assert [counts.execute(COUNT, 1, "client") for _ in range(5)] == [None] * 5
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert record.getMessage().startswith(f"API_REQUESTS_PER_MINUTE is not enforced: {path} cannot be used: ")


def test_threads_at_once_tell_of_an_unusable_file_once(path, counts, caplog, monkeypatch):
    def slow_clock():
        time.sleep(0.01)
        return time.monotonic()

    path.mkdir(parents=True)
    monkeypatch.setattr("logs.api.throttling.monotonic", slow_clock)
    threads = [threading.Thread(target=counts.execute, args=(COUNT, 1, "client")) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(caplog.records) == 1


def test_an_unusable_file_is_told_again_later(path, counts, caplog, monkeypatch):
    path.mkdir(parents=True)
    clock = iter([1_000, 1_000, 1_000 + SILENT_SECONDS - 1, 1_000 + SILENT_SECONDS, 1_000 + SILENT_SECONDS])
    monkeypatch.setattr("logs.api.throttling.monotonic", lambda: next(clock))
    for expected_lines in (1, 1, 2):
        counts.execute(COUNT, 1, "client")
        assert len(caplog.records) == expected_lines


def test_a_file_that_is_usable_again_is_used_again(path, counts):
    path.mkdir(parents=True)
    assert counts.execute(COUNT, 1, "client") is None
    path.rmdir()
    assert counts.execute(COUNT, 1, "client") == 1


def spoil_beginning(path):
    path.write_bytes(b"no database at all" * 100)


def spoil_end(path):
    path.write_bytes(path.read_bytes()[:4096] + b"\xff" * 8192)


@pytest.mark.parametrize("spoil", [spoil_beginning, spoil_end])
def test_a_spoilt_file_is_made_anew(path, counts, caplog, spoil):
    with closing(Counts(path)) as counts_before_the_power_cut:
        counts_before_the_power_cut.execute(COUNT, 1, "client")
    spoil(path)
    assert counts.execute(COUNT, 1, "client") is None
    assert [counts.execute(COUNT, 1, "client") for _ in range(2)] == [1, 2]
    assert len(caplog.records) == 1


def test_a_spoilt_file_that_cannot_be_removed_raises_nothing(path, counts):
    path.parent.mkdir()
    spoil_beginning(path)
    path.with_name(f"{path.name}-wal").mkdir()
    assert counts.execute(COUNT, 1, "client") is None


def test_a_removed_file_is_made_anew(path, counts):
    assert [counts.execute(COUNT, 1, "client") for _ in range(2)] == [1, 2]
    path.unlink()
    assert [counts.execute(COUNT, 1, "client") for _ in range(2)] == [1, 2]
    assert rows_in(path) == [(1, "client", 2)]


def test_a_file_that_somebody_else_is_just_making_counts_all_the_same(path, counts, monkeypatch):
    monkeypatch.setattr("logs.api.throttling.WAIT_SECONDS", 20)
    path.parent.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as stranger:
        stranger.execute("BEGIN IMMEDIATE")
        timer = threading.Timer(0.05, stranger.execute, ["COMMIT"])
        timer.start()
        assert counts.execute(COUNT, 1, "client") == 1
        timer.join()


def test_a_file_that_was_locked_when_it_was_opened_is_used_later(path, counts):
    path.parent.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None)) as stranger:
        stranger.execute("BEGIN IMMEDIATE")
        assert counts.execute(COUNT, 1, "client") is None
        stranger.execute("COMMIT")
    assert counts.execute(COUNT, 1, "client") == 1


def test_an_emptied_file_is_made_anew(path, counts):
    counts.execute(COUNT, 1, "client")
    counts.close()
    path.write_bytes(b"")
    assert counts.execute(COUNT, 1, "client") == 1


def test_nobody_waits_for_a_file_that_somebody_has_locked(path, counts, caplog):
    counts.execute(COUNT, 1, "client")
    threads = [threading.Thread(target=counts.execute, args=(COUNT, 1, "client")) for _ in range(30)]
    with closing(sqlite3.connect(path, isolation_level=None)) as stranger:
        stranger.execute("BEGIN IMMEDIATE")
        started = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert time.monotonic() - started < 30 * WAIT_SECONDS
        stranger.execute("ROLLBACK")
    (record,) = caplog.records
    assert "database is locked" in record.getMessage()
    assert counts.execute(COUNT, 1, "client") == 2
