"""The hosts that may receive forwarded deliveries, and the position up to which deliveries have been forwarded."""

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

from logs.management.workbench.sources import Unrecoverable


class CursorFile:
    """A file that stores the cursor of the last forwarded delivery."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def cursor(self) -> str | None:
        """The stored cursor; None if the file does not exist.

        Raises:
            Unrecoverable: the file is damaged; starting from new deliveries instead would skip earlier deliveries.
        """
        try:
            return str(json.loads(self._path.read_text(encoding="utf-8"))["cursor"])
        except FileNotFoundError:
            return None
        except (ValueError, LookupError, TypeError) as error:
            raise Unrecoverable(f"{self._path} does not hold a cursor: restart with --since") from error

    def save(self, cursor: str) -> None:
        """Replace the cursor atomically: if the process is killed during the write, the old cursor remains."""
        new = self._path.with_name(f"{self._path.name}.new")
        new.write_text(json.dumps({"cursor": cursor}), encoding="utf-8")
        new.replace(self._path)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the file during the block: otherwise, two processes could overwrite each other's cursors.

        Raises:
            Unrecoverable: another process holds the lock.
        """
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._path.with_name(f"{self._path.name}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise Unrecoverable(f"another process uses {self._path}: name another file with --state") from error
            yield


def default_cursor_path(folder: Path, source: str, target: str, filters: Mapping[str, str]) -> Path:
    """Return the cursor file's default path, which differs for each combination of source, target and filters."""
    combination = json.dumps([source, target, sorted(filters.items())])
    return folder / f"listen-{hashlib.sha256(combination.encode()).hexdigest()[:12]}.json"


def require_private(url: str) -> None:
    """Check that a URL's host is this machine or on its private network: payloads contain people's e-mail addresses.

    Raises:
        Unrecoverable: the host has a public IP address or is unknown.
    """
    parts = parse_url(url)
    _private_addresses((parts.host or "").strip("[]"), parts.port)


class NotPrivate(NewConnectionError):
    """No connection was made, because the host is public or unknown; `reason` says which."""

    def __init__(self, connection: HTTPConnection, reason: str) -> None:
        super().__init__(connection, reason)
        self.reason = reason


class PrivatePoolManager(PoolManager):
    """Connects only to this machine and hosts on its private network.

    Each connection resolves the host name once and uses a checked IP address. A second lookup could return
    another address, so whoever controls the name's DNS could receive the payloads. Proxies from the environment are
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
            for address in _checked_addresses(self):
                self.host = address
                try:
                    return super()._new_conn()
                except NewConnectionError as unreachable:
                    error = unreachable
        finally:
            self.host = name
        raise error


class _PrivateHTTPSConnection(_PrivateHTTPConnection, HTTPSConnection):
    pass


class _PrivateHTTPPool(HTTPConnectionPool):
    ConnectionCls = _PrivateHTTPConnection


class _PrivateHTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _PrivateHTTPSConnection


def _checked_addresses(connection: HTTPConnection) -> list[str]:
    try:
        return _private_addresses(connection.host, connection.port)
    except Unrecoverable as error:
        raise NotPrivate(connection, str(error)) from error


def _private_addresses(host: str, port: int | None) -> list[str]:
    """Return the IP addresses of a host, in the resolver's order, if all of them are private.

    Raises:
        Unrecoverable: one of the IP addresses is public, or the host is unknown.
    """
    try:
        found = [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError) as error:
        raise Unrecoverable(f"the host {host!r} is unknown: {error}") from error
    for each in sorted(found):
        if not _is_private(each):
            raise Unrecoverable(f"{host} has the public IP address {each}: use a private one, or --allow-public")
    return list(dict.fromkeys(found))


def _is_private(text: str) -> bool:
    address = ip_address(text)
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address.is_private  # Loopback addresses included.
