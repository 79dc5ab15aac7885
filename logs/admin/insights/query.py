"""The query of the pages for insights, whose parameters are those of the API, and what they say about it."""

from django.http import QueryDict
from django.utils.translation import gettext as _

from logs.admin.links import without
from logs.admin.list_form import PICKERS, list_query
from logs.insights.figures import DEFINITIONS

TIMES = frozenset(PICKERS.values())


def insights_query(submitted: QueryDict) -> QueryDict:
    """Return the query of a submitted form, without empty fields; its date pickers replace the window."""
    query = list_query(submitted, set())
    is_form = bool(submitted.keys() & PICKERS.keys())
    return without(query, "window") if is_form and query.keys() & TIMES else query


def window_labels() -> dict[str, str]:
    """Return the labels of the windows by name."""
    return {
        "24h": _("24 hours"),
        "7d": _("7 days"),
        "30d": _("30 days"),
        "60d": _("60 days"),
        "90d": _("90 days"),
    }


def formulas() -> list[tuple[str, str]]:
    """Return the label and the formula of each figure."""
    labels = {
        "total_runs": _("Runs"),
        "failed_runs": _("Failed"),
        "success_rate": _("Success"),
        "success_rate_of_all": _("Success of all"),
        "throughput": _("Per day"),
        "median_seconds": _("Median"),
        "p95_seconds": _("95th percentile"),
        "mttr": _("Recovery"),
    }
    return [(label, _(DEFINITIONS[name])) for name, label in labels.items()]
