"""Fixtures: deliveries as files, with the body in ``<name>.json`` and the headers in ``<name>.headers.json``."""

import json
from collections.abc import Mapping
from pathlib import Path

from django.core.management.base import CommandError

from logs.circleci.signature import sign
from logs.circleci.vocabulary import EVENT_TYPE_HEADER, SIGNATURE_HEADER, USER_AGENT
from logs.management.workbench.sending import Message

# No signature: in a repository, anyone could test guesses at the secret against it. A fixture is signed when sent.
FIXTURE_HEADERS = ("content-type", "user-agent", EVENT_TYPE_HEADER)
DEFAULT_HEADERS = {"content-type": "application/json", "user-agent": USER_AGENT}


def write(directory: Path, name: str, body: bytes, headers: Mapping[str, str]) -> list[Path]:
    """Write a fixture and return its files; replace any existing fixture of the same name.

    Raises:
        CommandError: the directory or a file cannot be written.
    """
    body_file = directory / f"{name}.json"
    headers_file = _headers_file(body_file)
    kept_headers = {header: headers[header] for header in FIXTURE_HEADERS if header in headers}
    try:
        directory.mkdir(parents=True, exist_ok=True)
        body_file.write_bytes(body)
        headers_file.write_text(json.dumps(kept_headers, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise CommandError(f"cannot write to {directory}: {error.strerror}") from error
    return [body_file, headers_file]


def read(body_file: Path, secret: str | None) -> Message:
    """Return a fixture as a message, signed with the secret; unsigned if the secret is None.

    A fixture without a headers file gets DEFAULT_HEADERS.

    Raises:
        CommandError: a file cannot be read, or the headers file is invalid.
    """
    headers_file = _headers_file(body_file)
    try:
        body = body_file.read_bytes()
        headers = _headers(headers_file.read_bytes()) if headers_file.exists() else dict(DEFAULT_HEADERS)
    except OSError as error:
        raise CommandError(f"cannot read {error.filename}: {error.strerror}") from error
    except ValueError as error:
        raise CommandError(f"{headers_file} is not a JSON object of strings") from error
    if secret:
        headers[SIGNATURE_HEADER] = sign(body, secret)
    return Message(label=body_file.name, body=body, headers=headers)


def _headers(text: bytes) -> dict[str, str]:
    headers = json.loads(text)
    values = headers.values() if isinstance(headers, dict) else [None]
    if not all(isinstance(value, str) and value.isprintable() for value in values):
        raise ValueError
    return {name.lower(): value for name, value in headers.items()}


def _headers_file(body_file: Path) -> Path:
    return body_file.with_suffix(".headers.json")
