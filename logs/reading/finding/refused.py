"""Look up the refused deliveries whose claims a text names."""

from collections.abc import Container, Iterable, Sequence
from typing import Any

from django.db.models import Q, QuerySet

from logs.models import Claim
from logs.models.deliveries import REFUSED
from logs.models.events import revision_starts_with
from logs.reading.finding.wanted import Kind, Search, Wanted
from logs.reading.pages import MAX_SCANNED
from logs.reading.search import words_of

MAX_REFUSED = 5
# The column of a claim that a reading names. Claims have neither people nor IDs of workflows and pipelines.
COLUMNS = {
    Kind.PIPELINE: "pipeline_number",
    Kind.JOB: "job_number",
    Kind.BRANCH: "branch",
    Kind.ID: "project_id",
}
INDEXED = (Kind.PIPELINE, Kind.COMMIT)
SEARCHED_COLUMNS = ("project", "project_slug", "workflow", "job", "branch")


def refused_claims(search: Search, kinds: Container[Kind]) -> list[Claim]:
    """Return the newest claims that match a reading of one of these kinds, with their deliveries but without bodies.

    There are at most MAX_REFUSED + 1.
    """
    found: list[Claim] = []
    for wanted in search.readings:
        condition = _condition(wanted, search.projects)
        if condition is not None and wanted.kind in kinds and (not found or wanted.kind is Kind.JOB):
            found += _claims(condition, is_indexed=wanted.kind in INDEXED)
    return found[: MAX_REFUSED + 1]


def _claims(condition: Q, *, is_indexed: bool) -> QuerySet[Any]:
    claims = Claim.objects.filter(condition, delivery__outcome__in=REFUSED)
    if not is_indexed:
        claims = claims.filter(pk__in=Claim.objects.order_by("-pk").values("pk")[:MAX_SCANNED])
    return claims.select_related("delivery").defer("delivery__body").order_by("-pk")[: MAX_REFUSED + 1]


def _condition(wanted: Wanted, projects: Sequence[str]) -> Q | None:
    """Return the condition for the claims that a reading names; None if claims do not have its column."""
    if wanted.kind is Kind.COMMIT:
        return revision_starts_with(wanted.value)
    if wanted.kind is Kind.WORDS:
        return _with_words(words_of(wanted.value))
    if wanted.kind is Kind.PROJECT:
        return _of_project(projects)
    if wanted.kind not in COLUMNS:
        return None
    condition = _of_project(projects) & Q(**{COLUMNS[wanted.kind]: wanted.value})
    return condition & Q(pipeline_number=wanted.filters["pipeline"]) if "pipeline" in wanted.filters else condition


def _of_project(projects: Iterable[str]) -> Q:
    condition = Q()
    for name in projects:
        condition |= Q(project_slug__iexact=name) | Q(project__iexact=name)
    return condition


def _with_words(words: Iterable[str]) -> Q | None:
    condition = Q()
    for word in words:
        holding = Q()
        for column in SEARCHED_COLUMNS:
            holding |= Q(**{f"{column}__icontains": word})
        condition &= holding
    return condition or None
