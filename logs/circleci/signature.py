"""Prove by HMAC that the holder of a webhook's secret sent these bytes.

Source: https://circleci.com/docs/guides/integration/outbound-webhooks/ (read 2026-08-20): the header
``circleci-signature`` is a comma-separated list of ``version=hex``; ``v1``, the only version so far,
is the lower-case HMAC-SHA256 of the raw body under the secret as UTF-8.
"""

import hashlib
import hmac
from collections.abc import Sequence

from logs.exceptions import SignatureRefused

VERSION = "v1"


def sign(body: bytes, secret: str) -> str:
    """Return the value of the ``circleci-signature`` header for a body.

    Args:
        body: the raw bytes that travel.
        secret: the webhook's secret token, used as it stands: white space counts.
    """
    return f"{VERSION}={_digest(body, secret).decode()}"


def verify(body: bytes, header: str | None, secrets: Sequence[str]) -> int:
    """Return the position of the secret that signed the body.

    Every secret is tried, whether or not an earlier one matched, so the time taken tells nothing about which did.

    Args:
        body: the raw bytes as received.
        header: the value of ``circleci-signature``; None where there is no such header.
        secrets: the secrets that may have signed. One that is empty, or of NUL alone, never matches: anybody could use
            it, since HMAC fills a short key up with NUL.

    Raises:
        SignatureRefused: the header is missing or malformed, or no secret matches. The message never holds a digest.
    """
    claimed = _claimed_digests(header)
    matching = [
        position
        for position, secret in enumerate(secrets)
        if secret.strip("\0") and _is_claimed(_digest(body, secret), claimed)
    ]
    if not matching:
        raise SignatureRefused("the circleci-signature matches no secret")
    return matching[0]


def _digest(body: bytes, secret: str) -> bytes:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest().encode()


def _claimed_digests(header: str | None) -> list[bytes]:
    if header is None:
        raise SignatureRefused(
            "there is no circleci-signature header: CircleCI sends none when the webhook has no secret token"
        )
    entries = (entry.strip().partition("=") for entry in header.split(","))
    # Bytes, because hmac.compare_digest raises TypeError on a str that holds anything but ASCII.
    claimed = [digest.encode("utf-8", "replace") for version, _, digest in entries if version == VERSION]
    if not claimed:
        raise SignatureRefused(f"the circleci-signature header holds no {VERSION}=... entry")
    return claimed


def _is_claimed(digest: bytes, claimed: list[bytes]) -> bool:
    return any([hmac.compare_digest(digest, claim) for claim in claimed])  # noqa: C419 - a generator would stop early
