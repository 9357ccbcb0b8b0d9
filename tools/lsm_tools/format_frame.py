"""Frames of the log and the changes inside them in Python, by docs/format/wal.md alone.

Guarantees: a frame is given only where its checksum holds at its place in the stream; no length is trusted. Uses the
crc32c package. Pure functions; any thread.

    frame_at(data, salt, offset, stream, left) -> Frame | str          or what is wrong with it
    changes, problem = parse_changes(frame.payload)    [Change(offset, kind, keyspace, key, value, old, metadata, end)]
"""

from __future__ import annotations

from typing import Final, NamedTuple

from lsm_tools.format_bytes import Layout, placed_crc, varint

__all__ = ["FRAME", "KINDS", "TRAILER", "Change", "Frame", "frame_at", "parse_changes"]

LARGEST_FRAME: Final = 1 << 30
FLAG_TRAILER: Final = 1
KINDS: Final = {
    1: "put",
    2: "delete",
    3: "delete range",
    4: "merge operand",
    5: "blob reference",
    6: "ingest",
    7: "keyspace created",
    8: "keyspace dropped",
    9: "keyspace options",
    10: "split",
}
CHANGE_OLD_VALUE: Final = 64
CHANGE_METADATA: Final = 128
FRAME: Final = Layout(
    "frame",
    (4, "checksum", "CRC-32C of salt, stream offset, and the frame from byte 4 to its end"),
    (4, "payload bytes", "size of the changes that follow"),
    (8, "sequence", "of the commit: epoch in the upper 20 bits, counter in the lower 44"),
    (8, "commit time", "microseconds since 1970, never less than that of the frame before"),
    (8, "durable through", "sequence through which the log was synced when this was written"),
    (4, "origin id", "0: this database"),
    (2, "flags", "1: a trailer, which ends a finished segment"),
    (2, "tag bytes", "of the tag behind the payload; 0: none"),
    (4, "change count", "how many changes the payload holds"),
    (4, "reserved", "zeros"),
)
TRAILER: Final = Layout(
    "trailer payload",
    (8, "last sequence", "of the segment; one less than its first where it holds no frame"),
    (8, "frames", "how many it holds, this one not counted"),
)


class Change(NamedTuple):
    """One change of a commit; offsets count from the start of the payload."""

    offset: int
    kind: int
    keyspace: int
    key: bytes
    value: bytes
    old: bytes | None
    metadata: bytes | None
    end: int


class Frame(NamedTuple):
    """One commit, or the trailer of a segment. `offset` is its place in the file; of a ring, in the stream."""

    offset: int
    stream: int
    sequence: int
    time: int
    durable_through: int
    origin: int
    flags: int
    change_count: int
    payload: bytes

    @property
    def is_trailer(self) -> bool:
        return bool(self.flags & FLAG_TRAILER)

    @property
    def size(self) -> int:
        return FRAME.size + len(self.payload)


def parse_changes(payload: bytes) -> tuple[list[Change], str | None]:
    """The changes up to the first malformed one, and what is wrong with that."""
    changes: list[Change] = []
    at = 0
    while at < len(payload):
        try:
            change = _change(payload, at)
        except ValueError as error:
            return changes, f"change at payload byte {at}: {error}"
        changes.append(change)
        at = change.end
    return changes, None


def _change(payload: bytes, start: int) -> Change:
    first = payload[start]
    kind = first & 0x3F
    if kind not in KINDS:
        raise ValueError(f"unknown kind {kind}")
    keyspace, at = _number(payload, start + 1)
    key_bytes, at = _number(payload, at)
    value_bytes, at = _number(payload, at)
    key, at = _piece(payload, at, key_bytes)
    value, at = _piece(payload, at, value_bytes)
    if kind == 2 and value:
        raise ValueError("a delete has a value")
    extra: list[bytes | None] = [None, None]
    for i, bit in enumerate((CHANGE_OLD_VALUE, CHANGE_METADATA)):
        if first & bit:
            n, at = _number(payload, at)
            extra[i], at = _piece(payload, at, n)
    return Change(start, kind, keyspace, key, value, extra[0], extra[1], at)


def _number(payload: bytes, at: int) -> tuple[int, int]:
    value, at = varint(payload, at)
    if value > 0xFFFFFFFF:
        raise ValueError(f"a length or id of {value}")
    return value, at


def _piece(payload: bytes, at: int, n: int) -> tuple[bytes, int]:
    if n > len(payload) - at:
        raise ValueError(f"{n} bytes where {len(payload) - at} are left")
    return payload[at : at + n], at + n


def frame_at(data: bytes, salt: int, offset: int, stream: int, left: int, at: int = 0) -> Frame | str:
    """The frame that begins at data[at], of which `left` bytes could be had; or what is wrong with it.

    Where data ends before the frame, and `left` does not, the answer is "more".
    """
    if len(data) - at < FRAME.size:
        return "frame header is cut off"
    head = FRAME.decode(data, at)
    size = FRAME.size + head["payload bytes"]
    if head["reserved"] or head["tag bytes"] or head["durable through"] > head["sequence"]:
        return "frame header is implausible"
    if size > left or size > LARGEST_FRAME:
        return "frame is longer than what is left"
    if size > len(data) - at:
        return "more"
    if placed_crc(salt, stream, memoryview(data)[at + 4 : at + size]) != head["checksum"]:
        return "checksum of a frame"
    return Frame(
        offset,
        stream,
        head["sequence"],
        head["commit time"],
        head["durable through"],
        head["origin id"],
        head["flags"],
        head["change count"],
        data[at + FRAME.size : at + size],
    )
