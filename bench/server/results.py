"""The figures of a run: samples by engine, operation and connections, what each server cost, and what went wrong."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.server.engines import ENGINES
from bench.server.operations import OPERATIONS

__all__ = ["Cell", "Results", "Sample", "Visit"]

VERSION = 1
UNKNOWN = "UnknownOperationException"

Cell = tuple[str, str, int]  # engine, operation, connections


@dataclass(frozen=True)
class Sample:
    """rate: answers a second; p50, p99: milliseconds; cpu: microseconds of the server's processes for one answer.

    fault: why the figures are worth nothing, None where they are good.
    """

    rate: float = 0.0
    p50: float = 0.0
    p99: float = 0.0
    cpu: float = 0.0
    answers: int = 0
    fault: str | None = None

    @property
    def wrong(self) -> bool:
        """A fault that is one: not that the server has no such operation and says so."""
        return self.fault is not None and UNKNOWN not in self.fault


@dataclass(frozen=True)
class Visit:
    """One life of a server: milliseconds to its first answer, megabytes then and at the end."""

    start: float
    idle: float
    end: float


@dataclass
class Results:
    """Samples in the order of their rounds; `failures` are sentences for people, `missing` the reasons by engine."""

    meta: dict[str, Any]
    samples: defaultdict[Cell, list[Sample]] = field(default_factory=lambda: defaultdict(list))
    visits: defaultdict[str, list[Visit]] = field(default_factory=lambda: defaultdict(list))
    missing: dict[str, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def median(self, engine: str, operation: str, connections: int, figure: str = "rate") -> float | None:
        """None where nothing was measured, or where a round is invalid."""
        samples = self.samples.get((engine, operation, connections))
        if not samples or any(sample.fault for sample in samples):
            return None
        values: list[float] = [getattr(sample, figure) for sample in samples]
        return statistics.median(values)

    def fault(self, engine: str, operation: str, connections: int) -> str | None:
        """The first fault of a cell."""
        samples = self.samples.get((engine, operation, connections), [])
        return next((sample.fault for sample in samples if sample.fault), None)

    def ratio(self, engine: str, peer: str, operation: str, connections: int) -> float | None:
        """How many times more answers a second `engine` gives than `peer`."""
        ours, theirs = (self.median(name, operation, connections) for name in (engine, peer))
        return ours / theirs if ours is not None and theirs else None

    def visit(self, engine: str, figure: str) -> float | None:
        values = [getattr(visit, figure) for visit in self.visits.get(engine, [])]
        return statistics.median(values) if values else None

    @property
    def engines(self) -> list[str]:
        present = {engine for engine, _, _ in self.samples} | set(self.visits)
        return [name for name in ENGINES if name in present]

    @property
    def operations(self) -> list[str]:
        present = {operation for _, operation, _ in self.samples}
        return [name for name in OPERATIONS if name in present]

    @property
    def connections(self) -> list[int]:
        return sorted({connections for _, _, connections in self.samples})

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        cells = [
            {
                "engine": engine,
                "operation": operation,
                "connections": connections,
                "rate": self.median(engine, operation, connections),
                "samples": [asdict(sample) for sample in samples],
            }
            for (engine, operation, connections), samples in self.samples.items()
        ]
        visits = {engine: [asdict(visit) for visit in lives] for engine, lives in self.visits.items()}
        document = {"version": VERSION, "meta": self.meta, "cells": cells, "servers": visits}
        document |= {"missing": self.missing, "failures": self.failures}
        path.write_text(json.dumps(document, indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Results:
        """Raises ValueError for a file that is no saved run."""
        document = json.loads(path.read_text())
        if not isinstance(document, dict) or document.get("version") != VERSION or "cells" not in document:
            raise ValueError(f"{path} is not a run saved by this version of bench.server")
        results = cls(document["meta"], missing=document["missing"], failures=document["failures"])
        for cell in document["cells"]:
            place = (cell["engine"], cell["operation"], cell["connections"])
            results.samples[place] = [Sample(**sample) for sample in cell["samples"]]
        for engine, visits in document["servers"].items():
            results.visits[engine] = [Visit(**visit) for visit in visits]
        return results
