"""Replay of all refused deliveries that match a list's filters: a preview, then steps that the page requests."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import chain, product
from typing import Any, Self

from django.core import signing
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from logs.admin.deliveries.outcomes import MAX_AT_ONCE, MAX_LINKS, Outcomes, event_links, preview, replay_each
from logs.admin.deliveries.reason import ReasonForm
from logs.admin.deliveries.replay import require_replay
from logs.admin.links import changed, without
from logs.admin.lists import OWN_PARAMETERS, ListAdmin
from logs.exceptions import InvalidQuery
from logs.models import Delivery, WorkflowEvent
from logs.reading.filters import DeliveryFilterSet
from logs.reading.query import check_names, read_filters

MAX_COUNTED = 10_000
SALT = "logs.admin.deliveries.replay_matching.1"  # Another number for other fields rejects forms of another release.


@dataclass(slots=True, kw_only=True)
class Progress:
    """The state of a replay between two steps. The page's form carries it, signed."""

    list_query: str  # Of the list that the operator came from.
    filters: str  # The list's filters as a query string, with absolute times.
    until: int  # The highest primary key; deliveries that arrive later are not included.
    total: int  # The number of matching deliveries at the start; exact up to MAX_COUNTED.
    after: int = 0  # The primary key of the last delivery that was replayed.
    reason: str = ""
    changes: dict[str, int] = field(default_factory=dict)  # The number of deliveries per change of outcome.
    gone: int = 0  # The number of deliveries that retention removed meanwhile.
    events: list[int] = field(default_factory=list)  # The primary keys of the first MAX_LINKS + 1 events.

    @classmethod
    def start(cls, query: QueryDict) -> Self:
        """Return the state before the first step for a list's query.

        Raises:
            InvalidQuery: a filter is unknown or invalid.
        """
        filters = without(query, *OWN_PARAMETERS)
        filterset = _filterset(filters)
        until = Delivery.objects.newest_first().values_list("pk", flat=True).first() or 0
        return cls(
            list_query=query.urlencode(),
            filters=changed(filters, **filterset.absolute_times()).urlencode(),
            until=until,
            total=sum(group[: MAX_COUNTED + 1].count() for group in _groups(filterset, after=0, until=until)),
        )

    @classmethod
    def read(cls, text: str) -> Self:
        """Return the state that a form carries.

        Raises:
            signing.BadSignature: this site did not sign it.
        """
        return cls(**signing.loads(text, salt=SALT))

    @property
    def signed(self) -> str:
        """The state for a form."""
        return signing.dumps(asdict(self), salt=SALT, compress=True)

    @property
    def done(self) -> int:
        """The number of deliveries that were replayed."""
        return sum(self.changes.values())

    def next_keys(self) -> list[int]:
        """Return the primary keys for the next step, oldest delivery first.

        Raises:
            InvalidQuery: a filter is unknown or invalid.
        """
        groups = _groups(_filterset(QueryDict(self.filters)), after=self.after, until=self.until)
        return sorted(chain.from_iterable(group[:MAX_AT_ONCE] for group in groups))[:MAX_AT_ONCE]

    def add(self, keys: list[int], outcomes: Outcomes) -> None:
        """Add the results of a step."""
        self.after = keys[-1]
        self.changes = dict(outcomes.changes + Counter(self.changes))
        self.gone += len(outcomes.gone)
        events = dict.fromkeys([*self.events, *(event.pk for event in outcomes.events)])
        self.events = list(events)[: MAX_LINKS + 1]


def replay_matching_view(model_admin: ListAdmin, request: HttpRequest) -> HttpResponse:
    """Preview the replay of the first matching deliveries; once the operator confirms, replay some with each request.

    Raises:
        PermissionDenied: the user may not replay.
    """
    require_replay(request)
    try:
        if request.method != "POST":
            return _ask(model_admin, request, Progress.start(request.GET), ReasonForm())
        progress, form = Progress.read(request.POST.get("progress", "")), ReasonForm(request.POST)
        if not progress.reason and not form.is_valid():
            return _ask(model_admin, request, progress, form)
        progress.reason = progress.reason or form.cleaned_data["reason"]
        return _continue(model_admin, request, progress)
    except InvalidQuery as error:
        problem = str(error)
    except signing.BadSignature:
        problem = _("The form is incomplete or from another version of this site. Start again from the list.")
    return _page(model_admin, request, "replay_matching.html", {"problem": problem, **model_admin.way_back("")}, 400)


def _ask(model_admin: ListAdmin, request: HttpRequest, progress: Progress, form: ReasonForm) -> HttpResponse:
    outcomes = preview(request, progress.next_keys())
    is_whole = progress.total <= MAX_AT_ONCE
    context = {
        "progress": progress,
        "form": form,
        "outcomes": outcomes,
        "is_whole": is_whole,
        "can_replay": outcomes.has_effect or not is_whole,
        **model_admin.way_back(progress.list_query),
    }
    return _page(model_admin, request, "replay_matching.html", context)


def _continue(model_admin: ListAdmin, request: HttpRequest, progress: Progress) -> HttpResponse:
    """Replay the next deliveries, and show the progress; at the end, or if the operator stops, show the results."""
    keys = [] if "stop" in request.POST else progress.next_keys()
    if keys:
        progress.add(keys, replay_each(model_admin, request, keys, progress.reason))
    has_ended = len(keys) < MAX_AT_ONCE
    context = {
        "progress": progress,
        "is_stopped": "stop" in request.POST,
        "has_ended": has_ended,
        "counts": sorted(progress.changes.items()),
        "links": _links(request, progress) if has_ended else "",
        **model_admin.way_back(progress.list_query),
    }
    return _page(model_admin, request, "replay_progress.html", context)


def _page(
    model_admin: ListAdmin,
    request: HttpRequest,
    template: str,
    context: dict[str, Any],
    status: int = 200,
) -> HttpResponse:
    context = {
        **model_admin.admin_site.each_context(request),
        "title": _("Replay all matches"),
        "max_at_once": MAX_AT_ONCE,
        "max_counted": MAX_COUNTED,
        **context,
    }
    return TemplateResponse(request, f"logs/admin/{template}", context, status=status)


def _filterset(filters: QueryDict) -> DeliveryFilterSet:
    """Return the filter set of the refused deliveries; replaying others changes no verdict."""
    check_names(filters, known=DeliveryFilterSet.base_filters.keys(), repeatable=DeliveryFilterSet.repeatable())
    return read_filters(DeliveryFilterSet, filters, Delivery.objects.refused())


def _groups(filterset: DeliveryFilterSet, *, after: int, until: int) -> Iterator[QuerySet[Delivery, int]]:
    """Yield the primary keys of the matching deliveries, in ascending order, in the groups that an index holds."""
    # The index delivery_refused holds each group in this order. For all groups at once, a database might sort their
    # rows, or search the whole log.
    keys = filterset.qs.filter(pk__gt=after, pk__lte=until).order_by("pk").values_list("pk", flat=True)
    for verified, plausible in product([False, True], repeat=2):
        # SQLite uses the index for a list of truth values, but not for the truth value itself.
        yield keys.filter(verified__in=[verified], plausible__in=[plausible])


def _links(request: HttpRequest, progress: Progress) -> str:
    """Return links to the first events of the replayed deliveries."""
    events = WorkflowEvent.objects.in_bulk(progress.events)
    return event_links(request, [events[key] for key in progress.events if key in events])
