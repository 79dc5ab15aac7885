"""What docker/gunicorn.conf.py makes of the environment, and how it writes its log."""

import ast
import gc
import itertools
import json
import logging
import os
import resource
import runpy
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from gunicorn.asgi.protocol import ASGIResponseInfo, _RequestTime
from gunicorn.config import Config

from webhooklog.log_format import FORMATTERS

PROJECT = Path(__file__).resolve().parents[2]
CONFIGURATION = PROJECT / "docker" / "gunicorn.conf.py"
DJANGO_HEADER_PARAMETERS_LENGTH = 10_000
NAMES_OF_OUR_OWN = {
    "environment",
    "has_watch",
    "host",
    "MAX_CONNECTIONS",
    "OTHER_FILES",
    "MAX_LOGGED_LENGTHS",
    "FEED_TOKEN",
    "SHARED_LIBRARIES",
}
VARIABLES = [
    "BIND_ADDRESS",
    "PORT",
    "WEB_CONCURRENCY",
    "WEB_THREADS",
    "LOG_LEVEL",
    "LOG_FORMAT",
    "HTTPS_ONLY",
    "WATCH",
]


@pytest.fixture
def configure(monkeypatch, tmp_path):
    """Run the file with these variables only, and return its names."""

    def run(**variables):
        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)
        for name, value in {
            "SECRET_KEY": "a-key-of-the-tests",
            "DATA_DIR": str(tmp_path),
            "ENV_FILE": os.devnull,
            **variables,
        }.items():
            monkeypatch.setenv(name, value)
        return SimpleNamespace(**runpy.run_path(str(CONFIGURATION)))

    return run


def line_of(configuration, status=200, sent=2, headers=(), **environ):
    """Return a line of the access log, made of the objects that gunicorn's ASGI server passes."""
    return configuration.access_line(ASGIResponseInfo(status, headers, sent), environ, _RequestTime(1.234567))


def test_gunicorn_knows_every_setting_and_takes_its_value(configure):
    # gunicorn ignores names that it does not know, a mistyped control_socket_disable among them.
    configuration, known = configure(), Config()
    for statement in ast.parse(CONFIGURATION.read_text()).body:
        if isinstance(statement, ast.Assign) and (name := statement.targets[0].id) not in NAMES_OF_OUR_OWN:
            assert name in known.settings, name
            known.set(name, getattr(configuration, name))
    assert known.control_socket_disable is True
    assert known.worker_class_str == "webhooklog.worker.Worker"


@pytest.mark.parametrize(
    ("address", "bind"), [("127.0.0.1", "127.0.0.1:8123"), ("0.0.0.0", "0.0.0.0:8123"), ("::", "[::]:8123")]
)
def test_binds_where_the_environment_says(configure, address, bind):
    assert configure(BIND_ADDRESS=address, PORT="8123").bind == bind


def test_takes_the_numbers_of_the_environment(configure):
    configuration = configure(WEB_CONCURRENCY="3", GRACEFUL_TIMEOUT_SECONDS="7", WATCH="off")
    assert (configuration.workers, configuration.graceful_timeout) == (3, 7)


def test_has_one_more_worker_for_the_watch(configure):
    assert configure().workers == 3
    assert configure(WEB_CONCURRENCY="1", WATCH="embedded").workers == 2


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
        headers=[(b"content-type", b"text/html"), (b"x-request-id", b"0123456789abcdef")],
        REMOTE_ADDR="172.31.250.2",
        HTTP_X_FORWARDED_FOR="203.0.113.7",
        REQUEST_METHOD="POST",
        RAW_URI="/log-circleci-webhook?secret=in-the-query",
        HTTP_USER_AGENT="CircleCI-Webhook/1.0",
    )
    record = json.loads(line)
    assert abs(datetime.fromisoformat(record.pop("time")) - datetime.now(UTC)) < timedelta(minutes=1)
    assert record == {
        "request_id": "0123456789abcdef",
        "remote_address": "172.31.250.2",
        "forwarded_for": "203.0.113.7",
        "method": "POST",
        "path": "/log-circleci-webhook",
        "user_agent": "CircleCI-Webhook/1.0",
        "status": 200,
        "bytes": 2,
        "milliseconds": 1234.6,
    }


