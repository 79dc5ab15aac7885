"""Send HTTP requests to URLs that users entered, without letting them reach private networks (SSRF).

The name is resolved once, every address is judged, and the connection goes to the judged address. Redirects are not
followed. One deadline covers connecting, sending and reading.
"""

import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from threading import Timer
from typing import Self
from urllib.parse import quote, urlsplit

import urllib3
from django.conf import settings
from urllib3.connection import HTTPConnection, HTTPSConnection

CONNECT_SECONDS = 5
READ_SECONDS = 10
DEADLINE_SECONDS = 15
MAX_RESPONSE_BYTES = 65_536
USER_AGENT = "webhooklog"
DEFAULT_PORTS = {"https": 443, "http": 80}
PROXY_PORT = 3128
HOSTNAME = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+")  # A name, or an IPv6 address.
# Python also calls other IPv6 addresses global, such as those of NAT64 and ::ffff:0:127.0.0.1.
GLOBAL_UNICAST = ip_network("2000::/3")
# Networks that some versions of Python call global, but that lead elsewhere: IETF protocols (such as 192.0.0.192, which
# serves credentials at Oracle), 6to4 relays, Teredo and other protocols, 6to4, and documentation.
SPECIAL_NETWORKS = [
    ip_network(text) for text in ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "2002::/16", "3fff::/20")
]
REASONS: dict[type[Exception], str] = {
    socket.gaierror: "the name of its server cannot be resolved",
    ssl.SSLError: "its TLS connection failed",
    urllib3.exceptions.NewConnectionError: "it could not be reached",  # To urllib3, this is a timeout.
    TimeoutError: "it did not respond in time",
    urllib3.exceptions.TimeoutError: "it did not respond in time",
    UnicodeError: "a header contains characters that HTTP does not allow",
}
ERRORS = (OSError, urllib3.exceptions.HTTPError, HTTPException, ValueError)


class Unreachable(Exception):
    """A request got no complete response; the message gives the reason."""


