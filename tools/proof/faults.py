"""Fault runs: a random history again and again, each time with one call of the file system failing in another place.

After a fault the operation raised one of lsm's exceptions or succeeded; reads go on; after reopening, everything that
was acknowledged is there, and of the failed operation all of its commit or nothing; also after a power failure, but for
what was not promised to survive one. Interrupted calls (EINTR) and short transfers are never seen. One thread; a seed
gives everything.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import json
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

import lsm
from lsm.progress import Progress
from lsm.simulated_files import SimulatedFileSystem
from proof.sweep_database import choose_options, opened, seeded
from proof.sweep_invariants import BrokenError, read_state
from proof.sweep_model import Model
from proof.sweep_operations import History, act

__all__ = ["Fault", "Tally", "add_faults", "faults_of", "plan", "try_fault"]

OPERATIONS_LEAST, OPERATIONS_MOST = 6, 25
FAILING = {
    "open": (errno.EIO, errno.EMFILE, errno.ENOSPC),
    "read": (errno.EIO,),
    "write": (errno.EIO, errno.ENOSPC),
    "sync": (errno.EIO, errno.ENOSPC),
    "sync_dir": (errno.EIO,),
    "truncate": (errno.EIO,),
    "allocate": (errno.ENOSPC,),
    "map": (errno.ENOMEM,),
    "rename": (errno.EIO, errno.ENOSPC),
    "unlink": (errno.EIO,),
    "mkdir": (errno.ENOSPC,),
    "lock": (errno.EIO,),
    "list": (errno.EIO,),
}
INVISIBLE = ("open", "read", "write", "sync", "truncate")
SHORT = ("read", "write")
LEFT = ("nothing", "everything", "ext4", "strict")
LIMIT_SECONDS = 60


@dataclass(frozen=True)
class Fault:
    """The nth call of a kind fails with `os_error`; 0: it transfers one byte only."""

    kind: str
    nth: int
    os_error: int
    halves: bool = False

    @property
    def invisible(self) -> bool:
        """Whether nobody may notice."""
        return self.os_error in (0, errno.EINTR)

    def inject(self, files: SimulatedFileSystem) -> None:
        if self.os_error == 0:
            files.shorten(self.kind, self.nth, 1)
        else:
            files.fail(self.kind, self.nth, self.os_error, halves=self.halves)

    def __str__(self) -> str:
        what = errno.errorcode.get(self.os_error, "a short transfer")
        return f"{what} at {self.kind} {self.nth}{', half written' if self.halves else ''}"


@dataclass
class Plan:
    """A history without faults: its commits, how many there were after each operation, and its calls by kind."""

    seed: int
    model: Model
    after: list[int]
    calls: dict[str, int]


@dataclass
class Tally:
    """What was tried: faults, those that an operation raised for, those nobody noticed, those that broke something."""

    histories: int = 0
    tried: int = 0
    raised: int = 0
    unnoticed: int = 0
    broken: list[str] = field(default_factory=list)


def plan(seed: int) -> Plan:
    """Runs the history of a seed without faults."""
    files = SimulatedFileSystem()
    run, after = _run(seed, files)
    calls = {kind: files.calls(kind) for kind in FAILING}
    with contextlib.suppress(lsm.Error):
        run.db.close()
    return Plan(seed, run.model, after, calls)


@dataclass
class _Stopped(Exception):
    """The history's operation number `at` raised."""

    run: History | None
    at: int
    error: Exception


def _run(seed: int, files: SimulatedFileSystem) -> tuple[History, list[int]]:
    """The history of a seed; _Stopped where an operation raises."""
    random = Random(seed)
    options = choose_options(random)
    after: list[int] = []
    # salts and identities come from elsewhere: a fault that makes the engine ask for more must not change the history
    with seeded(Random(~seed)):
        try:
            run = History(files, options, random, Model(), False, opened(files, options, threads=False))
        except Exception as error:
            raise _Stopped(None, 0, error) from error
        for number in range(random.randrange(OPERATIONS_LEAST, OPERATIONS_MOST)):
            try:
                act(run)
            except Exception as error:
                raise _Stopped(run, number, error) from error
            after.append(len(run.model.commits))
    return run, after


def faults_of(known: Plan, random: Random, share: float) -> Iterator[Fault]:
    """Every call of every kind in turn, or a share of them."""
    for kind, errors in FAILING.items():
        for nth in range(1, known.calls[kind] + 1):
            for os_error in errors:
                if random.random() < share:
                    yield Fault(kind, nth, os_error, halves=kind == "write" and random.random() < 0.5)
            if kind in INVISIBLE and random.random() < share:
                yield Fault(kind, nth, errno.EINTR)
            if kind in SHORT and random.random() < share:
                yield Fault(kind, nth, 0)


def try_fault(known: Plan, fault: Fault) -> bool:
    """Runs the history with the fault; whether an operation raised. BrokenError where the contract does not hold."""
    files = SimulatedFileSystem()
    fault.inject(files)
    try:
        run, _ = _run(known.seed, files)
    except _Stopped as stopped:
        _check_stopped(known, fault, files, stopped)
        return True
    whole = len(known.model.commits)
    files.heal()
    _check_live(run.db, known, whole, whole)
    _check_end(run, known, fault, files, whole, whole)
    return False


