"""Redirect the root of the site to the admin."""

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_exempt
from django.views.generic import RedirectView

from logs.http.errors import where_webhooks_go


# If a webhook's URL lacks the path, the response must give the path instead of complaining about CSRF.
@method_decorator(csrf_exempt, name="dispatch")
class HomeView(RedirectView):
    """Redirects to the admin."""

    pattern_name = "admin:index"
    http_method_names = ["get", "head"]

    def http_method_not_allowed(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Name the receiving URL, since the request most likely comes from a webhook."""
        detail = f"{request.path} does not accept webhooks. {where_webhooks_go()}"
        body = {"detail": detail, "code": "method_not_allowed"}
        return JsonResponse(body, status=405, headers={"Allow": "GET, HEAD"})
