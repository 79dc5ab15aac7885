"""Buckets keep a length of time to within a fortieth or so, and quantiles come out of their sums."""

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logs.insights.buckets import GROWTH, quantile, seconds_of


def bucket_of(seconds):
    return math.floor(math.log(seconds + 1) / math.log(GROWTH))


@given(st.floats(0, 1e11))
def test_the_middle_of_a_bucket_is_near_all_that_is_in_it(seconds):
    assert seconds_of(bucket_of(seconds)) == pytest.approx(seconds, rel=0.0255, abs=0.0255 * 60)


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.01, 1))
def test_a_quantile_is_the_middle_of_the_bucket_that_holds_it(lengths, share):
    exact = sorted(lengths)[math.ceil(share * len(lengths)) - 1]
    assert quantile(Counter(map(bucket_of, lengths)), share) == pytest.approx(seconds_of(bucket_of(exact)))


def test_the_sums_of_two_hours_have_the_quantile_of_both_together():
    one, other = Counter(map(bucket_of, [10, 20, 30])), Counter(map(bucket_of, [300, 400]))
    assert quantile(one + other, 0.5) == seconds_of(bucket_of(30))
    assert quantile(one + other, 0.95) == seconds_of(bucket_of(400))


def test_nothing_has_no_quantile():
    assert quantile({}, 0.5) is None
    assert quantile({7: 0}, 0.5) is None
