"""How gunicorn serves webhooklog, in the container, under systemd and by ``make run`` alike.

Run from the project's folder: ``gunicorn -c docker/gunicorn.conf.py webhooklog.wsgi``.
"""

import gc
import json
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from importlib import import_module
from socket import SO_RCVTIMEO, SO_SNDTIMEO, SOL_SOCKET
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from gunicorn import glogging

from webhooklog.env import BASE_DIR, Environment, read_environment
from webhooklog.log_format import FORMATTERS

# A client that neither sends nor takes a byte for so long is given up. CircleCI itself gives up after 10 seconds.
STALLED_CLIENT_SECONDS = 15
# How much of what a client has said stands in the access log, in characters. JSON writes up to 6 bytes for one, and a
# line of more than 4,096 bytes could be torn apart by another worker that writes to the same pipe.
MAX_LOGGED_LENGTHS = {"remote_address": 50, "forwarded_for": 100, "method": 20, "path": 255, "user_agent": 150}
# What most of a worker's memory goes to: libraries that read no settings of Django's while they are imported.
SHARED_LIBRARIES = [
    "django.contrib.admin",
    "django.core.handlers.wsgi",
    "django.db.backends.postgresql.base",
    "rest_framework.serializers",
]


def read_settings() -> Environment:
    """Return the environment's settings, or end the start with what is wrong with them instead of a traceback."""
    try:
        return read_environment()
    except ImproperlyConfigured as error:
        raise SystemExit(f"webhooklog does not start. {error}") from None


environment = read_settings()


