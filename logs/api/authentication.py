"""Authenticate readers: by bearer token, by HTTP Basic, or by the admin's session."""

import logging
from copy import copy
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.http import QueryDict
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from knox.crypto import hash_token
from rest_framework.authentication import BasicAuthentication, TokenAuthentication, get_authorization_header
from rest_framework.exceptions import APIException, AuthenticationFailed
from rest_framework.request import Request
from rest_framework.status import HTTP_429_TOO_MANY_REQUESTS

from logs.hashing import RETRY_AFTER_SECONDS, TooManyPasswords
from logs.models import ApiToken

logger = logging.getLogger(__name__)


class BearerAuthentication(TokenAuthentication):
    """Authenticates ``Authorization: Bearer`` tokens as the token's user.

    knox's own class deletes expired tokens while reading, and fails on bytes that are not UTF-8.
    """

    keyword = "Bearer"

    def authenticate_credentials(self, key: str) -> tuple[Any, ApiToken]:
        """Return the token's user and the token.

        Raises:
            AuthenticationFailed: the token is unknown or expired, or its user is inactive.
        """
        try:
            # The query uses the digest: the token itself reaches neither PostgreSQL, which rejects NUL, nor its logs.
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
        """Offer every scheme; after an invalid token only Bearer, since Basic makes browsers ask for a password."""
        scheme, *_ = get_authorization_header(request).split() or [b""]
        if scheme.lower() == b"bearer":
            return 'Bearer realm="api", error="invalid_token"'
        # Chromium reads only a line's first scheme, and not even that scheme if the second has no parameter.
        return 'Basic realm="api", Bearer realm="api"'


class TokenScheme(OpenApiAuthenticationExtension):
    """Describes bearer tokens."""

    target_class = BearerAuthentication
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        """Return the scheme."""
        description = (
            "A token for programs, from the admin or from `manage.py create_token`; it has its user's permissions, or "
            "those of its scopes."
        )
        return {"type": "http", "scheme": "bearer", "description": description}


class TooManySignIns(APIException):
    """Too many passwords are being checked at the same time; this request's password was not checked."""

    status_code = HTTP_429_TOO_MANY_REQUESTS
    default_detail = "Too many passwords are being checked at the same time. Try again later, or use a token."
    default_code = "too_many_sign_ins"
    wait = RETRY_AFTER_SECONDS  # REST framework sends it as Retry-After.


class CountedBasicAuthentication(BasicAuthentication):
    """Authenticates requests by HTTP Basic, and hides the body from django-axes.

    django-axes reads the username from a submitted form. A body that the view cannot parse would raise an exception
    at that point, before the failure is counted: password guesses with such a body would not be limited.
    """

    def authenticate_credentials(self, userid: str, password: str, request: Request | None = None) -> tuple[Any, None]:
        """Return the user with this name and password.

        Raises:
            AuthenticationFailed: there is no such user, or the client's IP address is locked.
            TooManySignIns: too many passwords are being checked at the same time.
        """
        bodiless = copy(request._request) if request else None
        if bodiless is not None:
            bodiless.POST = QueryDict()
        try:
            # Django and axes expect Django's own request; the stubs name REST framework's.
            return super().authenticate_credentials(userid, password, request=bodiless)  # type: ignore[arg-type]
        except TooManyPasswords as error:
            raise TooManySignIns from error


class PasswordScheme(OpenApiAuthenticationExtension):
    """Describes HTTP Basic."""

    target_class = CountedBasicAuthentication
    name = "password"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        """Return the scheme."""
        description = "A user's name and password. Ten wrong passwords lock the client's IP address for 15 minutes."
        return {"type": "http", "scheme": "basic", "description": description}


class SessionScheme(OpenApiAuthenticationExtension):
    """Describes the admin's session."""

    target_class = "rest_framework.authentication.SessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        """Return the scheme."""
        description = "The session of a browser that is signed in to the admin. A POST also needs `X-CSRFToken`."
        return {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME, "description": description}


def _note_use(token: ApiToken) -> None:
    try:
        token.note_use()
    except (DatabaseError, InterfaceError) as error:  # A read must not fail because this write does.
        logger.info("the use of the token %s was not noted: %s", token, error)
