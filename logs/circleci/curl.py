"""A shell command that sends a delivery's bytes and headers again."""

import base64
import shlex
from collections.abc import Iterator, Mapping

from logs.circleci.vocabulary import EVENT_TYPE_HEADER, SIGNATURE_HEADER

MAX_INLINE_BYTES = 65_536
SENT_HEADERS = ("content-type", "user-agent", EVENT_TYPE_HEADER, SIGNATURE_HEADER)
# curl adds these itself unless the command removes them.
CURLS_OWN_HEADERS = ("content-type", "user-agent")


def curl_command(url: str, headers: Mapping[str, str], body: bytes, *, file: str) -> str:
    """Return a command for any POSIX shell with printf, curl and base64.

    Args:
        url: an absolute URL.
        headers: the delivery's headers, with names in lower case.
        body: the bytes to send; piped to curl, because Linux limits an argument to 128 kB.
        file: the file that holds a body too long to paste.
    """
    if len(body) > MAX_INLINE_BYTES:
        return curl_with_file(url, headers, file)
    return f"{_source(body)} |\n{curl_with_file(url, headers, '-')}"


def curl_with_file(url: str, headers: Mapping[str, str], file: str) -> str:
    """Return a command that sends a file, or standard input if `file` is ``-``."""
    arguments = [
        *(f"--header {shlex.quote(header)}" for header in _headers(headers)),
        f"--data-binary {shlex.quote('@' + file)}",
        shlex.quote(url),
    ]
    return " \\\n  ".join(["curl --include", *arguments])


def _headers(headers: Mapping[str, str]) -> Iterator[str]:
    for name in SENT_HEADERS:
        if headers.get(name):
            yield f"{name}: {_printable(headers[name])}"
        elif name in CURLS_OWN_HEADERS:
            yield f"{name}:"


def _printable(value: str) -> str:
    """Replace characters that are not ASCII or that a terminal could interpret, such as line breaks or escapes."""
    return "".join(character if character.isascii() and character.isprintable() else "?" for character in value)


def _source(body: bytes) -> str:
    """Return the command that writes a body: as text if the body is printable, else from base64.

    Copying from a page changes carriage returns and tabs, and invisible characters could deceive the reader.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = None
    if text is not None and all(line.isprintable() for line in text.split("\n")):
        return f"printf %s {shlex.quote(text)}"
    return f"printf %s {base64.b64encode(body).decode()} | base64 --decode"
