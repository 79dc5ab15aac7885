"""Kill two watches repeatedly while runs arrive: each change is in the log once, and none is missing."""

import signal
import subprocess
import sys
import time
from collections import defaultdict
from datetime import UTC, datetime

from tests.load.account import audit, require_statuses
from tests.load.engines import EVENTS
from tests.load.senders import Load, signed_event
from tests.load.server import PROJECT
from tests.load.wire import wait_until

BRANCHES = 8
PAUSE_SECONDS = 0.1  # Between two runs of a branch.
CHANGES = "logs_statechange"
STATUSES = ["success", "success", "failed", "failed", "error", "canceled"]


class Watch:
    """A watch in a process of its own, apart from the site."""

    def __init__(self, server):
        self._server = server
        self._process = None
        self.start()

    def start(self):
        with self._server.log_path.open("ab") as log:
            command = [sys.executable, "manage.py", "watch"]
            self._process = subprocess.Popen(command, cwd=PROJECT, env=self._server.environment, stderr=log)

    def end(self, number):
        self._process.send_signal(number)
        self._process.wait(timeout=30)


class BranchLoad(Load):
    """Senders that each send the runs of a branch of their own, in the order of its pipelines."""

    def events(self, number, random):
        pipeline = 0
        while True:
            pipeline += 1
            yield signed_event(
                random,
                branch=f"branch-{number}",
                pipeline=pipeline,
                status=random.choice(STATUSES),
                happened_at=datetime.now(UTC),
            )


def run(stage):
    """Kill one of the watches, or stop it, every second or two; then let them finish and compare."""
    with stage.site(WATCH="off") as site:
        watches = [Watch(site.server) for _ in range(2)]
        try:
            with BranchLoad(
                site.server.port, connections=BRANCHES, seed=stage.seed, pause_seconds=PAUSE_SECONDS
            ) as load:
                kills = _kill(stage, watches)
            stage.tell("waiting for the watches")
            expected = expected_changes(site.database)
            wait_until(lambda: len(noted_changes(site.database)) >= len(expected), "the last change is noted")
            time.sleep(2)
        finally:
            for watch in watches:
                watch.end(signal.SIGKILL)
        noted = noted_changes(site.database)
        stage.report.note("watches killed", kills[signal.SIGKILL])
        stage.report.note("watches stopped", kills[signal.SIGTERM])
        stage.report.require("changes", len(expected), at_least=BRANCHES)
        stage.report.require("changes missing", len(set(expected) - set(noted)), equal=0)
        stage.report.require("changes too many", len(noted) - len(expected), equal=0)
        stage.report.require("tracebacks in the log", len(site.server.tracebacks()), equal=0)
        audit(load.account, site.database, stage.report)
        require_statuses(load.account, stage.report, allowed={200, 201})


def _kill(stage, watches):
    random = stage.random("watches")
    deadline = time.monotonic() + stage.choose(short=8, full=60)
    kills = {signal.SIGKILL: 0, signal.SIGTERM: 0}
    while time.monotonic() < deadline:
        time.sleep(random.uniform(1, 3))
        watch, number = random.choice(watches), random.choice(list(kills))
        watch.end(number)
        watch.start()
        kills[number] += 1
        stage.tell(f"ended {sum(kills.values())} watches")
    return kills


def expected_changes(database):
    """Return the changes that the runs in the log amount to: (kind, id of the run's row)."""
    columns = "branch, pipeline_number, status, id"
    runs = defaultdict(list)
    for branch, number, status, pk in database.query(f"SELECT {columns} FROM {EVENTS}"):
        runs[branch].append((number, status, pk))
    changes = []
    for of_branch in runs.values():
        was_good = None
        for _, status, pk in sorted(of_branch):
            if status == "canceled":
                continue
            is_good = status == "success"
            if is_good is not was_good and not (is_good and was_good is None):
                changes.append(("fixed" if is_good else "broke", pk))
            was_good = is_good
    return changes


def noted_changes(database):
    """Return the changes that the watches have recorded."""
    return [tuple(row) for row in database.query(f"SELECT kind, event_id FROM {CHANGES}")]
