"""From tables and log to the newest sound version of every key of one keyspace.

Guarantees: the version of the highest sequence wins and a tombstone hides what is older; where something newer may be
lost the key counts as uncertain. A change that the tables had already taken over is used only where a table lost
something. Memory: the log's changes and a block of each table. One thread.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

import xxhash

from lsm_tools.repair_manifest import Known
from lsm_tools.repair_report import SAMPLES, KeyspaceReport
from lsm_tools.repair_tables import LostRange, Salvage

__all__ = ["LogChange", "Merge", "composite_key", "looks_composite", "partition_of"]

PUT = 1
DELETE = 2
LOG_RANK = 1 << 64

Item = tuple[bytes, int, int, int, bytes]  # key, minus sequence, minus rank of the source, kind, value


class LogChange(NamedTuple):
    sequence: int
    order: int
    kind: int
    key: bytes
    value: bytes


class Merge:
    """Iterating gives (engine key, value) of every key that is there, in order, and fills the report."""

    def __init__(
        self,
        known: Known,
        report: KeyspaceReport,
        tables: list[Salvage],
        changes: list[LogChange],
        on_table: Callable[[int], None] = lambda entries: None,
    ) -> None:
        self._known = known
        self._report = report
        self._tables = tables
        self._changes = changes
        self._on_table = on_table
        self._passed = [0] * len(tables)
        self._lost: list[LostRange] = []

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        sources: list[Iterator[Item]] = [_table_items(salvage, self._on_table) for salvage in self._tables]
        sources.append(self._log_items())
        for key, versions in groupby(heapq.merge(*sources), key=itemgetter(0)):
            lost = self._lost_at(key)
            partition = self._partition(key) if lost or self._changes else None
            here = [one for one in lost if None in (one.partition, partition) or one.partition == partition]
            winner = self._newest(versions, partition, bool(here))
            if winner is not None and (value := self._judge(winner, here)) is not None:
                yield key, value

    def _lost_at(self, key: bytes) -> list[LostRange]:
        """Ranges with this key. Every table stands at this key or behind it, so what it lost before it is known."""
        for number, salvage in enumerate(self._tables):
            if len(salvage.lost) > self._passed[number]:
                self._lost += salvage.lost[self._passed[number] :]
                self._passed[number] = len(salvage.lost)
        if self._lost:
            self._lost = [one for one in self._lost if one.high is None or one.high >= key]
        return [one for one in self._lost if one.low <= key]

    def _newest(self, versions: Iterator[Item], partition: int | None, damaged: bool) -> Item | None:
        """The first version that counts; all are read."""
        newest = None
        flushed = self._known.flushed.get((self._report.id or 0, partition or 0), 0) if self._known.exact else 0
        for item in versions:
            from_log = -item[2] >= LOG_RANK
            if newest is None and not (from_log and -item[1] <= flushed and not damaged):
                newest = item
        return newest

    def _judge(self, item: Item, lost: list[LostRange]) -> bytes | None:
        """The value to keep, if any."""
        key, minus_sequence, minus_rank, kind, value = item
        report = self._report
        if kind == DELETE:
            report.tombstones += 1
            return None
        if kind != PUT:
            report.not_understood += 1
            return None
        report.records += 1
        report.from_log += -minus_rank >= LOG_RANK
        if any(one.sequence > -minus_sequence for one in lost):
            report.uncertain += 1
            if len(report.uncertain_samples) < SAMPLES:
                report.uncertain_samples.append(key)
        return value

    def _log_items(self) -> Iterator[Item]:
        for c in sorted(self._changes, key=lambda c: (c.key, -c.sequence, -c.order)):
            yield c.key, -c.sequence, -(LOG_RANK + c.order), c.kind, c.value

    def _partition(self, key: bytes) -> int | None:
        return partition_of(key, self._report.composite, self._report.partitions, self._known.seed)


def _table_items(salvage: Salvage, on_table: Callable[[int], None]) -> Iterator[Item]:
    rank = -salvage.rank
    for count, (key, sequence, kind, value) in enumerate(salvage.entries()):
        if count % 1000 == 0:
            on_table(1000)
        yield key, -sequence, rank, kind, value


def partition_of(key: bytes, composite: bool, partitions: int, seed: int | None) -> int | None:
    """The partition of an engine key; None where the seed is lost."""
    if partitions == 1:
        return 0
    if composite:
        return int.from_bytes(key[:8], "big") * partitions >> 64
    return None if seed is None else xxhash.xxh64_intdigest(key, seed) * partitions >> 64


def composite_key(key: bytes) -> tuple[bytes, bytes]:
    """(partition key, sort key) of an engine key, by docs/format/keys.md; ValueError where it is none."""
    end = key.find(b"\0\1", 8)
    escaped = key[8:end]
    if end < 9 or escaped.replace(b"\0\xff", b"").count(0):
        raise ValueError("no engine key of a composite keyspace")
    return escaped.replace(b"\0\xff", b"\0"), key[end + 2 :]


def looks_composite(keys: Iterator[bytes], seed: int | None) -> bool:
    """Whether all keys are built as those of composite keyspaces are, each partition key under one hash."""
    hashes: dict[bytes, bytes] = {}
    count = 0
    for key in keys:
        count += 1
        try:
            partition_key, _ = composite_key(key)
        except ValueError:
            return False
        hashed = xxhash.xxh64_digest(partition_key, seed) if seed is not None else key[:8]
        if hashes.setdefault(partition_key, hashed) != key[:8]:
            return False
        if len(hashes) > 1 << 16:
            hashes.clear()
    return count > 0
