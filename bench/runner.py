"""Runs tasks one after the other, each in a fresh process with a fresh directory, and gathers what they answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.child import LONG_FILL, Task
from bench.engines import ENGINES, EngineInfo
from bench.measure import Samples, chosen
from bench.progress import Progress
from bench.results import Results
from bench.workloads import GROUPS

ROOT = Path(__file__).resolve().parent.parent
# An installed lsm goes before the source tree, which has no compiled core unless it was built in place.
CHILD = "import sys; sys.path.append(sys.argv[1]); from bench.child import main; main()"


class TaskFailedError(Exception):
    """The child ended without samples; the message is the child's."""


def usable_engines(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """The names of engines that a child can import, and a sentence for each that is left out."""
    missing = {name: reason for name in names if (reason := _why_missing(ENGINES[name]))}
    notes = [f"skipping {ENGINES[name].title}: {reason}; {ENGINES[name].remedy}" for name, reason in missing.items()]
    return [name for name in names if name not in missing], notes


def _why_missing(info: EngineInfo) -> str | None:
    probe = f"import sys; sys.path.append(sys.argv[1]); import bench.engines.{info.module}"
    tried = subprocess.run([sys.executable, "-P", "-c", probe, str(ROOT)], capture_output=True, text=True)
    return tried.stderr.strip().rpartition("\n")[2] if tried.returncode else None


def plan(records: Sequence[int], engines: Sequence[str], workloads: list[str] | None, named: bool) -> list[Task]:
    """One round. Engines alternate within a group, so that a slow moment of the machine meets all of them.

    `named`: the engines were asked for by name, which lifts the record limits of the slow ones.
    """
    return [
        Task(engine, group.name, count, workloads)
        for count in records
        for group in GROUPS
        for engine in engines
        if (named or count <= ENGINES[engine].record_limit) and chosen(group, ENGINES[engine], workloads)
    ]


def plan_long_fill(records: Sequence[int], engines: Sequence[str], named: bool) -> list[Task]:
    return [
        Task(engine, LONG_FILL, count)
        for count in records
        for engine in engines
        if ENGINES[engine].features and (named or count <= ENGINES[engine].record_limit)
    ]


def run_rounds(tasks: Sequence[Task], rounds: int, results: Results, directory: Path) -> None:
    """All tasks, `rounds` times over; what fails is noted in the results and the rest goes on."""
    progress = Progress(len(tasks) * rounds)
    for number, task in _numbered(tasks, rounds):
        title = ENGINES[task.engine].title
        progress.begin(f"round {number}/{rounds}, {task.records:,} records, {task.group}, {title}")
        try:
            results.add(task.records, task.engine, run_in_child(task, directory, progress))
        except TaskFailedError as error:
            failure = f"{title}, {task.group}, {task.records:,} records: {error}"
            results.failures.append(failure)
            progress.say(f"failed: {failure}")
        progress.end()
    progress.clear()


def run_in_child(task: Task, directory: Path, progress: Progress) -> Samples:
    """Raises TaskFailedError."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=directory) as scratch:
        os.sync()  # what the last child left to write shall not slow this one
        command = [sys.executable, "-P", "-c", CHILD, str(ROOT)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write(task.to_json(Path(scratch)))
            child.stdin.close()
            try:
                answer = _listen(child.stdout, progress)
            except BaseException:
                child.kill()
                raise
        return _samples(answer, child.returncode)


def _listen(lines: Iterable[str], progress: Progress) -> dict[str, Any]:
    answer: dict[str, Any] = {}
    for line in lines:
        message = json.loads(line)
        if "progress" in message:
            progress.note(message["progress"])
        else:
            answer = message
    return answer


def _samples(answer: dict[str, Any], status: int) -> Samples:
    if "samples" in answer:
        samples: Samples = answer["samples"]
        return samples
    raise TaskFailedError(answer.get("error", f"the process ended with status {status} and no answer"))


def _numbered(tasks: Sequence[Task], rounds: int) -> Iterable[tuple[int, Task]]:
    return ((number, task) for number in range(1, rounds + 1) for task in tasks)
