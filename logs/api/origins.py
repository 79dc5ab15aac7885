"""Reject what pages of other origins make browsers send."""

from typing import Any

from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.views import APIView


class OwnOriginView(APIView):
    """Rejects unsafe requests from pages of other origins, whatever credentials come along.

    A browser adds the password that it has cached for HTTP Basic to any page's request, and sends a form or a `no-cors`
    fetch without asking first. Other programs send neither header. CORS_ALLOWED_ORIGINS is for reading only.
    """

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Go on if the method is safe, or the request is from this site's own page or from no page.

        Raises:
            PermissionDenied: it is from a page of another origin.
        """
        if request.method not in SAFE_METHODS:
            _reject_foreign(request)
        super().initial(request, *args, **kwargs)


def _reject_foreign(request: Request) -> None:
    origin, site, own = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site"), _own_origin(request)
    if origin not in (None, own) or site not in (None, "same-origin", "none"):
        sender = f"Sec-Fetch-Site: {site}" if origin in (None, own) else f"Origin: {origin}"
        raise PermissionDenied(
            f"A page of another origin sent this request ({sender[:200]}). This site's origin is {own}; behind a proxy"
            " with TLS, that needs HTTPS_ONLY and the Host that the client sent, with its port.",
            "foreign_origin",
        )


def _own_origin(request: Request) -> str:
    """Return the origin of this site's pages, as browsers write it: in lower case, without a default port."""
    host = request.get_host().lower().removesuffix(":443" if request.is_secure() else ":80")
    return f"{request.scheme}://{host}"
