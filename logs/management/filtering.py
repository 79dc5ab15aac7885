"""Options that select events, with the names and meanings of the API's filters."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.db.models import QuerySet
from django.http import QueryDict

from logs.exceptions import InvalidQuery
from logs.management.arguments import nonempty_text
from logs.models import WorkflowEvent
from logs.reading.filters import EventFilterSet
from logs.reading.query import read_filters

FILTERS = ("project", "workflow", "job", "status", "event_type", "branch", "tag", "author")


def add_event_filters(parser: ArgumentParser) -> None:
    """Add one option for each filter."""
    group = parser.add_argument_group("event filters, as in the API")
    for name in FILTERS:
        about = EventFilterSet.base_filters[name].extra["help_text"]
        group.add_argument(f"--{name.replace('_', '-')}", type=nonempty_text, metavar="TEXT", help=about)


def given_filters(options: dict[str, Any]) -> dict[str, str]:
    """Return the filters in the options, keyed by their API names."""
    return {name: options[name] for name in FILTERS if options[name]}


def selected_events(options: dict[str, Any]) -> QuerySet[WorkflowEvent]:
    """Return the events that match the filters; all events if there are no filters.

    Raises:
        CommandError: a filter is invalid.
    """
    parameters = QueryDict(mutable=True)
    parameters.update(given_filters(options))
    try:
        return read_filters(EventFilterSet, parameters, WorkflowEvent.objects.all()).qs
    except InvalidQuery as error:
        # The message starts with the filter's name in the API: the option's, with underscores.
        name, colon, problem = str(error).partition(":")
        raise CommandError(f"--{name.replace('_', '-')}{colon}{problem}") from error
