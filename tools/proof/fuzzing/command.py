"""`prove.py fuzz`: a coverage-guided fuzzer over every decoder of the compiled core, under ASan and UBSan.

Guarantees: a crash (a sanitizer's finding, a wrong answer, an exception that is not documented, one allocation above
256 MiB, 25 seconds without an end) is kept as a file, and the command that replays it is printed. Needs clang.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any

from proof.fuzzing import engine, seeds
from proof.fuzzing.examples import examples
from proof.fuzzing.targets import TARGETS
from proof.instrumented import default_place

__all__ = ["add_fuzz"]


def add_fuzz(subparsers: Any) -> None:
    command = subparsers.add_parser("fuzz", help="Fuzz every decoder, guided by coverage.", description=__doc__)
    command.set_defaults(run=_run)
    command.add_argument("--target", action="append", choices=sorted(TARGETS), help="all where none is named")
    command.add_argument("--seconds", type=int, default=60, help="for each target (default 60)")
    command.add_argument("--replay", type=Path, metavar="FILE", help="run one target on this input and stop")
    command.add_argument("--keep", action="store_true", help="keep what was found as seeds, as few as reach the same")
    command.add_argument("--verbose", action="store_true", help="show what libFuzzer says")
    command.add_argument("--at", type=Path, help="where the copy is built; it is kept and brought up to date")


def _run(options: argparse.Namespace) -> int:
    if problem := engine.missing():
        print(problem, file=sys.stderr)
        return 2
    names = options.target or sorted(TARGETS)
    if options.replay and len(names) != 1:
        print("--replay needs one --target", file=sys.stderr)
        return 2
    place = options.at or default_place("fuzz")
    engine.build_all(place)
    if options.replay:
        result = engine.run(place, names[0], [str(options.replay.resolve())], echo=True)
        return 1 if result.crash else 0
    crashes = 0
    print(f"{'target':16} {'executions':>12} {'edges':>7} {'features':>9} {'corpus':>7} {'bytes':>7}  seconds")
    for name in names:
        crashes += not _fuzz(place, name, options)
    return 1 if crashes else 0


def _fuzz(place: Path, name: str, options: argparse.Namespace) -> bool:
    """Runs one target; whether nothing was found."""
    corpus, first = place / "corpus" / name, place / "first" / name
    corpus.mkdir(parents=True, exist_ok=True)
    _lay_out(first, [*examples(name), *seeds.load(name)])
    crashes = place / "crashes"
    crashes.mkdir(exist_ok=True)
    arguments = [str(corpus), str(first), f"-max_total_time={options.seconds}", f"-artifact_prefix={crashes}/{name}-"]
    arguments += [f"-max_len={TARGETS[name].largest}", "-timeout=25", "-print_funcs=0"]
    result = engine.run(place, name, arguments, echo=options.verbose)
    print(
        f"{name:16} {result.executions:12,} {result.edges:7,} {result.features:9,} {result.corpus:7,} "
        f"{result.corpus_bytes:>7}  {options.seconds}",
        flush=True,
    )
    if result.crash is not None:
        _report(result, name, options)
        return False
    if options.keep:
        _keep(place, name, corpus, first)
    return True


def _lay_out(place: Path, inputs: list[bytes]) -> None:
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for i, data in enumerate(inputs):
        (place / f"{i:05d}").write_bytes(data)


def _keep(place: Path, name: str, corpus: Path, first: Path) -> None:
    """The corpus becomes the smallest one that reaches the same; so do the seeds."""
    fewest = place / "fewest" / name
    engine.merge(place, name, fewest, [corpus, first])
    found = [path.read_bytes() for path in fewest.iterdir()]
    if found:
        seeds.store(name, found)


def _report(result: engine.Run, name: str, options: argparse.Namespace) -> None:
    print(*result.log.splitlines()[-60:], sep="\n")
    at = f" --at {options.at}" if options.at else ""
    print(f"crash: {result.crash}\n  again: python tools/prove.py fuzz --target {name} --replay {result.crash}{at}")
