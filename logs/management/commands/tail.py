"""Show events as they are written: ``manage.py tail``."""

import sys
import time
from argparse import ArgumentParser
from typing import IO, Any, cast

from django.core.management.base import CommandError
from django.db import InterfaceError, OperationalError
from rich.console import Console

from logs.circleci.vocabulary import Tone, tone_of
from logs.management.arguments import time_or_age
from logs.management.examples import CommandWithExamples
from logs.management.filtering import add_event_filters, selected_events
from logs.management.terminal import event_line, require_reader
from logs.reading.stream.changes import Following

POLL_SECONDS = 1
EXAMPLES = """
manage.py tail
manage.py tail --project orchard --status failed,error --bell
manage.py tail --since 24h --branch main | grep deploy
"""


class Command(CommandWithExamples):
    """Show one line for each event, until Ctrl-C."""

    help = (
        "Show one line for each event as it is written, until Ctrl-C: time (UTC), status, project, workflow/job, "
        "branch or tag, and duration. An event is shown again when a newer version arrives."
    )
    examples = EXAMPLES
    exit_codes = "1 when the database fails or the output is no longer read, 2 for invalid arguments, 130 after Ctrl-C"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the filters and options."""
        add_event_filters(parser)
        parser.add_argument(
            "--since", type=time_or_age, metavar="WHEN", help="start with events written since 2026-05-04T10:00Z or 24h"
        )
        parser.add_argument("--bell", action="store_true", help="ring the terminal's bell on failures")

    def handle(self, *args: Any, **options: Any) -> None:
        """Show the events that match the filters.

        Raises:
            CommandError: a filter is invalid, or the database fails.
            BrokenPipeError: nothing reads the output any more.
        """
        console = Console(
            file=cast("IO[str]", self.stdout),
            no_color=options["no_color"] or None,
            force_terminal=options["force_color"] or None,
        )
        if console.is_terminal:
            sys.stderr.write("Waiting for events; Ctrl-C quits.\n")
        try:
            following = Following(selected_events(options, are_new=True), options["since"])
            while True:
                self._show(following, console, bell=options["bell"])
                require_reader()
                time.sleep(POLL_SECONDS)
        except (InterfaceError, OperationalError) as error:
            raise CommandError(f"the database failed: {error}") from error

    def _show(self, following: Following, console: Console, *, bell: bool) -> None:
        is_bad = False
        for event in following.poll():
            console.print(event_line(event), soft_wrap=True)
            is_bad = is_bad or tone_of(event.status) is Tone.BAD
        if is_bad and bell and console.is_terminal:
            self.stdout.write("\a", ending="")
        # Otherwise a pipe would buffer thousands of bytes.
        self.stdout.flush()
