"""Checks a history: is there one order of all commits, that of their sequences, which explains everything seen?

Guarantees: `check` answers with every violation it finds, named by kind; an empty list means that the history is
linearizable with the commits in the order of their sequences, snapshots included. Pure functions.
"""

from __future__ import annotations

import heapq
import itertools
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from proof.history_record import History, Place, Read, Write

__all__ = ["Violation", "check"]


@dataclass(frozen=True)
class Violation:
    """`kind`: "sequences", "commit order", "torn read", "stale read", "read of the future", "snapshot", "recovery"."""

    kind: str
    text: str


class _Versions:
    """What every place was, after each commit."""

    def __init__(self, history: History, writes: list[Write]) -> None:
        self.base = history.base
        self.at: dict[Place, list[int]] = {}
        self.values: dict[Place, list[bytes | None]] = {}
        for place in history.before:
            self._add(place, history.base, history.before[place])
        for write in sorted(writes, key=lambda w: w.sequence or 0):
            for place, value in write.changes.items():
                self._add(place, write.sequence or 0, value)
        self.by_keyspace: dict[str, list[Any]] = {}
        for name, key in self.at:
            self.by_keyspace.setdefault(name, []).append(key)

    def _add(self, place: Place, sequence: int, value: bytes | None) -> None:
        self.at.setdefault(place, []).append(sequence)
        self.values.setdefault(place, []).append(value)

    def value(self, place: Place, sequence: int) -> bytes | None:
        i = bisect_right(self.at.get(place, ()), sequence)
        return self.values[place][i - 1] if i else None

    def next_with(self, place: Place, value: bytes | None, floor: int) -> int | None:
        """The lowest sequence from `floor` on at which the place had this value; None: never again."""
        if self.value(place, floor) == value:
            return floor
        stamps, values = self.at.get(place, []), self.values.get(place, [])
        for i in range(bisect_right(stamps, floor), len(stamps)):
            if values[i] == value:
                return stamps[i]
        return None

    def observed(self, read: Read) -> dict[Place, bytes | None]:
        """What was seen, and what was not although it would have been."""
        seen = dict(read.seen)
        for name, first, last in read.whole:
            for key in self.by_keyspace.get(name, ()):
                if (first is None or key >= first) and (last is None or key < last):
                    seen.setdefault((name, key), None)
        return seen

    def moment(self, seen: dict[Place, bytes | None], floor: int) -> int | None:
        """The lowest sequence from `floor` on at which all of it was so at once."""
        at = floor
        while True:
            start = at
            for place, value in seen.items():
                found = self.next_with(place, value, at)
                if found is None:
                    return None
                at = found
            if at == start:
                return at


def check(history: History) -> list[Violation]:
    """Every violation; those of commits without a sequence (a kill took the answer) under their best assignment."""
    unanswered = [write for write in history.writes if write.sequence is None]
    if not unanswered and history.recovered is None:
        return [*_check_known(history, history.writes)]
    return _check_killed(history, unanswered)


def _check_killed(history: History, unanswered: list[Write]) -> list[Violation]:
    """Commits that were under way take the sequences that nobody was given, in some order, or came to nothing."""
    known = [write for write in history.writes if write.sequence is not None]
    given = {write.sequence for write in known}
    top = history.recovered_sequence
    lost = [w.sequence for w in known if w.sequence is not None and w.sequence > top]
    if lost:
        return [Violation("recovery", f"acknowledged commits are gone: {sorted(lost)[:5]}, recovered through {top}")]
    gaps = [sequence for sequence in range(history.base + 1, top + 1) if sequence not in given]
    if len(gaps) > len(unanswered):
        return [Violation("sequences", f"{len(gaps)} numbers that no commit has, {len(unanswered)} commits under way")]
    best: list[Violation] = []
    for chosen in itertools.permutations(unanswered, len(gaps)):
        placed = [replace(write, sequence=gap) for write, gap in zip(chosen, gaps, strict=True)]
        found = [*_check_known(history, known + placed)]
        if not found:
            return []
        best = found if not best or len(found) < len(best) else best
    return best


def _check_known(history: History, writes: list[Write]) -> Iterator[Violation]:
    versions = _Versions(history, writes)
    yield from _check_sequences(history, writes)
    yield from _check_order(history, writes, versions)
    if history.recovered is not None:
        yield from _check_recovered(history, versions)


