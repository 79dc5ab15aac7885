"""The URL of the metrics, which Prometheus reads with a token of its own."""

from django.conf import settings
from django.core.cache import cache
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from logs.http.exposition import metrics_text

CACHED_SECONDS = 10  # Several servers may read the same figures.


@require_safe
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    """Return the metrics to a client with METRICS_TOKEN; 404 if it is not set."""
    if not settings.METRICS_TOKEN:
        raise Http404
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not constant_time_compare(token.strip(), settings.METRICS_TOKEN):
        answer = {"detail": "Send METRICS_TOKEN as a bearer token.", "code": "invalid_token"}
        return JsonResponse(answer, status=401, headers={"WWW-Authenticate": 'Bearer realm="metrics"'})
    text = cache.get_or_set("metrics", metrics_text, CACHED_SECONDS)
    return HttpResponse(text, content_type=CONTENT_TYPE_PLAIN_0_0_4)
