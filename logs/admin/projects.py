"""The page of a project."""

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, QueryDict
from django.template.response import TemplateResponse
from django.urls import register_converter
from django.urls.converters import PathConverter
from django.utils import timezone
from django.views.decorators.http import require_safe

from logs.admin.sources.states import shown_states
from logs.circleci.vocabulary import BAD_STATUSES, FINISHED_STATUSES
from logs.insights.counting import refresh_if_stale
from logs.insights.flaky import existing_runs
from logs.insights.project_figures import find_project, read_project
from logs.permissions import VIEW_EVENTS, VIEW_SOURCES
from logs.standings.sources import sources_of
from logs.templatetags.figures import hour_in_url

SHOWN_STANDINGS = 20
SHOWN_FLAKY = 5


class ProjectSlug(PathConverter):
    """A project's slug, which has slashes. Senders of unsigned payloads choose it."""

    regex = r"[^\0]+"

    def to_url(self, value: str) -> str:
        """Return the slug.

        Raises:
            ValueError: browsers would resolve a segment of dots, and the link would lead to another page.
        """
        if {".", ".."}.intersection(value.split("/")):
            raise ValueError("a path cannot have a segment of dots")
        return value


@require_safe
def project_view(request: HttpRequest, slug: str) -> HttpResponse:
    """Show a project, or say that the log has no such project.

    Raises:
        PermissionDenied: the user may not view events.
    """
    if not request.user.has_perm(VIEW_EVENTS):
        raise PermissionDenied
    name = find_project(slug)
    context = {**admin.site.each_context(request), "title": name or slug, "slug": slug}
    if name is None:
        return TemplateResponse(request, "logs/admin/project_missing.html", context, status=404)
    refresh_if_stale()
    now = timezone.now()
    project = read_project(slug, name, now)
    may_see_sources = request.user.has_perm(VIEW_SOURCES)
    shows_all = request.GET.get("branches") == "all"
    flaky = project.flaky.jobs[:SHOWN_FLAKY]
    sources = sources_of(slug) if may_see_sources else []
    states = shown_states(sources, now) if sources else {}
    context |= {
        "project": project,
        "standings": project.standings if shows_all else project.standings[:SHOWN_STANDINGS],
        "flaky": flaky,
        "existing": existing_runs(flaky),
        "may_see_sources": may_see_sources,
        "sources": [(source, states[source.pk]) for source in sources],
        # Start the query strings of links to lists.
        "anytime": QueryDict(),
        "window": QueryDict(f"received_after={hour_in_url(project.period.since)}"),
        "bad_statuses": ",".join(BAD_STATUSES),
        "finished_statuses": ",".join(FINISHED_STATUSES),
    }
    return TemplateResponse(request, "logs/admin/project_page.html", context)


register_converter(ProjectSlug, "project_slug")
admin.site.add_page("projects/<project_slug:slug>/", project_view, name="project")  # type: ignore[attr-defined]  # The site of logs.admin_site.
