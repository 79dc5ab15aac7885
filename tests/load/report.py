"""The figures of the scenarios, and which of them break a promise."""

from dataclasses import dataclass

ABSENT = "–"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured number."""

    value: str
    promise: str  # What it must be, in words; "" for a number that only informs.
    holds: bool


class Report:
    """What one scenario has measured on one database."""

    def __init__(self, scenario, database):
        self.scenario = scenario
        self.database = database
        self.figures = {}
        self.remarks = []

    def note(self, name, value):
        """Add a number that promises nothing."""
        self.figures[name] = Figure(value=_written(value), promise="", holds=True)

    def require(self, name, value, *, at_most=None, equal=None, at_least=None):
        """Add a number that must keep within a bound; give exactly one."""
        bounds = {
            f"≤ {_written(at_most)}": at_most is not None and value <= at_most,
            f"= {_written(equal)}": equal is not None and value == equal,
            f"≥ {_written(at_least)}": at_least is not None and value >= at_least,
        }
        promise, holds = next(item for item in bounds.items() if ABSENT not in item[0])
        self.figures[name] = Figure(value=_written(value), promise=promise, holds=holds)

    def remark(self, text):
        """Add a sentence below the table: what was left out, or how a broken promise showed."""
        self.remarks.append(text)

    @property
    def broken(self):
        """The names of the figures that break their promise."""
        return [name for name, figure in self.figures.items() if not figure.holds]


def table(reports):
    """Return the reports of one scenario as a table in Markdown, with a column for each database."""
    names = list(dict.fromkeys(name for report in reports for name in report.figures))
    rows = [["figure", "promise", *(report.database for report in reports)]]
    for name in names:
        figures = [report.figures.get(name) for report in reports]
        promise = next(figure.promise for figure in figures if figure)
        rows.append([name, promise, *map(_cell, figures)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    rows.insert(1, ["-" * width for width in widths])
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    remarks = [f"- {report.database}: {text}" for report in reports for text in report.remarks]
    return "\n".join([f"### {reports[0].scenario}", "", *lines, *([""] if remarks else []), *remarks, ""])


def _cell(figure):
    if figure is None:
        return ABSENT
    return figure.value if figure.holds else f"**{figure.value}** BROKEN"


def _written(value):
    if value is None:
        return ABSENT
    if isinstance(value, float):
        return f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
