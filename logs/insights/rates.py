"""Success rates, and figures compared with those of the previous period."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Compared:
    """A figure for a period and for the previous period; None if there is no data."""

    now: float | None
    before: float | None

    @property
    def difference(self) -> float | None:
        """The absolute change; None if a figure is missing."""
        return None if self.now is None or self.before is None else self.now - self.before

    @property
    def growth(self) -> float | None:
        """The relative change; None if a figure is missing or the previous figure is 0."""
        return self.difference / self.before if self.difference is not None and self.before else None


def success_rate(good: int, bad: int) -> float | None:
    """Return the share of finished runs that succeeded, between 0 and 1; None if no run has finished.

    Canceled runs do not count: they show neither how reliable nor how slow a workflow is.
    """
    return good / (good + bad) if good + bad else None
