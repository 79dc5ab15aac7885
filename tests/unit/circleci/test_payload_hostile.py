"""No body, however hostile, does more than be refused as malformed or lose the columns that cannot be read."""

import json
from dataclasses import fields, replace
from operator import setitem

import pytest

from logs.circleci.payload import (
    MAX_ID_LENGTH,
    MAX_SUBJECT_LENGTH,
    MAX_TEXT_BYTES,
    MAX_TEXT_LENGTH,
    MAX_URL_LENGTH,
    Event,
    read_event,
)
from logs.circleci.strict_json import MAX_DEPTH, parse_payload
from logs.exceptions import PayloadMalformed

MAX_LENGTHS = {"event_id": MAX_ID_LENGTH, "commit_subject": MAX_SUBJECT_LENGTH, "url": MAX_URL_LENGTH}
IDENTITY = b'"id":"e","type":"workflow-completed"'
WRONG_BLOCKS = [None, 5, 1.5, True, "text", "", [], [{}], {}]
WRONG_TEXTS = [None, 5, 1.5, False, "", [], ["text"], {}, {"name": "text"}]


def with_value(body, path, value):
    """Return a payload whose value at a dotted path is another."""
    document = json.loads(body)
    *blocks, key = path.split(".")
    node = document
    for block in blocks:
        node = node[block]
    setitem(node, key, value)
    return json.dumps(document).encode()


def blank(event, columns):
    """Return an event without what stands in some of its columns."""
    return replace(event, **{column: "" if isinstance(getattr(event, column), str) else None for column in columns})


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(b"", "not JSON", id="empty"),
        pytest.param(b" \n", "not JSON", id="white space"),
        pytest.param(b"\x00", "not JSON", id="NUL"),
        pytest.param(b"id=e&type=ping", "not JSON", id="a form"),
        pytest.param(b"<event/>", "not JSON", id="XML"),
        pytest.param(b"{" + IDENTITY, "not JSON", id="cut short"),
        pytest.param(b"{" + IDENTITY + b"}}", "not JSON", id="more after the end"),
        pytest.param(b"{" + IDENTITY + b"}{}", "not JSON", id="two documents"),
        pytest.param(b"{" + IDENTITY + b",}", "not JSON", id="a comma too many"),
        pytest.param(b"{'id':'e','type':'ping'}", "not JSON", id="single quotes"),
        pytest.param(b"{" + IDENTITY + b',"a":"\n"}', "not JSON", id="a raw control character"),
        pytest.param(b"{" + IDENTITY + b',"a":"\\x41"}', "not JSON", id="an unknown escape"),
        pytest.param(b"{" + IDENTITY + b',"a":01}', "not JSON", id="a leading zero"),
        pytest.param(b"{" + IDENTITY + b',"a":NaN}', "NaN is not a JSON number", id="NaN"),
        pytest.param(b"{" + IDENTITY + b',"a":[Infinity]}', "Infinity is not a JSON number", id="Infinity"),
        pytest.param(b"{" + IDENTITY + b',"a":{"b":-Infinity}}', "-Infinity is not a JSON number", id="-Infinity"),
        pytest.param(b"{" + IDENTITY + b',"id":"f"}', "duplicate key in", id="two ids"),
        pytest.param(b"{" + IDENTITY + b',"a":[{"b":1,"b":1}]}', "duplicate key in", id="a key twice, deep inside"),
        pytest.param(b"{" + IDENTITY + b',"\\u0069d":"f"}', "duplicate key in", id="a key twice, once escaped"),
        pytest.param(b"{" + IDENTITY + b',"a":"\xff"}', "not UTF-8", id="invalid UTF-8"),
        pytest.param(b"{" + IDENTITY + b',"a":"\xc0\x80"}', "not UTF-8", id="overlong UTF-8"),
        pytest.param(b"{" + IDENTITY + b',"a":"\xed\xa0\x80"}', "not UTF-8", id="a surrogate in UTF-8"),
        pytest.param(b"\xef\xbb\xbf{" + IDENTITY + b"}", "not JSON", id="a byte order mark"),
        pytest.param(('{"id":"e","type":"ping"}').encode("utf-16"), "not UTF-8", id="UTF-16"),
        pytest.param(('{"id":"e","type":"ping"}').encode("utf-16-le"), "not JSON", id="UTF-16 without its mark"),
        pytest.param(('{"id":"e","type":"ping"}').encode("utf-32"), "not UTF-8", id="UTF-32"),
        pytest.param(b"[{" + IDENTITY + b"}]", "not a JSON object but a JSON array", id="an array"),
        pytest.param(b'"e"', "not a JSON object but a JSON string", id="a string"),
        pytest.param(b"5", "not a JSON object but a JSON number", id="a number"),
        pytest.param(b"5.5", "not a JSON object but a JSON number", id="a fraction"),
        pytest.param(b"true", "not a JSON object but a JSON boolean", id="a boolean"),
        pytest.param(b"null", "not a JSON object but a JSON null", id="null"),
        pytest.param(b"[" * 100_000, "nested deeper", id="100 000 arrays"),
        pytest.param(b'{"a":' * 100_000, "nested deeper", id="100 000 objects"),
        pytest.param(b"[" * 100_000 + b"]" * 100_000, "nested deeper", id="100 000 closed arrays"),
    ],
)
def test_refuses_what_is_no_json_object_and_says_why(body, reason):
    with pytest.raises(PayloadMalformed, match=reason) as caught:
        read_event(body)
    assert len(str(caught.value)) < 200


