"""Read the bodies of requests on the event loop."""

import asyncio
from typing import NamedTuple

from logs.http.asgi import Receive

# A webhook has a few KB. Without a limit, larger bodies that are read at the same time could exhaust the memory.
LARGE_BODY_BYTES = 65_536
LARGE_BODIES = 64
PATIENCE_SECONDS = 3  # How long a large body waits for others.


class Body(NamedTuple):
    """What was read of a request's body."""

    content: bytes
    is_complete: bool

    @property
    def is_large(self) -> bool:
        """Whether it has more than LARGE_BODY_BYTES."""
        return len(self.content) > LARGE_BODY_BYTES


class BodyReader:
    """Reads bodies. At most LARGE_BODIES large ones are read, or belong to a running request, at the same time."""

    def __init__(self) -> None:
        self._free_places = asyncio.Semaphore(LARGE_BODIES)

    async def read(self, receive: Receive, limit: int) -> Body:
        """Return a request's body; reading stops beyond `limit` bytes, or if the client leaves.

        After the response, the caller must pass the body to `release`.

        Raises:
            TimeoutError: the body is large, and too many others are being read.
        """
        content = bytearray()  # Not a list: a client may send its body in chunks of a byte each.
        has_place, more = False, True
        try:
            while more and len(content) <= limit:
                message = await receive()
                if message["type"] != "http.request":
                    break
                content += message.get("body", b"")
                more = message.get("more_body", False)
                if len(content) > LARGE_BODY_BYTES and not has_place:
                    await asyncio.wait_for(self._free_places.acquire(), PATIENCE_SECONDS)
                    has_place = True
        except BaseException:
            if has_place:
                self._free_places.release()
            raise
        return Body(bytes(content), not more)

    def release(self, body: Body) -> None:
        """Let another request read its large body."""
        if body.is_large:
            self._free_places.release()
