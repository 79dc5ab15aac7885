"""The geometry of a chart of durations over time: x in percent of the chart's width, y in pixels."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, count, pairwise

from logs.insights.series import Point

MINUTE, HOUR = 60, 3_600
CEILINGS = (
    *(10, 20, 30, MINUTE, 2 * MINUTE, 4 * MINUTE, 6 * MINUTE, 10 * MINUTE, 20 * MINUTE, 40 * MINUTE),
    *(HOUR, 2 * HOUR, 4 * HOUR, 6 * HOUR, 12 * HOUR, 24 * HOUR),
)


@dataclass(frozen=True, kw_only=True)
class Dot:
    """The position of a duration."""

    x: float
    y: float


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step of the chart, from its left edge."""

    point: Point
    until: datetime
    x: float
    width: float


@dataclass(frozen=True, kw_only=True)
class DurationChart:
    """The median and the 95th percentile of durations over time."""

    height: int
    ceiling: int  # The duration at the upper edge, in seconds.
    steps: list[Step]
    median: list[Dot]
    p95: list[Dot]

    @property
    def half(self) -> int:
        """The duration at the middle of the scale, in seconds."""
        return self.ceiling // 2

    @property
    def lines(self) -> list[tuple[str, list[Dot], list[tuple[Dot, Dot]]]]:
        """The name of each line, its dots, and the pairs of dots that it connects."""
        return [(name, dots, list(pairwise(dots))) for name, dots in (("p95", self.p95), ("median", self.median))]


def duration_chart(points: Sequence[Point], step: timedelta, *, height: int) -> DurationChart | None:
    """Return a chart of durations; None if no point has any."""
    longest = max((point.p95 for point in points if point.p95 is not None), default=None)
    if longest is None:
        return None
    ceiling = round_duration(longest)
    width = 100 / len(points)
    return DurationChart(
        height=height,
        ceiling=ceiling,
        steps=[
            Step(point=point, until=point.since + step, x=round(number * width, 3), width=round(width, 3))
            for number, point in enumerate(points)
        ],
        median=_dots([point.median for point in points], height, ceiling),
        p95=_dots([point.p95 for point in points], height, ceiling),
    )


def round_duration(seconds: int) -> int:
    """Return the shortest duration >= `seconds` whose half is easy to read on a scale."""
    days = (48 * HOUR << power for power in count())
    return next(ceiling for ceiling in chain(CEILINGS, days) if ceiling >= seconds)


def _dots(values: Sequence[int | None], height: int, ceiling: int) -> list[Dot]:
    width = 100 / len(values)
    return [
        Dot(x=round((number + 0.5) * width, 3), y=round(height * (1 - value / ceiling), 2))
        for number, value in enumerate(values)
        if value is not None
    ]
