"""CURRENT and manifests as annotated rows: header, records, the fields of version edits.

Guarantees: shows what is sound and marks what is not, then goes on behind it. Pure readers; one thread.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

from lsm_tools.format_bytes import Fault, Faults, Layout, Source
from lsm_tools.format_edit import CREATED, FLUSHED, REMOVED, TABLE_ADDED, EditField, Table, Tag
from lsm_tools.format_manifest import HEADER, RECORD, ManifestFile, Record, parse_edit, read_current
from lsm_tools.inspect_rows import Row, Shown, fault_row, field, layout_rows, note, section, sequence_text, text_of

__all__ = ["manifest_rows"]

LAYOUTS: dict[int, Layout] = {
    Tag.KEYSPACE_CREATED: CREATED,
    Tag.TABLE_REMOVED: REMOVED,
    Tag.TABLE_ADDED: TABLE_ADDED,
    Tag.PARTITION_FLUSHED: FLUSHED,
}
MEANINGS: dict[int, str] = {
    Tag.LAST_SEQUENCE: "at least this sequence was given out",
    Tag.CLOSED: "clean close, true until the next edit",
    Tag.WAL_START_SEQUENCE: "commits before it are in tables; from it on the log has them",
    Tag.DATABASE_ID: "in the header of every file",
    Tag.HASH_SEED: "of the key hash; never changes",
    Tag.EPOCH: "upper 20 bits of the sequences now given out",
    Tag.NEXT_FILE_NUMBER: "no table of this number or above has been named",
    Tag.NEXT_KEYSPACE_ID: "no keyspace of this id or above has existed",
    Tag.WAL_START: "the first segment of the log that recovery needs",
    Tag.KEYSPACE_CREATED: "a keyspace and its partitions",
    Tag.KEYSPACE_OPTIONS: "replaces all options",
    Tag.KEYSPACE_DROPPED: "its tables go with it",
    Tag.TABLE_REMOVED: "a table counts no longer",
    Tag.TABLE_ADDED: "a table counts from now on",
    Tag.PARTITION_FLUSHED: "so far the log is not needed for this partition",
}


def manifest_rows(path: str, shown: Shown) -> Iterator[Row]:
    """The rows of CURRENT or of a manifest."""
    with Source(path, Faults()) as source:
        front = source.read(0, 9)
    yield from (_current_rows(path) if front == b"MANIFEST-" else _manifest_rows(path, shown))


def _current_rows(path: str) -> Iterator[Row]:
    faults = Faults()
    number = read_current(path, faults)
    with Source(path, Faults()) as source:
        data = source.read(0, 256)
    yield section(0, None, "CURRENT", f"{len(data)} bytes", "names the manifest in force; replaced as a whole")
    name, _, rest = data.partition(b" ")
    yield field(1, 0, name, "name", text_of(name), "of the manifest in force")
    yield field(1, len(name), b" " + rest, "checksum", text_of(rest), "CRC-32C of the name, in hexadecimal")
    yield from (fault_row(1, fault) for fault in faults)
    if number is None:
        yield note(1, "it names no manifest")


def _manifest_rows(path: str, shown: Shown) -> Iterator[Row]:
    faults = Faults()
    manifest = ManifestFile(path, faults)
    meaning = "the log of version edits: replayed, they say which keyspaces and tables there are"
    yield section(0, None, f"manifest {os.path.basename(path)}", f"{manifest.size:,} bytes", meaning)
    if not shown.offset and not shown.keys:
        yield section(1, 0, "header", f"{HEADER.size} bytes")
        verdict = "wrong" if any("checksum" in f.what and f.offset == 0 for f in faults) else "right"
        yield from layout_rows(HEADER, manifest.data[: HEADER.size], 0, 2, {"checksum": verdict})
    yield from (fault_row(1, fault) for fault in faults)
    if manifest.header is None:
        return
    for count, item in enumerate(_from(manifest, max(shown.offset, HEADER.size))):
        if count == shown.limit:
            offset = item.offset or 0
            yield note(1, f"... more records follow: --offset {offset} goes on there, --limit N shows more")
            return
        if isinstance(item, Fault):
            yield fault_row(1, item)
        else:
            yield from _record_rows(manifest, item, shown)


def _from(manifest: ManifestFile, offset: int) -> Iterator[Record | Fault]:
    """Sound records from an offset on, and the stretches between them."""
    for record in manifest.later_records(offset):
        if record.offset > offset:
            yield _gap(manifest, offset, record.offset)
        yield record
        offset = record.offset + record.size
    if offset < manifest.size:
        yield _gap(manifest, offset, manifest.size)


def _gap(manifest: ManifestFile, start: int, stop: int) -> Fault:
    problem = manifest.record_at(start)
    what = problem if isinstance(problem, str) else "not reached"
    return Fault(manifest.path, start, f"{what}; {stop - start} bytes that are no sound record")


def _record_rows(manifest: ManifestFile, record: Record, shown: Shown) -> Iterator[Row]:
    fields, problem = parse_edit(record.payload)
    at = record.offset
    if not shown.keys:
        what = f"{len(fields)} field{'s' * (len(fields) != 1)}"
        yield section(1, at, f"record, {record.size} bytes", what, "one atomic change; each begins at a multiple of 8")
        yield from layout_rows(RECORD, manifest.data[at : at + RECORD.size], at, 2, {"checksum": "right"})
    for f in fields:
        if shown.keys:
            yield note(1, f"{at:<8} {Tag(f.tag).name if f.tag in LAYOUTS or f.tag in MEANINGS else f.tag}: {_brief(f)}")
        else:
            yield from _field_rows(f, record.payload, at + RECORD.size)
    if problem is not None:
        yield Row("fault", 2, at + RECORD.size, b"", "", problem, "")
    padding = record.size - RECORD.size - len(record.payload)
    if padding and not shown.keys:
        yield field(2, at + record.size - padding, bytes(padding), "padding", "zeros", "to a multiple of 8")


def _field_rows(f: EditField, payload: bytes, base: int) -> Iterator[Row]:
    name = Tag(f.tag).name if f.tag in MEANINGS else f"tag {f.tag}, not known"
    data = payload[f.offset : f.offset + f.size]
    yield section(2, base + f.offset, name, _brief(f), MEANINGS.get(f.tag, "skipped"))
    front = 1 + _varint_size(data[1:])
    yield field(3, base + f.offset, data[:1], "tag", str(f.tag), "what the field says; numbered for ever")
    yield field(3, base + f.offset + 1, data[1:front], "payload bytes", str(f.size - front), "a varint")
    layout = LAYOUTS.get(f.tag)
    if layout is None:
        yield field(3, base + f.offset + front, data[front:], "payload", _brief(f), "")
        return
    yield from layout_rows(layout, data[front:], base + f.offset + front, 3)
    rest = front + layout.size
    if data[rest:]:
        meaning = "smallest key, largest key, bounds" if f.tag == Tag.TABLE_ADDED else "name, options"
        yield field(3, base + f.offset + rest, data[rest:], "behind it", text_of(data[rest:]), meaning)


def _varint_size(data: bytes) -> int:
    n = 0
    while n < len(data) and data[n] & 0x80:
        n += 1
    return n + 1


def _brief(f: EditField) -> str:
    """A field in one line."""
    v: Any = f.value
    if isinstance(v, bytes):
        return v.hex()
    if f.tag == Tag.HASH_SEED:
        return f"{v:#018x}"
    if f.tag in (Tag.LAST_SEQUENCE, Tag.WAL_START_SEQUENCE):
        return sequence_text(v)
    if isinstance(v, int):
        return str(v)
    if f.tag == Tag.TABLE_ADDED:
        return _table(v["table"])
    if f.tag == Tag.KEYSPACE_CREATED:
        kind = "composite" if v["flags"] & 1 else "plain"
        return f"{v['id']} {v['name']!r}, {kind}, {v['partitions']} partitions, options {json.dumps(v['options'])}"
    if f.tag == Tag.KEYSPACE_OPTIONS:
        return f"{v['id']}: {json.dumps(v['options'])}"
    where = f"keyspace {v['keyspace id']} partition {v['partition']}"
    if f.tag == Tag.TABLE_REMOVED:
        return f"table {v['number']} of {where}"
    return f"{where} through {sequence_text(v['sequence'])}"


def _table(t: Table) -> str:
    return (
        f"table {t.number}, keyspace {t.keyspace} partition {t.partition} level {t.level}, {t.entries:,} entries, "
        f"{t.file_bytes:,} bytes, keys {text_of(t.smallest)} to {text_of(t.largest)}"
    )
