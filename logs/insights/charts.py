"""The geometry of stacked bars: x in percent of the chart's width, y in pixels."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, count

from logs.circleci.vocabulary import Tone
from logs.insights.totals import Bar

# From the bottom up: failures share a baseline, so their heights can be compared.
STACK = [Tone.BAD, Tone.STOPPED, Tone.WAITING, Tone.UNKNOWN, Tone.GOOD]
BARS_A_TICK = 4  # A tick every four hours in a chart of a day, or every day in a chart of a week.
GAP = 0.2  # As a share of a bar's width.
TREND_WIDTH, TREND_HEIGHT = 168, 24  # The same as in trend.html; the width allows a whole number of pixels per bar.
LEAST_HEIGHT = 2.0  # Keeps one failure among a thousand successes visible.


@dataclass(frozen=True, kw_only=True)
class Part:
    """The part of a bar that has one tone."""

    tone: Tone
    count: int
    y: float
    height: float


@dataclass(frozen=True, kw_only=True)
class Column:
    """A bar with its position."""

    bar: Bar
    x: float
    width: float
    parts: list[Part]
    counts: list[int]  # By tone, in the legend's order.


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Stacked bars on a common scale."""

    height: int
    ceiling: int
    columns: list[Column]
    tones: list[Tone]  # The legend's tones: always good and bad; others only if they occur.

    @property
    def legend(self) -> list[tuple[Tone, int]]:
        """The count of each tone."""
        return [(tone, sum(column.bar.counts[tone] for column in self.columns)) for tone in self.tones]

    @property
    def half(self) -> int:
        """The count at the middle of the scale."""
        return self.ceiling // 2

    @property
    def ticks(self) -> list[datetime]:
        """The start of each group of bars."""
        return [column.bar.since for column in self.columns[::BARS_A_TICK]]

    @property
    def highest(self) -> Bar:
        """The highest bar."""
        return max((column.bar for column in self.columns), key=lambda bar: bar.total)


def chart_of(bars: Sequence[Bar], *, height: int, ceiling: int) -> Chart:
    """Return a chart of stacked bars.

    Args:
        bars: at least one bar.
        height: the chart's height in pixels.
        ceiling: the count at the upper edge; no bar may exceed it.
    """
    tones = [tone for tone in STACK if tone in {Tone.GOOD, Tone.BAD} or any(bar.counts[tone] for bar in bars)]
    step = 100 / len(bars)
    columns = [
        Column(
            bar=bar,
            x=round((number + GAP / 2) * step, 3),
            width=round((1 - GAP) * step, 3),
            parts=_stack(bar, height, height / ceiling),
            counts=[bar.counts[tone] for tone in tones],
        )
        for number, bar in enumerate(bars)
    ]
    return Chart(height=height, ceiling=ceiling, columns=columns, tones=tones)


@dataclass(frozen=True, kw_only=True)
class HasBars:
    """The base class of what is shown with a small chart of its runs."""

    bars: list[Bar]

    @property
    def trend(self) -> list[tuple[Tone, str]]:
        """The outlines of the chart."""
        return trend_of(self.bars, width=TREND_WIDTH, height=TREND_HEIGHT)

    @property
    def bad_bars(self) -> int:
        """The number of bars with a failed run."""
        return sum(bar.counts[Tone.BAD] > 0 for bar in self.bars)


def trend_of(bars: Sequence[Bar], *, width: int, height: int) -> list[tuple[Tone, str]]:
    """Return one SVG path per tone, outlining all parts of that tone; the tallest bar is as tall as the chart.

    Separate rectangles in two dozen charts would make up most of the page's HTML.
    """
    paths: defaultdict[Tone, list[str]] = defaultdict(list)
    step, pixels_each = width // len(bars), height / highest_of(bars)
    for number, bar in enumerate(bars):
        for part in _stack(bar, height, pixels_each):
            paths[part.tone].append(f"M{number * step} {part.y:g}h{step - 1}v{part.height:g}h{1 - step}z")
    return [(tone, "".join(outlines)) for tone, outlines in paths.items()]


def highest_of(bars: Sequence[Bar]) -> int:
    """Return the highest total among the bars; at least 1."""
    return max(1, *(bar.total for bar in bars))


def round_ceiling(highest: int) -> int:
    """Return the lowest round number >= `highest` with an integer half, which labels the middle of the scale."""
    greater: Iterator[int] = (step * 10**power for power in count() for step in (10, 12, 16, 20, 30, 40, 60, 80))
    return next(step for step in chain((2, 4, 6, 8), greater) if step >= highest)


def _stack(bar: Bar, height: int, pixels_each: float) -> list[Part]:
    parts, top = [], float(height)
    for tone in STACK:
        if bar.counts[tone]:
            # Minimum heights can add up to more than the chart's height.
            part_height = min(top, max(LEAST_HEIGHT, bar.counts[tone] * pixels_each))
            top -= part_height
            parts.append(Part(tone=tone, count=bar.counts[tone], y=round(top, 2), height=round(part_height, 2)))
    return parts
