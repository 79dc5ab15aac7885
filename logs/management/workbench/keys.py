"""React to keys while a command runs in a terminal."""

import os
import select
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

LOOK_SECONDS = 0.2  # How often the thread looks whether it shall end.


@contextmanager
def reacting(actions: Mapping[str, Callable[[], None]]) -> Iterator[None]:
    """Call a key's action, on another thread, whenever it is pressed in the block.

    Without a terminal, or in a shell's background, do nothing.
    """
    if not sys.stdin.isatty() or not _is_in_foreground(sys.stdin.fileno()):
        yield
        return
    terminal, over = sys.stdin.fileno(), threading.Event()
    before = termios.tcgetattr(terminal)
    thread = threading.Thread(target=_react, args=(terminal, actions, over), daemon=True)
    tty.setcbreak(terminal)  # Keys come one by one and are not shown; Ctrl-C stays what it is.
    try:
        thread.start()
        yield
    finally:
        # Before anything that takes time: a second Ctrl-C would leave the terminal as it is.
        if _is_in_foreground(terminal):
            termios.tcsetattr(terminal, termios.TCSANOW, before)
        over.set()
        thread.join(2 * LOOK_SECONDS)  # No longer: it may be in the middle of an action.


def _is_in_foreground(terminal: int) -> bool:
    """Tell whether the terminal is this process's to read and to change; the system stops others that try."""
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:  # It controls no processes.
        return True


def _react(terminal: int, actions: Mapping[str, Callable[[], None]], over: threading.Event) -> None:
    while not over.is_set():
        if not _is_in_foreground(terminal):  # What is typed is the shell's.
            over.wait(LOOK_SECONDS)
        elif select.select([terminal], [], [], LOOK_SECONDS)[0]:
            key = os.read(terminal, 1).decode(errors="replace")
            if not key:  # The terminal was closed.
                return
            actions.get(key, lambda: None)()
