"""The process in which one engine runs one task. Reads the task as JSON from standard input, answers in lines of JSON:
`{"progress": text}` any number of times, then `{"samples": {row: value}}` or `{"error": text}`.
"""

from __future__ import annotations

import json
import sys
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.data import Data
from bench.engines import ENGINES
from bench.longfill import run_long_fill
from bench.measure import Samples, chosen, run_group
from bench.workloads import GROUPS

LONG_FILL = "long fill"


@dataclass(frozen=True)
class Task:
    """One engine, one group (or the long fill), one record count. `workloads` None: all of the group."""

    engine: str
    group: str
    records: int
    workloads: list[str] | None = None
    seed: int = 1

    def to_json(self, directory: Path) -> str:
        return json.dumps({"task": asdict(self), "directory": str(directory)})


def run_task(task: Task, directory: Path) -> Samples:
    info = ENGINES[task.engine]
    path = directory / "database"
    if task.group == LONG_FILL:
        return run_long_fill(info, Data(task.records, seed=task.seed), path, _progress)
    group = next(group for group in GROUPS if group.name == task.group)
    data = Data(group.records(task.records), group.value_bytes, task.seed)
    return run_group(group, chosen(group, info, task.workloads), info, data, path, _progress)


def main() -> None:
    request = json.load(sys.stdin)
    try:
        samples = run_task(Task(**request["task"]), Path(request["directory"]))
    except Exception as error:
        traceback.print_exc()
        _answer({"error": f"{type(error).__name__}: {error}"})
        sys.exit(1)
    _answer({"samples": samples})


def _progress(text: str) -> None:
    _answer({"progress": text})


def _answer(message: dict[str, object]) -> None:
    print(json.dumps(message), flush=True)


if __name__ == "__main__":
    main()
