"""Run Caddy in front of a server, with the settings of docker/Caddyfile on plain HTTP and a local port."""

import re
import shutil
import subprocess
from contextlib import contextmanager, suppress

from tests.load.server import PROJECT
from tests.load.wire import HOST, Broken, Connection, free_port, wait_until


def installed_version():
    """Return Caddy's version as numbers; None where it is not installed."""
    if shutil.which("caddy") is None:
        return None
    words = subprocess.run(["caddy", "version"], capture_output=True, text=True, check=True, timeout=30).stdout
    return tuple(int(number) for number in re.findall(r"\d+", words)[:2])


def configuration(port, upstream_port, version):
    """Return docker/Caddyfile, changed only in what it listens at, whom it calls, and old names of its words."""
    text = (PROJECT / "docker" / "Caddyfile").read_text()
    changes = {"{$DOMAIN} {": f"http://{HOST}:{port} {{\n\tbind {HOST}", "web:8000": f"{HOST}:{upstream_port}"}
    if version < (2, 7):
        changes["request_buffers 2MiB"] = "buffer_requests"
    for old, new in changes.items():
        if old not in text:
            raise LookupError(f"docker/Caddyfile does not hold {old!r} any more")
        text = text.replace(old, new)
    return text


@contextmanager
def caddy(folder, upstream_port, version):
    """Run Caddy and give its port."""
    port, path = free_port(), folder / "Caddyfile"
    path.write_text(configuration(port, upstream_port, version))
    environment = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    command = [shutil.which("caddy"), "run", "--config", str(path), "--adapter", "caddyfile"]
    with (folder / "caddy.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        wait_until(lambda: _answers(port), "Caddy answers")
        yield port
    finally:
        process.kill()
        process.wait()


def _answers(port):
    with suppress(Broken), Connection(port, timeout_seconds=2) as connection:
        return connection.get("/healthz").status == 200
    return False
