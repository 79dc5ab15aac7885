"""Sign bodies and verify signatures with a webhook's secret.

Source: https://circleci.com/docs/guides/integration/outbound-webhooks/ (read 2026-08-20): the header
``circleci-signature`` is a comma-separated list of ``version=hex``. ``v1``, the only version so far,
is the HMAC-SHA256 of the raw body in lower-case hex; the key is the secret in UTF-8.
"""

import hmac
from collections.abc import Sequence

from logs.exceptions import SignatureRefused

VERSION = "v1"


def sign(body: bytes, secret: str) -> str:
    """Return the value of the ``circleci-signature`` header for a body.

    Args:
        body: the raw bytes as sent.
        secret: the webhook's secret token; white space is significant.
    """
    return f"{VERSION}={_digest(body, secret).decode()}"


def verify(body: bytes, header: str | None, secrets: Sequence[str]) -> int:
    """Return the position of the secret that was used to sign the body.

    Every secret is tried even after a match, so the duration does not reveal which secret matched.

    Args:
        body: the raw bytes as received.
        header: the value of ``circleci-signature``; None if the header is missing.
        secrets: the secrets to try. An empty secret, or one made only of NUL characters, never matches: any client
            could sign with it, because HMAC pads a short key with NUL.

    Raises:
        SignatureRefused: the header is missing or malformed, or no secret matches. The message contains no digest.
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
    return hmac.digest(secret.encode(), body, "sha256").hex().encode()


def _claimed_digests(header: str | None) -> list[bytes]:
    if header is None:
        raise SignatureRefused(
            "the circleci-signature header is missing: CircleCI sends it only if the webhook has a secret token"
        )
    entries = (entry.strip().partition("=") for entry in header.split(","))
    # Bytes, because hmac.compare_digest raises TypeError on a str that is not ASCII.
    claimed = [digest.encode("utf-8", "replace") for version, _, digest in entries if version == VERSION]
    if not claimed:
        raise SignatureRefused(f"the circleci-signature header has no {VERSION}=... entry")
    return claimed


def _is_claimed(digest: bytes, claimed: list[bytes]) -> bool:
    return any([hmac.compare_digest(digest, claim) for claim in claimed])  # noqa: C419 - a generator stops at a match