def _check_end(run: History, known: Plan, fault: Fault, files: SimulatedFileSystem, least: int, most: int) -> None:
    """Closing, opening again, and losing power before each of the two: what was promised is there then."""
    random = Random(f"{known.seed} {fault}")
    _check_after_power_failure(run, known, random, files, most)
    _close(run)
    _check_after_power_failure(run, known, random, files, most)
    _check_reopened(files, run.options, known, least, most)


def _check_after_power_failure(
    run: History, known: Plan, random: Random, files: SimulatedFileSystem, most: int
) -> None:
    mode = random.choice(LEFT)
    disk = files.clone(random.getrandbits(32), mode)
    try:
        _check_reopened(disk, run.options, known, min(run.model.promised, most), most)
    except lsm.Error as error:
        raise BrokenError(f"after a power failure that left {mode!r}: {type(error).__name__}: {error}") from error


def _check_stopped(known: Plan, fault: Fault, files: SimulatedFileSystem, stopped: _Stopped) -> None:
    error = stopped.error
    if fault.invisible:
        raise BrokenError(f"{type(error).__name__} for {fault}: {error}") from error
    if not isinstance(error, lsm.Error) or isinstance(error, lsm.CorruptionError):
        raise BrokenError(f"{type(error).__name__} is no answer to {fault}: {error}") from error
    files.heal()
    if stopped.run is None:
        random = Random(known.seed)
        _check_reopened(files, choose_options(random), known, 0, 0)
        return
    run = stopped.run
    least, most = len(run.model.commits), known.after[stopped.at]
    if not run.db.closed:
        _check_live(run.db, known, least, most)
    _check_end(run, known, fault, files, least, most)


def _check_live(db: lsm.Database, known: Plan, least: int, most: int) -> None:
    """Reads go on, and show what was acknowledged, and of the operation that failed all or nothing."""
    state = read_state(db)
    if not any(known.model.prefix(length).state == state for length in range(least, most + 1)):
        raise BrokenError(f"reads show neither the {least} acknowledged commits nor {most}")


def _close(run: History) -> None:
    run.snapshots.clear()
    with contextlib.suppress(lsm.Error):
        run.db.close()


def _check_reopened(files: SimulatedFileSystem, options: dict[str, Any], known: Plan, least: int, most: int) -> None:
    db = opened(files, options, threads=False)
    try:
        _check_live(db, known, least, most)
        handle = db.keyspace("after the fault")
        sequence = handle.put(b"k", b"v", sync=True)
        if handle.get(b"k") != b"v" or db.durable_sequence < sequence:
            raise BrokenError("a commit with sync after the fault is not there, or not durable")
    finally:
        db.close()


# ---- the command


def run(options: argparse.Namespace) -> int:
    tally = Tally()
    until = time.monotonic() + options.seconds
    seed = options.history if options.history is not None else options.seed
    with Progress("faults", total=round(options.seconds * 10), stream=sys.stderr) as bar:
        try:
            while time.monotonic() < until:
                history(seed, options.share, until, tally, bar)
                seed += 1
                if options.history is not None:
                    break
        except KeyboardInterrupt:
            print("\ninterrupted; so far:", file=sys.stderr)
    summary = {
        "histories": tally.histories,
        "faults tried": tally.tried,
        "raised": tally.raised,
        "unnoticed": tally.unnoticed,
        "broken": len(tally.broken),
    }
    print(json.dumps(summary) if options.json else ", ".join(f"{count:,} {name}" for name, count in summary.items()))
    return 1 if tally.broken else 0


def history(seed: int, share: float, until: float, tally: Tally, bar: Progress | None = None) -> None:
    """All faults of one history, or a share of them, until a time of `time.monotonic`."""
    known = plan(seed)
    tally.histories += 1
    begun = until - time.monotonic()
    for fault in faults_of(known, Random(~seed), share):
        if time.monotonic() > until:
            return
        tally.tried += 1
        try:
            with _limited():
                raised = try_fault(known, fault)
            tally.raised += raised
            tally.unnoticed += not raised
        except Exception as error:
            tally.broken.append(f"history {seed}, {fault}: {type(error).__name__}: {error}")
            if bar is not None:
                bar.clear()
            print(f"BROKEN {tally.broken[-1]}", file=sys.stderr)
            print(f"  replay: python tools/prove.py faults --history {seed} --share 1", file=sys.stderr)
        if bar is not None:
            bar.update(round((begun - (until - time.monotonic())) * 10), tally.tried)


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    """A fault after which something never ends is a broken one too; only the main thread can be told."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def tell(*_: object) -> None:
        raise BrokenError(f"not done after {LIMIT_SECONDS} s")

    before = signal.signal(signal.SIGALRM, tell)
    signal.alarm(LIMIT_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def add_faults(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "faults",
        help="one call of the file system fails, each in turn",
        description="Runs random histories with one failing call each: EIO, ENOSPC, EINTR, short transfers.",
        epilog="examples:\n  python tools/prove.py faults --seconds 600\n"
        "  python tools/prove.py faults --history 17 --share 1     every call of one history",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="how long (default 60)")
    parser.add_argument("--seed", type=int, default=0, help="first history (default 0)")
    parser.add_argument("--history", type=int, help="only this history")
    parser.add_argument("--share", type=float, default=0.3, help="share of the faults of a history (default 0.3)")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    parser.set_defaults(run=run)
