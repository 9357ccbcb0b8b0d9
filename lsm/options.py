"""The options of a database: names, defaults, ranges, and what each of them costs.

Guarantees: an Options that exists is valid; a bad one raises InvalidArgumentError that names the option and its range.
Immutable; any thread, no lock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final, Literal, cast

from lsm.errors import InvalidArgumentError, UnknownOptionError, WrongOptionTypeError

__all__ = ["COMPRESSIONS", "ZSTD_DICTIONARIES", "CompactionOptions", "Compression", "Options", "ZstdDictionary"]

KIB: Final = 1 << 10
MIB: Final = 1 << 20
GIB: Final = 1 << 30
TIB: Final = 1 << 40

Compression = Literal["auto", "lz4", "zstd", "none"]
ZstdDictionary = Literal["auto", "train", "none"]
ZSTD_DICTIONARIES: Final[tuple[ZstdDictionary, ...]] = ("auto", "train", "none")
COMPRESSIONS: Final[tuple[Compression, ...]] = ("auto", "lz4", "zstd", "none")

# Lowest and highest value of each number; both are allowed.
_RANGES: Final[dict[str, tuple[int, int]]] = {
    "memtable_bytes": (KIB, 4 * GIB),
    "memtables_bytes": (KIB, TIB),
    "cache_bytes": (0, 64 * TIB),
    "wal_bytes": (4 * KIB, TIB),
    "wal_segment_bytes": (4 * KIB, 4 * GIB),
    "wal_ring_bytes": (4 * KIB, GIB),
    "block_bytes": (64, 64 * KIB),
    "filter_bits_per_key": (0, 64),
    "zstd_level": (1, 22),
    "table_bytes": (KIB, 64 * GIB),
    "level_base_bytes": (KIB, 64 * TIB),
    "level_multiplier": (2, 100),
    "level0_compaction_tables": (1, 1000),
    "level0_slowdown_tables": (1, 10000),
    "level0_stop_tables": (2, 10000),
    "flush_on_close_bytes": (0, TIB),
    "max_open_files": (16, 1 << 20),
    "reserve_bytes": (0, GIB),
}


@dataclass(frozen=True, slots=True)
class CompactionOptions:
    """What the picker needs to know; the meaning of each is in Options."""

    table_bytes: int = 32 * MIB
    level_base_bytes: int = 256 * MIB
    level_multiplier: int = 8
    level0_compaction_tables: int = 6
    level0_slowdown_tables: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of `lsm.open`. Sizes are bytes; none of them changes what a file means, so all may differ at each open.

    memtable_bytes: a partition's memtable is frozen and flushed at this size, or at half of memtables_bytes: the next
        has room then while it is flushed. Larger: fewer, larger level-0 tables and less to compact, for as much memory
        and a longer recovery.
    memtables_bytes: memory of all memtables together, those being flushed included; 0 means 1.25 x memtable_bytes.
        Writers are slowed, then wait, as it is used up.
    cache_bytes: memory of blocks, filters and indexes of tables. Blocks are kept decoded where that is enough for all
        of them, else compressed but for the busiest. What does not fit is read from the file again.
    wal_bytes: log kept for recovery. Beyond it the partitions with the oldest unflushed data flush. Bounds disk use and
        the time an open after a crash takes.
    wal_segment_bytes: size at which a log file is sealed and the next begun; log is given back in these units. Up to
        two files that are not needed any more stay for the next ones while the log is written fast.
    wal_ring_bytes: shared memory between writers and the log file. Larger: longer bursts before a writer has to help
        draining.
    block_bytes: keys and values of a table's block before compression; the unit of reading and caching. Larger:
        denser files, faster scans, slower cold point reads.
    filter_bits_per_key: memory per key for filters; 10 lets about 1 in 100 reads of an absent key through to a block,
        0 makes no filters.
    compression: "none"; "lz4", a light codec, everywhere; "zstd" for whatever was compacted (level 1 and below), with
        blocks of 4 x block_bytes; "auto": zstd only in the deepest level, from level 2 on, and where a sample of the
        data says that it saves a fifth of what lz4 stores. zstd makes smaller files, but a block that is not in the
        cache costs a point read about 6 us more, and the GIL, which zstd lets go of: beside threads busy in Python it
        now and then waits for its turn (5 ms, `sys.getswitchinterval()`), as reads of lz4 never do.
    zstd_level: zstd's own level, 1 to 22. Higher: a few percent less, for compactions that take many times as long
        (level 9: about 4 times); reading costs the same.
    zstd_dictionary: what tables with zstd carry so that blocks of `block_bytes` come out as small as ones four times as
        large, which a point read would have to decode: "auto", a dictionary where a sample of the data says so;
        "train", always; "none".
    table_bytes: size at which compaction begins a new table. Larger: fewer files, coarser compactions.
    level_base_bytes: size level 1 may have before it is compacted into level 2.
    level_multiplier: each level may be this many times the one above. Larger: fewer levels to read, more bytes written
        per byte stored.
    level0_compaction_tables: tables in level 0 at which they are compacted. Larger: less written, slower reads.
    level0_slowdown_tables, level0_stop_tables: tables in level 0 at which writers are slowed, and wait.
    flush_on_close_bytes: `close()` flushes a memtable of at least this size; a smaller one is left to the log.
    max_open_files: open tables; more are closed and opened again as they are read.
    reserve_bytes: disk space held back, so that deletes and compaction still work on a full disk; 0 holds none.
    read_only: open without the lock and without writing anything; every write raises ReadOnlyError.
    create: make a database where there is none.
    """

    memtable_bytes: int = 64 * MIB
    memtables_bytes: int = 0
    cache_bytes: int = 256 * MIB
    wal_bytes: int = 256 * MIB
    wal_segment_bytes: int = 32 * MIB
    wal_ring_bytes: int = MIB
    block_bytes: int = 4096
    filter_bits_per_key: int = 10
    compression: Compression = "auto"
    zstd_level: int = 3
    zstd_dictionary: ZstdDictionary = "auto"
    table_bytes: int = 32 * MIB
    level_base_bytes: int = 256 * MIB
    level_multiplier: int = 8
    level0_compaction_tables: int = 6
    level0_slowdown_tables: int = 20
    level0_stop_tables: int = 36
    flush_on_close_bytes: int = MIB
    max_open_files: int = 512
    reserve_bytes: int = MIB
    read_only: bool = False
    create: bool = True

    def __post_init__(self) -> None:
        if type(self.memtables_bytes) is int and type(self.memtable_bytes) is int and self.memtables_bytes == 0:
            object.__setattr__(self, "memtables_bytes", self.memtable_bytes + self.memtable_bytes // 4)
        for name, (low, high) in _RANGES.items():
            _check_number(name, getattr(self, name), low, high)
        for name in ("read_only", "create"):
            if not isinstance(getattr(self, name), bool):
                raise WrongOptionTypeError(f"{name} must be True or False, not {getattr(self, name)!r}")
        _check_choice("compression", self.compression, COMPRESSIONS)
        _check_choice("zstd_dictionary", self.zstd_dictionary, ZSTD_DICTIONARIES)
        # A budget that was made small makes its parts small: they have defaults of their own.
        object.__setattr__(self, "memtable_bytes", min(self.memtable_bytes, self.memtables_bytes))
        object.__setattr__(self, "wal_segment_bytes", min(self.wal_segment_bytes, self.wal_bytes))
        self._check_order("level0_compaction_tables", "level0_slowdown_tables")
        self._check_order("level0_slowdown_tables", "level0_stop_tables")

    @classmethod
    def from_keywords(cls, keywords: Mapping[str, object]) -> Options:
        """Raises UnknownOptionError for a name that is no option, with the nearest that is."""
        known = [f.name for f in fields(cls)]
        for name in keywords:
            if name not in known:
                import difflib  # only a mistake needs it

                near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
                hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
                raise UnknownOptionError(f"unknown option {name!r}; {hint}")
        return cls(**cast("dict[str, int]", keywords))  # type: ignore[arg-type]

    @property
    def freeze_bytes(self) -> int:
        """Size at which a memtable is frozen: two of them never exceed the budget of all."""
        return min(self.memtable_bytes, self.memtables_bytes // 2)

    def compaction(self) -> CompactionOptions:
        return CompactionOptions(
            self.table_bytes,
            self.level_base_bytes,
            self.level_multiplier,
            self.level0_compaction_tables,
            self.level0_slowdown_tables,
        )

    def _check_order(self, smaller: str, larger: str) -> None:
        low, high = getattr(self, smaller), getattr(self, larger)
        if low > high:
            raise InvalidArgumentError(f"{larger} ({high}) must be at least {smaller} ({low})")


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        allowed = ", ".join(map(repr, choices))
        raise InvalidArgumentError(f"{name} must be one of {allowed}, not {value!r}")


def _check_number(name: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise WrongOptionTypeError(f"{name} must be an int, not {type(value).__name__} {value!r}")
    if not low <= value <= high:
        raise InvalidArgumentError(f"{name} must be between {low} and {high}, not {value}")
