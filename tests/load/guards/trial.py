"""Run tests in a copy of the project, and tell which of them went red."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.load.guards.guard import PROJECT

NOT_COPIED = {".git", ".venv", "var"}
CACHES = {"__pycache__", ".hypothesis", ".import_linter_cache", ".mypy_cache", ".pytest_cache", ".ruff_cache"}
GRACE_SECONDS = 15
# A test that fails by one of these has not missed the guard, but met code that does not run.
IRRELEVANT = ("ImportError", "IndentationError", "ModuleNotFoundError", "NameError", "SyntaxError")


def copy_project(target):
    """Copy the project without what is installed, kept or cached in its folder."""

    def left_out(folder, names):
        return {*names} & (CACHES | NOT_COPIED if Path(folder) == PROJECT else CACHES)

    shutil.copytree(PROJECT, target, ignore=left_out)


class Trial:
    """A run of pytest in the copy of the project that a folder holds, with a limit of time."""

    def __init__(self, folder, tests, *, database, limit_seconds):
        """Start it; all that it leaves behind stands in the folder."""
        self.folder = folder
        self.report_path, self.output_path = folder / "report.xml", folder / "output.txt"
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", f"--database={database}"]
        self.started = time.monotonic()
        self.limit_seconds = limit_seconds
        with self.output_path.open("wb") as output:
            self.process = subprocess.Popen(
                [*command, f"--junit-xml={self.report_path}", f"--basetemp={folder / 'temporary'}", *tests],
                cwd=folder / "project",
                # A PostgreSQL of its own, where two at once would meet in the database of TEST_DATABASE_URL.
                env={name: value for name, value in os.environ.items() if name != "TEST_DATABASE_URL"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Out of the reach of a terminal's Ctrl-C: stop() sends one, so that tests can end their servers.
                start_new_session=True,
            )

    @property
    def seconds(self):
        """How long it has been running."""
        return time.monotonic() - self.started

    @property
    def is_over(self):
        """Whether it has ended or is to be ended."""
        return self.process.poll() is not None or self.seconds > self.limit_seconds

    @property
    def output(self):
        """What pytest has printed."""
        return self.output_path.read_text(errors="replace")

    def stop(self):
        """End it, if it still runs: as Ctrl-C does, and if that does not help, at once."""
        for number in (signal.SIGINT, signal.SIGKILL):
            if self.process.poll() is None:
                os.killpg(self.process.pid, number)
                with suppress(subprocess.TimeoutExpired):
                    self.process.wait(GRACE_SECONDS)

    def red_test(self):
        """Return the name of the test that failed.

        Raises:
            ValueError: none has; the message says how it ended instead.
        """
        status = self.process.poll()
        if status != 1:
            endings = {None: "no end in time", 0: "nothing went red"}
            raise ValueError(endings.get(status, f"pytest ended with status {status}"))
        for case in ET.parse(self.report_path).iter("testcase"):
            failure = case.find("failure")
            if failure is not None and not failure.get("message", "").startswith(IRRELEVANT):
                return case.get("name").partition("[")[0]
        raise ValueError("what went red is no test, but code that does not run")
