"""Every way in which programs write a timestamp is read as the same time, and nothing else is read as one."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logs.timestamps import read_timestamp

# In every year that ISO 8601 writes with four digits, and that has a day before it and after it in any time zone.
times = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31))  # noqa: DTZ001 - their zones are drawn apart
zones = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))
# fmt: off
DATES = st.sampled_from([
    lambda at: f"{at:%Y-%m-%d}".zfill(10), lambda at: f"{at:%Y%m%d}".zfill(8),
    lambda at: f"{at.year:04}-{at:%j}", lambda at: f"{at.year:04}{at:%j}",
    lambda at: "{:04}-W{:02}-{}".format(*at.isocalendar()), lambda at: "{:04}W{:02}{}".format(*at.isocalendar()),
])
CLOCKS = st.sampled_from(["%H:%M:%S.%f", "%H:%M:%S,%f", "%H%M%S.%f", "%H%M%S,%f000"])
# fmt: on


@given(
    at=times,
    zone=zones,
    date=DATES,
    clock=CLOCKS,
    separator=st.sampled_from("Tt _"),
    colon=st.sampled_from([":", ""]),
    minus=st.sampled_from("-−"),
    around=st.sampled_from(["", " ", "\r\n"]),
)
def test_reads_every_form_of_iso_8601_as_the_same_time(at, zone, date, clock, separator, colon, minus, around):
    at = at.replace(tzinfo=zone)
    offset = at.isoformat()[-6:].replace("-", minus).replace(":", colon)
    written = f"{around}{date(at)}{separator}{at.strftime(clock)}{offset}{around}"
    read = read_timestamp(written)
    assert read == at
    assert read.utcoffset() == timedelta(0)


@given(
    at=times, fold=st.sampled_from([str.lower, str.upper]), timespec=st.sampled_from(["hours", "minutes", "seconds"])
)
def test_reads_any_precision_in_upper_and_lower_case(at, fold, timespec):
    written = at.isoformat(timespec=timespec)
    assert read_timestamp(fold(f"{written}Z")) == datetime.fromisoformat(f"{written}+00:00")
    assert read_timestamp(written) is None
    assert read_timestamp(written, assume_utc=True) == datetime.fromisoformat(f"{written}+00:00")


@given(seconds=st.integers(10**9, 10**10 - 1), fraction=st.text("0123456789", max_size=40))
def test_reads_seconds_since_1970_and_smaller_units(seconds, fraction):
    second = datetime.fromtimestamp(seconds, UTC)
    assert read_timestamp(str(seconds)) == second
    finer = second + timedelta(microseconds=int(f"{fraction:0<6}"[:6]))
    assert read_timestamp(f"{seconds}.{fraction}" if fraction else str(seconds)) == finer
    for digits in (3, 6, 9):
        whole = second + timedelta(microseconds=int(f"{fraction[:digits]:0<6}"[:6]))
        assert read_timestamp(f"{seconds}{fraction[:digits]:0<{digits}}") == whole


@given(text=st.text("0123456789-:.,+TtZzWw _−[]m=", max_size=40) | st.text())
def test_any_other_text_is_none_and_never_an_error(text):
    for read in (read_timestamp(text), read_timestamp(text, assume_utc=True)):
        assert read is None or read.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("written", "iso"),
    [
        ("2026-06-01T05:04.5Z", "2026-06-01T05:04:30"),
        ("2026-06-01T0504,25Z", "2026-06-01T05:04:15"),
        ("2026-06-01T05.5Z", "2026-06-01T05:30:00"),
        ("2026-06-01T24:00:00Z", "2026-06-02T00:00:00"),
        ("2026-06-01T24Z", "2026-06-02T00:00:00"),
        ("2026-06-30T23:59:60Z", "2026-07-01T00:00:00"),
        ("2026-07-01T01:59:60.25+02:00", "2026-07-01T00:00:00.250000"),
        ("2024-366T00Z", "2024-12-31T00:00:00"),
        ("2026-06-01T05:04:03.9999999Z", "2026-06-01T05:04:03.999999"),
        (f"2026-06-01T05:04:03.{'9' * 5_000}Z", "2026-06-01T05:04:03.999999"),
        ("2026-06-01T05:04:03-00:00", "2026-06-01T05:04:03"),
        ("2026-06-01 05:04:03 UTC", "2026-06-01T05:04:03"),
        ("2026-06-01 05:04:03 GMT", "2026-06-01T05:04:03"),
        ("2026-06-01T05:04:03Z[UTC]", "2026-06-01T05:04:03"),
        ("2026-06-01T07:04:03+02:00[Europe/Berlin][u-ca=gregory]", "2026-06-01T05:04:03"),
        ("2026-06-01 05:04:03.25 +0000 UTC", "2026-06-01T05:04:03.250000"),
        ("2026-06-01 02:04:03.25 -0300 -03 m=-1.000000001", "2026-06-01T05:04:03.250000"),
    ],
)
def test_reads_the_rarer_forms_too(written, iso):
    assert read_timestamp(written) == datetime.fromisoformat(f"{iso}+00:00")


@pytest.mark.parametrize(
    "written",
    [
        "2026-06-01T24:00:01Z",
        "2026-06-01T24:01Z",
        "2026-06-01T05:60Z",
        "2026-06-01T05:04:61Z",
        "2026-06-01T05:04:03.Z",
        "2026-06-01T05:04:03+24:00",
        "2026-06-01T05:04:03+02:60",
        "2026-06-01T05:04:03+2",
        "2026-06-01T05:04:03ZZ",
        "2026-06-01T05:04:03 CEST",
        "2026-06-01T05:04:03[Europe/Berlin]",
        "2026-000T05Z",
        "2026-366T05Z",
        "2026-W54-1T05Z",
        "2026-W23T05Z",
        "2026-06T05Z",
        "0000-01-01T00Z",
        "0001-01-01T00:00+00:01",
        "9999-12-31T24:00Z",
        "2026-06-01",
        "1764345600000ms",
        "-1764345600",
        "17643456000",
        "9" * 5_000,
    ],
)
def test_an_invalid_timestamp_is_none(written):
    assert read_timestamp(written) is None
