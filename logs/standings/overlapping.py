"""Read what was written to the log since a time, although transactions end late and clocks differ."""

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from logs.models.events import SETTLED_AFTER

# How far before the end of the last check a check starts, because transactions that were open then have ended since.
OVERLAP = timedelta(seconds=3)
# Longer transactions and clocks that differ need a wider overlap, now and then, because it reads more.
WIDE_EVERY_SECONDS = 30
WIDE_OVERLAP = SETTLED_AFTER + timedelta(seconds=WIDE_EVERY_SECONDS)
SLICE = timedelta(minutes=2)  # If no watch has run for a month, the events of a slice still fit into memory.

Version = tuple[Any, ...]  # An event's primary key, the time of its last change, and other columns.


class Written:
    """Reads the versions of events that were written since the last check, each of them once.

    Args:
        read: returns the versions written between two times by primary key; the end is None in the last slice, because
            another host's clock may be ahead.
    """

    def __init__(self, read: Callable[[datetime, datetime | None], dict[int, Version]]) -> None:
        self._read = read
        self._seen: dict[int, Version] = {}  # By primary key.
        self._widened_at: float | None = None

    @property
    def is_wide_due(self) -> bool:
        """Whether the next check reads further back than most."""
        return self._widened_at is None or time.monotonic() - self._widened_at >= WIDE_EVERY_SECONDS

    def since(self, last: datetime, now: datetime) -> Iterator[tuple[list[Version], datetime]]:
        """Yield the new versions, in slices of time, each with the time until which everything was read.

        If the caller stops early, what it has not processed is read again.
        """
        is_wide, seen = self.is_wide_due, self._seen
        # At most now: if the clock was set back, new events have times before the last check.
        since = min(last, now) - (WIDE_OVERLAP if is_wide else OVERLAP)
        while since < now:
            until = since + SLICE if since + SLICE < now else None
            found = self._read(since, until)
            yield [version for pk, version in found.items() if seen.get(pk) != version], until or now
            since = until or now
            self._seen = found if is_wide else seen | found
        if is_wide:
            self._widened_at = time.monotonic()
