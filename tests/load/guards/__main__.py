"""Show that a test holds each guard of the code's: ``python -m tests.load.guards``.

Takes one guard after the other away, each in a copy of the project, and runs the test that must go red. Prints a table
in Markdown, and ends with status 1 when a guard could vanish unnoticed. The project's own folder is only read.
"""

import argparse
import shutil
import signal
import sys
import tempfile
import time
from collections import deque
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.load.guards.table import GUARDS, documentation
from tests.load.guards.trial import Trial, copy_project

DATABASES = ("sqlite", "postgresql")
LIMIT_SECONDS = 180  # For the test of one guard.
UNCHANGED_LIMIT_SECONDS = 1_200  # For those of all.
POLL_SECONDS = 0.1


def main():
    """Run what the command line asks for, and exit."""
    # Otherwise a SIGTERM would leave tests and copies behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    options = parse_arguments()
    if options.list:
        say("\n".join(documentation()))
        sys.exit()
    cases = chosen_cases(options)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    # Tables go to stdout, whatever stderr shows.
    progress = Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False)
    try:
        with tempfile.TemporaryDirectory(prefix="webhooklog-guards-", ignore_cleanup_errors=True) as name, progress:
            unchanged = Path(name) / "unchanged"
            copy_project(unchanged / "project")
            require_green(unchanged, cases, progress)
            unnoticed = take_away(unchanged, cases, options.jobs, progress)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    say(f"\n{len(cases)} guards were taken away, {unnoticed} of them unnoticed.")
    sys.exit(1 if unnoticed else 0)


def say(text):
    """Write to stdout at once, so that a run that is cut off has told what it knew."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def parse_arguments():
    """Return the options."""
    parser = argparse.ArgumentParser(prog="python -m tests.load.guards", description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="WORD", default=[""], help="guards with one of these words")
    parser.add_argument("--database", choices=DATABASES, help="default: SQLite, or the one that a guard needs")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="so many at once (default: %(default)s)")
    parser.add_argument("--list", action="store_true", help="print the table of docs/reliability.md, and run nothing")
    return parser.parse_args()


def chosen_cases(options):
    """Return the chosen guards, each with the database to show it on.

    Raises:
        SystemExit: with 1, where there is none.
    """
    words = [word.lower() for word in options.only]
    cases = [
        (guard, options.database or guard.only_on or DATABASES[0])
        for guard in GUARDS
        if any(word in f"{guard.promise} {guard.file} {guard.test}".lower() for word in words)
    ]
    cases = [(guard, database) for guard, database in cases if guard.only_on in ("", database)]
    return cases or sys.exit("There is no such guard.")


def require_green(unchanged, cases, progress):
    """Run the tests of all cases before anything is changed.

    Raises:
        SystemExit: with 1, where one is red, or a guard does not stand where the table says.
    """
    try:
        for guard, _ in cases:
            guard.without(unchanged / "project")
    except ValueError as error:
        sys.exit(str(error))
    for database in DATABASES:
        tests = sorted({guard.test for guard, chosen in cases if chosen == database})
        if not tests:
            continue
        task = progress.add_task(f"unchanged, on {database}", total=None)
        trial = Trial(unchanged, tests, database=database, limit_seconds=UNCHANGED_LIMIT_SECONDS)
        try:
            while not trial.is_over:
                time.sleep(POLL_SECONDS)
        finally:
            trial.stop()
        if trial.process.returncode:
            sys.exit(f"{trial.output}\nThese tests show nothing: they are not green while nothing is changed.")
        progress.remove_task(task)


def take_away(unchanged, cases, jobs, progress):
    """Take the guards away, print a row for each, and return how many of them no test has missed."""
    say("| guard | file | test that went red | seconds |\n|---|---|---|---|")
    task = progress.add_task("guards", total=len(cases))
    waiting, running, unnoticed = deque(enumerate(cases)), {}, 0
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                number, (guard, database) = waiting.popleft()
                running[start_without(guard, unchanged, unchanged.with_name(str(number)), database)] = guard
            time.sleep(POLL_SECONDS)
            for trial in [trial for trial in running if trial.is_over]:
                try:
                    told = f"`{trial.red_test()}`"
                except ValueError as error:
                    told, unnoticed = f"**{error}**", unnoticed + 1
                say(f"| {running[trial].promise} | `{running[trial].file}` | {told} | {trial.seconds:.1f} |")
                trial.stop()
                del running[trial]
                shutil.rmtree(trial.folder, ignore_errors=True)
                progress.advance(task)
    finally:
        for trial in running:
            trial.stop()
    return unnoticed


def start_without(guard, unchanged, folder, database):
    """Copy the project into a folder, take a guard away there, and start its test."""
    shutil.copytree(unchanged / "project", folder / "project")
    (folder / "project" / guard.file).write_text(guard.without(unchanged / "project"), encoding="utf-8")
    return Trial(folder, [guard.test], database=database, limit_seconds=LIMIT_SECONDS)


if __name__ == "__main__":
    main()
