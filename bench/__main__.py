"""`python -m bench`: runs the engines side by side, prints figures and ratios, saves JSON, draws a plot."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.delivery import deliver, shown_again
from bench.engines import ENGINES
from bench.longfill_report import show_long_fill
from bench.plot import draw
from bench.report import show_run
from bench.results import Results, describe_run
from bench.runner import plan, plan_long_fill, run_rounds, usable_engines
from bench.workloads import GROUPS

COMMANDS = ("run", "fill", "show")
SUFFIXES = {"k": 1_000, "m": 1_000_000}
QUICK_RECORDS = [20_000]


def main(arguments: Sequence[str] | None = None) -> int:
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] not in COMMANDS:
        given.insert(0, "run")
    command, options = given[0], given[1:]
    try:
        return {"run": run, "fill": fill, "show": show}[command](options)
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130


def run(arguments: list[str]) -> int:
    """The standard run."""
    options = _run_parser().parse_args(arguments)
    records = QUICK_RECORDS if options.quick else options.records
    rounds = 1 if options.quick else options.rounds
    engines = _engines(options.engines)
    tasks = plan(records, engines, options.workloads, named=options.engines is not None)
    results = Results(describe_run("run", engines, rounds, options.directory))
    run_rounds(tasks, rounds, results, options.directory)
    return _deliver(results, options.json, options.plot)


def fill(arguments: list[str]) -> int:
    """The long fill."""
    options = _fill_parser().parse_args(arguments)
    engines = _engines(options.engines)
    tasks = plan_long_fill(options.records, engines, named=options.engines is not None)
    results = Results(describe_run("fill", engines, options.rounds, options.directory))
    run_rounds(tasks, options.rounds, results, options.directory)
    return _deliver(results, options.json, None)


def show(arguments: list[str]) -> int:
    """A saved run again."""
    results, plot = shown_again("python -m bench", arguments, Results.load)
    return _deliver(results, None, plot)


def _deliver(results: Results, json: Path | None, plot: Path | None) -> int:
    """Figures below a goal are figures, not failures."""
    text = show_long_fill(results) if results.meta["command"] == "fill" else show_run(results)
    return deliver(results, text, json, plot, draw=draw, failed=bool(results.failures))


def _engines(names: list[str] | None) -> list[str]:
    engines, notes = usable_engines(names or list(ENGINES))
    for note in notes:
        print(note, file=sys.stderr)
    if not engines:
        sys.exit("no engine to run")
    return engines


def _run_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m bench",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=(
            "Runs lsm and its peers through the same Python loops, each engine and group of workloads in a process\n"
            "of its own, and prints microseconds per record, then how many times better lsm is than the better of\n"
            "LevelDB and RocksDB in the same run. Peers that are not installed are skipped: pip install '.[peers]'."
        ),
        epilog=_run_epilog(),
    )
    _common(parser, "200k,1M", rounds=3)
    parser.add_argument("--workloads", type=_names(_workload_names()), metavar="A,B", help="only these; see below")
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="draw the ratios (.svg, .png or .pdf; needs matplotlib)"
    )
    parser.add_argument("--quick", action="store_true", help="20,000 records, one round: does it run? not for figures")
    return parser


def _fill_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m bench fill",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=(
            "The long fill: one put per record, timed by tenths, then until compaction owes nothing, CPU time per\n"
            "record, memory, write amplification, and reads, overwrites and deletes on what was filled. With several\n"
            "record counts the last tables say what growing cost."
        ),
        epilog="example: python -m bench fill --records 5M --engines lsm,rocksdb",
    )
    _common(parser, "200k,1M,5M", rounds=1)
    return parser


def _common(parser: argparse.ArgumentParser, records: str, rounds: int) -> None:
    engines = ", ".join(ENGINES)
    parser.add_argument(
        "--records", type=_counts, default=_counts(records), metavar="N,M", help=f"record counts (default {records})"
    )
    parser.add_argument(
        "--engines", type=_names(list(ENGINES)), metavar="A,B", help=f"of {engines} (default all; some only to 200k)"
    )
    parser.add_argument("--rounds", type=_positive, default=rounds, help=f"medians over so many (default {rounds})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="save every sample; `show FILE` prints it again")
    parser.add_argument(
        "--directory",
        type=_directory,
        default=Path(tempfile.gettempdir()),
        help="where databases are made and removed; must lie on the disk to be measured (default %(default)s)",
    )


def _run_epilog() -> str:
    lines = ["workloads, in the groups that share a process and a database:"]
    for group in GROUPS:
        for workload in group.workloads:
            lines.append(f"  {group.name:<11} {workload.name:<12} {workload.title}")
    lines += [
        "",
        "other commands: `python -m bench fill --help` (the long fill), `python -m bench show FILE` (a saved run)",
        "examples:",
        "  python -m bench --quick",
        "  python -m bench --records 200k,1M --json bench/results/run.json --plot bench/results/run.svg",
        "  python -m bench --records 1M --workloads put,get --engines lsm,rocksdb --rounds 5",
    ]
    return "\n".join(lines)


def _workload_names() -> list[str]:
    return [workload.name for group in GROUPS for workload in group.workloads]


def _counts(text: str) -> list[int]:
    return [_count(part) for part in text.split(",")]


def _count(text: str) -> int:
    number, scale = text.strip().replace("_", ""), 1
    if number and number[-1].lower() in SUFFIXES:
        number, scale = number[:-1], SUFFIXES[number[-1].lower()]
    try:
        count = int(float(number) * scale)
    except ValueError:
        count = 0
    if count < 1_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no record count; write at least 1000, as in 200k or 1M")
    return count


def _names(known: list[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        names = [name.strip() for name in text.split(",")]
        unknown = [name for name in names if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"no such name: {', '.join(unknown)}; there are {', '.join(known)}")
        return names

    return parse


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


def _directory(text: str) -> Path:
    path = Path(text)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is no directory")
    return path


if __name__ == "__main__":
    sys.exit(main())
