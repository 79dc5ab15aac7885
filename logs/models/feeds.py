"""Feed: a secret URL that shows the state of some branches to programs that cannot sign in."""

import secrets
from hashlib import sha256
from typing import Self

from django.db import models

TOKEN_BYTES = 24
MAX_PATTERNS_LENGTH = 2_000


def digest_of(token: str) -> str:
    """Return the digest by which a feed is found; a fast hash is enough for a random token."""
    return sha256(token.encode()).hexdigest()


def _patterns(help_text: str) -> "models.TextField[str, str]":
    return models.TextField(blank=True, max_length=MAX_PATTERNS_LENGTH, help_text=help_text)


class Feed(models.Model):
    """A badge, a cctray file and an Atom feed at one secret URL; only the URL's digest is stored."""

    digest = models.CharField(max_length=64, editable=False)
    name = models.CharField(max_length=100, help_text="The purpose of the feed, shown as the title of its Atom feed.")
    projects = _patterns("Project slugs or names, such as github/acme/*, one pattern per line; empty for all.")
    workflows = _patterns("Workflows that it may show, one pattern per line; empty for all.")
    branches = _patterns(
        "Branches that it may show, one pattern per line; <default> stands for the default branches; empty for all."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(max_length=150, editable=False)

    class Meta:
        default_permissions = ["add", "delete", "view"]
        constraints = [models.UniqueConstraint(fields=["digest"], name="feed_digest_unique")]

    def __str__(self) -> str:
        return self.name

    @classmethod
    def issue(cls, *, created_by: str, **columns: str) -> tuple[Self, str]:
        """Create a feed; return it and its token, which is not stored."""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        return cls.objects.create(digest=digest_of(token), created_by=created_by, **columns), token
