"""What the manifests of a damaged directory still say: keyspaces, tables, what is in them, what was removed.

Guarantees: every record whose checksum holds is used, also behind damage, also of a manifest whose header or CURRENT is
lost; `exact` only where the state is surely the last one. Changes nothing; one thread.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from lsm_tools.format_bytes import Faults
from lsm_tools.format_directory import Directory
from lsm_tools.format_edit import Table, Tag, parse_edit
from lsm_tools.format_manifest import HEADER, ManifestFile, Record, State
from lsm_tools.format_table import TableFile
from lsm_tools.format_wal import SegmentFile

__all__ = ["Known", "KnownKeyspace", "read_manifests"]


@dataclass
class KnownKeyspace:
    """A keyspace that a manifest or the log names."""

    id: int
    name: str
    composite: bool
    partitions: int


@dataclass
class Known:
    """live: tables of the last state. tables: every table that any sound record names, also one removed since.

    flushed: by (keyspace, partition): what the log has up to that sequence is in tables too, or was overwritten since.
    """

    exact: bool = False
    torn: bool = False
    text: str = "missing"
    database_id: bytes | None = None
    seed: int | None = None
    keyspaces: dict[int, KnownKeyspace] = field(default_factory=dict)
    dropped: dict[int, str] = field(default_factory=dict)
    next_keyspace_id: int = 0
    wal_start: int = 0
    last_sequence: int = 0
    closed: bool = False
    tables: dict[int, Table] = field(default_factory=dict)
    live: set[int] = field(default_factory=set)
    removed: set[int] = field(default_factory=set)
    flushed: dict[tuple[int, int], int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read_manifests(directory: Directory, faults: Faults) -> Known:
    """Reads CURRENT's manifest, or where that is gone or damaged every manifest there is."""
    known = Known(database_id=_database_id(directory))
    found = [_Found(file.path, file.number, faults, known.database_id) for file in directory.of_kind("manifest")]
    current = directory.manifest
    named = None if current is None else next((m for m in found if m.path == current.path), None)
    chosen = named if named is not None and named.usable else max((m for m in found if m.usable), default=None)
    if chosen is None:
        known.text = "missing" if not found else "damaged throughout: no record of it can be read"
        return known
    others = [m for m in found if m is not chosen and m.usable]
    if not chosen.whole:
        for manifest in sorted(others):
            _remember(known, manifest)
    _remember(known, chosen)
    _take_state(known, chosen)
    _describe(known, chosen, named is chosen)
    return known


class _Found:
    """One manifest file and its sound records, wherever they stand."""

    def __init__(self, path: str, number: int, faults: Faults, database_id: bytes | None) -> None:
        self.path = path
        self.number = number
        self.manifest = ManifestFile(path, faults, number=number)
        m = self.manifest
        self.borrowed = m.header is None
        if m.header is None and database_id is not None:
            m.header = {"database id": database_id, "number": number, "snapshot end": 0}
        self.records: list[Record] = list(m.later_records(HEADER.size)) if m.header is not None else []
        self.gaps = _gaps(self.records, m.size)
        durable = max([r.durable_through for r in self.records], default=0)
        if m.header is not None:
            durable = max(durable, m.header["snapshot end"])
        # a torn tail was never acknowledged; anything else that is not sound was durable once
        self.torn = len(self.gaps) == 1 and self.gaps[0][1] == m.size and durable <= self.gaps[0][0]
        begins = bool(self.records) and self.records[0].offset == HEADER.size
        self.whole = begins and (not self.gaps or self.torn) and self._whole_snapshot()

    @property
    def usable(self) -> bool:
        return bool(self.records)

    def __lt__(self, other: _Found) -> bool:
        return (self.whole, self.number) < (other.whole, other.number)

    def _whole_snapshot(self) -> bool:
        """The first record is a snapshot: it alone says which database this is."""
        return any(f.tag == Tag.DATABASE_ID for f in parse_edit(self.records[0].payload)[0])


