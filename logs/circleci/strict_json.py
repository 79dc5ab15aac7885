"""Parse a body into a JSON object, strictly: two readers must not read different values from the same bytes."""

import json
import math
from itertools import chain
from typing import NoReturn

from logs.exceptions import PayloadMalformed

MAX_DEPTH = 100


def parse_payload(body: bytes) -> dict[str, object]:
    """Return the JSON object in a body.

    Numbers that no column can store (integers of 19 digits or more, infinite floats) are returned as text.

    Raises:
        PayloadMalformed: the body is not UTF-8, not strict JSON (no NaN, no duplicate keys), nested deeper than
            MAX_DEPTH, or not an object.
    """
    try:
        document = _DECODER.decode(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise PayloadMalformed(f"not UTF-8: {error.reason} at byte {error.start}") from error
    except RecursionError as error:
        raise PayloadMalformed(f"nested deeper than {MAX_DEPTH} levels") from error
    except json.JSONDecodeError as error:
        raise PayloadMalformed(f"not JSON: {error.msg} at character {error.pos}") from error
    if not isinstance(document, dict):
        raise PayloadMalformed(f"not a JSON object but a JSON {_json_type(document)}")
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH:  # Fewer brackets cannot exceed it.
        _refuse_deep_nesting(document)
    return document


def _object_without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    document = dict(pairs)
    if len(document) != len(pairs):  # Two readers could take different values for the same key.
        raise PayloadMalformed("duplicate key in a JSON object")
    return document


def _integer_or_digits(digits: str) -> int | str:
    return int(digits) if len(digits) < 19 else digits  # int() raises ValueError on more than 4,300 digits.


def _float_or_digits(digits: str) -> float | str:
    number = float(digits)
    return number if math.isfinite(number) else digits  # 1e999 becomes infinity, which JSON does not have.


def _refuse_constant(word: str) -> NoReturn:
    raise PayloadMalformed(f"not JSON: {word} is not a JSON number")


def _refuse_deep_nesting(document: dict[str, object]) -> None:
    level: list[dict[str, object] | list[object]] = [document]
    for _ in range(MAX_DEPTH):
        children = chain.from_iterable(node.values() if isinstance(node, dict) else node for node in level)
        level = [child for child in children if isinstance(child, dict | list)]
        if not level:
            return
    raise PayloadMalformed(f"nested deeper than {MAX_DEPTH} levels")


def _json_type(value: object) -> str:
    return {list: "array", str: "string", bool: "boolean", type(None): "null"}.get(type(value), "number")


# Shared, because json.loads() would create a decoder for each body.
_DECODER = json.JSONDecoder(
    object_pairs_hook=_object_without_duplicates,
    parse_int=_integer_or_digits,
    parse_float=_float_or_digits,
    parse_constant=_refuse_constant,
)
