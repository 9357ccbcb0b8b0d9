"""What can be read of the tables of a damaged directory: which file is which table, its sound records, what it lost.

Guarantees: a record is given only where its block's checksum holds at its place in that very file; every stretch that
holds none becomes a LostPiece as the reading passes it. Changes nothing; one thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from lsm_tools.format_block import Entry
from lsm_tools.format_bytes import Faults
from lsm_tools.format_directory import Directory
from lsm_tools.format_edit import Table
from lsm_tools.format_salvage import find_blocks
from lsm_tools.format_table import HEADER, TableFile
from lsm_tools.repair_manifest import Known
from lsm_tools.repair_report import LostPiece, TableReport

__all__ = ["LostRange", "Salvage", "find_tables"]


Identity = tuple[int | None, bytes | None, int | None]
"""Salt, database id, keyspace id, where known."""


@dataclass
class LostRange:
    """Keys, both bounds included, of which something of up to this sequence may be lost. partition None: of any."""

    low: bytes
    high: bytes | None
    partition: int | None
    sequence: int


@dataclass
class Salvage:
    """One table: `entries` once, in key order. `lost` grows as it is read."""

    number: int
    name: str
    path: str | None
    reference: Table | None
    faults: Faults
    keyspace: int | None = None
    partition: int | None = None
    lost: list[LostRange] = field(default_factory=list)
    report: TableReport = field(init=False)
    rank: int = 0

    def __post_init__(self) -> None:
        r = self.reference
        low, high = (r.min_seq, r.max_seq) if r else (0, 0)
        self.report = TableReport(self.name, self.keyspace, self.partition, "sound", 0, 0, low, high)
        self._table: TableFile | None = None
        self.known_entries = r.entries if r else None

    @property
    def newest(self) -> int:
        """No record of it is of a later commit."""
        return self.report.highest_sequence or (1 << 64) - 1

    def begin(self) -> None:
        """Opens the file; a table of which nothing can be read is lost from here on."""
        if self.path is None:
            self._lose_all("missing")
            return
        before = len(self.faults)
        self._table = table = TableFile(self.path, self.faults, number=self.number)
        if table.salt is None and self.reference is not None:
            table.header = {"salt": self.reference.salt}
        known = table.footer
        if known is not None:
            self.report.lowest_sequence = known["lowest sequence"]
            self.report.highest_sequence = known["highest sequence"]
            self.known_entries = known["entries"]
        if table.salt is None:
            self._lose_all("unreadable", "neither header nor footer tells its salt, without which no block can be told")
        elif len(self.faults) > before:
            self.report.state = "damaged"

    def _lose_all(self, state: str, note: str = "") -> None:
        r = self.reference
        self.report.state, self.report.note = state, note
        self.report.records_lost = self.known_entries
        low, high = (r.first, r.end) if r else (b"", None)
        size = r.file_bytes if r else (self._table.size if self._table else 0)
        self.report.lost.append(LostPiece(0, size, None, low, high))
        self.lost.append(LostRange(low, high, self.partition, self.newest))
        self._table = None

    def entries(self) -> Iterator[Entry]:
        """Every sound record within the bounds of the reference."""
        table = self._table
        if table is None:
            return
        r = self.reference
        bounded = r is not None and (r.low is not None or r.high is not None)
        for entry in self._by_index(table) if table.blocks else self._by_search(table):
            self.report.entries += 1
            if not bounded or (r is not None and r.first <= entry.key < r.end):
                yield entry
        self._settle()
        table.close()
        self._table = None

    def _by_index(self, table: TableFile) -> Iterator[Entry]:
        last = table.smallest
        for place in table.blocks:
            block = table.read_block(place)
            if block is None:
                self._lose(place.offset, place.size, place.number, last, place.separator)
                last = place.separator
            else:
                yield from block.entries
                last = block.entries[-1].key

    def _by_search(self, table: TableFile) -> Iterator[Entry]:
        """Without index: what lies between the blocks that are found holds what was lost."""
        at, last = HEADER.size, table.smallest or (self.reference.smallest if self.reference else b"")
        highest = table.largest or (self.reference.largest if self.reference else b"") or None
        self.report.state = "damaged"
        for block in find_blocks(table):
            if block.place.offset > at:
                self._lose(at, block.place.offset - at, None, last, block.entries[0].key)
            yield from block.entries
            at, last = block.place.offset + block.place.size, block.entries[-1].key
        # behind the last block stand filter and index too, where nothing says how long those are
        if at < table.blocks_end and self.known_entries != self.report.entries:
            self._lose(at, table.blocks_end - at, None, last, highest)

    def _lose(self, offset: int, size: int, block: int | None, low: bytes, high: bytes | None) -> None:
        self.report.state = "damaged"
        self.report.lost.append(LostPiece(offset, size, block, low, high))
        self.lost.append(LostRange(low, high, self.partition, self.newest))

    def _settle(self) -> None:
        """How many records are lost, once all were read."""
        report = self.report
        if self.known_entries is not None:
            report.records_lost = max(0, self.known_entries - report.entries)
        else:
            report.records_lost = None
        if report.state == "damaged" and report.records_lost == 0:
            report.note = "its records are all there"


def find_tables(directory: Directory, known: Known, faults: Faults) -> tuple[list[Salvage], list[str]]:
    """The tables to read, and files that are left out, with the reason. A file is told by its salt, not by its name."""
    used: set[str] = set()
    salvages = []
    files = {file.name: file for file in directory.of_kind("table")}
    salts = {name: _identity(file.path) for name, file in files.items()}
    by_salt = {salt: name for name, (salt, _, _) in salts.items() if salt is not None}
    wanted = known.live if known.exact else known.live | (known.tables.keys() - known.removed)
    for number in sorted(wanted):
        table = known.tables[number]
        name = by_salt.get(table.salt)
        if name is None and table.file_name in files and salts[table.file_name][0] is None:
            name = table.file_name
        path = None if name is None else files[name].path
        if name is not None:
            used.add(name)
        salvage = Salvage(number, name or table.file_name, path, table, faults, table.keyspace, table.partition)
        salvage.rank = number
        if name is not None and name != table.file_name:
            salvage.report.note = f"its bytes are those of table {number}"
        salvages.append(salvage)
    ignored = []
    for name, file in files.items():
        if name in used:
            continue
        reason = _why_not(known, name, file.number, salts)
        if reason is not None:
            ignored.append(f"{name}: {reason}")
            continue
        _, _, keyspace = salts[name]
        reference = known.tables.get(file.number)
        salvage = Salvage(file.number, name, file.path, None, faults, reference.keyspace if reference else keyspace)
        salvage.rank = file.number
        salvages.append(salvage)
    return salvages, ignored


def _why_not(known: Known, name: str, number: int, salts: dict[str, Identity]) -> str | None:
    salt, database_id, _ = salts[name]
    if database_id is not None and known.database_id is not None and database_id != known.database_id:
        return "of another database"
    if any(salt == other for file, (other, _, _) in salts.items() if salt is not None and file < name):
        return "a copy of another file"
    if number in known.removed:
        return "compacted away, its records are in other tables"
    if known.exact and not known.torn:
        return "no version names it: the remains of a flush or compaction that did not end"
    if salt in {table.salt for table in known.tables.values()}:
        return "compacted away, or read under the number that is its own"
    return None


def _identity(path: str) -> Identity:
    """Salt, database id and keyspace id, as header or footer say."""
    table = TableFile(path, Faults())
    known = table.footer or table.header
    table.close()
    if known is None:
        return None, None, None
    return known["salt"], known["database id"], known.get("keyspace id") or None
