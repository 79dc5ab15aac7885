"""Take over the array that the tutorial's Node.js sample answers with: ``manage.py import_array``."""

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
    """Import entries, each in a transaction of its own; what is logged stays logged, whenever it is stopped."""

    help = (
        "Log the entries of a JSON array as events: objects with name, project, workflow and status, as "
        "/fetch-webhooks-logs of the Node.js sample answers. They are unverified, and their trigger is import. What "
        "was imported before is not logged again."
    )
    examples = EXAMPLES
    exit_codes = "0 when every entry told of an event, 1 when one did not, 2 for wrong arguments, 130 after Ctrl-C"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the file."""
        parser.add_argument("file", type=Path, metavar="FILE", help="the array; - reads standard input")
        parser.add_argument("--dry-run", action="store_true", help="read and tell, but write nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        """Import the array and tell what became of its entries.

        Raises:
            CommandError: the file holds no JSON array, or an entry tells nothing of an event.
        """
        entries = _entries(options["file"])
        counts, left_out = Counter[str](), list[int]()
        for position, payload in enumerate(payloads(entries), start=1):
            if payload is None:
                left_out.append(position)
            else:
                counts["to be imported" if options["dry_run"] else str(log_import(payload).outcome)] += 1
        for outcome, count in sorted(counts.items()):
            self.stdout.write(f"{count} x {outcome}")
        if options["dry_run"]:
            self.stdout.write("Nothing was written: this was a dry run.")
        if left_out:
            raise CommandError(
                f"{len(left_out)} of {len(entries)} entries left out: no object with one of {', '.join(NAMES)}; "
                f"the first is number {left_out[0]}"
            )


def _entries(file: Path) -> list[object]:
    try:
        document = json.loads(sys.stdin.buffer.read() if file == STDIN else file.read_bytes())
    except OSError as error:
        raise CommandError(f"cannot read {file}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{file} holds no JSON: {error}") from error
    if not isinstance(document, list):
        raise CommandError(f"{file} holds no JSON array")
    return document
