"""Read an HTTP request into an arrival, bytes first."""

from django.conf import settings
from django.http import HttpRequest
from django.http.request import HttpHeaders
from django.utils import timezone

from logs.circleci.vocabulary import KEPT_HEADERS
from logs.exceptions import BodyTooLarge, BodyUnreadable, ContentTypeRefused, EncodingRefused
from logs.http.client import client_address
from logs.ingest.records import Arrival

MAX_HEADER_LENGTH = 1000
MAX_SLUG_LENGTH = 255
MAX_SHOWN_LENGTH = 100
# The kept headers under their names in WSGI. Not by request.headers, which first makes a dictionary of all headers.
KEPT = {name: HttpHeaders.to_wsgi_name(name) for name in KEPT_HEADERS}


def arrival_without_body(request: HttpRequest, webhook_slug: str | None) -> Arrival:
    """Return what a request tells of itself before its body is read."""
    return Arrival(
        received_at=timezone.now(),
        webhook_slug=(webhook_slug or "")[:MAX_SLUG_LENGTH],
        headers={
            name: request.META[key][:MAX_HEADER_LENGTH].replace("\x00", "\N{REPLACEMENT CHARACTER}")
            for name, key in KEPT.items()
            if key in request.META
        },
        client_address=client_address(request),
    )


def read_body(request: HttpRequest) -> bytes:
    """Return the raw body of a request.

    Raises:
        ContentTypeRefused: it is declared to be something else than JSON; without a declaration it counts as JSON.
        EncodingRefused: it is compressed. A small compressed body could fill the memory when decoded.
        BodyTooLarge: it is longer than MAX_BODY_BYTES.
        BodyUnreadable: it did not arrive as the headers promised.
    """
    if request.content_type not in ("application/json", ""):
        raise ContentTypeRefused("the content type is not application/json")
    encoding = request.META.get("HTTP_CONTENT_ENCODING", "")
    if encoding.strip().lower() not in ("", "identity"):
        raise EncodingRefused(f"the content encoding is {encoding[:MAX_SHOWN_LENGTH]!r}: send the body uncompressed")
    # Django reads nothing without a Content-Length; a server that decodes chunks itself says so, and may be read to
    # the end. A proxy may have chunked what CircleCI sent with a length.
    is_chunked = "HTTP_TRANSFER_ENCODING" in request.META and request.META.get("wsgi.input_terminated")
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
