"""Encrypt the secrets of channels, so that a dump of the database cannot send anything.

The key is derived from SECRET_KEY. SECRET_KEY_FALLBACKS also decrypts, until `manage.py reseal_channels` has encrypted
all secrets with the current key.
"""

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

PURPOSE = b"logs.notifications.sealing"


class UnreadableSecret(Exception):
    """A secret was encrypted with a key that is no longer configured."""


def seal(secrets: Mapping[str, str]) -> str:
    """Return an encrypted token of some secrets; "" for none."""
    return _cipher().encrypt(json.dumps(dict(secrets)).encode()).decode() if secrets else ""


def unseal(token: str) -> dict[str, str]:
    """Return the secrets in a token.

    Raises:
        UnreadableSecret: neither SECRET_KEY nor SECRET_KEY_FALLBACKS has the key.
    """
    if not token:
        return {}
    try:
        secrets: dict[str, str] = json.loads(_cipher().decrypt(token.encode()))
    except InvalidToken as error:
        raise UnreadableSecret("its secret cannot be read: SECRET_KEY has changed") from error
    return secrets


def reseal(token: str) -> str:
    """Return a token encrypted with the current key.

    Raises:
        UnreadableSecret: neither SECRET_KEY nor SECRET_KEY_FALLBACKS has the key.
    """
    return seal(unseal(token))


def _cipher() -> MultiFernet:
    return MultiFernet([_fernet(key) for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)])


def _fernet(key: str) -> Fernet:
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=PURPOSE).derive(key.encode())
    return Fernet(urlsafe_b64encode(derived))
