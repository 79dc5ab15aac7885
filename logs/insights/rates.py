"""Success rates, and figures beside those of the time before."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Compared:
    """A figure of a period, and the same of the time before; None where there was nothing to take it of."""

    now: float | None
    before: float | None

    @property
    def difference(self) -> float | None:
        """How much greater it has become; None where one of the two is missing."""
        return None if self.now is None or self.before is None else self.now - self.before

    @property
    def growth(self) -> float | None:
        """How much greater it has become, as a share of what it was; None where that cannot be said."""
        return self.difference / self.before if self.difference is not None and self.before else None


def success_rate(good: int, bad: int) -> float | None:
    """Return the share of the finished runs that succeeded, between 0 and 1; None where none has finished.

    One that was canceled counts as neither: it tells neither how good nor how slow a workflow is.
    """
    return good / (good + bad) if good + bad else None
