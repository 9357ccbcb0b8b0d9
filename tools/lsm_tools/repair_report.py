"""What a repair found, saved and lost: plain data, as JSON and as text.

Guarantees: every loss that the repair knows of is one entry; what is only possible stands apart from what is certain.
One repair fills one report, in one thread.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from lsm.byteforms import Form, display, to_json
from lsm.report import count
from lsm_tools.format_bytes import Faults, shown

__all__ = ["KeyspaceReport", "LogReport", "LostCommits", "LostPiece", "Report", "TableReport"]

SHOWN_ENTRIES = 20
SAMPLES = 20


@dataclass
class LostPiece:
    """Bytes of a table that hold no sound block. Keys are the engine's; both bounds may belong to lost records."""

    offset: int
    size: int
    block: int | None
    low: bytes
    high: bytes | None


@dataclass
class TableReport:
    """One table file. state: sound, damaged, missing, unreadable. records_lost None: not known."""

    name: str
    keyspace: int | None
    partition: int | None
    state: str
    entries: int
    records_lost: int | None
    lowest_sequence: int
    highest_sequence: int
    lost: list[LostPiece] = field(default_factory=list)
    note: str = ""


@dataclass
class LostCommits:
    """Commits that the log must have held and that no sound frame holds."""

    first: int
    last: int
    certain: bool
    note: str

    @property
    def count(self) -> int:
        return self.last - self.first + 1


