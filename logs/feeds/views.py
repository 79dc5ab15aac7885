"""The URLs of feeds. They need no sign-in: a client that has a feed's URL sees what it shows, and nothing else."""

from collections.abc import Callable
from functools import wraps

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import conditional_page, require_safe

from logs.exceptions import InvalidQuery
from logs.feeds.atom import atom_of, read_changes
from logs.feeds.badge import as_json, as_svg, badge_of
from logs.feeds.cctray import cctray_of
from logs.feeds.choosing import Choice, read_branches, read_choice
from logs.http.full_urls import home_url
from logs.models import Feed
from logs.models.feeds import digest_of

SVG_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
Show = Callable[[HttpRequest, Choice], HttpResponse]


def feed_view(show: Show) -> Callable[..., HttpResponse]:
    """Return a view that finds the feed, parses its URL's parameters, and supports conditional requests.

    An unknown token, a revoked one, and names that the feed may not show get the same response.
    """

    @require_safe
    @conditional_page
    @wraps(show)
    def view(request: HttpRequest, token: str) -> HttpResponse:
        try:
            feed = Feed.objects.get(digest=digest_of(token))
            response = show(request, read_choice(feed, request.GET))
        except (Feed.DoesNotExist, Http404):
            response = _text("There is no such feed.", status=404)
        except InvalidQuery as error:
            response = _text(str(error), status=400)
        response["Cache-Control"] = "no-cache"
        return response

    return view


def _text(message: str, *, status: int) -> HttpResponse:
    return HttpResponse(f"{message}\n", status=status, content_type="text/plain; charset=utf-8")


@feed_view
def badge_svg(request: HttpRequest, choice: Choice) -> HttpResponse:
    """Return the badge as an image."""
    image = as_svg(badge_of(choice, read_branches(choice)))
    return HttpResponse(image, content_type="image/svg+xml", headers={"Content-Security-Policy": SVG_POLICY})


@feed_view
def badge_json(request: HttpRequest, choice: Choice) -> HttpResponse:
    """Return the badge for shields.io."""
    return JsonResponse(as_json(badge_of(choice, read_branches(choice))))


@feed_view
def cctray(request: HttpRequest, choice: Choice) -> HttpResponse:
    """Return the branches for build monitors."""
    return HttpResponse(cctray_of(read_branches(choice), home_url(request)), content_type="application/xml")


@feed_view
def changes(request: HttpRequest, choice: Choice) -> HttpResponse:
    """Return the newest changes as an Atom feed."""
    document = atom_of(choice, read_changes(choice), site_url=home_url(request), feed_url=request.build_absolute_uri())
    return HttpResponse(document, content_type="application/atom+xml; charset=utf-8")
