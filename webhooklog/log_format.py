"""Format log records so that text from a request or a payload cannot forge another record.

Django and gunicorn use the same formatters; LOG_FORMAT selects one.
"""

import json
import logging
from bisect import bisect_right
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any

from pythonjsonlogger.json import JsonFormatter as LibraryJsonFormatter

# Measured as JSON. Another worker that writes to the same pipe could split a line of more than 4,096 bytes. The rest,
# which may come from a client, would then start a line.
MAX_MESSAGE_BYTES = 3_000
LONGEST_ESCAPE = len(r"\ud83d\ude00")  # JSON's longest escape for one character.


def one_line(text: str) -> str:
    r"""Return text with line breaks, control characters and other unprintable characters escaped.

    Backslashes are not escaped, so ordinary text does not change. An apparent escape may therefore be literal text.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def shortened(text: str) -> str:
    """Return a message as one line of at most MAX_MESSAGE_BYTES; three dots mark the cut."""
    line = one_line(text)
    if len(line) * LONGEST_ESCAPE <= MAX_MESSAGE_BYTES:
        return line
    end = bisect_right(list(accumulate(len(json.dumps(character)) - 2 for character in line)), MAX_MESSAGE_BYTES)
    return line if end == len(line) else f"{line[:end]}..."


def escaped_lines(text: str) -> list[str]:
    """Return the escaped lines of a traceback, split only at line feeds."""
    return [one_line(line) for line in text.split("\n")]


def utc(created: float) -> str:
    """Return a record's time in the format of the access log."""
    return datetime.fromtimestamp(created, UTC).isoformat(timespec="milliseconds")


class LineFormatter(logging.Formatter):
    """Formats ``time level logger [request id]: message``; the lines of a traceback follow, indented."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        """Return the first line."""
        request_id = getattr(record, "request_id", None)
        about = f"{record.name} [{request_id}]" if request_id else record.name
        return f"{utc(record.created)} {record.levelname} {about}: {shortened(record.message)}"

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's own name
        """Return an indented traceback, which cannot be mistaken for log records."""
        return _indented(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802 - logging's own name
        """Return an indented stack."""
        return _indented(stack_info)


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in escaped_lines(text))


class JsonFormatter(LibraryJsonFormatter):
    """Formats one JSON object per line: time, level, logger, message, request_id, and any exception.

    Other attributes are omitted: Django's records hold the request, whose repr shows the query string.
    """

    def __init__(self) -> None:
        super().__init__(["created", "levelname", "name", "message", "request_id"])

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        """Select and escape fields; escape the message twice, so that it cannot forge a line even once decoded."""
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
