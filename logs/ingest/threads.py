"""Do the event loop's database work in threads."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from time import monotonic
from typing import TypeVar

from django.db import OperationalError, close_old_connections

Result = TypeVar("Result")

# How long a call waits for a thread. Then it may wait for a turn (transactions.py) and a lock (databases.py), in total
# less than 10 seconds.
PATIENCE_SECONDS = 3


class Threads:
    """A few threads of this process, for webhooks only: no slow reader delays a webhook."""

    def __init__(self, number: int, *, name: str) -> None:
        self.number = number
        self._pool = ThreadPoolExecutor(max_workers=number, thread_name_prefix=name)

    async def run(self, function: Callable[..., Result], *args: object) -> Result:
        """Return the result of a function that uses the database. Its log lines have the request's id.

        Raises:
            OperationalError: other calls have used all threads for too long; this one was not made.
        """
        context = copy_context()
        latest = monotonic() + PATIENCE_SECONDS
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, context.run, _call_in_time, latest, function, *args)


# For large webhooks and those that need more than one INSERT, such as pings and known events.
authentic = Threads(2, name="webhooks")
# Apart from the others, so that a flood of forged webhooks does not delay them.
refused = Threads(2, name="refusals")


def _call_in_time(latest: float, function: Callable[..., Result], *args: object) -> Result:
    if monotonic() > latest:
        raise OperationalError(f"other webhooks have used all threads for {PATIENCE_SECONDS} seconds")
    return with_usable_connection(function, *args)


def with_usable_connection(function: Callable[..., Result], *args: object) -> Result:
    """Call a function as Django calls a view: close a broken or outdated database connection before and after."""
    close_old_connections()
    try:
        return function(*args)
    finally:
        close_old_connections()
