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


def success_rate_without(good: int, bad: int, flaky: int | None) -> float | None:
    """Return the success rate without the failed runs on commits on which the workflow also succeeded.

    Args:
        good: the runs that succeeded.
        bad: the runs that failed.
        flaky: how many of those that failed are left out; None if unknown, which makes the rate None too.
    """
    # More than have failed: the runs are not all counted yet, or some of these failed before the period.
    return None if flaky is None or flaky > bad else success_rate(good, bad - flaky)
