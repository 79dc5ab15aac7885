"""gunicorn's configuration, for the container, systemd and ``make run``.

Run from the project's folder: ``gunicorn -c docker/gunicorn.conf.py webhooklog.asgi:application``.
"""

import gc
import json
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from gunicorn import glogging

from webhooklog.env import Environment, read_environment
from webhooklog.env_reader import BASE_DIR
from webhooklog.log_format import FORMATTERS

# Per worker. An idle connection takes 7 KB, one that sends a large body up to half a MB. Beyond this number, the worker
# closes the connection that has waited longest for a request.
MAX_CONNECTIONS = 4_000
OTHER_FILES = 200  # Database connections, log files, static files.
# Maximum lengths of client-supplied values in the access log, in characters. JSON takes up to 6 bytes for each, and
# another worker that writes to the same pipe could split a line of more than 4,096 bytes.
MAX_LOGGED_LENGTHS = {"remote_address": 50, "forwarded_for": 100, "method": 20, "path": 255, "user_agent": 150}
FEED_TOKEN = re.compile(r"(/feeds/)[^/]+")
# These libraries take most of a worker's memory. None of them may read Django's settings when imported.
SHARED_LIBRARIES = [
    "django.contrib.admin",
    "django.core.handlers.wsgi",
    "django.db.backends.postgresql.base",
    "django.test",  # drf-spectacular imports it.
    "django_filters.rest_framework",
    "gunicorn.asgi.protocol",
    "rest_framework.serializers",
    "sqlite3",
    "uvloop",
    "whitenoise.middleware",
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

    def access(self, resp: Any, req: Any, environ: Mapping[str, Any], request_time: Any) -> None:
        """Log a completed request.

        Replaces gunicorn's method, which cannot produce JSON and first copies all of the request's headers and
        variables.
        """
        if self.access_log_enabled:
            self.access_log.info(access_line(resp, environ, request_time))


def access_line(resp: Any, environ: Mapping[str, Any], request_time: Any) -> str:
    """Return the access log's line for a request: ASCII JSON, which no text in a request can end early or forge.

    The query and the tokens of feeds are omitted, because more people can read the logs than the site's pages.
    ``forwarded_for`` comes from the request; it is only true if a proxy overwrites the header.
    """
    from_client = {
        "remote_address": environ.get("REMOTE_ADDR"),
        "forwarded_for": environ.get("HTTP_X_FORWARDED_FOR"),
        "method": environ.get("REQUEST_METHOD"),
        "path": FEED_TOKEN.sub(r"\1...", (environ.get("RAW_URI") or "").partition("?")[0]),
        "user_agent": environ.get("HTTP_USER_AGENT"),
    }
    return json.dumps(
        {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "request_id": next((value for name, value in resp.headers if name.lower() == "x-request-id"), None),
            **{name: text and text[: MAX_LOGGED_LENGTHS[name]] for name, text in from_client.items()},
            # gunicorn says 500 if the client left before it got a response.
            "status": int(str(resp.status).split(maxsplit=1)[0]) if resp.headers else None,
            "bytes": resp.sent,
            "milliseconds": round((request_time.seconds * 1000 + request_time.microseconds / 1000), 1),
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
    """Allow many connections, make Ctrl-C stop the server gracefully, and load shared libraries."""
    allow_connections()
    signal.signal(signal.SIGINT, lambda *_: stop_gracefully(server))
    if workers > 1:
        load_shared_libraries()


def allow_connections() -> None:
    """Raise the limit on open files as far as the system allows: each connection is an open file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard)
        )


def load_shared_libraries() -> None:
    """Load libraries once in the master; workers share its memory until they write to it."""
    for name in SHARED_LIBRARIES:
        import_module(name)
    gc.collect()
    gc.freeze()  # The collector writes to every object that it examines.


def stop_gracefully(server: Any) -> None:
    """Turn the first Ctrl-C into SIGTERM; further ones stop gunicorn immediately.

    gunicorn's immediate stop would cut off requests, including deliveries.
    """
    signal.signal(signal.SIGINT, server.signal)
    server.signal(signal.SIGTERM, None)


def pre_fork(server: Any, worker: Any) -> None:
    """Let one worker run the watch: the last one of its generation, which a reload (SIGHUP) replaces by a new one."""
    generation = [each for each in server.WORKERS.values() if each.cfg is server.cfg]
    is_complete = len(generation) >= environment.web_concurrency
    worker.is_watch = has_watch and is_complete and not any(each.is_watch for each in generation)


def post_worker_init(worker: Any) -> None:
    """Ignore Ctrl-C, which the terminal sends to the master too, and keep the application out of garbage collection."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The loaded application is permanent. Examining it would occasionally add 50 ms to a request.
    gc.collect()
    gc.freeze()


proc_name = "webhooklog"
host = f"[{environment.bind_address}]" if ":" in environment.bind_address else environment.bind_address
bind = f"{host}:{environment.port}"

worker_class = "webhooklog.worker.Worker"
worker_connections = MAX_CONNECTIONS
# The parser in C needs a compiler, and its versions differ in the requests that they accept.
http_parser = "python"
has_watch = environment.watch == "embedded"
workers = environment.web_concurrency + has_watch
# Each worker loads the application itself, so that a reload (SIGHUP) reads new settings without refusing a connection.
# New versions of libraries need a restart: a worker would mix them with the versions loaded by the master.
preload_app = False

# A worker reports from its event loop every second: if it is silent for this long, it is broken and is replaced.
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
