"""The filters for the lists. An invalid value is an error: ignoring it would return the wrong rows.

Rows are found through a suitable index if there is one. Otherwise, a page scans a bounded number of rows
(`logs.reading.pages`); `PagedFilterSet.scan` returns the rows to scan.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, ClassVar

import django_filters as filters
from django.db.models import QuerySet
from django.http import QueryDict
from django.utils import timezone

from logs.models import Delivery, Outcome, WorkflowEvent
from logs.models.deliveries import DeliveryQuerySet
from logs.models.events import WorkflowEventQuerySet, project_named
from logs.reading.choices import Found, values_matching
from logs.reading.conditions import few_reporting, in_claim, in_event, reports
from logs.reading.fields import (
    ChoicesFilter,
    IdFilter,
    IntegerFilter,
    ListFilter,
    PatternFilter,
    PrefixFilter,
    SecondsFilter,
    StatusesFilter,
    TextFilter,
    TimeFilter,
    TruthFilter,
    WordsFilter,
)
from logs.reading.patterns import Matches
from logs.reading.search import HoldsWords, few_holding

MAX_LOOKED_UP = 500  # Values of a column that a filter compares with its pattern before it tests each row instead.
MAX_SORTED = timedelta(days=32)  # A month, with a day to spare for clocks and relative times.


class PagedFilterSet(filters.FilterSet):
    """Filters for rows that are read page by page.

    Attributes:
        SELECTIVE: the names of filters that match few rows.
        ORDERED: the names of filters with an index in the list's default order, the most selective filter first.
        RANGE: the names of the filters for the first and last key of the default order, if the list has them.
        reads_few: whether so few rows are read that each can be tested without estimating their number first.
    """

    SELECTIVE: ClassVar[set[str]] = set()
    ORDERED: ClassVar[tuple[str, ...]] = ()
    RANGE: ClassVar[tuple[str, str]] = ("received_after", "received_before")

    data: QueryDict
    queryset: QuerySet[Any]
    reads_few = False

    @classmethod
    def repeatable(cls) -> set[str]:
        """Return the names of the filters that accept several values and may be repeated."""
        return {name for name, each in cls.base_filters.items() if isinstance(each, ListFilter)}

    @property
    def given(self) -> dict[str, Any]:
        """The values given by the client."""
        return {name: value for name, value in self.form.cleaned_data.items() if name in self.data}

    @property
    def is_selective(self) -> bool:
        """Whether few enough rows match that sorting and testing them costs almost nothing."""
        return self.reads_few or any(map(self._is_served, self.SELECTIVE & self.given.keys()))

    def scan(self, *, in_default_order: bool) -> QuerySet[Any] | None:
        """Return the rows that a page must scan; None if the matching rows suffice.

        Args:
            in_default_order: whether the page is sorted by the list's default order, in either direction.
        """
        given = self.given
        if self.is_selective or self.qs.query.is_empty():
            return None
        if not in_default_order:
            return None if not given or self._is_short() else self.queryset
        rest = given.keys() - self.RANGE
        served = next((name for name in self.ORDERED if name in rest and self._is_served(name)), None)
        if rest <= {served}:
            return None
        return self._apply([*(given.keys() & self.RANGE), *([served] if served else [])])

    def of_pattern(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        """Keep the rows whose column matches a pattern; a project's may be its name, slug or id."""
        column, pattern = _column_and_pattern(name, value)
        spellings = self._spellings(column, pattern) if name in {*self.ORDERED, *self.SELECTIVE} else None
        if spellings is None:
            return rows.filter(Matches(column, pattern))
        return rows.filter(**{column: spellings[0]}) if spellings else rows.none()

    def absolute_times(self) -> dict[str, str]:
        """Return the given times as absolute times, so that all pages of a result have the same bounds."""
        return {name: value.isoformat() for name, value in self.given.items() if isinstance(value, datetime)}

    def _apply(self, names: Iterable[str]) -> QuerySet[Any]:
        rows = self.queryset.all()
        for name in names:
            rows = self.filters[name].filter(rows, self.given[name])
        return rows

    def _is_short(self) -> bool:
        """Return whether the requested period is short enough for all its rows to be sorted."""
        given, (after, before) = self.given, self.RANGE
        until = given.get(before) or timezone.now()
        return after in given and until - given[after] <= MAX_SORTED

    def _is_served(self, name: str) -> bool:
        """Return whether the index for a filter holds the matching rows in order; false for several values."""
        value = self.given[name]
        if isinstance(self.filters[name], PatternFilter):
            return self._spellings(*_column_and_pattern(name, value)) is not None
        return not isinstance(value, list) or len(value) == 1

    def _spellings(self, column: str, pattern: str) -> list[str] | None:
        """Return the only value that matches a pattern, or no value; None if there may be several.

        A value that is spelled exactly like the pattern is the only one. Otherwise, any client of an unsigned webhook
        could hide a project behind another spelling of its name, for which no index has the rows in order.
        """
        if self.reads_few:
            return None
        if (column, pattern) not in self._found:
            self._found[column, pattern] = values_matching(self.queryset.model, column, pattern, most=MAX_LOOKED_UP)
        found = self._found[column, pattern]
        if pattern in found.values:
            return [pattern]
        return None if found.is_cut or len(found.values) > 1 else found.values

    @cached_property
    def _found(self) -> dict[tuple[str, str], Found]:
        return {}