def test_an_access_line_hides_the_token_of_a_feed(configure):
    line = line_of(configure(), REQUEST_METHOD="GET", RAW_URI="/ci/feeds/a-secret-token/badge.svg?project=press")
    assert json.loads(line)["path"] == "/ci/feeds/.../badge.svg"


@pytest.mark.parametrize(
    "hostile", ['"', "\\", "\n", "\r\n", "\x00", "\x1b[31m", "\x85", "\u2028", "\ud800", "😀", "é"]
)
def test_an_access_line_stays_one_short_line_of_ascii(configure, hostile):
    names = ("REMOTE_ADDR", "HTTP_X_FORWARDED_FOR", "REQUEST_METHOD", "RAW_URI", "HTTP_USER_AGENT")
    headers = [(b"x-request-id", b"x" * 64)]
    line = line_of(configure(), headers=headers, **dict.fromkeys(names, hostile * 9_000))
    assert line.isascii()
    assert line.isprintable()
    assert len(line.splitlines()) == 1
    assert json.loads(line)["path"].startswith(hostile)
    if max(map(ord, hostile)) <= 0xFF:
        # All that gunicorn hands over, which decodes as Latin-1. A longer line could be torn apart in a pipe.
        assert len(line) < 4_096


def test_an_access_line_has_no_status_if_the_client_left_before_a_response(configure):
    record = json.loads(line_of(configure(), status=500, sent=0))
    assert (record["status"], record["path"], record["method"], record["user_agent"]) == (None, "", None, None)
    assert record["request_id"] is None


class LogDouble:
    """Stands for the server's log and keeps what it is told."""

    def __init__(self):
        self.told = []

    def info(self, message, *args):
        self.told.append(("INFO", message % args))

    def warning(self, message, *args):
        self.told.append(("WARNING", message % args))


@pytest.fixture
def checks(monkeypatch):
    """Stand in for the system checks: what they print and how they end, and the commands that were to be run."""
    double = SimpleNamespace(returncode=0, stdout="System check identified no issues (0 silenced).\n", commands=[])

    def run(command, **_):
        double.commands.append(command)
        return double

    monkeypatch.setattr("subprocess.run", run)
    return double


@pytest.fixture
def error_log():
    """Gunicorn's error log, as it was afterwards."""
    logger = logging.getLogger("gunicorn.error")
    handlers, propagate = logger.handlers[:], logger.propagate
    yield logger
    logger.handlers, logger.propagate = handlers, propagate


def formats_of(logger):
    return [type(handler.formatter) for handler in logger.handlers if getattr(handler, "_gunicorn", False)]


@pytest.mark.parametrize("log_format", ["line", "json"])
def test_the_error_log_is_written_as_the_environment_says(configure, error_log, log_format):
    configuration = configure(LOG_FORMAT=log_format)
    settings = Config()
    settings.set("logger_class", configuration.logger_class)
    configuration.logger_class(settings)
    assert formats_of(error_log) == [FORMATTERS[log_format]]


def test_a_reload_changes_the_format_of_the_error_log(configure, error_log):
    settings = Config()
    settings.set("logger_class", configure(LOG_FORMAT="line").logger_class)
    log = settings.logger_class(settings)
    settings.set("logger_class", configure(LOG_FORMAT="json").logger_class)
    log.setup(settings)
    assert formats_of(error_log) == [FORMATTERS["json"]]


@pytest.mark.parametrize(("https_only", "options"), [("true", ["--deploy"]), ("false", [])])
def test_checks_more_where_the_site_declares_https(configure, checks, https_only, options):
    log = LogDouble()
    configure(HTTPS_ONLY=https_only).on_starting(SimpleNamespace(log=log))
    assert [command[2:] for command in checks.commands] == [["check", *options]]
    assert checks.commands[0][0] == sys.executable
    assert log.told == [("INFO", "System check identified no issues (0 silenced).")]


