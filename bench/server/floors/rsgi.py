"""The same as an RSGI application, for granian."""

from __future__ import annotations

from typing import Any

from bench.server.floors.answer import REQUEST_ID, TYPE, answer


async def app(scope: Any, protocol: Any) -> None:
    content = await protocol()
    scope.headers.get("x-amz-target")
    body, crc = answer(content)
    headers = [("content-type", TYPE), ("x-amzn-requestid", REQUEST_ID), ("x-amz-crc32", str(crc))]
    protocol.response_bytes(200, headers, body)
