"""A table's definition: keys, indexes and settings as they are stored in the catalog, and what can be said of them.

Immutable; a change makes a new one. Sizes in bytes, times in seconds since 1970.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Index", "KeySchema", "TableSchema"]


@dataclass(frozen=True, slots=True)
class KeySchema:
    """hashes: partition key attributes (1 of a table or LSI, up to 4 of a GSI); ranges: sort key attributes (0 or 1, up
    to 4). Names, in order of significance."""

    hashes: tuple[str, ...]
    ranges: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return self.hashes + self.ranges


@dataclass(frozen=True, slots=True)
class Index:
    """A secondary index. id: never used again within the table, part of its keyspace's name. status: CREATING,
    ACTIVE, UPDATING or DELETING; backfilling: entries of older items are still being made."""

    name: str
    id: int
    keys: KeySchema
    is_global: bool
    projection: str  # ALL, KEYS_ONLY or INCLUDE
    included: tuple[str, ...] = ()
    status: str = "ACTIVE"
    backfilling: bool = False
    settings: dict[str, Any] = field(default_factory=dict)
    """ProvisionedThroughput, OnDemandThroughput, WarmThroughput as described."""


@dataclass(frozen=True, slots=True)
class TableSchema:
    """id: the TableId, a UUID; part of the keyspaces' names, so that a table made anew shares nothing with the old.

    types: attribute name to S, N or B, of every attribute that is defined. indexes: in the order of creation.
    settings: what DescribeTable reports beside keys and indexes, as the control plane needs it; JSON values only.
    """

    name: str
    id: str
    keys: KeySchema
    types: dict[str, str]
    indexes: tuple[Index, ...] = ()
    status: str = "ACTIVE"
    created: float = 0.0
    settings: dict[str, Any] = field(default_factory=dict)

    def index(self, name: str) -> Index | None:
        return next((index for index in self.indexes if index.name == name), None)

    @property
    def has_local_indexes(self) -> bool:
        return any(not index.is_global for index in self.indexes)
