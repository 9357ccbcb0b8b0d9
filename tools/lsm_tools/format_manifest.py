"""CURRENT and manifests read in Python, by docs/format/manifest.md alone: records, edits, and the version they make.

Guarantees: what is sound is given, what is not becomes a Fault; a contradiction is a Fault at its record, and the rest
of the edit still counts. Uses the crc32c package. One thread per object; the files must not change meanwhile.

    number = read_current(path, faults)                              None where CURRENT is damaged
    manifest = ManifestFile(path, faults, number=1)
    manifest.header; manifest.end, manifest.torn                     where the sound records end; bytes behind it
    for record in manifest.records: ...                              Record(offset, size, durable_through, payload)
    for record in manifest.later_records(offset): ...                sound records behind damage, searched for
    fields, problem = parse_edit(payload)                            [EditField(offset, tag, size, value)]
    state = manifest.state                                           State, built from the sound records
    state.keyspaces[id]: Keyspace(...); .partitions[i]: Partition(flushed, tables={number: Table})
    partition.levels()                                               [[Table]]: 0 newest first, deeper ones by key
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from struct import Struct
from typing import Any, Final, NamedTuple

from crc32c import crc32c

from lsm_tools.format_bytes import Faults, Layout, Source
from lsm_tools.format_edit import EditField, Table, Tag, parse_edit

__all__ = ["HEADER", "RECORD", "Keyspace", "ManifestFile", "Partition", "Record", "State", "parse_edit", "read_current"]

MAGIC: Final = b"LSMMANIF"
VERSION: Final = 1
ALIGNMENT: Final = 8
MAX_LEVELS: Final = 7
MAX_PARTITIONS: Final = 4096
BINDING: Final = Struct("<16sQQ")
CURRENT_LINE: Final = re.compile(rb"(MANIFEST-(\d{6,20})) crc32c=([0-9a-f]{8})\n")

HEADER: Final = Layout(
    "header",
    (-8, "magic", "says that this is a manifest"),
    (4, "format version", "a newer one than a reader knows is refused"),
    (4, "header bytes", "where the first record begins"),
    (-16, "database id", "of this database"),
    (8, "number", "of this manifest, as in its name"),
    (8, "snapshot end", "through here the file was durable when CURRENT first named it"),
    (4, "cipher id", "0: not encrypted"),
    (4, "tag bytes", "authentication tag after each record; 0: none"),
    (8, "key id", "of the cipher's key"),
    (-60, "reserved", "zeros"),
    (4, "checksum", "CRC-32C of bytes 0 to 123"),
)
RECORD: Final = Layout(
    "record",
    (4, "checksum", "CRC-32C of database id, manifest number, offset, then bytes 4 to the end of the padding"),
    (4, "payload bytes", "size of the version edit that follows"),
    (8, "durable through", "offset up to which this file had been synced when the record was written"),
)


class Record(NamedTuple):
    """One record: an atomic change of the database's state. `size` has the padding in it."""

    offset: int
    size: int
    durable_through: int
    payload: bytes


@dataclass
class Partition:
    """One LSM tree: its tables by number. `flushed`: everything up to that sequence is in tables."""

    keyspace: int
    index: int
    flushed: int = 0
    tables: dict[int, Table] = field(default_factory=dict)

    def levels(self) -> list[list[Table]]:
        """Level 0 newest first, deeper ones by smallest key."""
        depth = max((t.level for t in self.tables.values()), default=0)
        levels: list[list[Table]] = [[] for _ in range(depth + 1)]
        for table in self.tables.values():
            levels[table.level].append(table)
        levels[0].sort(key=lambda t: (t.max_seq, t.number), reverse=True)
        for level in levels[1:]:
            level.sort(key=lambda t: t.first)
        return levels


