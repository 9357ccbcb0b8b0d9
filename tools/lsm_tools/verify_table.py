"""One table checked against itself and against what the manifest says of it.

Guarantees: every byte of the file is under a checksum that was computed anew; with the keys, also order, ranges,
counts, hashes and the filter. Needs nothing compiled of ours. One thread per object.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from xxhash import xxh64_intdigest

from lsm_tools.format_block import KIND_DELETE, KIND_DELETE_RANGE, MAX_KEY_BYTES, Entry
from lsm_tools.format_bytes import Faults
from lsm_tools.format_edit import Table
from lsm_tools.format_filter import filter_may_hold, make_filter
from lsm_tools.format_table import FOOTER, Block, BlockPlace, TableFile
from lsm_tools.verify_keys import KeyRules
from lsm_tools.verify_report import Step

__all__ = ["KeyVersions", "TableCheck"]

KINDS: Final = frozenset(range(1, 7))
SAME: Final = (
    ("file bytes", "file_bytes"),
    ("entries", "entries"),
    ("tombstones", "tombstones"),
    ("raw bytes", "raw_bytes"),
    ("lowest sequence", "min_seq"),
    ("highest sequence", "max_seq"),
    ("lowest time", "min_time"),
    ("highest time", "max_time"),
    ("salt", "salt"),
)
"""Fields of the footer that the manifest repeats."""


class KeyVersions(NamedTuple):
    """The versions of one key in a table; `rank` is the table's: of two, the lower holds the newer versions."""

    key: bytes
    rank: int
    newest: int
    oldest: int
    path: str
    offset: int


