"""The filters for the lists of state changes and standings."""

from typing import Any

from django import forms
from django.db.models import QuerySet

from logs.circleci.vocabulary import Tone
from logs.models import ChangeKind, Standing, StateChange
from logs.models.events import project_named
from logs.models.unindexed import unindexed
from logs.reading.fields import ChoiceFilter, TextFilter, TimeFilter, TruthFilter
from logs.reading.filters import PagedFilterSet


def of_branch(rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
    """Keep the rows of a project, a workflow or a branch; `name` says which of them `value` identifies."""
    column, wanted = project_named(value) if name == "project" else (name, value)
    # The index on slug, workflow and branch is not in the list's order: SQLite would read all rows of a project.
    alias = f"{name}_without_index"
    found: QuerySet[Any] = rows.alias(**{alias: unindexed(column)}).filter(**{alias: wanted})
    return found


def require_name_or_slug(project: str) -> None:
    """Reject a project's id.

    Raises:
        forms.ValidationError: the text is an id.
    """
    if project_named(project)[0] == "project_id":
        raise forms.ValidationError("Changes have no project id: use the project's name or slug.")


class ChangeFilterSet(PagedFilterSet):
    """Selects state changes."""

    RANGE = ("happened_after", "happened_before")

    # fmt: off
    project         = TextFilter(method=of_branch, validators=[require_name_or_slug],
                                 help_text="The project's name or slug (github/acme/press).")
    workflow        = TextFilter(method=of_branch, help_text="The workflow's name.")
    branch          = TextFilter(method=of_branch, help_text="The branch.")
    kind            = ChoiceFilter(values=ChangeKind.values, noun="a kind", help_text="broke or fixed.")
    loud            = TruthFilter(method="of_loudness", help_text="Whether it has no reason to be quiet.")
    happened_after  = TimeFilter("happened_at", "gte", help_text="The run ended at this time or later.")
    happened_before = TimeFilter("happened_at", "lt", help_text="The run ended before this time.")
    # fmt: on

    class Meta:
        model = StateChange
        fields: list[str] = []

    def of_loudness(self, rows: QuerySet[StateChange], name: str, value: Any) -> QuerySet[StateChange]:
        """Keep loud or quiet changes."""
        return rows.filter(quiet_reason="") if value else rows.exclude(quiet_reason="")


class StandingFilterSet(PagedFilterSet):
    """Selects standings."""

    ORDERED = ("tone",)

    # fmt: off
    project  = TextFilter(method=of_branch, help_text="The project's name, id or slug (github/acme/press).")
    workflow = TextFilter(method=of_branch, help_text="The workflow's name.")
    branch   = TextFilter(method=of_branch, help_text="The branch.")
    tone     = ChoiceFilter(values=[Tone.GOOD, Tone.BAD], noun="a tone", help_text="good or bad.")
    # fmt: on

    class Meta:
        model = Standing
        fields: list[str] = []

    def _is_served(self, name: str) -> bool:
        return bool(self.given[name] == Tone.BAD)  # The index standing_bad holds no other rows.
