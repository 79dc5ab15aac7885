"""Make the tests of one mutant quick (`make mutants`): a copied database instead of migrations, fast tests first."""

import json
import os
import shutil
from pathlib import Path

from django.conf import settings
from django.db import connection

TEMPLATE = Path("template.sqlite3")
DURATIONS = Path("mutmut-stats.json")


def pytest_sessionstart():
    """Copy the database that the first run has migrated."""
    # The settings were read by the process that this one was forked from, and its folder is gone.
    settings.DATA_DIR = Path(os.environ["DATA_DIR"])
    settings.DATA_DIR.mkdir(parents=True, exist_ok=True)
    path = settings.DATA_DIR / "test.sqlite3"
    connection.settings_dict["TEST"]["NAME"] = path
    migrate = connection.creation.create_test_db

    def create_test_db(*args, **kwargs):
        if not TEMPLATE.exists():
            migrate(*args, **kwargs)
            connection.close()
            shutil.copy(path, TEMPLATE)
        else:
            connection.close()
            shutil.copy(TEMPLATE, path)
            settings.DATABASES["default"]["NAME"] = connection.settings_dict["NAME"] = path
        connection.ensure_connection()
        return path

    connection.creation.create_test_db = create_test_db


def pytest_collection_modifyitems(items):
    """Run the fastest tests first: most mutants fail one of them."""
    if DURATIONS.exists():
        seconds = json.loads(DURATIONS.read_text(encoding="utf-8"))["duration_by_test"]
        items.sort(key=lambda item: seconds.get(item.nodeid, 0))
