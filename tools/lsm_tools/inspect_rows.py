"""Annotated dumps as rows: a section of a file, or one field of it with offset, bytes, name, value and what it means.

Guarantees: a dump is a stream of rows, so that files of any size can be shown; text and JSON show the same rows. Pure
functions; any thread.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from lsm.byteforms import Form, display
from lsm_tools.format_bytes import Fault, Layout
from lsm_tools.verify_keys import split_composite

__all__ = [
    "Row",
    "Shown",
    "as_json",
    "as_lines",
    "fault_row",
    "field",
    "key_text",
    "layout_rows",
    "note",
    "section",
    "sequence_text",
    "text_of",
]

BYTES_A_LINE: Final = 8
MOST_TEXT: Final = 60
COUNTER: Final = (1 << 44) - 1


class Shown(NamedTuple):
    """What the user asked to see. limit: items of the kind that repeats; offset: from that byte of the file on."""

    limit: int = 10
    offset: int = 0
    block: int | None = None
    keys: bool = False
    full: bool = False


class Row(NamedTuple):
    """kind: section, field, fault or note. space: in what `offset` counts; the file, or a block's raw bytes."""

    kind: str
    depth: int
    offset: int | None
    data: bytes
    name: str
    value: str
    meaning: str
    space: str = "file"


def section(depth: int, offset: int | None, name: str, value: str = "", meaning: str = "") -> Row:
    return Row("section", depth, offset, b"", name, value, meaning)


def field(depth: int, offset: int, data: bytes, name: str, value: str, meaning: str, space: str = "file") -> Row:
    return Row("field", depth, offset, data, name, value, meaning, space)


def note(depth: int, text: str) -> Row:
    return Row("note", depth, None, b"", "", text, "")


def fault_row(depth: int, fault: Fault) -> Row:
    said = str(Fault("", None, fault.what, fault.expected, fault.got)).removeprefix(": ")
    return Row("fault", depth, fault.offset, b"", "", said, "")


def layout_rows(
    layout: Layout, data: bytes, offset: int, depth: int, said: Mapping[str, str] | None = None
) -> Iterator[Row]:
    """A row for each field that `data` holds; `said` adds to the values of some."""
    for f in layout.fields:
        part = data[f.offset : f.offset + f.size]
        if not part:
            return
        value = _value(f.name, part, f.text)
        if said and f.name in said:
            value += f", {said[f.name]}"
        yield field(depth, offset + f.offset, part, f.name, value, f.meaning)


def _value(name: str, data: bytes, text: bool) -> str:
    if text:
        if not any(data):
            return "zeros"
        return repr(data)[1:] if name == "magic" else data.hex()
    number = int.from_bytes(data, "little")
    lower = name.lower()
    if "inverted" in lower:
        return f"{number:#018x}"
    if "sequence" in lower or lower == "durable through":
        return sequence_text(number)
    if "time" in lower or lower == "created":
        return time_text(number)
    if "checksum" in lower or "salt" in lower or "hash" in lower:
        return f"{number:#0{2 * len(data) + 2}x}"
    return f"{number:,}" if "bytes" in lower or lower in ("entries", "base") else str(number)


def sequence_text(number: int) -> str:
    """`1:17` for counter 17 of epoch 1."""
    return f"{number} (epoch {number >> 44}, counter {number & COUNTER})" if number >> 44 else str(number)


def time_text(number: int) -> str:
    """Microseconds since 1970 as a date in UTC."""
    if not number:
        return "0 (not known)"
    try:
        moment = datetime.datetime.fromtimestamp(number / 1e6, datetime.UTC)
    except (OverflowError, ValueError, OSError):
        return str(number)
    return f"{number} ({moment:%Y-%m-%d %H:%M:%S.%f} UTC)"


def text_of(data: bytes, full: bool = False) -> str:
    """Bytes as text, as a Python literal where they are none; shortened."""
    text = display(data, Form.TEXT) if data else "''"
    if full or len(text) <= MOST_TEXT:
        return text
    most = MOST_TEXT if len(text) <= len(data) else MOST_TEXT // 4
    return f"{display(data[:most], Form.TEXT)}... ({len(data):,} bytes)"


def key_text(key: bytes, composite: bool, full: bool = False) -> str:
    """An engine key as its user knows it."""
    if composite:
        parts = split_composite(key)
        if parts is not None:
            return f"({text_of(parts[0], full)}, {text_of(parts[1], full)})"
    return text_of(key, full)


# ---- rows to text


def as_lines(rows: Iterable[Row], full: bool = False) -> Iterator[str]:
    """Lines for people."""
    for row in rows:
        indent = "  " * row.depth
        if row.kind == "section":
            place = "" if row.offset is None else f", at {row.offset}"
            value = f": {row.value}" if row.value else ""
            if row.depth == 0:
                yield ""
            yield f"{indent}{row.name}{place}{value}" + (f"   # {row.meaning}" if row.meaning else "")
        elif row.kind == "fault":
            place = "" if row.offset is None else f" at {row.offset}"
            yield f"{indent}!! FAULT{place}: {row.value}"
        elif row.kind == "note":
            yield f"{indent}{row.value}"
        else:
            yield from _field_lines(row, indent, full)


def _field_lines(row: Row, indent: str, full: bool) -> Iterator[str]:
    pieces = [row.data[i : i + BYTES_A_LINE] for i in range(0, len(row.data), BYTES_A_LINE)] or [b""]
    first = pieces[0].hex(" ")
    if len(pieces) > 1 and not full:
        first = first[:-3] + " .."
    sign = "+" if row.space != "file" else " "
    line = f"{indent}{sign}{row.offset:<8} {first:<23}  {row.name:<24} {row.value}"
    yield f"{line}   # {row.meaning}" if row.meaning not in ("", row.value) else line
    if full:
        for i, piece in enumerate(pieces[1:], 1):
            yield f"{indent}{sign}{(row.offset or 0) + i * BYTES_A_LINE:<8} {piece.hex(' ')}"


def as_json(rows: Iterable[Row]) -> Iterator[str]:
    """A JSON object in a line for each row."""
    for row in rows:
        members: dict[str, Any] = {"kind": row.kind, "depth": row.depth}
        if row.offset is not None:
            members["offset"] = row.offset
        if row.kind == "field":
            members |= {"space": row.space, "size": len(row.data), "bytes": row.data[:4096].hex()}
        members |= {name: text for name, text in (("name", row.name), ("value", row.value)) if text}
        if row.meaning:
            members["meaning"] = row.meaning
        yield json.dumps(members)
