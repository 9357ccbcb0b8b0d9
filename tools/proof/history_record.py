"""What several threads did to a database: every operation with the moments of its begin and end, and what it saw.

Guarantees: stamps are of one clock for all threads of a process; an operation that was begun and not ended stands there
with end None. Recording takes no lock that would order the operations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["History", "Place", "Read", "Write"]

Place = tuple[str, Any]
"""Keyspace and key."""


@dataclass
class Write:
    """One commit. `sequence` None: the call did not return."""

    thread: int
    begin: int
    end: int | None
    changes: Mapping[Place, bytes | None]
    sequence: int | None = None


@dataclass
class Read:
    """Places seen at one moment between begin and end; `sequence`: of the snapshot, where it was read through one.

    `whole` names ranges that were seen in full: [first, last] places of a keyspace, in which a key that is not among
    `seen` was absent.
    """

    thread: int
    begin: int
    end: int
    seen: Mapping[Place, bytes | None]
    sequence: int | None = None
    whole: tuple[tuple[str, Any, Any], ...] = ()
    kind: str = "get"


@dataclass
class History:
    """`base`: the last sequence before it, at which every place was as in `before`. `recovered`: what the next open
    found, with its last sequence."""

    base: int
    writes: list[Write] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    before: Mapping[Place, bytes] = field(default_factory=dict)
    recovered: Mapping[Place, bytes] | None = None
    recovered_sequence: int = 0
    killed: bool = False