class Logger(glogging.Logger):
    """Writes the access log as one JSON object a line; everything else in the shape of Django's own lines."""

    make_formatter = FORMATTERS[environment.log_format]

    def setup(self, cfg: Any) -> None:
        """Open both logs, and write the error log as LOG_FORMAT says."""
        super().setup(cfg)
        for handler in self.error_log.handlers:
            # Of the class that this configuration names: on a reload the logger itself is still one of the old class.
            handler.setFormatter(cfg.logger_class.make_formatter())

    def access(self, resp: Any, req: Any, environ: Mapping[str, Any], request_time: timedelta) -> None:
        """Log an answered request.

        In place of gunicorn's own method, whose format can be escaped but not be made JSON, and which first copies all
        headers and variables of the request.
        """
        if self.access_log_enabled:
            self.access_log.info(access_line(resp, environ, request_time))

    def exception(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Log an exception; a stalled client is none of ours, and not worth its traceback."""
        if isinstance(sys.exc_info()[1], BlockingIOError):
            self.info("gave up a client that stalled for %d seconds", STALLED_CLIENT_SECONDS)
        else:
            super().exception(msg, *args, **kwargs)


def access_line(resp: Any, environ: Mapping[str, Any], request_time: timedelta) -> str:
    """Return the access log's line for a request: JSON in ASCII, which nothing in a request can end early or forge.

    The query is left out: a log is read by more people than the pages are. ``forwarded_for`` is what the request
    claims; only a proxy that overwrites the header makes it true.
    """
    said_by_client = {
        "remote_address": environ.get("REMOTE_ADDR"),
        "forwarded_for": environ.get("HTTP_X_FORWARDED_FOR"),
        "method": environ.get("REQUEST_METHOD"),
        "path": (environ.get("RAW_URI") or "").partition("?")[0],
        "user_agent": environ.get("HTTP_USER_AGENT"),
    }
    return json.dumps(
        {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "request_id": next((value for name, value in resp.headers if name.lower() == "x-request-id"), None),
            **{name: text and text[: MAX_LOGGED_LENGTHS[name]] for name, text in said_by_client.items()},
            "status": int(str(resp.status).split(maxsplit=1)[0]),
            "bytes": resp.sent,
            "milliseconds": round(request_time.total_seconds() * 1000, 1),
        }
    )


def on_starting(server: Any) -> None:
    """Run Django's system checks: errors end the start, warnings are printed once instead of once for each worker.

    In a process of their own, because workers forked from one that has read Django's settings would keep them on a
    reload (SIGHUP), old secrets among them, and would share its database connections.
    """
    command = [sys.executable, str(BASE_DIR / "manage.py"), "check"]
    if environment.https_only:
        command.append("--deploy")
    try:
        # In a session of its own, or Ctrl-C would print its traceback.
        checks = subprocess.run(  # noqa: S603 - no input
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True, check=False
        )
    except KeyboardInterrupt:
        raise SystemExit(128 + signal.SIGINT) from None
    if checks.returncode:
        raise SystemExit(f"{checks.stdout}\nwebhooklog does not start: the checks above have found errors.")
    log = server.log.info if "identified no issues" in checks.stdout else server.log.warning
    for line in filter(None, map(str.strip, checks.stdout.splitlines())):
        log("%s", line)


def when_ready(server: Any) -> None:
    """Bound how long clients may stall, let Ctrl-C stop the server gently, and load what workers share."""
    bound_stalling(server.LISTENERS)
    signal.signal(signal.SIGINT, lambda *_: stop_gently(server))
    if environment.web_concurrency > 1:
        load_shared_libraries()


def bound_stalling(listeners: Sequence[Any]) -> None:
    """Give accepted sockets a time limit for each read and write; Linux hands the listener's options down to them.

    gunicorn's threads read and write without one: each client that vanishes in the middle of a request, without a word
    from the network, would take a thread for ever, until none is left.
    """
    timeout = struct.pack("@ll", STALLED_CLIENT_SECONDS, 0)
    for listener in listeners:
        listener.setsockopt(SOL_SOCKET, SO_RCVTIMEO, timeout)
        listener.setsockopt(SOL_SOCKET, SO_SNDTIMEO, timeout)


def load_shared_libraries() -> None:
    """Load libraries once, in the master, whose memory its workers share until they write to it."""
    for name in SHARED_LIBRARIES:
        import_module(name)
    gc.collect()
    gc.freeze()  # The collector writes to all that it looks through.


def stop_gently(server: Any) -> None:
    """Make the first Ctrl-C a SIGTERM; the next ones are gunicorn's own, and quick.

    gunicorn's quick stop takes, in a signal's handler, a lock of the thread pool's. A worker that holds it at that
    moment, since it is accepting a request, waits for itself until it is killed.
    """
    signal.signal(signal.SIGINT, server.signal)
    server.signal(signal.SIGTERM, None)


def post_worker_init(worker: Any) -> None:
    """Leave Ctrl-C to the master, since the terminal sends it to the workers too; spare the collector what stays."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What loading the application has made is there for good; to look through it takes 50 ms of a request now and then.
    gc.collect()
    gc.freeze()


def pre_request(worker: Any, req: Any) -> None:
    """Accept paths with and without SCRIPT_NAME: a probe does not send it, and a proxy may remove it.

    gunicorn itself answers 500 to a path without this prefix.
    """
    path = req.path
    if f"{path}/".startswith(f"{environment.script_name}/"):
        path = path.removeprefix(environment.script_name) or "/"
    req.path = os.environ.get("SCRIPT_NAME", "") + path


proc_name = "webhooklog"
host = f"[{environment.bind_address}]" if ":" in environment.bind_address else environment.bind_address
bind = f"{host}:{environment.port}"

worker_class = "gthread"
workers = environment.web_concurrency
threads = environment.web_threads
# Each worker loads the application itself, so that a reload (SIGHUP) reads new settings without refusing a connection.
# New versions of libraries need a restart: a worker would mix them with those that the master has loaded.
preload_app = False

# Of a worker's main loop, which serves no request itself: one that is silent for so long is broken, and replaced.
timeout = 30
graceful_timeout = environment.graceful_timeout_seconds
# Longer than a proxy keeps an idle connection (docker/Caddyfile: 30 seconds). Were it shorter, a delivery could meet a
# connection that is being closed, and fail.
keepalive = 75
# A worker proves that it lives by touching a file; on a disk, that would wait for the disk.
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - gunicorn makes a private file

limit_request_line = 8190  # Room for many filters in one address.
limit_request_fields = 100
# Less than 10,000 characters, where Django's parsing of a header's parameters raises ValueError and answers 500.
limit_request_field_size = 8190

# Nobody's X-Forwarded-* or SCRIPT_NAME is believed here, not even a local proxy's: HTTPS_ONLY and TRUSTED_PROXIES
# decide that in the application, at one place. FORWARDED_ALLOW_IPS, which gunicorn would read, is without effect.
forwarded_allow_ips = ""
# Otherwise gunicorn opens a socket below the home folder through which it can be steered.
control_socket_disable = True

logger_class = Logger
loglevel = environment.log_level.lower()
errorlog = "-"
accesslog = "-" if environment.log_level in ("DEBUG", "INFO") else None
