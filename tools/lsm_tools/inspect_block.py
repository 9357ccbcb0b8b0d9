"""The columns of a block's raw bytes as annotated rows, in the order in which they stand.

Guarantees: takes bytes that decode_block accepts. Pure; any thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lsm_tools.format_block import column
from lsm_tools.format_bytes import varint
from lsm_tools.inspect_rows import Row, Shown, field, sequence_text, text_of

__all__ = ["column_rows"]

WIDTHS: Final = (0, 1, 2, 4)
NAMES: Final = ("length of every key's suffix", "length of every value")


def column_rows(raw: bytes, depth: int, shown: Shown) -> Iterator[Row]:
    """A row for each field and column."""
    count, flags, sequence_bytes = raw[0], raw[1], raw[2]
    widths = [WIDTHS[flags & 3], WIDTHS[flags >> 2 & 3]]

    def row(at: int, n: int, name: str, value: str, meaning: str) -> Row:
        return field(depth, at, raw[at : at + n], name, value, meaning, "raw")

    yield row(0, 1, "entries", str(count), "how many; at most 254")
    yield row(1, 1, "flags", f"{flags:#04x} ({_flags(flags)})", "which columns there are, and how wide")
    yield row(2, 1, "sequence bytes", str(sequence_bytes), "of each sequence; 0: all are the base")
    at, same = 3, [0, 0]
    for i in range(2):
        if widths[i] == 0:
            same[i], after = varint(raw, at)
            yield row(at, after - at, NAMES[i], str(same[i]), "they are all the same: no column")
            at = after
    prefix, after = varint(raw, at)
    yield row(at, after - at, "prefix bytes", str(prefix), "how much all keys share")
    at = after
    base, after = varint(raw, at)
    yield row(at, after - at, "base sequence", sequence_text(base), "the lowest; 0: below every snapshot")
    at = after
    lengths = []
    for i, name in enumerate(("lengths of key suffixes", "lengths of values")):
        lengths.append(column(raw, at, widths[i], count) if widths[i] else [same[i]] * count)
        if widths[i]:
            yield row(
                at,
                widths[i] * count,
                name,
                _numbers(lengths[i], shown),
                f"{widths[i]} byte{'s' * (widths[i] > 1)} each",
            )
            at += widths[i] * count
    if flags & 16:
        yield row(at, count, "kinds", _numbers(list(raw[at : at + count]), shown), "1: put, 2: delete")
        at += count
    if sequence_bytes:
        n = sequence_bytes * count
        above = [int.from_bytes(raw[i : i + sequence_bytes], "little") for i in range(at, at + n, sequence_bytes)]
        yield row(at, n, "sequences", _numbers(above, shown), "what each is above the base")
        at += n
    for name, n in (("prefix", prefix), ("key suffixes", sum(lengths[0])), ("values", sum(lengths[1]))):
        if n:
            yield row(
                at, n, name, text_of(raw[at : at + n], shown.full), "" if name == "prefix" else "one after the other"
            )
        at += n


def _flags(flags: int) -> str:
    parts = []
    for what, code in (("keys", flags & 3), ("values", flags >> 2 & 3)):
        width = WIDTHS[code]
        parts.append(f"lengths of {what}: {f'{width} byte' + 's' * (width > 1) if width else 'all the same'}")
    if flags & 16:
        parts.append("kinds present")
    if flags & 32:
        parts.append("no key stands twice")
    return ", ".join(parts)


def _numbers(values: list[int], shown: Shown) -> str:
    most = len(values) if shown.full else 12
    return " ".join(map(str, values[:most])) + (" ..." if len(values) > most else "")
