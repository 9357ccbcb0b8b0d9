"""`python tools/prove.py sweep`: histories without end, in one process or several, until the time is over.

Prints disks tried and broken by mode; Ctrl-C prints them too. Every broken disk is saved, with commands that replay it.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lsm.progress import Progress
from proof.sweep import MODES, Case, Figures, Sweep, is_threaded
from proof.sweep_replay import save

__all__ = ["add_sweep"]

EPILOG = """examples:
  python tools/prove.py sweep --seconds 60
  python tools/prove.py sweep --hours 3 --processes 2 --seed 1000000
  python tools/prove.py sweep --history 4711          every crash point of one history, until it is done
  python tools/prove.py replay broken-disks/broken-0001

A history is a few dozen operations on a disk in memory. At every call that changes or syncs something the power fails,
and some of the disks that may be left are opened and checked; some of those lose power again while they recover."""


class Collector:
    """Figures and broken disks of all workers, and the progress bar."""

    def __init__(self, options: argparse.Namespace, bar: Progress) -> None:
        self.total = Figures()
        self.broken: list[dict[str, str]] = []
        self._parts: dict[int, Figures] = {}
        self._options = options
        self._bar = bar
        self._begun = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._begun

    def figures(self, worker: int, figures: Figures) -> None:
        self._parts[worker] = figures
        self.total = Figures()
        for part in self._parts.values():
            self.total.add(part)
        self._bar.update(round(self.seconds * 10), sum(self.total.disks.values()))

    def failure(self, failure: dict[str, str]) -> None:
        self.broken.append(failure)
        self._bar.clear()
        print(f"BROKEN {failure['label']}\n  {failure['what']}", file=sys.stderr)
        print(f"  replay the disk:    python tools/prove.py replay {failure['saved']}", file=sys.stderr)
        print(f"  replay the history: {failure['command']}", file=sys.stderr)

    def summary(self) -> dict[str, Any]:
        t = self.total
        return {
            "seconds": round(self.seconds, 1),
            "histories": t.histories,
            "histories with threads": t.threaded,
            "crash points": t.crash_points,
            "disks tried": t.disks,
            "disks broken": t.broken,
            "opens": t.opens,
            "opens per second": round(t.opens / max(self.seconds, 0.001), 1),
            "failures": self.broken,
        }


def report_to(
    send: Callable[[dict[str, str]], None], options: argparse.Namespace
) -> Callable[[Case, BaseException], None]:
    def report(case: Case, error: BaseException) -> None:
        seed = case.label.split(",")[0].removeprefix("history ")
        hint = "" if not is_threaded(int(seed)) else "   (has threads: may need several runs)"
        send(
            {
                "label": case.label,
                "what": f"{type(error).__name__}: {error}"[:500],
                "saved": str(save(case, error, Path(options.save))),
                "command": f"python tools/prove.py sweep --history {seed} --mode {options.mode}{hint}",
            }
        )

    return report


def work(worker: int, options: argparse.Namespace, deadline: float, send: Callable[[str, int, Any], None]) -> None:
    """Histories seed + worker, and every so-manieth after it, until the deadline of `time.monotonic`."""

    def tick() -> None:
        send("figures", worker, sweep.figures)

    sweep = Sweep(
        MODES if options.mode == "both" else (options.mode,),
        report_to(lambda failure: send("failure", worker, failure), options),
        tick,
    )
    seeds = [options.history] if options.history is not None else None
    seed = options.seed + worker
    while time.monotonic() < deadline and seeds != []:
        current = seeds.pop() if seeds else seed
        try:
            sweep.history(current, share=options.share, until=deadline)
        except Exception as error:
            # The database failed before any crash: the history's seed is all that there is to keep.
            what = f"{type(error).__name__}: {error}"
            traceback.print_exc()
            command = f"python tools/prove.py sweep --history {current}"
            send("failure", worker, {"label": f"history {current}", "what": what, "saved": "-", "command": command})
        seed += options.processes
        tick()


def work_apart(worker: int, options: argparse.Namespace, seconds: float, queue: Any) -> None:
    """In a process of its own, which Ctrl-C reaches through the first one only."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    work(worker, options, time.monotonic() + seconds, lambda *message: queue.put(message))
    queue.put(("done", worker, None))


def run_apart(options: argparse.Namespace, seconds: float, collector: Collector) -> None:
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    workers = [
        context.Process(target=work_apart, args=(worker, options, seconds, queue), daemon=True)
        for worker in range(options.processes)
    ]
    for worker in workers:
        worker.start()
    running = len(workers)
    try:
        while running and any(worker.is_alive() for worker in workers):
            kind, number, what = queue.get(timeout=600)
            if kind == "done":
                running -= 1
            else:
                getattr(collector, kind)(*((number, what) if kind == "figures" else (what,)))
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()


def run_here(options: argparse.Namespace, seconds: float, collector: Collector) -> None:
    def send(kind: str, worker: int, what: Any) -> None:
        if kind == "figures":
            collector.figures(worker, what)
        else:
            collector.failure(what)

    work(0, options, time.monotonic() + seconds, send)


def run(options: argparse.Namespace) -> int:
    seconds = options.hours * 3600 if options.hours else options.seconds
    if options.history is not None:
        seconds, options.processes = 1e9, 1
    total = None if options.history is not None else round(seconds * 10)
    with Progress("disks", total=total, stream=sys.stderr) as bar:
        collector = Collector(options, bar)
        try:
            (run_here if options.processes == 1 else run_apart)(options, seconds, collector)
        except KeyboardInterrupt:
            print("\ninterrupted; so far:", file=sys.stderr)
    show(collector.summary(), options.json)
    return 1 if collector.broken else 0


def show(summary: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(summary, indent=2))
        return
    print(
        f"{summary['histories']:,} histories ({summary['histories with threads']:,} with threads), "
        f"{summary['crash points']:,} crash points, {summary['opens']:,} opens, "
        f"{summary['opens per second']:,}/s, {summary['seconds']:,} s"
    )
    print(f"{'surviving disks':<16} {'tried':>10} {'broken':>10}")
    tried, broken = summary["disks tried"], summary["disks broken"]
    for mode in sorted(tried):
        print(f"{mode:<16} {tried[mode]:>10,} {broken.get(mode, 0):>10,}")
    print(f"{'all':<16} {sum(tried.values()):>10,} {sum(broken.values()):>10,}")


def add_sweep(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "sweep",
        help="power failures at every call, and every kind of disk they may leave",
        description="Loses power at every call of random histories and checks the disks that may be left.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="how long (default 60)")
    parser.add_argument("--hours", type=float, help="how long, in hours")
    parser.add_argument("--seed", type=int, default=0, help="first history (default 0)")
    parser.add_argument("--history", type=int, help="only this history, all of it")
    parser.add_argument("--share", type=float, default=1.0, help="share of the crash points that is tried (default 1)")
    parser.add_argument("--mode", choices=[*MODES, "both"], default="both", help="order kept by the file system")
    parser.add_argument("--processes", type=int, default=1, help="how many at once (default 1)")
    parser.add_argument("--save", default="broken-disks", help="where broken disks go (default broken-disks)")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    parser.set_defaults(run=run)
