"""What docker/gunicorn.conf.py makes of the environment, and how it writes its log."""

import ast
import json
import runpy
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from gunicorn.config import Config

CONFIGURATION = Path(__file__).resolve().parents[2] / "docker" / "gunicorn.conf.py"
DJANGO_HEADER_PARAMETERS_LENGTH = 10_000
NAMES_OF_OUR_OWN = {"environment", "host", "STALLED_CLIENT_SECONDS", "MAX_LOGGED_LENGTHS"}


@pytest.fixture
def configure(monkeypatch, tmp_path):
    """Run the file with these variables only, and return its names."""

    def run(**variables):
        for name in ("BIND_ADDRESS", "PORT", "WEB_CONCURRENCY", "WEB_THREADS", "LOG_LEVEL", "HTTPS_ONLY"):
            monkeypatch.delenv(name, raising=False)
        for name, value in {
            "SECRET_KEY": "a-key-of-the-tests",
            "DATA_DIR": str(tmp_path),
            "ENV_FILE": str(tmp_path / "no.env"),
            **variables,
        }.items():
            monkeypatch.setenv(name, value)
        return SimpleNamespace(**runpy.run_path(str(CONFIGURATION)))

    return run


def line_of(configuration, status="200 OK", sent=2, **environ):
    response = SimpleNamespace(status=status, sent=sent)
    return configuration.access_line(response, environ, timedelta(seconds=1, microseconds=234_567))


def test_gunicorn_knows_every_setting_and_takes_its_value(configure):
    # gunicorn ignores names that it does not know, a mistyped control_socket_disable among them.
    configuration, known = configure(), Config()
    for statement in ast.parse(CONFIGURATION.read_text()).body:
        if isinstance(statement, ast.Assign) and (name := statement.targets[0].id) not in NAMES_OF_OUR_OWN:
            assert name in known.settings, name
            known.set(name, getattr(configuration, name))
    assert known.control_socket_disable is True
    assert known.worker_class_str == "gthread"


@pytest.mark.parametrize(
    ("address", "bind"), [("127.0.0.1", "127.0.0.1:8123"), ("0.0.0.0", "0.0.0.0:8123"), ("::", "[::]:8123")]
)
def test_binds_where_the_environment_says(configure, address, bind):
    assert configure(BIND_ADDRESS=address, PORT="8123").bind == bind


def test_takes_the_numbers_of_the_environment(configure):
    configuration = configure(WEB_CONCURRENCY="3", WEB_THREADS="5", GRACEFUL_TIMEOUT_SECONDS="7")
    assert (configuration.workers, configuration.threads, configuration.graceful_timeout) == (3, 5, 7)


def test_is_closed_by_default(configure):
    configuration = configure()
    assert configuration.bind == "127.0.0.1:8000"
    assert configuration.forwarded_allow_ips == ""


def test_passes_no_header_on_that_django_cannot_parse(configure):
    assert configure().limit_request_field_size < DJANGO_HEADER_PARAMETERS_LENGTH


def test_keeps_connections_longer_than_the_proxy_does(configure):
    caddyfile = (CONFIGURATION.parent / "Caddyfile").read_text()
    proxy_seconds = next(line.split()[1] for line in caddyfile.splitlines() if line.split()[:1] == ["keepalive"])
    assert configure().keepalive > int(proxy_seconds.removesuffix("s"))


def test_has_no_access_log_where_only_warnings_are_wanted(configure):
    assert configure(LOG_LEVEL="INFO").accesslog == "-"
    assert configure(LOG_LEVEL="WARNING").accesslog is None


def test_ends_with_every_error_of_the_environment_instead_of_a_traceback(configure):
    with pytest.raises(SystemExit) as end:
        configure(PORT="70000", WEB_THREADS="none")
    assert "PORT" in str(end.value)
    assert "WEB_THREADS" in str(end.value)


def test_an_access_line_holds_what_an_operator_asks_for(configure):
    line = line_of(
        configure(),
        REMOTE_ADDR="172.31.250.2",
        HTTP_X_FORWARDED_FOR="203.0.113.7",
        REQUEST_METHOD="POST",
        RAW_URI="/log-circleci-webhook?secret=in-the-query",
        HTTP_USER_AGENT="CircleCI-Webhook/1.0",
    )
    record = json.loads(line)
    assert abs(datetime.fromisoformat(record.pop("time")) - datetime.now(UTC)) < timedelta(minutes=1)
    assert record == {
        "remote_address": "172.31.250.2",
        "forwarded_for": "203.0.113.7",
        "method": "POST",
        "path": "/log-circleci-webhook",
        "user_agent": "CircleCI-Webhook/1.0",
        "status": 200,
        "bytes": 2,
        "milliseconds": 1234.6,
    }


@pytest.mark.parametrize(
    "hostile", ['"', "\\", "\n", "\r\n", "\x00", "\x1b[31m", "\x85", "\u2028", "\ud800", "😀", "é"]
)
def test_an_access_line_stays_one_short_line_of_ascii(configure, hostile):
    names = ("REMOTE_ADDR", "HTTP_X_FORWARDED_FOR", "REQUEST_METHOD", "RAW_URI", "HTTP_USER_AGENT")
    line = line_of(configure(), **dict.fromkeys(names, hostile * 9_000))
    assert line.isascii()
    assert line.isprintable()
    assert len(line.splitlines()) == 1
    assert json.loads(line)["path"].startswith(hostile)
    if max(map(ord, hostile)) <= 0xFF:
        # All that gunicorn hands over, which decodes as Latin-1. A longer line could be torn apart in a pipe.
        assert len(line) < 4_096


def test_an_access_line_does_without_what_a_broken_request_lacks(configure):
    record = json.loads(line_of(configure(), status=400, sent=0))
    assert (record["status"], record["path"], record["method"], record["user_agent"]) == (400, "", None, None)


@pytest.mark.parametrize(("https_only", "options"), [("true", ["--deploy"]), ("false", [])])
def test_checks_more_where_the_site_declares_https(configure, monkeypatch, https_only, options):
    commands = []

    def run(command, **_):
        commands.append(command)
        return SimpleNamespace(returncode=0)

    configuration = configure(HTTPS_ONLY=https_only)
    monkeypatch.setattr("subprocess.run", run)
    configuration.on_starting(None)
    assert [command[2:] for command in commands] == [["check", *options]]
    assert commands[0][0] == sys.executable


def test_does_not_start_when_the_checks_find_errors(configure, monkeypatch):
    monkeypatch.setattr("subprocess.run", lambda *_, **__: SimpleNamespace(returncode=1))
    with pytest.raises(SystemExit, match="does not start"):
        configure().on_starting(None)


def test_ctrl_c_during_the_checks_prints_no_traceback(configure, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("subprocess.run", interrupted)
    with pytest.raises(SystemExit) as end:
        configure().on_starting(None)
    assert end.value.code == 130
    assert end.value.__suppress_context__
