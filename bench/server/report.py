"""Tables of a run, as Markdown that also reads well on a terminal: answers a second, ratios, latencies, CPU, memory."""

from __future__ import annotations

from collections.abc import Callable

from bench.goals import Verdict
from bench.report import figure, table, times
from bench.server.engines import ENGINES
from bench.server.goals import COMPARISONS, Comparison, Judged, judge
from bench.server.operations import OPERATIONS
from bench.server.results import UNKNOWN, Results

__all__ = ["show"]

INVALID, ABSENT = "invalid", "not there"


def show(results: Results) -> str:
    parts = [
        _heading(results),
        "requests a second\n\n" + _figures(results, _rate),
        *(_ratios(results, comparison) for comparison in COMPARISONS if comparison.aimed),
        _others(results),
        "latency in ms, half of the requests / 99 of 100\n\n" + _figures(results, _latency),
        "CPU time of the server, us a request\n\n" + _figures(results, _cpu),
        *(_cpu_ratios(results, comparison) for comparison in COMPARISONS if comparison.aimed),
        _servers(results),
        "\n".join(_remarks(results)),
    ]
    return "\n\n".join(part for part in parts if part)


def _heading(results: Results) -> str:
    meta = results.meta
    machine = f"{meta['processors']} x {meta['processor']}, {meta['system']}, CPython {meta['python']}"
    how = f"{meta['items']:,} items, {meta['seconds']:g} s a cell, median of {meta['rounds']}; {meta['date']}"
    return f"{machine}{', one of them used' if meta['one_processor'] else ''}\n{how}"


def _figures(results: Results, cell: Callable[[Results, str, str, int], str]) -> str:
    """One line for each operation and number of connections, one column for each server."""
    lines = [
        [f"{OPERATIONS[operation].title}, {connections}"]
        + [cell(results, engine, operation, connections) for engine in results.engines]
        for operation in results.operations
        for connections in results.connections
    ]
    return table(["", *(ENGINES[engine].title for engine in results.engines)], lines)


def _rate(results: Results, engine: str, operation: str, connections: int) -> str:
    if fault := results.fault(engine, operation, connections):
        return ABSENT if UNKNOWN in fault else INVALID
    value = results.median(engine, operation, connections)
    return figure(value)


def _latency(results: Results, engine: str, operation: str, connections: int) -> str:
    half, most = (results.median(engine, operation, connections, name) for name in ("p50", "p99"))
    return "-" if half is None else f"{figure(half)} / {figure(most)}"


def _cpu(results: Results, engine: str, operation: str, connections: int) -> str:
    return figure(results.median(engine, operation, connections, "cpu"))


def _all_judged(results: Results, comparison: Comparison) -> list[Judged]:
    cells = [(operation, connections) for operation in results.operations for connections in results.connections]
    return [judged for cell in cells if (judged := judge(results, comparison, *cell))]


def _ratios(results: Results, comparison: Comparison) -> str:
    """A comparison with goals: one line an operation, for each number of connections the ratio and its verdict."""
    judged = {(one.operation, one.connections): one for one in _all_judged(results, comparison)}
    if not judged:
        return ""
    lines = []
    for operation in results.operations:
        cells = [judged.get((operation, connections)) for connections in results.connections]
        aims = _list([comparison.aim(OPERATIONS[operation], connections) for connections in results.connections])
        leasts = _list([comparison.least(OPERATIONS[operation], connections) for connections in results.connections])
        lines.append([OPERATIONS[operation].title, *(_ratio(one) for one in cells), aims, leasts])
    ours, peer = ENGINES[comparison.ours], ENGINES[comparison.peer]
    header = ["connections", *map(str, results.connections), "goal", "least"]
    title = f"{ours.title} (survives {ours.survives}), times as many requests a second as {peer.title}"
    return f"{title}: {_summary(list(judged.values()))}\n\n" + table(header, lines)


def _cpu_ratios(results: Results, comparison: Comparison) -> str:
    """What a busy machine changes least."""
    ours, peer = ENGINES[comparison.ours], ENGINES[comparison.peer]
    lines = [
        [OPERATIONS[operation].title]
        + [times(_cpu_ratio(results, comparison, operation, connections)) for connections in results.connections]
        for operation in results.operations
    ]
    if all(cell == "-" for line in lines for cell in line[1:]):
        return ""
    title = f"CPU time a request of {peer.title}, times that of {ours.title}"
    return f"{title}\n\n" + table(["connections", *map(str, results.connections)], lines)


def _cpu_ratio(results: Results, comparison: Comparison, operation: str, connections: int) -> float | None:
    ours = results.median(comparison.ours, operation, connections, "cpu")
    theirs = results.median(comparison.peer, operation, connections, "cpu")
    return theirs / ours if ours and theirs is not None else None


def _list(values: list[float | None]) -> str:
    """One value where all are the same."""
    return " / ".join(times(value) for value in (values[:1] if len(set(values)) == 1 else values))


def _ratio(judged: Judged | None) -> str:
    if judged is None:
        return "-"
    return times(judged.ratio) + (f" {judged.verdict.value}" if judged.verdict is Verdict.BELOW else "")


def _summary(judged: list[Judged]) -> str:
    met = sum(one.verdict is Verdict.AIM for one in judged)
    below = sum(one.verdict is Verdict.BELOW for one in judged)
    return f"{met} of {len(judged)} goals met, {below or 'none'} below the least"


def _others(results: Results) -> str:
    """The comparisons in which we only want to be ahead."""
    found = {one: _all_judged(results, one) for one in COMPARISONS if not one.aimed}
    shown = {comparison: judged for comparison, judged in found.items() if judged}
    if not shown:
        return ""
    lines = []
    for operation in results.operations:
        for connections in results.connections:
            cells = [
                next((one for one in judged if (one.operation, one.connections) == (operation, connections)), None)
                for judged in shown.values()
            ]
            lines.append([f"{OPERATIONS[operation].title}, {connections}", *map(_ratio, cells)])
    ours = ENGINES[next(iter(shown)).ours]
    title = f"{ours.title} (survives {ours.survives}), times as many requests a second as"
    return f"{title}\n\n" + table(["", *(ENGINES[comparison.peer].title for comparison in shown)], lines)


def _servers(results: Results) -> str:
    lines = [
        [ENGINES[engine].title, ENGINES[engine].survives]
        + [figure(results.visit(engine, name)) for name in ("start", "idle", "end")]
        for engine in results.engines
        if results.visits.get(engine)
    ]
    header = ["server", "writes survive", "start to first answer, ms", "resident then, MB", "at the end, MB"]
    return table(header, lines) if lines else ""


def _remarks(results: Results) -> list[str]:
    """Why cells are invalid, once for each reason of a server and an operation; what failed; what is missing."""
    lines = []
    for engine, operation, connections in results.samples:
        fault = results.fault(engine, operation, connections)
        if fault and UNKNOWN not in fault:
            lines.append(f"invalid: {ENGINES[engine].title}, {OPERATIONS[operation].title}, {connections}: {fault}")
    lines += [f"failed: {failure}" for failure in results.failures]
    lines += [f"left out: {ENGINES[engine].title}; {why}" for engine, why in results.missing.items()]
    return lines
