"""gunicorn's configuration, for the container, systemd and ``make run``.

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

# A client that neither sends nor receives for this long is disconnected. CircleCI gives up after 10 seconds.
STALLED_CLIENT_SECONDS = 15
# Maximum lengths of client-supplied values in the access log, in characters. JSON takes up to 6 bytes for each, and
# another worker that writes to the same pipe could split a line of more than 4,096 bytes.
MAX_LOGGED_LENGTHS = {"remote_address": 50, "forwarded_for": 100, "method": 20, "path": 255, "user_agent": 150}
# These libraries take most of a worker's memory. None of them may read Django's settings when imported.
SHARED_LIBRARIES = [
    "django.contrib.admin",
    "django.core.handlers.wsgi",
    "django.db.backends.postgresql.base",
    "rest_framework.serializers",
]


def read_settings() -> Environment:
    """Return the settings from the environment. If they are invalid, exit with the errors and no traceback."""
    try:
        return read_environment()
    except ImproperlyConfigured as error:
        raise SystemExit(f"webhooklog cannot start: {error}") from None


environment = read_settings()


class Logger(glogging.Logger):
    """Writes the access log as one JSON object per line, and everything else in the format of Django's logs."""

    make_formatter = FORMATTERS[environment.log_format]

    def setup(self, cfg: Any) -> None:
        """Open the access log and the error log, and format the error log according to LOG_FORMAT."""
        super().setup(cfg)
        for handler in self.error_log.handlers:
            # From cfg, because after a reload this logger is still an instance of the old class.
            handler.setFormatter(cfg.logger_class.make_formatter())

    def access(self, resp: Any, req: Any, environ: Mapping[str, Any], request_time: timedelta) -> None:
        """Log a completed request.

        Replaces gunicorn's method, which cannot produce JSON and first copies all of the request's headers and
        variables.
        """
        if self.access_log_enabled:
            self.access_log.info(access_line(resp, environ, request_time))

    def exception(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Log an exception; a stalled client is not an error, so it gets no traceback."""
        if isinstance(sys.exc_info()[1], BlockingIOError):
            self.info("disconnected a client that stalled for %d seconds", STALLED_CLIENT_SECONDS)
        else:
            super().exception(msg, *args, **kwargs)


def access_line(resp: Any, environ: Mapping[str, Any], request_time: timedelta) -> str:
    """Return the access log's line for a request: ASCII JSON, which no text in a request can end early or forge.

    The query is omitted, because more people can read the logs than the site's pages. ``forwarded_for`` comes from the
    request; it is only true if a proxy overwrites the header.
    """
    from_client = {
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
            **{name: text and text[: MAX_LOGGED_LENGTHS[name]] for name, text in from_client.items()},
            "status": int(str(resp.status).split(maxsplit=1)[0]),
            "bytes": resp.sent,
            "milliseconds": round(request_time.total_seconds() * 1000, 1),
        }
    )


def on_starting(server: Any) -> None:
    """Run Django's system checks: an error aborts the start; warnings are logged once, not once per worker.

    They run in a separate process. If this process read Django's settings, workers forked from it would keep them on a
    reload (SIGHUP), old secrets included, and share its database connections.
    """
    command = [sys.executable, str(BASE_DIR / "manage.py"), "check"]
    if environment.https_only:
        command.append("--deploy")
    try:
        # In its own session; otherwise Ctrl-C would make it print a traceback.
        checks = subprocess.run(  # noqa: S603 - no input
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True, check=False
        )
    except KeyboardInterrupt:
        raise SystemExit(128 + signal.SIGINT) from None
    if checks.returncode:
        raise SystemExit(f"{checks.stdout}\nwebhooklog cannot start: fix the errors above.")
    log = server.log.info if "identified no issues" in checks.stdout else server.log.warning
    for line in filter(None, map(str.strip, checks.stdout.splitlines())):
        log("%s", line)


def when_ready(server: Any) -> None:
    """Limit how long clients may stall, make Ctrl-C stop the server gracefully, and load shared libraries."""
    limit_stalling(server.LISTENERS)
    signal.signal(signal.SIGINT, lambda *_: stop_gracefully(server))
    if environment.web_concurrency > 1:
        load_shared_libraries()


def limit_stalling(listeners: Sequence[Any]) -> None:
    """Set a timeout for each read and write of accepted sockets, which on Linux inherit the listener's options.

    gunicorn's threads read and write without a timeout. Each client that disappears during a request, without closing
    the connection, would occupy a thread forever.
    """
    timeout = struct.pack("@ll", STALLED_CLIENT_SECONDS, 0)
    for listener in listeners:
        listener.setsockopt(SOL_SOCKET, SO_RCVTIMEO, timeout)
        listener.setsockopt(SOL_SOCKET, SO_SNDTIMEO, timeout)


def load_shared_libraries() -> None:
    """Load libraries once in the master; workers share its memory until they write to it."""
    for name in SHARED_LIBRARIES:
        import_module(name)
    gc.collect()
    gc.freeze()  # The collector writes to every object that it examines.


def stop_gracefully(server: Any) -> None:
    """Turn the first Ctrl-C into SIGTERM; further ones stop gunicorn immediately.

    gunicorn's immediate stop acquires a thread-pool lock in a signal handler. A worker that already holds the lock,
    because it is accepting a request, deadlocks until it is killed.
    """
    signal.signal(signal.SIGINT, server.signal)
    server.signal(signal.SIGTERM, None)


def post_worker_init(worker: Any) -> None:
    """Ignore Ctrl-C, which the terminal sends to the master too, and keep the application out of garbage collection."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The loaded application is permanent. Examining it would occasionally add 50 ms to a request.
    gc.collect()
    gc.freeze()


def pre_request(worker: Any, req: Any) -> None:
    """Accept paths with and without SCRIPT_NAME: probes do not send it, and a proxy may remove it.

    gunicorn returns 500 for a path without this prefix.
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
# New versions of libraries need a restart: a worker would mix them with the versions loaded by the master.
preload_app = False

# Applies to a worker's main loop, which serves no requests: a worker silent for this long is broken and is replaced.
timeout = 30
graceful_timeout = environment.graceful_timeout_seconds
# Longer than a proxy keeps an idle connection open (docker/Caddyfile: 30 seconds). Otherwise a delivery could fail
# because it is sent over a connection that is being closed.
keepalive = 75
# A worker touches a file to show that it is alive; on a disk, this could block.
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - gunicorn creates a private file

limit_request_line = 8190  # Enough for many filters in one URL.
limit_request_fields = 100
# Less than 10,000 characters: for longer headers, Django's parameter parsing raises ValueError, which causes a 500.
limit_request_field_size = 8190

# gunicorn trusts no X-Forwarded-* or SCRIPT_NAME header, not even from a local proxy: HTTPS_ONLY and TRUSTED_PROXIES
# decide in the application, in one place. FORWARDED_ALLOW_IPS, which gunicorn would read, has no effect.
forwarded_allow_ips = ""
# Otherwise gunicorn opens a control socket in the home folder.
control_socket_disable = True

logger_class = Logger
loglevel = environment.log_level.lower()
errorlog = "-"
accesslog = "-" if environment.log_level in ("DEBUG", "INFO") else None
