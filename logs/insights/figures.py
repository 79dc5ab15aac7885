"""The figures of runs, as CircleCI's Insights defines them.

Source: https://circleci.com/docs/insights-glossary/ and https://circleci.com/docs/api-developers-guide/ (read
2026-11-29). Where the two differ, both figures are given.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.utils.translation import gettext_noop

from logs.circleci.vocabulary import BAD_STATUSES, FINISHED_STATUSES, GOOD_STATUSES

CANCELED = "canceled"
Run = tuple[str, float | None, datetime]  # Its status, its duration in seconds (None if unknown), when it arrived.
# The API returns these texts as they are; the admin shows them in its own language.
DEFINITIONS = {
    "total_runs": gettext_noop(
        "All runs that ended in the window. A run counts in the hour in which its event first arrived."
    ),
    "successful_runs": gettext_noop("Runs with the status success."),
    "failed_runs": gettext_noop("Runs that failed, had an error or were unauthorized."),
    "statuses": gettext_noop("The number of runs with each status."),
    "success_rate": gettext_noop(
        "successful_runs / (total_runs - canceled runs), as in the glossary of CircleCI's Insights."
    ),
    "success_rate_of_all": gettext_noop("successful_runs / total_runs, as in the guide to CircleCI's API."),
    "throughput": gettext_noop("total_runs / the number of calendar days (UTC) from the first run to the last."),
    "min_seconds": gettext_noop("The shortest duration, in whole seconds, of the runs that succeeded or failed."),
    "mean_seconds": gettext_noop("The mean duration, in whole seconds, of the runs that succeeded or failed."),
    "median_seconds": gettext_noop(
        "Half of the runs that succeeded or failed took at most this long, in whole seconds."
    ),
    "p95_seconds": gettext_noop("95% of the runs that succeeded or failed took at most this long, in whole seconds."),
    "max_seconds": gettext_noop("The longest duration, in whole seconds, of the runs that succeeded or failed."),
    "recoveries": gettext_noop("How often a workflow succeeded on a branch after it had failed there, in the window."),
    "mttr": gettext_noop(
        "The mean time to recovery in seconds: from the end of the first failed run to the end of the successful run "
        "on its branch that ended later and arrived next. Canceled runs, runs of tags, and failed runs before the "
        "newest 10,000 are ignored."
    ),
    "mttr_per_failure": gettext_noop("The sum of these times / the number of failed runs before the recoveries."),
    "exact": gettext_noop(
        "False if the durations come from hourly sums: those of a minute or more, except the mean, are then right to "
        "within 3%."
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Durations:
    """The durations of runs that succeeded or failed, in whole seconds."""

    min: int
    mean: int
    median: int
    p95: int
    max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Recoveries:
    """How long failed branches took to succeed again."""

    count: int = 0
    failures: int = 0  # The failed runs of these recoveries.
    total: timedelta = timedelta()

    @property
    def mttr(self) -> float | None:
        """The mean time to recovery, in seconds; None without a recovery."""
        return self.total.total_seconds() / self.count if self.count else None

    @property
    def mttr_per_failure(self) -> float | None:
        """The same time per failed run; None without a recovery."""
        return self.total.total_seconds() / self.failures if self.failures else None


@dataclass(frozen=True, kw_only=True)
class Figures:
    """The figures of a workflow's or job's runs in a window; at least one run."""

    statuses: Mapping[str, int]  # Runs by status.
    first_at: datetime  # When the first run arrived, at least to the hour.
    last_at: datetime
    durations: Durations | None  # None if no finished run has a known duration.

    @property
    def total_runs(self) -> int:
        """The number of runs."""
        return sum(self.statuses.values())

    @property
    def successful_runs(self) -> int:
        """How many succeeded."""
        return self._count(GOOD_STATUSES)

    @property
    def failed_runs(self) -> int:
        """How many failed."""
        return self._count(BAD_STATUSES)

    @property
    def success_rate(self) -> float | None:
        """The share of runs that succeeded, without the canceled ones; None if all were canceled."""
        rest = self.total_runs - self.statuses.get(CANCELED, 0)
        return self.successful_runs / rest if rest else None

    @property
    def success_rate_of_all(self) -> float:
        """The share of all runs that succeeded."""
        return self.successful_runs / self.total_runs

    @property
    def throughput(self) -> float:
        """Runs per calendar day."""
        days = (self.last_at.astimezone(UTC).date() - self.first_at.astimezone(UTC).date()).days + 1
        return self.total_runs / days

    def _count(self, statuses: Iterable[str]) -> int:
        return sum(self.statuses.get(status, 0) for status in statuses)


def durations_of(seconds: Iterable[float]) -> Durations | None:
    """Return the exact figures of durations, each rounded down to whole seconds; None without any."""
    known = sorted(map(math.floor, seconds))
    if not known:
        return None
    return Durations(
        min=known[0],
        mean=round(sum(known) / len(known)),
        median=_at(known, 0.5),
        p95=_at(known, 0.95),
        max=known[-1],
    )


def figures_of(runs: Iterable[Run]) -> Figures | None:
    """Return the exact figures of runs; None without any."""
    known = list(runs)
    if not known:
        return None
    arrivals = [arrived_at for *_, arrived_at in known]
    return Figures(
        statuses=Counter(status for status, *_ in known),
        first_at=min(arrivals),
        last_at=max(arrivals),
        durations=durations_of(
            seconds for status, seconds, _ in known if status in FINISHED_STATUSES and seconds is not None
        ),
    )


def _at(known: list[int], share: float) -> int:
    return known[math.ceil(share * len(known)) - 1]
