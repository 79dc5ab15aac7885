"""Render a payload as a tree that folds without a script. Payloads are untrusted, so everything is escaped."""

import json
from dataclasses import dataclass, field

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import ngettext

MAX_NODES = 5_000
MAX_CHILDREN = 1_000  # Per object or array, so that a large one does not use up MAX_NODES.
MAX_TEXT_LENGTH = 2_000
MAX_OPEN_NODES = 300  # A larger tree opens with only its first level.

Container = dict[str, object] | list[object]

_END = SafeString("</ul></details></li>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A rendered payload."""

    html: SafeString
    is_whole: bool  # False if anything was left out.


def render_tree(document: Container, *, max_nodes: int = MAX_NODES) -> Tree:
    """Render a JSON document as nested lists whose objects and arrays fold.

    Args:
        document: nested no deeper than `logs.circleci.strict_json.MAX_DEPTH`.
        max_nodes: the maximum number of keys and items to render; each container shows how many it leaves out.
    """
    writer = _Writer(remaining=max_nodes, opened=_count(document, MAX_OPEN_NODES + 1) <= MAX_OPEN_NODES)
    writer.write_children(document)
    items = format_html_join("", "{}", ((part,) for part in writer.parts))
    html = format_html('<ul class="tree {}">{}</ul>', _kind(document), items)
    return Tree(html=html, is_whole=writer.is_whole)


def printable(text: str) -> str:
    """Replace lone surrogates, which JSON can contain but UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode()


@dataclass(slots=True, kw_only=True)
class _Writer:
    remaining: int  # The number of nodes that may still be written.
    opened: bool
    parts: list[SafeString] = field(default_factory=list)
    is_whole: bool = True

    def write_children(self, node: Container) -> None:
        children: list[tuple[str | int, object]] = [*(node.items() if isinstance(node, dict) else enumerate(node))]
        for position, (key, value) in enumerate(children):
            if self.remaining <= 0 or position >= MAX_CHILDREN:
                self._write_rest(len(children) - position)
                return
            self.remaining -= 1
            shown = _key(key)
            if isinstance(value, dict | list) and value:
                self._write_container(shown, value)
            else:
                leaf = '<li><span class="line">{} {}</span></li>'
                self.parts.append(format_html(leaf, shown, self._value(value)))

    def _write_container(self, key: SafeString, node: Container) -> None:
        self.parts.append(
            format_html(
                '<li><details{}><summary class="line">{} <span class="count">{}</span></summary><ul class="{}">',
                SafeString(" open") if self.opened else "",
                key,
                _size(node),
                _kind(node),
            )
        )
        self.write_children(node)
        self.parts.append(_END)

    def _write_rest(self, count: int) -> None:
        self.is_whole = False
        rest = ngettext("%(count)d more not shown", "%(count)d more not shown", count) % {"count": count}
        self.parts.append(format_html('<li class="more">… {}</li>', rest))

    def _value(self, value: object) -> SafeString:
        if isinstance(value, str) and len(value) > MAX_TEXT_LENGTH:
            self.is_whole = False
            cut = json.dumps(value[:MAX_TEXT_LENGTH], ensure_ascii=False)[:-1]
            count = len(value) - MAX_TEXT_LENGTH
            rest = ngettext("%(count)d more character", "%(count)d more characters", count) % {"count": count}
            html = '<bdi class="value string cut">{}</bdi> <span class="more">… {}</span>'
            return format_html(html, printable(cut), rest)
        text = printable(json.dumps(value, ensure_ascii=False))
        return format_html('<bdi class="value {}">{}</bdi>', _kind(value), text)


def _key(key: str | int) -> SafeString:
    if isinstance(key, int):
        return format_html('<span class="key index">{}</span>', str(key))
    cut = SafeString(" cut") if len(key) > MAX_TEXT_LENGTH else ""
    return format_html('<bdi class="key{}">{}</bdi>', cut, printable(key[:MAX_TEXT_LENGTH]) or '""')


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    kinds = {str: "string", dict: "object", list: "array", type(None): "null"}
    return kinds.get(type(value), "number")


def _size(node: Container) -> str:
    if isinstance(node, dict):
        return ngettext("%(count)d key", "%(count)d keys", len(node)) % {"count": len(node)}
    return ngettext("%(count)d item", "%(count)d items", len(node)) % {"count": len(node)}


def _count(node: object, limit: int) -> int:
    """Count a document's keys and items, reading little more than `limit` of them."""
    children = list(node.values()) if isinstance(node, dict) else node if isinstance(node, list) else []
    number = len(children)
    for child in children:
        if number >= limit:
            break
        number += _count(child, limit - number)
    return number
