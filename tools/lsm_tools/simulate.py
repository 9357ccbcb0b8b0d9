"""`lsm simulate`: the real compaction picker over a workload that is only counted, and pictures of what it costs.

Guarantees: touches no file but the SVG asked for; equal arguments print equal text. One call per process.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator
from dataclasses import asdict, fields
from typing import Any

from lsm.command_line import Failure
from lsm.options import CompactionOptions, Options
from lsm.progress import Progress
from lsm.report import amount, columns, count
from lsm_tools.simulate_draw import CURVES, levels_as_text, plot, points, svg
from lsm_tools.simulate_run import Settings, Simulation, Step, simulate
from lsm_tools.simulate_tables import RecordSize
from lsm_tools.simulate_workload import WORKLOADS
from lsm_tools.whole_file import whole_file

__all__ = ["add_simulate"]

SUMMARY = "Show what compaction would do and cost, without a database."

HELP = f"""\
{SUMMARY}

The engine's own picker decides; tables are ranges of keys with counts, and merging them is arithmetic, so ten million
records take a second. A writer, flushes and one compaction thread run on a clock of their own; how fast they are is an
assumption (--write-mib, --compaction-mib), all else follows from the options. One partition, no snapshots.

write amplification: log, flushes and compactions, bytes for each byte put, as in `lsm stats`
read amplification:  tables that a get may have to ask; their filters spare it most of them
space amplification: bytes stored for each byte if the live data lay alone in one level

workloads (KEYS is --keys):
  fill         every operation puts a new key, in random order
  overwrite    first KEYS once, then puts of keys drawn uniformly
  zipfian      first KEYS once, then puts of keys drawn by Zipf's law (exponent 0.99)
  delete       the first half puts new keys, the second half deletes each of them, in random order
  timeseries   every operation puts a new key above all before it
  mixed        first KEYS once, then half new keys, 40 % overwrites and 10 % deletes by Zipf's law
"""

EXAMPLES = """\
examples:
  lsm simulate                                              10 million records in random order
  lsm simulate --workload zipfian --keys 1000000 --svg zipfian.svg
  lsm simulate --workload overwrite --compare level_multiplier=4,8,10
  lsm simulate --compare level_multiplier=4,8 --compare table_bytes=8MiB,32MiB
  lsm simulate --workload delete --records 1000000 --memtable-bytes 4MiB --steps
