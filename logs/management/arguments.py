"""Argument types for commands, each with a message that says what was wanted."""

import math
from argparse import ArgumentTypeError
from datetime import datetime, timedelta

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from logs.times import parse_moment, parse_span


def web_address(text: str) -> str:
    """Return an http or https address as it was given."""
    try:
        address = parse_url(text)
    except LocationParseError:
        raise ArgumentTypeError(f"{text!r} is no web address") from None
    if address.scheme not in ("http", "https") or not address.host:
        raise ArgumentTypeError(f"{text!r} is no web address: it must begin with http:// or https:// and a host")
    return text


def positive_integer(text: str) -> int:
    """Return a whole number of 1 or more."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise ArgumentTypeError(f"{text!r} is no whole number of 1 or more")
    return number


def positive_number(text: str) -> float:
    """Return a finite number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise ArgumentTypeError(f"{text!r} is no number above 0")
    return number


def filled_text(text: str) -> str:
    """Return a text that is not empty, as it was given."""
    if not text:
        raise ArgumentTypeError("must not be empty")
    return text


def moment(text: str) -> datetime:
    """Return a moment from ISO 8601 (UTC where no offset stands), or so long ago: 30m, 24h, 7d."""
    try:
        return parse_moment(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def lifetime(text: str) -> timedelta | None:
    """Return a length of time above 0, such as 30m, 24h or 90d; None for never."""
    span = parse_span(text)
    if not span and text != "never":
        raise ArgumentTypeError(f"{text!r} is no lifetime: write 30m, 24h, 90d or never")
    return span