class EventFilterSet(PagedFilterSet):
    """Selects events."""

    SELECTIVE = {"workflow_id", "pipeline_id", "pipeline", "revision", "tag"}
    ORDERED = ("branch", "author", "job", "workflow", "project", "status")

    # fmt: off
    project         = PatternFilter(method="of_pattern",
                                    help_text="The project's name, id or slug (github/acme/press).")
    organization    = PatternFilter(method="of_pattern", help_text="The organization's name.")
    workflow        = PatternFilter(method="of_pattern", help_text="The workflow's name.")
    job             = PatternFilter(method="of_pattern", help_text="The job's name.")
    status          = StatusesFilter(help_text="One or more statuses, separated by commas or repeated: failed,error.")
    event_type      = PatternFilter(method="of_pattern", help_text="workflow-completed or job-completed.")
    branch          = PatternFilter(method="of_pattern", help_text="The branch.")
    tag             = PatternFilter(method="of_pattern", help_text="The tag.")
    revision        = PrefixFilter(method="of_revision", help_text="The commit's hash or its first characters.")
    author          = PatternFilter(method="of_pattern", help_text="The name of the commit's author.")
    webhook         = PatternFilter("name", method="of_pattern", help_text="The webhook's name in CircleCI.")
    pipeline        = IntegerFilter("pipeline_number", help_text="The pipeline's number.")
    workflow_id     = IdFilter(help_text="The workflow's id.")
    pipeline_id     = IdFilter(help_text="The pipeline's id.")
    trigger         = PatternFilter(method="of_pattern", help_text="The pipeline's trigger: webhook, api, ...")
    happened_after  = TimeFilter("happened_at", "gte", help_text="It happened at this time or later.")
    happened_before = TimeFilter("happened_at", "lt", help_text="It happened before this time.")
    received_after  = TimeFilter("received_at", "gte", help_text="It arrived at this time or later.")
    received_before = TimeFilter("received_at", "lt", help_text="It arrived before this time.")
    min_duration    = SecondsFilter("duration_seconds", "gte", help_text="The shortest duration in seconds.")
    max_duration    = SecondsFilter("duration_seconds", "lte", help_text="The longest duration in seconds.")
    verified        = TruthFilter(help_text="Whether a signature proves that CircleCI sent it.")
    q               = WordsFilter(method="holding_words", help_text="Words in subject, branch, author, workflow, job.")
    # fmt: on

    class Meta:
        model = WorkflowEvent
        fields: list[str] = []

    def of_revision(self, rows: WorkflowEventQuerySet, name: str, value: str) -> WorkflowEventQuerySet:
        """Keep events for commits whose hash starts with `value`."""
        return rows.of_revision(value)

    def holding_words(self, rows: WorkflowEventQuerySet, name: str, value: list[str]) -> WorkflowEventQuerySet:
        """Keep events that contain all the words."""
        return rows.filter(HoldsWords(value)) if self._few is None else rows.filter(pk__in=self._few)

    @property
    def is_selective(self) -> bool:
        """Whether few enough rows match that sorting and testing them costs almost nothing."""
        return super().is_selective or ("q" in self.given and self._few is not None)

    @cached_property
    def _few(self) -> list[int] | None:
        return None if self.reads_few else few_holding(self.given["q"])


