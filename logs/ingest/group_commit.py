"""Group commit: what several threads want written at the same time is written, and committed, by one of them.

Nobody waits for company: who comes alone is written at once. While one thread writes, those that come meanwhile gather;
when it is done, the first of them writes for them all.
"""

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Place(Generic[Item, Result]):
    """An item in the queue, and what has become of it."""

    def __init__(self, item: Item) -> None:
        self.item = item
        self.result: Result | None = None
        self.error: BaseException | None = None
        self.is_written = False
        self.woken = Lock()  # Taken until another thread wakes this one: its item is written, or it is to write.
        self.woken.acquire()


class GroupCommit(Generic[Item, Result]):
    """Calls a function with the items of the threads that are waiting, in one thread at a time.

    Args:
        write: writes items and returns what came of each; where it raises, none may be written, and each of the
            threads raises the same.
        most: how many items it is given at most.
        patience_seconds: how long a thread waits for others that write.
    """

    def __init__(
        self, write: Callable[[Sequence[Item]], Sequence[Result]], *, most: int, patience_seconds: float
    ) -> None:
        self._write, self._most, self._patience_seconds = write, most, patience_seconds
        self._guard = Lock()
        self._waiting: list[_Place[Item, Result]] = []
        self._is_led = False  # Whether a thread is writing, or woken to write.

    def __len__(self) -> int:
        """Return how many wait to be written."""
        return len(self._waiting)

    def submit(self, item: Item) -> Result:
        """Have an item written, and return what came of it.

        Raises:
            TimeoutError: others have been writing for too long; it is not known whether the item is among theirs.
        """
        mine: _Place[Item, Result] = _Place(item)
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
            return mine.result  # type: ignore[return-value]  # It is None only where write() returned that.
        finally:
            del mine  # The error knows this frame by its traceback, and must not be held by what the frame holds.

    def _give_up(self, mine: _Place[Item, Result]) -> None:
        """Leave the queue, unless woken at the last moment."""
        with self._guard:
            if mine.woken.acquire(blocking=False):
                return
            if mine in self._waiting:
                self._waiting.remove(mine)
        raise TimeoutError(f"others have been writing for {self._patience_seconds} seconds")

    def _lead(self) -> None:
        """Write for the first of those who wait, oneself among them, and hand over to the next."""
        with self._guard:
            group, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
        try:
            for place, result in zip(group, self._write([place.item for place in group]), strict=True):
                place.result = result
        except BaseException as error:  # noqa: BLE001 - each of them raises it; else the others would wait in vain
            for place in group:
                place.error = error
        with self._guard:
            self._is_led = bool(self._waiting)
            if self._is_led:
                self._waiting[0].woken.release()
        for place in group:
            place.is_written = True
            place.woken.release()
        del group, place  # As in submit(): an error knows this frame too.
