"""What must hold of every disk that a power failure or a kill leaves, once it was opened. One list; features add to it.

Each invariant reads the opened database and raises Broken. One thread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import lsm
from lsm import directory as names
from lsm.simulated_files import SimulatedFileSystem
from proof.sweep_database import PATH
from proof.sweep_model import KeyspaceState, Model, State

__all__ = ["INVARIANTS", "BrokenError", "Found", "read_state"]


class BrokenError(AssertionError):
    """A disk on which the contract does not hold."""


@dataclass
class Found:
    """An opened database on a disk that was found, and what it may hold: `least` to `most` commits of the model.

    `seen` had returned before the failure: their sequences are known to somebody.
    """

    db: lsm.Database
    files: SimulatedFileSystem
    options: dict[str, Any]
    model: Model
    least: int
    most: int
    seen: int
    state: State
    prefix: int = -1  # how many commits survived, once that is known


def read_state(db: lsm.Database) -> State:
    """All keyspaces, by full scans."""
    state: State = {}
    for name in db.keyspaces():
        handle = db.keyspace(name)
        items = list(handle.scan())
        state[name] = KeyspaceState(handle.partitions, handle.composite, dict(items))
        if len(state[name].data) != len(items):
            raise BrokenError(f"a scan of {name} gave a key twice")
        if not handle.composite and items != sorted(items):
            raise BrokenError(f"a scan of {name} is out of order")
    return state


def state_is_a_prefix(found: Found) -> None:
    """The state after some number of commits, every promised one among them."""
    prefix = found.model.find(found.state, found.least, found.most)
    if prefix is None:
        raise BrokenError(f"the state is that after no number of commits: {difference(found)}")
    if prefix < found.least:
        lost = found.model.commits[prefix]
        raise BrokenError(f"{prefix} commits survived, {found.least} were promised; the first lost is {lost}")
    if prefix > found.most:
        raise BrokenError(f"{prefix} commits survived, only {found.most} had been made")
    found.prefix = prefix


def difference(found: Found) -> str:
    """How the state differs from the promised one, in short."""
    wanted = found.model.prefix(found.least).state
    if sorted(wanted) != sorted(found.state):
        return f"keyspaces {sorted(found.state)}, {sorted(wanted)} were promised"
    for name, keyspace in wanted.items():
        got = found.state[name].data
        for key in sorted(set(keyspace.data) | set(got)):
            if keyspace.data.get(key) != got.get(key):
                return f"in {name} {key!r} is {got.get(key, b'')[:20]!r}, not {keyspace.data.get(key, b'')[:20]!r}"
    return "the promised commits are there, others only in part"


def reads_agree(found: Found) -> None:
    """Point reads, and scans backwards, say what the scan said."""
    for name, state in found.state.items():
        handle = found.db.keyspace(name)
        keys = list(state.data)
        if handle.get_many(keys) != list(state.data.values()):
            raise BrokenError(f"point reads of {name} disagree with its scan")
        if list(handle.scan(reverse=True, values=False)) != keys[::-1]:
            raise BrokenError(f"a scan of {name} backwards disagrees with the one forwards")
        absent = (b"p0", b"absent") if state.composite else b"absent"
        if handle.get(absent) is not None:
            raise BrokenError(f"{name} has a key that nobody put there")


def what_was_recovered_is_durable(found: Found) -> None:
    """Readers see it, so the next failure must not take it."""
    if found.db.durable_sequence < found.db.last_sequence:
        raise BrokenError("what recovery shows is not durable")


def no_file_is_left_over(found: Found) -> None:
    """Every file is one that the open database needs; tables that recovery dropped go with the garbage."""
    store = found.db._store
    store.engine.collect_garbage()
    needed = {names.LOCK, names.CURRENT, names.manifest_name(store.manifest.number)}
    needed |= {names.table_name(number) for number in store.version.table_numbers()}
    needed |= {names.segment_name(segment[0]) for segment in store.log.segments()}
    there = set(found.files.listdir(PATH))
    optional = {names.RING, names.RESERVE}
    if there - needed - optional:
        raise BrokenError(f"orphans: {sorted(there - needed - optional)}")
    if needed - there:
        raise BrokenError(f"missing: {sorted(needed - there)}")


def sequences_are_new(found: Found) -> None:
    """No number of a commit that may have been seen comes again: the next one is above all of them."""
    given = found.model.given(found.seen)
    if found.prefix < found.seen and found.db.last_sequence < given:
        raise BrokenError(f"sequences go on after {found.db.last_sequence:#x}, {given:#x} was given")


@dataclass(frozen=True)
class Invariant:
    """`check` raises BrokenError; the order of the list is the order of checking."""

    name: str
    check: Callable[[Found], None]


INVARIANTS: tuple[Invariant, ...] = (
    Invariant("no file is left over", no_file_is_left_over),
    Invariant("the state is a prefix of the commits", state_is_a_prefix),
    Invariant("reads agree", reads_agree),
    Invariant("what was recovered is durable", what_was_recovered_is_durable),
    Invariant("sequences are new", sequences_are_new),
)