"""

UNITS = {"": 1, "B": 1, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
PICKER_OPTIONS = tuple(field.name for field in fields(CompactionOptions))
ENGINE_OPTIONS = ("memtable_bytes", "memtables_bytes", *PICKER_OPTIONS, "level0_stop_tables")
OTHERS = (
    "records",
    "keys",
    "key_bytes",
    "record_bytes",
    "batch_records",
    "write_mib",
    "compaction_mib",
    "stored_ratio",
)
COMPARABLE = (*ENGINE_OPTIONS, *OTHERS)
MOST_ROWS = 200
MOST_FLUSHES = 200_000


def add_simulate(subparsers: Any) -> None:
    command = subparsers.add_parser("simulate", help=SUMMARY, description=HELP, epilog=EXAMPLES)
    command.set_defaults(run=_simulate)
    what = command.add_argument_group("the workload")
    what.add_argument("--workload", choices=list(WORKLOADS), default="fill", help="default: fill")
    what.add_argument(
        "--records", type=_amount, default=10_000_000, metavar="N", help="operations (default: 10 million)"
    )
    what.add_argument(
        "--keys", type=_amount, metavar="N", help="distinct keys where they are drawn (default: a quarter of --records)"
    )
    what.add_argument("--key-bytes", type=_amount, default=16, metavar="B", help="bytes of a key (default: 16)")
    what.add_argument("--record-bytes", type=_amount, default=116, metavar="B", help="of key and value (default: 116)")
    what.add_argument("--batch-records", type=_amount, default=1, metavar="N", help="records of a commit (default: 1)")
    what.add_argument(
        "--stored-ratio", type=float, default=1.0, metavar="R", help="raw bytes to compressed (default: 1)"
    )
    what.add_argument("--seed", type=int, default=1, metavar="N", help="of what little is random (default: 1)")
    engine = command.add_argument_group("options of the engine", "defaults are those of lsm.open; 4MiB is a size too")
    for name in ENGINE_OPTIONS:
        flag = "--" + name.replace("_", "-")
        engine.add_argument(flag, dest=name, type=_amount, metavar="N", help=f"default: {getattr(Options(), name):,}")
    speed = command.add_argument_group("assumed speeds", "MiB a second; 0: without limit")
    speed.add_argument("--write-mib", type=float, default=60.0, metavar="S", help="the writer puts (default: 60)")
    speed.add_argument(
        "--compaction-mib", type=float, default=200.0, metavar="S", help="compaction reads and writes (default: 200)"
    )
    output = command.add_argument_group("what is shown")
    output.add_argument(
        "--compare",
        action="append",
        default=[],
        metavar="NAME=A,B,C",
        help="a row for each value instead of pictures; given again, for each combination. NAME is one of "
        + ", ".join(COMPARABLE),
    )
    output.add_argument("--steps", action="store_true", help="print every flush and compaction too")
    output.add_argument("--svg", metavar="FILE", help="the curves and the tables of the end as a picture")
    output.add_argument("--json", action="store_true", help="everything as one JSON object")


def _amount(text: str) -> int:
    """`4MiB`, `64k`, `1000000`."""
    digits = text.rstrip("KMGiIBbkmg")
    unit = UNITS.get(text[len(digits) :].upper())
    try:
        if unit is None or (number := int(digits.replace("_", "")) * unit) < 1:
            raise ValueError
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0, such as 1000000 or 4MiB") from None
    return number


def _simulate(options: argparse.Namespace) -> int:
    values = {name: getattr(options, name) for name in COMPARABLE}
    if options.compare:
        return _compare(options, values)
    settings, result = _run(options, values)
    if options.svg:
        with whole_file(options.svg) as stream:
            stream.write(svg(_title(options, values), result, settings.compaction).encode())
    if options.json:
        print(json.dumps(_as_json(options, values, result)))
    else:
        print("\n".join(_as_text(options, values, settings, result)))
    return 0


def _run(options: argparse.Namespace, values: dict[str, Any]) -> tuple[Settings, Simulation]:
    settings = _settings(values, options.seed)
    keys = values["keys"] or max(1, values["records"] // 4)
    if keys > values["records"]:
        raise Failure(f"--keys {keys:,} are more than --records {values['records']:,}", 2)
    flushes = values["records"] * values["record_bytes"] / settings.freeze_bytes
    if flushes > MOST_FLUSHES:
        raise Failure(f"about {flushes:,.0f} flushes would take long: make --memtable-bytes larger", 2)
    return settings, simulate(WORKLOADS[options.workload](values["records"], keys), settings)


def _settings(values: dict[str, Any], seed: int) -> Settings:
    """Raises what lsm.open raises for options that cannot be."""
    named = {name: values[name] for name in ENGINE_OPTIONS if values[name] is not None}
    engine = Options.from_keywords(named)
    if values["record_bytes"] < values["key_bytes"]:
        raise Failure(f"--record-bytes {values['record_bytes']} are less than --key-bytes {values['key_bytes']}", 2)
    for name in ("write_mib", "compaction_mib", "stored_ratio"):
        if not math.isfinite(values[name]) or values[name] < 0 or (name == "stored_ratio" and values[name] == 0):
            raise Failure(f"--{name.replace('_', '-')} {values[name]} is no positive number", 2)
    return Settings(
        engine.compaction(),
        engine.freeze_bytes,
        engine.level0_stop_tables,
        RecordSize(values["key_bytes"], values["record_bytes"] - values["key_bytes"], values["stored_ratio"]),
        values["batch_records"],
        values["write_mib"] * (1 << 20),
        values["compaction_mib"] * (1 << 20),
        seed,
    )


# ---- one run


def _title(options: argparse.Namespace, values: dict[str, Any]) -> str:
    return f"{options.workload}: {values['records']:,} operations of {values['record_bytes']} bytes"


def _as_text(
    options: argparse.Namespace, values: dict[str, Any], settings: Settings, result: Simulation
) -> Iterator[str]:
    yield _title(options, values)
    yield ""
    if options.steps:
        yield from _steps(result.steps)
        yield ""
    for curve, unit in CURVES.items():
        yield from plot(f"{curve}: {unit}", points(result.samples, curve))
        yield ""
    yield from levels_as_text(result.version, settings.compaction)
    yield ""
    yield from columns(list(_facts(result)), left=2, indent="")


def _facts(result: Simulation) -> Iterator[list[str]]:
    last = result.samples[-1]
    reads = [s.read for s in result.samples]
    yield ["write amplification", f"{result.write_amplification:.2f}"]
    yield ["read amplification", f"{last.read:.2f} tables at the end, {max(reads):.2f} at most"]
    yield ["blocks of a get", f"{last.blocks:.2f} at the end, with filters"]
    yield ["space amplification", _space(result)]
    yield ["peak of space", amount(max(s.stored_bytes for s in result.samples))]
    yield ["flushes", f"{result.flushes:,}, {amount(result.flush_bytes)}"]
    moved = f"{amount(result.compaction_bytes_read)} read, {amount(result.compaction_bytes_written)} written"
    yield ["compactions", f"{result.compactions:,}, {moved}"]
    yield ["moves", f"{result.moves:,}, nothing written"]
    yield ["largest compaction", amount(result.largest_compaction)]
    yield ["peak of level 0", count(result.peak_level0, "table")]
    yield [
        "stalls",
        f"{result.slowed_seconds:.1f} s slowed, {result.stopped_seconds:.1f} s stopped of {result.seconds:.1f} s",
    ]


def _space(result: Simulation) -> str:
    known = [s.space for s in result.samples if s.space is not None]
    last = result.samples[-1].space
    return f"{f'{last:.2f}' if last is not None else 'no live data'} at the end, {max(known, default=0.0):.2f} at most"


def _steps(steps: list[Step]) -> list[str]:
    rows = [["operations", "seconds", "from", "to", "read", "written", "why"]]
    for step in steps:
        gone = " + ".join(f"level {level}: {count(tables, 'table')}" for level, tables, _ in step.inputs) or "memtable"
        level, tables, made = step.outputs
        read = sum(size for _, _, size in step.inputs)
        cost = ("moved", "moved") if step.move else (amount(read), amount(made))
        to = f"level {level}: {count(tables, 'table')}"
        rows.append([f"{step.operations:,}", f"{step.seconds:.1f}", gone, to, *cost, step.reason])
    return columns(rows, left=0, indent="")


def _as_json(options: argparse.Namespace, values: dict[str, Any], result: Simulation) -> dict[str, Any]:
    facts: dict[str, Any] = {"workload": options.workload, "seed": options.seed, "settings": values}
    facts |= _totals(result)
    facts["levels"] = [
        {"level": level, "tables": len(tables), "bytes": result.version.level_bytes(level)}
        for level, tables in enumerate(result.version.levels)
    ]
    facts["samples"] = [asdict(sample) for sample in result.samples]
    if options.steps:
        facts["steps"] = [asdict(step) for step in result.steps]
    return facts


def _totals(result: Simulation) -> dict[str, Any]:
    last = result.samples[-1]
    names = [f.name for f in fields(Simulation) if f.name not in ("samples", "steps", "version")]
    return {
        "write_amplification": result.write_amplification,
        "read_amplification": last.read,
        "blocks_per_get": last.blocks,
        "space_amplification": last.space,
        "peak_stored_bytes": max(s.stored_bytes for s in result.samples),
        **{name: getattr(result, name) for name in names},
    }


# ---- many runs


def _compare(options: argparse.Namespace, values: dict[str, Any]) -> int:
    if options.svg or options.steps:
        raise Failure("--compare prints rows: leave --svg and --steps out", 2)
    names = [text.partition("=")[0].replace("-", "_") for text in options.compare]
    choices = [_choices(text) for text in options.compare]
    rows: list[tuple[list[Any], Simulation]] = []
    combinations = list(_combinations(choices))
    if len(combinations) > MOST_ROWS:
        raise Failure(f"that would be {len(combinations):,} rows, more than {MOST_ROWS}", 2)
    with Progress("simulating", total=len(combinations), stream=sys.stderr) as bar:
        for done, chosen in enumerate(combinations, 1):
            _, result = _run(options, values | dict(zip(names, chosen, strict=True)))
            rows.append((chosen, result))
            bar.update(done, done * values["records"])
    if options.json:
        print(json.dumps([dict(zip(names, chosen, strict=True)) | _totals(result) for chosen, result in rows]))
    else:
        print(_title(options, values))
        print("\n".join(columns([_head(names), *(_row(chosen, result) for chosen, result in rows)], left=0, indent="")))
    return 0


def _choices(text: str) -> list[Any]:
    name, _, listed = text.partition("=")
    if name.replace("-", "_") not in COMPARABLE:
        raise Failure(f"--compare {text}: {name!r} is none of {', '.join(COMPARABLE)}", 2)
    kind = float if name.replace("-", "_") in ("write_mib", "compaction_mib", "stored_ratio") else _amount
    try:
        return [kind(value) for value in listed.split(",")]
    except (ValueError, argparse.ArgumentTypeError) as error:
        raise Failure(f"--compare {text}: {error}", 2) from None


def _combinations(choices: list[list[Any]]) -> Iterator[list[Any]]:
    if not choices:
        yield []
        return
    for rest in _combinations(choices[:-1]):
        for value in choices[-1]:
            yield [*rest, value]


def _head(names: list[str]) -> list[str]:
    return [*names, "write", "read", "space", "levels", "compactions", "written", "largest", "peak level 0", "stalls"]


def _row(chosen: list[Any], result: Simulation) -> list[str]:
    last = result.samples[-1]
    return [
        *(f"{value:,}" for value in chosen),
        f"{result.write_amplification:.2f}",
        f"{max(s.read for s in result.samples):.2f}",
        f"{last.space:.2f}" if last.space is not None else "-",
        str(len(result.version.levels)),
        f"{result.compactions:,}",
        amount(result.compaction_bytes_written),
        amount(result.largest_compaction),
        f"{result.peak_level0}",
        f"{result.slowed_seconds + result.stopped_seconds:.1f} s",
    ]
