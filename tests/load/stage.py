"""Where a scenario plays: a new database, a server of its own, and the report of what happened."""

import json
import os
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from tests.load.report import Report
from tests.load.senders import SECRET
from tests.load.server import Server


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A running webhooklog."""

    server: Server
    database: Any
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What a scenario is given."""

    engine: Any
    seed: str
    is_short: bool
    report: Report
    tell: Any  # Called with a few words on what goes on.

    def choose(self, *, short, full):
        """Return the one of two amounts that fits this run."""
        return short if self.is_short else full

    def random(self, purpose):
        """Return a source of chance that the run's seed and a purpose determine."""
        return Random(f"{self.seed} {purpose}")

    @contextmanager
    def site(self, **overrides):
        """Run a site with an empty log; `overrides` are environment variables."""
        with tempfile.TemporaryDirectory(prefix="webhooklog-torture-", ignore_cleanup_errors=True) as name:
            folder = Path(name)
            database = self.engine.new_database(folder / "data")
            server = Server(folder, site_environment(folder) | database.environment | overrides)
            self.tell("starting the server")
            server.start()
            try:
                server.wait_until_serving()
                yield Site(server=server, database=database, folder=folder)
            finally:
                server.end()


def site_environment(folder):
    """Return a whole environment: nothing of the machine's own reaches the server."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "ENV_FILE": os.devnull,
        "DATA_DIR": str(folder / "data"),
        "SECRET_KEY": "a-key-of-the-torture-only-" + "0123456789" * 4,
        "CIRCLECI_WEBHOOK_SECRETS": json.dumps({"My CircleCI Webhook": SECRET}),
        "ALLOWED_HOSTS": "127.0.0.1",
    }
