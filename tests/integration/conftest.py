"""Fixtures of integration tests: users, logs at a fixed time, and the server that send_test_webhook sends to."""

import io
import json
from datetime import timedelta
from io import StringIO

import pytest
import time_machine
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.management import call_command
from django.test import Client

from logs.api.asgi import Application
from logs.circleci import samples
from logs.ingest import insertion, pipeline
from logs.insights import counting
from logs.models import Delivery, RollupState
from tests.conftest import SECRET
from tests.integration import dashboard_log, on_loop, rollup_history
from tests.integration.on_loop import Exchange, answers
from webhooklog.wsgi import application as wsgi_application

PATH = "/log-circleci-webhook"
CREATED = json.dumps({"message": "Webhook Event successfully logged", "outcome": "logged"})


@pytest.fixture
def deliver_in_chunks(client, webhook_secrets):
    """Post a body as a server hands it over that came in chunks: without a length, but with an end."""

    def post(body, secret, **headers):
        sent = (
            samples.headers(body, {"type": "workflow-completed"}, secret) | {"transfer-encoding": "chunked"} | headers
        )
        stream = {"wsgi.input": io.BytesIO(body), "wsgi.input_terminated": True}
        return client.generic("POST", PATH, headers=sent, **stream)

    return post


@pytest.fixture
def user_with():
    """Make a user who has the permissions of these code names."""

    def make(*codenames, username="reader"):
        user = get_user_model().objects.create_user(username)
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        assert user.user_permissions.count() == len(codenames)
        return user

    return make


@pytest.fixture
def client_of():
    """Make a client that is signed in as a user."""

    def make(user):
        client = Client()
        client.force_login(user)
        return client

    return make


@pytest.fixture
def reader(user_with, client_of):
    """A client whose user may view events, and nothing else."""
    return client_of(user_with("view_workflowevent"))


@pytest.fixture
def staff_with(user_with, client_of):
    """Make a client whose user may enter the admin and has these permissions."""

    def make(*codenames, username="reader"):
        user = user_with(*codenames, username=username)
        user.is_staff = True
        user.save()
        return client_of(user)

    return make


@pytest.fixture
def clock():
    """The time, stopped at half past ten, to be moved by a test."""
    with time_machine.travel(rollup_history.NOW, tick=False) as clock:
        yield clock


@pytest.fixture
def half_past_two(settings):
    """Stop the clock, and name the default branches."""
    settings.DEFAULT_BRANCHES = ["main", "master"]
    with time_machine.travel(dashboard_log.NOW, tick=False):
        yield


@pytest.fixture
def counted():
    """A log whose events of the last months are all counted; retention has removed its oldest ones."""
    dashboard_log.make_statuses(1, hours_ago=80 * 24)
    return RollupState.objects.create(
        counted_from=dashboard_log.NOW - timedelta(days=90),
        counted_until=dashboard_log.NOW,
        complete_until=dashboard_log.NOW,
    )


@pytest.fixture
def large_log(monkeypatch):
    """Treat any log as a large one, which pages do not count each time."""
    monkeypatch.setattr(counting, "SMALL_LOG", -1)


@pytest.fixture
def watched():
    """A log whose branches the watch has judged, and judges."""
    return dashboard_log.make_watch()


@pytest.fixture
def ops(counted, watched, staff_with):
    """A client whose user may view events and deliveries, on a log that is counted and watched."""
    return staff_with("view_workflowevent", "view_delivery")


@pytest.fixture
def receiver(httpserver):
    """A server that accepts every webhook."""
    httpserver.expect_request(PATH, method="POST").respond_with_data(CREATED, 201, content_type="application/json")
    return httpserver


@pytest.fixture
def send(httpserver):
    """Run the command towards the server and return the lines that it writes."""

    def run(*arguments, url=None):
        out = StringIO()
        call_command("send_test_webhook", url or httpserver.url_for(PATH), *arguments, stdout=out)
        return out.getvalue().splitlines()

    return run


@pytest.fixture(autouse=True)
def alone(request, monkeypatch):
    """Receive as outside of the transaction in which a test stands, so that it can be rolled back."""
    marker = request.node.get_closest_marker("django_db")
    if marker and not marker.kwargs.get("transaction"):
        monkeypatch.setattr(pipeline, "is_outside_transactions", lambda: True)


@pytest.fixture
def break_database(monkeypatch):
    """Let whatever would be written of a delivery fail with an error of the database's."""

    def fail_with(error):
        def fail(*args, **kwargs):
            raise error

        monkeypatch.setattr(Delivery, "save", fail)
        monkeypatch.setattr(insertion, "RawCursor", fail)
        monkeypatch.setattr(insertion, "_insert_in_turn", fail)

    return fail_with


@pytest.fixture
def build_application(monkeypatch):
    """Send the loop's requests to a new application, which reads the settings again."""
    return lambda: monkeypatch.setattr(on_loop, "application", Application(wsgi_application))


@pytest.fixture
def deliver_on_loop(webhook_secrets):
    """Post a payload as `deliver` does, to the ASGI application; several payloads arrive at once."""

    def post(*payloads, path="/log-circleci-webhook", secret=SECRET, headers=None, **options):
        exchanges = []
        for payload in payloads:
            body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
            document = payload if isinstance(payload, dict) else {"type": "workflow-completed"}
            sent = samples.headers(body, document, secret) | {"content-length": str(len(body))} | (headers or {})
            sent = {name: value for name, value in sent.items() if value is not None}
            exchanges.append(Exchange("POST", path, chunks=[body], headers=sent, **options))
        found = answers(*exchanges)
        return found if len(payloads) > 1 else found[0]

    return post
