"""Count events for the dashboard: ``manage.py rollup``."""

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
    sum_days,
    with_pauses,
)
from logs.insights.sums import CountedHour
from logs.management.examples import CommandWithExamples
from logs.management.terminal import EXIT_CODE_OF_CTRL_C
from logs.times import HOUR


class Command(CommandWithExamples):
    """Count each hour in its own transaction; hours already counted stay counted if the command is stopped."""

    help = (
        "Count each hour's events for the dashboard, while webhooklog runs: first the events written since the "
        "last count, then older hours that were never counted. The watch does this every minute: run the command only "
        "to fill a new dashboard sooner, after editing the database by hand or changing DEFAULT_BRANCHES, or on a "
        "timer if no watch runs."
    )
    examples = """
manage.py rollup
manage.py rollup --anew
"""
    exit_codes = "0 when everything is counted or another run is counting, 2 for invalid arguments, 130 after Ctrl-C"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add --anew."""
        parser.add_argument(
            "--anew",
            action="store_true",
            help="count everything again, after editing the database by hand or changing DEFAULT_BRANCHES",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Count events, and report the number of hours and events.

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
            ending = "Another run is counting and will count the rest."
        except KeyboardInterrupt:
            ending, exit_code = "Stopped. Counted hours stay counted. Run it again for the rest.", EXIT_CODE_OF_CTRL_C
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
    # Needed only for the progress bar.
    known = None if progress.disable else coverage()
    task = progress.add_task("Never counted", total=hours_to_count() if known else None)
    for hour in with_pauses(backfill()):
        if known:
            # Hours without events are skipped.
            progress.update(task, completed=(known[0] - hour.began_at) // HOUR)
        yield hour
    for _ in with_pauses(sum_days()):
        pass


def _reach() -> str:
    known = coverage()
    return f"the figures start at {known[0]:%Y-%m-%d %H:%M} UTC" if known else "there are no figures yet"
