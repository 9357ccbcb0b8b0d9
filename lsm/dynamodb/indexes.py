"""What a write changes in a table's indexes: entries to put and to remove, and what each index charges for it.

Guarantees: an index holds exactly the entries of the items that have all its key attributes. Charges: rules 6.3.
"""

from __future__ import annotations

from dataclasses import dataclass

from lsm import Batch
from lsm.dynamodb.capacity import write_units
from lsm.dynamodb.keys import EngineKey
from lsm.dynamodb.tables import OpenIndex, OpenTable
from lsm.item_codec import item_size, project_item

__all__ = ["IndexChange", "index_changes"]


@dataclass(slots=True)
class IndexChange:
    """old, new: the entry's key before and after, None where there is none. entry: bytes of the new entry.

    units: what the index charges, 0 where what it stores stays as it is.
    """

    index: OpenIndex
    old: EngineKey | None
    new: EngineKey | None
    entry: bytes
    units: float

    def add_to(self, batch: Batch) -> None:
        if self.old is not None and self.old != self.new:
            batch.delete(self.index.keyspace, self.old)
        if self.new is not None:
            batch.put(self.index.keyspace, self.new, self.entry)


def projected(index: OpenIndex, item: bytes) -> bytes:
    """The part of an item that the index stores."""
    return item if index.stored is None else project_item(item, index.stored)


def index_changes(table: OpenTable, key: EngineKey, before: bytes | None, after: bytes | None) -> list[IndexChange]:
    """For every index that the change of an item from `before` to `after` touches; None stands for no item."""
    changes = []
    for index in table.written:
        old = index.keys.of(before, key) if before is not None else None
        new = index.keys.of(after, key) if after is not None else None
        if old is None and new is None:
            continue
        was = projected(index, before) if old is not None and before is not None else b""
        now = projected(index, after) if new is not None and after is not None else b""
        if old == new and was == now:
            # An index that is being built may lack the entry still.
            if index.schema.backfilling:
                changes.append(IndexChange(index, old, new, now, 0.0))
            continue
        changes.append(IndexChange(index, old, new, now, _units(old, new, was, now)))
    return changes


def _units(old: EngineKey | None, new: EngineKey | None, was: bytes, now: bytes) -> float:
    if old is not None and old == new:
        return write_units(max(item_size(was), item_size(now)))
    units = 0.0
    if old is not None:
        units += write_units(item_size(was))
    if new is not None:
        units += write_units(item_size(now))
    return units
