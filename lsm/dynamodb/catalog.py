"""The tables of a database: their schemas in the catalog keyspace, and the open tables that operations use.

Guarantees: keyspaces are created before the catalog names them and dropped after it forgot them, so that a crash leaves
only keyspaces nobody names, which the next opening drops; a change of the catalog is durable when it returns. A global
index that was being built when the process ended goes on being built. Any thread.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from lsm import Database, Keyspace
from lsm.dynamodb.backfill import Backfill
from lsm.dynamodb.clock import Clock
from lsm.dynamodb.errors import resource_not_found
from lsm.dynamodb.locks import ItemLocks
from lsm.dynamodb.schema import Index, KeySchema, TableSchema
from lsm.dynamodb.tables import OpenTable, index_keyspace, table_keyspace

__all__ = ["CATALOG", "Catalog"]

CATALOG = "!catalog"
"""The name of the keyspace."""

RECORD_VERSION = 1


class Catalog:
    """All tables by name. `changing` is held by whoever changes a table's schema."""

    def __init__(self, database: Database, clock: Clock, locks: ItemLocks, *, region: str, account: str) -> None:
        self.database = database
        self.clock = clock
        self.region = region
        self.account = account
        self.changing = threading.RLock()
        self._locks = locks
        self._keyspace: Keyspace[bytes] = database.keyspace(CATALOG)
        self._tables: dict[str, OpenTable] = {}
        self._backfills: dict[tuple[str, int], Backfill] = {}
        self._load()

    # ---- looking up

    def table(self, name: str) -> OpenTable:
        """By name or ARN; ApiError where there is none."""
        table = self._tables.get(name)
        if table is None:
            table = self._tables.get(self.name_of(name))
            if table is None:
                raise resource_not_found()
        return table

    def find(self, name: str) -> OpenTable | None:
        """By name or ARN."""
        table = self._tables.get(name)
        return self._tables.get(self.name_of(name)) if table is None else table

    def names(self) -> list[str]:
        """Of all tables, in the order of their bytes."""
        return sorted(self._tables)

    def name_of(self, name: str) -> str:
        """The table's name of a name or ARN of this account and region; anything else as it is."""
        prefix = self.arn("")
        return name[len(prefix) :].split("/")[0] if name.startswith(prefix) else name

    def arn(self, name: str) -> str:
        """Of a table."""
        return f"arn:aws:dynamodb:{self.region}:{self.account}:table/{name}"

    # ---- changing

    def create(self, schema: TableSchema) -> None:
        """Adds a table that does not exist; under `changing`."""
        opened = self._open(schema)
        self._store(schema)
        self._tables[schema.name] = opened

    def change(self, schema: TableSchema) -> None:
        """Puts a new schema in the place of the table's old one; starts what that asks for; under `changing`."""
        before = self._tables[schema.name]
        opened = self._open(schema)
        self._store(schema)
        self._tables[schema.name] = opened
        kept = {index.id for index in schema.indexes}
        gone = [index.id for index in before.schema.indexes if index.id not in kept]
        if gone:
            # whoever writes by the schema from before has committed then
            self._locks.pass_all()
        for number in gone:
            self._end_backfill(schema.id, number)
            self.database.drop_keyspace(index_keyspace(schema.id, number))
        self._start_backfills(opened)

    def drop(self, name: str) -> None:
        """Forgets a table and its items; under `changing`."""
        table = self._tables.pop(name)
        for index in table.schema.indexes:
            self._end_backfill(table.id, index.id)
        self._keyspace.delete(name.encode(), sync=True)
        for index in table.schema.indexes:
            self.database.drop_keyspace(index_keyspace(table.id, index.id))
        self.database.drop_keyspace(table_keyspace(table.id))

    def close(self) -> None:
        """Ends what runs in the background; it goes on after the next opening."""
        running = list(self._backfills.values())
        for backfill in running:
            backfill.stop()
        for backfill in running:
            backfill.join()

    # ---- within

    def _load(self) -> None:
        named = set()
        for _, data in self._keyspace.scan():
            schema = _decoded(data)
            opened = self._tables[schema.name] = self._open(schema)
            named.add(table_keyspace(schema.id))
            named |= {index_keyspace(schema.id, index.id) for index in schema.indexes}
            self._start_backfills(opened)
        for name in self.database.keyspaces():
            if name.startswith(("t/", "i/")) and name not in named:
                self.database.drop_keyspace(name)

    def _open(self, schema: TableSchema) -> OpenTable:
        keyspace = self.database.keyspace(table_keyspace(schema.id), composite=True)
        indexes = {
            index.name: self.database.keyspace(index_keyspace(schema.id, index.id), composite=True)
            for index in schema.indexes
        }
        return OpenTable.of(schema, keyspace, indexes)

    def _store(self, schema: TableSchema) -> None:
        self._keyspace.put(schema.name.encode(), _encoded(schema), sync=True)

    def _start_backfills(self, table: OpenTable) -> None:
        for index in table.indexes.values():
            key = (table.id, index.schema.id)
            if index.schema.backfilling and key not in self._backfills:
                done = self._backfilled(table.name, table.id, index.schema.id)
                backfill = self._backfills[key] = Backfill(table, index, self._locks, self.database, done)
                backfill.start()

    def _backfilled(self, name: str, table_id: str, index_id: int) -> Callable[[], None]:
        def done() -> None:
            with self.changing:
                self._backfills.pop((table_id, index_id), None)
                table = self._tables.get(name)
                if table is None or table.id != table_id:
                    return
                indexes = tuple(
                    replace(index, status="ACTIVE", backfilling=False) if index.id == index_id else index
                    for index in table.schema.indexes
                )
                self.change(replace(table.schema, indexes=indexes))

        return done

    def _end_backfill(self, table_id: str, index_id: int) -> None:
        backfill = self._backfills.pop((table_id, index_id), None)
        if backfill is not None:
            backfill.stop()


def _encoded(schema: TableSchema) -> bytes:
    return json.dumps({"version": RECORD_VERSION, **asdict(schema)}).encode()


def _decoded(data: bytes) -> TableSchema:
    record: dict[str, Any] = json.loads(data)
    found = record.pop("version")
    if found > RECORD_VERSION:
        raise ValueError(f"the catalog was written by a newer version of this package (record version {found})")
    record["keys"] = _keys(record["keys"])
    record["indexes"] = tuple(
        Index(**{**index, "keys": _keys(index["keys"]), "included": tuple(index["included"])})
        for index in record["indexes"]
    )
    return TableSchema(**record)


def _keys(record: dict[str, Any]) -> KeySchema:
    return KeySchema(tuple(record["hashes"]), tuple(record["ranges"]))
