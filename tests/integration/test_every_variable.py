"""Whatever a variable holds: the start fails and names it, or the site logs a delivery and lists it."""

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection

from webhooklog import env_reader
from webhooklog.env import Environment, read_environment
from webhooklog.env_reader import BOUNDS

ROOT = Path(__file__).parents[2]
VARIABLES = [field.name.upper() for field in dataclasses.fields(Environment)]
SECRET = "a-secret-of-these-tests"
VALUES = {"nonsense": "nonsense!", "zero": "0", "negative": "-1", "huge": "9" * 3_000, "empty": ""}
KINDS = [*VALUES, "lowest", "highest"]
# With these values the system checks warn instead: a site may be started before its webhooks are known.
WARNED = {("CIRCLECI_WEBHOOK_SECRETS", "empty"): "logs.W001"}

# Prepares a site, runs its checks, sends it one signed delivery, and opens the pages that the settings matter to.
SITE = """
import django, json, os, random, sys
django.setup()
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.test import Client
from logs.circleci import samples
from logs.circleci.signature import sign
from logs.watch.leases import Lease
from logs.watch.tasks import all_tasks
call_command("check")
call_command("migrate", verbosity=0)
host = settings.ALLOWED_HOSTS[0]
client = Client(headers={"host": host, "x-forwarded-proto": "https"}, raise_request_exception=False)
body = json.dumps(samples.workflow_completed(random=random.Random(os.environ["SEED"]))).encode()
headers = {"circleci-signature": sign(body, os.environ["SECRET"])}
def post(headers): return client.post("/log-circleci-webhook", body, "application/json", headers=headers)
statuses = [post(headers).status_code, post({}).status_code]
client.force_login(get_user_model().objects.create_superuser(os.environ["SEED"]))
for path in ("/fetch-webhooks-logs", "/deliveries", "/admin/", "/readyz"):
    statuses.append(client.get(path).status_code)
call_command("prune", dry_run=True, stdout=sys.stderr)
call_command("rollup", stdout=sys.stderr)
for task in all_tasks():
    lease = Lease(task.name)
    assert lease.hold()
    list(task.run(lease))
    lease.release()
print(json.dumps(statuses))
"""


def value_of(variable, kind):
    """Return the value of a kind; None where the kind says nothing about the variable."""
    if kind in VALUES:
        return VALUES[kind]
    return str(BOUNDS[variable][kind == "highest"]) if variable in BOUNDS else None


@pytest.fixture
def bare(tmp_path):
    """The environment of a site that works, with the database of the tests."""
    database = {}
    if connection.vendor == "postgresql":
        url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}")
        database = {"DATABASE_URL": url.geturl()}
    return {
        **database,
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "DJANGO_SETTINGS_MODULE": "webhooklog.settings",
        "ENV_FILE": os.devnull,
        "DATA_DIR": str(tmp_path / "data"),
        "SECRET_KEY": "k" * 60,
        "CIRCLECI_WEBHOOK_SECRETS": json.dumps({"payments": SECRET}),
    }


@pytest.fixture
def error_of(bare, monkeypatch, tmp_path):
    """Return the error that a start with these variables ends with; "" if it does not."""
    for name in os.environ:
        if not name.startswith("PYTEST"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(env_reader, "BASE_DIR", tmp_path)

    def read(**variables):
        for name, value in (bare | variables).items():
            monkeypatch.setenv(name, value)
        try:
            read_environment()
        except ImproperlyConfigured as error:
            return str(error)
        return ""

    return read


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("variable", [*VARIABLES, "ENV_FILE"])
def test_an_unusable_value_ends_the_start_with_an_error_that_names_its_variable_only(error_of, variable, kind):
    value = value_of(variable, kind)
    error = error_of(**{variable: value}) if value is not None else ""
    if error:
        assert re.findall(r"^  ([A-Z_]+): .{10}", error, re.MULTILINE) == [variable]
    if kind in {"lowest", "highest"}:
        assert error == ""


@pytest.mark.parametrize("content", [None, "", "folder"])
@pytest.mark.parametrize("variable", VARIABLES)
def test_an_unreadable_file_ends_the_start_with_an_error_that_names_its_variable(error_of, tmp_path, variable, content):
    path = tmp_path / "value"
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_text(content)
    error = error_of(**{variable: "", f"{variable}_FILE": str(path)})
    assert re.findall(r"^  ([A-Z_]+): .{10}", error, re.MULTILINE) == [variable]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", KINDS)
def test_a_site_works_with_every_value_that_a_start_accepts(bare, error_of, tmp_path, kind):
    values = {name: value_of(name, kind) for name in VARIABLES if (name, kind) not in WARNED}
    accepted = {name: value for name, value in values.items() if value is not None and not error_of(**{name: value})}
    if not accepted.get("DATA_DIR"):
        accepted.pop("DATA_DIR", None)  # By default in the project's own folder.
    environment = bare | accepted | {"SECRET": SECRET, "SEED": kind}
    site = subprocess.run(
        [sys.executable, "-c", SITE], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert site.returncode == 0, site.stderr
    assert json.loads(site.stdout.splitlines()[-1]) == [201, 401, 200, 200, 200, 200], site.stderr


@pytest.mark.parametrize(("variable", "kind"), WARNED)
def test_the_checks_warn_of_a_value_that_a_site_cannot_log_with(bare, tmp_path, variable, kind):
    environment = bare | {variable: value_of(variable, kind)}
    command = [sys.executable, ROOT / "manage.py", "check"]
    checked = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert checked.returncode == 0
    assert WARNED[variable, kind] in checked.stderr
    assert variable in checked.stderr


def test_every_variable_that_the_code_reads_is_tested_here():
    code = (ROOT / "webhooklog" / "env.py").read_text(encoding="utf-8")
    assert {"DATA_DIR", *re.findall(r'env\.\w+\("([A-Z_]+)"', code)} == set(VARIABLES)
    readers = [*ROOT.glob("webhooklog/*.py"), *ROOT.glob("logs/**/*.py"), ROOT / "docker" / "gunicorn.conf.py"]
    read = r'os\.(?:environ\[|environ\.get\(|getenv\()"([A-Z_]+)"'
    others = {name for path in readers for name in re.findall(read, path.read_text(encoding="utf-8"))}
    assert others - set(VARIABLES) <= {"ENV_FILE"}