@dataclass
class LogReport:
    segments: int = 0
    frames: int = 0
    frames_behind_damage: int = 0
    first_sequence: int = 0
    last_sequence: int = 0
    damaged: list[dict[str, Any]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    lost: list[LostCommits] = field(default_factory=list)
    ring: str = ""


@dataclass
class KeyspaceReport:
    """uncertain: records that lie where something newer may be lost: older values, or deleted since."""

    id: int | None
    name: str
    named: bool
    composite: bool
    partitions: int
    records: int = 0
    tombstones: int = 0
    from_log: int = 0
    uncertain: int = 0
    uncertain_samples: list[bytes] = field(default_factory=list)
    not_understood: int = 0
    note: str = ""


@dataclass
class Report:
    path: str
    new: str
    dry_run: bool
    manifest: str = ""
    exact: bool = False
    notes: list[str] = field(default_factory=list)
    keyspaces: list[KeyspaceReport] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    tables: list[TableReport] = field(default_factory=list)
    ignored_files: list[str] = field(default_factory=list)
    log: LogReport = field(default_factory=LogReport)
    torn_batches: list[str] = field(default_factory=list)
    verified: bool | None = None
    seconds: float = 0.0
    faults: Faults = field(default_factory=Faults)

    @property
    def records_lost(self) -> int:
        """Known to be lost from tables, newer and older versions alike."""
        return sum(table.records_lost or 0 for table in self.tables)

    @property
    def lossless(self) -> bool:
        """Whether nothing is lost, and nothing may be."""
        tables = all(table.records_lost == 0 for table in self.tables)
        keyspaces = all(k.named and not k.uncertain and not k.not_understood and not k.note for k in self.keyspaces)
        log = self.log
        whole_log = not log.lost and not log.missing and all(damage["harmless"] for damage in log.damaged)
        return tables and keyspaces and whole_log and not self.torn_batches and self.exact

    def as_dict(self) -> dict[str, Any]:
        """For JSON: keys that are not text stand as {"base64": ...}."""
        facts = dataclasses.asdict(self) | {
            "lossless": self.lossless,
            "records": sum(k.records for k in self.keyspaces),
            "records_lost": self.records_lost,
            "commits_lost": sum(lost.count for lost in self.log.lost if lost.certain),
            "faults": [fault.as_dict() for fault in self.faults],
        }
        plain = _plain(facts)
        assert isinstance(plain, dict)
        return plain

    def lines(self) -> Iterator[str]:
        """For people."""
        yield f"manifest: {self.manifest}"
        yield from (f"note: {note}" for note in self.notes)
        yield from self._log_lines()
        yield from self._table_lines()
        yield from self._keyspace_lines()
        yield from _some([f"may be there in part: {text}" for text in self.torn_batches])
        if self.verified is not None:
            yield f"{self.new}: " + ("read back, all records are there" if self.verified else "READ BACK AND WRONG")
        yield self._verdict()

    def _log_lines(self) -> Iterator[str]:
        log = self.log
        found = f"{count(log.frames, 'commit')} in {count(log.segments, 'segment')}"
        behind = f", {log.frames_behind_damage:,} of them behind damage" if log.frames_behind_damage else ""
        yield f"log: {found}{behind}" + (f"; ring: {log.ring}" if log.ring else "")
        yield from _some(
            [f"  {d['file']}: bytes {d['offset']:,} to {d['offset'] + d['size']:,}: {d['what']}" for d in log.damaged]
        )
        yield from (f"  {name}: missing" for name in log.missing)
        for lost in log.lost:
            sure = "lost" if lost.certain else "perhaps lost"
            yield f"  {sure}: {count(lost.count, 'commit')}, sequences {lost.first} to {lost.last}: {lost.note}"

    def _table_lines(self) -> Iterator[str]:
        states: dict[str, int] = {}
        for table in self.tables:
            states[table.state] = states.get(table.state, 0) + 1
        yield "tables: " + (", ".join(f"{n:,} {state}" for state, n in sorted(states.items())) or "none")
        for table in self.tables:
            if table.state == "sound":
                continue
            lost = "an unknown number of records" if table.records_lost is None else count(table.records_lost, "record")
            where = f"keyspace {table.keyspace}" if table.keyspace is not None else "keyspace unknown"
            sequences = f"sequences {table.lowest_sequence} to {table.highest_sequence}"
            yield f"  {table.name}: {table.state}; {where}; {sequences}; {lost} lost{table.note and '; ' + table.note}"
            yield from _some([f"    {_piece(piece)}" for piece in table.lost])
        if self.ignored_files:
            yield from _some([f"  not used: {name}" for name in self.ignored_files])

    def _keyspace_lines(self) -> Iterator[str]:
        for k in self.keyspaces:
            kind = "composite" if k.composite else "plain"
            named = "" if k.named else f" (keyspace {k.id}, whose name is lost)"
            yield f"keyspace {k.name!r}{named}: {count(k.records, 'record')}, {kind}{k.note and '; ' + k.note}"
            if k.uncertain:
                yield f"  {k.uncertain:,} of them may be older, or deleted since: newer records are lost there"
                keys = ", ".join(display(key, Form.TEXT) for key in k.uncertain_samples[:5])
                yield f"    such as {keys}"
            if k.not_understood:
                yield f"  {k.not_understood:,} records are of a kind that this release does not know; they are left out"
        yield from _some([f"  dropped before, and left so: {name}" for name in self.dropped])

    def _verdict(self) -> str:
        if self.lossless:
            return "nothing is lost"
        known = f"known lost: {count(self.records_lost, 'record')} of tables"
        return f"{known}, {count(sum(lost.count for lost in self.log.lost if lost.certain), 'commit')} of the log"


def _some(lines: list[str]) -> Iterator[str]:
    yield from lines[:SHOWN_ENTRIES]
    if len(lines) > SHOWN_ENTRIES:
        yield f"    and {len(lines) - SHOWN_ENTRIES:,} more; --json has them all"


def _piece(piece: LostPiece) -> str:
    block = "" if piece.block is None else f"block {piece.block}, "
    high = "the end" if piece.high is None else shown(piece.high)
    return f"{block}bytes {piece.offset:,} to {piece.offset + piece.size:,}: keys from {shown(piece.low)} to {high}"


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return to_json(value, Form.TEXT)
    if isinstance(value, dict):
        return {name: _plain(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(member) for member in value]
    return value
