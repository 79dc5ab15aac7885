"""The HTTP body and headers for a payload."""

import json
from typing import Any

from logs.circleci.signature import sign
from logs.circleci.vocabulary import EVENT_TYPE_HEADER, SIGNATURE_HEADER, USER_AGENT


def encode(document: dict[str, Any]) -> bytes:
    """Return the body: JSON without white space between tokens, in UTF-8."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def headers(body: bytes, document: dict[str, Any], secret: str | None) -> dict[str, str]:
    """Return the headers that CircleCI sends with a body.

    Args:
        body: the bytes to send and sign.
        document: the payload, whose ``type`` is sent as a header.
        secret: the signing key; None or "" omits the signature, as for a webhook without a secret token.
    """
    unsigned = {
        "content-type": "application/json",
        "user-agent": USER_AGENT,
        EVENT_TYPE_HEADER: str(document["type"]),
        "accept-encoding": "gzip, deflate",
    }
    return unsigned | {SIGNATURE_HEADER: sign(body, secret)} if secret else unsigned
