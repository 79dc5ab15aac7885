"""Name the files of exports."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.text import slugify

MAX_LENGTH = 100  # Without the suffix. Some file systems allow 143 bytes.
MAX_PART_LENGTH = 40


def name_after_filters(rows: str, given: Mapping[str, Any]) -> str:
    """Return a file's name, without its suffix: the rows, the filters and, unless a time bounds them, the date.

    The name consists of ASCII letters, digits and hyphens: the filters' values come from users.
    """
    parts = [slugify(re.sub(r"[\W_]+", "-", _words(*each)))[:MAX_PART_LENGTH].strip("-") for each in given.items()]
    if not any(isinstance(value, datetime) for value in given.values()):
        parts.append(f"{timezone.now():%Y-%m-%d}")
    return "-".join([rows, *filter(None, parts)])[:MAX_LENGTH].rstrip("-")


def _words(name: str, value: Any) -> str:
    if isinstance(value, datetime):
        bound = name.removeprefix("received_").replace("after", "since")
        return f"{bound} {value:%Y-%m-%d}"
    if isinstance(value, list):
        return " ".join(value)
    return value if isinstance(value, str) else f"{name} {value}"
