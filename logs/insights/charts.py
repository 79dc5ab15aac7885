"""Where the parts of stacked bars stand: across in percent of a chart's width, down in pixels of its height."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, count

from logs.circleci.vocabulary import Tone
from logs.insights.totals import Bar

# From the ground up: what failed stands on it, so that its bars can be compared.
STACK = [Tone.BAD, Tone.STOPPED, Tone.WAITING, Tone.UNKNOWN, Tone.GOOD]
BARS_A_TICK = 4  # Four hours of a day, a day of a week.
GAP = 0.2  # Of a bar's width.
LEAST_HEIGHT = 2.0  # One failure among a thousand successes is still to be seen.


@dataclass(frozen=True, kw_only=True)
class Part:
    """The part of a bar that stands for one tone."""

    tone: Tone
    count: int
    y: float
    height: float


@dataclass(frozen=True, kw_only=True)
class Column:
    """A bar with its place."""

    bar: Bar
    x: float
    width: float
    parts: list[Part]
    counts: list[int]  # Of each tone of the legend.


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Stacked bars below a common ceiling."""

    height: int
    ceiling: int
    columns: list[Column]
    tones: list[Tone]  # Those of its legend: good and bad always, the others where there are any.

    @property
    def legend(self) -> list[tuple[Tone, int]]:
        """How many there were of each tone."""
        return [(tone, sum(column.bar.counts[tone] for column in self.columns)) for tone in self.tones]

    @property
    def half(self) -> int:
        """The middle of the scale."""
        return self.ceiling // 2

    @property
    def ticks(self) -> list[datetime]:
        """When each group of bars begins."""
        return [column.bar.since for column in self.columns[::BARS_A_TICK]]

    @property
    def highest(self) -> Bar:
        """The bar that reaches highest."""
        return max((column.bar for column in self.columns), key=lambda bar: bar.total)


def chart_of(bars: Sequence[Bar], *, height: int, ceiling: int) -> Chart:
    """Stack bars.

    Args:
        bars: at least one.
        height: of the chart, in pixels.
        ceiling: the count that reaches up to its upper edge, which no bar exceeds.
    """
    tones = [tone for tone in STACK if tone in {Tone.GOOD, Tone.BAD} or any(bar.counts[tone] for bar in bars)]
    step = 100 / len(bars)
    columns = [
        Column(
            bar=bar,
            x=round((position + GAP / 2) * step, 3),
            width=round((1 - GAP) * step, 3),
            parts=_stack(bar, height, height / ceiling),
            counts=[bar.counts[tone] for tone in tones],
        )
        for position, bar in enumerate(bars)
    ]
    return Chart(height=height, ceiling=ceiling, columns=columns, tones=tones)


def trend_of(bars: Sequence[Bar], *, width: int, height: int) -> list[tuple[Tone, str]]:
    """Return the outline of all parts of each tone, in the commands of an SVG path, of bars as high as the chart.

    Two dozen charts of single rectangles would make up most of a page.
    """
    paths: defaultdict[Tone, list[str]] = defaultdict(list)
    step, pixels_each = width // len(bars), height / highest_of(bars)
    for position, bar in enumerate(bars):
        for part in _stack(bar, height, pixels_each):
            paths[part.tone].append(f"M{position * step} {part.y:g}h{step - 1}v{part.height:g}h{1 - step}z")
    return [(tone, "".join(outlines)) for tone, outlines in paths.items()]


def highest_of(bars: Sequence[Bar]) -> int:
    """Return the greatest count of a bar, or 1 where there is none greater."""
    return max(1, *(bar.total for bar in bars))


def round_ceiling(highest: int) -> int:
    """Return a round number that is not less, and whose half is whole, for the middle of a scale."""
    greater: Iterator[int] = (step * 10**power for power in count() for step in (10, 12, 16, 20, 30, 40, 60, 80))
    return next(step for step in chain((2, 4, 6, 8), greater) if step >= highest)


def _stack(bar: Bar, height: int, pixels_each: float) -> list[Part]:
    parts, top = [], float(height)
    for tone in STACK:
        if bar.counts[tone]:
            # Never above the chart, however many least heights have added up.
            part_height = min(top, max(LEAST_HEIGHT, bar.counts[tone] * pixels_each))
            top -= part_height
            parts.append(Part(tone=tone, count=bar.counts[tone], y=round(top, 2), height=round(part_height, 2)))
    return parts
