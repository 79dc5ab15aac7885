"""Send over several channels at once, so that one slow vendor does not delay the others."""

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Event
from typing import Any

from django.db import connection

from logs.models import Channel
from logs.notifications.sending import send_waiting

logger = logging.getLogger(__name__)

THREADS = 4
STOP_SECONDS = 20  # Longer than one request may take (guard.py).


class Dispatcher:
    """Starts a sender for each channel that is due, in a small pool of threads."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="sender")
        self._running: dict[int, Future[bool]] = {}
        self.is_stopping = False
        self.wake = Event()  # Is set when `send_due` should be called soon.

    def send_due(self) -> None:
        """Start senders for the channels that are due and have none."""
        self._running = {key: sender for key, sender in self._running.items() if not sender.done()}
        for key in Channel.objects.due().values_list("pk", flat=True):
            if key not in self._running:
                # The pool's queue is first in, first out: a channel with many messages waits behind the others.
                self._running[key] = self._pool.submit(self._send, key)
                self._running[key].add_done_callback(self._continue)

    def stop(self, beat: Callable[[], Any]) -> None:
        """Wait until the messages in flight are sent, at most STOP_SECONDS; call `beat` every second."""
        self.is_stopping = True
        self._pool.shutdown(wait=False, cancel_futures=True)
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline:
            running = [sender for sender in self._running.values() if not sender.done()]
            if not running:
                return
            beat()
            wait(running, timeout=1)
        logger.warning("messages were still in flight after %s seconds", STOP_SECONDS)

    def _continue(self, sender: Future[bool]) -> None:
        if not sender.cancelled() and sender.result():
            self.wake.set()

    def _send(self, channel_key: int) -> bool:
        try:
            return send_waiting(channel_key, is_stopping=lambda: self.is_stopping)
        except Exception:
            logger.exception("the sender of channel %s failed", channel_key)
            return False
        finally:
            connection.close()
