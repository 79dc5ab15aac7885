"""The secrets of a channel in the admin, which shows at most their last four characters."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from logs.models import Channel

SHOWN_LENGTH = 4
# Of a shorter secret, four characters would be too large a part.
MIN_LENGTH = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSecrets:
    """The secrets that a channel has."""

    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    is_readable: bool = True

    def has(self, name: str) -> bool:
        """Return whether a secret is stored and can be read."""
        return bool(self.values.get(name))

    def end_of(self, name: str) -> str:
        """Return the end of a secret; "" if the secret is missing or too short for that."""
        secret = self.values.get(name, "")
        return f"…{secret[-SHOWN_LENGTH:]}" if len(secret) >= MIN_LENGTH else ""


def read_secrets(channel: Channel) -> StoredSecrets:
    """Return the secrets of a channel; none if SECRET_KEY has changed."""
    # Loads `cryptography`, 9 MiB that a process needs only for this page.
    from logs.notifications.sealing import UnreadableSecret, unseal  # noqa: PLC0415

    try:
        return StoredSecrets(values=unseal(channel.sealed))
    except UnreadableSecret:
        return StoredSecrets(is_readable=False)


def sealed(secrets: Mapping[str, str]) -> str:
    """Return secrets as a channel stores them."""
    from logs.notifications.sealing import seal  # noqa: PLC0415 - as above

    return seal(secrets)
