"""The figures of a run: one sample per record count, engine, row and round. Written to and read from JSON."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.engines import ENGINES

VERSION = 1

Cell = tuple[int, str, str]  # records, engine, row


@dataclass
class Results:
    """Samples in the order of their rounds; `failures` are sentences for people."""

    meta: dict[str, Any]
    samples: defaultdict[Cell, list[float]] = field(default_factory=lambda: defaultdict(list))
    failures: list[str] = field(default_factory=list)

    def add(self, records: int, engine: str, samples: dict[str, float]) -> None:
        for row, value in samples.items():
            self.samples[records, engine, row].append(value)

    def median(self, records: int, engine: str, row: str) -> float | None:
        values = self.samples.get((records, engine, row))
        return statistics.median(values) if values else None

    def ratio(self, records: int, engine: str, base: str, row: str) -> float | None:
        """How many times better `engine` is than `base`; all rows are better when smaller."""
        ours, theirs = self.median(records, engine, row), self.median(records, base, row)
        if ours is None or theirs is None:
            return None
        return theirs / ours if ours else float("inf")

    @property
    def record_counts(self) -> list[int]:
        return sorted({records for records, _, _ in self.samples})

    @property
    def engines(self) -> list[str]:
        present = {engine for _, engine, _ in self.samples}
        return [name for name in ENGINES if name in present]

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        samples = [
            {"records": records, "engine": engine, "row": row, "median": statistics.median(values), "values": values}
            for (records, engine, row), values in self.samples.items()
        ]
        document = {"version": VERSION, "meta": self.meta, "samples": samples, "failures": self.failures}
        path.write_text(json.dumps(document, indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Results:
        """Raises ValueError for a file that is no saved run."""
        document = json.loads(path.read_text())
        if not isinstance(document, dict) or document.get("version") != VERSION:
            raise ValueError(f"{path} is not a run saved by this version of bench")
        results = cls(document["meta"], failures=document["failures"])
        for sample in document["samples"]:
            results.samples[sample["records"], sample["engine"], sample["row"]] = sample["values"]
        return results


def describe_run(command: str, engines: list[str], rounds: int, directory: Path) -> dict[str, Any]:
    """What a reader needs to judge the figures."""
    return {
        "command": command,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        **describe_machine(),
        "rounds": rounds,
        "directory": str(directory),
        "engines": {name: ENGINES[name].version() for name in engines},
    }


def describe_machine() -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processors": os.cpu_count(),
        "processor": _processor(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
