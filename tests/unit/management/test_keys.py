"""Keys in a terminal, which is a pseudo-terminal here."""

import os
import pty
import sys
import termios
import threading
from io import StringIO

import pytest

from logs.management.keys import reacting


@pytest.fixture
def terminal(monkeypatch):
    """A terminal in stdin's place; return the end of who types."""
    typist, terminal = pty.openpty()
    with os.fdopen(terminal) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield typist
    os.close(typist)


def test_a_key_calls_its_action_without_a_return_key_and_other_keys_nothing(terminal):
    pressed = threading.Event()
    with reacting({"r": pressed.set}):
        os.write(terminal, b"xr")
        assert pressed.wait(5)


def test_leaves_the_terminal_as_it_was_also_after_ctrl_c(terminal):
    before = termios.tcgetattr(sys.stdin.fileno())

    def is_interrupted():
        with reacting({}):
            assert termios.tcgetattr(sys.stdin.fileno()) != before
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        is_interrupted()
    assert termios.tcgetattr(sys.stdin.fileno()) == before


def test_without_a_terminal_there_are_no_keys(monkeypatch):
    monkeypatch.setattr(sys, "stdin", StringIO("q"))
    threads = threading.active_count()
    with reacting({"q": lambda: 1 / 0}):
        assert threading.active_count() == threads
