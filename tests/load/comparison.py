"""How the figures of contenders compare, round by round."""

import statistics
from collections import defaultdict

from tests.load.report import ABSENT


class Results:
    """What each contender has reached in each round, under each heading."""

    def __init__(self):
        self._values = defaultdict(list)

    def add(self, contender, heading, figures):
        """Add the figures of a round, by their names."""
        for name, value in figures.items():
            self._values[contender, heading, name].append(value)

    def table(self, heading, names, pairs):
        """Return a table in Markdown: a row for each pair of contenders, a column for each named figure.

        A cell is the median of the rounds' ratios, their least and greatest, and the median of each side.
        """
        rows = {pair: [self._cell(pair, heading, name) for name in names] for pair in pairs}
        lines = [
            f"| {first} : {second} | {' | '.join(cells)} |"
            for (first, second), cells in rows.items()
            if set(cells) != {ABSENT}
        ]
        return "\n".join([f"| {heading} | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|", *lines])

    def _cell(self, pair, heading, name):
        first, second = (self._values.get((contender, heading, name)) for contender in pair)
        return ratio(first, second) if first and second else ABSENT


def ratio(first, second):
    """Return how two contenders' figures of the same rounds compare, for a table.

    Args:
        first: a figure of one contender, round by round.
        second: the same figure of the other one in the same rounds.

    Returns:
        The median of the rounds' ratios, their least and greatest, and the median of each contender's figures.
    """
    ratios = sorted(one / other for one, other in zip(first, second, strict=True))
    spread = f" ({ratios[0]:.2f}–{ratios[-1]:.2f})" if len(ratios) > 1 else ""
    return f"**{statistics.median(ratios):.2f}**{spread}, {_median(first)} : {_median(second)}"


def _median(values):
    median = statistics.median(values)
    return f"{median:,.0f}" if median >= 100 else f"{median:.2f}"
