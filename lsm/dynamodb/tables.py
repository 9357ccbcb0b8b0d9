"""A table ready for operations: its schema, its keyspaces and the keys of its items and index entries.

Made by the catalog when a table is opened or changed; immutable, any thread.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from lsm import Keyspace
from lsm.dynamodb.keys import IndexKeys, TableKeys
from lsm.dynamodb.schema import Index, TableSchema

__all__ = ["OpenIndex", "OpenTable", "index_keyspace", "table_keyspace"]


def table_keyspace(table_id: str) -> str:
    """The name of the keyspace that holds a table's items."""
    return f"t/{table_id}"


def index_keyspace(table_id: str, index_id: int) -> str:
    """The name of the keyspace that holds an index's entries."""
    return f"i/{table_id}/{index_id}"


@dataclass(frozen=True)
class OpenIndex:
    """stored: names of the attributes an entry holds; None where it holds the whole item."""

    schema: Index
    keyspace: Keyspace[tuple[bytes, bytes]]
    keys: IndexKeys
    stored: frozenset[str] | None

    @property
    def name(self) -> str:
        return self.schema.name


@dataclass(frozen=True)
class OpenTable:
    """written: indexes that writes keep up to date, those being built too, those being deleted not."""

    schema: TableSchema
    keyspace: Keyspace[tuple[bytes, bytes]]
    keys: TableKeys
    indexes: dict[str, OpenIndex] = field(default_factory=dict)
    written: tuple[OpenIndex, ...] = ()

    @property
    def id(self) -> str:
        return self.schema.id

    @property
    def name(self) -> str:
        return self.schema.name

    @classmethod
    def of(
        cls,
        schema: TableSchema,
        keyspace: Keyspace[tuple[bytes, bytes]],
        index_keyspaces: dict[str, Keyspace[tuple[bytes, bytes]]],
    ) -> OpenTable:
        """`index_keyspaces` by the name of the index."""
        indexes = {
            index.name: OpenIndex(
                index, index_keyspaces[index.name], IndexKeys(schema, index), stored_attributes(schema, index)
            )
            for index in schema.indexes
        }
        written = tuple(index for index in indexes.values() if index.schema.status != "DELETING")
        # faults name the alphabetically first index that has one
        written = tuple(sorted(written, key=lambda index: index.name))
        return cls(schema, keyspace, TableKeys(schema), indexes, written)


def stored_attributes(schema: TableSchema, index: Index) -> frozenset[str] | None:
    """Names of what an index's entries hold; None for everything."""
    if index.projection == "ALL":
        return None
    return frozenset(schema.keys.names + index.keys.names + index.included)
