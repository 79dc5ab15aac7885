"""The command that sends a delivery again: what it quotes, and what it never lets through to a terminal."""

import shlex
import subprocess

import pytest

from logs.circleci.curl import MAX_INLINE_BYTES, curl_command

ADDRESS = "https://hooks.example.com/log-circleci-webhook/my-webhook"
HEADERS = {
    "content-type": "application/json",
    "content-length": "2",
    "accept-encoding": "gzip",
    "user-agent": "CircleCI-Webhook/1.0",
    "circleci-event-type": "workflow-completed",
    "circleci-signature": "v1=0123",
}


def command(body=b"{}", headers=HEADERS):
    return curl_command(ADDRESS, headers, body, file="delivery-1.json")


def sent_bytes(text):
    """Run what stands before the pipe to curl."""
    source = text.rpartition(" |\ncurl ")[0]
    return subprocess.run(["bash", "-c", source], capture_output=True, check=True).stdout


def headers_in(text):
    words = shlex.split(text)
    return [words[place + 1] for place, word in enumerate(words) if word == "--header"]


def test_sends_the_headers_that_prove_it_and_no_others():
    assert headers_in(command()) == [
        "content-type: application/json",
        "user-agent: CircleCI-Webhook/1.0",
        "circleci-event-type: workflow-completed",
        "circleci-signature: v1=0123",
    ]


@pytest.mark.parametrize("body", [b"{}", b"x" * (MAX_INLINE_BYTES + 1)])
def test_sends_to_the_url(body):
    assert shlex.split(command(body))[-1] == ADDRESS


def test_takes_away_what_curl_would_add():
    assert headers_in(command(headers={})) == ["content-type:", "user-agent:"]


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"",
        b"-n",
        b'it\'s $HOME `id` \\n %s !! "quoted"',
        "Größe сад 🌳".encode(),
        b"two\nlines\n",
        b"\xff\x00\x01",
        b"carriage\r\nreturn",
        b"tab\there",
        "\u202eright to left".encode(),
        bytes(range(256)) * 100,
    ],
)
def test_the_shell_passes_on_the_same_bytes(body):
    assert sent_bytes(command(body)) == body


@pytest.mark.parametrize("text", ["{}", "two\nlines\n", "Größe сад 🌳"])
def test_shows_readable_text_as_it_is(text):
    assert command(text.encode()).startswith(f"printf %s {shlex.quote(text)} |\ncurl ")


@pytest.mark.parametrize("body", [b"a\r", b"a\tb", "\u202ea".encode(), "\u200ba".encode(), b"\x1b[2J", b"\xff"])
def test_what_cannot_be_read_or_pasted_is_in_base64(body):
    text = command(body)
    assert "| base64 --decode" in text
    assert all(line.isprintable() for line in text.split("\n"))


def test_a_header_cannot_reach_the_terminal_or_the_shell():
    text = command(headers={"user-agent": "a\x1b[201~\r\n'; id; '\xfc", "circleci-signature": "\x03v1=x"})
    assert all(line.isprintable() and line.isascii() for line in text.split("\n"))
    assert headers_in(text)[1:] == ["user-agent: a?[201~??'; id; '?", "circleci-signature: ?v1=x"]


def test_a_body_too_long_to_paste_is_sent_from_the_download():
    assert "--data-binary @-" in command(b"x" * MAX_INLINE_BYTES)
    text = command(b"x" * (MAX_INLINE_BYTES + 1))
    assert "--data-binary @delivery-1.json" in text
    assert len(text) < 1_000
