"""Run nginx in front of a server, with the samples of docs/operations.md."""

import os
import re
import shutil
import subprocess
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.load.server import PROJECT
from tests.load.wire import HOST, free_port, wait_until

DOCUMENTED_UPSTREAM = "http://127.0.0.1:8000"
CONFIGURATION = """
daemon off;
user {user};
pid {folder}/nginx.pid;
events {{}}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen {host}:{port} {ssl};
        {tls}
        {locations}
    }}
}}
"""
TLS = "ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;"


def executable():
    """Return the path of nginx; None where it is not installed."""
    # Debian puts it where only root looks.
    return shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")


def documented(number=0):
    """Return one of the documented samples, in their order."""
    text = (PROJECT / "docs" / "operations.md").read_text(encoding="utf-8")
    return re.findall(r"```nginx\n(.*?)```", text, re.DOTALL)[number]


def on_http_1_0(sample):
    """Return a sample as nginx behaves without its line on the protocol: it speaks HTTP/1.0 to the site."""
    return _changed(sample, "proxy_http_version 1.1;", "")


def _changed(text, old, new):
    if old not in text:
        raise LookupError(f"the sample does not hold {old!r} any more")
    return text.replace(old, new)


@contextmanager
def nginx(folder, upstream_port, sample, *, port=None, tls=False):
    """Run nginx with a sample, changed only in the upstream's port, and give its own port.

    Args:
        folder: an empty one of its own.
        upstream_port: the site's.
        sample: what stands in its server block.
        port: where it listens; any free one without it.
        tls: speak TLS, with a certificate that is made for this.
    """
    port = port or free_port()
    folder.mkdir(parents=True, exist_ok=True)
    if tls:
        make_certificate(folder)
    text = CONFIGURATION.format(
        folder=folder,
        host=HOST,
        port=port,
        user="root" if os.geteuid() == 0 else "nobody",
        ssl="ssl" if tls else "",
        tls=TLS.format(folder=folder) if tls else "",
        locations=_changed(sample, DOCUMENTED_UPSTREAM, f"http://{HOST}:{upstream_port}"),
    )
    path = folder / "nginx.conf"
    path.write_text(text)
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            [executable(), "-p", folder, "-e", folder / "error.log", "-c", path], stdout=output, stderr=output
        )
    try:
        wait_until(lambda: _listens(process, folder), "nginx listens")
        yield port
    finally:
        process.terminate()
        process.wait(30)


def make_certificate(folder):
    """Make a key and a certificate of the local address."""
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"),
            *("-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"),
            *("-keyout", folder / "key.pem", "-out", folder / "cert.pem"),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )


def _listens(process, folder):
    if process.poll() is not None:
        raise RuntimeError(f"nginx ended with status {process.returncode}:\n{(folder / 'output').read_text()[-2000:]}")
    with suppress(OSError, ValueError):
        return int((Path(folder) / "nginx.pid").read_text()) == process.pid
    return False