class DeliveryFilterSet(PagedFilterSet):
    """Selects deliveries by their own fields, and by those of their events or claims."""

    SELECTIVE = {"event"}
    ORDERED = ("outcome",)
    # Few deliveries match each of these, and an index finds them.
    INDEXED = ("pipeline", "revision")

    # fmt: off
    outcome         = ChoicesFilter(values=Outcome.values, noun="an outcome",
                                    help_text="One or more outcomes, separated by commas or repeated.")
    project         = PatternFilter(method="of_event",
                                    help_text="The project's name, id or slug (github/acme/press).")
    workflow        = PatternFilter(method="of_event", help_text="The workflow's name.")
    branch          = PatternFilter(method="of_event", help_text="The branch.")
    status          = StatusesFilter(method="of_event",
                                     help_text="One or more statuses, separated by commas or repeated: failed,error.")
    pipeline        = IntegerFilter(method="of_few", help_text="The pipeline's number.")
    revision        = PrefixFilter(method="of_few", help_text="The commit's hash or its first characters.")
    webhook         = PatternFilter(method="of_pattern", help_text="The configured webhook whose secret matched.")
    address         = TextFilter(method="of_address", help_text="The last part of the URL it was sent to.")
    verified        = TruthFilter(help_text="Whether the signature proves that CircleCI sent it.")
    event           = IdFilter("event__event_id", help_text="The id of its event.")
    received_after  = TimeFilter("received_at", "gte", help_text="It arrived at this time or later.")
    received_before = TimeFilter("received_at", "lt", help_text="It arrived before this time.")
    # fmt: on

    class Meta:
        model = Delivery
        fields: list[str] = []

    def of_address(self, rows: DeliveryQuerySet, name: str, value: str) -> DeliveryQuerySet:
        """Keep the deliveries that were sent to a webhook's own URL."""
        return rows.filter(webhook_slug=value)

    def of_event(self, rows: DeliveryQuerySet, name: str, value: str | list[str]) -> DeliveryQuerySet:
        """Keep deliveries whose event has this value, and refused ones that claim it."""
        return rows.filter(in_event(name, value) | in_claim(name, value))

    def of_few(self, rows: DeliveryQuerySet, name: str, value: str | int) -> DeliveryQuerySet:
        """Keep deliveries whose event has this pipeline or commit, and refused ones that claim it."""
        few = self._few[name]
        return rows.filter(reports(name, value)) if few is None else rows.filter(pk__in=few)

    @property
    def is_selective(self) -> bool:
        """Whether few enough rows match that sorting and testing them costs almost nothing."""
        return super().is_selective or any(keys is not None for keys in self._few.values())

    @cached_property
    def _few(self) -> dict[str, list[int] | None]:
        return {name: few_reporting(name, self.given[name]) for name in self.INDEXED if name in self.given}


def _column_and_pattern(name: str, value: str) -> tuple[str, str]:
    return project_named(value) if name == "project" else (name, value)
