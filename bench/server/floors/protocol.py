"""An asyncio.Protocol around httptools' parser, on the loop that is named: `protocol.py asyncio|uvloop PORT`."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import httptools

from bench.server.floors.answer import REQUEST_ID, TYPE, answer


class Connection(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        self._write = transport.write
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""
        self._parts: list[bytes] = []

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._target = b""
        self._parts.clear()

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"x-amz-target":
            self._target = value

    def on_body(self, body: bytes) -> None:
        self._parts.append(body)

    def on_message_complete(self) -> None:
        body, crc = answer(b"".join(self._parts))
        head = (
            f"HTTP/1.1 200 OK\r\nContent-Type: {TYPE}\r\nx-amzn-RequestId: {REQUEST_ID}\r\n"
            f"x-amz-crc32: {crc}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self._write(head.encode() + body)


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1] == "uvloop":
        import uvloop

        uvloop.run(serve(int(sys.argv[2])))
    else:
        asyncio.run(serve(int(sys.argv[2])))
