"""Group commit on the event loop: one thread writes the items of all requests.

A lone item is written immediately; nothing waits to fill a batch. Items that arrive during a write are written
together by the next one.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(slots=True)
class _Entry(Generic[Item, Result]):
    """An item in the queue."""

    item: Item
    future: "asyncio.Future[Result]"  # The request that waits for the item's result.
    submitted_at: float  # By `monotonic`.
    is_taken: bool = False  # The item is being written, or has been.


class Writer(Generic[Item, Result]):
    """Calls a function with the items of all waiting requests, in a thread of its own.

    Args:
        write: writes items and returns one result for each. If it raises, it must have written no items; each
            item's request then raises the same exception.
        turn: entered before the items are taken, so that those that arrive while it waits are written, too.
        most: the maximum number of items in one call.
        patience_seconds: how long an item waits for others to be written.
    """

    def __init__(
        self,
        write: Callable[[Sequence[Item]], Sequence[Result]],
        *,
        turn: Callable[[], AbstractContextManager[None]] = nullcontext,
        most: int,
        patience_seconds: float,
    ) -> None:
        self._write, self._turn, self._most, self._patience_seconds = write, turn, most, patience_seconds
        self._arrived: list[_Entry[Item, Result]] = []
        self._waiting: deque[_Entry[Item, Result]] = deque()  # Until they are taken, in the order of their arrival.
        self._is_watching = False
        self._queue: SimpleQueue[_Entry[Item, Result]] = SimpleQueue()
        self._thread: Thread | None = None

    async def submit(self, item: Item) -> Result:
        """Write an item and return its result. All callers must run on the same event loop.

        Raises:
            TimeoutError: other items have been written for too long; this one was not written.
        """
        loop = asyncio.get_running_loop()
        if self._thread is None:  # Not earlier: a thread does not survive the fork that makes a worker.
            self._thread = Thread(target=self._run, name="writer", daemon=True)
            self._thread.start()
        future: asyncio.Future[Result] = loop.create_future()
        self._arrived.append(_Entry(item, future, monotonic()))
        if len(self._arrived) == 1:
            loop.call_soon(self._pass_on)
        try:
            return await future
        finally:
            # An error refers to this frame, and the future to the error: this cycle would keep the item in memory until
            # the next garbage collection.
            del future

    def _pass_on(self) -> None:
        """Queue the items of all requests that the loop has just read; otherwise, the first would be written alone."""
        self._waiting += self._arrived
        if not self._is_watching:
            self._is_watching = True
            asyncio.get_running_loop().call_later(self._patience_seconds / 4, self._expire)
        for entry in self._arrived:
            self._queue.put(entry)
        self._arrived.clear()

    def _expire(self) -> None:
        """Fail the requests whose items have waited too long, however long the write takes that they wait for."""
        loop = asyncio.get_running_loop()
        self._forget_taken()
        for entry in self._waiting:
            if monotonic() - entry.submitted_at > self._patience_seconds and not entry.future.done():
                entry.future.set_exception(self._too_late())
        self._is_watching = bool(self._waiting)
        if self._is_watching:
            loop.call_later(self._patience_seconds / 4, self._expire)

    def _too_late(self) -> TimeoutError:
        return TimeoutError(f"other events have been written for {self._patience_seconds} seconds")

    def _forget_taken(self) -> None:
        while self._waiting and self._waiting[0].is_taken:
            self._waiting.popleft()

    def _run(self) -> None:
        while True:
            self._write_next()

    def _write_next(self) -> None:
        entries: list[_Entry[Item, Result]] = []
        self._take(entries, self._queue.get())
        if not entries:
            return
        outcomes: list[Result | BaseException]
        try:
            with self._turn():
                self._require_time(entries[0])
                self._take_followers(entries)
                outcomes = [*self._write([entry.item for entry in entries])]
        except BaseException as error:  # noqa: BLE001 - each request raises it; otherwise they would wait forever
            outcomes = [error] * len(entries)
        futures = [entry.future for entry in entries]
        futures[0].get_loop().call_soon_threadsafe(self._wake, futures, outcomes)
        del entries, futures, outcomes  # As in `submit`.

    def _require_time(self, entry: _Entry[Item, Result]) -> None:
        """Raise TimeoutError if an entry has waited long in the queue and for the turn: it may also wait for a lock."""
        if monotonic() - entry.submitted_at > 2 * self._patience_seconds:
            raise self._too_late()

    def _take_followers(self, entries: list[_Entry[Item, Result]]) -> None:
        with suppress(Empty):
            while len(entries) < self._most:
                self._take(entries, self._queue.get_nowait())

    def _take(self, entries: list[_Entry[Item, Result]], entry: _Entry[Item, Result]) -> None:
        """Take an entry, unless its request has failed or its client has left."""
        entry.is_taken = True
        if not entry.future.done():
            entries.append(entry)

    def _wake(self, futures: "list[asyncio.Future[Result]]", outcomes: Sequence[Result | BaseException]) -> None:
        self._forget_taken()
        for future, outcome in zip(futures, outcomes, strict=True):
            if future.done():  # Its client has left.
                continue
            if isinstance(outcome, BaseException):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)
