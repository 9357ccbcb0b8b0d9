"""What a workload and a group of workloads are. A group runs in one process on one database, its workloads in order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from bench.data import VALUE_BYTES, Data, Pair
from bench.engines.protocol import Engine, Feature

BATCH = 1_000
OPERATIONS = 500_000  # of reads, at most: more adds time and no information


@dataclass(frozen=True)
class Workload:
    """`prepare` makes the inputs before the engine opens; `run` is timed and returns how many operations it did."""

    name: str
    title: str
    prepare: Callable[[Data], Any]
    run: Callable[[Engine, Any], int]
    needs: frozenset[Feature] = frozenset()


class State(Enum):
    """What a group's database holds before its first workload; made untimed."""

    EMPTY = "nothing"
    FILLED = "all records, as batches left them"
    SETTLED = "all records, in tables; compaction owes nothing"
    LIVE = "all records settled, and half of them written again, which lies in the memtable"


class Leaves(Enum):
    """What must be found in the database after a group; a sample is looked up."""

    RECORDS = "every record with its value"
    NOTHING = "no record"
    ANYTHING = "not looked at"


class Extra(Enum):
    """Figures that a group yields beside the times of its workloads."""

    PEAK_MEMORY = "MB resident at the peak, without the harness and its records"
    DISK = "MB on disk when closed"
    WRITE_AMPLIFICATION = "bytes written towards storage per byte of keys and values"
    OWN_WRITE_AMPLIFICATION = "the same, as the engine counts it"
    REOPEN = "ms from opening the closed database to the first answer"


@dataclass(frozen=True)
class Group:
    name: str
    state: State
    workloads: tuple[Workload, ...]
    leaves: Leaves = Leaves.RECORDS
    extras: dict[Extra, str] = field(default_factory=dict)  # what is taken -> name of its row
    writes: int = 1  # how many times the workloads write every record; the base of write amplification
    value_bytes: int = VALUE_BYTES
    shrink: int = 1  # the group runs on one in `shrink` records, where values are large

    def records(self, records: int) -> int:
        return max(records // self.shrink, 1)


@dataclass(frozen=True)
class Load:
    """What brings an empty database into a state. Made before the engine opens, so that its memory is the harness's."""

    state: State
    first: list[list[Pair]]
    again: list[list[Pair]]

    def apply(self, engine: Engine) -> None:
        for batch in self.first:
            engine.put_batch(batch)
        if self.state in (State.SETTLED, State.LIVE):
            engine.settle()
        for batch in self.again:
            engine.put_batch(batch)


def load_for(state: State, data: Data) -> Load:
    first = data.batches(BATCH) if state is not State.EMPTY else []
    again = data.batches(BATCH, "live") if state is State.LIVE else []
    return Load(state, first, again[: (len(again) + 1) // 2])
