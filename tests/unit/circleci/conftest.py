"""Payload files for tests of what CircleCI says."""

from pathlib import Path

import pytest

PAYLOADS = Path(__file__).parents[2] / "payloads"


@pytest.fixture
def payload():
    """Return a function from the name of a payload file, without its ending, to its bytes."""
    return lambda name: (PAYLOADS / f"{name}.json").read_bytes()


@pytest.fixture
def payload_names():
    """Return the names of all payload files, without their endings."""
    return [path.stem for path in PAYLOADS.glob("*.json")]
