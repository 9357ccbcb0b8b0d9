"""A disk that broke, as a directory of real files beside what must be on it: it breaks again without its history.

`save` writes it, `python tools/prove.py replay DIRECTORY` checks it. What was only cached after a kill cannot be kept:
such a disk replays from its history's seed.
"""

from __future__ import annotations

import argparse
import json
import traceback
from pathlib import Path
from typing import Any

from lsm.filesystem import CREATE, READ, WRITE
from lsm.simulated_files import SimulatedFileSystem
from proof.sweep import Case, check_case
from proof.sweep_database import PATH
from proof.sweep_model import Model

__all__ = ["add_replay", "load", "save"]

WHAT = "failure.json"


def save(case: Case, error: BaseException, directory: Path) -> Path:
    """Writes the disk, the model and the error under `directory`; where."""
    number = sum(1 for _ in directory.glob("broken-*")) + 1 if directory.exists() else 1
    place = directory / f"broken-{number:04d}"
    (place / "disk").mkdir(parents=True)
    files = case.make()
    if files.is_dir(PATH):
        for name in files.listdir(PATH):
            (place / "disk" / name).write_bytes(files.read_file(f"{PATH}/{name}"))
    kept = {
        "what": f"{type(error).__name__}: {error}",
        "where": traceback.format_exception(error)[-6:],
        "label": case.label,
        "mode": case.mode,
        "seed": case.seed,
        "options": case.options,
        "least": case.least,
        "most": case.most,
        "seen": case.seen,
        "promised": case.promised,
        "depth": case.depth,
        "calls before": case.trace,
        "model": case.model.to_json(),
    }
    (place / WHAT).write_text(json.dumps(kept, indent=1, default=str) + "\n")
    return place


def load(place: Path) -> Case:
    """The case that `save` wrote."""
    kept: dict[str, Any] = json.loads((place / WHAT).read_text())
    contents = {path.name: path.read_bytes() for path in sorted((place / "disk").iterdir())}

    def make() -> SimulatedFileSystem:
        return disk_with(contents)

    return Case(
        make,
        kept["mode"],
        kept["seed"],
        kept["options"],
        Model.from_json(kept["model"]),
        kept["least"],
        kept["most"],
        kept["seen"],
        kept["promised"],
        kept["label"],
        depth=kept["depth"],
    )


def disk_with(contents: dict[str, bytes]) -> SimulatedFileSystem:
    """A disk on which these files are durable."""
    files = SimulatedFileSystem()
    if contents:
        files.mkdir(PATH)
    for name, data in contents.items():
        handle = files.open(f"{PATH}/{name}", READ | WRITE | CREATE)
        files.write(handle, data, 0)
        files.close(handle)
    return files.clone(0, "everything")


def replay(options: argparse.Namespace) -> int:
    case = load(Path(options.directory))
    print(case.label)
    failure = check_case(case)
    if failure is None:
        print("the disk holds now what it must; so do those that further failures made of it")
        return 0
    traceback.print_exception(failure)
    return 1


def add_replay(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "replay",
        help="check a disk again that a sweep found broken",
        description="Checks a disk that `sweep` saved: opens it, and says what is wrong with it. Nothing is changed.",
        epilog="example: python tools/prove.py replay broken-disks/broken-0001",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("directory", help="what the sweep said it saved")
    parser.set_defaults(run=replay)
