"""Times that people and their tools write into filters and options."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logs.times import parse_time

AT = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2026-05-04T10:00Z",
        "2026-05-04T10:00",
        "2026-05-04 10:00:00",
        "2026-05-04t12:00:00,0+0200",
        "20260504T10Z",
        "1777888800",
        "1777888800.0",
        "1777888800000",
        "1777888800000000",
        "2026-05-04 12:00:00 +0200",
        "2026-05-04 12:00:00 +0200 CEST",
    ],
)
def test_reads_a_time_however_it_is_written(text):
    assert parse_time(text) == AT
    # As a URL's query brings it where the plus sign was not escaped.
    assert parse_time(text.replace("+", " ")) == AT


def test_milliseconds_are_never_taken_for_a_date_and_a_time():
    # datetime.fromisoformat() reads these digits as 12:34 on a day of the year 1712.
    assert parse_time("1712111201234") == datetime(2024, 4, 3, 2, 26, 41, 234_000, tzinfo=UTC)


def test_a_day_is_its_first_second_in_utc():
    assert parse_time("2026-05-04") == parse_time("20260504") == datetime(2026, 5, 4, tzinfo=UTC)


@given(text=st.text("0123456789-:.+TZ zmhd") | st.text())
def test_anything_else_is_an_error_that_says_what_is_accepted(text):
    try:
        assert parse_time(text).tzinfo is not None
    except ValueError as error:
        assert "use ISO 8601 (2026-05-04T10:00Z), seconds or milliseconds since 1970, or an age" in str(error)  # noqa: PT017
