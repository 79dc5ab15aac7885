"""The endpoints' parameters."""

from typing import Any

import uritemplate
from django_filters import rest_framework as filters
from rest_framework.renderers import BrowsableAPIRenderer

from logs.api.pagination import DEFAULT_LIMIT, MAX_LIMIT
from logs.api.schema.examples import CHANGE, DELIVERY, EVENT, STANDING
from logs.api.views import insights, standings, stream
from logs.insights.workflow_figures import DEFAULT_ORDERING, ORDERS
from logs.reading import fields
from logs.reading.pages import MAX_PRIMARY_KEY, default_ordering

Schema = dict[str, Any]
Parameter = dict[str, Any]

NO_NUL = r"^[^\x00]+$"
TEXT: Schema = {"type": "string", "minLength": 1, "maxLength": fields.MAX_TEXT_LENGTH, "pattern": NO_NUL}

# The schema of a value, by the kind of filter.
FILTERS: dict[type[filters.Filter], Schema] = {
    fields.TextFilter: TEXT,
    fields.PatternFilter: TEXT,
    fields.IdFilter: TEXT,
    fields.StatusesFilter: {"type": "array", "minItems": 1, "items": TEXT | {"pattern": r"^[^\x00,]+$"}},
    fields.PrefixFilter: TEXT | {"minLength": fields.MIN_PREFIX_LENGTH},
    fields.WordsFilter: TEXT | {"pattern": r"^[^\x00]*[^\W_][^\x00]*$"},
    fields.ChoiceFilter: {"type": "string"},
    fields.ChoicesFilter: {"type": "array", "minItems": 1, "items": {"type": "string"}},
    fields.TruthFilter: {"type": "boolean"},
    fields.IntegerFilter: {"type": "integer", "minimum": 0, "maximum": MAX_PRIMARY_KEY},
    fields.SecondsFilter: {"type": "number", "minimum": 0, "maximum": 1e50},
    fields.TimeFilter: {
        "type": "string",
        "anyOf": [
            {"format": "date-time"},
            {"format": "date"},
            {
                "pattern": "^[0-9]{10}([0-9]{3})?$",
                "description": "Seconds (10 digits) or milliseconds (13 digits) since 1970.",
            },
            {"pattern": "^[0-9]{1,5}[mhd]$", "description": "An age in minutes, hours or days."},
        ],
    },
}

# Added to the description of a kind of filter.
NOTES: dict[type[filters.Filter], str] = {
    fields.PatternFilter: " Any case matches; `*` stands for any text.",
    fields.StatusesFilter: " Any case matches.",
    fields.TimeFilter: (
        " ISO 8601 (in UTC without an offset), seconds or milliseconds since 1970, or an age such as `24h`."
    ),
}

EXAMPLES: dict[str, Any] = EVENT | {
    "status": ["failed", "error"],
    "job": "unit-tests",
    "tag": "v2026.8.1",
    "revision": EVENT["revision"][:7],
    "webhook": EVENT["name"],
    "address": "my-circleci-webhook",
    "pipeline": EVENT["pipeline_number"],
    "happened_after": "2026-08-20",
    "happened_before": "2026-08-20T12:00:00+02:00",
    "received_after": "7d",
    "received_before": "24h",
    "min_duration": 60,
    "max_duration": 1800.5,
    "q": "apple trees",
    "event": EVENT["id"],
    "outcome": ["unverified", "malformed"],
    "kind": CHANGE["kind"],
    "loud": True,
    "tone": STANDING["tone"],
    "window": "7d",
    "default_branch": True,
    "step": "hour",
}

# The parameters in the path.
PATH: dict[str, Parameter] = {
    "event_id": {
        "description": "CircleCI's id of the event.",
        "schema": {"type": "string", "minLength": 1, "pattern": NO_NUL},
        "example": EVENT["id"],
    },
    "id": {
        "description": "The delivery's id.",
        "schema": {"type": "integer", "minimum": 0, "maximum": 10**18 - 1},
        "example": DELIVERY["id"],
    },
    "pipeline_id": {
        "description": "CircleCI's id of the pipeline.",
        "schema": {"type": "string", "minLength": 1, "pattern": r"^[^/\x00]+$"},
        "example": EVENT["pipeline_id"],
    },
    "webhook": {
        "description": "The webhook's name as a slug.",
        "schema": {"type": "string", "pattern": r"^[-\w]+$"},
        "example": "my-circleci-webhook",
    },
}

INSIGHTS: dict[str, Parameter] = {
    "limit": {
        "description": "The largest number of objects in the response.",
        "schema": {
            "type": "integer",
            "minimum": 1,
            "maximum": insights.MAX_LIMIT,
            "default": insights.DEFAULT_LIMIT,
        },
    },
    "ordering": {
        "description": "The figure to sort by; a minus sign means descending. Workflows without the figure come last.",
        "schema": {
            "type": "string",
            "enum": [f"{sign}{name}" for name in ORDERS for sign in ("-", "")],
            "default": DEFAULT_ORDERING,
        },
    },
}

