"""Group commit: one thread writes and commits the items of several threads.

A lone item is written immediately; nothing waits to fill a batch. Items that arrive during a write are queued, and
the first waiting thread then writes them all.
"""

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Entry(Generic[Item, Result]):
    """An item in the queue and its result."""

    def __init__(self, item: Item) -> None:
        self.item = item
        self.result: Result | None = None
        self.error: BaseException | None = None
        self.is_written = False
        self.woken = Lock()  # Held until another thread wakes this one: its item is written, or it must write.
        self.woken.acquire()


class GroupCommit(Generic[Item, Result]):
    """Calls a function with the items of all waiting threads, in one thread at a time.

    Args:
        write: writes items and returns one result for each. If it raises, it must have written no items; each
            item's thread then raises the same exception.
        most: the maximum number of items in one call.
        patience_seconds: how long a thread waits for others to write.
    """

    def __init__(
        self, write: Callable[[Sequence[Item]], Sequence[Result]], *, most: int, patience_seconds: float
    ) -> None:
        self._write, self._most, self._patience_seconds = write, most, patience_seconds
        self._guard = Lock()
        self._waiting: list[_Entry[Item, Result]] = []
        self._is_led = False  # Whether a thread is writing, or has been woken to write.

    def __len__(self) -> int:
        """Return the number of waiting items."""
        return len(self._waiting)

    def submit(self, item: Item) -> Result:
        """Write an item, in this thread or in another, and return its result.

        Raises:
            TimeoutError: other threads have been writing for too long, and may have written this item.
        """
        mine: _Entry[Item, Result] = _Entry(item)
        with self._guard:
            self._waiting.append(mine)
            leads, self._is_led = not self._is_led, True
        if not leads and not mine.woken.acquire(timeout=self._patience_seconds):
            self._give_up(mine)
        if not mine.is_written:
            self._lead()
        try:
            if mine.error is not None:
                raise mine.error
            return mine.result  # type: ignore[return-value]  # It is None only if write() returned None.
        finally:
            del mine  # The error's traceback refers to this frame: without this, they would form a reference cycle.

    def _give_up(self, mine: _Entry[Item, Result]) -> None:
        """Leave the queue, unless another thread has just woken this one."""
        with self._guard:
            if mine.woken.acquire(blocking=False):
                return
            if mine in self._waiting:
                self._waiting.remove(mine)
        raise TimeoutError(f"other threads have been writing for {self._patience_seconds} seconds")

    def _lead(self) -> None:
        """Write the first waiting items, including this thread's, and wake the thread that writes next."""
        with self._guard:
            group, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
        try:
            for entry, result in zip(group, self._write([entry.item for entry in group]), strict=True):
                entry.result = result
        except BaseException as error:  # noqa: BLE001 - each thread raises it; otherwise the others would wait forever
            for entry in group:
                entry.error = error
        with self._guard:
            self._is_led = bool(self._waiting)
            if self._is_led:
                self._waiting[0].woken.release()
        for entry in group:
            entry.is_written = True
            entry.woken.release()
        del group, entry  # As in submit(): an error refers to this frame, too.
