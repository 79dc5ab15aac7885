"""Parse the parameters of a feed's URL, and read the matching branches in one query, however large the log is."""

from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from django.db.models import Q, QuerySet
from django.http import Http404, QueryDict
from django.utils import timezone

from logs.conf import is_default_branch
from logs.exceptions import InvalidQuery
from logs.models import Feed, Standing
from logs.models.rules import DEFAULT_BRANCH
from logs.notifications.rules import matches
from logs.reading.query import check_names
from logs.times import parse_span

NAMES = ("project", "workflow", "branch", "branches", "stale")
STALE_AFTER = timedelta(days=30)
MOST_ROWS = 500
MAX_LENGTH = 500
BRANCHES = {"default": DEFAULT_BRANCH, "all": ""}
COLUMNS = (
    *("project_slug", "project", "workflow", "branch", "tone", "pipeline_number", "stopped_at", "last_run_at"),
    *("last__status", "last__url"),
)


Rows = TypeVar("Rows", bound=QuerySet[Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The parameters of a feed's URL."""

    feed: Feed
    project: str = ""  # A slug or a name; "" for all that the feed may show. The same holds for the next two.
    workflow: str = ""
    branch: str = ""
    branches: str = DEFAULT_BRANCH  # Patterns; "" for all.
    stale: timedelta = STALE_AFTER

    def shows(self, row: Any) -> bool:
        """Return whether it shows a branch: anything with the columns that identify a Standing."""
        return (
            (not self.workflow or row.workflow == self.workflow)
            and (not self.branch or row.branch == self.branch)
            and (not self.project or self.project in (row.project_slug, row.project))
            and matches(self.feed.projects, row.project_slug, row.project)
            and matches(self.feed.workflows, row.workflow)
            and all(_is_branch_of(patterns, row) for patterns in (self.feed.branches, self.branches))
        )

    def narrow(self, rows: Rows) -> Rows:
        """Leave out rows that the URL's names exclude."""
        if self.project:
            rows = rows.filter(Q(project_slug=self.project) | Q(project=self.project))
        given = {name: getattr(self, name) for name in ("workflow", "branch")}
        return rows.filter(**{name: value for name, value in given.items() if value})

    def require_scope(self) -> None:
        """Reject names that the feed may not show, even if no row has them.

        Raises:
            Http404: the feed's patterns select nothing with these names.
        """
        by_default = partial(is_default_branch, self.project)
        if not (
            (not self.project or matches(self.feed.projects, self.project))
            and (not self.workflow or matches(self.feed.workflows, self.workflow))
            and (not self.branch or matches(self.feed.branches, self.branch, is_default=by_default))
        ):
            raise Http404


def _is_branch_of(patterns: str, row: Any) -> bool:
    return matches(patterns, row.branch, is_default=partial(is_default_branch, row.project_slug))


def read_choice(feed: Feed, query: QueryDict) -> Choice:
    """Return the parameters in a URL's query.

    Raises:
        InvalidQuery: a parameter is unknown, repeated, too long or invalid.
    """
    check_names(query, known=NAMES, repeatable=())
    for name, value in query.items():
        if len(str(value)) > MAX_LENGTH or "\x00" in str(value):
            raise InvalidQuery(f"{name} is longer than {MAX_LENGTH} characters or contains NUL.")
    stale = parse_span(query.get("stale", "")) if "stale" in query else STALE_AFTER
    if not stale:
        raise InvalidQuery("stale must be an age such as 12h, 7d or 30d.")
    names = {name: query.get(name, "") for name in ("project", "workflow", "branch")}
    # A branch that is named is shown, whether it is a default branch or not.
    branches = query.get("branches", "all" if names["branch"] else "default")
    return Choice(feed=feed, **names, branches=BRANCHES.get(branches, branches), stale=stale)


def read_branches(choice: Choice) -> list[Any]:
    """Return the newest MOST_ROWS branches that a URL shows, each with COLUMNS, ordered by their names.

    Raises:
        Http404: the feed may not show what the URL names.
    """
    standings = Standing.objects.filter(last_run_at__isnull=False).order_by("-last_run_at", "-pk")
    found: list[Any] = []
    for row in choice.narrow(standings).values_list(*COLUMNS, named=True).iterator():
        if choice.shows(row):
            found.append(row)
            if len(found) == MOST_ROWS:
                break
    if not found:
        choice.require_scope()
    return sorted(found, key=lambda row: (row.project_slug, row.workflow, row.branch))


def is_stale(row: Any, choice: Choice) -> bool:
    """Return whether a branch has had no run for longer than the URL allows."""
    return bool(timezone.now() - row.last_run_at > choice.stale)
