"""The same as an ASGI application, for uvicorn."""

from __future__ import annotations

from typing import Any

from bench.server.floors.answer import REQUEST_ID, TYPE, answer


async def app(scope: Any, receive: Any, send: Any) -> None:
    parts = []
    more = True
    dict(scope["headers"]).get(b"x-amz-target")
    while more:
        message = await receive()
        parts.append(message["body"])
        more = message.get("more_body", False)
    body, crc = answer(b"".join(parts))
    headers = [
        (b"content-type", TYPE.encode()),
        (b"x-amzn-requestid", REQUEST_ID.encode()),
        (b"x-amz-crc32", str(crc).encode()),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
