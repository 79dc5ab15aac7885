"""Give each mutant's tests a database of their own, copied from one that was migrated once (`make mutants`)."""

import os
import shutil
from pathlib import Path

from django.conf import settings
from django.db import connection

TEMPLATE = Path("template.sqlite3")


def pytest_sessionstart():
    """Replace the creation of the test database."""
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
