"""Argument types for commands. Each error says what is wrong, then what is accepted."""

import math
from argparse import ArgumentTypeError
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from difflib import get_close_matches

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from logs.reading.pages import MAX_PRIMARY_KEY
from logs.times import parse_span, parse_time


def http_url(text: str) -> str:
    """Return an http or https URL unchanged."""
    try:
        url = parse_url(text)
    except LocationParseError:
        raise ArgumentTypeError(f"{text!r} is not a URL") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ArgumentTypeError(f"{text!r} is not a URL: use http:// or https:// and a host")
    return text


def suggestion(text: str, known: Sequence[str]) -> str:
    """Return the known word that a mistyped word resembles, as a question; if there is none, all known words."""
    similar = get_close_matches(text, known, n=1) or [word for word in known if text and word.startswith(text)]
    return f"did you mean {similar[0]}?" if similar else f"use {', '.join(known)}"


def one_of(known: Sequence[str]) -> Callable[[str], str]:
    """Return an argument type that accepts only these words."""

    def word(text: str) -> str:
        if text not in known:
            raise ArgumentTypeError(f"{text!r} is unknown: {suggestion(text, known)}")
        return text

    return word


def positive_integer(text: str) -> int:
    """Return a whole number of 1 or more."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    if number > MAX_PRIMARY_KEY:
        raise ArgumentTypeError(f"{text!r} is too large")
    return number


def positive_number(text: str) -> float:
    """Return a finite number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise ArgumentTypeError(f"{text!r} is not a number above 0")
    return number


def nonempty_text(text: str) -> str:
    """Return text unchanged if it is not empty."""
    if not text:
        raise ArgumentTypeError("must not be empty")
    return text


def time_or_age(text: str) -> datetime:
    """Return the time for an ISO 8601 timestamp (UTC if it has no offset), or for an age such as 30m, 24h or 7d."""
    try:
        return parse_time(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def age(text: str) -> timedelta:
    """Return a duration above 0, such as 30m, 24h or 7d."""
    span = parse_span(text)
    if not span:
        raise ArgumentTypeError(f"Invalid age {text!r}: use a number and m, h or d, such as 30m, 24h or 7d")
    return span


def lifetime(text: str) -> timedelta | None:
    """Return a duration above 0, such as 30m, 24h or 90d; None for "never"."""
    span = parse_span(text)
    if not span and text != "never":
        raise ArgumentTypeError(f"{text!r} is not a lifetime: use 30m, 24h, 90d or never")
    return span
