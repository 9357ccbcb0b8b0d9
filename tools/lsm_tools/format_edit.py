"""Version edits in Python, by docs/format/manifest.md alone: tags, payloads, references to tables.

Guarantees: the fields up to the first malformed one are given, and what is wrong with that; no length is trusted. Pure
functions; any thread.

    fields, problem = parse_edit(payload)    [EditField(offset, tag, size, value)]; offsets count in the payload
    value: bytes, int, or a dict by the names of the page; of TABLE_ADDED it has "table": Table(...) too
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, NamedTuple

from lsm_tools.format_bytes import Layout, varint

__all__ = ["CREATED", "FLUSHED", "REMOVED", "TABLE_ADDED", "EditField", "Table", "Tag", "parse_edit"]

MUST_UNDERSTAND: Final = 64
NO_BOUND: Final = 0xFFFFFFFF


class Tag(IntEnum):
    """Numbered for ever, as docs/format/manifest.md has them."""

    LAST_SEQUENCE = 1
    CLOSED = 2
    WAL_START_SEQUENCE = 3
    DATABASE_ID = 64
    HASH_SEED = 65
    EPOCH = 66
    NEXT_FILE_NUMBER = 67
    NEXT_KEYSPACE_ID = 68
    WAL_START = 69
    KEYSPACE_CREATED = 70
    KEYSPACE_OPTIONS = 71
    KEYSPACE_DROPPED = 72
    TABLE_REMOVED = 73
    TABLE_ADDED = 74
    PARTITION_FLUSHED = 75


CREATED: Final = Layout(
    "keyspace created",
    (8, "id", "of the keyspace, never given again"),
    (8, "created at sequence", "of the commit that made it"),
    (4, "partitions", "how many, by hash"),
    (4, "flags", "1: composite keys"),
    (4, "name bytes", ""),
)
REMOVED: Final = Layout(
    "table removed",
    (8, "keyspace id", ""),
    (4, "partition", ""),
    (-4, "zero", ""),
    (8, "number", "of the table"),
)
FLUSHED: Final = Layout(
    "partition flushed",
    (8, "keyspace id", ""),
    (4, "partition", ""),
    (-4, "zero", ""),
    (8, "sequence", "everything up to it is in tables"),
)
TABLE_ADDED: Final = Layout(
    "TABLE_ADDED",
    (8, "keyspace id", ""),
    (4, "partition", ""),
    (1, "level", "0: newest; below it a table's keys lie in no other of its level"),
    (1, "codec", "of its blocks; 0: none, 1: LZ4, 2: zstd, 3: zstd with a dictionary"),
    (2, "flags", "0"),
    (8, "number", "the file is nnnnnn.table"),
    (8, "file bytes", "size of the file"),
    (8, "entries", "records, tombstones included"),
    (8, "tombstones", "records that delete"),
    (8, "shadowed", "versions below a newer one of the same key in this table"),
    (8, "raw bytes", "keys and values before compression"),
    (8, "lowest sequence", "ever put in"),
    (8, "highest sequence", "ever put in"),
    (8, "lowest commit time", "microseconds since 1970; 0: not known"),
    (8, "highest commit time", "microseconds since 1970"),
    (8, "salt", "of the file"),
    (8, "lowest hash that counts", "0: from the first"),
    (8, "highest hash that counts", "2^64 - 1: to the last"),
    (4, "bytes of the smallest key", ""),
    (4, "bytes of the largest key", ""),
    (4, "bytes of the low bound", "2^32 - 1: none"),
    (4, "bytes of the high bound", "2^32 - 1: none"),
)


@dataclass(frozen=True, slots=True)
class Table:
    """A version's reference to a table file."""

    keyspace: int
    partition: int
    level: int
    number: int
    file_bytes: int
    entries: int
    tombstones: int
    shadowed: int
    raw_bytes: int
    min_seq: int
    max_seq: int
    min_time: int
    max_time: int
    salt: int
    codec: int
    hash_low: int
    hash_high: int
    smallest: bytes
    largest: bytes
    low: bytes | None
    high: bytes | None

    @property
    def first(self) -> bytes:
        """Lowest key that the reference may hold."""
        return self.smallest if self.low is None else max(self.low, self.smallest)

    @property
    def end(self) -> bytes:
        """Above every key that the reference may hold."""
        after = self.largest + b"\0"
        return after if self.high is None else min(self.high, after)

    @property
    def file_name(self) -> str:
        return f"{self.number:06d}.table"


