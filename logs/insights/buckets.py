"""Duration buckets, each 5% wider than the one before: counts add up across hours, and their sums yield quantiles."""

from collections import Counter
from collections.abc import Mapping

from django.db.models import Expression, F, SmallIntegerField, Value
from django.db.models.functions import Cast, Floor, Ln

GROWTH = 1.05


def bucket_of(seconds: Expression | F) -> Expression:
    """Return the SQL expression for the bucket of a non-negative duration; NULL for NULL.

    Bucket n covers GROWTH**n - 1 to GROWTH**(n + 1) - 1 seconds.
    """
    return Cast(Floor(Ln(seconds + Value(1.0)) / Ln(Value(GROWTH))), SmallIntegerField())


def seconds_of(bucket: int) -> float:
    """Return a bucket's midpoint in seconds; durations of a minute or more differ from it by at most 3%."""
    return float(GROWTH ** (bucket + 0.5) - 1)


def quantile(counts: Mapping[int, int], share: float) -> float | None:
    """Return the given quantile in seconds (0.5 is the median); None if there are no samples.

    Args:
        counts: the number of samples in each bucket.
        share: the quantile, between 0 and 1.
    """
    passed, wanted = 0, share * sum(counts.values())
    for bucket in sorted(+Counter(counts)):  # Unary plus drops empty buckets.
        passed += counts[bucket]
        if passed >= wanted:
            return seconds_of(bucket)
    return None
