"""Threads that write at the same time share a write, and each learns what came of its own item."""

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from threading import Event as Flag

import pytest

from logs.ingest.group_commit import GroupCommit
from tests.load.wire import wait_until

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
    together = GroupCommit(writer, most=most, patience_seconds=10)
    with ThreadPoolExecutor(len(numbers)) as pool:
        futures = []
        for count, number in enumerate(numbers):
            futures.append(pool.submit(together.submit, number))
            wait_until(lambda count=count: (len(writer.groups), len(together)) == (1, count), "it waits")
        writer.may_write.set()
    return futures


def test_one_alone_is_written_at_once(writer):
    writer.may_write.set()
    together = GroupCommit(writer, most=8, patience_seconds=10)
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
    together = GroupCommit(writer, most=8, patience_seconds=10)
    writer.error = OSError("the disk is full")
    with pytest.raises(OSError, match="the disk is full"):
        together.submit(1)
    writer.error = None
    assert together.submit(2) == 4


def test_who_has_waited_too_long_for_others_gives_up_and_is_not_written(writer):
    together = GroupCommit(writer, most=8, patience_seconds=0.05)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(together.submit, 1)
        wait_until(lambda: writer.groups, "the first is being written")
        second = pool.submit(together.submit, 2)
        with pytest.raises(TimeoutError, match=r"writing for 0\.05 seconds"):
            second.result(timeout=5)
        assert len(together) == 0
        writer.may_write.set()
        assert first.result() == 2
    assert together.submit(3) == 6
    assert writer.groups == [[1], [3]]


def test_an_error_does_not_keep_the_items_that_it_befell(writer):
    class Item:
        pass

    writer.may_write.set()
    writer.error = OSError("the disk is full")
    together, item = GroupCommit(writer, most=8, patience_seconds=10), Item()
    is_there = weakref.ref(item)
    gc.collect()
    gc.disable()
    try:
        with pytest.raises(OSError, match="the disk is full"):
            together.submit(item)
        writer.groups.clear()
        writer.error = None
        del item
        assert is_there() is None
    finally:
        gc.enable()
