"""Bodies as people read them: as a tree, as text, or byte by byte."""

import json

import pytest

from logs.admin import body as body_module
from logs.admin.body import MAX_DUMPED_BYTES, MAX_INDENTED_LENGTH, MAX_TEXT_LENGTH, show_body


def test_an_object_is_shown_as_a_tree_and_indented():
    body = show_body(b'{"b":[1],"a":null}')
    assert body.document == {"b": [1], "a": None}
    assert body.tree.is_whole
    assert body.text == json.dumps(body.document, indent=2)
    assert (body.size, body.shown_size) == (18, None)


@pytest.mark.parametrize("text", ["[1, 2]", "not JSON", "[\n\t\r]", "ü", "{}{"])
def test_any_other_text_is_shown_as_it_is(text):
    body = show_body(text.encode())
    assert (body.tree, body.text, body.is_text) == (None, text, True)


def test_bytes_are_dumped_with_offsets_and_characters():
    body = show_body(b"ABC\x00\xff" + bytes(16))
    assert not body.is_text
    first, second = body.text.split("\n")
    assert first == "00000000  41 42 43 00 ff 00 00 00 00 00 00 00 00 00 00 00  ABC............."
    assert second == f"00000010  {'00 ' * 5:<47}  ....."


@pytest.mark.parametrize("body", [b"\xff", b"text\x00", b"\x1b[2J"])
def test_what_no_page_can_show_counts_as_bytes(body):
    assert not show_body(body).is_text


def test_a_dump_ends_at_its_bound_and_says_so():
    body = show_body(bytes(MAX_DUMPED_BYTES + 1))
    assert len(body.text.split("\n")) == MAX_DUMPED_BYTES / 16
    assert body.shown_size == MAX_DUMPED_BYTES
    assert show_body(bytes(MAX_DUMPED_BYTES)).shown_size is None


def test_what_indenting_would_blow_up_is_shown_as_it_came():
    deep = b'{"a":' + b"[" * 90 + b",".join([b"1"] * 2_000) + b"]" * 90 + b"}"
    assert len(deep) * 20 < MAX_INDENTED_LENGTH
    assert show_body(deep).text == deep.decode()


def test_a_text_ends_at_its_bound_and_says_so(monkeypatch):
    monkeypatch.setattr(body_module, "MAX_TEXT_LENGTH", 10)
    shown = show_body(b"x" * 11)
    assert (shown.text, shown.shown_size) == ("x" * 10, 10)
    assert MAX_TEXT_LENGTH > 1_048_576  # The default of MAX_BODY_BYTES.


def test_a_lone_surrogate_can_be_sent():
    show_body(b'{"a": "\\ud800"}').text.encode()


def test_an_empty_body_has_nothing_to_show():
    body = show_body(b"")
    assert (body.size, body.text, body.tree) == (0, "", None)
