"""Sign in by a bearer token."""

import logging
from typing import Any

from django.db import DatabaseError
from knox.crypto import hash_token
from rest_framework.authentication import TokenAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from logs.models import ApiToken

logger = logging.getLogger(__name__)


class BearerAuthentication(TokenAuthentication):
    """Lets in who sends ``Authorization: Bearer`` and a token, as the token's user.

    knox's own class would delete expired tokens while it reads, and fail on a text that is no UTF-8.
    """

    keyword = "Bearer"

    def authenticate_credentials(self, key: str) -> tuple[Any, ApiToken]:
        """Return the token's user and the token.

        Raises:
            AuthenticationFailed: there is no such token, or its time or its user's is over.
        """
        try:
            # Found by its digest, the token itself never meets the database: not its NUL, nor a log of slow queries.
            token = ApiToken.objects.select_related("user").get(digest=hash_token(key))
        except ApiToken.DoesNotExist:
            raise AuthenticationFailed("There is no such token, or it was revoked.", "invalid_token") from None
        if token.is_expired:
            raise AuthenticationFailed(f"The token expired at {token.expiry:%Y-%m-%dT%H:%MZ}.", "expired_token")
        if not token.user.is_active:
            raise AuthenticationFailed("The token's user is inactive.", "inactive_user")
        _note_use(token)
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        """Offer every way to sign in; to a refused token only its own, or browsers would ask people for a password."""
        scheme, *_ = get_authorization_header(request).split() or [b""]
        if scheme.lower() == b"bearer":
            return 'Bearer realm="api", error="invalid_token"'
        # Chromium heeds a line's first scheme only, and not even that if the second has no parameter.
        return 'Basic realm="api", Bearer realm="api"'


def _note_use(token: ApiToken) -> None:
    try:
        token.note_use()
    except DatabaseError as error:  # No reason to fail a read, which needs no lock and no room on the disk.
        logger.info("the use of the token %s was not noted: %s", token, error)
