"""What lsm is to reach, as ratios to the better of LevelDB and RocksDB in the same run, and how a run compares."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from bench.engines import OURS
from bench.results import Results

PEERS = ("leveldb", "rocksdb")
LARGE = 1_000_000  # from here on the goals for large stores hold


@dataclass(frozen=True)
class Goal:
    """`aim` is where we want to be, `least` what must be shown; times better, so larger is better."""

    aim: float | None = None
    least: float = 1.0
    large_aim: float | None = None
    aim_against: str | None = None  # the aim holds against this peer alone

    def aim_at(self, records: int) -> float | None:
        return self.large_aim if self.large_aim is not None and records >= LARGE else self.aim


class Verdict(Enum):
    AIM = "goal met"
    LEAST = "ok"
    BELOW = "BELOW"
    UNKNOWN = ""


GOALS = {  # by row; the last four are rows of the long fill
    "put": Goal(6, 3),
    "put_batch": Goal(4, 2.5),
    "refill": Goal(1.5),
    "get": Goal(3, 3, large_aim=4),
    "get_zipfian": Goal(4, 3),
    "get_absent": Goal(1.3),
    "get_many": Goal(5),
    "scan": Goal(2),
    "seek": Goal(3),
    "seek_live": Goal(3),
    "put_seek": Goal(3),
    "get_busy": Goal(3),
    "mixed": Goal(4, 2.5),
    "delete": Goal(6, 3),
    "sync_1": Goal(1),
    "sync_8": Goal(1),
    "sync_loop": Goal(1),
    "disk": Goal(1, aim_against="rocksdb"),
    "memory_write": Goal(1, aim_against="rocksdb"),
    "memory_read": Goal(1, aim_against="rocksdb"),
    "fill": Goal(6, 3),
    "fill_settle": Goal(1.5),
    "get_hot": Goal(4, 3),
    "memory": Goal(1, aim_against="rocksdb"),
}
OTHERS = Goal()  # nothing slower or larger than the peers


@dataclass(frozen=True)
class Judged:
    """One row of a run, judged."""

    row: str
    ratio: float  # against the better peer
    better_peer: str
    to_lmdb: float | None
    lmdb_leads: bool  # LMDB is faster than both peers: then we want to beat it too
    aim: float | None
    least: float
    verdict: Verdict


def judge(results: Results, records: int, row: str) -> Judged | None:
    """None where lsm or both peers have no figure."""
    medians = {name: results.median(records, name, row) for name in PEERS}
    known = {name: value for name, value in medians.items() if value is not None}
    if not known:
        return None
    better = min(known, key=lambda name: known[name])
    ratio = results.ratio(records, OURS, better, row)
    if ratio is None:
        return None
    goal = GOALS.get(row, OTHERS)
    aim = goal.aim_at(records)
    aimed_ratio = results.ratio(records, OURS, goal.aim_against, row) if goal.aim_against else ratio
    lmdb = results.median(records, "lmdb", row)
    return Judged(
        row=row,
        ratio=ratio,
        better_peer=better,
        to_lmdb=results.ratio(records, OURS, "lmdb", row),
        lmdb_leads=lmdb is not None and lmdb < known[better],
        aim=aim,
        least=goal.least,
        verdict=_verdict(ratio, aimed_ratio, aim, goal.least),
    )


def _verdict(ratio: float, aimed_ratio: float | None, aim: float | None, least: float) -> Verdict:
    if round(ratio, 2) < least:
        return Verdict.BELOW
    if aim is not None and aimed_ratio is not None and round(aimed_ratio, 2) >= aim:
        return Verdict.AIM
    return Verdict.LEAST
