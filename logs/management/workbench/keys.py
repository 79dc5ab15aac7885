"""Handle key presses while a command runs in a terminal."""

import os
import select
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

POLL_SECONDS = 0.2  # How often the thread checks whether to end.


@contextmanager
def key_actions(actions: Mapping[str, Callable[[], None]]) -> Iterator[None]:
    """Call a key's action on another thread when the key is pressed during the block.

    Do nothing if there is no terminal or the command is a background job.
    """
    if not sys.stdin.isatty() or not _is_in_foreground(sys.stdin.fileno()):
        yield
        return
    terminal, is_over = sys.stdin.fileno(), threading.Event()
    before = termios.tcgetattr(terminal)
    thread = threading.Thread(target=_handle_keys, args=(terminal, actions, is_over), daemon=True)
    tty.setcbreak(terminal)  # Keys arrive one by one without echo; Ctrl-C still works.
    try:
        thread.start()
        yield
    finally:
        # First, because a second Ctrl-C during a slower step would leave the terminal in this mode.
        if _is_in_foreground(terminal):
            termios.tcsetattr(terminal, termios.TCSANOW, before)
        is_over.set()
        thread.join(2 * POLL_SECONDS)  # Not longer: an action may still be running.


def _is_in_foreground(terminal: int) -> bool:
    """Return whether this process may read and change the terminal; background processes that try to are stopped."""
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:  # Not the controlling terminal.
        return True


def _handle_keys(terminal: int, actions: Mapping[str, Callable[[], None]], is_over: threading.Event) -> None:
    while not is_over.is_set():
        if not _is_in_foreground(terminal):  # Key presses belong to the shell.
            is_over.wait(POLL_SECONDS)
        elif select.select([terminal], [], [], POLL_SECONDS)[0]:
            key = os.read(terminal, 1).decode(errors="replace")
            if not key:  # The terminal was closed.
                return
            actions.get(key, lambda: None)()