class ForbiddenAddress(Unreachable):
    """A URL is not valid, or leads to an address that channels may not reach."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request to a vendor."""

    url: str = field(repr=False)  # Often a secret.
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    method: str = "POST"


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A vendor's response; its body may be truncated."""

    status: int
    headers: Mapping[str, str] = field(repr=False)  # Names in lower case.
    body: bytes = field(repr=False)  # Some servers repeat the URL in it.

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode(errors="replace")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The parts of a URL."""

    is_encrypted: bool
    hostname: str  # In ASCII, without the brackets of an IPv6 address.
    port: int
    path: str = field(repr=False)  # With the query.

    @classmethod
    def of(cls, url: str) -> Self:
        """Return the parts of a URL.

        Raises:
            ForbiddenAddress: the URL is not valid.
        """
        with _rejecting("the URL is not valid"):
            parts = urlsplit(url)
            hostname = (parts.hostname or "").encode("idna").decode()
        if parts.scheme not in DEFAULT_PORTS or "@" in parts.netloc:
            raise ForbiddenAddress("the URL must begin with https:// and contain no user name")
        if not HOSTNAME.fullmatch(hostname):
            raise ForbiddenAddress("the URL contains no valid host name")
        with _rejecting("the URL's port must be a number from 1 to 65535"):
            port = parts.port
        if port == 0:
            raise ForbiddenAddress("the URL's port must be a number from 1 to 65535")
        path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
        return cls(
            is_encrypted=parts.scheme == "https",
            hostname=hostname,
            port=port or DEFAULT_PORTS[parts.scheme],
            path=quote(path, safe="!#$%&'()*+,/:;=?@[]~"),
        )

    @property
    def host_header(self) -> str:
        """The value of the Host header."""
        host = f"[{self.hostname}]" if ":" in self.hostname else self.hostname
        return host if self.port == DEFAULT_PORTS["https" if self.is_encrypted else "http"] else f"{host}:{self.port}"


def send(request: Request) -> Response:
    """Send a request and return the response, with at most MAX_RESPONSE_BYTES of its body.

    Raises:
        ForbiddenAddress: the URL is not valid, or leads to an address outside the internet and
            NOTIFICATION_ALLOWED_NETWORKS.
        Unreachable: there was no complete response within DEADLINE_SECONDS.
    """
    deadline = time.monotonic() + DEADLINE_SECONDS
    target = Target.of(request.url)
    try:
        with _open_until(deadline, target) as connection:
            return _exchange(connection, target, request)
    except ERRORS as error:
        is_late = time.monotonic() >= deadline
        reason = f"no complete response within {DEADLINE_SECONDS} seconds" if is_late else _reason(error, target)
        raise Unreachable(reason) from None  # The error may contain the URL, and a traceback would show it.


def judged_address(hostname: str, port: int, *, is_encrypted: bool) -> str:
    """Resolve a name once and return its first address.

    Raises:
        ForbiddenAddress: channels may not reach one of the name's addresses.
        OSError: the name cannot be resolved.
    """
    found = socket.getaddrinfo(hostname, port, type=socket.SOCK_STREAM)
    addresses = [ip_address(str(target[0]).partition("%")[0]) for *_, target in found]
    for address in addresses:
        if not (_is_listed(address) or (is_encrypted and _is_public(address))):
            raise ForbiddenAddress(
                f"{hostname} leads to {address}, which channels may not reach; see NOTIFICATION_ALLOWED_NETWORKS"
                if is_encrypted
                else f"{hostname} may be reached only over https; see NOTIFICATION_ALLOWED_NETWORKS"
            )
    return str(addresses[0])


@contextmanager
def ending_at(deadline: float, find_socket: Callable[[], socket.socket | None]) -> Iterator[None]:
    """Shut a socket down at the deadline; the thread that uses it gets an error.

    Raises:
        TimeoutError: the deadline has passed, before the block or in it.
    """

    def shut_down() -> None:
        # The socket may not exist yet, and it cannot be used during the handshake.
        with suppress(OSError):
            found = find_socket()
            if found:
                found.shutdown(socket.SHUT_RDWR)

    _require_time_before(deadline)
    timer = Timer(deadline - time.monotonic(), shut_down)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
    _require_time_before(deadline)  # A response without a length seems complete when its connection is shut down.


def _is_listed(address: IPv4Address | IPv6Address) -> bool:
    address = getattr(address, "ipv4_mapped", None) or address
    return any(address in network for network in settings.NOTIFICATION_ALLOWED_NETWORKS)


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    address = getattr(address, "ipv4_mapped", None) or address
    is_unicast = address in GLOBAL_UNICAST if isinstance(address, IPv6Address) else not address.is_multicast
    return address.is_global and is_unicast and not any(address in network for network in SPECIAL_NETWORKS)


@contextmanager
def _open_until(deadline: float, target: Target) -> Iterator[HTTPConnection]:
    """Connect to a target, and shut the connection down at the deadline."""
    connection = _connection_to(target)
    try:
        # Resolving the name cannot be interrupted; connecting ends after CONNECT_SECONDS, and so does the handshake.
        with ending_at(deadline, lambda: connection.sock):
            connection.connect()
        connection.timeout = READ_SECONDS
        opened = connection.sock  # A response that ends the connection takes the socket away from it.
        with ending_at(deadline, lambda: opened):
            yield connection
    finally:
        connection.close()


def _connection_to(target: Target) -> HTTPConnection:
    """Return an unopened connection to the judged address of a target, or through the proxy, which judges addresses."""
    if not target.is_encrypted:
        address = judged_address(target.hostname, target.port, is_encrypted=False)
        return HTTPConnection(address, target.port, timeout=CONNECT_SECONDS)
    context = ssl.create_default_context()
    if settings.NOTIFICATION_PROXY_URL:
        proxy = urlsplit(settings.NOTIFICATION_PROXY_URL)
        connection = HTTPSConnection(
            str(proxy.hostname), proxy.port or PROXY_PORT, timeout=CONNECT_SECONDS, ssl_context=context
        )
        connection.set_tunnel(target.hostname, target.port, scheme="http")
        return connection
    address = judged_address(target.hostname, target.port, is_encrypted=True)
    return HTTPSConnection(
        address, target.port, timeout=CONNECT_SECONDS, ssl_context=context, server_hostname=target.hostname
    )


def _exchange(connection: HTTPConnection, target: Target, request: Request) -> Response:
    headers = {"Host": target.host_header, "User-Agent": USER_AGENT, **request.headers}
    connection.request(request.method, target.path, request.body, headers, preload_content=False, decode_content=False)
    with closing(connection.getresponse()) as response:
        body = response.read(MAX_RESPONSE_BYTES)
    if response.length_remaining and len(body) < MAX_RESPONSE_BYTES:
        raise HTTPException
    return Response(
        status=response.status, headers={name.lower(): value for name, value in response.headers.items()}, body=body
    )


def _require_time_before(deadline: float) -> None:
    if time.monotonic() >= deadline:
        raise TimeoutError


@contextmanager
def _rejecting(reason: str) -> Iterator[None]:
    """Raise ForbiddenAddress instead of ValueError, whose text may contain parts of the URL."""
    try:
        yield
    except ValueError:
        raise ForbiddenAddress(reason) from None


def _reason(error: Exception, target: Target) -> str:
    """Return why there was no response, without the URL, which is often a secret."""
    causes = (error, error.__cause__)
    is_unconnected = isinstance(error, urllib3.exceptions.NewConnectionError)
    if is_unconnected and target.is_encrypted and settings.NOTIFICATION_PROXY_URL:
        return "the proxy in NOTIFICATION_PROXY_URL could not be reached"
    if str(error).startswith("Tunnel connection failed"):
        return "the proxy in NOTIFICATION_PROXY_URL did not connect to it"
    certificate = next((cause for cause in causes if isinstance(cause, ssl.SSLCertVerificationError)), None)
    if certificate:
        return f"its certificate is not valid: {certificate.verify_message}"
    reasons = (reason for kind, reason in REASONS.items() if any(isinstance(cause, kind) for cause in causes))
    return next(reasons, "it broke the connection, or sent no valid response")
