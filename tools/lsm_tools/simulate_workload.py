"""Synthetic workloads in closed form: how many keys a stretch of operations touched, without making a single one.

Guarantees: pure; the counts are exact expectations of the random workload that the docstring of each kind describes.

Operations are numbered from 0. Keys lie in [0, 1). A class is a set of keys that are alike: in each phase they are all
written once, in random or in ascending order, or drawn at random, all with the same chance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Final

__all__ = ["WORKLOADS", "Counts", "KeyClass", "Phase", "Stream", "Workload"]

ZIPF_EXPONENT: Final = 0.99
RANKS_GROW: Final = 1.5  # keys of neighbouring popularity that count as equally popular


@dataclass(frozen=True, slots=True)
class Counts:
    """Expected keys: those whose newest operation is a put, and those whose is a delete."""

    live: float = 0.0
    tombstones: float = 0.0


@dataclass(frozen=True, slots=True)
class KeyClass:
    """`ordered`: keys ascend in the order in which they are first written; otherwise they lie anywhere."""

    keys: float
    ordered: bool = False


@dataclass(frozen=True, slots=True)
class Stream:
    """Operations on one class: a `share` of its phase. once: each key one time; otherwise a key at random each time.
    A share `deletes` of them removes the key."""

    share: float
    once: bool = False
    deletes: float = 0.0


@dataclass(frozen=True, slots=True)
class Phase:
    """Operations [start, stop); streams by the number of their class."""

    start: int
    stop: int
    streams: Mapping[int, Stream]


class Workload:
    """`counts` of any stretch of operations and keys."""

    def __init__(self, classes: tuple[KeyClass, ...], phases: tuple[Phase, ...]) -> None:
        self.classes = classes
        self.phases = phases
        self.operations = phases[-1].stop
        self.ordered = any(c.ordered for c in classes)
        self._density = lru_cache(maxsize=4096)(self._density_of)

    def counts(self, low: float, high: float, start: int, stop: int, cleaned: int = -1) -> Counts:
        """Keys in [low, high) that operations [start, stop) touched; tombstones older than `cleaned` are gone."""
        if self.ordered:
            return self._ordered_counts(low, high, start, stop)
        density = self._density(start, stop, cleaned)
        return Counts(density.live * (high - low), density.tombstones * (high - low))

    def span(self, start: int, stop: int) -> tuple[float, float]:
        """The keys that operations [start, stop) may touch."""
        if not self.ordered:
            return 0.0, 1.0
        (keys,) = (c.keys for c in self.classes)
        return start / keys, stop / keys

    def deleted(self, start: int, stop: int) -> float:
        """How many of the operations are deletes."""
        total = 0.0
        for phase in self.phases:
            part = max(0, min(stop, phase.stop) - max(start, phase.start))
            total += part * sum(s.share * s.deletes for s in phase.streams.values())
        return total

    def _ordered_counts(self, low: float, high: float, start: int, stop: int) -> Counts:
        (keys,) = (c.keys for c in self.classes)
        return Counts(max(0.0, min(high, stop / keys) - max(low, start / keys)) * keys)

    def _density_of(self, start: int, stop: int, cleaned: int) -> Counts:
        live = tombstones = 0.0
        for number, key_class in enumerate(self.classes):
            counts = self._class_counts(number, key_class.keys, start, stop, cleaned)
            live += counts.live
            tombstones += counts.tombstones
        return Counts(live, tombstones)

    def _class_counts(self, number: int, keys: float, start: int, stop: int, cleaned: int) -> Counts:
        """From the newest operations back: what one touches, older ones no longer decide."""
        live = tombstones = 0.0
        untouched = 1.0
        for phase in reversed(self.phases):
            stream = phase.streams.get(number)
            if stream is None:
                continue
            passed = 0.0  # of a class written once: the share of its keys that newer operations of the phase wrote
            for first, last in _parts(max(start, phase.start), min(stop, phase.stop), cleaned):
                drawn = stream.share * (last - first) / keys
                chance = min(1.0, drawn / (1 - passed)) if stream.once else -math.expm1(-drawn)
                passed = min(1 - 1e-12, passed + drawn) if stream.once else 0.0
                touched = keys * untouched * chance
                live += touched * (1 - stream.deletes)
                if first >= cleaned:
                    tombstones += touched * stream.deletes
                untouched *= 1 - chance
        return Counts(live, tombstones)


def _parts(start: int, stop: int, cut: int) -> Iterator[tuple[int, int]]:
    """[start, stop) cut in two where `cut` lies inside; the newer part first. Empty parts are left out."""
    middle = min(max(cut, start), stop)
    for part in ((middle, stop), (start, middle)):
        if part[0] < part[1]:
            yield part


def _phase(start: int, stop: int, streams: Mapping[int, Stream]) -> Phase:
    return Phase(start, stop, MappingProxyType(dict(streams)))


def _zipf_classes(keys: int) -> list[tuple[float, float]]:
    """(keys, share of the draws) of groups of about equally popular keys, the most popular first."""
    groups: list[tuple[float, float]] = []
    rank = 1
    while rank <= keys:
        last = min(keys, max(rank, int(rank * RANKS_GROW)))
        groups.append((last - rank + 1, _zipf_mass(rank, last)))
        rank = last + 1
    total = sum(mass for _, mass in groups)
    return [(size, mass / total) for size, mass in groups]


def _zipf_mass(first: int, last: int) -> float:
    """The sum of rank^-exponent; an integral where there are many."""
    if last - first < 64:
        return math.fsum(rank**-ZIPF_EXPONENT for rank in range(first, last + 1))
    power = 1 - ZIPF_EXPONENT
    return float(((last + 0.5) ** power - (first - 0.5) ** power) / power)


def fill(records: int, keys: int) -> Workload:
    """Every operation puts a new key, in random order."""
    return Workload((KeyClass(records),), (_phase(0, records, {0: Stream(1, once=True)}),))


def overwrite(records: int, keys: int) -> Workload:
    """First all keys once, in random order; then puts of keys drawn uniformly."""
    first = _phase(0, keys, {0: Stream(1, once=True)})
    return Workload((KeyClass(keys),), (first, *_more(keys, records, {0: Stream(1)})))


def zipfian(records: int, keys: int) -> Workload:
    """First all keys once, in random order; then puts of keys drawn by Zipf's law with exponent 0.99, scattered."""
    groups = _zipf_classes(keys)
    first = _phase(0, keys, {n: Stream(size / keys, once=True) for n, (size, _) in enumerate(groups)})
    draws = {n: Stream(share) for n, (_, share) in enumerate(groups)}
    return Workload(tuple(KeyClass(size) for size, _ in groups), (first, *_more(keys, records, draws)))


