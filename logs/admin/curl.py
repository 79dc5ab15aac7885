"""A delivery as a command for the shell that sends the same bytes with the same headers again."""

import base64
import shlex
from collections.abc import Iterator, Mapping

from django.http import HttpRequest
from django.urls import reverse

from logs.circleci.vocabulary import EVENT_TYPE_HEADER, SIGNATURE_HEADER
from logs.models import Delivery

MAX_INLINE_BYTES = 65_536
SENT_HEADERS = ("content-type", "user-agent", EVENT_TYPE_HEADER, SIGNATURE_HEADER)
# What curl would add of its own where a delivery came without them.
CURLS_OWN_HEADERS = ("content-type", "user-agent")


def file_name(delivery: Delivery) -> str:
    """Return what a delivery's body is called when it is downloaded."""
    return f"delivery-{delivery.pk}.json"


def curl_for(request: HttpRequest, delivery: Delivery) -> str:
    """Return the command that sends a delivery to this site's address that it came to; this reads its body."""
    slug = delivery.webhook_slug
    path = reverse("logs:receive-webhook", args=[slug]) if slug else reverse("logs:receive")
    body = bytes(delivery.body)
    address = request.build_absolute_uri(path)
    return curl_command(address, delivery.headers, body, file=file_name(delivery))


def curl_command(address: str, headers: Mapping[str, str], body: bytes, *, file: str) -> str:
    """Return a command for any POSIX shell with printf, curl, and base64.

    Args:
        address: an absolute URL.
        headers: those of a delivery, their names in lower case.
        body: the bytes to send; they come from a pipe, because an argument has at most 128 kB on Linux.
        file: where a body that is too long to be pasted is downloaded to.
    """
    is_inline = len(body) <= MAX_INLINE_BYTES
    arguments = [
        *(f"--header {shlex.quote(header)}" for header in _headers(headers)),
        f"--data-binary {'@-' if is_inline else shlex.quote('@' + file)}",
        shlex.quote(address),
    ]
    command = " \\\n  ".join(["curl --include", *arguments])
    return f"{_source(body)} |\n{command}" if is_inline else command


def _headers(headers: Mapping[str, str]) -> Iterator[str]:
    for name in SENT_HEADERS:
        if headers.get(name):
            yield f"{name}: {_harmless(headers[name])}"
        elif name in CURLS_OWN_HEADERS:
            yield f"{name}:"


def _harmless(value: str) -> str:
    """Replace what a terminal could take for a key, such as an end of line or an escape, and what is not ASCII."""
    return "".join(character if character.isascii() and character.isprintable() else "?" for character in value)


def _source(body: bytes) -> str:
    """Return the command that writes a body: as text where one can read and paste it, else in base64.

    A page could not hand on a carriage return or a tab as they are, and invisible characters would deceive the reader.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = None
    if text is not None and all(line.isprintable() for line in text.split("\n")):
        return f"printf %s {shlex.quote(text)}"
    return f"printf %s {base64.b64encode(body).decode()} | base64 --decode"
