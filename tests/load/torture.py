"""Prove by faults what docs/reliability.md promises: ``python -m tests.load.torture``.

Prints a table of figures for each scenario, in Markdown, and ends with status 1 when a promise is broken. Everything
stays on 127.0.0.1 and in temporary folders.
"""

import argparse
import signal
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from tests.load.engines import ENGINES
from tests.load.report import Report, table
from tests.load.scenarios import (
    broken_exports,
    database,
    failover,
    flood,
    kill,
    mutations,
    notifications,
    passwords,
    readers,
    same_event,
    slow_clients,
    upgrade,
    watches,
)
from tests.load.stage import Stage, site_environment

# fmt: off
SCENARIOS = {
    "kill":          kill.run,
    "database":      database.run,
    "failover":      failover.run,
    "same-event":    same_event.run,
    "mutations":     mutations.run,
    "slow-clients":  slow_clients.run,
    "flood":         flood.run,
    "passwords":     passwords.run,
    "readers":       readers.run,
    "exports":       broken_exports.run,
    "watches":       watches.run,
    "notifications": notifications.run,
    "upgrade":       upgrade.run,
}
# fmt: on


def main():
    """Run what the command line asks for, and exit."""
    # Otherwise a SIGTERM would leave servers behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    options = parse_arguments()
    started = time.monotonic()
    say(f"{datetime.now(UTC):%Y-%m-%d}, {'short' if options.short else 'full'} form, seed {options.seed}")
    reports = run_all(options)
    broken = [f"{report.scenario} on {report.database}: {name}" for report in reports for name in report.broken]
    say(f"{len(reports)} scenarios in {time.monotonic() - started:.0f} seconds.")
    say("\n".join(["Broken promises:", *broken]) if broken else "No promise was broken.")
    sys.exit(1 if broken else 0)


def say(text):
    """Write to stdout at once, so that a run that is cut off has told what it knew."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def parse_arguments():
    """Return the options."""
    parser = argparse.ArgumentParser(prog="python -m tests.load.torture", description=__doc__)
    parser.add_argument("--short", action="store_true", help="about five minutes instead of over half an hour")
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, default=list(SCENARIOS), help="these scenarios only")
    parser.add_argument("--database", choices=[*ENGINES, "both"], default="both")
    parser.add_argument("--seed", type=int, default=1, help="the same seed sends the same requests")
    return parser.parse_args()


def run_all(options):
    """Run the scenarios one after the other, print their tables, and return their reports."""
    names = list(ENGINES) if options.database == "both" else [options.database]
    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="webhooklog-torture-")))
        # Tables go to stdout, whatever stderr shows.
        progress = Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False)
        stack.enter_context(progress)
        engines = [stack.enter_context(closing(ENGINES[name](folder, site_environment(folder)))) for name in names]
        say(", ".join(f"{engine.name} {engine.version}" for engine in engines) + "\n")
        reports = []
        for scenario in options.only:
            latest = [run_one(scenario, engine, options, progress) for engine in engines]
            say(table(latest))
            reports += latest
    return reports


def run_one(scenario, engine, options, progress):
    """Run a scenario on one database and return its report."""
    report = Report(scenario, engine.name)
    task = progress.add_task(f"{scenario} on {engine.name}")
    stage = Stage(
        engine=engine,
        seed=f"{options.seed} {scenario}",
        is_short=options.short,
        report=report,
        tell=lambda words: progress.update(task, description=f"{scenario} on {engine.name}: {words}"),
    )
    started = time.monotonic()
    try:
        SCENARIOS[scenario](stage)
    except (TimeoutError, RuntimeError) as error:
        # What never came back is a broken promise like any other, and the other scenarios can still be run.
        report.require("errors that ended the scenario", 1, equal=0)
        report.remark(f"ended by: {error}")
    report.note("seconds", time.monotonic() - started)
    progress.remove_task(task)
    return report


if __name__ == "__main__":
    main()
