"""Send payloads as CircleCI does and tell how they were answered."""

import json
import math
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, TypeVar

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
    SSLError,
)
from urllib3.util import SKIP_HEADER

from logs.management.terminal import printable
from logs.management.workbench.forwarding import NotPrivate, PrivatePoolManager

CIRCLECI_TIMEOUT_SECONDS = 10
ADDED_BY_CLIENT = ("accept-encoding", "user-agent")
MAX_SHOWN_LENGTH = 300
MAX_SHOWN_SINGLY = 20  # More messages are summed up, not listed.

Paced = TypeVar("Paced")
_LINE_ENDS = re.compile(r"[\r\n]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A webhook as it travels."""

    label: str  # What a list of messages calls it.
    body: bytes
    headers: Mapping[str, str]  # Their names in lower case.


class Lack(Enum):
    """Why no whole answer came."""

    UNREACHED = auto()  # Nobody has taken the message.
    BROKEN_OFF = auto()  # Somebody may have; the connection broke.
    LATE = auto()  # Somebody has, and did not answer in time.


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of one request."""

    http_status: int | None  # None: no whole answer came.
    lack: Lack | None = None  # None: one came.
    outcome: str  # The receiver's word for what it did; "" where it gave none.
    reason: str  # In words, why the delivery was not accepted; "" where it was.
    milliseconds: float  # Until the whole answer was read, or until it was given up.

    def __str__(self) -> str:
        """Return the answer in few words, for a line of a list."""
        if self.http_status is None:
            return "no answer"
        return self.reason or f"{self.http_status} {self.outcome}".rstrip()

    @property
    def accepted(self) -> bool:
        """Whether CircleCI would count the delivery as made."""
        return self.http_status is not None and _is_success(self.http_status)


class Sender:
    """Posts webhooks to one address over connections that are kept open.

    Like CircleCI it follows no redirect; unlike CircleCI it never tries again.
    """

    def __init__(
        self, url: str, *, timeout_seconds: float = CIRCLECI_TIMEOUT_SECONDS, allow_public: bool = True
    ) -> None:
        """Take the receiver's URL, the timeout of each answer, and whether the receiver may be on the internet."""
        self._url = url
        self._timeout_seconds = timeout_seconds
        pool_class = urllib3.PoolManager if allow_public else PrivatePoolManager
        self._pool = pool_class(timeout=urllib3.Timeout(total=timeout_seconds))

    def send(self, message: Message) -> Answer:
        """Post a message, with its own headers only, and return what came of it, whatever that was."""
        sent_headers = dict.fromkeys(ADDED_BY_CLIENT, SKIP_HEADER) | _encodable(message.headers)
        started = time.perf_counter()
        try:
            response = self._pool.request(
                "POST", self._url, body=message.body, headers=sent_headers, retries=False, redirect=False
            )
        except HTTPError as error:
            return Answer(
                http_status=None,
                lack=_lack(error),
                outcome="",
                reason=self._explain(error),
                milliseconds=_milliseconds_since(started),
            )
        return _answer(response.status, response.data, _milliseconds_since(started))

    def _explain(self, error: HTTPError) -> str:
        if isinstance(error, NotPrivate):
            return error.reason
        if isinstance(error, NameResolutionError):
            return f"the host name of {self._url} is not known"
        if isinstance(error, NewConnectionError) and isinstance(error.__cause__, ConnectionRefusedError):
            return f"nothing listens at {self._url}: start the server with `make run`"
        if isinstance(error, ConnectTimeoutError | ReadTimeoutError):
            return f"no answer within {self._timeout_seconds:g} s"
        return f"the connection to {self._url} failed: {error}"


def _lack(error: HTTPError) -> Lack:
    if isinstance(error, ReadTimeoutError):
        return Lack.LATE
    # The others that happen before anything is sent are kinds of ConnectTimeoutError.
    return Lack.UNREACHED if isinstance(error, ConnectTimeoutError | SSLError) else Lack.BROKEN_OFF


def paced(messages: Iterable[Paced], rate_per_second: float | None) -> Iterator[Paced]:
    """Hand on messages at a rate; None hands them on as fast as they are taken.

    Time lost by a slow answer is made up for afterwards, so that the rate holds on average.
    """
    started = time.monotonic()
    for position, message in enumerate(messages):
        if rate_per_second is not None:
            time.sleep(max(0.0, started + position / rate_per_second - time.monotonic()))
        yield message


def line(message: Message, answer: Answer) -> str:
    """Return a line for a list of what was sent."""
    return f"{message.label:<34}{answer!s:<20}{answer.milliseconds:>8.1f} ms"


def summary(answers: Sequence[Answer], elapsed_seconds: float) -> list[str]:
    """Return lines that tell how often each answer came, how long answers took, and how many came in a second."""
    counts = Counter("no answer" if answer.http_status is None else str(answer.http_status) for answer in answers)
    rate = len(answers) / elapsed_seconds if elapsed_seconds > 0 else math.inf
    return [
        f"{len(answers)} sent in {elapsed_seconds:.1f} s: {rate:.1f} events per second",
        "answers: " + ", ".join(f"{count} x {status}" for status, count in sorted(counts.items())),
        *_latency_lines([answer.milliseconds for answer in answers if answer.http_status is not None]),
    ]


def reasons(answers: Iterable[Answer]) -> list[str]:
    """Return each reason for which a delivery was not accepted, the most frequent first, with how often it was."""
    counts = Counter(answer.reason for answer in answers if not answer.accepted)
    return [f"{count} x {reason}" if count > 1 else reason for reason, count in counts.most_common()]


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that at least ``percent`` of a hundred values do not exceed (nearest rank).

    Raises:
        ValueError: there is no value.
    """
    if not values:
        raise ValueError("a percentile of nothing")
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def _latency_lines(milliseconds: Sequence[float]) -> list[str]:
    if not milliseconds:
        return []
    figures = [f"p{percent} {percentile(milliseconds, percent):.1f}" for percent in (50, 95, 99)]
    return [f"milliseconds: {', '.join(figures)}, max {max(milliseconds):.1f}"]


def _answer(http_status: int, body: bytes, milliseconds: float) -> Answer:
    told = _json_object(body)
    reason = "" if _is_success(http_status) else f"{http_status} {_shown(told.get('detail'))}".rstrip()
    return Answer(
        http_status=http_status, outcome=_shown(told.get("outcome")), reason=reason, milliseconds=milliseconds
    )


def _is_success(http_status: int) -> bool:
    return http_status // 100 == 2


def _encodable(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers as HTTP can carry them; of hostile ones a letter may have been replaced when they were kept."""
    in_one_line = {name: _LINE_ENDS.sub("?", value) for name, value in headers.items()}
    return {name: value.encode("latin-1", "replace").decode("latin-1") for name, value in in_one_line.items()}


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _shown(value: object) -> str:
    """Return the beginning of a receiver's text, fit for a terminal."""
    text = value if isinstance(value, str) else ""
    return printable(text[:MAX_SHOWN_LENGTH])


def _milliseconds_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
