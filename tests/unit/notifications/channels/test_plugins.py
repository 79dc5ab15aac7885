"""A package offers a kind of channel; its faults reach neither the site nor the sender."""

import sys
import threading
from datetime import timedelta
from threading import Event

import pytest
from django.core.checks import run_checks

from logs.notifications import channels
from logs.notifications.channels import plugins
from logs.notifications.channels.base import MAX_PAUSE, Dead, Later, Refused, Sent, Transport
from logs.notifications.channels.plugins import deliver_in_time, load_plugins
from logs.notifications.guard import DEADLINE_SECONDS, Response, Unreachable
from tests.plugin_packages import write_package
from tests.unit.notifications.channels.contract import make_content

BUILT_IN = {"slack", "mail"}


@pytest.fixture
def offer(tmp_path, monkeypatch):
    """Install a package for the test."""
    known = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)

    def install(name="pigeon", **options):
        return write_package(tmp_path, name, **options)

    yield install
    for name in set(sys.modules) - known:
        if name.startswith("webhooklog_"):
            del sys.modules[name]


def problem_of(name="pigeon"):
    found, problems = load_plugins([name], BUILT_IN)
    assert found == {}
    (problem,) = problems
    return problem


# Loading.


def test_a_named_plugin_is_loaded(offer):
    offer()
    found, problems = load_plugins(["pigeon", "pigeon"], BUILT_IN)
    assert problems == []
    assert {name: plugin.title for name, plugin in found.items()} == {"pigeon": "Pigeon <i>"}


def test_a_plugin_that_is_not_named_is_not_imported(offer):
    named, other = offer(), offer("magpie", code="raise SystemExit")
    load_plugins(["pigeon"], BUILT_IN)
    assert named in sys.modules
    assert other not in sys.modules


def test_without_names_no_package_is_searched(monkeypatch):
    monkeypatch.setattr(plugins, "entry_points", None)
    assert load_plugins([], BUILT_IN) == ({}, [])


def test_a_name_that_is_not_installed_is_reported_with_the_accepted_names(offer):
    offer("magpie")
    offer("crow")
    offer("slack", module="webhooklog_other_slack")
    assert problem_of() == (
        "CHANNEL_PLUGINS names 'pigeon', which no installed package offers. Installed plug-ins: crow, magpie."
    )


def test_without_any_plugin_none_is_accepted():
    assert problem_of().endswith(" Installed plug-ins: none.")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import orchard", "ModuleNotFoundError: No module named 'orchard'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("def", "SyntaxError: "),
        ("Eagle = 1", "AttributeError: "),
        ("from logs.notifications.channels.base import Gone", "ImportError: cannot import name 'Gone'"),
    ],
)
def test_a_plugin_that_cannot_be_imported_is_reported(offer, code, reason):
    offer(code=code)
    assert problem_of().startswith(f"CHANNEL_PLUGINS names 'pigeon', which cannot be loaded: {reason}")


def test_a_built_in_kind_is_not_replaced(offer):
    module = offer("slack")
    assert problem_of("slack").startswith("CHANNEL_PLUGINS names 'slack', which is a built-in kind. ")
    assert module not in sys.modules


def test_a_plugin_that_offers_another_kind_than_its_name_is_reported(offer):
    offer(kind="slack")
    assert problem_of().startswith("CHANNEL_PLUGINS names 'pigeon', which offers the kind 'slack' instead. ")


@pytest.mark.parametrize("interface", [None, 0, 2, "1"])
def test_another_version_of_the_interface_is_reported(offer, interface):
    offer(interface=repr(interface))
    expected = f"CHANNEL_PLUGINS names 'pigeon', which has interface {interface} instead of 1. "
    assert problem_of().startswith(expected)


def test_a_plugin_that_states_no_interface_is_reported(offer):
    offer(more="    del interface")
    assert "which has interface None instead of 1" in problem_of()


@pytest.mark.parametrize("code", ["Pigeon = 1", "class Pigeon: interface = 1", "def Pigeon(): pass"])
def test_a_plugin_of_another_class_is_reported(offer, code):
    offer(code=code)
    assert "which is not a subclass of Transport" in problem_of()


def test_a_name_that_two_packages_offer_is_reported(offer):
    offer()
    offer(module="webhooklog_other_pigeon")
    assert "which 2 installed packages offer" in problem_of()


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ("    title = None", "whose title must be text, and whose lifetime a timedelta"),
        ("    lifetime = 3600", "whose title must be text, and whose lifetime a timedelta"),
        ("    fields = ['url']", "which cannot be loaded: AttributeError"),
        ("    fields = [Field(name='url', label='Loft', pattern='(')]", "which cannot be loaded: "),
        ("    def __init__(self): raise OSError('no seeds')", "which cannot be loaded: OSError: no seeds."),
    ],
)
def test_a_plugin_that_would_break_pages_or_the_outbox_is_reported(offer, more, reason):
    offer(more=more)
    assert reason in problem_of()


