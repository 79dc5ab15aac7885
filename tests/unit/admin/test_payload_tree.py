"""The payload's tree: it says everything, escapes everything, and never grows beyond its bounds."""

import re
import time
from html.parser import HTMLParser

from logs.admin.payload_tree import MAX_CHILDREN, MAX_TEXT_LENGTH, render_tree
from logs.circleci.strict_json import MAX_DEPTH, parse_payload

HOSTILE = "<script>alert(1)</script>\"'&\u202e"


class Balance(HTMLParser):
    """Notes which elements are open, and the deepest nesting of lists."""

    def __init__(self):
        super().__init__()
        self.open = []
        self.deepest = 0

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.deepest = max(self.deepest, self.open.count("ul"))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def balance_of(html):
    parser = Balance()
    parser.feed(html)
    assert parser.open == []
    return parser


def nested(depth):
    document = {"end": 1}
    for _ in range(depth - 1):
        document = {"level": document}
    return document


def test_each_kind_of_value_is_marked_and_written_as_json():
    document = {"text": "a", "whole": 1, "half": 0.5, "yes": True, "nothing": None, "no_keys": {}, "no_items": []}
    html = render_tree(document).html
    for kind, text in [
        ("string", "&quot;a&quot;"),
        ("number", "1"),
        ("number", "0.5"),
        ("boolean", "true"),
        ("null", "null"),
        ("object", "{}"),
        ("array", "[]"),
    ]:
        assert f'<bdi class="value {kind}">{text}</bdi>' in html


def test_objects_and_arrays_fold_and_say_how_much_is_in_them():
    html = render_tree({"one": {"key": 1}, "two": [{"a": 1}, 2]}).html
    assert html.count("<details open><summary") == 3
    assert [f">{size}<" in html for size in ("1 key", "2 items", "2 keys")] == [True, True, False]
    assert '<span class="key index">1</span>' in html
    balance_of(html)


def test_escapes_keys_and_values_and_isolates_their_direction():
    html = render_tree({HOSTILE: HOSTILE, "list": [HOSTILE]}).html
    assert "<script" not in html
    assert html.count("&lt;script&gt;") == 3
    assert not re.search('\u202e(?!"?(&quot;)?</bdi>)', html)


def test_replaces_lone_surrogates():
    html = render_tree({"\ud800": "\udfff"}).html
    html.encode()
    assert html.count("?") == 2


def test_shows_the_deepest_payload_there_can_be():
    document = nested(MAX_DEPTH)
    assert parse_payload(str(document).replace("'", '"').encode()) == document
    assert balance_of(render_tree(document).html).deepest == MAX_DEPTH


def test_a_large_payload_is_folded_but_for_its_first_level():
    html = render_tree({"many": list(range(500)), "few": {"deep": {}}}).html
    assert "<details open>" not in html
    assert "<details><summary" in html


def test_a_wide_object_hides_neither_its_rest_nor_what_follows():
    tree = render_tree({"wide": dict.fromkeys(map(str, range(MAX_CHILDREN + 7)), 0), "after": "here"})
    assert not tree.is_whole
    assert "… 7 more not shown" in tree.html
    assert "&quot;here&quot;" in tree.html


def test_renders_no_more_nodes_than_its_bound():
    document = {f"object {number}": {"a": 1, "b": 2, "c": 3} for number in range(10)}
    tree = render_tree(document, max_nodes=13)
    assert not tree.is_whole
    assert tree.html.count('class="line"') == 13
    assert re.findall(r"… (\d) more", tree.html) == ["3", "6"]
    assert render_tree(document, max_nodes=40).is_whole
    balance_of(tree.html)


def test_cuts_a_long_text_and_tells_by_how_much():
    tree = render_tree({"long": "x" * (MAX_TEXT_LENGTH + 5), "k" * (MAX_TEXT_LENGTH + 5): 1})
    assert not tree.is_whole
    assert "… 5 more characters" in tree.html
    assert "x" * (MAX_TEXT_LENGTH + 1) not in tree.html
    assert "k" * (MAX_TEXT_LENGTH + 1) not in tree.html
    assert render_tree({"long": "x" * MAX_TEXT_LENGTH}).is_whole


def test_hostile_shapes_of_a_mebibyte_are_rendered_quickly():
    wide = {f"{number:07}": number for number in range(50_000)}
    deep = nested(MAX_DEPTH - 2) | {"x": ["y" * 10] * 60_000, "z": [[]] * 200_000}
    started = time.process_time()
    for document in (wide, deep):
        assert len(render_tree(document).html) < 3_000_000
    assert time.process_time() - started < 2
