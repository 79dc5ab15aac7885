"""Run the watch in a process of its own: ``manage.py watch``."""

import signal
from threading import Event, Thread
from typing import Any

from logs.management.examples import CommandWithExamples
from logs.watch.loop import run


class Command(CommandWithExamples):
    """Run the watch's tasks until SIGTERM or Ctrl-C."""

    help = (
        "Do webhooklog's background work until SIGTERM or Ctrl-C: find the workflows that broke or were fixed, send "
        "notifications, check sources and alarms, count events, and apply retention at PRUNE_AT. gunicorn runs the "
        "watch itself unless WATCH=off. If several watches run, each task runs in only one of them at a time."
    )
    examples = """
manage.py watch
"""
    exit_codes = "0 after SIGTERM or Ctrl-C"

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the loop; errors are logged."""
        stopping = Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            # In a thread: `set` would wait forever if the signal has interrupted a call of the event's own.
            signal.signal(number, lambda *_: Thread(target=stopping.set).start())
        run(beat=lambda: None, stopping=stopping)
