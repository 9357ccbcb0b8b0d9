"""What all of them do for a request: parse its JSON, and answer an item of 250 bytes with its CRC."""

from __future__ import annotations

import zlib

import orjson

from bench.server.items import item

BODY = orjson.dumps({"Item": item(12)})
TYPE = "application/x-amz-json-1.0"
REQUEST_ID = "0123456789ABCDEF"


def answer(content: bytes) -> tuple[bytes, int]:
    request = orjson.loads(content)
    if not isinstance(request, dict):
        raise ValueError("no request")
    return BODY, zlib.crc32(BODY)
