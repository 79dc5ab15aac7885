"""Send payloads as CircleCI does and tell how they were answered."""

import json
import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
)

from logs.circleci.samples import encode, headers

MAX_SHOWN_LENGTH = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of one request."""

    http_status: int | None  # None: no answer came.
    outcome: str  # The receiver's word for what it did; "" where it gave none.
    reason: str  # In words, why the delivery was not accepted; "" where it was.
    milliseconds: float  # Until the whole answer was read, or until it was given up.

    @property
    def accepted(self) -> bool:
        """Whether CircleCI would count the delivery as made."""
        return self.http_status is not None and _is_success(self.http_status)


class Sender:
    """Posts payloads to one address over connections that are kept open.

    Like CircleCI it follows no redirect; unlike CircleCI it never tries again.
    """

    def __init__(self, url: str, *, secret: str | None, timeout_seconds: float) -> None:
        """Take the address of the receiver and the secret that signs; None sends without a signature."""
        self._url = url
        self._secret = secret
        self._timeout_seconds = timeout_seconds
        self._pool = urllib3.PoolManager(timeout=urllib3.Timeout(total=timeout_seconds))

    def send(self, document: dict[str, Any]) -> Answer:
        """Post one payload and return what came of it, whatever that was."""
        body = encode(document)
        sent_headers = headers(body, document, self._secret)
        started = time.perf_counter()
        try:
            response = self._pool.request(
                "POST", self._url, body=body, headers=sent_headers, retries=False, redirect=False
            )
        except HTTPError as error:
            reason = self._explain(error)
            return Answer(http_status=None, outcome="", reason=reason, milliseconds=_milliseconds_since(started))
        return _answer(response.status, response.data, _milliseconds_since(started))

    def _explain(self, error: HTTPError) -> str:
        if isinstance(error, NameResolutionError):
            return f"the host name of {self._url} is not known"
        if isinstance(error, NewConnectionError) and isinstance(error.__cause__, ConnectionRefusedError):
            return f"nothing listens at {self._url}: start the server with `make run`"
        if isinstance(error, ConnectTimeoutError | ReadTimeoutError):
            return f"no answer within {self._timeout_seconds:g} s"
        return f"the connection to {self._url} failed: {error}"


def paced(documents: Iterable[dict[str, Any]], rate_per_second: float | None) -> Iterator[dict[str, Any]]:
    """Hand on documents at a rate; None hands them on as fast as they are taken.

    Time lost by a slow answer is made up for afterwards, so that the rate holds on average.
    """
    started = time.monotonic()
    for position, document in enumerate(documents):
        if rate_per_second is not None:
            time.sleep(max(0.0, started + position / rate_per_second - time.monotonic()))
        yield document


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


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _shown(value: object) -> str:
    """Return a receiver's text fit for a terminal, which control characters could rewrite."""
    text = value if isinstance(value, str) else ""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:MAX_SHOWN_LENGTH])


def _milliseconds_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
