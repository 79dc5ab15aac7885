"""A delivery as a command for the shell that sends the same bytes with the same headers again."""

import base64
import shlex
from collections.abc import Iterator, Mapping

from logs.circleci.vocabulary import EVENT_TYPE_HEADER, SIGNATURE_HEADER

MAX_INLINE_BYTES = 65_536
SENT_HEADERS = ("content-type", "user-agent", EVENT_TYPE_HEADER, SIGNATURE_HEADER)
# What curl would add of its own where a delivery came without them.
CURLS_OWN_HEADERS = ("content-type", "user-agent")


def curl_command(address: str, headers: Mapping[str, str], body: bytes, *, file: str) -> str:
    """Return a command for any POSIX shell with printf, curl, and base64.

    Args:
        address: an absolute URL.
        headers: those of a delivery, their names in lower case.
        body: the bytes to send; they come from a pipe, because an argument has at most 128 kB on Linux.
        file: where a body that is too long to be pasted is downloaded to.
    """
    if len(body) > MAX_INLINE_BYTES:
        return curl_with_file(address, headers, file)
    return f"{_source(body)} |\n{curl_with_file(address, headers, '-')}"


def curl_with_file(address: str, headers: Mapping[str, str], file: str) -> str:
    """Return a command that sends the bytes of a file; those of its standard input where the name is ``-``."""
    arguments = [
        *(f"--header {shlex.quote(header)}" for header in _headers(headers)),
        f"--data-binary {shlex.quote('@' + file)}",
        shlex.quote(address),
    ]
    return " \\\n  ".join(["curl --include", *arguments])


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