def test_the_others_are_loaded_although_one_cannot_be_used(offer):
    offer("magpie", code="import orchard")
    offer()
    found, problems = load_plugins(["magpie", "crow", "pigeon"], BUILT_IN)
    assert list(found) == ["pigeon"]
    assert len(problems) == 2


def test_a_system_check_reports_each_plugin_that_cannot_be_used(monkeypatch, settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = {"payments": "a-secret-that-is-long-enough"}
    assert [message.id for message in run_checks()] == []
    monkeypatch.setattr(channels, "PLUGIN_PROBLEMS", ["CHANNEL_PLUGINS names 'pigeon', which …"])
    (message,) = run_checks()
    assert (message.id, message.is_serious()) == ("logs.W014", False)
    assert "CHANNEL_PLUGINS" in message.hint


# Sending.


class Plugin(Transport):
    """Answers as a test says."""

    kind = "pigeon"

    def __init__(self, act):
        self.act = act

    def deliver(self, message, send):
        return self.act(message, send)


@pytest.fixture
def hanging(monkeypatch):
    """Wait in the plug-in until the test lets it go on; the sender waits hardly at all."""
    monkeypatch.setattr(plugins, "PATIENCE_SECONDS", 0.05)
    let_go = Event()
    yield let_go
    let_go.set()
    for thread in plugin_threads():
        thread.join(10)


def plugin_threads():
    return [thread for thread in threading.enumerate() if thread.name == "plugin-pigeon"]


def deliver(act, send=None):
    return deliver_in_time(Plugin(act), make_content(), send)


def test_sends_through_a_plugin():
    response = Response(status=201, headers={}, body=b"")
    assert deliver(lambda message, send: (Sent(), send(message).status), lambda _: response) == (Sent(), 201)


@pytest.mark.parametrize("error", [KeyError("colour"), Unreachable("it could not be reached")])
def test_an_error_of_a_plugin_is_raised(error):
    def act(message, send):
        raise error

    with pytest.raises(type(error)) as caught:
        deliver(act)
    assert caught.value is error


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_a_plugin_cannot_end_the_sender(error):
    def act(message, send):
        raise error

    with pytest.raises(RuntimeError, match=error.__name__):
        deliver(act)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        Sent(),
        (Sent(), 200, ""),
        ("sent", 200),
        (None, None),
        (True, 200),
        (Sent, 200),
        (Sent(), "200"),
        (Sent(), 70_000),
        (Sent(), -1),
        (Later(reason=None), 503),
        (Later(reason=b"busy"), 503),
        (Dead(reason=""), 410),
        (Later(reason="busy", after=60), 503),
    ],
)
def test_an_answer_that_cannot_be_stored_is_an_error(answer):
    with pytest.raises(TypeError):
        deliver(lambda *_: answer)


@pytest.mark.parametrize(
    "answer", [(Sent(), None), (Refused(reason="400"), 400), (Dead(reason="410"), 410), (Later(reason="429"), 429)]
)
def test_an_answer_that_can_be_stored_is_returned(answer):
    assert deliver(lambda *_: answer) == answer


@pytest.mark.parametrize(
    ("after", "expected"), [(-timedelta(1), timedelta(0)), (timedelta(minutes=5),) * 2, (timedelta.max, MAX_PAUSE)]
)
def test_a_plugin_pauses_its_channel_for_an_hour_at_most(after, expected):
    outcome, _ = deliver(lambda *_: (Later(reason="busy", after=after), 429))
    assert outcome.after == expected


def test_a_plugin_that_hangs_is_abandoned_and_sends_nothing_any_more(hanging):
    requests, errors = [], []

    def act(message, send):
        hanging.wait(10)
        try:
            send(message)
        except Unreachable as error:
            errors.append(str(error))
        return Sent(), 200

    outcome = Dead(reason="the plug-in did not answer within 15 seconds", is_certain=False)
    assert deliver(act, requests.append) == (outcome, None)
    (thread,) = plugin_threads()
    assert thread.daemon  # Any other would keep the process from ending.
    hanging.set()
    thread.join(10)
    assert (requests, errors) == ([], ["the message was abandoned"])


def test_a_plugin_that_raises_after_it_was_abandoned_disturbs_nothing(hanging):
    def act(message, send):
        hanging.wait(10)
        raise SystemExit

    deliver(act)
    (thread,) = plugin_threads()
    hanging.set()
    thread.join(10)
    assert not thread.is_alive()


def test_a_request_that_the_guard_ends_in_time_does_not_count_as_hanging():
    assert plugins.PATIENCE_SECONDS > DEADLINE_SECONDS
