"""What a history committed, and the state after every prefix of it.

Written from the public contract alone. `promised` commits must survive a power failure. One thread.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Commit", "Created", "Dropped", "KeyspaceState", "Model", "Put", "State"]

Key = Any  # bytes, or a pair of bytes in a composite keyspace


@dataclass(frozen=True)
class Put:
    keyspace: str
    key: Key
    value: bytes | None  # None: deleted


@dataclass(frozen=True)
class Created:
    keyspace: str
    partitions: int
    composite: bool


@dataclass(frozen=True)
class Dropped:
    keyspace: str


Change = Put | Created | Dropped


@dataclass(frozen=True)
class Commit:
    """One atomic step: all of its changes, or none."""

    sequence: int
    changes: tuple[Change, ...]


@dataclass
class KeyspaceState:
    partitions: int
    composite: bool
    data: dict[Key, bytes] = field(default_factory=dict)

    def copy(self) -> KeyspaceState:
        return KeyspaceState(self.partitions, self.composite, dict(self.data))


State = dict[str, KeyspaceState]


class Fingerprint:
    """Of a state, kept up to date change by change: equal states have equal ones."""

    def __init__(self) -> None:
        self.value = 0

    def toggle(self, *parts: object) -> None:
        self.value ^= hash(parts)


def fingerprint(state: State) -> int:
    found = Fingerprint()
    for name, keyspace in state.items():
        found.toggle(name, keyspace.partitions, keyspace.composite)
        for key, value in keyspace.data.items():
            found.toggle(name, key, value)
    return found.value


class Model:
    """Commits in order, and the state now."""

    def __init__(self) -> None:
        self.commits: list[Commit] = []
        self.prints: list[int] = [0]  # of the state after each number of commits
        self.state: State = {}
        self.promised = 0  # so many commits survive a power failure
        self.lost = 0  # highest sequence that was given to a commit which a failure took
        self._print = Fingerprint()

    def commit(self, sequence: int, *changes: Change) -> None:
        """Takes in what one commit did; its sequence has to be above all before."""
        if sequence <= self.given():
            raise AssertionError(f"sequence {sequence:#x} was given again, or after {self.given():#x}")
        for change in changes:
            self._apply(change)
        self.commits.append(Commit(sequence, changes))
        self.prints.append(self._print.value)

    def _apply(self, change: Change) -> None:
        if isinstance(change, Created):
            self.state[change.keyspace] = KeyspaceState(change.partitions, change.composite)
            self._print.toggle(change.keyspace, change.partitions, change.composite)
        elif isinstance(change, Dropped):
            gone = self.state.pop(change.keyspace)
            self._print.toggle(change.keyspace, gone.partitions, gone.composite)
            for key, value in gone.data.items():
                self._print.toggle(change.keyspace, key, value)
        else:
            self._put(change)

    def _put(self, change: Put) -> None:
        data = self.state[change.keyspace].data
        old = data.pop(change.key, None)
        if old is not None:
            self._print.toggle(change.keyspace, change.key, old)
        if change.value is not None:
            data[change.key] = change.value
            self._print.toggle(change.keyspace, change.key, change.value)

    def given(self, commits: int | None = None) -> int:
        """The highest sequence that was given when so many commits (None: all) had been made."""
        made = self.commits[:commits]
        return max(self.lost, made[-1].sequence if made else 0)

    def promise_all(self) -> None:
        """Everything so far survives."""
        self.promised = len(self.commits)

    def promise_through(self, sequence: int) -> None:
        """Every commit up to this sequence survives."""
        while self.promised < len(self.commits) and self.commits[self.promised].sequence <= sequence:
            self.promised += 1

    def prefix(self, length: int, seen: int = 0) -> Model:
        """What is left of this history where only so many commits survived, all of them durable now.

        No sequence may come again of the first `seen` commits, which had returned.
        """
        found = Model()
        for commit in self.commits[:length]:
            found.commit(commit.sequence, *commit.changes)
        found.promised = length
        found.lost = self.given(seen)
        return found

    def find(self, state: State, least: int, most: int) -> int | None:
        """The shortest prefix of `least` to `most` commits that leads to this state; where there is none, any other.

        The shortest, for the commits after it may have changed nothing: then it cannot be told whether they survived.
        """
        wanted = fingerprint(state)
        for lengths in (range(least, most + 1), range(len(self.commits) + 1)):
            for length in lengths:
                if self.prints[length] == wanted and self.prefix(length).state == state:
                    return length
        return None

    # ---- kept beside a disk that broke

    def to_json(self) -> dict[str, Any]:
        commits = [[c.sequence, [_change_to_json(x) for x in c.changes]] for c in self.commits]
        return {"lost": self.lost, "commits": commits}

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> Model:
        found = cls()
        for sequence, changes in kept["commits"]:
            found.commit(sequence, *map(_change_from_json, changes))
        found.lost = kept["lost"]
        return found


def _change_to_json(change: Change) -> list[Any]:
    if isinstance(change, Created):
        return ["created", change.keyspace, change.partitions, change.composite]
    if isinstance(change, Dropped):
        return ["dropped", change.keyspace]
    key = [part.hex() for part in (change.key if isinstance(change.key, tuple) else (change.key,))]
    return ["put", change.keyspace, key, None if change.value is None else change.value.hex()]


def _change_from_json(kept: list[Any]) -> Change:
    kind, name, *rest = kept
    if kind == "created":
        return Created(name, *rest)
    if kind == "dropped":
        return Dropped(name)
    parts = tuple(bytes.fromhex(part) for part in rest[0])
    return Put(name, parts if len(parts) > 1 else parts[0], None if rest[1] is None else bytes.fromhex(rest[1]))
