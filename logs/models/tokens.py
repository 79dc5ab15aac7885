"""ApiToken: a key for the REST API with a user's permissions; only its digest is stored."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Self

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import connection, models
from django.utils import timezone
from knox.models import AbstractAuthToken
from knox.settings import CONSTANTS

USE_IS_NOTED_EVERY = timedelta(minutes=1)


class ApiToken(AbstractAuthToken):
    """An API token, which grants the permissions of its user."""

    # Not the primary key as in knox, because the admin's URLs would contain it.
    digest = models.CharField(max_length=CONSTANTS.DIGEST_LENGTH, editable=False)
    name = models.CharField(max_length=100, help_text="The purpose of the token.")
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False, help_text="To the minute.")

    class Meta:
        verbose_name = "API token"
        default_permissions = ["add", "delete", "view"]
        constraints = [models.UniqueConstraint(fields=["digest"], name="token_digest_unique")]

    def __str__(self) -> str:
        return f"{self.name} ({self.token_key}…)"

    @classmethod
    def issue(cls, user: AbstractBaseUser, *, name: str, lifetime: timedelta | None) -> tuple[Self, str]:
        """Create a token; return the token and its key, which is not stored; a lifetime of None means no expiry."""
        token, key = cls.objects.create(user, lifetime, name=name)  # type: ignore[no-untyped-call]
        return token, key

    @property
    def is_expired(self) -> bool:
        """Whether the token has expired."""
        return self.expiry is not None and self.expiry <= timezone.now()

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
