"""LZ4 blocks decoded in Python, by docs/format/checksums-and-codecs.md alone.

Guarantees: gives exactly the bytes asked for, or raises ValueError saying what is malformed; never makes more than one
sequence above them. Pure function; any thread.

    decode(data, raw_bytes) -> bytes
"""

from __future__ import annotations

__all__ = ["decode"]


def decode(data: bytes, raw_bytes: int) -> bytes:
    """The raw bytes of a block that is known to hold `raw_bytes` of them."""
    out = bytearray()
    at, end = 0, len(data)
    while True:
        if at >= end:
            raise ValueError(f"lz4: ends within a sequence, after {len(out)} raw bytes")
        token = data[at]
        at += 1
        count = token >> 4
        if count == 15:
            count, at = _more(data, at, count)
        if count > end - at or len(out) + count > raw_bytes:
            raise ValueError(f"lz4: {count} literals at {at} where {end - at} are left")
        out += data[at : at + count]
        at += count
        if at == end:
            break
        if end - at < 2:
            raise ValueError(f"lz4: ends within a distance at {at}")
        distance = data[at] | data[at + 1] << 8
        at += 2
        length = token & 15
        if length == 15:
            length, at = _more(data, at, length)
        _copy(out, distance, length + 4, raw_bytes)
    if len(out) != raw_bytes:
        raise ValueError(f"lz4: {len(out)} raw bytes where {raw_bytes} are announced")
    return bytes(out)


def _more(data: bytes, at: int, value: int) -> tuple[int, int]:
    while at < len(data):
        byte = data[at]
        at += 1
        value += byte
        if byte < 255:
            return value, at
    raise ValueError(f"lz4: a length at {at} does not end")


def _copy(out: bytearray, distance: int, length: int, raw_bytes: int) -> None:
    """Appends a match; where it reaches into itself, what lies between repeats."""
    size = len(out)
    if not 0 < distance <= size:
        raise ValueError(f"lz4: a distance of {distance} at raw byte {size}")
    if size + length > raw_bytes:
        raise ValueError(f"lz4: a match of {length} at raw byte {size} of {raw_bytes}")
    start = size - distance
    if length <= distance:
        out += out[start : start + length]
    else:
        pattern = bytes(out[start:])
        out += (pattern * (length // distance + 1))[:length]
