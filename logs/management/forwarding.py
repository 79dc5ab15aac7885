"""Pass deliveries on with the bytes and the headers that they came with, and note how far that has come."""

import fcntl
import hashlib
import json
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from pathlib import Path

import urllib3
from urllib3.exceptions import HTTPError, ReadTimeoutError
from urllib3.util import parse_url

from logs.circleci.curl import SENT_HEADERS
from logs.management.listening import CONNECT_TIMEOUT_SECONDS, Outage, Refused

ANSWER_TIMEOUT_SECONDS = 30  # Three times as patient as CircleCI, since somebody may be looking at it in a debugger.


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalAnswer:
    """What the address made of a delivery."""

    http_status: int | None  # None: it took the delivery, and did not answer in time.
    milliseconds: float


class Forwarder:
    """Posts deliveries to one address."""

    def __init__(self, url: str) -> None:
        self._url = url
        timeout = urllib3.Timeout(connect=CONNECT_TIMEOUT_SECONDS, read=ANSWER_TIMEOUT_SECONDS)
        self._pool = urllib3.PoolManager(timeout=timeout)

    def send(self, body: bytes, headers: Mapping[str, str]) -> LocalAnswer:
        """Post a delivery.

        Raises:
            Outage: nobody has taken it, or the connection broke before an answer.
        """
        sent = {name: headers[name] for name in SENT_HEADERS if name in headers}
        started = time.perf_counter()
        try:
            response = self._pool.request("POST", self._url, body=body, headers=sent, retries=False, redirect=False)
            status = response.status
        except ReadTimeoutError:
            status = None
        except HTTPError as error:
            raise Outage(f"{self._url} takes nothing: {error}") from error
        return LocalAnswer(http_status=status, milliseconds=(time.perf_counter() - started) * 1000)


class Progress:
    """A file that holds the cursor behind the last delivery that was passed on."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def cursor(self) -> str | None:
        """The cursor; None where there is none yet.

        Raises:
            Refused: the file is spoilt; to begin at the present instead would pass over what came since.
        """
        try:
            return str(json.loads(self._path.read_text(encoding="utf-8"))["cursor"])
        except FileNotFoundError:
            return None
        except (ValueError, LookupError, TypeError) as error:
            raise Refused(f"{self._path} does not tell where to go on: begin anew with --since") from error

    def keep(self, cursor: str) -> None:
        """Write the cursor; whoever ends this process in between leaves the old one."""
        new = self._path.with_name(f"{self._path.name}.new")
        new.write_text(json.dumps({"cursor": cursor}), encoding="utf-8")
        new.replace(self._path)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes from the file: each would go on where the other one has come to.

        Raises:
            Refused: another process has it.
        """
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._path.with_name(f"{self._path.name}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise Refused(f"another process goes on by {self._path}: name another file with --state") from error
            yield


def progress_path(folder: Path, source: str, target: str, filters: Mapping[str, str]) -> Path:
    """Return where the progress of a choice from a source to a target is kept unless somebody names a file."""
    chosen = json.dumps([source, target, sorted(filters.items())])
    return folder / f"listen-{hashlib.sha256(chosen.encode()).hexdigest()[:12]}.json"


def refuse_public(url: str) -> None:
    """Refuse an address outside of this machine and its private network: payloads hold people's e-mail addresses.

    Raises:
        Refused: it is such an address, or its host is not known.
    """
    address = parse_url(url)
    host = (address.host or "").strip("[]")
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, address.port, type=socket.SOCK_STREAM)}
    except OSError as error:
        raise Refused(f"the host {host!r} is not known: {error}") from error
    for each in sorted(found):
        if not _is_private(each):
            raise Refused(f"{host} is {each}, a public address; with --allow-public it is sent there all the same")


def _is_private(text: str) -> bool:
    address = ip_address(text)
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address.is_private  # Of this machine too.
