"""Upgrade each earlier release under load: its site serves while the new tables are made, then the new code takes over.

A release is the last commit before each new migration; its code comes from Git's history. It runs with the libraries of
today.
"""

import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.load.account import Account, audit, require_statuses
from tests.load.engines import EVENTS, manage, migrate
from tests.load.report import Report
from tests.load.scenarios.watches import BranchLoad
from tests.load.server import PROJECT, Server
from tests.load.stage import site_environment
from tests.load.wire import Connection, wait_until

CONNECTIONS = 8
PAUSE_SECONDS = 0.02  # Between two runs of a branch.
MIGRATIONS = "logs/migrations/"
AWAY_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """An earlier version of the code."""

    commit: str
    migration: str  # Its newest one.

    def unpack(self, folder):
        """Write its files to a folder."""
        archive = subprocess.run(["git", "archive", self.commit], cwd=PROJECT, capture_output=True, check=True)
        subprocess.run(["tar", "--extract", "--directory", folder], input=archive.stdout, check=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrade:
    """What happened during one upgrade."""

    account: Account
    migration_seconds: float
    logged_meanwhile: int  # Events that the old site logged while `migrate` ran.
    away_seconds: float  # From the end of the old site to the first 201 of the new one.


def releases():
    """Return the earlier releases, oldest first; none if Git's history is not here."""
    latest, found = newest_migration("HEAD"), {}
    for commit in git("log", "--format=%H", "--", MIGRATIONS):
        migration = newest_migration(f"{commit}^")
        # The first commit with a migration is the newest one with it.
        if migration and migration < latest and (PROJECT / MIGRATIONS / migration).exists():
            found.setdefault(migration, Release(commit=f"{commit}^", migration=migration))
    return sorted(found.values(), key=lambda release: release.migration)


def newest_migration(commit):
    """Return the name of the last migration of a commit; None if it has none, or is not here."""
    paths = git("ls-tree", "--name-only", commit, MIGRATIONS)
    return max((Path(path).name for path in paths if Path(path).name[0].isdigit()), default=None)


def git(*arguments):
    """Return the lines of a command of Git; none if it fails."""
    return subprocess.run(["git", *arguments], cwd=PROJECT, capture_output=True, text=True, check=False).stdout.split()


def run(stage):
    """Upgrade from each release in turn, on a new database."""
    every = releases()
    if not every:
        stage.report.remark("not run: Git's history is missing, or too short for an earlier release.")
        return
    report, upgrades = stage.report, []
    for release in stage.choose(short=[every[0], every[-1]], full=every):
        stage.tell(f"upgrading from {release.migration}")
        upgrades.append(_upgrade(stage, release))
    report.note("releases", len(upgrades))
    report.note("events acknowledged", sum(len(upgrade.account.acknowledged) for upgrade in upgrades))
    report.note("slowest migration, s", max(upgrade.migration_seconds for upgrade in upgrades))
    report.note("answers of 503", sum(upgrade.account.statuses()[503] for upgrade in upgrades))
    report.note("connections broken", sum(upgrade.account.statuses()[None] for upgrade in upgrades))
    fewest = min(upgrade.logged_meanwhile for upgrade in upgrades)
    report.require("fewest events that an old site logged during migrate", fewest, at_least=1)
    longest = max(upgrade.away_seconds for upgrade in upgrades)
    report.require("longest without a site, s", longest, at_most=AWAY_SECONDS)


def _upgrade(stage, release):
    """Upgrade from one release; its broken promises become one figure of the scenario's report."""
    with tempfile.TemporaryDirectory(prefix="webhooklog-upgrade-", ignore_cleanup_errors=True) as path:
        folder = Path(path)
        code = folder / "code"
        code.mkdir()
        release.unpack(code)
        database = stage.engine.database_without_tables(folder / "data")
        server = Server(folder, site_environment(folder) | database.environment, code)
        migrate(server.environment, code)
        server.start()
        try:
            server.wait_until_serving()
            upgrade = _replace(server, stage.seed)
            audited = _audit(server, database, upgrade.account)
        finally:
            server.end()
    stage.report.require(f"broken promises from {release.migration}", len(audited.broken), equal=0)
    for name in audited.broken:
        stage.report.remark(f"from {release.migration}: {name}: {audited.figures[name].value}")
    return upgrade


def _replace(server, seed):
    """Migrate under load while the old site serves, as the containers do, and replace it."""
    with BranchLoad(server.port, connections=CONNECTIONS, seed=seed, pause_seconds=PAUSE_SECONDS) as load:
        time.sleep(1)
        started = time.monotonic()
        migrate(server.environment)
        migrated = time.monotonic()
        wait_until(lambda: load.account.first_logged_after(migrated) is not None, "the old site logs with new tables")
        time.sleep(1)
        server.stop()
        stopped = time.monotonic()
        server.project = PROJECT
        server.start()
        server.wait_until_serving()
        wait_until(lambda: load.account.first_logged_after(stopped) is not None, "the new site logs an event")
        time.sleep(1)
    attempts = load.account.attempts
    return Upgrade(
        account=load.account,
        migration_seconds=migrated - started,
        logged_meanwhile=sum(a.status == 201 and started < a.started < a.ended < migrated for a in attempts),
        away_seconds=load.account.first_logged_after(stopped),
    )


def _audit(server, database, account):
    report = Report("upgrade", "")
    audit(account, database, report)
    require_statuses(account, report, allowed={200, 201, 503, None})
    report.require("tracebacks in the server's log", len(server.tracebacks()), equal=0)
    with Connection(server.port) as connection:
        report.require("/readyz", connection.get("/readyz").status, equal=200)
    manage(server.environment, "rollup")
    ((counted,),) = database.query("SELECT sum(count) FROM logs_hourlystatus")
    ((logged,),) = database.query(f"SELECT count(*) FROM {EVENTS}")
    report.require("difference between the sums and the log", abs(logged - counted), equal=0)
    expected = _last_tones(database)
    with suppress(TimeoutError):
        wait_until(lambda: _standings(database) == expected, "the watch has judged each branch")
    report.require("branches with a wrong standing", len(expected ^ _standings(database)), equal=0)
    return report


def _last_tones(database):
    """Return what the last run of each branch means for its standing."""
    runs = database.query(f"SELECT branch, pipeline_number, status FROM {EVENTS} ORDER BY pipeline_number")
    last = {branch: status for branch, _, status in runs if status != "canceled"}
    return {(branch, "good" if status == "success" else "bad") for branch, status in last.items()}


def _standings(database):
    return {tuple(row) for row in database.query("SELECT branch, tone FROM logs_standing")}
