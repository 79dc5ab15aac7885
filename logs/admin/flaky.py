"""The page of flaky jobs."""

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from logs.insights.flaky import existing_runs, read_flaky
from logs.insights.watching import read_watch
from logs.permissions import VIEW_EVENTS

MOST_SHOWN = 100  # Jobs, and workflows.
MAX_FILTER_LENGTH = 300


@require_safe
def flaky_view(request: HttpRequest) -> HttpResponse:
    """Show the jobs and workflows that both failed and succeeded on a commit.

    Raises:
        PermissionDenied: the user may not view events.
    """
    if not request.user.has_perm(VIEW_EVENTS):
        raise PermissionDenied
    project = request.GET.get("project", "").replace("\0", "").strip()[:MAX_FILTER_LENGTH]
    flaky = read_flaky(timezone.now(), project)
    jobs, workflows = flaky.jobs[:MOST_SHOWN], flaky.workflows[:MOST_SHOWN]
    context = {
        **admin.site.each_context(request),
        "title": _("Flaky jobs"),
        "project": project,
        "jobs": jobs,
        "workflows": workflows,
        "has_more": flaky.has_more or len(flaky.jobs + flaky.workflows) > len(jobs + workflows),
        "existing": existing_runs(jobs + workflows),
        "watch": read_watch(),
    }
    return TemplateResponse(request, "logs/admin/flaky_page.html", context)


admin.site.add_page("flaky/", flaky_view, name="flaky")  # type: ignore[attr-defined]  # The site of logs.admin_site.
