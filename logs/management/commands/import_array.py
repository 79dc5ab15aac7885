"""Import the array from the tutorial's Node.js sample: ``manage.py import_array``."""

import json
import sys
from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from logs.ingest.importing import NAMES, log_import, payloads
from logs.management.examples import CommandWithExamples

STDIN = Path("-")
EXAMPLES = """
manage.py import_array logs.json --dry-run
manage.py import_array logs.json
curl http://localhost:1337/fetch-webhooks-logs | manage.py import_array -
"""


class Command(CommandWithExamples):
    """Import each entry in its own transaction; logged entries remain if the command is stopped."""

    help = (
        "Log the entries of a JSON array as events: objects with name, project, workflow and status, as returned by "
        "the Node.js sample's /fetch-webhooks-logs. The events are unverified and have the trigger import. Entries "
        "that were imported before are not logged again."
    )
    examples = EXAMPLES
    exit_codes = "0 when every entry is an event, 1 when one is not, 2 for invalid arguments, 130 after Ctrl-C"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the file and --dry-run."""
        parser.add_argument("file", type=Path, metavar="FILE", help="file with the array; - reads standard input")
        parser.add_argument("--dry-run", action="store_true", help="show what would be imported; write nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        """Import the array and report the outcomes.

        Raises:
            CommandError: the file is not a JSON array, or an entry is not an event.
        """
        entries = _entries(options["file"])
        counts, skipped = Counter[str](), list[int]()
        for position, payload in enumerate(payloads(entries), start=1):
            if payload is None:
                skipped.append(position)
            else:
                counts["to be imported" if options["dry_run"] else str(log_import(payload).outcome)] += 1
        for outcome, count in sorted(counts.items()):
            self.stdout.write(f"{count} x {outcome}")
        if options["dry_run"]:
            self.stdout.write("Nothing was written: this was a dry run.")
        if skipped:
            raise CommandError(
                f"{len(skipped)} of {len(entries)} entries skipped: not objects with one of {', '.join(NAMES)}; "
                f"the first is number {skipped[0]}"
            )


def _entries(file: Path) -> list[object]:
    try:
        document = json.loads(sys.stdin.buffer.read() if file == STDIN else file.read_bytes())
    except OSError as error:
        raise CommandError(f"cannot read {file}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{file} is not JSON: {error}") from error
    if not isinstance(document, list):
        raise CommandError(f"{file} is not a JSON array")
    return document
