"""The tables of words agree with each other."""

import pytest

from logs.circleci.vocabulary import (
    EVENT_TYPE_HEADER,
    JOB_STATUSES,
    KEPT_HEADERS,
    SIGNATURE_HEADER,
    WORKFLOW_STATUSES,
    EventType,
    Tone,
    tone_of,
)


def test_knows_the_documented_event_types_and_the_ping():
    assert set(EventType) == {"workflow-completed", "job-completed", "ping"}


def test_knows_the_documented_statuses():
    assert set(WORKFLOW_STATUSES) == {"success", "failed", "error", "canceled", "unauthorized"}
    assert set(JOB_STATUSES) == {"success", "failed", "canceled", "unauthorized"}


@pytest.mark.parametrize("status", sorted({*WORKFLOW_STATUSES, *JOB_STATUSES}))
def test_every_documented_status_has_a_tone(status):
    assert tone_of(status) is not Tone.UNKNOWN


@pytest.mark.parametrize(
    ("status", "tone"),
    [
        ("success", Tone.GOOD),
        ("failed", Tone.BAD),
        ("error", Tone.BAD),
        ("unauthorized", Tone.BAD),
        ("infrastructure_fail", Tone.BAD),
        ("canceled", Tone.STOPPED),
        ("not_run", Tone.STOPPED),
        ("on_hold", Tone.WAITING),
    ],
)
def test_a_status_means_to_the_person_on_duty(status, tone):
    assert tone_of(status) is tone


@pytest.mark.parametrize("status", ["", "SUCCESS", "succeeded", "success ", "<b>failed</b>", "\x00"])
def test_an_undocumented_status_is_unknown_rather_than_an_error(status):
    assert tone_of(status) is Tone.UNKNOWN


def test_keeps_the_headers_that_a_signature_and_a_type_travel_in():
    assert {SIGNATURE_HEADER, EVENT_TYPE_HEADER} <= set(KEPT_HEADERS)


@pytest.mark.parametrize("header", ["authorization", "cookie", "x-api-key", "proxy-authorization"])
def test_keeps_no_header_that_could_hold_credentials(header):
    assert header not in KEPT_HEADERS


def test_kept_headers_are_written_as_they_are_looked_up():
    assert [header.lower() for header in KEPT_HEADERS] == list(KEPT_HEADERS)