def delete(records: int, keys: int) -> Workload:
    """The first half puts new keys, the second half deletes each of them, both in random order."""
    half = max(1, records // 2)
    put, remove = Stream(1, once=True), Stream(1, once=True, deletes=1)
    return Workload((KeyClass(half),), (_phase(0, half, {0: put}), *_more(half, 2 * half, {0: remove})))


def timeseries(records: int, keys: int) -> Workload:
    """Every operation puts a new key above all before it."""
    return Workload((KeyClass(records, ordered=True),), (_phase(0, records, {0: Stream(1, once=True)}),))


def mixed(records: int, keys: int) -> Workload:
    """First all keys once; then half of the operations put new keys, 40 % overwrite and 10 % delete by Zipf's law."""
    groups = _zipf_classes(keys)
    first = _phase(0, keys, {n: Stream(size / keys, once=True) for n, (size, _) in enumerate(groups)})
    later = {n: Stream(share / 2, deletes=0.2) for n, (_, share) in enumerate(groups)}
    new = KeyClass(max(1.0, (records - keys) / 2))
    classes = (*(KeyClass(size) for size, _ in groups), new)
    return Workload(classes, (first, *_more(keys, records, later | {len(groups): Stream(0.5, once=True)})))


def _more(start: int, stop: int, streams: Mapping[int, Stream]) -> tuple[Phase, ...]:
    return (_phase(start, stop, streams),) if stop > start else ()


WORKLOADS: Final[Mapping[str, Callable[[int, int], Workload]]] = MappingProxyType(
    {
        "fill": fill,
        "overwrite": overwrite,
        "zipfian": zipfian,
        "delete": delete,
        "timeseries": timeseries,
        "mixed": mixed,
    }
)
"""By name: (operations, distinct keys of the kinds that draw them) to the workload."""