class EditField(NamedTuple):
    """One field of an edit: where it begins in the payload, its tag, all of its bytes, and what it says."""

    offset: int
    tag: int
    size: int
    value: Any


def parse_edit(payload: bytes) -> tuple[list[EditField], str | None]:
    """The fields up to the first malformed one, and what is wrong with that."""
    fields: list[EditField] = []
    at = 0
    while at < len(payload):
        start = at
        try:
            tag, at = varint(payload, at)
            n, at = varint(payload, at)
            if n > len(payload) - at:
                raise ValueError(f"{n} bytes where {len(payload) - at} are left")
            value = _value(tag, payload[at : at + n])
        except ValueError as error:
            return fields, f"field at payload byte {start}: {error}"
        at += n
        fields.append(EditField(start, tag, at - start, value))
    return fields, None


def _value(tag: int, data: bytes) -> Any:
    if tag == Tag.DATABASE_ID:
        return _piece(data, 0, 16)
    if tag == Tag.KEYSPACE_CREATED:
        return _created(data)
    if tag == Tag.KEYSPACE_OPTIONS:
        return {"id": _u64(data), "options": _options(data, 8)}
    if tag == Tag.TABLE_REMOVED:
        return _fixed(REMOVED, data)
    if tag == Tag.TABLE_ADDED:
        return _table(data)
    if tag == Tag.PARTITION_FLUSHED:
        return _fixed(FLUSHED, data)
    if tag in Tag.__members__.values():
        return _u64(data)
    if tag >= MUST_UNDERSTAND:
        raise ValueError(f"tag {tag} is of a newer release")
    return data


def _piece(data: bytes, at: int, n: int) -> bytes:
    if n > len(data) - at:
        raise ValueError(f"{n} bytes where {len(data) - at} are left")
    return data[at : at + n]


def _u64(data: bytes) -> int:
    return int.from_bytes(_piece(data, 0, 8), "little")


def _fixed(layout: Layout, data: bytes) -> dict[str, Any]:
    return layout.decode(_piece(data, 0, layout.size))


def _options(data: bytes, at: int) -> dict[str, Any]:
    n = int.from_bytes(_piece(data, at, 4), "little")
    try:
        options = json.loads(_piece(data, at + 4, n))
    except RecursionError as error:
        raise ValueError("options nest too deeply") from error
    if not isinstance(options, dict):
        raise ValueError("options are no JSON object")
    return options


def _created(data: bytes) -> dict[str, Any]:
    value = _fixed(CREATED, data)
    name = _piece(data, CREATED.size, value["name bytes"])
    value["name"] = name.decode()
    value["options"] = _options(data, CREATED.size + len(name))
    return value


def _table(data: bytes) -> dict[str, Any]:
    v = _fixed(TABLE_ADDED, data)
    keys: list[bytes | None] = []
    at = TABLE_ADDED.size
    for name in ("smallest key", "largest key", "low bound", "high bound"):
        n = v[f"bytes of the {name}"]
        if n == NO_BOUND and name.endswith("bound"):
            keys.append(None)
            continue
        keys.append(_piece(data, at, n))
        at += n
    smallest, largest, low, high = keys
    assert smallest is not None
    assert largest is not None
    v["table"] = Table(
        keyspace=v["keyspace id"],
        partition=v["partition"],
        level=v["level"],
        number=v["number"],
        file_bytes=v["file bytes"],
        entries=v["entries"],
        tombstones=v["tombstones"],
        shadowed=v["shadowed"],
        raw_bytes=v["raw bytes"],
        min_seq=v["lowest sequence"],
        max_seq=v["highest sequence"],
        min_time=v["lowest commit time"],
        max_time=v["highest commit time"],
        salt=v["salt"],
        codec=v["codec"],
        hash_low=v["lowest hash that counts"],
        hash_high=v["highest hash that counts"],
        smallest=smallest,
        largest=largest,
        low=low,
        high=high,
    )
    return v
