"""What `db.stats()` says, as aligned text for people.

Every member may be missing: a line whose facts are missing, or all zero, is left out. Pure functions; any thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = [
    "amount",
    "background",
    "columns",
    "count",
    "describe",
    "keyspace_rows",
    "ratio",
    "table_sizes",
    "table_text",
]

COUNTER_BITS = 44
"""Of a sequence number; the epoch stands above."""

MIN_USER_BYTES = 1 << 20

Facts = Mapping[str, Any]


def count(number: int, one: str, many: str | None = None) -> str:
    """`1 table`, `2,000 tables`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def amount(size: float) -> str:
    """Bytes as people read them: `512 B`, `14.2 MiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:,.0f} B" if unit == "B" else f"{size:,.1f} {unit}"
        size /= 1024
    return f"{size:,.1f} TiB"


def ratio(raw: float, stored: float) -> str:
    """How many times smaller the stored bytes are."""
    return f"{raw / stored:.2f}x" if raw and stored else "-"


def columns(rows: Sequence[Sequence[str]], *, left: int = 1, indent: str = "  ") -> list[str]:
    """Rows of equal length as aligned lines; the first `left` columns are flush left, the others flush right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [indent + "  ".join(_aligned(row, widths, left)).rstrip() for row in rows]


def _aligned(row: Sequence[str], widths: Sequence[int], left: int) -> Iterable[str]:
    for index, (cell, width) in enumerate(zip(row, widths, strict=True)):
        yield cell.ljust(width) if index < left else cell.rjust(width)


def describe(stats: Facts) -> list[str]:
    """The whole of `db.stats()`: the database first, then how each keyspace lies on its levels."""
    summary = [(label, text) for label, text in _summary(stats) if text]
    return [*columns(summary, left=2, indent=""), "", *_levels(stats.get("keyspaces", {}))]


def level_total(levels: Iterable[Facts], member: str) -> int:
    return sum(int(level.get(member, 0)) for level in levels)


def table_sizes(stats: Facts) -> dict[str, int]:
    """Bytes and number of all tables."""
    levels = [level for keyspace in stats.get("keyspaces", {}).values() for level in keyspace.get("levels", [])]
    return {"bytes": level_total(levels, "bytes"), "tables": level_total(levels, "tables")}


def table_text(sizes: Mapping[str, int]) -> str:
    """`14.2 MiB in 3 tables`."""
    return f"{amount(sizes['bytes'])} in {count(sizes['tables'], 'table')}"


def background(stats: Facts) -> str:
    """What flushes and compactions did, and what it cost in writing."""
    flushes = count(stats.get("flush", {}).get("done", 0), "flush", "flushes")
    compactions = count(stats.get("compaction", {}).get("done", 0), "compaction")
    return ", ".join(filter(None, (flushes, compactions, _write_amplification(stats))))


def keyspace_rows(keyspaces: Mapping[str, Facts]) -> list[list[str]]:
    """One row for each keyspace under a row of headings."""
    rows = [["keyspace", "kind", "partitions", "entries", "tables", "stored", "memtable"]]
    for name, facts in sorted(keyspaces.items()):
        levels = facts.get("levels", [])
        stored = amount(level_total(levels, "bytes"))
        rows.append(
            [
                name,
                _kind(facts),
                f"{facts.get('partitions', 1):,}",
                f"{facts.get('entries', 0):,}",
                f"{level_total(levels, 'tables'):,}",
                stored,
                amount(facts.get("memtable_bytes", 0)),
            ]
        )
    return rows


def _kind(facts: Facts) -> str:
    return "composite" if facts.get("composite") else "plain"


def _summary(stats: Facts) -> list[tuple[str, str]]:
    return [
        ("database", str(stats.get("path", ""))),
        ("on disk", amount(stats["disk_bytes"]) if "disk_bytes" in stats else ""),
        ("commits", _sequence(stats.get("sequence", {}))),
        ("WAL", _wal(stats.get("wal", {}))),
        ("memtables", _memtables(stats.get("memtables", {}))),
        ("cache", _cache(stats.get("cache", {}))),
        ("flushes", _flushes(stats.get("flush", {}))),
        ("compaction", _compaction(stats.get("compaction", {}))),
        ("amplification", _write_amplification(stats)),
        ("stalls", _stalls(stats.get("stalls", {})) if "compaction" in stats else ""),
    ]


