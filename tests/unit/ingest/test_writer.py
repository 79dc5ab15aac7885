"""Requests whose items arrive during a write share the next one, and each gets the result of its own item."""

import asyncio
import gc
import time
import weakref
from contextlib import contextmanager
from threading import Event as Flag

import pytest

from logs.ingest.writer import Writer
from tests.load.wire import wait_until

PATIENCE_SECONDS = 10


class Doubling:
    """A write function that doubles numbers, once it may; it records the numbers of each call."""

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
def write():
    return Doubling()


def writer_of(write, *, most=100, patience_seconds=PATIENCE_SECONDS):
    return Writer(write, most=most, patience_seconds=patience_seconds)


def run(requests):
    return asyncio.run(asyncio.wait_for(requests, 2 * PATIENCE_SECONDS))


async def until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.001)


async def submit_one(writer, item):
    """Submit an item in a task; it is in the queue when this returns."""
    task = asyncio.create_task(writer.submit(item))
    await asyncio.sleep(0)  # The item is submitted,
    await asyncio.sleep(0)  # and passed on.
    return task


async def submit_during_a_write(write, writer, items):
    """Submit the first item, and the others while it is being written."""
    tasks = [await submit_one(writer, items[0])]
    await until(lambda: write.groups)
    return tasks + [await submit_one(writer, item) for item in items[1:]]


async def results_of(write, items, **options):
    tasks = await submit_during_a_write(write, writer_of(write, **options), items)
    write.may_write.set()
    return await asyncio.gather(*tasks, return_exceptions=True)


def test_a_lone_item_is_written_at_once(write):
    async def one_after_the_other():
        writer = writer_of(write)
        return [await writer.submit(1), await writer.submit(2)]

    write.may_write.set()
    assert run(one_after_the_other()) == [2, 4]
    assert write.groups == [[1], [2]]


def test_items_that_arrive_during_a_write_are_written_together_and_each_request_gets_its_own_result(write):
    assert run(results_of(write, [5, 3, 9, 1, 7])) == [10, 6, 18, 2, 14]
    assert write.groups == [[5], [3, 9, 1, 7]]


def test_a_write_has_a_maximum_number_of_items(write):
    assert run(results_of(write, range(6), most=2)) == [0, 2, 4, 6, 8, 10]
    assert write.groups == [[0], [1, 2], [3, 4], [5]]


def test_an_error_reaches_each_request_of_a_write_and_the_next_items_are_written(write):
    async def fail_once():
        writer = writer_of(write)
        tasks = await submit_during_a_write(write, writer, range(4))
        write.error = OSError("the disk is full")
        write.may_write.set()
        errors = await asyncio.gather(*tasks, return_exceptions=True)
        write.error = None
        return errors, await writer.submit(4)

    errors, result = run(fail_once())
    assert [str(error) for error in errors] == ["the disk is full"] * 4
    assert result == 8
    assert write.groups == [[0], [1, 2, 3], [4]]


def test_an_item_that_has_waited_too_long_is_not_written_but_its_neighbours_are(write):
    async def wait_for_long():
        writer = writer_of(write, patience_seconds=0.1)
        tasks = await submit_during_a_write(write, writer, [1, 2, 3])
        await until(tasks[1].done)  # Although the first is still being written.
        tasks += [await submit_one(writer, 4), await submit_one(writer, 5)]
        write.may_write.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, *late, fourth, fifth = run(wait_for_long())
    assert (first, fourth, fifth) == (2, 8, 10)
    assert [type(error) for error in late] == [TimeoutError] * 2
    assert "for 0.1 seconds" in str(late[0])
    assert write.groups == [[1], [4, 5]]


def test_if_all_items_have_waited_too_long_nothing_is_written_and_the_next_item_is(write):
    async def wait_for_long():
        writer = writer_of(write, patience_seconds=0.1)
        tasks = await submit_during_a_write(write, writer, [1, 2])
        await until(tasks[1].done)
        write.may_write.set()
        return await asyncio.gather(*tasks, return_exceptions=True), await writer.submit(3)

    (first, late), third = run(wait_for_long())
    assert (first, type(late), third) == (2, TimeoutError, 6)
    assert write.groups == [[1], [3]]


@pytest.mark.parametrize("fails", [False, True])
def test_a_cancelled_request_does_not_harm_the_others(write, fails):
    async def cancel_some():
        writer = writer_of(write)
        tasks = await submit_during_a_write(write, writer, range(4))
        tasks[0].cancel()  # It is being written.
        tasks[2].cancel()
        if fails:
            write.error = OSError("the disk is full")
        write.may_write.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        write.error = None
        return results, await writer.submit(4)

    results, last = run(cancel_some())
    assert [type(results[0]), type(results[2])] == [asyncio.CancelledError] * 2
    if fails:
        assert [str(results[1]), str(results[3])] == ["the disk is full"] * 2
    else:
        assert [results[1], results[3]] == [2, 6]
    assert last == 8


def test_an_error_does_not_keep_its_items_in_memory(write):
    class Item:
        pass

    async def fail(item):
        with pytest.raises(OSError, match="the disk is full"):
            await writer.submit(item)

    writer, item = writer_of(write), Item()
    write.may_write.set()
    write.error = OSError("the disk is full")
    is_there = weakref.ref(item)
    with asyncio.Runner() as runner:
        gc.collect()
        gc.disable()
        try:
            runner.run(fail(item))
            write.groups.clear()
            write.error = None
            del item
            wait_until(lambda: is_there() is None, "the item is gone")
        finally:
            gc.enable()


def test_an_item_that_has_waited_in_the_queue_and_for_the_turn_is_not_written():
    @contextmanager
    def turn():
        time.sleep(0.3)
        yield

    async def submit():
        return await Writer(written.append, turn=turn, most=8, patience_seconds=0.1).submit(1)

    written = []
    with pytest.raises(TimeoutError, match=r"for 0\.1 seconds"):
        run(submit())
    assert written == []
