"""The first start on a bare machine, and the second."""

import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.load.wire import wait_until

pytestmark = pytest.mark.sqlite_site

ROOT = Path(__file__).parents[2]
START_SECONDS = 30


def start(data_dir, port, **variables):
    """Start what `make run` starts, and return the process once it serves, and what it has printed by then."""
    environment = {"PATH": os.environ["PATH"], "ENV_FILE": os.devnull, "DATA_DIR": str(data_dir), "PORT": str(port)}
    output = data_dir.parent / "output"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "webhooklog.run"],
            cwd=ROOT,
            env=environment | variables,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1):
                break
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.05)
    return process, output.read_text


@pytest.fixture
def run(tmp_path, unused_port):
    """Start webhooklog in a folder of its own; it ends with the test."""
    processes = []

    def start_here(**variables):
        process, read_output = start(tmp_path / "data", unused_port, **variables)
        processes.append(process)
        return process, read_output

    yield start_here
    for process in processes:
        process.kill()
        process.wait(timeout=10)


def stop(process, signal_number=signal.SIGINT):
    process.send_signal(signal_number)
    return process.wait(timeout=20)


def watch_of(port):
    """Return what /readyz says about the watch."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as response:
        return json.load(response)["watch"]


def test_starts_the_watch_too(run, unused_port):
    process, read_output = run()
    wait_until(lambda: watch_of(unused_port) == "running", "the watch runs", START_SECONDS)
    assert stop(process) == 0
    assert "Traceback" not in read_output()


def test_the_first_start_generates_what_it_needs_and_says_where_everything_is(run, tmp_path, unused_port):
    process, read_output = run()
    output = read_output()
    secrets = json.loads((tmp_path / "data" / "circleci_webhook_secrets.json").read_text())
    assert list(secrets) == ["My CircleCI Webhook"]
    assert f"http://127.0.0.1:{unused_port}/log-circleci-webhook\n" in output
    assert f"http://127.0.0.1:{unused_port}/admin/" in output
    assert secrets["My CircleCI Webhook"] in output
    assert re.search(r"admin / \S{16}  \(shown this once\)", output)
    assert "manage.py send_test_webhook" in output
    for name in ("secret_key", "circleci_webhook_secrets.json", "webhooklog.sqlite3"):
        assert stat.S_IMODE((tmp_path / "data" / name).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    assert stop(process) == 0
    assert "Traceback" not in read_output()


def test_the_second_start_keeps_everything_and_shows_no_password(run, tmp_path):
    process, _ = run()
    stop(process)
    kept = {path.name: path.read_bytes() for path in (tmp_path / "data").iterdir() if "sqlite" not in path.name}
    process, read_output = run()
    assert {path.name: path.read_bytes() for path in (tmp_path / "data").iterdir() if path.name in kept} == kept
    assert "shown this once" not in read_output()
    assert stop(process, signal.SIGTERM) == 0


def test_the_printed_command_sends_a_webhook_that_is_logged(run, tmp_path, unused_port):
    _, read_output = run()
    command = re.search(r"Try it +(.*)", read_output()).group(1)
    environment = {"PATH": os.environ["PATH"]}
    sent = subprocess.run(  # noqa: PLW1510 - its exit code is what is tested
        command, shell=True, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=30
    )
    assert sent.returncode == 0, sent.stdout + sent.stderr
    assert "201" in sent.stdout
    assert "200" in sent.stdout


def test_the_console_script_runs_in_any_folder(tmp_path):
    programs = tmp_path / "bin"
    (programs / "python").parent.mkdir()
    (programs / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (programs / "python").chmod(0o755)
    subprocess.run(["make", f"BIN={programs}", f"{programs}/webhooklog"], cwd=ROOT, check=True, timeout=30)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "__init__.py").write_text("raise RuntimeError('this is not the site')")
    environment = {"PATH": os.environ["PATH"], "ENV_FILE": os.devnull, "DATA_DIR": str(tmp_path), "SECRET_KEY": "x"}
    command = [programs / "webhooklog", "tail", "--nonsense"]
    done = subprocess.run(  # noqa: PLW1510 - its exit code is what is tested
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=30
    )
    told = "webhooklog tail: unrecognized arguments: --nonsense\nRun webhooklog tail --help for all options.\n"
    assert (done.stderr, done.returncode) == (told, 2)


def test_does_not_print_secrets_that_were_configured(run, tmp_path):
    process, read_output = run(CIRCLECI_WEBHOOK_SECRETS='{"payments": "hunter2-hunter2-hunter2"}')
    assert "hunter2" not in read_output()
    assert not (tmp_path / "data" / "circleci_webhook_secrets.json").exists()
    assert stop(process) == 0


def test_names_what_is_wrong_in_the_environment(run):
    process, read_output = run(WEB_THREADS="many")
    assert process.wait(timeout=20) == 1
    assert "WEB_THREADS: Must be a whole number from 1 to 256." in read_output()
    assert "Traceback" not in read_output()


def test_says_that_the_database_is_away(run, unused_port):
    process, read_output = run(DATABASE_URL=f"postgresql://webhooklog@127.0.0.1:{unused_port}/log")
    assert process.wait(timeout=20) == 1
    assert "webhooklog cannot start: the database of DATABASE_URL" in read_output()
    assert "Traceback" not in read_output()


def test_names_a_data_folder_that_is_none(tmp_path, unused_port):
    process, read_output = start(tmp_path / "data", unused_port, DATA_DIR=os.devnull)
    assert process.wait(timeout=20) == 1
    assert "DATA_DIR: Cannot write to the folder /dev/null" in read_output()
    assert "Traceback" not in read_output()


def test_an_empty_variable_counts_as_not_set(run):
    process, read_output = run(WEB_CONCURRENCY="", WEB_THREADS="", ALLOWED_HOSTS="", BIND_ADDRESS="")
    assert "Listening at" in read_output()
    assert stop(process) == 0
