"""Count what the dashboard shows: ``manage.py rollup``."""

import time
from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.progress import Progress

from logs.insights.counting import (
    CountedElsewhere,
    backfill,
    coverage,
    forget,
    hours_to_count,
    refresh,
    with_pauses,
)
from logs.insights.sums import HOUR, CountedHour
from logs.management.examples import CommandWithExamples
from logs.management.terminal import EXIT_CODE_OF_CTRL_C


class Command(CommandWithExamples):
    """Count hour by hour, in a transaction each; what is counted stays counted, whenever it is stopped."""

    help = (
        "Count the events of each hour for the dashboard, while webhooklog runs: first what was written since the last "
        "run, then older hours that were never counted. Run it every five minutes."
    )
    examples = """
manage.py rollup
manage.py rollup --anew
"""
    exit_codes = "0 when all is counted, by another run perhaps, 2 for wrong arguments, 130 after Ctrl-C"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "--anew",
            action="store_true",
            help="count everything again; needed after DEFAULT_BRANCHES has changed, or the database by hand",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Count, and tell how much.

        Raises:
            SystemExit: with 130, after Ctrl-C.
        """
        started, counted = time.monotonic(), dict[datetime, int]()
        console = Console(stderr=True)
        ending, exit_code = "", 0
        try:
            if options["anew"]:
                forget()
            with Progress(console=console, disable=not console.is_terminal) as progress:
                for hour in _count(progress):
                    counted[hour.began_at] = hour.events
        except CountedElsewhere:
            ending = "Another run is counting at this moment; it does the rest."
        except KeyboardInterrupt:
            ending, exit_code = (
                "Stopped. What is counted stays counted; run it again for the rest.",
                EXIT_CODE_OF_CTRL_C,
            )
        seconds = time.monotonic() - started
        self.stdout.write(
            f"{len(counted)} hours with {sum(counted.values())} events counted in {seconds:.1f} s; {_reach()}."
        )
        if ending:
            self.stdout.write(ending)
        if exit_code:
            raise SystemExit(exit_code)


def _count(progress: Progress) -> Iterator[CountedHour]:
    task = progress.add_task("Written since the last run", total=None)
    for hour in with_pauses(refresh()):
        progress.advance(task)
        yield hour
    progress.update(task, total=1, completed=1)
    # Asked for the bar alone.
    known = None if progress.disable else coverage()
    task = progress.add_task("Never counted", total=hours_to_count() if known else None)
    for hour in with_pauses(backfill()):
        if known:
            # Hours without events are passed over.
            progress.update(task, completed=(known[0] - hour.began_at) // HOUR)
        yield hour


def _reach() -> str:
    known = coverage()
    return f"the figures reach back to {known[0]:%Y-%m-%d %H:%M} UTC" if known else "there are no figures yet"
