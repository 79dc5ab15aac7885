"""Write log records so that nothing which a request or a payload says can pass for a record of its own.

Django and gunicorn use the same formatters; LOG_FORMAT chooses one.
"""

import json
import logging
from bisect import bisect_right
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any

from pythonjsonlogger.json import JsonFormatter as LibraryJsonFormatter

# As JSON writes it. A line of more than 4,096 bytes could be torn apart by another worker that writes to the same pipe,
# and its end, which a client may have chosen, would stand at the beginning of a line.
MAX_MESSAGE_BYTES = 3_000
LONGEST_ESCAPE = len(r"\ud83d\ude00")  # Of one character, by JSON.


def one_line(text: str) -> str:
    r"""Return a text with whatever is not printable escaped: line breaks, control characters, orders to a terminal.

    Backslashes stay as they are, so that an ordinary text is not changed; an escape may therefore stand for itself.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def shortened(text: str) -> str:
    """Return a message as one line of at most MAX_MESSAGE_BYTES, with three dots in place of what is cut off."""
    line = one_line(text)
    if len(line) * LONGEST_ESCAPE <= MAX_MESSAGE_BYTES:
        return line
    end = bisect_right(list(accumulate(len(json.dumps(character)) - 2 for character in line)), MAX_MESSAGE_BYTES)
    return line if end == len(line) else f"{line[:end]}..."


def escaped_lines(text: str) -> list[str]:
    """Return the lines of a traceback; in the message at its end, a line feed is the only break that is left."""
    return [one_line(line) for line in text.split("\n")]


def utc(created: float) -> str:
    """Return a record's time as the access log writes it."""
    return datetime.fromtimestamp(created, UTC).isoformat(timespec="milliseconds")


class LineFormatter(logging.Formatter):
    """Writes ``time level logger [request id]: message``; a traceback's lines follow, indented."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        """Return the first line."""
        request_id = getattr(record, "request_id", None)
        about = f"{record.name} [{request_id}]" if request_id else record.name
        return f"{utc(record.created)} {record.levelname} {about}: {shortened(record.message)}"

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's own name
        """Return a traceback that cannot be taken for records, which are never indented."""
        return _indented(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802 - logging's own name
        """Return a stack the same way."""
        return _indented(stack_info)


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in escaped_lines(text))


class JsonFormatter(LibraryJsonFormatter):
    """Writes one JSON object a line: time, level, logger, message, request_id, and exception where there is one.

    What else a record carries is left out: Django's hold the whole request, whose representation shows its query.
    """

    def __init__(self) -> None:
        super().__init__(["created", "levelname", "name", "message", "request_id"])

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        """Choose and escape. The message is escaped twice, lest it forge a line where a reader prints it decoded."""
        exception = "\n".join(filter(None, (log_data.get("exc_info"), log_data.get("stack_info"))))
        line = {
            "time": utc(log_data["created"]),
            "level": log_data["levelname"],
            "logger": log_data["name"],
            "message": shortened(log_data["message"]),
            "request_id": log_data["request_id"],
        }
        return line | ({"exception": "\n".join(escaped_lines(exception))} if exception else {})


FORMATTERS: dict[str, type[logging.Formatter]] = {"line": LineFormatter, "json": JsonFormatter}