def test_logs_the_warnings_of_the_checks_line_by_line(configure, checks):
    checks.stdout = "System check identified some issues:\n\nWARNINGS:\n?: (logs.W001) 100% of all.\n\tHINT: None.\n"
    configure().on_starting(SimpleNamespace(log=(log := LogDouble())))
    assert log.told == [
        ("WARNING", "System check identified some issues:"),
        ("WARNING", "WARNINGS:"),
        ("WARNING", "?: (logs.W001) 100% of all."),
        ("WARNING", "HINT: None."),
    ]


@pytest.fixture
def open_files(monkeypatch):
    """Stand in for the process's limits of open files: the current one and the greatest that it may set."""
    limits = SimpleNamespace(soft=1_024, hard=524_288)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limits.soft, limits.hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, new: vars(limits).update(soft=new[0], hard=new[1]))
    return limits


@pytest.mark.parametrize(
    ("soft", "hard", "raised"),
    [
        (1_024, 524_288, 4_200),
        (1_024, resource.RLIM_INFINITY, 4_200),
        (1_024, 2_048, 2_048),
        (1_024, 1_024, 1_024),
        (65_536, 524_288, 65_536),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, resource.RLIM_INFINITY),
    ],
)
def test_allows_a_file_for_each_connection_as_far_as_the_system_does(configure, open_files, soft, hard, raised):
    open_files.soft, open_files.hard = soft, hard
    configuration = configure()
    assert configuration.worker_connections == configuration.MAX_CONNECTIONS < 4_200
    configuration.allow_connections()
    assert (open_files.soft, open_files.hard) == (raised, hard)


@pytest.mark.usefixtures("ctrl_c", "unfrozen")
def test_allows_connections_before_it_starts_workers(configure, open_files):
    configure(WEB_CONCURRENCY="1", WATCH="off").when_ready(SimpleNamespace(LISTENERS=[]))
    assert open_files.soft > 4_000


@pytest.fixture
def ctrl_c():
    """What Ctrl-C does, with the handler put back afterwards."""
    handler = signal.getsignal(signal.SIGINT)
    yield lambda: signal.raise_signal(signal.SIGINT)
    signal.signal(signal.SIGINT, handler)


@pytest.mark.usefixtures("open_files")
def test_the_first_ctrl_c_stops_gently_and_the_next_quickly(configure, ctrl_c):
    told = []
    configuration = configure(WEB_CONCURRENCY="1", WATCH="off")  # One worker shares nothing.
    configuration.when_ready(SimpleNamespace(LISTENERS=[], signal=lambda number, _: told.append(number)))
    for _ in range(3):
        ctrl_c()
    assert told == [signal.SIGTERM, signal.SIGINT, signal.SIGINT]


def test_a_worker_leaves_ctrl_c_to_its_master(configure, ctrl_c):
    signal.signal(signal.SIGINT, lambda *_: pytest.fail("the worker would have stopped"))
    configure().post_worker_init(None)
    ctrl_c()


@pytest.fixture
def unfrozen():
    """Nothing is kept from the collector, neither before nor after."""
    gc.unfreeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("ctrl_c", "open_files", "unfrozen")
@pytest.mark.parametrize(
    ("workers", "watch", "shares"), [("1", "off", False), ("2", "off", True), ("1", "embedded", True)]
)
def test_loads_libraries_in_the_master_for_several_workers(configure, workers, watch, shares):
    configure(WEB_CONCURRENCY=workers, WATCH=watch).when_ready(SimpleNamespace(LISTENERS=[]))
    assert (gc.get_freeze_count() > 1_000) is shares


def test_no_library_that_workers_share_reads_settings(configure):
    names = configure().SHARED_LIBRARIES
    script = f"""
from importlib import import_module
from django.apps import apps
from django.conf import settings
for name in {names}:
    import_module(name)
assert not settings.configured
assert not apps.all_models
"""
    # They could be read: else a library that does without them would not be found out.
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "webhooklog.settings"}
    subprocess.run([sys.executable, "-c", script], cwd=PROJECT, env=environment, check=True)


@pytest.mark.usefixtures("ctrl_c", "unfrozen")
def test_a_worker_spares_the_collector_what_loading_has_made(configure):
    configure().post_worker_init(None)
    assert gc.get_freeze_count() > 1_000


