"""Limit how many passwords are hashed at the same time."""

from collections import deque
from typing import Any

from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.http import HttpRequest

RETRY_AFTER_SECONDS = 2  # Longer than it takes to hash a password.


def places_among(threads: int) -> int:
    """Return how many of a process's reader threads may hash passwords at the same time; at least one."""
    return max(1, threads // 8)  # Each hash keeps a whole processor busy: more places would slow every hash down.


# One entry for each free place; a deque, because its methods need no lock.
free_places = deque([None] * places_among(settings.WEB_THREADS))


class TooManyPasswords(Exception):
    """Too many passwords are being hashed at the same time; the given password was not checked."""


class BoundedPasswordHasher(PBKDF2PasswordHasher):
    """Hashes a password as Django does, or raises immediately.

    A hash takes a third of a second of processor time. Without a limit, a few dozen connections that send passwords,
    right or wrong, would occupy all reader threads and the processors, which would delay readers and deliveries.
    For the same reason, no thread waits for a slot here. All code that checks or sets a password calls `encode`. The
    exception passes through Django's `authenticate` without a failed sign-in signal, so it does not count towards a
    lockout.
    """

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        """Return the hash.

        Raises:
            TooManyPasswords: no slot is free.
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
    """Raises if the hasher would raise, before any later backend queries the database."""

    def authenticate(self, request: HttpRequest | None, **credentials: Any) -> None:
        """Return None, which passes the credentials to the next backend.

        Raises:
            TooManyPasswords: no slot is free.
        """
        if not free_places:
            raise TooManyPasswords
