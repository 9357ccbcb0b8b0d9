"""Many keep-alive connections to a server from one thread: requests prepared, answers counted."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

from server.serving import Server, raw_request


class Ended(Exception):
    """The server closed the connection instead of answering."""


class KeptConnection:
    """One connection, one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def to(cls, server: Server) -> KeptConnection:
        return cls(*await asyncio.open_connection(server.host, server.port, limit=1 << 21))

    async def ask(self, operation: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and JSON of the answer."""
        status, answer = await self.send(raw_request(operation, json.dumps(body).encode()))
        return status, json.loads(answer)

    async def send(self, request: bytes) -> tuple[int, bytes]:
        try:
            self._writer.write(request)
            head = await self._reader.readuntil(b"\r\n\r\n")
            at = head.index(b"Content-Length: ") + 16
            answer = await self._reader.readexactly(int(head[at : head.index(b"\r", at)]))
        except (OSError, asyncio.IncompleteReadError) as error:
            raise Ended(str(error)) from None
        return int(head[9:12]), answer

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


async def connections(server: Server, n: int) -> list[KeptConnection]:
    return [await KeptConnection.to(server) for _ in range(n)]
