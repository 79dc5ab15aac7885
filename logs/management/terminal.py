"""What commands show to people."""

import select

from rich.text import Text

from logs.circleci.vocabulary import Tone, tone_of
from logs.models import WorkflowEvent
from logs.times import duration

STANDARD_OUTPUT = 1
EXIT_CODE_OF_CTRL_C = 130

TONE_STYLES = {
    Tone.GOOD: "green",
    Tone.BAD: "bold red",
    Tone.STOPPED: "yellow",
    Tone.WAITING: "cyan",
    Tone.UNKNOWN: "",
}


def printable(text: str) -> str:
    """Return text of others' fit for a terminal, which control characters could rewrite."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def event_line(event: WorkflowEvent) -> Text:
    """Return an event in one line: when it was written (UTC), status, project, workflow and job, branch or tag."""
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


def require_reader() -> None:
    """End where nobody can read standard output any more; who has nothing to write would not notice.

    Raises:
        BrokenPipeError: the reader has gone, as `| head` does.
    """
    output = select.poll()
    output.register(STANDARD_OUTPUT, 0)  # Errors and hang-ups are told without being asked for.
    if output.poll(0):
        raise BrokenPipeError