class TableCheck:
    """`quick`, or the iterator `keys` to its end: then everything was checked."""

    def __init__(self, path: str, table: Table, database_id: bytes | None, faults: Faults, step: Step) -> None:
        self.faults = faults
        self.table = table
        self.step = step
        self.file = TableFile(path, faults, number=table.number, database_id=database_id)
        self.path = path
        self.entries = 0
        self._tombstones = self._raw_bytes = self._repeats = 0
        self._hashes: list[int] = []
        self._first: bytes | None = None
        self._last: Entry | None = None
        self._lost = False
        if self.file.footer is not None:
            self._compare(self.file.footer)
        step(self.file.size - self._block_bytes(), 0)

    def _block_bytes(self) -> int:
        return sum(place.size for place in self.file.blocks)

    def close(self) -> None:
        self.file.close()

    def quick(self) -> None:
        """Checksums and structure."""
        for place in self.file.blocks:
            self.file.check_block(place)
            self.step(place.size, 0)
        self.entries = self.file.footer["entries"] if self.file.footer is not None else 0

    def keys(self, rules: KeyRules, rank: int) -> Iterator[KeyVersions]:
        """Every key with its versions; when it ends, the whole table was checked."""
        open_versions: KeyVersions | None = None
        for place in self.file.blocks:
            block = self.file.read_block(place)
            if block is None:
                self._lost = True
            else:
                for versions in self._check_block(block, rules, rank):
                    if open_versions is not None and versions.key == open_versions.key:
                        open_versions = open_versions._replace(oldest=versions.oldest)
                        continue
                    if open_versions is not None:
                        yield open_versions
                    open_versions = versions
            self.step(place.size, len(block.entries) if block is not None else 0)
        if open_versions is not None:
            yield open_versions
        self._check_totals()
        self._hashes.clear()

    # ---- blocks

    def _check_block(self, block: Block, rules: KeyRules, rank: int) -> list[KeyVersions]:
        place, last, found = block.place, self._last, []
        low, high, seed = self.table.min_seq, self.table.max_seq, rules.seed
        repeats = 0
        for entry in block.entries:
            key, sequence, kind, value = entry
            if last is not None and key == last.key:
                repeats += 1
                if sequence >= last.sequence:
                    self._fault(place, f"versions of key {key!r} are out of order", last.sequence, sequence)
                found.append(KeyVersions(key, rank, sequence, sequence, self.path, place.offset))
            else:
                if last is not None and key < last.key:
                    self._fault(place, "keys are out of order", last.key, key)
                hash = xxh64_intdigest(key, seed)
                self._hashes.append(hash)
                problem = rules.problem(key, hash)
                if problem is not None:
                    self._fault(place, problem, None, key)
                found.append(KeyVersions(key, rank, sequence, sequence, self.path, place.offset))
            if sequence and not low <= sequence <= high:
                self._fault(place, "sequence is not in the table's range", f"{low} to {high}", sequence)
            if kind != 1:
                self._check_kind(place, kind, value)
            self._raw_bytes += len(key) + len(value)
            last = entry
        self._check_ends(block, repeats)
        self._last = last
        self._repeats += repeats
        self.entries += len(block.entries)
        return found

    def _check_kind(self, place: BlockPlace, kind: int, value: bytes) -> None:
        if kind not in KINDS:
            self._fault(place, "unknown kind of record", "1 to 6", kind)
        if kind in (KIND_DELETE, KIND_DELETE_RANGE):
            self._tombstones += 1
        if kind == KIND_DELETE and value:
            self._fault(place, "a delete has a value", 0, len(value))

    def _check_ends(self, block: Block, repeats: int) -> None:
        """The block's first and last key, against the separators of the index, and its own flag."""
        place, first = block.place, block.entries[0].key
        inside = repeats - (1 if self._last is not None and self._last.key == first else 0)
        if bool(block.raw[1] & 32) != (inside == 0):
            self._fault(place, "flag 'no key stands twice' of the block", inside == 0, inside != 0)
        if block.entries[-1].key > place.separator:
            self._fault(place, "last key is above the block's separator", place.separator, block.entries[-1].key)
        if place.number:
            before = self.file.blocks[place.number - 1].separator
            spans = self._last is not None and self._last.key == first == before
            if not before < first and not spans:
                self._fault(place, "first key is not above the separator before it", before, first)
        if self._first is None and place.number == 0:
            self._first = first

    # ---- the whole table

    def _check_totals(self) -> None:
        """Counts, bounds, hashes, filter; where blocks are lost, only that the filter denies no key of the others."""
        footer, hashes = self.file.footer, self._hashes
        if footer is None:
            return
        if self._lost or not self.file.blocks:
            self._check_filter(footer)
            return
        for name, value in (
            ("entries", self.entries),
            ("tombstones", self._tombstones),
            ("raw bytes", self._raw_bytes),
            ("lowest hash", min(hashes, default=0)),
            ("highest hash", max(hashes, default=0)),
        ):
            if footer[name] != value:
                self._footer_fault(name, f"{name} in the footer, counted anew", footer[name], value)
        if bool(footer["flags"] & 1) != (self._repeats == 0):
            self._footer_fault("flags", "flag 'no key stands twice' of the table", footer["flags"], self._repeats)
        if self._first != self.file.smallest:
            self._footer_fault("smallest key bytes", "smallest key", self.file.smallest, self._first)
        if self._last is not None and self._last.key != self.file.largest:
            self._footer_fault("largest key bytes", "largest key", self.file.largest, self._last.key)
        if self._repeats != self.table.shadowed:
            self._footer_fault("entries", "versions below a newer one", self.table.shadowed, self._repeats)
        self._check_filter(footer)

    def _check_filter(self, footer: dict[str, Any]) -> None:
        """Every key may be in it; and it is exactly what the keys make."""
        held = self.file.filter
        if not held or footer["filter kind"] != 1:
            return
        if not self._lost and make_filter(self._hashes, len(held)) == held:
            return
        missing = sum(not filter_may_hold(held, h) for h in self._hashes)
        if missing:
            what = f"filter denies {missing} of {len(self._hashes)} keys that the table holds"
            self.faults.add(self.path, footer["filter offset"], what)
        elif not self._lost:
            self.faults.add(self.path, footer["filter offset"], "filter has bits that no key set")

    def _compare(self, footer: dict[str, Any]) -> None:
        """Footer against manifest."""
        for name, attribute in SAME:
            said = getattr(self.table, attribute)
            if footer[name] != said:
                self._footer_fault(name, f"{name}: the manifest says otherwise", said, footer[name])
        for name, held in (("smallest key", self.file.smallest), ("largest key", self.file.largest)):
            said = self.table.smallest if name == "smallest key" else self.table.largest
            if held != said:
                self._footer_fault(f"{name} bytes", f"{name}: the manifest says otherwise", said, held)
            if len(held) > MAX_KEY_BYTES:
                self._footer_fault(f"{name} bytes", f"{name} is too long", MAX_KEY_BYTES, len(held))
        if footer["lowest sequence"] > footer["highest sequence"]:
            self._footer_fault("lowest sequence", "range of sequences", None, footer["lowest sequence"])
        if self.file.smallest > self.file.largest:
            self._footer_fault("smallest key bytes", "range of keys", self.file.largest, self.file.smallest)

    def _fault(self, place: BlockPlace, what: str, expected: object, got: object) -> None:
        self.faults.add(self.path, place.offset, f"block {place.number}: {what}", expected, got)

    def _footer_fault(self, field: str, what: str, expected: object, got: object) -> None:
        assert self.file.tail is not None
        at = self.file.tail["footer offset"] + FOOTER.offset_of(field)
        self.faults.add(self.path, at, what, expected, got)
