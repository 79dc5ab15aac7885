"""Measure what a log costs when it is short and when it is long, side by side: ``make bench-growth``.

On PostgreSQL and on SQLite: inserting through the endpoint, every list, filter and search, each page of the admin, and
removing the oldest rows. Prints a row for each, in Markdown, and ends with status 1 where one grows: where the longer
log takes more than MAX_RATIO times as long as the shorter one, and more than FAST_MILLISECONDS. Where it lists even
more times as many rows, that is no growth but a fuller page, and marked as such.

Everything stays on 127.0.0.1 and in a temporary folder (TMPDIR), which is removed at the end.
"""

import argparse
import shutil
import signal
import statistics
import sys
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from tests.load.bench_admin import COUNTED_ANEW
from tests.load.engines import ENGINES
from tests.load.growth_rows import all_rows
from tests.load.growth_site import PRUNED, SITES
from tests.load.stage import site_environment
from tests.load.torture import say

SHORT = 10_000
MAX_RATIO = 1.5
FAST_MILLISECONDS = 5
BYTES_FOR_AN_EVENT = 2_500  # With its delivery, its indexes, and room to sort while they are made.
WARM_UP = 5
GROWS, FULLER = "**grows**", "lists more"
INSERTS_OF_A_ROUND = 20
PRUNE_ROUNDS = 3  # Each takes a tenth of the short log.


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What both logs took for the same, in milliseconds."""

    name: str
    short: float
    long: float
    listed: tuple[int, int] | None = None  # How many rows each has listed, if that was a list.

    @property
    def mark(self):
        """Whether it breaks the promise."""
        if self.long <= max(MAX_RATIO * self.short, FAST_MILLISECONDS):
            return ""
        is_fuller = self.listed and self.listed[1] * self.short > self.listed[0] * self.long
        return FULLER if is_fuller else GROWS

    def __str__(self):
        listed = ", ".join(map(str, self.listed or []))
        ratio = f"{self.long / self.short:.2f}"
        return f"| {self.name} | {self.short:.1f} | {self.long:.1f} | {ratio} | {listed} | {self.mark} |"


def main():
    """Measure, print the tables, and exit."""
    # Otherwise a SIGTERM would leave servers behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    options = parse_arguments()
    sizes = {"postgresql": options.events, "sqlite": options.sqlite_events}
    names = list(sizes) if options.database == "both" else [options.database]
    require_room(max(sizes[name] for name in names))
    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    # Tables go to stdout, whatever stderr shows.
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False) as progress:
        grown = [row.name for name in names for row in bench(name, sizes[name], options, progress)]
    sys.exit(f"These grow: {'; '.join(grown)}." if grown else 0)


def require_room(events):
    """Exit with a few words where the disk is too small for a log."""
    folder = tempfile.gettempdir()
    needed, free = (SHORT + events) * BYTES_FOR_AN_EVENT, shutil.disk_usage(folder).free
    if free < needed:
        sys.exit(
            f"{events:,} events need {needed / 1e9:.1f} GB of disk, and {folder} has {free / 1e9:.1f}."
            " Set TMPDIR to a larger disk, or ask for fewer events (--events, --sqlite-events)."
        )


def bench(name, events, options, progress):
    """Fill two logs on a database, measure both, and return the rows that grow."""
    task = progress.add_task(name)
    with tempfile.TemporaryDirectory(prefix="webhooklog-bench-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        with closing(ENGINES[name](folder, site_environment(folder))) as engine:
            sites = [SITES[name](engine, folder / str(size), size) for size in (SHORT, events)]
            say(f"\n## {engine.name} {engine.version}\n")
            for site in sites:
                head = f"{engine.name}, {site.events:,} events: "
                say(f"- {site.make(lambda words, head=head: progress.update(task, description=head + words))}")
            grown = measure_all(sites, options, lambda words: progress.update(task, description=words))
    progress.remove_task(task)
    return grown


def measure_all(sites, options, tell):
    """Print a row for each figure, and return those that grow."""
    grown = []
    say(f"\n| | {' | '.join(f'{site.events:,}: ms' for site in sites)} | ratio | rows | |\n|---|---|---|---|---|---|")
    try:
        for site in sites:
            site.start()
        for row in rows(sites, options, tell):
            say(str(row))
            grown += [row] if row.mark == GROWS else []
    finally:
        for site in sites:
            site.end()
    return grown


def rows(sites, options, tell):
    """Measure what the options choose, and yield a row for each figure."""
    chosen = {name: address for name, address in all_rows().items() if options.only in name}
    for position, (name, address) in enumerate(chosen.items(), 1):
        tell(f"{position} of {len(chosen)}: {name}")
        yield page_row(sites, name, address, options)
    if options.only in "insert":
        tell("inserting")
        yield from insert_rows(sites, options)
    for what in PRUNED:
        name = f"prune of 1,000 {what}"
        if options.only in name:
            tell(name)
            times = in_turns(sites, PRUNE_ROUNDS, lambda site, what=what: site.prune(what))
            yield median_row(name, times)


def page_row(sites, name, address, options):
    """Ask both sites for a page in turns, and return the row."""
    randoms = {site.events: Random(options.seed) for site in sites}

    def ask(site):
        if name.endswith(COUNTED_ANEW):
            site.forget_figures()
        return site.get(address, randoms[site.events])

    figures = in_turns(sites, WARM_UP + options.rounds, ask)
    times = [[milliseconds for milliseconds, _ in of_site[WARM_UP:]] for of_site in figures]
    counts = [[count for _, count in of_site if count is not None] for of_site in figures]
    return median_row(name, times, tuple(map(statistics.median_low, counts)) if all(counts) else None)


def insert_rows(sites, options):
    """Deliver events to both sites in turns, and return a row for the median and one for the slowest of a hundred."""
    times = in_turns(sites, (WARM_UP + options.rounds) * INSERTS_OF_A_ROUND, lambda site: site.insert())
    warm = [of_site[WARM_UP * INSERTS_OF_A_ROUND :] for of_site in times]
    short, long = [statistics.quantiles(of_site, n=100)[-1] for of_site in warm]
    return median_row("insert, p50", warm), Row(name="insert, p99", short=short, long=long)


def in_turns(sites, number, measure):
    """Measure each site so often, one after the other, and return what was measured of each."""
    for site in sites:
        site.reconnect()
    rounds = [[measure(site) for site in sites] for _ in range(number)]
    return [list(of_site) for of_site in zip(*rounds, strict=True)]


def median_row(name, times, listed=None):
    """Return the row of the medians."""
    short, long = map(statistics.median, times)
    return Row(name=name, short=short, long=long, listed=listed)


def parse_arguments():
    """Return the options."""
    parser = argparse.ArgumentParser(prog="python -m tests.load.bench_growth", description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000, metavar="N", help="of PostgreSQL's long log")
    parser.add_argument("--sqlite-events", type=int, default=1_000_000, metavar="N", help="of SQLite's long log")
    parser.add_argument("--database", choices=[*ENGINES, "both"], default="both")
    parser.add_argument("--rounds", type=int, default=30, metavar="N", help="how often each page is asked for")
    parser.add_argument("--only", default="", metavar="WORD", help="the rows in whose name this stands")
    parser.add_argument("--seed", type=int, default=1, help="the same seed asks for the same pages")
    return parser.parse_args()


if __name__ == "__main__":
    main()
