"""The settings that follow from the environment, read by a process of its own for each."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from webhooklog.deadline.base import STATEMENT_SECONDS

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
    assert settings["ALLOWED_HOSTS"] == ["localhost", "127.0.0.1", "[::1]"]


@pytest.mark.parametrize(("size", "smallest"), [(1, 1), (3, 3), (20, 4)])
def test_a_pool_of_any_size_takes_the_place_of_persistent_connections(tmp_path, size, smallest):
    variables = {"DATABASE_URL": "postgresql://db/log", "DATABASE_POOL_SIZE": str(size)}
    database = settings_with(tmp_path, **variables)["DATABASES"]["default"]
    pool = {"min_size": smallest, "max_size": size, "timeout": 2, "reconnect_timeout": 2}
    assert database["OPTIONS"]["pool"] == pool
    assert database["CONN_MAX_AGE"] == 0
    assert database["CONN_HEALTH_CHECKS"] is True


def test_only_the_backend_for_several_hosts_tests_the_connections_of_its_pool(tmp_path):
    url = "postgresql://db1,db2/log?target_session_attrs=read-write"
    database = settings_with(tmp_path, DATABASE_URL=url, DATABASE_POOL_SIZE="4")["DATABASES"]["default"]
    assert database["CONN_HEALTH_CHECKS"] is False
    database = settings_with(tmp_path, DATABASE_URL=url)["DATABASES"]["default"]
    assert database["CONN_HEALTH_CHECKS"] is True


def test_options_of_the_database_url_do_not_replace_the_timeouts(tmp_path):
    settings = settings_with(tmp_path, DATABASE_URL="postgresql://db/log?options=-c%20search_path%3Dhooks")
    options = settings["DATABASES"]["default"]["OPTIONS"]["options"]
    assert options == "-c lock_timeout=3s -c idle_in_transaction_session_timeout=10s -c search_path=hooks"


@pytest.mark.parametrize(
    ("query", "expected"),
    [("", 5), ("?prepare_threshold=0", 0), ("?prepare_threshold=none", None), ("?prepare_threshold=None", None)],
)
def test_the_database_url_may_forbid_prepared_statements(tmp_path, query, expected):
    settings = settings_with(tmp_path, DATABASE_URL=f"postgresql://db/log{query}")
    assert settings["DATABASES"]["default"]["OPTIONS"]["prepare_threshold"] == expected


@pytest.mark.parametrize(
    ("url", "engine"),
    [
        ("postgresql://db/log", "django.db.backends.postgresql"),
        ("postgresql://db1:5432,db2:5433/log?target_session_attrs=read-write", "webhooklog.failover"),
        ("postgresql://proxy/log?target_session_attrs=read-write", "webhooklog.failover"),
    ],
)
def test_a_database_that_may_move_to_another_host_has_a_backend_of_its_own(tmp_path, url, engine):
    assert settings_with(tmp_path, DATABASE_URL=url)["DATABASES"]["default"]["ENGINE"] == engine


def test_a_replica_is_a_read_only_database_beside_the_default_one(tmp_path):
    variables = {"DATABASE_URL": "postgresql://db/log", "DATABASE_REPLICA_URL": "postgresql://other/log"}
    without = settings_with(tmp_path, DATABASE_URL="postgresql://db/log")
    settings = settings_with(tmp_path, **variables)
    assert settings["DATABASES"]["default"] == without["DATABASES"]["default"]
    assert settings["DATABASES"]["replica"]["HOST"] == "other"
    replica = settings["DATABASES"]["replica"]
    assert replica["ENGINE"] == "webhooklog.deadline"
    for option in ("default_transaction_read_only=on", f"statement_timeout={STATEMENT_SECONDS}s"):
        assert f"-c {option}" in replica["OPTIONS"]["options"]
    assert settings["DATABASE_ROUTERS"] == ["logs.replica.ReplicaRouter"]
    assert set(settings["MIDDLEWARE"]) - set(without["MIDDLEWARE"]) == {"logs.http.replica.ReplicaMiddleware"}


def test_without_a_replica_there_is_neither_an_alias_nor_a_router_nor_a_middleware(tmp_path):
    settings = settings_with(tmp_path, DATABASE_URL="postgresql://db/log", REPLICA_MAX_LAG_SECONDS="5")
    assert list(settings["DATABASES"]) == ["default"]
    assert settings["DATABASE_ROUTERS"] == []
    assert not [name for name in settings["MIDDLEWARE"] if "replica" in name]


def test_no_setting_holds_another_ones_secrets(tmp_path):
    settings = settings_with(tmp_path, SECRET_KEY="hunter2", DATABASE_URL="postgresql://u:hunter3@db/log")
    assert [name for name, value in settings.items() if "hunter2" in str(value)] == ["SECRET_KEY"]
    assert [name for name, value in settings.items() if "hunter3" in str(value)] == ["DATABASES"]


@pytest.mark.parametrize(
    ("script_name", "path"), [("", "log-circleci-webhook"), ("/ci", "ci/log-circleci-webhook/a/b")]
)
def test_no_webhook_is_redirected_to_https_below_a_path_either(tmp_path, script_name, path):
    (exempt,) = settings_with(tmp_path, HTTPS_ONLY="true", SCRIPT_NAME=script_name)["SECURE_REDIRECT_EXEMPT"]
    assert re.search(exempt, path)
    assert not re.search(exempt, "admin/log-circleci-webhook")


def test_a_site_below_a_path_keeps_its_cookies_and_its_static_files_there(tmp_path):
    settings = settings_with(tmp_path, SCRIPT_NAME="/ci/")
    assert settings["FORCE_SCRIPT_NAME"] == "/ci"
    assert settings["STATIC_URL"] == "/ci/static/"
    assert (settings["SESSION_COOKIE_PATH"], settings["CSRF_COOKIE_PATH"]) == ("/ci/", "/ci/")
    at_the_root = settings_with(tmp_path)
    assert (at_the_root["FORCE_SCRIPT_NAME"], at_the_root["STATIC_URL"]) == (None, "/static/")
    assert (at_the_root["SESSION_COOKIE_PATH"], at_the_root["CSRF_COOKIE_PATH"]) == ("/", "/")


def test_manage_py_names_an_unusable_variable_without_a_traceback(tmp_path):
    environment = {"PATH": os.environ["PATH"], "ENV_FILE": os.devnull, "DATA_DIR": str(tmp_path), "SECRET_KEY": "key"}
    command = [sys.executable, "manage.py", "check"]
    for name, value in {"EVENT_RETENTION_DAYS": "999999", "DATA_DIR": os.devnull, "ENV_FILE": "/no/such/file"}.items():
        variables = environment | {name: value}
        checked = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
        assert checked.returncode == 1
        assert f"  {name}: " in checked.stderr
        assert "Traceback" not in checked.stderr


@pytest.mark.parametrize(("options", "shown"), [([], False), (["--traceback"], True)])
def test_manage_py_names_the_variable_of_a_database_that_is_away(tmp_path, options, shown):
    environment = {
        "PATH": os.environ["PATH"],
        "ENV_FILE": os.devnull,
        "SECRET_KEY": "key",
        "DATA_DIR": str(tmp_path),
        "DATABASE_URL": "postgresql://127.0.0.1:1/log",
    }
    command = [sys.executable, "manage.py", "migrate", *options]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ("Traceback" in ended.stderr) is shown
    assert ("The database of DATABASE_URL" in ended.stderr) is not shown
