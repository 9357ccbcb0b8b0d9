"""From an HTTP request to the operation it asks for, in the service's order of checks. Rules 1.1.

JSON that does not parse, target, authentication, empty body; then the types of members (lsm/dynamodb/wire.py). No state
but the credentials; the event loop's thread or a pool's.
"""

from __future__ import annotations

import json
import sys
import zlib
from collections.abc import Callable
from typing import Any

import orjson

from lsm.dynamodb.control import CONTROL
from lsm.dynamodb.errors import ApiError, serialization
from lsm.dynamodb.service import DATA
from lsm.dynamodb.wire import decode_request
from lsm.server.answers import AMZ_JSON, JSON

__all__ = [
    "TARGET",
    "Call",
    "Head",
    "Request",
    "TooLarge",
    "Typed",
    "call_of",
    "content",
    "content_type",
    "named",
    "path_and_query",
    "typed",
]

TARGET = b"DynamoDB_20120810."

Headers = dict[bytes, bytes]
Typed = dict[str, Any]
"""A typed request. Not spelled out where it is used: the compiler would take only dict itself, and no class of it."""

TARGETS = {TARGET + name.encode(): name for name in (*DATA, *CONTROL)}
"""What X-Amz-Target says, to the name of the operation; of those that are built."""


class TooLarge(Exception):
    """A body that has more bytes than a request may have, once it is decoded."""


