"""What a follower makes of a site's answers, and of outages."""

import json
import socket

import pytest

from logs.management.terminal import printable
from logs.management.workbench import sources
from logs.management.workbench.sources import BACK_OFF_SECONDS, Outage, Site, Unrecoverable, retrying

SHOWN = {
    "id": 7,
    "cursor": "seven",
    "received_at": "2026-08-20T09:30:02Z",
    "headers": {"circleci-signature": "v1=0"},
    "body_base64": "e30=",
    "event": None,
}


@pytest.fixture
def silent_url():
    """An address that takes a request and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def slept(monkeypatch):
    """The seconds of each pause, which takes no time here, without what chance adds."""
    pauses = []
    monkeypatch.setattr(sources.time, "sleep", pauses.append)
    monkeypatch.setattr(sources, "uniform", lambda least, _most: least)
    return pauses


def failing(*errors):
    """Return a call that fails so, one error after the other, and then works."""
    left = list(errors)

    def attempt():
        if left:
            raise left.pop(0)
        return "done"

    return attempt


def test_tries_again_with_growing_pauses_and_tells_of_an_outage_once(slept):
    told = []
    assert retrying(failing(*[Outage("away")] * 8), told.append) == "done"
    assert slept == [1, 2, 4, 8, 16, 30, 30, 30]
    assert tuple(slept[:6]) == BACK_OFF_SECONDS
    assert told == ["away; retrying", "continuing"]


def test_tells_nothing_when_all_is_well(slept):
    told = []
    assert retrying(failing(), told.append) == "done"
    assert (slept, told) == ([], [])


def test_waits_as_long_as_it_is_asked_to(slept):
    told = []
    retrying(failing(Outage("too many", retry_after_seconds=42)), told.append)
    assert slept == [42]
    assert told == ["too many; retrying in 42 s", "continuing"]


def test_a_crowd_does_not_come_back_all_at_once(slept, monkeypatch):
    monkeypatch.setattr(sources, "uniform", lambda _least, most: most)
    retrying(failing(Outage("away"), Outage("too many", retry_after_seconds=40)), str)
    assert slept == [1.25, 50]


def test_gives_up_what_somebody_must_change(slept):
    with pytest.raises(Unrecoverable):
        retrying(failing(Unrecoverable("wrong token")), str)
    assert slept == []


def test_reads_what_a_site_hands_out_and_asks_with_token_cursor_and_filters(httpserver):
    asked = httpserver.expect_request(
        "/deliveries/stream",
        query_string={"after": "six", "wait": "5", "limit": "50", "branch": "main"},
        headers={"authorization": "Bearer whl_key"},
    )
    asked.respond_with_json({"deliveries": [SHOWN], "cursor": "seven"}, headers={"Retry-After": "2"})
    got = Site(httpserver.url_for("/"), "whl_key", {"branch": "main"}).poll("six")
    (delivery,) = got.deliveries
    assert (delivery.id, delivery.cursor, delivery.body, delivery.event) == (7, "seven", b"{}", {})
    assert (got.cursor, got.pause_seconds) == ("seven", 2)


def test_the_first_answer_is_not_waited_for_since_an_outage_would_lose_its_place(httpserver):
    asked = httpserver.expect_request("/deliveries/stream", query_string={"after": "now", "wait": "0", "limit": "50"})
    asked.respond_with_json({"deliveries": [], "cursor": "six"})
    assert Site(httpserver.url_for(""), "whl_key", {}).poll("now").cursor == "six"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (429, Outage),
        (500, Outage),
        (503, Outage),
        (400, Unrecoverable),
        (401, Unrecoverable),
        (403, Unrecoverable),
        (404, Unrecoverable),
    ],
)
def test_tells_an_outage_from_what_somebody_must_change(httpserver, status, kind):
    body = json.dumps({"detail": "not \x1b[2J now.", "code": "invalid_cursor"})
    httpserver.expect_request("/deliveries/stream").respond_with_data(body, status, headers={"Retry-After": "9"})
    with pytest.raises(kind, match=rf"answers {status}: not \?\[2J now\.") as raised:
        Site(httpserver.url_for(""), "whl_key", {}).poll("now")
    assert str(raised.value).endswith(" Restart with --since.") == (kind is Unrecoverable)
    assert getattr(raised.value, "retry_after_seconds", 9) == 9


@pytest.mark.parametrize("body", ["<html>", "[]", "{}", '{"deliveries": [{}], "cursor": ""}', '{"deliveries": 1}'])
def test_refuses_a_site_that_is_no_webhooklog(httpserver, body):
    httpserver.expect_request("/deliveries/stream").respond_with_data(body)
    with pytest.raises(Unrecoverable, match="does not answer like a webhooklog"):
        Site(httpserver.url_for(""), "whl_key", {}).poll("now")


def test_a_site_that_is_away_is_an_outage(unused_port):
    with pytest.raises(Outage, match="cannot be reached"):
        Site(f"http://127.0.0.1:{unused_port}", "whl_key", {}).poll("now")


def test_a_silent_site_is_an_outage_within_ten_seconds(silent_url, monkeypatch):
    assert sources.WAIT_SECONDS < sources.READ_TIMEOUT_SECONDS < 10
    monkeypatch.setattr(sources, "READ_TIMEOUT_SECONDS", 0.2)
    with pytest.raises(Outage, match="timed out"):
        Site(silent_url, "whl_key", {}).poll("now")


def test_control_characters_do_not_reach_the_terminal():
    assert printable("ma\x1b[31min\n\u202ex é") == "ma?[31min??x é"
