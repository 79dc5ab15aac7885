"""The configured webhooks and default branches, read from the settings on each call: no caller keeps an old secret."""

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.utils.crypto import salted_hmac
from django.utils.text import slugify

FINGERPRINT_LENGTH = 8


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """A configured webhook: its name in CircleCI, its secrets, and the projects whose events it may send."""

    name: str
    # The newest first. Several during a rotation; none for an unsigned webhook.
    secrets: tuple[str, ...] = field(repr=False)
    projects: tuple[str, ...] = ()  # Patterns of project slugs, such as "github/acme/*"; an empty tuple allows all.

    @property
    def slug(self) -> str:
        """The last part of the webhook's own URL; ``""`` if the name has no ASCII letter or digit."""
        return slugify(self.name)

    @property
    def is_signed(self) -> bool:
        """Whether CircleCI signs this webhook's deliveries."""
        return bool(self.secrets)

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """The fingerprints of the webhook's secrets, in the order of ``secrets``."""
        return tuple(map(fingerprint, self.secrets))

    def may_speak_for(self, project_slug: str) -> bool:
        """Return whether this webhook may send events for a project."""
        return not self.projects or any(fnmatchcase(project_slug, pattern) for pattern in self.projects)


def webhooks() -> tuple[Webhook, ...]:
    """Return the webhooks in CIRCLECI_WEBHOOK_SECRETS, in the order listed there."""
    return tuple(_webhook(name, value) for name, value in settings.CIRCLECI_WEBHOOK_SECRETS.items())


def fingerprint(secret: str) -> str:
    """Return hexadecimal digits that identify a secret, but reveal nothing about the secret without SECRET_KEY.

    After SECRET_KEY changes, stored fingerprints match no configured secret.
    """
    return _fingerprint(secret, settings.SECRET_KEY)


@lru_cache(maxsize=100)
def _fingerprint(secret: str, key: str) -> str:
    digest = salted_hmac("logs.conf.fingerprint", secret, secret=key, algorithm="sha256").hexdigest()
    return digest[:FINGERPRINT_LENGTH]


def secret_position(name: str, secret_fingerprint: str | None) -> int | None:
    """Return a secret's position in a webhook's configured list (0 is the newest); None if the secret is absent."""
    for webhook in webhooks():
        if webhook.name == name and secret_fingerprint in webhook.fingerprints:
            return webhook.fingerprints.index(secret_fingerprint)
    return None


@dataclass(frozen=True, kw_only=True)
class DefaultBranches:
    """An entry of DEFAULT_BRANCHES: ``branches``, or ``projects:branches``."""

    projects: str  # A pattern of project slugs; "" for the projects that no other entry names.
    branches: str  # A pattern of branches.


def default_branches() -> tuple[DefaultBranches, ...]:
    """Return the entries of DEFAULT_BRANCHES, in the order listed there."""
    return _default_branches(tuple(settings.DEFAULT_BRANCHES))


@lru_cache(maxsize=10)
def _default_branches(entries: tuple[str, ...]) -> tuple[DefaultBranches, ...]:
    parts = (entry.rpartition(":") for entry in entries)
    return tuple(DefaultBranches(projects=projects, branches=branches) for projects, _, branches in parts)


def is_default_branch(project_slug: str, branch: str) -> bool:
    """Return whether a branch is one of its project's default branches.

    If an entry of DEFAULT_BRANCHES names the project, the entries without projects do not apply to it.
    """
    entries = default_branches()
    own = [entry for entry in entries if entry.projects and fnmatchcase(project_slug, entry.projects)]
    applying = own or [entry for entry in entries if not entry.projects]
    return any(fnmatchcase(branch, entry.branches) for entry in applying)


def _webhook(name: str, value: Any) -> Webhook:
    if not isinstance(value, dict):
        return Webhook(name=name, secrets=_texts(value))
    return Webhook(name=name, secrets=_texts(value.get("secrets")), projects=_texts(value.get("projects")))


def _texts(value: str | list[str] | None) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)
