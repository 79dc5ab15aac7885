"""Keys in a terminal, which is a pseudo-terminal here."""

import fcntl
import os
import pty
import subprocess
import sys
import termios
import threading
from io import StringIO
from pathlib import Path

import pytest

from logs.management.workbench.keys import key_actions

JOB = """
from logs.management.workbench.keys import key_actions
with key_actions({}):
    print("inside")
print("over")
"""
# What a shell does for a job with & behind it: a process group that does not have the terminal.
SHELL = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {JOB!r}], process_group=0, timeout=10)"


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
    with key_actions({"r": pressed.set}):
        os.write(terminal, b"xr")
        assert pressed.wait(5)


def test_leaves_the_terminal_as_it_was_also_after_ctrl_c(terminal):
    before = termios.tcgetattr(sys.stdin.fileno())

    def is_interrupted():
        with key_actions({}):
            assert termios.tcgetattr(sys.stdin.fileno()) != before
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        is_interrupted()
    assert termios.tcgetattr(sys.stdin.fileno()) == before


def test_a_second_ctrl_c_leaves_the_terminal_as_it_was_too(terminal, monkeypatch):
    before = termios.tcgetattr(sys.stdin.fileno())

    def is_interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as second:
        second.setattr(threading.Thread, "join", is_interrupted)
        with pytest.raises(KeyboardInterrupt), key_actions({}):
            raise KeyboardInterrupt
    for thread in threading.enumerate():
        if "_handle_keys" in thread.name:
            thread.join()
    assert termios.tcgetattr(sys.stdin.fileno()) == before


def test_goes_on_in_a_shells_background(terminal):
    """The system would stop it there for touching the terminal."""
    shell = subprocess.run(
        [sys.executable, "-c", SHELL],
        stdin=sys.stdin,
        capture_output=True,
        text=True,
        timeout=20,
        cwd=Path(__file__).parents[4],
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        check=False,
    )
    assert shell.stdout == "inside\nover\n", shell.stderr


def test_without_a_terminal_there_are_no_keys(monkeypatch):
    monkeypatch.setattr(sys, "stdin", StringIO("q"))
    threads = threading.active_count()
    with key_actions({"q": lambda: 1 / 0}):
        assert threading.active_count() == threads
