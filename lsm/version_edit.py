"""A version edit: one atomic change of the database's state, and its bytes. docs/format/manifest.md has the layout.

Guarantees: decode(encode(edit)) == edit; a field this release does not know is skipped below MUST_UNDERSTAND and
refused from there on. Immutable values; any thread, no lock.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, NamedTuple

from lsm.errors import UnsupportedVersionError

__all__ = [
    "FORMAT_VERSION",
    "HASH_MAX",
    "MUST_UNDERSTAND",
    "EditFormatError",
    "KeyspaceCreated",
    "KeyspaceOptions",
    "OptionValue",
    "PartitionFlushed",
    "TableAdded",
    "TableMeta",
    "TableRemoved",
    "Tag",
    "VersionEdit",
]

FORMAT_VERSION: Final = 1
HASH_MAX: Final = 2**64 - 1
MUST_UNDERSTAND: Final = 64

OptionValue = int | float | str | bool | None


class Tag(IntEnum):
    """Field tags stand in manifests. Numbered for ever: never renumber, never reuse.

    A release that meets a tag it does not know skips it below MUST_UNDERSTAND and refuses the file from there on.
    """

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


class EditFormatError(ValueError):
    """The bytes are no version edit. The manifest, which knows path and offset, raises CorruptionError from it."""


@dataclass(frozen=True, slots=True)
class TableMeta:
    """A reference of a version to a table file: what its footer says, and which part of it counts.

    `low`, `high` (excluded) and the hash bounds narrow the reference to a part of the file, so that splits and clones
    share files instead of rewriting them; None and the full range where all of it counts.
    """

    number: int
    file_bytes: int
    entries: int  # all records, tombstones and shadowed versions included
    tombstones: int
    raw_bytes: int  # keys and values before compression
    min_seq: int
    max_seq: int  # lowest and highest sequence ever put into it; zeroed sequences count as they were
    min_time: int  # commit times in microseconds; 0 where not known
    max_time: int
    smallest: bytes
    largest: bytes
    salt: int = 0
    codec: int = 0
    flags: int = 0
    shadowed: int = 0  # versions kept for a snapshot though the same table holds a newer one of their key
    low: bytes | None = None
    high: bytes | None = None
    hash_low: int = 0
    hash_high: int = HASH_MAX  # included

    @property
    def first(self) -> bytes:
        """Lowest key the reference may hold."""
        return self.smallest if self.low is None else max(self.low, self.smallest)

    @property
    def end(self) -> bytes:
        """Key above every key the reference may hold: [first, end) are its keys."""
        after = self.largest + b"\0"
        return after if self.high is None else min(self.high, after)


class KeyspaceCreated(NamedTuple):
    id: int
    name: str
    composite: bool = False
    partitions: int = 1
    created_seq: int = 0
    options: Mapping[str, OptionValue] = {}


class KeyspaceOptions(NamedTuple):
    id: int
    options: Mapping[str, OptionValue]


class TableAdded(NamedTuple):
    keyspace: int
    partition: int
    level: int
    table: TableMeta


class TableRemoved(NamedTuple):
    keyspace: int
    partition: int
    number: int


class PartitionFlushed(NamedTuple):
    """Every commit up to `seq` of this partition is in tables; none of it is needed from the WAL."""

    keyspace: int
    partition: int
    seq: int


@dataclass(frozen=True, slots=True)
class VersionEdit:
    """Fields left None or empty change nothing. Applied in this order: numbers, created, options, removed, added,
    flushed, dropped; so a table removed and added in one edit moves to another level.

    `wal_start` is the number of the first WAL segment that recovery needs, `wal_start_sequence` the first commit that
    may be in the log alone. `closed` marks a clean close: it holds until the next edit; the log was durable through
    the `last_sequence` beside it.
    """

    database_id: bytes | None = None
    hash_seed: int | None = None
    epoch: int | None = None
    next_file_number: int | None = None
    next_keyspace_id: int | None = None
    wal_start: int | None = None
    last_sequence: int | None = None
    wal_start_sequence: int | None = None
    closed: bool = False
    created: tuple[KeyspaceCreated, ...] = ()
    options: tuple[KeyspaceOptions, ...] = ()
    removed: tuple[TableRemoved, ...] = ()
    added: tuple[TableAdded, ...] = ()
    flushed: tuple[PartitionFlushed, ...] = ()
    dropped: tuple[int, ...] = ()

    def encode(self) -> bytes:
        out = bytearray()
        for tag, payload in _fields(self):
            _put_varint(out, tag)
            _put_varint(out, len(payload))
            out += payload
        return bytes(out)

    @staticmethod
    def decode(data: bytes, path: str | None = None) -> VersionEdit:
        """Raises EditFormatError, or UnsupportedVersionError (naming `path`) for a field it would have to know."""
        fields = _Fields()
        offset = 0
        while offset < len(data):
            tag, offset = _varint(data, offset)
            length, offset = _varint(data, offset)
            if length > len(data) - offset:
                raise EditFormatError(f"field {tag} of {length} bytes where {len(data) - offset} are left")
            read = _READERS.get(tag)
            if read is not None:
                try:
                    read(fields, data[offset : offset + length])
                except (struct.error, ValueError, IndexError, RecursionError) as error:
                    raise EditFormatError(f"field {tag}: {error}") from error
            elif tag >= MUST_UNDERSTAND:
                raise UnsupportedVersionError(path, FORMAT_VERSION + 1, FORMAT_VERSION)
            offset += length
        return fields.edit()


# Payloads are fixed little-endian structs, then bytes. A later release may lengthen a payload at its end.
_U64: Final = struct.Struct("<Q")
_CREATED: Final = struct.Struct("<QQIII")  # id, created_seq, partitions, flags, name bytes; then name, options
_REMOVED: Final = struct.Struct("<QIxxxxQ")  # keyspace, partition, number
_FLUSHED: Final = struct.Struct("<QIxxxxQ")  # keyspace, partition, seq
_TABLE: Final = struct.Struct("<QIBBH13Q4I")
_NO_BOUND: Final = 0xFFFFFFFF
_COMPOSITE: Final = 1


@dataclass(slots=True)
class _Fields:
    numbers: dict[str, int] = field(default_factory=dict)
    database_id: bytes | None = None
    created: list[KeyspaceCreated] = field(default_factory=list)
    options: list[KeyspaceOptions] = field(default_factory=list)
    removed: list[TableRemoved] = field(default_factory=list)
    added: list[TableAdded] = field(default_factory=list)
    flushed: list[PartitionFlushed] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)

    def edit(self) -> VersionEdit:
        get = self.numbers.get
        return VersionEdit(
            self.database_id,
            get("hash_seed"),
            get("epoch"),
            get("next_file_number"),
            get("next_keyspace_id"),
            get("wal_start"),
            get("last_sequence"),
            get("wal_start_sequence"),
            bool(get("closed", 0)),
            tuple(self.created),
            tuple(self.options),
            tuple(self.removed),
            tuple(self.added),
            tuple(self.flushed),
            tuple(self.dropped),
        )


_NUMBERS: Final[tuple[tuple[Tag, str], ...]] = (
    (Tag.HASH_SEED, "hash_seed"),
    (Tag.EPOCH, "epoch"),
    (Tag.NEXT_FILE_NUMBER, "next_file_number"),
    (Tag.NEXT_KEYSPACE_ID, "next_keyspace_id"),
    (Tag.WAL_START, "wal_start"),
    (Tag.LAST_SEQUENCE, "last_sequence"),
    (Tag.WAL_START_SEQUENCE, "wal_start_sequence"),
)


def _fields(edit: VersionEdit) -> Iterator[tuple[Tag, bytes]]:
    if edit.database_id is not None:
        yield Tag.DATABASE_ID, edit.database_id
    for tag, name in _NUMBERS:
        value = getattr(edit, name)
        if value is not None:
            yield tag, _U64.pack(value)
    if edit.closed:
        yield Tag.CLOSED, _U64.pack(1)
    for created in edit.created:
        yield Tag.KEYSPACE_CREATED, _pack_created(created)
    for options in edit.options:
        yield Tag.KEYSPACE_OPTIONS, _U64.pack(options.id) + _pack_options(options.options)
    for removed in edit.removed:
        yield Tag.TABLE_REMOVED, _REMOVED.pack(*removed)
    for added in edit.added:
        yield Tag.TABLE_ADDED, _pack_table(added)
    for flushed in edit.flushed:
        yield Tag.PARTITION_FLUSHED, _FLUSHED.pack(*flushed)
    for dropped in edit.dropped:
        yield Tag.KEYSPACE_DROPPED, _U64.pack(dropped)


def _pack_options(options: Mapping[str, OptionValue]) -> bytes:
    text = json.dumps(dict(options), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    return len(text).to_bytes(4, "little") + text


def _options(data: bytes, offset: int) -> dict[str, OptionValue]:
    length = int.from_bytes(_slice(data, offset, 4), "little")
    options = json.loads(_slice(data, offset + 4, length))
    if not isinstance(options, dict):
        raise EditFormatError("options are no JSON object")
    return options


def _pack_created(k: KeyspaceCreated) -> bytes:
    name = k.name.encode()
    flags = _COMPOSITE if k.composite else 0
    return _CREATED.pack(k.id, k.created_seq, k.partitions, flags, len(name)) + name + _pack_options(k.options)


def _pack_table(added: TableAdded) -> bytes:
    t = added.table
    return b"".join(
        (
            _TABLE.pack(
                added.keyspace,
                added.partition,
                added.level,
                t.codec,
                t.flags,
                t.number,
                t.file_bytes,
                t.entries,
                t.tombstones,
                t.shadowed,
                t.raw_bytes,
                t.min_seq,
                t.max_seq,
                t.min_time,
                t.max_time,
                t.salt,
                t.hash_low,
                t.hash_high,
                len(t.smallest),
                len(t.largest),
                _NO_BOUND if t.low is None else len(t.low),
                _NO_BOUND if t.high is None else len(t.high),
            ),
            t.smallest,
            t.largest,
            t.low or b"",
            t.high or b"",
        )
    )


def _slice(data: bytes, offset: int, length: int) -> bytes:
    part = data[offset : offset + length]
    if len(part) != length:
        raise EditFormatError(f"{length} bytes wanted, {len(part)} left")
    return part


def _number_reader(name: str) -> Callable[[_Fields, bytes], None]:
    def read(fields: _Fields, data: bytes) -> None:
        fields.numbers[name] = _U64.unpack_from(data)[0]

    return read


def _read_database_id(fields: _Fields, data: bytes) -> None:
    fields.database_id = _slice(data, 0, 16)


def _read_created(fields: _Fields, data: bytes) -> None:
    id, seq, partitions, flags, name_bytes = _CREATED.unpack_from(data)
    at = _CREATED.size
    name = _slice(data, at, name_bytes).decode()
    options = _options(data, at + name_bytes)
    fields.created.append(KeyspaceCreated(id, name, bool(flags & _COMPOSITE), partitions, seq, options))


def _read_options(fields: _Fields, data: bytes) -> None:
    fields.options.append(KeyspaceOptions(_U64.unpack_from(data)[0], _options(data, 8)))


def _read_removed(fields: _Fields, data: bytes) -> None:
    fields.removed.append(TableRemoved(*_REMOVED.unpack_from(data)))


def _read_flushed(fields: _Fields, data: bytes) -> None:
    fields.flushed.append(PartitionFlushed(*_FLUSHED.unpack_from(data)))


def _read_dropped(fields: _Fields, data: bytes) -> None:
    fields.dropped.append(_U64.unpack_from(data)[0])


def _read_table(fields: _Fields, data: bytes) -> None:
    (keyspace, partition, level, codec, flags, number, file_bytes, entries, tombstones, shadowed, raw_bytes, min_seq,
     max_seq, min_time, max_time, salt, hash_low, hash_high, a, b, c, d) = _TABLE.unpack_from(data)  # fmt: skip
    has_low, has_high = c != _NO_BOUND, d != _NO_BOUND
    b += a + _TABLE.size
    a += _TABLE.size
    c = b + (c if has_low else 0)
    d = c + (d if has_high else 0)
    if d > len(data):
        raise EditFormatError(f"a table's keys end {d - len(data)} bytes beyond its field")
    table = TableMeta(
        number,
        file_bytes,
        entries,
        tombstones,
        raw_bytes,
        min_seq,
        max_seq,
        min_time,
        max_time,
        data[_TABLE.size : a],
        data[a:b],
        salt,
        codec,
        flags,
        shadowed,
        data[b:c] if has_low else None,
        data[c:d] if has_high else None,
        hash_low,
        hash_high,
    )
    fields.added.append(TableAdded(keyspace, partition, level, table))


_READERS: Final[dict[int, Callable[[_Fields, bytes], None]]] = {
    Tag.DATABASE_ID: _read_database_id,
    **{tag: _number_reader(name) for tag, name in _NUMBERS},
    Tag.CLOSED: _number_reader("closed"),
    Tag.KEYSPACE_CREATED: _read_created,
    Tag.KEYSPACE_OPTIONS: _read_options,
    Tag.KEYSPACE_DROPPED: _read_dropped,
    Tag.TABLE_REMOVED: _read_removed,
    Tag.TABLE_ADDED: _read_table,
    Tag.PARTITION_FLUSHED: _read_flushed,
}


def _put_varint(out: bytearray, value: int) -> None:
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def _varint(data: bytes, offset: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70:
        if offset >= len(data):
            raise EditFormatError("a number does not end")
        byte = data[offset]
        offset += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, offset
        shift += 7
    raise EditFormatError("a number of more than ten bytes")
