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
    """Call a key's action, on another thread, whenever it is pressed in the block; without a terminal do nothing."""
    if not sys.stdin.isatty():
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
        over.set()
        thread.join(2 * LOOK_SECONDS)  # No longer: it may be in the middle of an action.
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _react(terminal: int, actions: Mapping[str, Callable[[], None]], over: threading.Event) -> None:
    while not over.is_set():
        if select.select([terminal], [], [], LOOK_SECONDS)[0]:
            key = os.read(terminal, 1).decode(errors="replace")
            if not key:  # The terminal was closed.
                return
            actions.get(key, lambda: None)()
