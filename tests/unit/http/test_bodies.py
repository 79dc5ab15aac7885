"""Bodies are read on the event loop: whole, up to a limit, and few large ones at the same time."""

import asyncio

import pytest

from logs.http import bodies
from logs.http.bodies import LARGE_BODY_BYTES, BodyReader

LIMIT = 1_000_000
LARGE = b"x" * (LARGE_BODY_BYTES + 1)


class Client:
    """Sends a body in chunks; the last message is `end`, after which a client stays silent."""

    def __init__(self, *chunks, end=None):
        self.messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
        if end:
            self.messages.append(end)
        else:
            self.messages[-1]["more_body"] = False

    async def receive(self):
        if not self.messages:
            await asyncio.Future()
        return self.messages.pop(0)


LEAVES = {"type": "http.disconnect"}


@pytest.fixture
def one_large_body(monkeypatch):
    """Allow one large body at a time."""
    monkeypatch.setattr(bodies, "LARGE_BODIES", 1)


def read(client, limit=LIMIT):
    return asyncio.run(BodyReader().read(client.receive, limit))


async def read_in_task(reader, client):
    """Start to read; all that can be read has been read when this returns."""
    task = asyncio.create_task(reader.read(client.receive, LIMIT))
    for _ in range(5):
        await asyncio.sleep(0)
    return task


async def within_seconds(awaitable):
    return await asyncio.wait_for(awaitable, 5)


@pytest.mark.parametrize("chunks", [[b""], [b"one"], [b"one", b"two", b"", b"three"], [b"one", b""]])
def test_reads_a_body_to_its_end(chunks):
    assert read(Client(*chunks)) == (b"".join(chunks), True)


def test_a_message_without_fields_is_an_empty_body():
    assert read(Client(b"one", end={"type": "http.request"})) == (b"one", True)


@pytest.mark.parametrize("chunks", [[], [b"one"], [b"one", b"two"]])
def test_the_body_of_a_client_that_leaves_is_incomplete(chunks):
    assert read(Client(*chunks, end=LEAVES)) == (b"".join(chunks), False)


def test_reads_a_body_of_the_limit_and_stops_beyond_it():
    client = Client(b"four", b"", b"5", b"never read")
    assert read(Client(b"four"), limit=4) == (b"four", True)
    assert read(client, limit=4) == (b"four5", False)
    assert [message["body"] for message in client.messages] == [b"never read"]


@pytest.mark.usefixtures("one_large_body")
@pytest.mark.parametrize("end", [None, LEAVES], ids=["complete", "client leaves"])
def test_a_large_body_waits_until_another_one_is_released_and_small_ones_do_not(end):
    async def read_three():
        reader = BodyReader()
        first = await within_seconds(reader.read(Client(LARGE, b"1", end=end).receive, LIMIT))
        second_client = Client(LARGE, b"2")
        second = await read_in_task(reader, second_client)
        small = await within_seconds(reader.read(Client(b"x" * LARGE_BODY_BYTES).receive, LIMIT))
        assert small.is_complete
        reader.release(small)  # It has taken no place.
        await asyncio.sleep(0)
        assert not second.done()
        assert len(second_client.messages) == 1  # Its memory stays bounded.
        reader.release(first)
        return await within_seconds(second)

    assert asyncio.run(read_three()) == (LARGE + b"2", True)


@pytest.mark.usefixtures("one_large_body")
def test_a_large_body_has_one_place_however_many_chunks_it_has():
    async def read_twice():
        reader = BodyReader()
        for _ in range(2):
            body = await within_seconds(reader.read(Client(LARGE, LARGE, LARGE).receive, LIMIT))
            reader.release(body)
        return body

    assert asyncio.run(read_twice()) == (LARGE * 3, True)


@pytest.mark.usefixtures("one_large_body")
def test_a_cancelled_request_frees_its_place():
    async def cancel_two():
        reader = BodyReader()
        has_place = await read_in_task(reader, Client(LARGE, end={"type": "http.request", "more_body": True}))
        waits = await read_in_task(reader, Client(LARGE))
        for task in (waits, has_place):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        return await within_seconds(reader.read(Client(LARGE).receive, LIMIT))

    assert asyncio.run(cancel_two()) == (LARGE, True)
