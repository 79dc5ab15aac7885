"""No log record can be forged, in either format."""

import json
import logging
import re
import sys
from datetime import UTC, datetime, timedelta

import pytest

from webhooklog.log_format import FORMATTERS, MAX_MESSAGE_BYTES

HOSTILE = ["\n", "\r\n", "\r", "\x00", "\x0b", "\x1b[31m", "\x7f", "\x85", "\u202e", "\u2028", "\ud800", "\U000e0001"]
FORGED = "2026-05-04T10:00:00.000+00:00 CRITICAL logs: forged"
MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00"


def formatted(name, message="ordinary", *args, request_id=None, exc_info=None, **extra):
    record = logging.LogRecord("logs.ingest", logging.WARNING, __file__, 1, message, args, exc_info)
    record.request_id = request_id
    record.__dict__ |= extra
    return FORMATTERS[name]().format(record)


def raised(text):
    try:
        raise ValueError(text)  # noqa: TRY301 - its traceback is wanted
    except ValueError:
        return sys.exc_info()


def test_a_line_tells_time_level_logger_and_message():
    line = formatted("line", "refused %s", "Größe")
    assert re.fullmatch(rf"{MOMENT} WARNING logs\.ingest: refused Größe", line)
    assert abs(datetime.fromisoformat(line.split()[0]) - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_line_of_a_request_tells_its_id():
    assert "WARNING logs.ingest [abc123]: ordinary" in formatted("line", request_id="abc123")


def test_json_tells_the_same_and_nothing_else():
    line = json.loads(formatted("json", "refused %s", "Größe", request_id="abc123", status_code=500, request="?secret"))
    assert re.fullmatch(MOMENT, line.pop("time"))
    assert line == {"level": "WARNING", "logger": "logs.ingest", "message": "refused Größe", "request_id": "abc123"}


def test_json_outside_of_a_request_has_no_id():
    record = logging.LogRecord("gunicorn.error", logging.INFO, __file__, 1, "Booting", (), None)
    assert json.loads(FORMATTERS["json"]().format(record))["request_id"] is None
    assert FORMATTERS["line"]().format(record).endswith("INFO gunicorn.error: Booting")


@pytest.mark.parametrize("name", FORMATTERS)
@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_message_stays_one_printable_line(name, hostile):
    line = formatted(name, "refused %s", f"a{hostile}{FORGED}")
    assert line.isprintable()
    message = json.loads(line)["message"] if name == "json" else line
    # Decoded too, since people print `.message` to their terminals.
    assert message.isprintable()
    assert FORGED in message


@pytest.mark.parametrize("name", FORMATTERS)
@pytest.mark.parametrize("character", ["a", "\n", "é", "😀", '"', "\x00"])
def test_a_line_is_never_so_long_that_a_pipe_could_tear_it(name, character):
    line = formatted(name, character * 9_000, request_id="x" * 64)
    assert MAX_MESSAGE_BYTES / 3 < len(line.encode()) < 4_096
    assert "..." in line


@pytest.mark.parametrize("name", FORMATTERS)
def test_a_message_of_the_longest_length_is_whole(name):
    assert "a" * MAX_MESSAGE_BYTES in formatted(name, "a" * MAX_MESSAGE_BYTES)
    assert "..." not in formatted(name, "a" * MAX_MESSAGE_BYTES)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_traceback_is_indented_and_so_is_all_that_its_exception_says(hostile):
    first, *rest = formatted("line", exc_info=raised(f"a{hostile}{FORGED}")).split("\n")
    assert first.endswith("ordinary")
    assert rest[0] == "    Traceback (most recent call last):"
    assert FORGED in rest[-1]
    assert all(line.startswith("    ") and line.isprintable() for line in rest)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_json_holds_a_traceback_in_its_one_line(hostile):
    line = formatted("json", exc_info=raised(f"a{hostile}{FORGED}"), stack_info=f"Stack{hostile}")
    assert line.isprintable()
    exception = json.loads(line)["exception"]
    assert exception.startswith("Traceback (most recent call last):\n")
    assert FORGED in exception
    assert all(part.isprintable() for part in exception.split("\n"))


def test_a_stack_is_indented():
    assert formatted("line", stack_info=f"Stack:\n{FORGED}").split("\n")[1:] == ["    Stack:", f"    {FORGED}"]


def test_json_keeps_its_own_fields_whatever_a_record_carries():
    line = json.loads(formatted("json", level="INFO", logger="forged", time="never", exception="none"))
    assert (line["level"], line["logger"], "exception" in line) == ("WARNING", "logs.ingest", False)
