"""Watch events in the terminal as they are written: ``manage.py tail``."""

import sys
import time
from argparse import ArgumentParser
from typing import IO, Any, cast

from django.core.management.base import CommandError
from django.db import InterfaceError, OperationalError
from rich.console import Console

from logs.circleci.vocabulary import Tone, tone_of
from logs.management.arguments import moment
from logs.management.examples import CommandWithExamples
from logs.management.filtering import add_event_filters, chosen_events
from logs.management.terminal import event_line, require_reader
from logs.reading.stream.changes import Following

SECONDS_BETWEEN_LOOKS = 1
EXAMPLES = """
manage.py tail
manage.py tail --project orchard --status failed,error --bell
manage.py tail --since 24h --branch main | grep deploy
"""


class Command(CommandWithExamples):
    """Show events, a line each, until Ctrl-C."""

    help = (
        "Show the events of this log as they are written, a line each, until Ctrl-C: time (UTC), status, project, "
        "workflow/job, branch or tag, and how long it took. An event of which a newer version arrives is shown again."
    )
    examples = EXAMPLES
    exit_codes = "1 when the database goes away or nobody reads on, 2 for wrong arguments, 130 after Ctrl-C"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the filters and the options."""
        add_event_filters(parser)
        parser.add_argument(
            "--since", type=moment, metavar="WHEN", help="begin with what was written then: 2026-05-04T10:00Z, or 24h"
        )
        parser.add_argument("--bell", action="store_true", help="on a terminal, ring its bell when something failed")

    def handle(self, *args: Any, **options: Any) -> None:
        """Show what the filters leave, for ever.

        Raises:
            CommandError: a filter cannot be understood, or the database is away.
            BrokenPipeError: nobody reads on.
        """
        console = Console(
            file=cast("IO[str]", self.stdout),
            no_color=options["no_color"] or None,
            force_terminal=options["force_color"] or None,
        )
        if console.is_terminal:
            sys.stderr.write("Waiting for events; Ctrl-C ends.\n")
        try:
            following = Following(chosen_events(options), options["since"])
            while True:
                self._show(following, console, bell=options["bell"])
                require_reader()
                time.sleep(SECONDS_BETWEEN_LOOKS)
        except (InterfaceError, OperationalError) as error:
            raise CommandError(f"the database is away: {error}") from error

    def _show(self, following: Following, console: Console, *, bell: bool) -> None:
        is_bad = False
        for event in following.poll():
            console.print(event_line(event), soft_wrap=True)
            is_bad = is_bad or tone_of(event.status) is Tone.BAD
        if is_bad and bell and console.is_terminal:
            self.stdout.write("\a", ending="")
        # Through a pipe, lines would wait until thousands of bytes have come together.
        self.stdout.flush()