CCTRAY: dict[str, Parameter] = {
    name: {"description": f"Only {what}.", "schema": TEXT, "example": example}
    for name, what, example in (
        ("project", "this project, by its slug or name", EVENT["project_slug"]),
        ("workflow", "workflows with this name", EVENT["workflow"]),
        ("branch", "this branch", EVENT["branch"]),
        ("branches", "`default` branches (the default), `all` branches, or those that match a pattern", "release/*"),
    )
}

# The parameters with a special meaning in the stream.
STREAM: dict[str, Parameter] = {
    "after": {
        "description": (
            "Where to start: a response's `cursor`, to continue; `now`, for later deliveries; `start`, for all; a "
            "time, for deliveries that arrived since then."
        ),
        "schema": {"type": "string", "minLength": 1, "format": "stream-cursor", "default": "now"},
    },
    "limit": {
        "description": "The largest number of deliveries in a response.",
        "schema": {"type": "integer", "minimum": 1, "maximum": stream.MAX_LIMIT, "default": stream.DEFAULT_LIMIT},
    },
    "wait": {
        "description": "How many seconds to wait if there are no deliveries.",
        "schema": {
            "type": "integer",
            "minimum": 0,
            "maximum": stream.MAX_WAIT_SECONDS,
            "default": stream.MAX_WAIT_SECONDS,
        },
    },
}

OF_VIEWS = {
    insights.InsightView: INSIGHTS,
    standings.CCTrayView: CCTRAY,
    stream.DeliveryStreamView: STREAM,
}


def of_view(path: str, view: Any) -> list[Parameter]:
    """Return all parameters of the view at a path."""
    in_path = [{"in": "path", "name": name, "required": True, **PATH[name]} for name in uritemplate.variables(path)]
    names = getattr(view, "parameters", [])
    own = next((some for kind, some in OF_VIEWS.items() if isinstance(view, kind)), {})
    required = ("project", "workflow") if getattr(view, "needs_workflow", False) else ()
    return in_path + [
        {"in": "query", "name": name, **(own.get(name) or _in_query(name, view))}
        | ({"required": True} if name in required else {})
        for name in names
    ]


def _in_query(name: str, view: Any) -> Parameter:
    if name in COMMON:
        return COMMON[name](view)
    each = view.filterset_class.base_filters[name]
    schema, example = _schema(each), EXAMPLES[name]
    is_list, note = schema["type"] == "array", NOTES.get(type(each), "")
    return {
        "description": f"{each.extra['help_text']}{note} For example `{','.join(example) if is_list else example}`.",
        # In the schema, not as the parameter's example: Swagger UI would fill its form with all examples.
        "schema": schema | {"examples": [example]},
        # A repeated parameter, which every client generator supports; commas are also accepted.
        **({"style": "form", "explode": True} if is_list else {}),
    }


def _schema(each: filters.Filter) -> Schema:
    """Return the schema of a filter's value."""
    schema = FILTERS[type(each)]
    if isinstance(each, fields.ChoicesFilter):
        return schema | {"items": schema["items"] | {"enum": each.values}}
    return schema | {"enum": each.values} if isinstance(each, fields.ChoiceFilter) else schema


def _limit(view: Any) -> Parameter:
    return {
        "description": "The number of objects on a page. Without a limit, CSV and JSON lines hold all further rows.",
        "schema": {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    }


def _cursor(view: Any) -> Parameter:
    return {
        "description": "Where the page starts: a cursor from a `Link` header with the same `ordering`.",
        "schema": {"type": "string", "minLength": 1, "format": "cursor"},
    }


def _ordering(view: Any) -> Parameter:
    orderings = [f"{sign}{order}" for order in view.orders for sign in ("-", "")]
    return {
        "description": "The sort order; a minus sign means descending.",
        "schema": {"type": "string", "enum": orderings, "default": default_ordering(view.orders)},
    }


def _format(view: Any) -> Parameter:
    formats = [each.format for each in view.renderer_classes if each is not BrowsableAPIRenderer]
    return {
        "description": "The response's format, whatever `Accept` says.",
        "schema": {"type": "string", "enum": formats, "default": formats[0]},
    }


def _bom(view: Any) -> Parameter:
    return {
        "description": "Start CSV with a byte order mark, for Excel. Other formats never have one.",
        "schema": {"type": "boolean", "default": False},
    }


def _dry_run(view: Any) -> Parameter:
    return {
        "description": "Judge, but write nothing.",
        "schema": {"type": "boolean", "default": False},
        "example": True,
    }


COMMON = {
    "bom": _bom,
    "cursor": _cursor,
    "dry_run": _dry_run,
    "format": _format,
    "limit": _limit,
    "ordering": _ordering,
}
