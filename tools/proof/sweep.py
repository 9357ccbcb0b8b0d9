"""The sweep: short random histories, a power failure or a kill at every call, and every disk that may be left checked.

A history runs once; its disk keeps the moment before each call that changes or syncs something, and each moment is
cloned into surviving disks. One thread per process; seeds give everything, but for histories with threads.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import lsm
from lsm.simulated_files import Moment, SimulatedFileSystem
from proof.sweep_database import PATH, choose_options, opened, seeded
from proof.sweep_invariants import INVARIANTS, BrokenError, Found, read_state
from proof.sweep_model import Model
from proof.sweep_operations import History, act, note

__all__ = ["Case", "Figures", "Sweep", "check_case", "run_history"]

MODES = ("ext4", "strict")
OPERATIONS_MOST = 40
PROMISED = 0xFFFFFFFF  # of a moment's note
DEPTH_MOST = 3  # failures one after the other
Make = Callable[[], SimulatedFileSystem]


@dataclass
class Figures:
    """What was tried so far."""

    histories: int = 0
    threaded: int = 0
    crash_points: int = 0
    opens: int = 0
    disks: dict[str, int] = field(default_factory=dict)
    broken: dict[str, int] = field(default_factory=dict)

    def count(self, mode: str, broken: bool) -> None:
        self.disks[mode] = self.disks.get(mode, 0) + 1
        self.broken[mode] = self.broken.get(mode, 0) + broken

    def add(self, other: Figures) -> None:
        self.histories += other.histories
        self.threaded += other.threaded
        self.crash_points += other.crash_points
        self.opens += other.opens
        for mine, theirs in ((self.disks, other.disks), (self.broken, other.broken)):
            for mode, count in theirs.items():
                mine[mode] = mine.get(mode, 0) + count


@dataclass
class Case:
    """One disk to be checked: how it came about, and what must be on it."""

    make: Make
    mode: str
    seed: int  # of what is done with it
    options: dict[str, Any]
    model: Model
    least: int
    most: int
    seen: int
    promised: int  # of a power failure; after a kill `least` is more
    label: str
    trace: list[Any] = field(default_factory=list)
    depth: int = 0


Report = Callable[[Case, BaseException], None]
Prepare = Callable[[SimulatedFileSystem], None]


# ---- histories


def new_disk() -> SimulatedFileSystem:
    return SimulatedFileSystem()


def run_history(seed: int, threads: bool, prepare: Prepare | None = None) -> tuple[History, list[Moment]]:
    """A random history from an empty disk, closed half of the time, and the moments of all its calls."""
    random = Random(seed)
    files = new_disk()
    options = choose_options(random)
    with seeded(random):
        if prepare is not None:
            prepare(files)
        files.record()
        run = History(files, options, random, Model(), threads, opened(files, options, threads=threads))
        try:
            for _ in range(random.randrange(5, OPERATIONS_MOST)):
                act(run)
            if random.random() < 0.5:
                run.drop_snapshots()
                run.db.close()
                run.model.promise_all()
                files.note = note(run.model)
                files.mkdir(f"{PATH}-end")  # one more moment
            files.record(0)
        finally:
            run.snapshots.clear()
            run.db.close()
    return run, files.moments()


# ---- one disk


@contextlib.contextmanager
def closing(db: lsm.Database) -> Iterator[lsm.Database]:
    """Closes it also after a failed check, whose exception is the one to see."""
    try:
        yield db
    except BaseException:
        with contextlib.suppress(Exception):
            db.close()
        raise
    db.close()


def look(case: Case, files: SimulatedFileSystem, db: lsm.Database) -> Found:
    """Every invariant, on an opened database."""
    found = Found(db, files, case.options, case.model, case.least, case.most, case.seen, {})
    found.state = read_state(db)
    for invariant in INVARIANTS:
        try:
            invariant.check(found)
        except BrokenError as error:
            raise BrokenError(f"{invariant.name}: {error}") from None
    return found


class Sweep:
    """Checks disks, counts them, reports the broken ones."""

    def __init__(
        self, modes: tuple[str, ...] = MODES, report: Report | None = None, tick: Callable[[], None] | None = None
    ) -> None:
        """`report` gets every broken disk, `tick` is called after every crash point."""
        self.modes = modes
        self.tick = tick
        self.figures = Figures()
        self._report = report

    # ---- what happens to one disk

    def check(self, case: Case) -> bool:
        """Whether the contract holds on this disk, and on those that the next failures make of it."""
        try:
            with seeded(Random(case.seed)):
                following = self._check(case)
        except Exception as error:
            self.figures.count(case.mode, True)
            if self._report is not None:
                self._report(case, error)
            return False
        self.figures.count(case.mode, False)
        return all([self.check(each) for each in following])

    def _open(self, case: Case, files: SimulatedFileSystem) -> lsm.Database:
        self.figures.opens += 1
        return opened(files, case.options, threads=False)

    def _check(self, case: Case) -> list[Case]:
        """Opens, checks, goes on working, and gives the disks that a failure on the way may leave."""
        random = Random(case.seed)
        files = case.make()
        deeper = case.depth < DEPTH_MOST
        recovering = deeper and random.random() < 0.3
        files.note = case.least
        files.record(1 if recovering else 0)
        db = self._open(case, files)
        with closing(db):
            files.record(0)
            found = look(case, files, db)
            following = self._during_recovery(case, random, files.moments())
            if random.random() < 0.2:
                following.append(self._right_after(case, random, files, found))
            if deeper and random.random() < 0.3:
                return following + self._go_on(case, random, files, db, found)
        self._open_again(case, files, found)
        return following

    def _open_again(self, case: Case, files: SimulatedFileSystem, found: Found) -> None:
        """After a clean close: nothing changes, and commits go on."""
        with closing(self._open(case, files)) as db:
            if read_state(db) != found.state:
                raise BrokenError("a second open changed the state")
            name = "after" if "after" not in found.state else "after that"
            handle = db.keyspace(name)
            sequence = handle.put(b"k", b"v", sync=True)
            if sequence <= found.model.given(max(found.seen, found.prefix)):
                raise BrokenError(f"sequence {sequence:#x} was given before")
            if handle.get(b"k") != b"v" or db.durable_sequence < sequence:
                raise BrokenError("a commit with sync after recovery is not there, or not durable")

    # ---- the next failure

    def _during_recovery(self, case: Case, random: Random, moments: list[Moment]) -> list[Case]:
        """The power fails again while the disk is being opened: what was promised then still is."""
        chosen = random.sample(moments, min(1 if case.depth else 3, len(moments)))
        return [
            self._next(case, random, moment, case.promised, case.least, f"recovery call {moment.number}")
            for moment in chosen
        ]

    def _right_after(self, case: Case, random: Random, files: SimulatedFileSystem, found: Found) -> Case:
        """The power fails when the recovered state was shown: it stays."""
        state = files.clone(0, "killed")
        shown = replace(case, most=found.prefix)
        return self._next(shown, random, state, found.prefix, found.prefix, "after recovery")

    def _go_on(
        self, case: Case, random: Random, files: SimulatedFileSystem, db: lsm.Database, found: Found
    ) -> list[Case]:
        """A few more operations on the recovered database, and a failure at one of their calls."""
        model = case.model.prefix(found.prefix, found.seen)
        run = History(files, case.options, random, model, False, db, stamp=1000 * (case.depth + 1))
        files.note = note(model)
        files.record()
        for _ in range(random.randrange(1, 12)):
            act(run)
        files.record(0)
        run.snapshots.clear()
        if run.db is not db:
            run.db.close()
        moments = files.moments()
        chosen = random.sample(moments, min(1 if case.depth else 3, len(moments)))
        after = replace(case, model=model, most=len(model.commits))
        return [
            self._next(
                replace(after, seen=each.note >> 32),
                random,
                each,
                each.note & PROMISED,
                each.note >> 32,
                f"call {each.number}",
            )
            for each in chosen
        ]

    def _next(
        self,
        case: Case,
        random: Random,
        moment: Moment | SimulatedFileSystem,
        promised: int,
        returned: int,
        label: str,
    ) -> Case:
        """After a power failure `promised` commits must be there, after a kill `returned`."""
        mode, seed = choose_mode(random, self.modes), random.getrandbits(60)
        return replace(
            case,
            make=lambda: moment.clone(seed, mode),
            mode=mode,
            seed=random.getrandbits(60),
            least=returned if mode == "killed" else promised,
            promised=promised,
            label=f"{case.label}, {label} ({mode})",
            trace=moment.trace if isinstance(moment, Moment) else moment.trace()[-40:],
            depth=case.depth + 1,
        )

    # ---- whole histories

    def history(
        self, seed: int, *, share: float = 1.0, until: float | None = None, prepare: Prepare | None = None
    ) -> bool:
        """All crash points of one history, or a share of them, until a time of `time.monotonic`; whether all held."""
        threads = is_threaded(seed)
        run, moments = run_history(seed, threads, prepare)
        self.figures.histories += 1
        self.figures.threaded += threads
        whole = True
        random = Random(~seed)
        for moment in moments:
            if random.random() >= share:
                continue
            if until is not None and time.monotonic() > until:
                break
            self.figures.crash_points += 1
            for case in cases(seed, run, moment, self.modes):
                whole &= self.check(case)
            if self.tick is not None:
                self.tick()
        return whole


def is_threaded(seed: int) -> bool:
    """Every fourth history has its flushes and compactions in threads of their own."""
    return seed % 4 == 3


def choose_mode(random: Random, modes: tuple[str, ...]) -> str:
    """Mostly one of the modes asked for; also the extremes, and a kill, after which the cache is what it was."""
    return random.choice((*modes, *modes, *modes, "nothing", "everything", "killed"))


def cases(seed: int, run: History, moment: Moment, modes: tuple[str, ...]) -> Iterator[Case]:
    """The disks that are tried of one moment: two of each mode, and one of the others."""
    random = Random(seed << 20 | moment.number)
    for mode in (*modes, *modes, random.choice(("nothing", "everything", "killed"))):
        yield case_of(seed, run, moment, mode, random.getrandbits(60))


def case_of(seed: int, run: History, moment: Moment, mode: str, clone: int) -> Case:
    """A kill loses nothing that was committed; a power failure nothing that was promised."""
    seen, promised = moment.note >> 32, moment.note & PROMISED
    least = seen if mode == "killed" else promised
    label = f"history {seed}, call {moment.number} ({mode}, {clone})"
    most = len(run.model.commits)

    def make() -> SimulatedFileSystem:
        return moment.clone(clone, mode)

    return Case(make, mode, clone ^ 0x5EED, run.options, run.model, least, most, seen, promised, label, moment.trace)


def check_case(case: Case) -> BaseException | None:
    """Checks one disk and what follows from it; the first failure, or None."""
    failures: list[BaseException] = []
    Sweep(report=lambda _, error: failures.append(error)).check(case)
    return failures[0] if failures else None
