"""Copy the log to another database: ``manage.py copy_log``."""

from argparse import ArgumentParser, ArgumentTypeError
from datetime import datetime
from functools import partial
from typing import Any

from django.core.management.base import CommandError
from django.db import Error, IntegrityError, connection
from django.utils import timezone
from rich.console import Console
from rich.progress import Progress

from logs.management.copying import copying
from logs.management.copying.copying import Advance, Changes, Log
from logs.management.copying.databases import Database
from logs.management.copying.state import State
from logs.management.copying.tables import tables
from logs.management.copying.targets import (
    SOURCE,
    TARGET,
    find_state,
    opened,
    prepare,
    require_current,
    settings_for_url,
    settings_of_target,
)
from logs.management.examples import CommandWithExamples
from logs.management.terminal import EXIT_CODE_OF_CTRL_C, printable
from logs.models import Site, WatchTask
from logs.models.watch import LONGEST_CLAIM

ROWS_PER_SECOND = 5_000  # On two cores.
SHOWN_OF_CHECKSUM = 12


class Command(CommandWithExamples):
    """Copy a snapshot of the log in short transactions; the next run continues one that was stopped."""

    help = (
        "Copy the whole log, with users, tokens, channels and rules, to another database while webhooklog runs. Then "
        "stop webhooklog, with all its watches and timers, and run the command again: it copies the changes since the "
        "first run. The database must be empty, or have a copy of this log, complete or not. The command creates the "
        "tables, and compares all rows at the end."
    )
    examples = """
manage.py copy_log --dry-run --to postgresql://webhooklog:secret@db:5432/webhooklog
manage.py copy_log --to postgresql://webhooklog:secret@db:5432/webhooklog
manage.py copy_log --to sqlite:////var/lib/webhooklog/copy.sqlite3
"""
    exit_codes = (
        "0 when the copy is equal to the log at the start of the run, 1 when it differs or was refused, 2 for invalid "
        "arguments, 130 after Ctrl-C"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the options."""
        parser.add_argument(
            "--to",
            type=_database_url,
            required=True,
            metavar="DATABASE_URL",
            help="the new database; the password for PostgreSQL may be in PGPASSWORD instead",
        )
        parser.add_argument("--dry-run", action="store_true", help="check and count all rows; write nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        """Copy the log, and report the rows and checksum of each table.

        Raises:
            CommandError: the copy was refused, a database failed, or the databases differ.
            SystemExit: with 130, after Ctrl-C.
        """
        is_dry_run = options["dry_run"]
        new = settings_of_target(options["to"], is_dry_run=is_dry_run)
        try:
            with opened(SOURCE, connection.settings_dict) as source, opened(TARGET, new) as target:
                self._run(source, target, is_dry_run=is_dry_run)
        except Error as error:
            raise CommandError(f"A database failed: {printable(str(error).strip())}. Run the command again.") from error
        except KeyboardInterrupt:
            self.stdout.write("Stopped. Run the command again for the rest.")
            raise SystemExit(EXIT_CODE_OF_CTRL_C) from None

    def _run(self, source: Database, target: Database, *, is_dry_run: bool) -> None:
        require_current(source)
        site_id = _site_id(is_dry_run=is_dry_run)
        state = find_state(source, target, site_id)
        console, start = Console(stderr=True), timezone.now()
        with Progress(console=console, disable=not console.is_terminal) as progress, source.snapshot():
            new = _examine(source, progress)
            if not is_dry_run:
                state = prepare(target, state, site_id)
                state.take_turn()  # Before reading: an earlier run could change a block that has been read.
            old = copying.digest_all(target, _bar(progress, "Reading the copy", target)) if state else copying.no_rows()
            if state:
                _require_unchanged(state, old)
            changes = copying.differences(new, old)
            if state is None or is_dry_run:
                self._forecast(source, new, changes)
                return
            total = copying.rows_of(new, changes)
            copying.write(source, target, state, changes, _bar(progress, "Copying", total))
            copying.digest_blocks(target, old, changes, _bar(progress, "Comparing", total))
        self._report(new, old)
        state.complete(copying.checksums(old))
        target.settle()
        self.stdout.write(_conclusion(_watch_tasks_since(start)))

    def _forecast(self, source: Database, new: Log, changes: Changes) -> None:
        rows, size = copying.rows_of(new, changes), source.size_bytes()
        for name, blocks in new.items():
            self.stdout.write(f"{name:<{_width()}} {sum(block.rows for block in blocks.values()):>12} rows")
        self.stdout.write(
            f"{rows} rows would be copied, in about {max(1, round(rows / ROWS_PER_SECOND / 60))} min at "
            f"{ROWS_PER_SECOND} rows/s. The site's database has {size / 1_000_000:.0f} MB."
        )
        self.stdout.write("Nothing was written: this was a dry run.")

    def _report(self, new: Log, old: Log) -> None:
        """Write a line for each table.

        Raises:
            CommandError: a table differs.
        """
        wanted, copied = copying.checksums(new), copying.checksums(old)
        for name, blocks in new.items():
            rows = sum(block.rows for block in blocks.values())
            verdict = "equal" if wanted[name] == copied[name] else "DIFFERENT"
            self.stdout.write(f"{name:<{_width()}} {rows:>12} rows  {wanted[name][:SHOWN_OF_CHECKSUM]}  {verdict}")
        if different := [name for name in wanted if wanted[name] != copied[name]]:
            raise CommandError(
                f"The databases differ in {', '.join(different)}: another process may have written to the new "
                "database. Run the command again; do not start a site on this database."
            )


def _database_url(text: str) -> dict[str, Any]:
    try:
        return settings_for_url(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def _site_id(*, is_dry_run: bool) -> str:
    """Return the id of the log; create it if no message has needed it yet, except in a dry run."""
    sites = Site.objects.filter(pk=1) if is_dry_run else [Site.objects.get_or_create(pk=1)[0]]
    return "".join(site.site_id for site in sites)


def _examine(source: Database, progress: Progress) -> Log:
    """Digest all rows of the source.

    Raises:
        CommandError: a value cannot be copied.
    """
    problems = list[str]()
    log = copying.examine(source, problems, _bar(progress, "Reading the log", source))
    try:
        source.connection.check_constraints()
    except IntegrityError as error:
        problems.append(str(error))
    if problems:
        lines = "\n".join(map(printable, problems))
        raise CommandError(
            f"These values cannot be copied, and nothing was copied. Correct them, or delete their rows:\n{lines}"
        )
    return log


def _bar(progress: Progress, description: str, total: int | Database) -> Advance:
    """Add a bar; its total is given, or is the number of rows in a database."""
    if isinstance(total, Database):
        total = 0 if progress.disable else sum(map(total.count, tables()))
    return partial(progress.advance, progress.add_task(description, total=total))


def _require_unchanged(state: State, old: Log) -> None:
    """Check that nothing has written to a complete copy: this run would overwrite it.

    Raises:
        CommandError: a table has changed.
    """
    current = copying.checksums(old)
    if state.checksums and (changed := [name for name in current if current[name] != state.checksums.get(name)]):
        raise CommandError(
            f"The copy has changed since it was complete, in {', '.join(changed)}: a site may have run on it. "
            "Use an empty database."
        )


def _watch_tasks_since(start: datetime) -> list[str]:
    """Return the tasks that a watch has run since a time; a task that has ended is claimed until its end."""
    latest = timezone.now() + LONGEST_CLAIM  # A later claim was made by a clock that was ahead.
    tasks = WatchTask.objects.filter(claimed_until__gt=start, claimed_until__lte=latest)
    return list(tasks.order_by("name").values_list("name", flat=True))


def _conclusion(running: list[str]) -> str:
    if not running:
        return "Both databases are equal."
    return (
        "The copy is equal to the log at the start of this run, but it is not final: webhooklog was running "
        f"(watch tasks: {', '.join(running)}). Stop all its processes, then run the command again."
    )


def _width() -> int:
    return max(len(table.name) for table in tables())
