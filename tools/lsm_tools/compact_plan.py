"""What `lsm compact` merges: a pure function of (version, options, what was asked for) to the next task.

Guarantees: asked again after each task, it comes to an end; a task reads only tables that were asked for, those that
lie above or below them in the same keys, and older ones of level 0 that overlap them. Any thread, no lock.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from lsm.options import CompactionOptions
from lsm.picker import CompactionTask, pick_down, pick_full, pick_in_place
from lsm.version import PartitionVersion, TableMeta

__all__ = ["Request", "next_task", "scope"]

GROUP_TABLES: Final = 8
"""Target sizes of a table that are rewritten together: each such step is kept where the next one is killed, and leaves
at most one small table at its end."""

Tables = tuple[TableMeta, ...]


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for. levels empty: all into the deepest level, within [start, stop).

    rewrite: tables that need no merging too, to be written with other settings. Tables from number `since` on were
    written for this request: they are done.
    """

    start: bytes | None = None
    stop: bytes | None = None
    levels: frozenset[int] = frozenset()
    rewrite: bool = False
    since: int = 2**63

    @property
    def whole(self) -> bool:
        return self.start is None and self.stop is None and not self.levels

    def asks_for(self, level: int, table: TableMeta) -> bool:
        if self.levels:
            return level in self.levels
        below = self.stop is None or table.first < self.stop
        return below and (self.start is None or self.start < table.end)


def next_task(version: PartitionVersion, options: CompactionOptions, request: Request) -> CompactionTask | None:
    """The task to carry out next; None: all is done."""
    if not request.levels:
        task = _full(version, options) if request.whole else _descent(version, options, request)
        if task is not None:
            return task
    for level, tables in enumerate(version.levels):
        group = next(_groups(tables, options, level, request), None)
        if group is not None:
            return pick_in_place(version, options, level, group)
    return None


def scope(version: PartitionVersion, request: Request) -> Tables:
    """The tables that were asked for; others may come along."""
    return tuple(t for level, tables in enumerate(version.levels) for t in tables if request.asks_for(level, t))


def _full(version: PartitionVersion, options: CompactionOptions) -> CompactionTask | None:
    levels = [level for level, tables in enumerate(version.levels) if tables]
    return pick_full(version, options) if levels and (len(levels) > 1 or levels == [0]) else None


def _descent(version: PartitionVersion, options: CompactionOptions, request: Request) -> CompactionTask | None:
    """The shallowest level of the range into the next: deeper tables that only neighbours need stay as they are."""
    asked = [level for level, tables in enumerate(version.levels) if any(request.asks_for(level, t) for t in tables)]
    if not asked or (len(asked) == 1 and asked[0] > 0):
        return None
    return pick_down(version, options, asked[0], request.start, request.stop)


def _groups(tables: Tables, options: CompactionOptions, level: int, request: Request) -> Iterator[Tables]:
    """Neighbours that are to be written anew; all of level 0, whose order by age does not suffer otherwise."""
    if level == 0:
        if any(_is_wanted(request, level, table) for table in tables):
            yield tables
        return
    group: list[TableMeta] = []
    for table in tables:
        wanted = _is_wanted(request, level, table)
        full = sum(t.file_bytes for t in group) + table.file_bytes > GROUP_TABLES * options.table_bytes
        if group and (full or not wanted):
            yield tuple(group)
            group = []
        if wanted:
            group.append(table)
    if group:
        yield tuple(group)


def _is_wanted(request: Request, level: int, table: TableMeta) -> bool:
    if table.number >= request.since or not request.asks_for(level, table):
        return False
    return bool(request.rewrite or request.levels or table.tombstones + table.shadowed)
