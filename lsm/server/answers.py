"""From an answer to HTTP bytes: status line, headers, CRC32, request id, content codings. Rules 1, 1.1.

Guarantees: the CRC32 is that of the bytes sent, as SDKs check it. The event loop's thread or a pool's; `Heads` belongs
to one server.
"""

from __future__ import annotations

import base64
import gzip
import itertools
import secrets
import time
import zlib
from collections.abc import Callable
from email.utils import formatdate
from functools import lru_cache
from typing import Any

import orjson

from lsm.dynamodb.door import Door
from lsm.dynamodb.errors import ApiError
from lsm.item_codec import item_json, items_json

__all__ = ["AMZ_JSON", "INLINE", "JSON", "PATIENT", "TEXT", "Heads", "coded", "error_json", "render"]

AMZ_JSON = b"application/x-amz-json-1.0"
JSON = b"application/json"
TEXT = b"text/plain; charset=utf-8"

REASONS = {
    200: b"OK",
    400: b"Bad Request",
    404: b"Not Found",
    408: b"Request Timeout",
    413: b"Request Entity Too Large",
    414: b"URI Too Long",
    431: b"Request Header Fields Too Large",
    500: b"Internal Server Error",
    501: b"Not Implemented",
    503: b"Service Unavailable",
}

CORAL = {
    "ValidationException": "com.amazon.coral.validate#",
    "ThrottlingException": "com.amazon.coral.availability#",
    **dict.fromkeys(
        (
            "SerializationException",
            "UnknownOperationException",
            "UnrecognizedClientException",
            "InvalidSignatureException",
            "MissingAuthenticationTokenException",
            "IncompleteSignatureException",
            "AccessDeniedException",
        ),
        "com.amazon.coral.service#",
    ),
}
MODELLED = "com.amazonaws.dynamodb.v20120810#"
CAPITAL = frozenset(
    (
        "TransactionCanceledException",
        "IdempotentParameterMismatchException",
        "TransactionInProgressException",
        "SerializationException",
    )
)
"""Codes whose text stands in `Message`; all others have `message`."""

SMALLEST_CODED = 1024
"""Bytes; a shorter answer is not worth the header that says how it is coded."""
REMEMBERED = 256
"""Bytes of an Accept-Encoding header from which on what it means is worked out every time."""


# ---- bodies


class _Json:
    """A piece of JSON that is written already."""

    __slots__ = ("text",)

    def __init__(self, text: bytes) -> None:
        self.text = text


def _items(data: list[bytes]) -> _Json:
    return _Json(items_json(data))


def _item(data: bytes) -> _Json:
    return _Json(item_json(data))


def _as_it_is(item: dict[str, Any]) -> dict[str, Any]:
    return item


PATIENT = Door(_item, _as_it_is, _items)
"""For a thread that may take its time."""
INLINE = Door(_item, _as_it_is, _items, patience=64 << 10)
"""For the event loop, which reads no more than this many bytes of items at once."""


def _other(value: Any) -> Any:
    if type(value) is _Json:
        return orjson.Fragment(value.text)
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def render(answer: dict[str, Any]) -> bytes:
    """The JSON of an operation's answer; binaries in base64."""
    if not answer:
        return b"{}"
    if len(answer) == 1 and type(item := answer.get("Item")) is _Json:
        return b'{"Item":%b}' % item.text
    return orjson.dumps(answer, default=_other)


def error_json(error: ApiError) -> bytes:
    """The body of an ApiError."""
    code = error.code
    body: dict[str, Any] = {"__type": CORAL.get(code, MODELLED) + code}
    if error.message is not None:
        body["Message" if code in CAPITAL else "message"] = error.message
    body.update(error.members)
    return orjson.dumps(body, default=_other)


# ---- content codings


def coded(body: bytes, accepted: bytes | None) -> tuple[bytes, bytes]:
    """The body in the coding that the client prefers, and the header lines that say so; nothing for identity."""
    if accepted is None or not body:
        return body, b""
    preferred = _preferred if len(accepted) < REMEMBERED else _preferred.__wrapped__
    coding = preferred(accepted, len(body) >= SMALLEST_CODED)
    if coding == b"gzip":
        body = gzip.compress(body, 1, mtime=0)
    elif coding == b"deflate":
        body = zlib.compress(body, 1)
    else:
        return body, b"Vary: Accept-Encoding\r\n"
    return body, b"Content-Encoding: %b\r\nVary: Accept-Encoding\r\n" % coding


@lru_cache(256)
def _preferred(accepted: bytes, worth_it: bool) -> bytes:
    """gzip, deflate or identity: the one with the highest weight, in this order where weights are equal.

    Where coding is not worth it, identity, unless the client refuses that. A client that refuses all gets identity.
    """
    weights: dict[bytes, float] = {}
    for part in accepted.lower().split(b","):
        name, _, parameter = part.partition(b";")
        weights[name.strip()] = _weight(parameter.strip())
    anything = weights.get(b"*", 0.0)
    gzipped = weights.get(b"gzip", weights.get(b"x-gzip", anything))
    deflated = weights.get(b"deflate", anything)
    best = max(gzipped, deflated)
    # what is not named is welcome, but after all that is
    identity = weights.get(b"identity", 0.0)
    refused = weights.get(b"identity", weights.get(b"*", 1.0)) == 0
    if best <= 0 or identity > best or not (worth_it or refused):
        return b"identity"
    return b"gzip" if gzipped >= deflated else b"deflate"


def _weight(parameter: bytes) -> float:
    name, _, value = parameter.partition(b"=")
    if name.strip() != b"q":
        return 1.0
    try:
        return min(1.0, max(0.0, float(value)))
    except ValueError:
        return 0.0


# ---- heads


class Heads:
    """Makes what stands before a body. `tick` once a second keeps the date right."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._prefix = base64.b32hexencode(secrets.token_bytes(25))[:39]
        self._numbers = itertools.count()
        self._begins: dict[tuple[int, bytes], bytes] = {}
        self.date = b""
        self.tick()

    def tick(self) -> None:
        """Takes over the time of day."""
        self.date = formatdate(self._clock(), usegmt=True).encode()
        self._begins.clear()

    def request_id(self) -> bytes:
        """52 digits and capital letters, never given twice."""
        return b"%b%013d" % (self._prefix, next(self._numbers))

    def message(self, status: int, kind: bytes, body: bytes, more: bytes, request_id: bytes) -> bytes:
        """The whole message; kind is the content type, none where empty; `more` is header lines, each with its end."""
        begin = self._begins.get((status, kind))
        if begin is None:
            begin = self._begin(status, kind)
        return b"%bx-amzn-RequestId: %b\r\nx-amz-crc32: %d\r\nContent-Length: %d\r\n%b\r\n%b" % (
            begin,
            request_id,
            zlib.crc32(body),
            len(body),
            more,
            body,
        )

    def _begin(self, status: int, kind: bytes) -> bytes:
        begin = b"HTTP/1.1 %d %b\r\nServer: lsm\r\nDate: %b\r\n" % (status, REASONS[status], self.date)
        if kind:
            begin += b"Content-Type: %b\r\n" % kind
        self._begins[status, kind] = begin
        return begin
