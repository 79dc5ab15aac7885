"""The configured webhooks, read when asked for, so that nothing keeps an old secret."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings
from django.utils.text import slugify


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """A webhook as configured: the name it has in CircleCI and the secrets that may sign for it."""

    name: str
    secrets: tuple[str, ...]  # Several while one is being rotated; none for a webhook without a secret token.

    @property
    def slug(self) -> str:
        """The last part of the webhook's own address; ``""`` where the name holds no letter or digit of ASCII."""
        return slugify(self.name)

    @property
    def is_signed(self) -> bool:
        """Whether CircleCI signs this webhook's deliveries."""
        return bool(self.secrets)


def webhooks() -> tuple[Webhook, ...]:
    """Return the webhooks of CIRCLECI_WEBHOOK_SECRETS, in its order."""
    return tuple(
        Webhook(name=name, secrets=_secrets(value)) for name, value in settings.CIRCLECI_WEBHOOK_SECRETS.items()
    )


def _secrets(value: str | Sequence[str] | None) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)