def nested(levels):
    """Return a payload of so many objects and arrays inside each other."""
    return b"{" + IDENTITY + b',"a":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"


def test_nesting_is_read_down_to_its_limit_and_refused_below():
    assert read_event(nested(MAX_DEPTH)).event_id == "e"
    for levels in (MAX_DEPTH + 1, 500, 5_000):
        with pytest.raises(PayloadMalformed, match="nested deeper"):
            read_event(nested(levels))


@pytest.mark.parametrize("digits", ["1e999", "-1e999", "9" * 19, "9" * 5_000, "-" + "9" * 5_000])
def test_keeps_a_number_that_no_column_holds_as_it_was_written(digits):
    assert parse_payload(b"{" + IDENTITY + f',"a":{digits}}}'.encode())["a"] == digits


@pytest.mark.parametrize("key", ["id", "type"])
@pytest.mark.parametrize("value", [None, 5, True, "", " ", "\n\t", [], ["e"], {}, {"id": "e"}])
def test_refuses_a_payload_without_a_usable_identity(payload, key, value):
    with pytest.raises(PayloadMalformed, match=f'"{key}" must be a non-empty string'):
        read_event(with_value(payload("ping"), key, value))


@pytest.mark.parametrize("key", ["id", "type"])
def test_refuses_a_payload_whose_identity_is_missing(payload, key):
    document = json.loads(payload("ping"))
    del document[key]
    with pytest.raises(PayloadMalformed, match=f'"{key}" must be a non-empty string'):
        read_event(json.dumps(document).encode())


def test_nothing_but_an_id_and_a_type_is_needed():
    event = read_event(b"{" + IDENTITY + b"}")
    columns = {field.name for field in fields(Event)} - {"event_id", "event_type"}
    assert event == blank(event, columns)


def test_an_id_is_opaque_and_refused_only_for_its_length(payload):
    for event_id in ("not a UUID", "<script>", "i" * MAX_ID_LENGTH, "größer"):
        assert read_event(with_value(payload("ping"), "id", event_id)).event_id == event_id
    with pytest.raises(PayloadMalformed, match=f"longer than {MAX_ID_LENGTH}"):
        read_event(with_value(payload("ping"), "id", "i" * (MAX_ID_LENGTH + 1)))


COMMIT = {"commit_subject", "author"}
PIPELINE = {"pipeline_id", "pipeline_number", "trigger"}
VCS = COMMIT | {"branch", "revision"}
SUBJECT = {"status", "stopped_at", "duration_seconds"}

# What is lost with a block of the wrong type; everything else must still be read.
# fmt: off
BLOCKS = {
    ("workflow_success_github_oauth", "webhook"):                    {"name"},
    ("workflow_success_github_oauth", "project"):                    {"project", "project_slug", "project_id"},
    ("workflow_success_github_oauth", "organization"):               {"organization"},
    ("workflow_success_github_oauth", "workflow"):                   SUBJECT | {"workflow", "workflow_id", "url"},
    ("workflow_success_github_oauth", "pipeline"):                   VCS | PIPELINE,
    ("workflow_success_github_oauth", "pipeline.trigger"):           {"trigger"},
    ("workflow_success_github_oauth", "pipeline.vcs"):               VCS,
    ("workflow_success_github_oauth", "pipeline.vcs.commit"):        COMMIT,
    ("workflow_success_github_oauth", "pipeline.vcs.commit.author"): {"author"},
    ("job_failed_github_app", "job"):                                SUBJECT | {"job", "job_number"},
    ("job_failed_github_app", "workflow"):                           {"workflow", "workflow_id", "url"},
    ("job_failed_github_app", "pipeline.trigger_parameters"):        VCS,
    ("job_failed_github_app", "pipeline.trigger_parameters.git"):    set(),  # The provider's block tells the same.
    ("job_failed_github_app", "pipeline.trigger_parameters.github_app"): COMMIT,
    ("workflow_failed_gitlab", "pipeline.trigger_parameters.gitlab"):    COMMIT,
    ("workflow_failed_gitlab", "pipeline.trigger_parameters.circleci"):  set(),
}
LEAVES = {
    "happened_at":                      {"happened_at"},
    "webhook.name":                     {"name"},
    "project.name":                     {"project"},
    "project.slug":                     {"project_slug"},
    "project.id":                       {"project_id"},
    "organization.name":                {"organization"},
    "workflow.name":                    {"workflow"},
    "workflow.id":                      {"workflow_id"},
    "workflow.status":                  {"status"},
    "workflow.url":                     {"url"},
    "workflow.created_at":              {"duration_seconds"},
    "workflow.stopped_at":              {"stopped_at", "duration_seconds"},
    "pipeline.id":                      {"pipeline_id"},
    "pipeline.trigger.type":            {"trigger"},
    "pipeline.vcs.branch":              {"branch"},
    "pipeline.vcs.revision":            {"revision"},
    "pipeline.vcs.commit.subject":      {"commit_subject"},
    "pipeline.vcs.commit.author.name":  {"author"},
}
# fmt: on