def _gaps(records: list[Record], size: int) -> list[tuple[int, int]]:
    """Bytes that belong to no sound record."""
    gaps, at = [], HEADER.size
    for record in records:
        if record.offset > at:
            gaps.append((at, record.offset))
        at = record.offset + record.size
    if at < size:
        gaps.append((at, size))
    return gaps


def _remember(known: Known, found: _Found) -> None:
    """What stays true whatever is lost around it: names, which table is whose, what was removed."""
    for record in found.records:
        for f in parse_edit(record.payload)[0]:
            v: Any = f.value
            if f.tag == Tag.KEYSPACE_CREATED:
                known.keyspaces[v["id"]] = KnownKeyspace(v["id"], v["name"], bool(v["flags"] & 1), v["partitions"])
                known.next_keyspace_id = max(known.next_keyspace_id, v["id"] + 1)
            elif f.tag == Tag.KEYSPACE_DROPPED:
                keyspace = known.keyspaces.get(v)
                known.dropped[v] = keyspace.name if keyspace else f"keyspace {v}"
            elif f.tag == Tag.TABLE_ADDED:
                known.tables[v["number"]] = v["table"]
                known.removed.discard(v["number"])
            elif f.tag == Tag.TABLE_REMOVED:
                known.removed.add(v["number"])
            elif f.tag == Tag.PARTITION_FLUSHED:
                place = (v["keyspace id"], v["partition"])
                known.flushed[place] = max(known.flushed.get(place, 0), v["sequence"])
            elif f.tag == Tag.HASH_SEED:
                known.seed = v
            elif f.tag == Tag.NEXT_KEYSPACE_ID:
                known.next_keyspace_id = max(known.next_keyspace_id, v)


def _take_state(known: Known, chosen: _Found) -> None:
    state = State()
    contradictions = 0
    for record in chosen.records:
        fields, problem = parse_edit(record.payload)
        contradictions += len(state.apply(fields)) + (problem is not None)
    known.exact = chosen.whole and not contradictions
    known.torn = chosen.torn
    known.database_id = state.database_id or known.database_id
    known.wal_start = state.wal_start
    known.closed = state.closed
    known.last_sequence = state.numbers.get("LAST_SEQUENCE", 0)
    known.live = {table.number for _, table in state.tables()}
    if known.exact:
        known.keyspaces = {
            k.id: KnownKeyspace(k.id, k.name, k.composite, len(k.partitions)) for k in state.keyspaces.values()
        }
        known.flushed = {(p.keyspace, p.index): p.flushed for p in state.partitions()}


def _describe(known: Known, chosen: _Found, named: bool) -> None:
    name = f"MANIFEST-{chosen.number:06d}"
    known.text = f"{name}, read whole" if known.exact else f"{name}, damaged"
    if chosen.torn:
        known.text += ", behind it a torn end"
    if not named:
        known.notes.append(f"CURRENT does not name a manifest that can be read; {name} was taken")
    if chosen.borrowed:
        known.notes.append(f"{name}: its header is damaged; its records were read all the same")
    for start, end in chosen.gaps:
        if not known.exact:
            known.notes.append(f"{name}: bytes {start:,} to {end:,} hold no sound record")


def _database_id(directory: Directory) -> bytes | None:
    """What most files say."""
    votes: Counter[bytes] = Counter()
    quiet = Faults()
    for file in directory.of_kind("manifest"):
        header = ManifestFile(file.path, quiet).header
        votes.update([header["database id"]] * 3 if header else [])
    for file in directory.of_kind("segment"):
        segment = SegmentFile(file.path, quiet)
        votes.update([segment.header["database id"]] if segment.header else [])
        segment.close()
    for file in directory.of_kind("table"):
        table = TableFile(file.path, quiet)
        known = table.footer or table.header
        votes.update([known["database id"]] if known else [])
        table.close()
    return votes.most_common(1)[0][0] if votes else None
