"""Sign in by HTTP Basic, with each failure counted."""

from copy import copy
from typing import Any

from django.http import QueryDict
from rest_framework.authentication import BasicAuthentication
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.status import HTTP_429_TOO_MANY_REQUESTS

from logs.hashing import RETRY_AFTER_SECONDS, TooManyPasswords


class TooManySignIns(APIException):
    """Too many passwords are being checked at the same time; this one was not checked."""

    status_code = HTTP_429_TOO_MANY_REQUESTS
    default_detail = "Too many passwords are being checked at the same time. Try again later, or use a token."
    default_code = "too_many_sign_ins"
    wait = RETRY_AFTER_SECONDS  # REST framework sends it as Retry-After.


class CountedBasicAuthentication(BasicAuthentication):
    """Hides the body from whoever counts failures.

    django-axes looks for a user's name in the form that came along. A body that no parser of the view reads would raise
    there, before the failure is counted: guesses sent with such a body would be free.
    """

    def authenticate_credentials(self, userid: str, password: str, request: Request | None = None) -> tuple[Any, None]:
        """Return the user whose password it is.

        Raises:
            AuthenticationFailed: there is none, or the client's address is locked.
            TooManySignIns: too many passwords are being checked at the same time.
        """
        bodiless = copy(request._request) if request else None
        if bodiless is not None:
            bodiless.POST = QueryDict()
        try:
            # Django and axes want Django's own request; the stubs name REST framework's.
            return super().authenticate_credentials(userid, password, request=bodiless)  # type: ignore[arg-type]
        except TooManyPasswords as error:
            raise TooManySignIns from error
