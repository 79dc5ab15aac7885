"""Whatever arrives is refused as malformed, or becomes an event that a database can store."""

import json
from dataclasses import fields
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logs.circleci.payload import (
    MAX_ID_LENGTH,
    MAX_INTEGER,
    MAX_SUBJECT_LENGTH,
    MAX_TEXT_LENGTH,
    MAX_URL_LENGTH,
    Event,
    parse_payload,
    read_event,
)
from logs.exceptions import PayloadMalformed

MAX_LENGTHS = {"event_id": MAX_ID_LENGTH, "commit_subject": MAX_SUBJECT_LENGTH, "url": MAX_URL_LENGTH}

# Of each block and value that is read.
KEYS = """webhook project organization workflow job pipeline id name slug number type url status happened_at created_at
started_at stopped_at trigger trigger_parameters vcs git gitlab github_app commit author subject branch tag revision ref
full_ref checkout_sha commit_sha commit_title commit_message commit_author_name""".split()  # noqa: SIM905 - a list would fill a page
any_text = st.text(st.characters()) | st.builds(
    lambda text, times: text * times, st.text(st.characters()), st.just(999)
)
near_times = st.from_regex(r"\A\d{4}-[01]\d-[0-3]\d[T ][0-2]\d:[0-6]\d:[0-6]\d(\.\d+)? ?(Z|[+-]\d\d:?\d\d)( UTC)?\Z")
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
any_json = st.recursive(
    scalars | any_text | near_times | st.builds("https://{}".format, any_text),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(KEYS) | any_text, inner),
    max_leaves=20,
)
# Objects at all the places that a reader looks into, with anything in them.
SHAPE = {
    "webhook": ("name",),
    "project": ("name", "slug", "id"),
    "organization": ("name",),
    "workflow": ("id", "name", "status", "created_at", "stopped_at", "url"),
    "job": ("name", "number", "status", "started_at", "stopped_at"),
    "pipeline": ("id", "number", "trigger", "vcs", "trigger_parameters"),
}
blocks = {
    block: any_json | st.fixed_dictionaries({}, optional=dict.fromkeys(keys, any_json)) for block, keys in SHAPE.items()
}
storable_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
identities = storable_text.map(lambda text: f"e{text}"[:MAX_ID_LENGTH])
types = st.sampled_from(["workflow-completed", "job-completed", "ping"]) | any_text.map("t{}".format)
documents = st.fixed_dictionaries({"id": identities, "type": types}, optional=blocks | {"happened_at": any_json})


@given(body=st.binary())
def test_arbitrary_bytes_are_refused_as_malformed(body):
    with pytest.raises(PayloadMalformed):
        read_event(body)


@given(text=st.text('{}[]",:\\u0 \n-+.eEtrufalsn1NI', max_size=60))
def test_almost_json_is_read_or_refused(text):
    try:
        document = parse_payload(text.encode())
    except PayloadMalformed:
        return
    assert isinstance(document, dict)


@given(document=documents)
def test_any_object_with_an_identity_gives_an_event_that_a_database_can_store(document):
    event = read_event(json.dumps(document).encode())
    for column in (field.name for field in fields(Event)):
        value = getattr(event, column)
        if isinstance(value, str):
            assert "\x00" not in value
            value.encode("utf-8")
            assert len(value) <= MAX_LENGTHS.get(column, MAX_TEXT_LENGTH)
        elif isinstance(value, datetime):
            assert value.utcoffset() == timedelta(0)
        elif value is not None:
            assert 0 <= value <= MAX_INTEGER
