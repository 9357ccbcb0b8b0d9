"""`lsm top`: what a server is doing, sampled from its /stats.

Guarantees: asks one small request a sample; a server that goes away ends it with one line that says so.
"""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.request
from typing import Any

from lsm.command_line import Failure
from lsm.report import amount

__all__ = ["rates", "run"]

CLEAR = "\x1b[H\x1b[J"
ROWS = 20
Stats = dict[str, Any]
Row = dict[str, Any]


def run(url: str, seconds: float, *, once: bool, as_json: bool) -> int:
    """Prints a sample every so many seconds until Ctrl-C; with `once` one, of what was since the server started."""
    before: Stats | None = None
    taken = 0.0
    try:
        while True:
            now = time.monotonic()
            stats = _asked(url)
            sample = rates(before, stats, now - taken)
            if as_json:
                print(json.dumps(sample), flush=True)
            elif before is not None or once:
                _print(url, sample, seconds)
            if once:
                return 0
            if before is None and not as_json:
                print("sampling ...", flush=True)
            before, taken = stats, now
            time.sleep(seconds)
    except KeyboardInterrupt:
        return 0


def _asked(url: str) -> Stats:
    place = url if "://" in url else f"http://{url}"
    try:
        with urllib.request.urlopen(f"{place.rstrip('/')}/stats", timeout=10) as answer:
            stats: Stats = json.load(answer)
        if not isinstance(stats, dict) or "latency_bounds_seconds" not in stats:
            raise ValueError("its /stats is something else")
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise Failure(f"{place}: no server of this kind answers ({reason}); start one with lsm serve PATH") from None
    return stats


# ---- from two samples to rates


def rates(before: Stats | None, after: Stats, seconds: float) -> Stats:
    """What went on between two samples; before None: since the server started, as totals without rates."""
    earlier = {} if before is None else {(row["operation"], row["table"]): row for row in before["requests"]}
    bounds = after["latency_bounds_seconds"]
    rows = []
    for row in after["requests"]:
        base = earlier.get((row["operation"], row["table"]))
        classes = row["classes"] if base is None else _less(row["classes"], base["classes"])
        n = sum(classes)
        if not n:
            continue
        rows.append(
            {
                "operation": row["operation"] or "(none)",
                "table": row["table"],
                "requests": n,
                "per_second": None if before is None else n / seconds,
                "p50_ms": _percentile(classes, bounds, 0.5),
                "p99_ms": _percentile(classes, bounds, 0.99),
            }
        )
    rows.sort(key=lambda row: -row["requests"])
    return {
        "rows": rows,
        "errors": _errors(before, after),
        "server": after["server"],
        "engine": _engine(before, after, seconds),
    }


def _less(after: list[int], before: list[int]) -> list[int]:
    return [a - b for a, b in zip(after, before, strict=True)]


def _percentile(classes: list[int], bounds: list[float], part: float) -> float | None:
    """Milliseconds: the upper end of the class that the percentile lies in; None where it has no end."""
    wanted = sum(classes) * part
    seen = 0
    for bound, n in zip(bounds, classes, strict=False):
        seen += n
        if seen >= wanted:
            return bound * 1000
    return None


def _errors(before: Stats | None, after: Stats) -> list[Row]:
    earlier = {} if before is None else {(row["operation"], row["code"]): row["errors"] for row in before["errors"]}
    rows = []
    for row in after["errors"]:
        n = row["errors"] - earlier.get((row["operation"], row["code"]), 0)
        if n:
            rows.append({**row, "errors": n})
    return sorted(rows, key=lambda row: -row["errors"])


def _engine(before: Stats | None, after: Stats, seconds: float) -> Row:
    engine = after["engine"]
    facts: Row = {
        "disk_bytes": engine.get("disk_bytes", 0),
        "memtable_bytes": engine.get("memtables", {}).get("bytes", 0),
        "cache_bytes": engine.get("cache", {}).get("used_bytes", 0),
        "compaction_debt_bytes": engine.get("compaction", {}).get("debt_bytes", 0),
        "stall": engine.get("stalls", {}).get("reason", "none"),
        "failure": engine.get("failure"),
    }
    if before is not None:
        for name, path in (("fsyncs", ("wal", "fsyncs")), ("logged_bytes", ("wal", "logged_bytes"))):
            now, then = (stats["engine"].get(path[0], {}).get(path[1], 0) for stats in (after, before))
            facts[f"{name}_per_second"] = (now - then) / seconds
    return facts


# ---- for people


def _print(url: str, sample: Stats, seconds: float) -> None:
    if sys.stdout.isatty():
        sys.stdout.write(CLEAR)
    server, engine = sample["server"], sample["engine"]
    connections = f"{server['connections']:,} connection{'' if server['connections'] == 1 else 's'}"
    lines = [
        f"{url}   {connections}, {amount(server['resident_bytes'])} resident   every {seconds:g} s, Ctrl-C ends",
        f"engine: {amount(engine['disk_bytes'])} on disk, {amount(engine['memtable_bytes'])} in memtables, "
        f"{amount(engine['cache_bytes'])} cached, {amount(engine['compaction_debt_bytes'])} to compact, "
        f"stall: {engine['stall']}",
    ]
    if "fsyncs_per_second" in engine:
        lines.append(
            f"log: {engine['fsyncs_per_second']:,.0f} fsyncs/s, {amount(int(engine['logged_bytes_per_second']))}/s"
        )
    lines.append(
        f"waiting: {server['answers_waiting_for_disk']:,} for the disk, {server['requests_in_threads']:,} in threads, "
        f"{server['answers_waiting_for_readers']:,} for readers ({amount(server['unsent_bytes'])} unsent)"
    )
    if engine["failure"]:
        lines.append(f"THE DATABASE REFUSES WRITES: {engine['failure']}")
    lines += ["", f"{'operation':<20} {'table':<24} {'requests':>10} {'/s':>10} {'p50 ms':>9} {'p99 ms':>9}"]
    lines += [_line(row) for row in sample["rows"][:ROWS]]
    if sample["errors"]:
        lines.append("")
        lines += [
            f"{row['errors']:>10,}  {row['code']} of {row['operation'] or '(none)'}" for row in sample["errors"][:5]
        ]
    print("\n".join(lines), flush=True)


def _line(row: Row) -> str:
    each = "" if row["per_second"] is None else f"{row['per_second']:,.0f}"
    return (
        f"{row['operation']:<20} {row['table'][:24]:<24} {row['requests']:>10,} {each:>10} "
        f"{_milliseconds(row['p50_ms']):>9} {_milliseconds(row['p99_ms']):>9}"
    )


def _milliseconds(value: float | None) -> str:
    return "> 10,000" if value is None else f"<= {value:g}"
