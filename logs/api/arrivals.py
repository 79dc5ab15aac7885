"""Read an HTTP request into an arrival, bytes first."""

from ipaddress import IPv4Address, IPv6Address, ip_address

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone

from logs.circleci.vocabulary import KEPT_HEADERS
from logs.exceptions import BodyTooLarge, BodyUnreadable
from logs.ingest.pipeline import Arrival

MAX_HEADER_LENGTH = 1000
MAX_PATH_LENGTH = 255


def read_arrival(request: HttpRequest, webhook_slug: str | None) -> Arrival:
    """Return what a request brings.

    Raises:
        BodyTooLarge: the body is longer than MAX_BODY_BYTES.
        BodyUnreadable: the body did not arrive as its headers promised.
    """
    return Arrival(
        received_at=timezone.now(),
        path=_storable(request.path)[:MAX_PATH_LENGTH],
        webhook_slug=webhook_slug,
        headers={
            name: _storable(request.headers[name])[:MAX_HEADER_LENGTH]
            for name in KEPT_HEADERS
            if name in request.headers
        },
        client_address=client_address(request),
        body=_read_body(request),
    )


def _read_body(request: HttpRequest) -> bytes:
    # Django reads nothing without a Content-Length; a server that decodes chunks itself says so, and may be read to
    # the end. A proxy may have chunked what CircleCI sent with a length.
    is_chunked = "transfer-encoding" in request.headers and request.META.get("wsgi.input_terminated")
    stream = request.META["wsgi.input"] if is_chunked else request
    limit = settings.MAX_BODY_BYTES
    try:
        body: bytes = stream.read(limit + 1)
    except Exception as error:
        # The connection broke, or its chunks were malformed, for which each server has exceptions of its own.
        raise BodyUnreadable("the body did not arrive whole") from error
    if len(body) > limit:
        raise BodyTooLarge(f"the body is longer than {limit} bytes; see MAX_BODY_BYTES")
    promised = request.META.get("CONTENT_LENGTH") or ""
    # Of a body cut short, the signature would be blamed.
    if promised.isdecimal() and len(body) < int(promised):
        raise BodyUnreadable(f"the body did not arrive whole: {len(body)} of {promised} bytes")
    return body


def client_address(request: HttpRequest) -> str | None:
    """Return the address of the client, seen through the proxies of TRUSTED_PROXIES; None on a Unix socket.

    X-Forwarded-For is read from its end, where the trusted proxies have written; what stands before the first address
    that is not trusted may be the client's invention.
    """
    address = _address(request.META.get("REMOTE_ADDR", ""))
    for hop in reversed(request.headers.get("x-forwarded-for", "").split(",")):
        through_proxy = address is not None and any(address in network for network in settings.TRUSTED_PROXIES)
        if not through_proxy or _address(hop) is None:
            break
        address = _address(hop)
    return str(address) if address else None


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        # Without the scope of a link-local address, which PostgreSQL refuses.
        return ip_address(text.strip().partition("%")[0])
    except ValueError:
        return None


def _storable(text: str) -> str:
    """Replace what a column of text cannot hold; the server decodes headers as Latin-1 and paths as UTF-8."""
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
