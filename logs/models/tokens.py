"""ApiToken: a key for the REST API with a user's permissions; only its digest is stored."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Self

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import connection, models
from django.utils import timezone
from knox.models import AbstractAuthToken
from knox.settings import CONSTANTS

from logs.permissions import SCOPES

EXPIRES_SOON = timedelta(days=14)
USE_IS_NOTED_EVERY = timedelta(minutes=1)


class ApiToken(AbstractAuthToken):
    """An API token, which grants the permissions of its user, or only those of its scopes."""

    # Not the primary key as in knox, because the admin's URLs would contain it.
    digest = models.CharField(max_length=CONSTANTS.DIGEST_LENGTH, editable=False)
    name = models.CharField(max_length=100, help_text="The purpose of the token.")
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False, help_text="To the minute.")
    # Null in tokens that were created without scopes, and in those of older versions. An empty text allows nothing.
    scopes = models.CharField(
        max_length=200,
        null=True,
        blank=True,
        editable=False,
        help_text="Separated by spaces; null means everything that the user may do.",
    )

    class Meta:
        verbose_name = "API token"
        default_permissions = ["add", "delete", "view"]
        constraints = [models.UniqueConstraint(fields=["digest"], name="token_digest_unique")]

    def __str__(self) -> str:
        return f"{self.name} ({self.token_key}…)"

    @classmethod
    def issue(
        cls, user: AbstractBaseUser, *, name: str, lifetime: timedelta | None, scopes: Iterable[str] | None = None
    ) -> tuple[Self, str]:
        """Create a token; return the token and its key, which is not stored.

        Args:
            user: the owner.
            name: the purpose.
            lifetime: None means no expiry.
            scopes: names in `logs.permissions.SCOPES`; None means everything that the user may do.
        """
        stored = None if scopes is None else " ".join(dict.fromkeys(scopes))
        token, key = cls.objects.create(user, lifetime, name=name, scopes=stored)  # type: ignore[no-untyped-call]
        return token, key

    @classmethod
    def expiring_soon(cls) -> models.QuerySet[Self]:
        """Return the tokens that expire within EXPIRES_SOON, with their users; the next to expire first."""
        now = timezone.now()
        soon = cls.objects.filter(expiry__gt=now, expiry__lte=now + EXPIRES_SOON, user__is_active=True)
        return soon.select_related("user").order_by("expiry")

    @property
    def is_expired(self) -> bool:
        """Whether the token has expired."""
        return self.expiry is not None and self.expiry <= timezone.now()

    @property
    def expires_soon(self) -> bool:
        """Whether the token is still valid, but expires within EXPIRES_SOON."""
        return self.expiry is not None and timezone.now() < self.expiry <= timezone.now() + EXPIRES_SOON

    def allows(self, permission: str) -> bool:
        """Return whether the scopes include a permission; a permission without a scope is in none."""
        return self.scopes is None or permission in [SCOPES.get(scope) for scope in self.scopes.split()]

    def note_use(self) -> None:
        """Record the current use, unless one was recorded less than a minute ago.

        Raises:
            DatabaseError: the use could not be recorded; on SQLite, raised at once if another transaction is writing.
        """
        now = timezone.now()
        recent = now - USE_IS_NOTED_EVERY
        if self.last_used_at is None or self.last_used_at <= recent:
            with _without_waiting():
                # Checked again, because concurrent requests may use the same token.
                ApiToken.objects.filter(pk=self.pk).exclude(last_used_at__gt=recent).update(last_used_at=now)


@contextmanager
def _without_waiting() -> Iterator[None]:
    """Make a statement fail immediately, not after several seconds, while another transaction writes to SQLite."""
    if connection.vendor != "sqlite":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout")
        (milliseconds,) = cursor.fetchone()
        cursor.execute("PRAGMA busy_timeout = 0")
        try:
            yield
        finally:
            cursor.execute(f"PRAGMA busy_timeout = {milliseconds}")
