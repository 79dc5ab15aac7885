"""The list of notifications: the newest first, page by page, at a cost that does not grow with the table."""

from collections.abc import Callable
from typing import Any

from django.db.models import BigIntegerField, F, QuerySet
from django.db.models.functions import Coalesce
from django.http import HttpRequest, QueryDict

from logs.admin.links import changed, without
from logs.admin.notifications.shown import shown, with_subjects
from logs.exceptions import InvalidQuery
from logs.models import Channel, Notification, NotificationKind, NotificationState
from logs.models.events import project_named
from logs.permissions import VIEW_EVENTS
from logs.reading.pages import MAX_PRIMARY_KEY, MAX_SCANNED, Listing, Order, Page, Position
from logs.reading.patterns import Matches

PAGE_SIZE = 50
OLDER, NEWER = "before", "after"  # Parameters: the primary key next to which a page begins.
FILTERS = ("channel", "state", "kind", "project")


def list_context(request: HttpRequest) -> dict[str, Any]:
    """Return a page of the list; `problem` says why there is none."""
    channels = list(Channel.objects.order_by("name"))
    query = QueryDict(mutable=True)
    query.update({name: value.strip() for name, value in request.GET.dict().items() if value.strip()})
    context = {
        "channels": channels,
        "states": NotificationState.values,
        "kinds": NotificationKind.choices,
        "query": query.dict(),
        "is_filtered": any(name in query for name in FILTERS),
        "max_scanned": MAX_SCANNED,
    }
    try:
        _check(query, channels)
    except InvalidQuery as error:
        return {**context, "problem": str(error)}
    page, newer, older = _read(query)
    start, may_see_events = without(query, OLDER, NEWER), request.user.has_perm(VIEW_EVENTS)
    return {
        **context,
        "rows": [shown(row, may_see_events=may_see_events) for row in page.rows],
        "first_link": f"?{start.urlencode()}" if start != query else "",
        "newer_link": newer and f"?{changed(start, **{NEWER: newer}).urlencode()}",
        "older_link": older and f"?{changed(start, **{OLDER: older}).urlencode()}",
    }


def _check(query: QueryDict, channels: list[Channel]) -> None:
    """Reject what the list does not know: ignoring it would show the wrong rows.

    Raises:
        InvalidQuery: a name or a value is invalid.
    """
    accepted: dict[str, Callable[[str], bool]] = {
        "channel": lambda value: value in {str(channel.pk) for channel in channels},
        "state": lambda value: value in NotificationState.values,
        "kind": lambda value: value in NotificationKind.values,
        "project": lambda value: "\x00" not in value,
        OLDER: _is_key,
        NEWER: _is_key,
    }
    for name, value in ((name, str(value)) for name, value in query.items()):
        if name not in accepted:
            raise InvalidQuery(f"Unknown parameter {name!r}; use one of: {', '.join(accepted)}.", "unknown_parameter")
        if not accepted[name](value):
            raise InvalidQuery(f"{name}: invalid value {value!r}.")


def _is_key(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 20 and int(text) <= MAX_PRIMARY_KEY


def _read(query: QueryDict) -> tuple[Page, str, str]:
    """Return a page and the positions of the pages before and after it; "" for none."""
    listing = Listing(
        rows=_filtered(query),
        order=Order(column="pk", key=F("pk")),
        descending=True,
        scan=Notification.objects.all() if any(name in query for name in FILTERS) else None,
    )
    backwards = NEWER in query
    given = query.get(NEWER) or query.get(OLDER)
    position = Position(key=int(given), pk=int(given)) if given else None
    page = listing.page(PAGE_SIZE, after=position, backwards=backwards)
    end = str(page.end.key) if page.end else ""
    start = str(page.rows[-1 if backwards else 0].pk) if page.rows else given or ""
    if backwards:
        return page, end, start
    return page, start if given else "", end


def _filtered(query: QueryDict) -> QuerySet[Notification]:
    rows = with_subjects(Notification.objects.select_related("channel"))
    rows = rows.filter(**{name: query[name] for name in ("state", "kind") if name in query})
    # Not the columns themselves: with their indexes, a database would read all rows of a channel or of a project.
    if "channel" in query:
        unindexed_channel = Coalesce("channel_id", 0, output_field=BigIntegerField())
        rows = rows.alias(to_channel=unindexed_channel).filter(to_channel=query["channel"])
    if "project" in query:
        column, value = project_named(str(query["project"]))
        rows = rows.filter(Matches(f"event__{column}", value))
    return rows