def _sequence(facts: Facts) -> str:
    if "last" not in facts:
        return ""
    epoch, counter = divmod(int(facts["last"]), 1 << COUNTER_BITS)
    waiting = int(facts["last"]) - int(facts.get("durable", facts["last"]))
    durable = "all durable" if waiting <= 0 else f"{count(waiting, 'commit')} not yet durable"
    return f"{counter:,} in epoch {epoch}, {durable}"


def _wal(facts: Facts) -> str:
    if not facts.get("segments"):
        return ""
    held = facts.get("segment_bytes", facts["bytes"])
    syncs = count(facts.get("fsyncs", 0), "sync")
    return f"{amount(held)} in {count(facts.get('segments', 0), 'segment')}, {syncs} since it was opened"


def _memtables(facts: Facts) -> str:
    if not facts.get("bytes"):
        return ""
    frozen = f", {facts['frozen']:,} being flushed" if facts.get("frozen") else ""
    return f"{amount(facts['bytes'])} of {amount(facts.get('budget_bytes', 0))}{frozen}"


def _cache(facts: Facts) -> str:
    hits, misses = facts.get("hits", 0), facts.get("misses", 0)
    if not hits + misses:
        return ""
    used, budget = amount(facts.get("used_bytes", 0)), amount(facts.get("budget_bytes", 0))
    return f"{used} of {budget}, {hits / (hits + misses):.1%} of {count(hits + misses, 'block read')} hit"


def _flushes(facts: Facts) -> str:
    if not facts:
        return ""
    return f"{facts.get('done', 0):,} done, {amount(facts.get('bytes_written', 0))} written"


def _compaction(facts: Facts) -> str:
    if not facts:
        return ""
    debt = facts.get("debt_bytes", 0)
    owed = f"{amount(debt)} still to do" if debt else "nothing left to do"
    read, written = amount(facts.get("bytes_read", 0)), amount(facts.get("bytes_written", 0))
    return f"{facts.get('done', 0):,} done, {read} read, {written} written, {owed}"


def _write_amplification(stats: Facts) -> str:
    """Nothing below a mebibyte put since the database was opened: it would be about the fixed costs."""
    factor = stats.get("write_amplification")
    if factor is None or stats.get("user_bytes", MIN_USER_BYTES) < MIN_USER_BYTES:
        return ""
    return f"{factor:.2f} bytes written for each byte put"


def _stalls(facts: Facts) -> str:
    if not facts:
        return ""
    slowdowns, stops = facts.get("slowdowns", 0), facts.get("stops", 0)
    if not slowdowns and not stops:
        return "none"
    reason = f": {facts['reason']}" if facts.get("reason") else ""
    return f"{count(slowdowns, 'slowdown')}, {count(stops, 'stop')}, {facts.get('seconds', 0.0):.2f} s in all{reason}"


def _levels(keyspaces: Mapping[str, Facts]) -> list[str]:
    if not keyspaces:
        return ["no keyspaces"]
    rows = [["keyspace", "level", "tables", "entries", "deleted", "raw", "stored", "ratio"]]
    for name, facts in sorted(keyspaces.items()):
        rows += _level_rows(name, facts)
    return columns(rows, left=2, indent="")


def _level_rows(name: str, facts: Facts) -> list[list[str]]:
    levels = [level for level in facts.get("levels", []) if level.get("tables")]
    rows = [[f"level {level.get('level', '?')}", *_cells(level)] for level in levels]
    if len(levels) > 1:
        members = ("tables", "entries", "tombstones", "bytes", "raw_bytes")
        rows.append(["all", *_cells({member: level_total(levels, member) for member in members})])
    if facts.get("memtable_bytes") or not levels:
        rows.insert(0, ["memtable", "", "", "", amount(facts.get("memtable_bytes", 0)), "", ""])
    partitions = count(facts.get("partitions", 1), "partition")
    names = [name, f"  {_kind(facts)}, {partitions}"]
    return [[names[index] if index < len(names) else "", *row] for index, row in enumerate(_at_least(rows, len(names)))]


def _at_least(rows: list[list[str]], wanted: int) -> list[list[str]]:
    return rows + [[""] * 7] * (wanted - len(rows))


def _cells(level: Facts) -> list[str]:
    raw, stored = level.get("raw_bytes", 0), level.get("bytes", 0)
    return [
        f"{level.get('tables', 0):,}",
        f"{level.get('entries', 0):,}",
        f"{level.get('tombstones', 0):,}",
        amount(raw),
        amount(stored),
        ratio(raw, stored),
    ]