@pytest.mark.parametrize("wrong", WRONG_BLOCKS)
@pytest.mark.parametrize(("name", "path"), BLOCKS)
def test_a_block_of_the_wrong_type_costs_its_own_columns_only(payload, name, path, wrong):
    body = payload(name)
    assert read_event(with_value(body, path, wrong)) == blank(read_event(body), BLOCKS[name, path])


@pytest.mark.parametrize("wrong", WRONG_TEXTS)
@pytest.mark.parametrize("path", LEAVES)
def test_a_value_of_the_wrong_type_costs_its_own_columns_only(payload, path, wrong):
    body = payload("workflow_success_github_oauth")
    assert read_event(with_value(body, path, wrong)) == blank(read_event(body), LEAVES[path])


TEXT_LEAVES = {
    path: column
    for path, columns in LEAVES.items()
    for column in columns - {"happened_at", "stopped_at", "duration_seconds", "job_number", "pipeline_number"}
}


@pytest.mark.parametrize("path", TEXT_LEAVES)
@pytest.mark.parametrize("unstorable", ["\x00", chr(0xD800), chr(0xDFFF), chr(0xDC00) + chr(0xD800)])
def test_what_a_database_cannot_store_is_replaced(payload, path, unstorable):
    body = with_value(payload("workflow_success_github_oauth"), path, f"https://a{unstorable}b")
    assert getattr(read_event(body), TEXT_LEAVES[path]) == "https://a" + "\ufffd" * len(unstorable) + "b"


def test_what_a_database_cannot_store_is_replaced_in_the_type_too(payload):
    assert read_event(with_value(payload("ping"), "type", "a\x00\ud800b")).event_type == "a\ufffd\ufffdb"


@pytest.mark.parametrize("unstorable", ["\x00", "\ud83d"])
def test_an_id_that_a_database_cannot_store_is_refused_since_two_could_become_one(payload, unstorable):
    with pytest.raises(PayloadMalformed, match='"id" contains a NUL or a lone surrogate'):
        read_event(with_value(payload("ping"), "id", f"a{unstorable}b"))


def test_an_escaped_pair_of_surrogates_is_one_letter(payload):
    body = payload("ping").replace(b"Harbour log", rb"\ud83d\udca1")
    assert read_event(body).name == "💡"


@pytest.mark.parametrize("path", TEXT_LEAVES)
def test_a_long_text_is_cut_to_its_column(payload, path):
    text = "https://" + "ü" * 10_000
    event = read_event(with_value(payload("workflow_success_github_oauth"), path, text))
    column = TEXT_LEAVES[path]
    assert getattr(event, column) == text[: MAX_LENGTHS.get(column, MAX_TEXT_LENGTH)]


def test_a_text_of_long_characters_is_cut_between_two_to_fit_an_index(payload):
    body = with_value(payload("workflow_success_github_oauth"), "workflow.name", "a" + "🚢" * 300)
    assert read_event(body).workflow == "a" + "🚢" * ((MAX_TEXT_BYTES - 1) // 4)


def test_a_long_type_is_cut_to_its_column(payload):
    assert read_event(with_value(payload("ping"), "type", "t" * 10_000)).event_type == "t" * MAX_TEXT_LENGTH


@pytest.mark.parametrize("digits", ["9" * 5_000, "-" + "9" * 5_000, "1" * 21])
def test_an_endless_integer_is_parsed_as_its_digits_and_costs_its_column_only(payload, digits):
    body = payload("workflow_success_github_oauth").replace(b'"number": 412', b'"number": ' + digits.encode())
    assert parse_payload(body)["pipeline"]["number"] == digits
    assert read_event(body) == replace(read_event(payload("workflow_success_github_oauth")), pipeline_number=None)


@pytest.mark.parametrize("number", [b"1e999", b"-1e999", b"1" * 400 + b".5", b"1e-999", b"-0", b"-0.0", b"1E2"])
def test_an_odd_number_costs_its_column_only(payload, number):
    body = payload("workflow_success_github_oauth").replace(b'"number": 412', b'"number": ' + number)
    wanted = 0 if number == b"-0" else None
    assert read_event(body) == replace(read_event(payload("workflow_success_github_oauth")), pipeline_number=wanted)


def test_unknown_keys_are_no_concern(payload):
    body = with_value(payload("workflow_success_github_oauth"), "__proto__", {"": [None, {"id": 5}]})
    assert read_event(body) == read_event(payload("workflow_success_github_oauth"))
