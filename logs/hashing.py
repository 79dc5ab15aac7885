"""Bound how many passwords are hashed at once."""

from collections import deque
from typing import Any

from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.http import HttpRequest

RETRY_AFTER_SECONDS = 2  # Longer than it takes to hash a password.


def places_among(threads: int) -> int:
    """Return how many of a process's threads may hash a password at once; at least one."""
    return max(1, threads // 8)  # Hashing takes a whole processor: more places would make each hash slower.


# One entry for each place that is free; a deque, because its methods need no lock.
free_places = deque([None] * places_among(settings.WEB_THREADS))


class TooManyPasswords(Exception):
    """Too many passwords are being hashed at once; this one was not looked at."""


class BoundedPasswordHasher(PBKDF2PasswordHasher):
    """Hashes a password as Django does, or raises at once.

    A hash takes a third of a second of a processor. Without a bound, a few dozen connections that send passwords, right
    or wrong ones, take all threads, and a delivery waits longer for one than CircleCI does. For the same reason nothing
    waits for a place here. Every way to check or to set a password leads to `encode`. Its exception passes through
    Django's `authenticate` without the signal of a failed sign-in, so it counts for no lockout.
    """

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        """Return the hash.

        Raises:
            TooManyPasswords: no place is free.
        """
        try:
            free_places.pop()
        except IndexError:
            raise TooManyPasswords from None
        try:
            return super().encode(password, salt, iterations)
        finally:
            free_places.append(None)


class FreePlaceBackend:
    """Raises before the backends after it query the database, if the hasher would raise."""

    def authenticate(self, request: HttpRequest | None, **credentials: Any) -> None:
        """Return None, which leaves the request to the other backends.

        Raises:
            TooManyPasswords: no place is free.
        """
        if not free_places:
            raise TooManyPasswords