class Master:
    """Stands for gunicorn's master: a worker is prepared by `pre_fork` before it is one of WORKERS."""

    def __init__(self, configuration):
        self.WORKERS, self.pids = {}, itertools.count(1)
        self.load(configuration)
        self.fill()

    def load(self, configuration):
        self.pre_fork, self.cfg = configuration.pre_fork, SimpleNamespace(workers=configuration.workers)

    def spawn(self):
        worker = SimpleNamespace(cfg=self.cfg)
        self.pre_fork(self, worker)
        self.WORKERS[next(self.pids)] = worker

    def fill(self):
        while len(self.WORKERS) < self.cfg.workers:
            self.spawn()

    def reload(self, configuration):
        """Start the new generation; the old one has not ended yet."""
        self.load(configuration)
        for _ in range(self.cfg.workers):
            self.spawn()

    def end_oldest(self):
        del self.WORKERS[min(self.WORKERS)]

    def generation(self):
        """Return whether each worker of the newest generation runs the watch, oldest first."""
        return [worker.is_watch for _, worker in sorted(self.WORKERS.items()) if worker.cfg is self.cfg]


@pytest.mark.parametrize("serving", [1, 2, 5])
def test_the_last_worker_runs_the_watch(configure, serving):
    assert Master(configure(WEB_CONCURRENCY=str(serving))).generation() == [False] * serving + [True]


def test_no_worker_runs_the_watch_where_it_is_off(configure):
    master = Master(configure(WATCH="off"))
    for pid in (1, 2):
        del master.WORKERS[pid]
        master.fill()
    assert master.generation() == [False, False]


@pytest.mark.parametrize("serving", [1, 2, 3])
def test_whichever_workers_end_as_many_serve_as_before_and_one_runs_the_watch(configure, serving):
    configuration, pids = configure(WEB_CONCURRENCY=str(serving)), range(1, serving + 2)
    for ended in itertools.chain.from_iterable(itertools.permutations(pids, count) for count in pids):
        together, in_turn = Master(configuration), Master(configuration)
        for pid in ended:
            del together.WORKERS[pid]
            del in_turn.WORKERS[pid]
            in_turn.fill()
        together.fill()
        for master in (together, in_turn):
            assert sorted(master.generation()) == [False] * serving + [True], ended


def test_a_worker_that_has_ended_takes_its_task_along(configure):
    master = Master(configure())
    del master.WORKERS[1]
    master.fill()
    assert master.generation() == [False, True, False]
    del master.WORKERS[3]
    master.fill()
    assert master.generation() == [False, False, True]


@pytest.mark.parametrize("ended", range(4))
def test_a_reload_starts_one_watch_however_many_old_workers_remain(configure, ended):
    master = Master(configure(WEB_CONCURRENCY="2"))
    for _ in range(2):  # The second time, the generation before the last may remain as well.
        master.reload(configure(WEB_CONCURRENCY="3"))
        for _ in range(ended):
            master.end_oldest()
        assert master.generation() == [False, False, False, True]


@pytest.mark.parametrize(("died", "is_watch"), [(4, False), (6, True)])
def test_a_new_worker_that_ends_while_old_ones_remain_is_replaced_by_one_of_its_kind(configure, died, is_watch):
    master = Master(configure())
    master.reload(configure())
    del master.WORKERS[died]
    master.spawn()
    assert master.generation() == [False, False, True] if is_watch else [False, True, False]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [("embedded", "off", [False, False]), ("off", "embedded", [False, False, True])],
)
def test_a_reload_starts_or_ends_the_watch_as_the_environment_says(configure, before, after, expected):
    master = Master(configure(WATCH=before))
    master.reload(configure(WATCH=after))
    assert master.generation() == expected


def test_does_not_start_when_the_checks_find_errors_and_tells_them(configure, checks):
    checks.returncode, checks.stdout = 1, "ERRORS:\n?: (logs.E001) A secret is empty.\n"
    with pytest.raises(SystemExit, match=r"(?s)logs\.E001.*cannot start"):
        configure().on_starting(None)


def test_ctrl_c_during_the_checks_prints_no_traceback(configure, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("subprocess.run", interrupted)
    with pytest.raises(SystemExit) as end:
        configure().on_starting(None)
    assert end.value.code == 130
    assert end.value.__suppress_context__
