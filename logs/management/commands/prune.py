"""Delete deliveries and events beyond the retention settings: ``manage.py prune``."""

import time
from argparse import ArgumentParser
from collections import Counter
from typing import Any

from django.core.management.base import CommandError
from rich.console import Console
from rich.progress import Progress

from logs.management.arguments import positive_integer
from logs.management.examples import CommandWithExamples
from logs.management.terminal import EXIT_CODE_OF_CTRL_C
from logs.retention import Rule, delete_in_batches, rules

MAX_BATCH_SIZE = 10_000


class Command(CommandWithExamples):
    """Apply the retention rules in short transactions; deleted rows stay deleted if the command is stopped."""

    help = (
        "Delete deliveries and events beyond DELIVERY_RETENTION_DAYS, DELIVERY_RETENTION_COUNT and "
        "EVENT_RETENTION_DAYS, while webhooklog runs. Run it once a day. Try --dry-run first."
    )
    examples = """
manage.py prune --dry-run
manage.py prune
"""
    exit_codes = "0 when no rows beyond the settings are left, 1 or 2 for invalid arguments, 130 after Ctrl-C"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the options."""
        parser.add_argument("--dry-run", action="store_true", help="show what would be deleted; delete nothing")
        parser.add_argument(
            "--batch-size",
            type=positive_integer,
            default=1_000,
            metavar="N",
            help=f"rows per transaction, at most {MAX_BATCH_SIZE} (default: %(default)s)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Delete or report the rows beyond each rule's limit.

        Raises:
            CommandError: the batch size is too large.
            SystemExit: with 130, after Ctrl-C.
        """
        if options["batch_size"] > MAX_BATCH_SIZE:
            raise CommandError(f"--batch-size is too large: use at most {MAX_BATCH_SIZE}; deliveries wait for a batch")
        applicable = [rule for rule in rules() if rule.limit]
        if not applicable:
            names = ", ".join(rule.setting for rule in rules())
            self.stdout.write(f"Nothing was deleted: all retention settings are 0, which keeps everything ({names}).")
        elif options["dry_run"]:
            self.stdout.write("\n".join(map(_forecast, applicable)))
            self.stdout.write("Nothing was deleted: this was a dry run.")
        else:
            self._prune(applicable, options["batch_size"])

    def _prune(self, applicable: list[Rule], batch_size: int) -> None:
        started, deleted = time.monotonic(), Counter[str]()
        console = Console(stderr=True)
        try:
            with Progress(console=console, disable=not console.is_terminal) as progress:
                for rule in applicable:
                    # Counted only for the progress bar.
                    total = None if progress.disable else rule.extent()[0]
                    task = progress.add_task(rule.setting, total=total)
                    for count in delete_in_batches(rule.rows, size=batch_size):
                        deleted[rule.setting] += count
                        progress.advance(task, count)
        except KeyboardInterrupt:
            self.stdout.write("\n".join(_account(applicable, deleted)))
            self.stdout.write("Stopped. Deleted rows stay deleted. Run the command again for the rest.")
            raise SystemExit(EXIT_CODE_OF_CTRL_C) from None
        self.stdout.write("\n".join(_account(applicable, deleted)))
        self.stdout.write(f"Done in {time.monotonic() - started:.1f} s.")


def _forecast(rule: Rule) -> str:
    count, oldest, newest = rule.extent()
    line = f"{rule.setting}={rule.limit}: {count} {rule.subject} would be deleted"
    return f"{line}, received from {oldest:%Y-%m-%d %H:%M:%S} to {newest:%Y-%m-%d %H:%M:%S} UTC" if count else line


def _account(applicable: list[Rule], deleted: Counter[str]) -> list[str]:
    return [f"{rule.setting}={rule.limit}: {deleted[rule.setting]} {rule.subject} deleted" for rule in applicable]
