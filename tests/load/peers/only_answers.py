"""A server that answers without reading what it is sent: the ceiling of what drives the others."""

import asyncio
import sys

ANSWER = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}"


class OnlyAnswers(asyncio.Protocol):
    """Answers at each end of a JSON document."""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        if data.endswith(b"}"):
            self.transport.write(ANSWER)


async def main():
    server = await asyncio.get_running_loop().create_server(OnlyAnswers, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
