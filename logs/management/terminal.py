"""Terminal output for commands."""

import select
from collections.abc import Iterable
from typing import TypeVar

from rich.console import Console
from rich.progress import track
from rich.text import Text

from logs.circleci.vocabulary import Tone, tone_of
from logs.models import WorkflowEvent
from logs.times import duration

STANDARD_OUTPUT = 1
EXIT_CODE_OF_CTRL_C = 130

Item = TypeVar("Item")

TONE_STYLES = {
    Tone.GOOD: "green",
    Tone.BAD: "bold red",
    Tone.STOPPED: "yellow",
    Tone.WAITING: "cyan",
    Tone.UNKNOWN: "",
}


def printable(text: str) -> str:
    """Return untrusted text with "?" in place of control characters, which could rewrite the screen."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def event_line(event: WorkflowEvent) -> Text:
    """Return an event as one line: time written (UTC), status, project, workflow and job, branch or tag, duration."""
    subject = "/".join(filter(None, [event.workflow, event.job])) or event.event_type
    took = "" if event.duration_seconds is None else f"({duration(event.duration_seconds)})"
    source = " ".join(filter(None, [event.branch or event.tag, took]))
    line = Text.assemble(
        f"{event.changed_at or event.received_at:%Y-%m-%d %H:%M:%S}  ",
        (f"{printable(event.status or '-'):<14}", TONE_STYLES[tone_of(event.status)]),
        f"{printable(event.project or '-'):<16} {printable(subject):<34} {printable(source)}",
    )
    line.rstrip()
    return line


def with_progress(items: Iterable[Item], total: int | None, description: str, *, notice: str = "") -> Iterable[Item]:
    """Pass items through, and show the progress on stderr.

    Args:
        items: the items to pass through.
        total: the number of items; None to show no progress.
        description: the label of the bar on a terminal.
        notice: a line printed instead of the bar if stderr is not a terminal; "" for none.
    """
    if total is None:
        return items
    console = Console(stderr=True)
    if console.is_terminal:
        return track(items, description=description, total=total, console=console)
    if notice:
        console.print(notice, highlight=False)
    return items


def require_reader() -> None:
    """Check that standard output still has a reader: a command that writes nothing would not notice the reader's exit.

    Raises:
        BrokenPipeError: the reader has exited, as `| head` does.
    """
    output = select.poll()
    output.register(STANDARD_OUTPUT, 0)  # Errors and hang-ups are always reported.
    if output.poll(0):
        raise BrokenPipeError
