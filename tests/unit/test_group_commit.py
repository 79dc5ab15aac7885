"""Threads that write at the same time share a write, and each learns what came of its own item."""

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event as Flag

import pytest

from logs.ingest.group_commit import GroupCommit

THREADS = 6


class Writer:
    """Writes numbers, double, as soon as it may; notes what came together."""

    def __init__(self):
        self.groups = []
        self.may_write = Flag()
        self.error = None

    def __call__(self, items):
        self.groups.append(list(items))
        assert self.may_write.wait(timeout=10)
        if self.error:
            raise self.error
        return [item * 2 for item in items]


@pytest.fixture
def writer():
    return Writer()


def submit_while_the_first_writes(writer, numbers, *, most=100):
    """Submit numbers, one thread each: the first at once, the others in their order while it is being written."""
    together = GroupCommit(writer, most=most)
    with ThreadPoolExecutor(len(numbers)) as pool:
        futures = []
        for count, number in enumerate(numbers):
            futures.append(pool.submit(together.submit, number))
            deadline = time.monotonic() + 10
            while (len(writer.groups), len(together)) != (1, count):
                assert time.monotonic() < deadline
                time.sleep(0.001)
        writer.may_write.set()
    return futures


def test_one_alone_is_written_at_once(writer):
    writer.may_write.set()
    together = GroupCommit(writer, most=8)
    assert [together.submit(1), together.submit(2)] == [2, 4]
    assert writer.groups == [[1], [2]]


def test_those_that_come_meanwhile_are_written_together(writer):
    futures = submit_while_the_first_writes(writer, range(THREADS))
    assert [future.result() for future in futures] == [0, 2, 4, 6, 8, 10]
    assert writer.groups == [[0], [1, 2, 3, 4, 5]]


def test_no_more_than_so_many_are_written_together(writer):
    futures = submit_while_the_first_writes(writer, range(THREADS), most=2)
    assert [future.result() for future in futures] == [0, 2, 4, 6, 8, 10]
    assert writer.groups == [[0], [1, 2], [3, 4], [5]]


def test_where_writing_fails_each_of_them_is_told_and_the_next_are_written(writer):
    writer.error = OSError("the disk is full")
    futures = submit_while_the_first_writes(writer, range(THREADS), most=3)
    assert [str(future.exception()) for future in futures] == ["the disk is full"] * THREADS
    assert writer.groups == [[0], [1, 2, 3], [4, 5]]


def test_goes_on_after_a_failure(writer):
    writer.may_write.set()
    together = GroupCommit(writer, most=8)
    writer.error = OSError("the disk is full")
    with pytest.raises(OSError, match="the disk is full"):
        together.submit(1)
    writer.error = None
    assert together.submit(2) == 4
