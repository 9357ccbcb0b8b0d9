"""Tables of a run, as Markdown that also reads well on a terminal: the figures, and the ratios with the goals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.engines import ENGINES
from bench.goals import Judged, Verdict, judge
from bench.results import Results
from bench.workloads import EXTRA_TITLES, WORKLOADS

UNITS = {"open": "ms", "open_log": "ms", "memory_write": "MB", "memory_read": "MB", "disk": "MB"}
CPU_ROWS = {"put_cpu": "put, one call each: CPU time", "refill_cpu": "fill + batch refill + settle: CPU time"}
AMPLIFICATIONS = ("write_amplification", "own_write_amplification")


@dataclass(frozen=True)
class Row:
    name: str
    title: str
    unit: str


def rows_of_run() -> list[Row]:
    """All rows of the standard run in the order of the table."""
    workloads = [Row(workload.name, workload.title, "us") for workload in WORKLOADS.values()]
    cpu = [Row(name, title, "us") for name, title in CPU_ROWS.items()]
    extras = [Row(name, title, UNITS.get(name, "x")) for name, title in EXTRA_TITLES.items()]
    return workloads + cpu + extras


def show_run(results: Results) -> str:
    parts = [heading(results)]
    rows = rows_of_run()
    for records in results.record_counts:
        parts += [figures(results, records, rows), ratios(results, records, rows)]
    parts += [f"failed: {failure}" for failure in results.failures]
    return "\n\n".join(part for part in parts if part)


def heading(results: Results) -> str:
    meta = results.meta
    engines = ", ".join(f"{ENGINES[name].title} {version}".strip() for name, version in meta["engines"].items())
    machine = f"{meta['processors']} x {meta['processor']}, {meta['system']}, CPython {meta['python']}"
    return f"{engines}\n{machine}; median of {meta['rounds']}; {meta['date']}"


def figures(results: Results, records: int, rows: Sequence[Row]) -> str:
    """The medians of every engine."""
    engines = [name for name in results.engines if any(results.samples.get((records, name, row.name)) for row in rows)]
    lines = []
    for row in rows:
        medians = [results.median(records, engine, row.name) for engine in engines]
        if any(value is not None for value in medians):
            lines.append([row.title, row.unit, *map(figure, medians)])
    if not lines:
        return ""
    titles = [ENGINES[engine].title for engine in engines]
    return f"{records:,} records\n\n" + table(["", "unit", *titles], lines)


def ratios(results: Results, records: int, rows: Sequence[Row]) -> str:
    """How many times better lsm is than the better of LevelDB and RocksDB, and the goals beside it."""
    judged = [(row, verdict) for row in rows if (verdict := judge(results, records, row.name))]
    if not judged:
        return ""
    header = ["lsm, times better than", "the better of both", "which is", "goal", "least", "", "LMDB"]
    lines = [_ratio_line(row, verdict) for row, verdict in judged]
    return f"{records:,} records: {_summary([verdict for _, verdict in judged])}\n\n" + table(header, lines)


def _ratio_line(row: Row, judged: Judged) -> list[str]:
    lmdb = times(judged.to_lmdb)
    if judged.lmdb_leads and judged.to_lmdb is not None and judged.to_lmdb < 1:
        lmdb += " BELOW"
    peer = ENGINES[judged.better_peer].title
    return [row.title, times(judged.ratio), peer, times(judged.aim), times(judged.least), judged.verdict.value, lmdb]


def _summary(judged: Sequence[Judged]) -> str:
    aimed = [item for item in judged if item.aim is not None]
    met = sum(item.verdict is Verdict.AIM for item in aimed)
    below = [f"{item.row} {item.ratio:.2f}x" for item in judged if item.verdict is Verdict.BELOW]
    missed = f"; below the least: {', '.join(below)}" if below else "; none below the least"
    return f"{met} of {len(aimed)} goals met{missed}"


def table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table with aligned columns, the first to the left, the others to the right."""
    widths = [max(len(cells[i]) for cells in (header, *lines)) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        others = [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
        return f"| {' | '.join([cells[0].ljust(widths[0]), *others])} |"

    rules = ["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])]
    return "\n".join([line(header), f"|{'|'.join(rules)}|", *map(line, lines)])


def figure(value: float | None) -> str:
    """Three significant digits."""
    if value is None:
        return "-"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def times(ratio: float | None) -> str:
    if ratio is None:
        return "-"
    if ratio >= 1 and ratio == round(ratio):
        return f"{ratio:.0f}x"
    return f"{ratio:.1f}x" if ratio >= 10 else f"{ratio:.2f}x"
