"""Explain why a form failed Django's CSRF check."""

from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import REASON_NO_CSRF_COOKIE
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _

from logs.http.errors import is_browser, wrong_url


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Return 403 with the cause and the fix: a page for browsers, JSON for other clients."""
    if request.content_type == "application/json":  # A webhook: forms are not JSON.
        return wrong_url(request)
    sentences = _explain(request, reason)
    if not is_browser(request):
        return JsonResponse({"detail": " ".join(sentences).replace("`", ""), "code": "csrf_failed"}, status=403)
    context = {"sentences": [sentence.split("`") for sentence in sentences], "page": _page_of_form(request)}
    return render(request, "403_csrf.html", context, status=403)


def _explain(request: HttpRequest, reason: str) -> list[str]:
    """Return the cause and the fix as sentences, with code in backticks."""
    if reason.startswith(("Origin checking", "Referer checking")):
        return _explain_origin(request)
    if reason == REASON_NO_CSRF_COOKIE:
        return [_("The browser sent the form without this site's cookie."), _("Allow cookies for this site.")]
    return [
        _("The form has expired: the page was open for too long, or you signed in or out in another tab."),
        _("Open the page again and re-enter your changes."),
    ]


def _explain_origin(request: HttpRequest) -> list[str]:
    scheme, host = _origin_of_form(request)
    if not host:
        return [
            _("The browser did not report which site the form came from."),
            _("Allow the `Origin` and `Referer` headers, which a privacy setting or an extension may remove."),
        ]
    names = {"origin": f"{scheme}://{host}", "own": f"{request.scheme}://{request.get_host()}"}
    sentences = [_("The browser sent the form from `%(origin)s`, but the site received it as `%(own)s`.") % names]
    if scheme == "https" and not request.is_secure():
        sentences.append(_("Set `HTTPS_ONLY=true`, and have the proxy send `X-Forwarded-Proto: https`."))
    if host != request.get_host():
        fix = _("Have the proxy pass `Host` on unchanged, with its port; in nginx: `proxy_set_header Host $http_host`.")
        sentences += [fix, _("If you did not open `%(origin)s` yourself, another site sent the form.") % names]
    return sentences


def _origin_of_form(request: HttpRequest) -> tuple[str, str]:
    """Return the scheme, and the host with its port, of the page that sent the form; two empty strings if unknown."""
    try:
        origin = urlsplit(request.headers.get("Origin") or request.headers.get("Referer", ""))
    except ValueError:
        return "", ""
    return origin.scheme, origin.netloc


def _page_of_form(request: HttpRequest) -> str:
    """Return the URL of the form's page, or the dashboard's URL if the page is on another site or unknown."""
    page = request.headers.get("Referer", "")
    is_own = url_has_allowed_host_and_scheme(page, {request.get_host()})
    return page if is_own else reverse("admin:index")
