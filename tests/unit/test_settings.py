"""The settings that follow from the environment, read by a process of its own for each."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import json
from webhooklog import settings
print(json.dumps({name: getattr(settings, name) for name in dir(settings) if name.isupper()}, default=str))
"""


def settings_with(tmp_path, **variables):
    """Return the settings of a site whose environment holds nothing else."""
    environment = {"PATH": os.environ["PATH"], "ENV_FILE": os.devnull, "DATA_DIR": str(tmp_path), "SECRET_KEY": "key"}
    command = [sys.executable, "-c", PROGRAM]
    output = subprocess.run(command, cwd=ROOT, env=environment | variables, capture_output=True, check=True, timeout=30)
    return json.loads(output.stdout)


def test_a_site_behind_https_has_secure_cookies_and_hsts_and_believes_its_proxy(tmp_path):
    settings = settings_with(tmp_path, HTTPS_ONLY="true")
    assert settings["SESSION_COOKIE_SECURE"] is True
    assert settings["CSRF_COOKIE_SECURE"] is True
    assert settings["SECURE_SSL_REDIRECT"] is True
    assert settings["SECURE_HSTS_SECONDS"] == 31_536_000
    assert settings["SECURE_PROXY_SSL_HEADER"] == ["HTTP_X_FORWARDED_PROTO", "https"]


def test_a_site_without_https_believes_nobody_about_it(tmp_path):
    settings = settings_with(tmp_path)
    assert settings["SECURE_PROXY_SSL_HEADER"] is None
    assert settings["SECURE_SSL_REDIRECT"] is False
    assert settings["SECURE_HSTS_SECONDS"] == 0
    assert settings["DEBUG"] is False
    assert settings["ALLOWED_HOSTS"] == []


@pytest.mark.parametrize(("size", "smallest"), [(1, 1), (3, 3), (20, 4)])
def test_a_pool_of_any_size_takes_the_place_of_persistent_connections(tmp_path, size, smallest):
    variables = {"DATABASE_URL": "postgresql://db/log", "DATABASE_POOL_SIZE": str(size)}
    database = settings_with(tmp_path, **variables)["DATABASES"]["default"]
    assert database["OPTIONS"]["pool"] == {"min_size": smallest, "max_size": size, "timeout": 2}
    assert database["CONN_MAX_AGE"] == 0


def test_no_setting_holds_another_ones_secrets(tmp_path):
    settings = settings_with(tmp_path, SECRET_KEY="hunter2", DATABASE_URL="postgresql://u:hunter3@db/log")
    assert [name for name, value in settings.items() if "hunter2" in str(value)] == ["SECRET_KEY"]
    assert [name for name, value in settings.items() if "hunter3" in str(value)] == ["DATABASES"]