def _check_sequences(history: History, writes: list[Write]) -> Iterator[Violation]:
    numbers = sorted(write.sequence or 0 for write in writes)
    expected = list(range(history.base + 1, history.base + 1 + len(numbers)))
    if numbers != expected:
        wrong = sorted(set(numbers) ^ set(expected)) or [a for a, b in itertools.pairwise(numbers) if a == b]
        yield Violation("sequences", f"not one number after the other: {wrong[:6]}")


def _check_recovered(history: History, versions: _Versions) -> Iterator[Violation]:
    assert history.recovered is not None
    places = set(versions.at) | set(history.recovered)
    wrong = [p for p in places if history.recovered.get(p) != versions.value(p, history.recovered_sequence)]
    if wrong:
        yield Violation("recovery", f"not the state after {history.recovered_sequence}: {sorted(map(str, wrong))[:5]}")


@dataclass(order=True)
class _Ended:
    end: int
    point: int


def _check_order(history: History, writes: list[Write], versions: _Versions) -> Iterator[Violation]:
    """Gives each operation, by its begin, the earliest moment that those before it in real time allow."""
    last_begun = _LastBegun(writes)
    ended: list[_Ended] = []
    floor = history.base
    operations: list[Write | Read] = [*writes, *history.reads]
    for operation in sorted(operations, key=lambda o: o.begin):
        while ended and ended[0].end < operation.begin:
            floor = max(floor, heapq.heappop(ended).point)
        if isinstance(operation, Write):
            point = operation.sequence or 0
            if point <= floor:
                yield Violation("commit order", f"commit {point} began after {floor} was seen")
        else:
            point, violation = _place(operation, versions, floor, last_begun.before(operation.end, history.base))
            if violation:
                yield violation
        if operation.end is not None:
            heapq.heappush(ended, _Ended(operation.end, point))


class _LastBegun:
    """The highest commit up to which all had begun before a moment: none after it can have been seen."""

    def __init__(self, writes: list[Write]) -> None:
        begun = sorted((write.begin, write.sequence or 0) for write in writes)
        self.begins = [begin for begin, _ in begun]
        self.highest = list(itertools.accumulate((sequence for _, sequence in begun), max))

    def before(self, moment: int, base: int) -> int:
        i = bisect_right(self.begins, moment)
        return self.highest[i - 1] if i else base


def _place(read: Read, versions: _Versions, floor: int, ceiling: int) -> tuple[int, Violation | None]:
    """The moment of a read, and what is wrong with it; where something is, the rest of the history is not blamed."""
    seen = versions.observed(read)
    what = f"{read.kind} of thread {read.thread} at {read.begin}"
    if read.kind == "snapshot" and read.sequence is not None:
        return _check_snapshot(read.sequence, what, floor, ceiling)
    if read.sequence is not None:
        wrong = [place for place, value in seen.items() if versions.value(place, read.sequence) != value]
        if wrong:
            return floor, Violation("snapshot", f"{what}: not the state after {read.sequence}: {wrong[:3]}")
        return floor, None  # its moment was the snapshot's, not now
    point = versions.moment(seen, floor)
    if point is not None and point <= ceiling:
        return point, None
    if point is not None:
        return floor, Violation("read of the future", f"{what}: needs {point}, the last begun commit is {ceiling}")
    if versions.moment(seen, versions.base) is not None:
        return floor, Violation("stale read", f"{what}: an older state than {floor}, which was seen before")
    if all(versions.next_with(place, value, versions.base) is not None for place, value in seen.items()):
        return floor, Violation("torn read", f"{what}: each value was there, at no time all of them")
    return floor, Violation("torn read", f"{what}: a value that nobody wrote")


def _check_snapshot(sequence: int, what: str, floor: int, ceiling: int) -> tuple[int, Violation | None]:
    """The making of a snapshot: it sees what was seen before, and nothing that had not begun."""
    if sequence < floor:
        return floor, Violation("stale read", f"{what}: of {sequence}, {floor} was seen before")
    if sequence > ceiling:
        return floor, Violation("read of the future", f"{what}: of {sequence}, the last begun commit is {ceiling}")
    return sequence, None
