"""Spans of time that grow by a twentieth each: counts in them add up over hours, and quantiles come out of the sums."""

from collections import Counter
from collections.abc import Mapping

from django.db.models import Expression, F, SmallIntegerField, Value
from django.db.models.functions import Cast, Floor, Ln

GROWTH = 1.05


def bucket_of(seconds: Expression | F) -> Expression:
    """Return the expression of the bucket that a number of seconds, not negative, falls into; NULL for NULL.

    Bucket n reaches from GROWTH**n - 1 to GROWTH**(n + 1) - 1 seconds.
    """
    return Cast(Floor(Ln(seconds + Value(1.0)) / Ln(Value(GROWTH))), SmallIntegerField())


def seconds_of(bucket: int) -> float:
    """Return the middle of a bucket: about a fortieth, at most, from any length of a minute and more in it."""
    return float(GROWTH ** (bucket + 0.5) - 1)


def quantile(counts: Mapping[int, int], share: float) -> float | None:
    """Return the seconds that so great a share (0.5: the median) of all stayed below; None of none.

    Args:
        counts: how many fell into each bucket.
        share: between 0 and 1.
    """
    passed, wanted = 0, share * sum(counts.values())
    for bucket in sorted(+Counter(counts)):  # Without those that nothing fell into.
        passed += counts[bucket]
        if passed >= wanted:
            return seconds_of(bucket)
    return None
