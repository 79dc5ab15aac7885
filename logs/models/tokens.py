"""ApiToken: a key to the REST API with a user's permissions; the key itself is shown once and kept only as a digest."""

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
    """One key, which lends the permissions of its user."""

    # Not knox's primary key, or each address in the admin would tell it.
    digest = models.CharField(max_length=CONSTANTS.DIGEST_LENGTH, editable=False)
    name = models.CharField(max_length=100, help_text="What it is for.")
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False, help_text="To the minute.")

    class Meta:
        verbose_name = "API token"
        default_permissions = ["add", "delete", "view"]
        constraints = [models.UniqueConstraint(fields=["digest"], name="token_digest_unique")]

    def __str__(self) -> str:
        return f"{self.name} ({self.token_key}…)"

    @classmethod
    def issue(cls, user: AbstractBaseUser, *, name: str, lifetime: timedelta | None) -> tuple[Self, str]:
        """Make a token that is valid from now, without a lifetime for ever; return it and its key, kept nowhere."""
        token, key = cls.objects.create(user, lifetime, name=name)  # type: ignore[no-untyped-call]
        return token, key

    @property
    def is_expired(self) -> bool:
        """Whether its time is over."""
        return self.expiry is not None and self.expiry <= timezone.now()

    def note_use(self) -> None:
        """Note that it was used just now, unless a use was noted less than a minute ago.

        Raises:
            DatabaseError: it could not be noted; on SQLite that comes at once while somebody else writes.
        """
        now = timezone.now()
        lately = now - USE_IS_NOTED_EVERY
        if self.last_used_at is None or self.last_used_at <= lately:
            with _without_waiting():
                # Asked again, because a token's requests come several at once.
                ApiToken.objects.filter(pk=self.pk).exclude(last_used_at__gt=lately).update(last_used_at=now)


@contextmanager
def _without_waiting() -> Iterator[None]:
    """Let a statement fail at once, instead of after seconds, while somebody else writes to SQLite."""
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
