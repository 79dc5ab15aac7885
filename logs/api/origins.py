"""Reject requests that browsers send for pages of other origins."""

from typing import Any

from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.views import APIView


class OwnOriginView(APIView):
    """Rejects unsafe requests from pages of other origins, whatever their credentials.

    A browser adds its cached HTTP Basic password to any page's request, and sends a form or a `no-cors` fetch without a
    preflight request. Other programs send neither Origin nor Sec-Fetch-Site. CORS_ALLOWED_ORIGINS is for reading only.
    """

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Continue unless the method is unsafe and a page of another origin sent the request.

        Raises:
            PermissionDenied: a page of another origin sent an unsafe request.
        """
        if request.method not in SAFE_METHODS:
            _reject_foreign(request)
        super().initial(request, *args, **kwargs)


def _reject_foreign(request: Request) -> None:
    origin, site, own = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site"), _own_origin(request)
    if origin not in (None, own) or site not in (None, "same-origin", "none"):
        sender = f"Sec-Fetch-Site: {site}" if origin in (None, own) else f"Origin: {origin}"
        raise PermissionDenied(
            f"A page of another origin sent this request ({sender[:200]}). This site's origin is {own}. If that is"
            " wrong behind a proxy with TLS, set HTTPS_ONLY and pass the client's Host on, with its port.",
            "foreign_origin",
        )


def _own_origin(request: Request) -> str:
    """Return the origin of this site's pages, as browsers write it: in lower case, without a default port."""
    host = request.get_host().lower().removesuffix(":443" if request.is_secure() else ":80")
    return f"{request.scheme}://{host}"
