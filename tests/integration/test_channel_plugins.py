"""A kind of channel from another package works like a built-in one, and its faults do not harm other channels."""

import json
import os
import subprocess
import sys
from pathlib import Path
from threading import Event
from urllib.parse import urlsplit

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape

from logs.models import Alarm, Channel, Notification
from logs.notifications import dispatching, sending
from logs.notifications.channels import PLUGINS, TRANSPORTS, plugins
from logs.notifications.channels.base import Field, Sent, Transport, json_request
from logs.notifications.dispatching import Dispatcher
from logs.notifications.guard import Response
from logs.notifications.sealing import seal
from tests.integration.alarm_log import Checks, add_rule
from tests.integration.standings_log import HOUR, MINUTE, SECOND
from tests.unit.notifications.channels.contract import make_content

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs/examples/webhooklog-paperplane"
SECRET = "https://loft.example.org/S3cretS3cretS3cret"
TOKEN = "0123456789abcdef" * 2
LIST, ADD = reverse("admin:logs_channel_changelist"), reverse("admin:logs_channel_add")


class Pigeon(Transport):
    """A plug-in that acts as a test says."""

    interface = 1
    kind, title = "pigeon", "Pigeon <i>"
    fields = (Field(name="url", label="Loft", is_secret=True, pattern="https://.*", invalid="Enter a URL."),)
    act = None

    def request(self, message):
        return json_request(message.settings["url"], {"text": message.content.subject})

    def deliver(self, message, send):
        return self.act(message, send) if self.act else super().deliver(message, send)


@pytest.fixture
def pigeon(monkeypatch):
    """Load the plug-in."""
    plugin = Pigeon()
    monkeypatch.setitem(TRANSPORTS, "pigeon", plugin)
    monkeypatch.setitem(PLUGINS, "pigeon", plugin)
    return plugin


@pytest.fixture
def requests(monkeypatch):
    """The requests of all channels, which are accepted."""
    made = []

    def accept(request):
        made.append(request)
        return Response(status=200, headers={}, body=b"ok")

    monkeypatch.setattr("logs.notifications.guard.send", accept)
    return made


@pytest.fixture
def let_go(monkeypatch):
    """Let the plug-in hang until the event is set; the sender waits hardly at all."""
    monkeypatch.setattr(plugins, "PATIENCE_SECONDS", 0.05)
    event = Event()
    yield event
    event.set()


@pytest.fixture
def admin(staff_with):
    """A client of an administrator."""
    return staff_with("view_channel", "add_channel", "change_channel", "test_channel", username="administrator")


def add_channel(name="loft", kind="pigeon", **columns):
    return Channel.objects.create(name=name, kind=kind, sealed=seal({"url": SECRET}), **columns)


def add_message(channel):
    return Notification.objects.create(
        channel=channel,
        kind="broke",
        key=f"{channel.pk}:{Notification.objects.count()}",
        content=make_content().to_json(),
        expires_at=timezone.now() + HOUR,
    )


def send_due():
    for key in Channel.objects.due().values_list("pk", flat=True):
        sending.send_waiting(key, is_stopping=lambda: False)


def run(clock, duration):
    """Send what is due each second."""
    for _ in range(int(duration / SECOND)):
        send_due()
        clock.shift(SECOND)


def read(client, url):
    answer = client.get(url)
    assert answer.status_code == 200
    return answer.content.decode()


def page_of(channel):
    return reverse("admin:logs_channel_change", args=[channel.pk])


def is_settled():
    """Return whether no sender has a channel."""
    return not Channel.objects.exclude(claimed_until=None).exists()


# Sending.


@pytest.mark.django_db
def test_a_plugin_sends_what_waits(pigeon, requests):
    channel = add_channel()
    for _ in range(3):
        add_message(channel)
    send_due()
    assert [json.loads(request.body)["text"] for request in requests] == ["acme/orchard: build broke on main"] * 3
    assert set(Notification.objects.values_list("state", "last_status")) == {("sent", 200)}


