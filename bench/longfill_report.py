"""Tables of the long fill: each record count, then what growing cost: ratios that fell, times that rose."""

from __future__ import annotations

from bench.engines import ENGINES, OURS
from bench.goals import judge
from bench.longfill import TENTHS, TITLES
from bench.report import Row, figure, figures, heading, ratios, table, times
from bench.results import Results

KEPT_RATIO = 0.7  # of the ratios at the middle record count
RISE = 2.0  # of what fits the cache, against the smallest record count
LAST_TENTH = 1.3  # against the first

RATIO_ROWS = ("fill", "put_batch", "delete", "get", "get_zipfian", "get_hot", "get_absent")
CACHED_ROWS = ("fill", "put_batch", "delete", "get_hot")
ROWS = [Row(name, title, unit) for name, (title, unit) in TITLES.items()]
PARTS = ("first_tenth", "last_tenth", "settle")  # of another row: who fills slowly owes less at its end
WHOLES = [row for row in ROWS if row.name not in PARTS]


def show_long_fill(results: Results) -> str:
    parts = [heading(results)]
    for records in results.record_counts:
        parts += [figures(results, records, ROWS), ratios(results, records, WHOLES), _tenths(results, records)]
    parts.append(growth(results))
    parts += [f"failed: {failure}" for failure in results.failures]
    return "\n\n".join(part for part in parts if part)


def growth(results: Results) -> str:
    """lsm at the largest count against itself: the rules a store has to keep as it grows."""
    counts = results.record_counts
    if not counts or OURS not in results.engines:
        return ""
    lines = [_last_tenth(results, counts[-1])]
    if len(counts) > 1:
        lines += [_kept(results, counts[-2], counts[-1], row) for row in RATIO_ROWS]
        lines += [_risen(results, counts[0], counts[-1], row) for row in CACHED_ROWS]
    known = [line for line in lines if line]
    hint = "" if len(counts) > 1 else "\n\n(run with --records 200k,1M,5M to compare record counts)"
    return f"lsm as it grows to {counts[-1]:,} records\n\n" + table(["", "", "limit", ""], known) + hint


def _last_tenth(results: Results, records: int) -> list[str]:
    first, last = (results.median(records, OURS, row) for row in ("first_tenth", "last_tenth"))
    if first is None or last is None:
        return []
    return _rule("time of the last tenth to the first", last / first, "<=", LAST_TENTH)


def _kept(results: Results, before: int, after: int, row: str) -> list[str]:
    small, large = judge(results, before, row), judge(results, after, row)
    if small is None or large is None:
        return []
    title = f"ratio at {after:,} to ratio at {before:,}: {TITLES[row][0]}"
    return _rule(title, large.ratio / small.ratio, ">=", KEPT_RATIO)


def _risen(results: Results, before: int, after: int, row: str) -> list[str]:
    small, large = (results.median(count, OURS, row) for count in (before, after))
    if small is None or large is None:
        return []
    return _rule(f"time at {after:,} to time at {before:,}: {TITLES[row][0]}", large / small, "<=", RISE)


def _rule(title: str, value: float, sign: str, limit: float) -> list[str]:
    kept = value <= limit if sign == "<=" else value >= limit
    return [title, times(value), f"{sign} {times(limit)}", "ok" if kept else "BELOW" if sign == ">=" else "ABOVE"]


def _tenths(results: Results, records: int) -> str:
    lines = []
    for tenth in range(1, TENTHS + 1):
        medians = [results.median(records, engine, f"tenth_{tenth}") for engine in results.engines]
        lines.append([f"tenth {tenth}", *(figure(value) for value in medians)])
    titles = [ENGINES[engine].title for engine in results.engines]
    return f"{records:,} records, put by tenths, us\n\n" + table(["", *titles], lines)
