"""What `lsm serve` is to reach, as ratios of answers a second in the same run, and how a run compares."""

from __future__ import annotations

from dataclasses import dataclass

from bench.goals import Verdict
from bench.server.operations import OPERATIONS, Operation
from bench.server.results import Results

__all__ = ["COMPARISONS", "Comparison", "Judged", "judge"]

AIM_SINGLE, AIM_MANY = 1.5, 3.0
LEAST_SINGLE, LEAST_MANY = 1.0, 1.5
AIM_SYNCED_ALONE, AIM_SYNCED_TOGETHER = 1.0, 3.0  # where one fsync is for one connection, or shared by many
AHEAD = 1.0


@dataclass(frozen=True)
class Comparison:
    """One of our servers against one of the others. aimed: with goals of its own; else we only want to be ahead."""

    ours: str
    peer: str
    aimed: bool
    synced: bool = False

    def aim(self, operation: Operation, connections: int) -> float | None:
        if not self.aimed:
            return None
        if self.synced and operation.writes:
            return AIM_SYNCED_ALONE if connections == 1 else AIM_SYNCED_TOGETHER
        return AIM_SINGLE if operation.single else AIM_MANY

    def least(self, operation: Operation, connections: int) -> float:
        if not self.aimed:
            return AHEAD
        least = LEAST_SINGLE if operation.single else LEAST_MANY
        return min(least, self.aim(operation, connections) or least)


COMPARISONS = (
    Comparison("lsm-process", "dynoxide-memory", aimed=True),
    Comparison("lsm-power", "dynoxide-disk", aimed=True, synced=True),
    Comparison("lsm-process", "dynamodb-local", aimed=False),
    Comparison("lsm-process", "dynalite", aimed=False),
    Comparison("lsm-process", "moto", aimed=False),
)


@dataclass(frozen=True)
class Judged:
    """One ratio of a run, judged."""

    operation: str
    connections: int
    ratio: float
    aim: float | None
    least: float
    verdict: Verdict


def judge(results: Results, comparison: Comparison, operation: str, connections: int) -> Judged | None:
    """None where either has no valid figure."""
    ratio = results.ratio(comparison.ours, comparison.peer, operation, connections)
    if ratio is None:
        return None
    aim = comparison.aim(OPERATIONS[operation], connections)
    least = comparison.least(OPERATIONS[operation], connections)
    return Judged(operation, connections, ratio, aim, least, _verdict(ratio, aim, least))


def _verdict(ratio: float, aim: float | None, least: float) -> Verdict:
    if round(ratio, 2) < least:
        return Verdict.BELOW
    return Verdict.AIM if aim is not None and round(ratio, 2) >= aim else Verdict.LEAST