@pytest.mark.django_db
def test_a_plugin_that_raises_is_tried_later_with_the_reason(pigeon, requests, clock, caplog):
    def fail(message, send):
        raise KeyError(message.settings["url"])

    pigeon.act = fail
    channel = add_channel()
    add_message(channel)
    run(clock, 5 * SECOND)
    channel.refresh_from_db()
    assert (channel.enabled, channel.last_error, channel.failures_in_a_row) == (True, "internal error: KeyError", 1)
    assert "in fail" in caplog.text
    assert SECRET not in caplog.text
    pigeon.act = None
    run(clock, 10 * SECOND)
    assert Notification.objects.get().state == "sent"


@pytest.mark.django_db
@pytest.mark.parametrize("answer", [None, ("sent", 200), (Sent(), 70_000), (Sent(), "200")])
def test_a_plugin_that_returns_no_outcome_is_tried_later(pigeon, clock, answer):
    pigeon.act = lambda *_: answer
    channel = add_channel()
    add_message(channel)
    run(clock, 5 * SECOND)
    channel.refresh_from_db()
    assert (channel.enabled, channel.last_error, channel.failures_in_a_row) == (True, "internal error: TypeError", 1)


@pytest.mark.django_db
def test_a_plugin_that_hangs_three_times_is_disabled_with_an_alarm_to_other_channels(pigeon, requests, clock, let_go):
    pigeon.act = lambda *_: let_go.wait(10)
    channel, other = add_channel(), add_channel("ops", kind="slack")
    add_rule(other)
    add_message(channel)
    check = Checks(clock)
    run(clock, 20 * SECOND)
    channel.refresh_from_db()
    assert (channel.enabled, channel.last_error) == (True, "the plug-in did not answer within 15 seconds")
    assert not check()
    run(clock, MINUTE)
    channel.refresh_from_db()
    reason = "failed three times in a row: the plug-in did not answer within 15 seconds"
    assert (channel.enabled, channel.disabled_reason) == (False, reason)
    assert Notification.objects.get().attempts_made == 3
    assert check()
    assert Alarm.objects.get().detail == {"channel": "loft", "kind": "pigeon", "reason": reason}
    send_due()
    (request,) = requests
    assert "loft" in request.body.decode()
    assert reason in request.body.decode()


@pytest.mark.django_db
def test_a_plugin_that_answers_again_is_not_disabled(pigeon, requests, clock, let_go):
    pigeon.act = lambda *_: let_go.wait(10)
    channel = add_channel()
    add_message(channel)
    run(clock, 20 * SECOND)
    assert Notification.objects.get().attempts_made == 2
    pigeon.act = None
    run(clock, MINUTE)
    channel.refresh_from_db()
    assert (channel.enabled, channel.rejections_in_a_row, Notification.objects.get().state) == (True, 0, "sent")


@pytest.mark.django_db(transaction=True)
def test_other_channels_send_while_plugins_hang_in_all_threads(pigeon, requests, let_go):
    pigeon.act = lambda *_: let_go.wait(10)
    hanging = [add_channel(f"loft {number}") for number in range(dispatching.THREADS)]
    others = [add_channel(f"chat {number}", kind="slack") for number in range(3)]
    for channel in (*hanging, *others):
        add_message(channel)
    dispatcher = Dispatcher()
    dispatcher.send_due()
    pause = Event()
    for _ in range(500):
        if is_settled() and len(requests) == len(others):
            break
        pause.wait(0.01)
    dispatcher.is_stopping = True
    states = dict(Notification.objects.values_list("channel__kind", "state"))
    let_go.set()
    dispatcher.stop(lambda: None)
    assert (states, len(requests)) == ({"pigeon": "waiting", "slack": "sent"}, len(others))


# The admin.


@pytest.mark.django_db
def test_a_plugin_is_offered_and_added_like_a_built_in_kind(pigeon, admin):
    assert f'<a class="card" href="?kind=pigeon">{escape(pigeon.title)}</a>' in read(admin, ADD)
    assert "Loft" in read(admin, f"{ADD}?kind=pigeon")
    answer = admin.post(f"{ADD}?kind=pigeon", {"name": "loft", "hourly_limit": "", "setting_url": "pigeon"})
    assert "Enter a URL." in answer.content.decode()
    admin.post(f"{ADD}?kind=pigeon", {"name": "loft", "hourly_limit": "", "setting_url": SECRET})
    channel = Channel.objects.get()
    assert channel.kind == "pigeon"
    for url in (LIST, page_of(channel)):
        page = read(admin, url)
        assert escape(pigeon.title) in page
        assert "never used" in page
        assert SECRET not in page


