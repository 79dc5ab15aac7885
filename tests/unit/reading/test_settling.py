"""Who is waited for before a missing key counts as missing for ever."""

import pytest

from logs.reading.stream import settling


@pytest.fixture
def writing(monkeypatch):
    """Let these write at one look after the other; the last ones for ever."""

    def set_up(*looks):
        left = list(looks)
        monkeypatch.setattr(settling, "_writers", lambda _: set(left.pop(0) if len(left) > 1 else left[0]))

    return set_up


def test_nobody_is_waited_for_where_nobody_writes(writing):
    writing("")
    assert settling.writers_finish(within_seconds=0)


def test_waits_for_those_who_were_writing_and_not_for_who_came_later(writing):
    writing("ab", "bc", "cd")
    assert settling.writers_finish(within_seconds=5)


def test_gives_up_in_time(writing):
    writing("ab", "a")
    assert not settling.writers_finish(within_seconds=0.03)
