"""The context of the dashboard: of the whole site or of a project, as a page with navigation or as a wall."""

from dataclasses import replace
from typing import Any

from django.conf import settings
from django.http import HttpRequest, QueryDict
from django.utils import timezone

from logs.circleci.vocabulary import BAD_STATUSES, FINISHED_STATUSES, EventType
from logs.http.full_urls import receiving_url
from logs.insights.broken import read_last_fixed_at
from logs.insights.counting import refresh_if_stale
from logs.insights.dashboard import Dashboard, read_dashboard
from logs.insights.periods import Period, period_of
from logs.insights.projects import Project, find_projects, read_projects, unclear_names
from logs.insights.setup import read_notifying, read_setup
from logs.insights.watching import read_watch
from logs.models import Delivery, HourlyStatus, WorkflowEvent
from logs.models.deliveries import REFUSED
from logs.notifications.alarms import open_alarms, without_alarm
from logs.notifications.channels import TRANSPORTS
from logs.permissions import VIEW_ALARMS, VIEW_DELIVERIES, VIEW_EVENTS
from logs.standings.sources import read_news
from logs.templatetags.figures import hour_in_url

MAX_SUGGESTED = 200
SHOWN_ON_WALL = 8


def dashboard_context(request: HttpRequest) -> dict[str, Any]:
    """Return the context of the dashboard, of the checklist before the first event, or of neither without permission.

    The query's `project` is a name, slug or id; `wall` shows the dashboard without navigation.
    """
    period = period_of(request.GET.get("period", ""), timezone.now())
    context: dict[str, Any] = {
        "is_wall": "wall" in request.GET,
        "may_see_events": request.user.has_perm(VIEW_EVENTS),
        "query": _query(period, None),
    }
    if not context["may_see_events"]:
        return context
    # Sums outlive the events that retention removes.
    if not (WorkflowEvent.objects.exists() or HourlyStatus.objects.exists()):
        return context | _first_run_context(request)
    refresh_if_stale()
    wanted = request.GET.get("project", "").replace("\x00", "").strip()
    known = read_projects()
    found = find_projects(wanted, known) if wanted else []
    project = found[0] if len(found) == 1 else None
    context |= {
        "wanted_project": wanted,
        "suggested_projects": known[:MAX_SUGGESTED],
        "query": _query(period, project),
        "period": period,
        "shown_at": timezone.now(),
    }
    if wanted and not project:
        return context | {"same_name": found, "is_unknown_project": not found}
    return context | _figures_context(request, period, project)


def _figures_context(request: HttpRequest, period: Period, project: Project | None) -> dict[str, Any]:
    has_channel, has_rule = read_notifying()
    alarms = open_alarms() if request.user.has_perm(VIEW_ALARMS) else []
    news = read_news(timezone.now(), project.slug if project else "")
    dashboard = read_dashboard(period, project, with_refusals=request.user.has_perm(VIEW_DELIVERIES))
    figures = dashboard.figures
    return {
        "news": replace(news, silent=without_alarm(news.silent, alarms)) if alarms else news,
        "has_channel": has_channel,
        "has_rule": has_rule,
        "alarms": alarms,
        "dashboard": dashboard,
        "unclear_names": unclear_names(
            [each.workflow for each in figures.workflows] + [each.workflow for each in figures.slowest]
        ),
        "project": project,
        # Start the query strings of links to lists: for the period, and for any time.
        "anytime": QueryDict(),
        "window": _window(period, project),
        "bad_statuses": ",".join(BAD_STATUSES),
        "finished_statuses": ",".join(FINISHED_STATUSES),
        **(_wall_context(dashboard) if "wall" in request.GET else {}),
    }


def _wall_context(dashboard: Dashboard) -> dict[str, Any]:
    broken, project = dashboard.broken, dashboard.project
    on_wall = broken.shown[:SHOWN_ON_WALL]
    return {
        "on_wall": on_wall,
        "more_broken": broken.count - len(on_wall),
        "last_fixed_at": None if broken.shown else read_last_fixed_at(project.slug if project else ""),
    }


def _query(period: Period, project: Project | None) -> QueryDict:
    """Return the query of this dashboard's own URL, with the project's slug."""
    query = QueryDict(f"period={period.name}", mutable=True)
    if project:
        query["project"] = project.slug
    return query


def _window(period: Period, project: Project | None) -> QueryDict:
    """Return the query of a list of what the figures count: of a project, its runs of workflows."""
    query = QueryDict(f"received_after={hour_in_url(period.since)}", mutable=True)
    if project:
        query["project"], query["event_type"] = project.slug, str(EventType.WORKFLOW_COMPLETED)
    return query


def _first_run_context(request: HttpRequest) -> dict[str, Any]:
    """Return the context of the checklist that is shown until the first event arrives."""
    setup = read_setup()
    refusals = Delivery.objects.refused() if request.user.has_perm(VIEW_DELIVERIES) else Delivery.objects.none()
    return {
        "setup": setup,
        "setup_webhooks": [(each, receiving_url(request, each.webhook.slug)) for each in setup.webhooks],
        "is_url_guessed": not settings.SITE_URL,
        "watch": read_watch(),
        "transports": [(each.title, each.kind) for each in TRANSPORTS.values()],
        "has_refusals": refusals.exists(),
        "refused_outcomes": ",".join(REFUSED),
    }
