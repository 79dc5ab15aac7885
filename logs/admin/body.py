"""Show a delivery's body as a tree, as text or as hexadecimal bytes, each of limited size."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from logs.admin.payload_tree import Tree, printable, render_tree
from logs.circleci.strict_json import parse_payload
from logs.exceptions import PayloadMalformed

# Indentation grows with the depth: indented JSON can be a hundred times as long as the body.
MAX_INDENTED_LENGTH = 200_000
MAX_TEXT_LENGTH = 1_500_000
MAX_DUMPED_BYTES = 16_384
BYTES_IN_LINE = 16

_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownBody:
    """A body as a page shows it."""

    size: int  # In bytes.
    document: dict[str, object] | None  # None if the body is not a JSON object.
    tree: Tree | None
    text: str  # Indented JSON, the body's own text, or a hexadecimal dump.
    is_text: bool
    shown_size: int | None  # The number of characters or bytes in `text`; None if it shows all.


def show_body(body: bytes) -> ShownBody:
    """Return a body in its most readable form."""
    try:
        document = parse_payload(body)
    except PayloadMalformed:
        document = None
    text = _decoded(body)
    if text is None:
        limit = MAX_DUMPED_BYTES
        shown = "\n".join(_dump(body[:limit]))
    else:
        limit = MAX_TEXT_LENGTH
        shown = (_indented(document) if document is not None else None) or text[:limit]
    return ShownBody(
        size=len(body),
        document=document,
        tree=render_tree(document) if document else None,
        text=printable(shown),
        is_text=text is not None,
        shown_size=limit if len(body if text is None else text) > limit else None,
    )


def _decoded(body: bytes) -> str | None:
    """Decode a body; None if it is not UTF-8 or contains control characters, which a page cannot show."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    return None if _CONTROLS.search(text) else text


def _indented(document: dict[str, object]) -> str | None:
    parts, length = [], 0
    for part in json.JSONEncoder(indent=2, ensure_ascii=False).iterencode(document):
        parts.append(part)
        length += len(part)
        if length > MAX_INDENTED_LENGTH:
            return None
    return "".join(parts)


def _dump(body: bytes) -> Iterator[str]:
    """Yield a line for each 16 bytes: offset, bytes, and their printable ASCII characters."""
    for offset in range(0, len(body), BYTES_IN_LINE):
        line = body[offset : offset + BYTES_IN_LINE]
        characters = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in line)
        yield f"{offset:08x}  {line.hex(' '):<47}  {characters}"
