"""Fixtures for all tests, and the proof that they run on the database that was asked for."""

import json
import logging
import os
import random
import signal
import socket

import pytest
from django.core.cache import cache
from django.db import connection
from django.db.models.query_utils import DeferredAttribute
from django.test import Client
from hypothesis import settings as hypothesis_settings
from whitenoise.middleware import WhiteNoiseMiddleware

from logs.api import throttling
from logs.circleci import samples

hypothesis_settings.register_profile("quick", max_examples=100, deadline=None)
hypothesis_settings.register_profile("thorough", max_examples=10_000, deadline=None)
hypothesis_settings.load_profile(os.environ.get("PYTEST_HYPOTHESIS_PROFILE", "quick"))

# The servers' threads outlive what a test captures, and would write of each request to what is closed.
logging.getLogger("werkzeug").setLevel(logging.WARNING)

# A job that a script starts in the background ignores SIGINT, and so would each process that a test stops by it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Modules that take longest. A parallel run starts with them; otherwise one worker could end with one of them alone.
LONGEST_MODULES = {
    "test_behind_nginx",
    "test_below_a_path",
    "test_broken_exports",
    "test_every_variable",
    "test_filter_events",
    "test_formats",
    "test_listen",
    "test_make_run",
    "test_pgbouncer",
    "test_replica",
    "test_prometheus",
    "test_restore",
    "test_rollups",
    "test_server",
    "test_watch_worker",
}

WEBHOOK = "My CircleCI Webhook"
SECRET = "a-secret-of-the-tests"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.stem not in LONGEST_MODULES)


@pytest.fixture(scope="session", autouse=True)
def database_is_the_one_asked_for(pytestconfig):
    # Settings read too early would fall back to SQLite, and a whole run would prove nothing about PostgreSQL.
    assert connection.vendor == pytestconfig.getoption("database")


@pytest.fixture(scope="session")
def django_db_modify_db_settings(request):
    """Name the test database after the worker; on SQLite, each worker already has a folder of its own."""
    if connection.vendor != "sqlite":
        request.getfixturevalue("django_db_modify_db_settings_parallel_suffix")


@pytest.fixture(scope="session", autouse=True)
def static_files_are_found_once():
    """Share what WhiteNoise finds: each test client would stat hundreds of files, longer than most tests take."""
    found = {}
    find = WhiteNoiseMiddleware.add_files_from_finders

    def add_files_from_finders(self):
        key = self.static_prefix, self.max_age
        if key not in found:
            find(self)
            found[key] = self.files
        self.files = found[key].copy()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WhiteNoiseMiddleware, "add_files_from_finders", add_files_from_finders)
        yield


@pytest.fixture(scope="session", autouse=True)
def no_column_is_loaded_row_by_row():
    """Refuse to load a column that a query left out: a list would send one more query for each row."""
    load = DeferredAttribute.__get__

    def refuse(self, instance, owner=None):
        name = self.field.attname
        is_left_out = instance and not instance._state.adding and name not in instance.__dict__
        # A page of one delivery loads its body when it is needed.
        if is_left_out and name != "body":
            pytest.fail(f"the query of this {instance._meta.model_name} must load {name}")
        return load(self, instance, owner)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DeferredAttribute, "__get__", refuse)
        yield


@pytest.fixture(autouse=True)
def nothing_remembered():
    """Empty the cache: a test's clock may stand where another's stood."""
    cache.clear()


@pytest.fixture(autouse=True)
def quick_passwords(settings):
    """Hash passwords in microseconds: no test is about how long that takes."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(autouse=True)
def counts_of_its_own(settings, tmp_path):
    """Count each test's requests to the API from nought."""
    settings.API_REQUESTS_FILE = tmp_path / "requests.sqlite3"
    yield
    throttling.counts().close()


@pytest.fixture
def unused_port():
    """A port of this machine that nothing listens at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.fixture
def webhook_secrets(settings):
    """The configured webhooks, to be changed by a test."""
    settings.CIRCLECI_WEBHOOK_SECRETS = {WEBHOOK: SECRET}
    return settings.CIRCLECI_WEBHOOK_SECRETS


@pytest.fixture
def workflow_document():
    """Make a workflow-completed payload; the same arguments make the same payload."""

    def make(seed=1, **overrides):
        return samples.workflow_completed(random=random.Random(seed), **overrides)

    return make


@pytest.fixture
def ping_document():
    """A ping payload."""
    return samples.ping(random=random.Random(1))


@pytest.fixture
def csrf_client():
    """A client that CSRF protection applies to, as it does to a browser."""
    return Client(enforce_csrf_checks=True)


@pytest.fixture
def deliver(client, webhook_secrets):
    """Post a payload (a document or bytes) as CircleCI does; `headers` are added, or left out where they are None."""

    def post(payload, path="/log-circleci-webhook", secret=SECRET, headers=None, **extra):
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        document = payload if isinstance(payload, dict) else {"type": "workflow-completed"}
        all_headers = samples.headers(body, document, secret) | (headers or {})
        sent = {name: value for name, value in all_headers.items() if value is not None}
        content_type = sent.pop("content-type", "")
        return client.generic("POST", path, body, content_type=content_type, headers=sent, **extra)

    return post