class Head:
    """What a signature is about. path: the target up to `?`, query: what follows it; headers: names as sent."""

    def __init__(
        self,
        method: str,
        path: bytes,
        query: bytes,
        headers: list[tuple[bytes, bytes]],
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers


class Request:
    """One request as it came. named: the headers by name in lower case, the last of several.

    reserved: bytes of the body budget that it holds. extra: its answer is sent, however much others have not read.
    refused: no request but the status that bytes which are none get.
    """

    def __init__(
        self,
        head: Head,
        named: Headers,
        body: bytes = b"",
        keep_alive: bool = True,
        reserved: int = 0,
        refused: int = 0,
        extra: bool = False,
    ) -> None:
        self.head = head
        self.named = named
        self.body = body
        self.keep_alive = keep_alive
        self.reserved = reserved
        self.refused = refused
        self.extra = extra


class Call:
    """operation: its name. data: the parsed JSON of the body."""

    def __init__(
        self,
        operation: str,
        data: Any,
    ) -> None:
        self.operation = operation
        self.data = data


def path_and_query(target: bytes) -> tuple[bytes, bytes]:
    """Of a request's target, which proxies write with the server's address before it."""
    if target == b"/":
        return target, b""
    if not target.startswith(b"/") and target[:8].lower().startswith((b"http://", b"https://")):
        _, _, target = target.partition(b"//")
        end = min(at for at in (target.find(b"/"), target.find(b"?"), len(target)) if at >= 0)
        target = target[end:] if target[end : end + 1] == b"/" else b"/" + target[end:]
    path, _, query = target.partition(b"?")
    return path, query


LISTS = frozenset((b"accept-encoding", b"content-encoding"))
"""Headers that may stand in several lines, which count as one."""


def named(headers: list[tuple[bytes, bytes]]) -> Headers:
    """The headers by name in lower case: the last of several, but for lists."""
    found = {name.lower(): value for name, value in headers}
    if len(found) != len(headers):
        for name in LISTS & found.keys():
            found[name] = b",".join(value for one, value in headers if one.lower() == name)
    return found


def content_type(named: Headers) -> bytes | None:
    """The base type that the answer repeats; None for one that is not served."""
    given = named.get(b"content-type")
    if given == AMZ_JSON:
        return AMZ_JSON
    if given is None:
        return None
    base = given.partition(b";")[0].strip().lower()
    return base if base in (AMZ_JSON, JSON) else None


def content(request: Request, most: int) -> bytes:
    """The body without its content codings; TooLarge where it has more than `most` bytes then.

    Bytes that are not what the header says are no JSON either.
    """
    given = request.named.get(b"content-encoding")
    if given is None:
        return request.body
    codings = [coding for one in given.lower().split(b",") if (coding := one.strip()) not in PLAIN]
    if len(codings) > MOST_CODINGS:
        raise serialization()
    body = request.body
    for coding in reversed(codings):
        body = _decoded(body, coding, most)
    return body


PLAIN = (b"", b"identity", b"aws-chunked")
MOST_CODINGS = 4
"""One on top of the other; more are nothing but work for the server."""
MOST_MEMBERS = 4096
"""Of one gzip body."""
FED = 4 << 10
"""Bytes given to zlib at once: it copies what follows a member's end."""


def _decoded(body: bytes, coding: bytes, most: int) -> bytes:
    if coding in (b"gzip", b"x-gzip"):
        return _inflated(body, 16 + zlib.MAX_WBITS, most)
    if coding == b"deflate":
        # HTTP means zlib's form; some send what lies inside it
        wrapped = len(body) > 1 and body[0] & 15 == 8 and (body[0] << 8 | body[1]) % 31 == 0
        return _inflated(body, zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS, most)
    raise serialization()


def _inflated(body: bytes, bits: int, most: int) -> bytes:
    parts: list[bytes] = []
    room = most
    at = members = 0
    while at < len(body):
        members += 1
        if members > (MOST_MEMBERS if bits > zlib.MAX_WBITS else 1):
            raise serialization()
        try:
            at, room = _one_inflated(body, at, zlib.decompressobj(bits), room, parts)
        except zlib.error:
            raise serialization() from None
    return b"".join(parts)


def _one_inflated(body: bytes, at: int, inflater: Any, room: int, parts: list[bytes]) -> tuple[int, int]:
    """Where the stream that begins at `at` ends, and what room it left."""
    while not inflater.eof:
        fed = body[at : at + FED]
        if not fed:
            raise serialization()
        at += len(fed)
        while fed and not inflater.eof:
            part = inflater.decompress(fed, room + 1)
            room -= len(part)
            if room < 0:
                raise TooLarge
            parts.append(part)
            fed = inflater.unconsumed_tail
    return at - len(inflater.unused_data), room


def call_of(request: Request, body: bytes, authenticate: Callable[[Request], None]) -> Call:
    """The operation and its JSON. `authenticate` raises ApiError."""
    data: Any = None
    if body:
        try:
            data = orjson.loads(body)
        except ValueError as fault:
            if "infinity" not in str(fault):
                raise serialization() from None
            data = _loaded(body)
    operation = TARGETS.get(request.named.get(b"x-amz-target", b""))
    if operation is None:
        raise ApiError("UnknownOperationException", None)
    authenticate(request)
    if not body:
        raise serialization()
    return Call(operation, data)


def typed(call: Call, body: bytes) -> Typed:
    """The typed request of a call; ApiError where its JSON does not fit."""
    try:
        return decode_request(call.operation, call.data)
    except ApiError as fault:
        if fault.message is None or not fault.message.startswith("DECIMAL_VALUE"):
            raise
    # whole numbers of more than 64 bits have been read as if they had a point
    return decode_request(call.operation, _loaded(body))


def _loaded(body: bytes) -> Any:
    """As orjson does it, but for numbers of any size: they saturate, and whole ones stay whole."""
    try:
        data = json.loads(body.decode(), parse_int=_whole, parse_float=_decimal, parse_constant=_no_number)
        orjson.dumps(data)  # refuses what it would not have read
    except (ValueError, TypeError, RecursionError):
        raise serialization() from None
    return data


LARGEST = (1 << 63) - 1


def _whole(text: str) -> int:
    number = int(text) if len(text) < 32 else LARGEST if text[0] != "-" else -LARGEST
    return max(-LARGEST, min(LARGEST, number))


def _decimal(text: str) -> float:
    return max(-sys.float_info.max, min(sys.float_info.max, float(text)))


def _no_number(text: str) -> None:
    raise ValueError(text)