@dataclass
class Keyspace:
    id: int
    name: str
    composite: bool
    created: int
    options: dict[str, Any]
    partitions: list[Partition]

    def hash_range(self, index: int) -> tuple[int, int]:
        """Hashes of a partition: the lowest, and the first above."""
        n = len(self.partitions)
        return -((-index << 64) // n), -((-(index + 1) << 64) // n)


@dataclass
class State:
    """What the edits so far make of the database."""

    numbers: dict[str, int] = field(default_factory=dict)
    database_id: bytes | None = None
    closed: bool = False
    keyspaces: dict[int, Keyspace] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    places: dict[int, int] = field(default_factory=dict)
    """Where in the manifest each table was added last."""

    @property
    def hash_seed(self) -> int:
        return self.numbers.get("HASH_SEED", 0)

    @property
    def wal_start(self) -> int:
        return self.numbers.get("WAL_START", 0)

    def partitions(self) -> Iterator[Partition]:
        for keyspace in self.keyspaces.values():
            yield from keyspace.partitions

    def tables(self) -> Iterator[tuple[Partition, Table]]:
        for partition in self.partitions():
            for table in partition.tables.values():
                yield partition, table

    def apply(self, fields: list[EditField], offset: int = 0) -> list[tuple[EditField, str]]:
        """Takes one edit over, whose payload stands at `offset`; answers what contradicts the state and is left out."""
        problems = []
        self.closed = False
        for tag in APPLIED:
            for f in fields:
                if f.tag == tag and (problem := self._take(f)) is not None:
                    problems.append((f, problem))
                elif f.tag == tag == Tag.TABLE_ADDED:
                    self.places[f.value["number"]] = offset + f.offset
        return problems

    def _take(self, f: EditField) -> str | None:
        v = f.value
        if f.tag == Tag.CLOSED:
            self.closed = bool(v)
        elif f.tag == Tag.DATABASE_ID:
            self.database_id = v
        elif f.tag in NUMBERS:
            return self._number(Tag(f.tag).name, v)
        elif f.tag == Tag.KEYSPACE_CREATED:
            return self._create(v)
        elif f.tag == Tag.KEYSPACE_OPTIONS:
            if v["id"] not in self.keyspaces:
                return f"there is no keyspace {v['id']}"
            self.keyspaces[v["id"]].options = v["options"]
        elif f.tag == Tag.KEYSPACE_DROPPED:
            return self._drop(v)
        else:
            return self._of_partition(f.tag, v)
        return None

    def _number(self, name: str, value: int) -> str | None:
        before = self.numbers.get(name, 0)
        if name in ("EPOCH", "WAL_START") and value < before:
            return f"{name} goes back from {before} to {value}"
        self.numbers[name] = value if name == "HASH_SEED" else max(value, before)
        return None

    def _drop(self, id: int) -> str | None:
        keyspace = self.keyspaces.pop(id, None)
        if keyspace is None:
            return f"there is no keyspace {id}"
        self.names.discard(keyspace.name)
        return None

    def _create(self, v: dict[str, Any]) -> str | None:
        if v["id"] in self.keyspaces or v["name"] in self.names:
            return f"keyspace {v['id']} {v['name']!r} exists already"
        if not 1 <= v["partitions"] <= MAX_PARTITIONS:
            return f"keyspace {v['id']} has {v['partitions']} partitions"
        partitions = [Partition(v["id"], i) for i in range(v["partitions"])]
        composite = bool(v["flags"] & 1)
        self.keyspaces[v["id"]] = Keyspace(
            v["id"], v["name"], composite, v["created at sequence"], v["options"], partitions
        )
        self.names.add(v["name"])
        self._number("NEXT_KEYSPACE_ID", v["id"] + 1)
        return None

    def _of_partition(self, tag: int, v: dict[str, Any]) -> str | None:
        keyspace = self.keyspaces.get(v["keyspace id"])
        if keyspace is None or v["partition"] >= len(keyspace.partitions):
            return f"there is no partition {v['partition']} of keyspace {v['keyspace id']}"
        partition = keyspace.partitions[v["partition"]]
        if tag == Tag.TABLE_REMOVED:
            return None if partition.tables.pop(v["number"], None) else f"there is no table {v['number']} to remove"
        if tag == Tag.TABLE_ADDED:
            return self._add(partition, v["table"])
        if v["sequence"] < partition.flushed:
            return f"flushed sequence goes back from {partition.flushed} to {v['sequence']}"
        partition.flushed = v["sequence"]
        return None

    def _add(self, partition: Partition, table: Table) -> str | None:
        if table.number in partition.tables:
            return f"table {table.number} is there already"
        if table.level >= MAX_LEVELS:
            return f"table {table.number} at level {table.level}; there are {MAX_LEVELS} levels"
        if table.first >= table.end:
            return f"table {table.number} holds no key between its bounds"
        partition.tables[table.number] = table
        self._number("NEXT_FILE_NUMBER", table.number + 1)
        return None


NUMBERS: Final = (
    Tag.HASH_SEED,
    Tag.EPOCH,
    Tag.NEXT_FILE_NUMBER,
    Tag.NEXT_KEYSPACE_ID,
    Tag.WAL_START,
    Tag.WAL_START_SEQUENCE,
    Tag.LAST_SEQUENCE,
)
APPLIED: Final = (
    Tag.DATABASE_ID,
    *NUMBERS,
    Tag.CLOSED,
    Tag.KEYSPACE_CREATED,
    Tag.KEYSPACE_OPTIONS,
    Tag.TABLE_REMOVED,
    Tag.TABLE_ADDED,
    Tag.PARTITION_FLUSHED,
    Tag.KEYSPACE_DROPPED,
)
"""The order in which the fields of one edit are applied."""


def read_current(path: str, faults: Faults) -> int | None:
    """Number of the manifest that the file CURRENT at `path` names."""
    with Source(path, faults) as source:
        if not source.is_open:
            return None
        data = source.read(0, 256)
    match = CURRENT_LINE.fullmatch(data)
    if match is None:
        faults.add(path, 0, "line that names the manifest", b"MANIFEST-nnnnnn crc32c=xxxxxxxx\n", data[:64])
        return None
    if crc32c(match[1]) != int(match[3], 16):
        faults.add(path, len(match[1]) + 8, "checksum of CURRENT", match[3].decode(), f"{crc32c(match[1]):08x}")
        return None
    return int(match[2])


class ManifestFile:
    """One manifest. Opening it reads all of it (it is small); `faults` tells what is wrong."""

    def __init__(self, path: str, faults: Faults, *, number: int | None = None) -> None:
        self.path = path
        self.faults = faults
        self.header: dict[str, Any] | None = None
        self.records: list[Record] = []
        with Source(path, faults) as source:
            self.size = source.size
            self.data = source.read(0, source.size)
            self.end = min(HEADER.size, self.size)
            if source.is_open:
                self._read_header(number)
        if self.header is not None:
            self._read_records()

    @property
    def torn(self) -> int:
        """Bytes behind the last sound record, which a crash left or rot has made."""
        return self.size - self.end

    def _read_header(self, number: int | None) -> None:
        if len(self.data) < HEADER.size:
            self.faults.add(self.path, 0, "header is cut off", HEADER.size, len(self.data))
            return
        header = HEADER.decode(self.data)
        got = crc32c(self.data[: HEADER.offset_of("checksum")])
        if header["magic"] != MAGIC:
            self.faults.add(self.path, 0, "magic of the header", MAGIC, header["magic"])
        elif header["checksum"] != got:
            self.faults.add(self.path, 0, "checksum of the header", header["checksum"], got)
        elif header["format version"] != VERSION or header["cipher id"] or header["tag bytes"] or header["key id"]:
            self.faults.add(self.path, 8, "format version of the header", VERSION, header["format version"])
        else:
            if number is not None and header["number"] != number:
                self.faults.add(self.path, 32, "manifest number", number, header["number"])
            self.header = header

    def record_at(self, offset: int) -> Record | str:
        """The record at an offset, or what is wrong with it."""
        assert self.header is not None
        if offset + RECORD.size > len(self.data):
            return "record header is cut off"
        head = RECORD.decode(self.data, offset)
        start, n = offset + RECORD.size, head["payload bytes"]
        end = start + n + -(start + n) % ALIGNMENT
        if n == 0 or end > len(self.data):
            return f"record of {n} bytes where {len(self.data) - start} are left"
        binding = BINDING.pack(self.header["database id"], self.header["number"], offset)
        if crc32c(self.data[offset + 4 : end], crc32c(binding)) != head["checksum"]:
            return "checksum of a record"
        return Record(offset, end - offset, head["durable through"], self.data[start : start + n])

    def later_records(self, offset: int) -> Iterator[Record]:
        """Sound records that begin at or behind an offset, searched for at every multiple of 8."""
        offset += -offset % ALIGNMENT
        while self.header is not None and offset < len(self.data):
            record = self.record_at(offset)
            if isinstance(record, Record):
                yield record
            offset += record.size if isinstance(record, Record) else ALIGNMENT

    def _read_records(self) -> None:
        assert self.header is not None
        problem = ""
        while self.end < len(self.data):
            record = self.record_at(self.end)
            if isinstance(record, str):
                problem = record
                break
            self.records.append(record)
            self.end += record.size
        if not self.records:
            self.faults.add(self.path, self.end, f"no snapshot: {problem or 'the file ends'}")
        elif self.end < len(self.data) or self.end < self.header["snapshot end"]:
            self._judge_end(problem or "the file ends")

    def _judge_end(self, problem: str) -> None:
        """Behind the last sound record: a torn tail, which is no fault, or rot, which is."""
        assert self.header is not None
        durable = max([self.header["snapshot end"], *(r.durable_through for r in self.later_records(self.end + 1))])
        if durable > self.end:
            what = f"{problem}; the file was durable through {durable}"
            self.faults.add(self.path, self.end, what, durable, self.end)

    @cached_property
    def state(self) -> State:
        """What the sound records make; contradictions become faults."""
        state = State()
        for record in self.records:
            fields, problem = parse_edit(record.payload)
            if problem is not None:
                self.faults.add(self.path, record.offset, f"version edit: {problem}")
            offset = record.offset + RECORD.size
            for f, text in state.apply(fields, offset):
                self.faults.add(self.path, offset + f.offset, f"version edit: {text}")
        header = self.header
        if header is not None and self.records and state.database_id != header["database id"]:
            self.faults.add(self.path, 16, "database id", state.database_id, header["database id"])
        return state
