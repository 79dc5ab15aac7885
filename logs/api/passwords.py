"""Sign in by HTTP Basic, with each failure counted."""

from copy import copy
from typing import Any

from django.http import QueryDict
from rest_framework.authentication import BasicAuthentication
from rest_framework.request import Request


class CountedBasicAuthentication(BasicAuthentication):
    """Hides the body from whoever counts failures.

    django-axes looks for a user's name in the form that came along. A body that no parser of the view reads would raise
    there, before the failure is counted: guesses sent with such a body would be free.
    """

    def authenticate_credentials(self, userid: str, password: str, request: Request | None = None) -> tuple[Any, None]:
        """Return the user whose password it is.

        Raises:
            AuthenticationFailed: there is none, or the client's address is locked.
        """
        bodiless = copy(request._request) if request else None
        if bodiless is not None:
            bodiless.POST = QueryDict()
        # Django and axes want Django's own request; the stubs name REST framework's.
        return super().authenticate_credentials(userid, password, request=bodiless)  # type: ignore[arg-type]
