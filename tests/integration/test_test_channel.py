"""manage.py test_channel: sends a test as the watch would, and reports the vendor's words."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from logs.management.commands import test_channel as command
from logs.models import Channel, Notification
from logs.notifications import guard
from logs.notifications.guard import Response, Unreachable
from logs.notifications.sealing import seal

pytestmark = pytest.mark.django_db

URL = "https://hooks.slack.com/services/T024BE7LD/B024BE7LH/XjkW8vQzfQ2x"


@pytest.fixture
def vendor(monkeypatch):
    """Answer requests as a vendor; return the requests."""
    requests = []

    def answer_with(answer):
        def send(request):
            requests.append(request)
            if isinstance(answer, Exception):
                raise answer
            status, text = answer
            return Response(status=status, headers={}, body=text.encode())

        monkeypatch.setattr(guard, "send", send)
        return requests

    return answer_with


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    """Do not wait for a lease."""
    monkeypatch.setattr(command, "TIMEOUT_SECONDS", 0.1)
    monkeypatch.setattr(command, "PAUSE_SECONDS", 0.01)


def make_channel(**values):
    return Channel.objects.create(**{"name": "ops", "kind": "slack", "sealed": seal({"url": URL})} | values)


def run(name="ops"):
    out = StringIO()
    call_command("test_channel", name, stdout=out)
    return out.getvalue()


def fail(name="ops"):
    with pytest.raises(CommandError) as caught:
        run(name)
    return str(caught.value), caught.value.returncode


def test_sends_the_test_alone(vendor):
    channel = make_channel(not_before=timezone.now() + timedelta(hours=1), failures_in_a_row=3)
    other = Notification.objects.create(
        channel=channel, kind="broke", key="1", expires_at=timezone.now() + timedelta(hours=1)
    )
    requests = vendor((200, "ok"))
    assert run() == "sent (200)\n"
    (request,) = requests
    assert request.url == URL
    assert b"Test message" in request.body
    other.refresh_from_db()
    assert other.state == "waiting"
    assert Notification.objects.get(kind="test").state == "sent"
    assert Channel.objects.get().claimed_until is None


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"kind": "teams"}, "accepted (202), which does not prove that the message is shown\n"),
        (
            {
                "kind": "pagerduty",
                "options": {"base_url": "https://events.pagerduty.com"},
                "sealed": seal({"routing_key": "0123456789abcdef" * 2}),
            },
            "sent (202)\n",
        ),
    ],
)
def test_an_accepted_message_is_only_questioned_if_it_would_be_shown(vendor, values, expected):
    make_channel(**values)
    vendor((202, ""))
    assert run() == expected


def test_a_second_test_reports_the_failure_of_the_first_which_is_sent_again_before_it(vendor):
    make_channel()
    vendor((503, "busy"))
    assert fail() == ("503 busy; the watch will try again", 1)
    assert fail() == ("503 busy; the watch will try again", 1)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ((400, "invalid_payload"), "400 invalid_payload"),
        ((503, "busy \x1b[2J"), "503 busy [2J; the watch will try again"),
        ((404, "no_service"), "404 no_service; the channel is now disabled"),
        (Unreachable("it did not respond in time"), "it did not respond in time; the watch will try again"),
    ],
)
def test_a_failure_is_reported_in_the_vendors_words(vendor, answer, expected):
    make_channel()
    vendor(answer)
    assert fail() == (expected, 1)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"enabled": False}, "the channel is disabled; enable it in the admin"),
        ({"enabled": False, "disabled_reason": "404 no"}, "the channel is disabled: 404 no; enable it in the admin"),
        ({"kind": "pigeon"}, "this site cannot send to the kind 'pigeon': see CHANNEL_PLUGINS"),
    ],
)
def test_a_channel_that_sends_nothing_is_not_tested(vendor, values, expected):
    make_channel(**values)
    assert vendor((200, "ok")) == []
    assert fail() == (expected, 1)
    assert not Notification.objects.exists()


def test_a_muted_channel_is_not_tested(vendor):
    make_channel(muted_until=timezone.now() + timedelta(hours=1))
    message, code = fail()
    assert message.startswith("the channel is muted until ")
    assert code == 1


def test_an_unreadable_secret_is_reported(vendor, settings):
    make_channel()
    settings.SECRET_KEY = "another key, for example of another site"
    assert fail() == ("its secret cannot be read: SECRET_KEY has changed; the channel is now disabled", 1)


def test_waits_for_another_process_that_sends(vendor):
    make_channel(claim="watch", claimed_until=timezone.now() + timedelta(minutes=1))
    vendor((200, "ok"))
    assert fail() == ("not sent within 0.1 seconds", 1)


def test_an_unknown_channel_is_reported_with_the_known_ones():
    assert fail("nix") == ("there is no channel 'nix'; channels: none", 2)
    make_channel()
    assert fail("nix") == ("there is no channel 'nix'; channels: 'ops'", 2)
