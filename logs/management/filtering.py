"""Options that select events, with the names and meanings of the API's filters."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.db.models import QuerySet
from django.http import QueryDict

from logs.circleci.vocabulary import STATUS_TONES, EventType
from logs.exceptions import InvalidQuery
from logs.management.arguments import nonempty_text, suggestion
from logs.management.examples import EXIT_CODE_OF_WRONG_ARGUMENT
from logs.models import Outcome, WorkflowEvent
from logs.reading.filters import EventFilterSet
from logs.reading.pages import MAX_SCANNED
from logs.reading.patterns import ANY
from logs.reading.query import read_filters

FILTERS = ("project", "workflow", "job", "status", "event_type", "branch", "tag", "author")
# CircleCI may add statuses and event types: those in the log are known too.
KNOWN_WORDS = {"status": [*STATUS_TONES], "event_type": [*EventType], "outcome": Outcome.values}


def add_event_filters(parser: ArgumentParser) -> None:
    """Add one option for each filter."""
    group = parser.add_argument_group(
        "event filters, as in the API", "Any case matches. Except in --status, * stands for any text."
    )
    for name in FILTERS:
        about = EventFilterSet.base_filters[name].extra["help_text"]
        group.add_argument(f"--{name.replace('_', '-')}", type=nonempty_text, metavar="TEXT", help=about)


def given_filters(options: dict[str, Any]) -> dict[str, str]:
    """Return the filters in the options, keyed by their API names."""
    return {name: options[name] for name in FILTERS if options[name]}


def selected_events(options: dict[str, Any], *, are_new: bool = False) -> QuerySet[WorkflowEvent]:
    """Return the events that match the filters; all events if there are no filters.

    Args:
        options: the command's options.
        are_new: whether the query is repeated for new events, whose values the log may not contain yet.

    Raises:
        CommandError: a filter is invalid, or has an unknown word.
    """
    filters, parameters = given_filters(options), QueryDict(mutable=True)
    parameters.update(filters)
    try:
        filterset = read_filters(EventFilterSet, parameters, WorkflowEvent.objects.all())
    except InvalidQuery as error:
        # The message starts with the filter's name in the API: the option's, with underscores.
        name, colon, problem = str(error).partition(":")
        raise _wrong(name, f"{colon}{problem}") from error
    require_known_words(filters)
    filterset.reads_few = are_new
    return filterset.qs


def require_known_words(filters: dict[str, str]) -> None:
    """Reject a status, event type or outcome that is unknown to CircleCI and to the log: it is a typing error.

    Raises:
        CommandError: a filter has an unknown word.
    """
    for name, known in KNOWN_WORDS.items():
        for word in filter(None, map(str.strip, filters.get(name, "").split(","))):
            is_pattern = name == "event_type" and ANY in word
            if not is_pattern and word.lower() not in known and not _is_in_log(name, word):
                raise _wrong(name, f": {word!r} is unknown: {suggestion(word, known)}")


def _is_in_log(name: str, word: str) -> bool:
    """Return whether any event has a status, or one of the newest events a type, which has no index."""
    if name == "status":
        return WorkflowEvent.objects.filter(status=word).exists()
    newest = WorkflowEvent.objects.order_by("-received_at", "-pk").values_list("event_type", flat=True)[:MAX_SCANNED]
    return name == "event_type" and word in newest


def _wrong(name: str, problem: str) -> CommandError:
    return CommandError(f"--{name.replace('_', '-')}{problem}", returncode=EXIT_CODE_OF_WRONG_ARGUMENT)
