"""Send payloads as CircleCI does, and report the responses."""

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
from django.conf import settings
from django.urls import reverse
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
MAX_SHOWN_SINGLY = 20  # More messages are only summarised.

Item = TypeVar("Item")
_LINE_ENDS = re.compile(r"[\r\n]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A webhook request."""

    label: str  # Its name in a list of messages.
    body: bytes
    headers: Mapping[str, str]  # Names in lower case.


class Failure(Enum):
    """The reason that there is no complete response."""

    UNREACHABLE = auto()  # The message was not received.
    BROKEN_OFF = auto()  # The connection broke; the message may have been received.
    TIMEOUT = auto()  # The message was sent, but no response arrived in time.


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The result of one request."""

    http_status: int | None  # None: no complete response.
    failure: Failure | None = None  # None: the response is complete.
    outcome: str  # The outcome that the receiver reports; "" if it reports none.
    reason: str  # Why the delivery was not accepted; "" if it was.
    milliseconds: float  # Until the response was complete or the request failed.

    def __str__(self) -> str:
        """Return short text for a line in a list."""
        if self.http_status is None:
            return "no answer"
        return self.reason or f"{self.http_status} {self.outcome}".rstrip()

    @property
    def accepted(self) -> bool:
        """Whether CircleCI would count the delivery as successful."""
        return self.http_status is not None and _is_success(self.http_status)


class WebhookClient:
    """Posts webhooks to one URL over persistent connections.

    Like CircleCI, it does not follow redirects. Unlike CircleCI, it does not retry.
    """

    def __init__(
        self, url: str, *, timeout_seconds: float = CIRCLECI_TIMEOUT_SECONDS, allow_public: bool = True
    ) -> None:
        """Take the receiver's URL, the timeout for a request, and whether the receiver may be on the internet."""
        self._url = url
        self._timeout_seconds = timeout_seconds
        pool_class = urllib3.PoolManager if allow_public else PrivatePoolManager
        self._pool = pool_class(timeout=urllib3.Timeout(total=timeout_seconds))

    def send(self, message: Message) -> Answer:
        """Post a message with only its own headers, and return the response or failure as an Answer."""
        sent_headers = dict.fromkeys(ADDED_BY_CLIENT, SKIP_HEADER) | _encodable(message.headers)
        started = time.perf_counter()
        try:
            response = self._pool.request(
                "POST", self._url, body=message.body, headers=sent_headers, retries=False, redirect=False
            )
        except HTTPError as error:
            return Answer(
                http_status=None,
                failure=_failure(error),
                outcome="",
                reason=self._explain(error),
                milliseconds=_milliseconds_since(started),
            )
        return _answer(response.status, response.data, _milliseconds_since(started))

    def _explain(self, error: HTTPError) -> str:
        if isinstance(error, NotPrivate):
            return error.reason
        if isinstance(error, NameResolutionError):
            return f"the host of {self._url} is unknown"
        if isinstance(error, NewConnectionError) and isinstance(error.__cause__, ConnectionRefusedError):
            return f"nothing listens at {self._url}: start the server with `make run`"
        if isinstance(error, ConnectTimeoutError | ReadTimeoutError):
            return f"no answer within {self._timeout_seconds:g} s"
        return f"the connection to {self._url} failed: {error}"


def _failure(error: HTTPError) -> Failure:
    if isinstance(error, ReadTimeoutError):
        return Failure.TIMEOUT
    # All other errors before anything is sent are subclasses of ConnectTimeoutError.
    return Failure.UNREACHABLE if isinstance(error, ConnectTimeoutError | SSLError) else Failure.BROKEN_OFF


def local_url() -> str:
    """Return the receiving URL of this installation, as seen from this machine."""
    return f"http://127.0.0.1:{settings.PORT}{reverse('logs:receive')}"


def paced(items: Iterable[Item], rate_per_second: float | None) -> Iterator[Item]:
    """Yield items at the given rate, or without delay if the rate is None.

    After a slow response, items follow faster until the average rate is reached again.
    """
    started = time.monotonic()
    for position, item in enumerate(items):
        if rate_per_second is not None:
            time.sleep(max(0.0, started + position / rate_per_second - time.monotonic()))
        yield item


def line(message: Message, answer: Answer) -> str:
    """Return a message's line in a list of sent messages."""
    return f"{message.label:<34}{answer!s:<20}{answer.milliseconds:>8.1f} ms"


def summary(answers: Sequence[Answer], elapsed_seconds: float) -> list[str]:
    """Return lines with the rate, the number of responses with each status, and response time percentiles."""
    counts = Counter("no answer" if answer.http_status is None else str(answer.http_status) for answer in answers)
    rate = len(answers) / elapsed_seconds if elapsed_seconds > 0 else math.inf
    return [
        f"{len(answers)} sent in {elapsed_seconds:.1f} s: {rate:.1f} events per second",
        "answers: " + ", ".join(f"{count} x {status}" for status, count in sorted(counts.items())),
        *_latency_lines([answer.milliseconds for answer in answers if answer.http_status is not None]),
    ]


def reasons(answers: Iterable[Answer]) -> list[str]:
    """Return the reasons that deliveries were not accepted, with their counts, most frequent first."""
    counts = Counter(answer.reason for answer in answers if not answer.accepted)
    return [f"{count} x {reason}" if count > 1 else reason for reason, count in counts.most_common()]


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that at least ``percent`` percent of the values do not exceed (nearest rank).

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("a percentile needs at least one value")
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def _latency_lines(milliseconds: Sequence[float]) -> list[str]:
    if not milliseconds:
        return []
    figures = [f"p{percent} {percentile(milliseconds, percent):.1f}" for percent in (50, 95, 99)]
    return [f"milliseconds: {', '.join(figures)}, max {max(milliseconds):.1f}"]


def _answer(http_status: int, body: bytes, milliseconds: float) -> Answer:
    document = _json_object(body)
    reason = "" if _is_success(http_status) else f"{http_status} {_shown(document.get('detail'))}".rstrip()
    return Answer(
        http_status=http_status, outcome=_shown(document.get("outcome")), reason=reason, milliseconds=milliseconds
    )


def _is_success(http_status: int) -> bool:
    return http_status // 100 == 2


def _encodable(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers that HTTP can carry; stored headers from a hostile client may contain other characters."""
    in_one_line = {name: _LINE_ENDS.sub("?", value) for name, value in headers.items()}
    return {name: value.encode("latin-1", "replace").decode("latin-1") for name, value in in_one_line.items()}


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _shown(value: object) -> str:
    """Return the beginning of a receiver's text, made safe for a terminal."""
    text = value if isinstance(value, str) else ""
    return printable(text[:MAX_SHOWN_LENGTH])


def _milliseconds_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
