"""Where deliveries may be passed on to, and how far that has come."""

import fcntl
import hashlib
import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Any

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import NewConnectionError
from urllib3.util import parse_url

from logs.management.workbench.sources import Refused


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
    _private_addresses((address.host or "").strip("[]"), address.port)


class NotPrivate(NewConnectionError):
    """No connection was made, because the host is public or unknown; `reason` says which."""

    def __init__(self, connection: HTTPConnection, reason: str) -> None:
        super().__init__(connection, reason)
        self.reason = reason


class PrivatePoolManager(PoolManager):
    """Connects to this machine and its private network only.

    Each connection resolves the host name once and uses an IP address that was checked. A second lookup could return
    another address, which would let the owner of the name's DNS receive the payloads. Proxies from the environment are
    not used, because a proxy would resolve the name itself.
    """

    def __init__(self, **options: Any) -> None:
        """Take the options of urllib3's PoolManager."""
        super().__init__(**options)
        self.pool_classes_by_scheme = {"http": _PrivateHTTPPool, "https": _PrivateHTTPSPool}


class _PrivateHTTPConnection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        # The Host header, SNI and the certificate check need the name, so it is restored afterwards.
        name, error = self.host, NewConnectionError(self, "the host has no IP address")
        try:
            for address in _judged_addresses(self):
                self.host = address
                try:
                    return super()._new_conn()
                except NewConnectionError as unreached:
                    error = unreached
        finally:
            self.host = name
        raise error


class _PrivateHTTPSConnection(_PrivateHTTPConnection, HTTPSConnection):
    pass


class _PrivateHTTPPool(HTTPConnectionPool):
    ConnectionCls = _PrivateHTTPConnection


class _PrivateHTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _PrivateHTTPSConnection


def _judged_addresses(connection: HTTPConnection) -> list[str]:
    try:
        return _private_addresses(connection.host, connection.port)
    except Refused as error:
        raise NotPrivate(connection, str(error)) from error


def _private_addresses(host: str, port: int | None) -> list[str]:
    """Return the IP addresses of a host, in the resolver's order, if all of them are private.

    Raises:
        Refused: one of them is public, or the host is unknown.
    """
    try:
        found = [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError) as error:
        raise Refused(f"the host {host!r} is not known: {error}") from error
    for each in sorted(found):
        if not _is_private(each):
            raise Refused(f"{host} is {each}, a public address; with --allow-public it is sent there all the same")
    return list(dict.fromkeys(found))


def _is_private(text: str) -> bool:
    address = ip_address(text)
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address.is_private  # Of this machine too.
