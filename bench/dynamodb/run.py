"""Times the workloads on each door, round by round, beside the round trip of the same items."""

from __future__ import annotations

import gc
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from bench.dynamodb.doors import DOORS, MissingError
from bench.dynamodb.items import PER_COLLECTION, Item, large, small, table_request
from bench.dynamodb.workloads import GOTTEN, WORKLOADS, Workload, round_trip

__all__ = ["Figures", "measure"]

LOADED = 2000  # items in the table
MAKERS = {"six attributes": small, "4 KB": large}


@dataclass
class Figures:
    """Microseconds of one call by (items, indexes, workload, door), each round's; `round trip` is a door."""

    samples: dict[str, list[float]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def add(self, kind: str, indexed: bool, workload: str, door: str, micros: float) -> None:
        self.samples.setdefault(_name(kind, indexed, workload, door), []).append(micros)

    def median(self, kind: str, indexed: bool, workload: str, door: str) -> float | None:
        found = self.samples.get(_name(kind, indexed, workload, door))
        return None if not found else statistics.median(found)


def _name(kind: str, indexed: bool, workload: str, door: str) -> str:
    return "|".join((kind, "2 indexes" if indexed else "no index", workload, door))


@contextmanager
def _scratch(where: str | None) -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="bench-dynamodb-", dir=where))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def measure(
    doors: list[str], rounds: int, calls: int, *, directory: str | None = None, tell: Callable[[str], None] = print
) -> Figures:
    """All workloads on these doors. calls: of the cheapest operations in a round; the others make fewer."""
    figures = Figures()
    for turn in range(rounds):
        for kind in MAKERS:
            for indexed in (False, True):
                for door in doors:
                    if door not in figures.missing:
                        tell(f"round {turn + 1}: {kind}, {'two indexes' if indexed else 'no index'}, {DOORS[door][0]}")
                        try:
                            with _scratch(directory) as place, DOORS[door][1](place) as client:
                                _run(figures, client, door, kind, indexed, calls)
                        except MissingError as error:
                            figures.missing[door] = str(error)
    return figures


def _run(figures: Figures, client: Any, door: str, kind: str, indexed: bool, calls: int) -> None:
    make = MAKERS[kind]
    client.create_table(**table_request(indexed))
    for begin in range(0, LOADED, 25):
        requests = [{"PutRequest": {"Item": make(number)}} for number in range(begin, begin + 25)]
        client.batch_write_item(RequestItems={"bench": requests})
    for workload in WORKLOADS:
        repeats = max(3, calls // workload.items)
        if door in ("moto", "dynalite"):
            repeats = max(3, repeats // 20)
        try:
            figures.add(kind, indexed, workload.name, door, _timed(workload, client, make, repeats))
        except Exception as error:
            if not _is_unknown(error):
                raise
        trip = partial(_trip, [make(number) for number in range(workload.items)])
        figures.add(kind, indexed, workload.name, "round trip", _clock(trip, repeats))


def _is_unknown(error: Exception) -> bool:
    """Whether the door says that it has no such operation."""
    response: Any = getattr(error, "response", {})
    return bool(response.get("Error", {}).get("Code") == "UnknownOperationException")


def _trip(items: list[Item], turn: int) -> None:
    round_trip(items)


def _timed(workload: Workload, client: Any, make: Any, repeats: int) -> float:
    span = LOADED - GOTTEN
    step = PER_COLLECTION + 1

    def call(turn: int) -> None:
        workload.run(client, make, turn * step % span)

    call(0)
    return _clock(call, repeats)


def _clock(call: Callable[[int], None], repeats: int) -> float:
    """Microseconds of one call."""
    gc.collect()
    gc.disable()
    try:
        begun = time.perf_counter()
        for turn in range(repeats):
            call(turn)
        return (time.perf_counter() - begun) / repeats * 1e6
    finally:
        gc.enable()