@pytest.mark.django_db
def test_a_channel_without_its_plugin_has_a_clear_state_on_each_page(admin, django_assert_num_queries):
    channel = add_channel()
    for url in (LIST, page_of(channel)):
        Channel.objects.update(kind="slack")
        with CaptureQueriesContext(connection) as expected:
            read(admin, url)
        Channel.objects.update(kind="pigeon")
        with django_assert_num_queries(len(expected)):
            page = read(admin, url)
        assert "unknown kind" in page
        assert "This site cannot send to it: see CHANNEL_PLUGINS." in page
        assert "pigeon" in page
    assert "Send test message" not in page
    assert "Edit settings" not in page
    answer = admin.get(reverse("admin:logs_channel_settings", args=[channel.pk]), follow=True)
    assert answer.status_code == 200


@pytest.mark.django_db
def test_a_channel_without_its_plugin_is_disabled_by_a_message_and_works_again_with_it(requests, request):
    channel = add_channel()
    add_message(channel)
    send_due()
    channel.refresh_from_db()
    reason = "this site cannot send to the kind pigeon: see CHANNEL_PLUGINS"
    assert (channel.enabled, channel.disabled_reason, requests) == (False, reason, [])
    request.getfixturevalue("pigeon")
    channel.enable()
    send_due()
    assert Notification.objects.get().state == "sent"


# The example of the documentation.


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """Install the example with pip, offline, into a folder."""
    folder = tmp_path_factory.mktemp("example")
    # uv contains the build backend that the example names, so that nothing is downloaded.
    build = ["uv", "build", "--wheel", "--offline", "--no-cache", "--out-dir", folder, EXAMPLE]
    run_python("-m", *build)
    (wheel,) = folder.glob("*.whl")
    run_python("-m", "pip", "install", "--no-index", "--no-deps", "--target", folder / "installed", wheel)
    return folder / "installed"


def run_python(*arguments, **environment):
    """Run Python in an environment of its own, and return what it printed."""
    variables = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "ENV_FILE": os.devnull}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=variables | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


SITE = """
import django, os
django.setup()
from django.core.management import call_command
from logs.models import Channel
from logs.notifications.sealing import seal
call_command("check", fail_level="WARNING")
call_command("migrate", verbosity=0)
options, sealed = {"url": os.environ["RUNWAY"]}, seal({"token": os.environ["TOKEN"]})
Channel.objects.create(name="plane", kind="paperplane", options=options, sealed=sealed)
call_command("test_channel", "plane")
"""


@pytest.mark.django_db(transaction=True)
def test_the_example_is_installed_with_pip_and_sends(example, httpserver, tmp_path):
    httpserver.expect_request("/runways/7", method="POST").respond_with_data("", 201)
    variables = {
        "PYTHONPATH": os.pathsep.join(map(str, (ROOT, example))),
        "DJANGO_SETTINGS_MODULE": "webhooklog.settings",
        "DATA_DIR": str(tmp_path),
        "SECRET_KEY": "k" * 60,
        "CIRCLECI_WEBHOOK_SECRETS": '{"payments": "a-secret-of-these-tests"}',
        "CHANNEL_PLUGINS": "paperplane",
        "NOTIFICATION_ALLOWED_NETWORKS": "127.0.0.0/8",
        "RUNWAY": httpserver.url_for("/runways/7"),
        "TOKEN": TOKEN,
    }
    if connection.vendor == "postgresql":
        url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}")
        variables["DATABASE_URL"] = url.geturl()
    assert run_python("-c", SITE, **variables).endswith("sent (201)\n")
    ((request, _),) = httpserver.log
    assert request.headers["Authorization"] == f"Bearer {TOKEN}"
    plane = request.get_json()
    assert (plane["title"], plane["paper"]) == ("Test message from webhooklog", "green")


@pytest.mark.sqlite_site
def test_the_example_keeps_the_contract(example):
    test = EXAMPLE / "test_paperplane.py"
    options = ["-q", "-p", "no:cacheprovider", "-c", ROOT / "pyproject.toml"]
    assert " passed" in run_python("-m", "pytest", *options, test, PYTHONPATH=str(example))
