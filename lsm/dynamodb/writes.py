"""The one write path: read the old item, judge the condition, make the new item, commit it with its index entries.

Guarantees: item and index entries are one commit; nothing is written where a check fails. `plan` runs under the item's
lock (lsm/dynamodb/locks.py), which its caller holds until `commit` has returned. Rules 3.1, 3.3, 3.6.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lsm import Batch, Database
from lsm.dynamodb.capacity import WRITES, Consumption, Meter, write_units
from lsm.dynamodb.door import Door
from lsm.dynamodb.errors import ApiError, conditional_check_failed, validation
from lsm.dynamodb.indexes import IndexChange, index_changes
from lsm.dynamodb.keys import LONG_PARTITION, LONG_SORT, EngineKey
from lsm.dynamodb.limits import ITEM_BYTES
from lsm.dynamodb.requests.forms import Action, ConditionCheck, Delete, Put, UpdateItem
from lsm.dynamodb.tables import OpenTable
from lsm.item_codec import Unusual, decode_item, encode_item, item_size

__all__ = ["Plan", "add_to", "charge_write", "commit", "index_fault", "key_of", "note_write", "own_key_of", "plan"]

TOO_LARGE = "Item size to update has exceeded the maximum allowed size"
TOO_LONG = "The update expression attempted to update the secondary index key beyond allowed size limits"
OTHER_TYPE = "Type mismatch for attribute to update"
TOO_DEEP = "Nesting Levels have exceeded supported limits"


@dataclass(slots=True)
class Plan:
    """before, after: bytes of the item, None for no item; equal where nothing changes."""

    table: OpenTable
    key: EngineKey
    before: bytes | None
    after: bytes | None
    indexes: list[IndexChange] = field(default_factory=list)
    old_item: dict[str, Any] | None = None

    @property
    def changes(self) -> bool:
        return self.before != self.after or bool(self.indexes)

    @property
    def size(self) -> int:
        """Of the item as the action leaves it, or as it was where nothing is left."""
        image = self.before if self.after is None else self.after
        return item_size(image) if image is not None else 0

    @property
    def larger(self) -> int:
        """Size of the larger image."""
        before = item_size(self.before) if self.before is not None else 0
        after = item_size(self.after) if self.after is not None else 0
        return before if before > after else after


def key_of(table: OpenTable, action: Action, *, batch: bool = False) -> EngineKey:
    """The key of the item that an action is about; ApiError where it does not fit the table or its indexes."""
    key = own_key_of(table, action, batch=batch)
    if (fault := index_fault(table, action)) is not None:
        raise fault
    return key


def own_key_of(table: OpenTable, action: Action, *, batch: bool = False) -> EngineKey:
    """The same, without a look at the indexes."""
    if not isinstance(action, Put):
        return table.keys.of_request(action.key)
    return table.keys.of_batch_put(action.item) if batch else table.keys.of_put(action.item)


def index_fault(table: OpenTable, action: Action) -> ApiError | None:
    """What is wrong with the index keys of an item that is to be put."""
    if not isinstance(action, Put):
        return None
    for index in table.written:
        if (fault := index.keys.check(action.item)) is not None:
            return fault
    return None


def plan(table: OpenTable, key: EngineKey, action: Action, door: Door) -> Plan:
    """What the action does to the item as it is now; ApiError where it must not be done."""
    before = table.keyspace.get(key)
    old_item = None
    condition = action.condition
    if condition is not None or isinstance(action, UpdateItem):
        old_item = decode_item(before) if before is not None else {}
    if condition is not None and not condition.holds(old_item or {}):
        shown = door.encoded(before) if action.return_old_on_failure and before is not None else None
        raise conditional_check_failed(shown)
    if isinstance(action, ConditionCheck):
        return Plan(table, key, before, before)
    if isinstance(action, Put):
        return Plan(table, key, before, action.item, index_changes(table, key, before, action.item))
    if isinstance(action, Delete):
        return Plan(table, key, before, None, index_changes(table, key, before, None) if before is not None else [])
    return _plan_update(table, key, action, before, old_item or {})


def _plan_update(
    table: OpenTable, key: EngineKey, action: UpdateItem, before: bytes | None, old: dict[str, Any]
) -> Plan:
    update = action.update
    if action.fault is not None:
        raise action.fault
    base = old or {name: action.key[name] for name in table.keys.names}
    if update is None:
        new = base
    else:
        for name in table.keys.names:
            if name in update.attributes:
                raise validation(
                    f"One or more parameter values were invalid: Cannot update attribute {name}. "
                    "This attribute is part of the key"
                )
        new = update.apply(base)
    try:
        after = encode_item(new)
    except Unusual:
        raise validation(TOO_DEEP) from None
    if update is not None and table.written:
        _check_indexes(table, after, update.attributes, legacy=update.legacy)
    if item_size(after) > ITEM_BYTES:
        raise validation(TOO_LARGE)
    return Plan(table, key, before, after, index_changes(table, key, before, after), old)


def _check_indexes(table: OpenTable, after: bytes, written: frozenset[str], *, legacy: bool) -> None:
    """Key attributes of indexes that the update wrote, and only those."""
    for index in table.written:
        if written.isdisjoint(index.keys.names):
            continue
        fault = index.keys.check(after, written)
        if fault is None:
            continue
        text = str(fault.message)
        if text in (LONG_PARTITION, LONG_SORT):
            raise validation(TOO_LONG)
        if legacy and "Type mismatch" in text:
            raise validation(OTHER_TYPE)
        if "secondary index key is not supported" in text:
            reason = text[text.index("The AttributeValue") : text.index(" IndexName:")]
            raise validation(
                "One or more parameter values are not valid. The update expression attempted to update a secondary "
                f"index key to a value that is not supported. {reason}"
            )
        raise fault


def add_to(batch: Batch, done: Plan) -> None:
    """The writes of a plan."""
    keyspace = done.table.keyspace
    if done.before != done.after:
        if done.after is None:
            batch.delete(keyspace, done.key)
        else:
            batch.put(keyspace, done.key, done.after)
    for change in done.indexes:
        change.add_to(batch)


def commit(database: Database, done: Plan) -> None:
    """One item with its index entries; nothing where nothing changes."""
    keyspace = done.table.keyspace
    if done.indexes:
        with database.batch() as batch:
            add_to(batch, done)
    elif done.before != done.after:
        if done.after is None:
            keyspace.delete(done.key)
        else:
            keyspace.put(done.key, done.after)


def note_write(consumption: Consumption, name: str, done: Plan, times: int = 1) -> None:
    """As `charge_write` where nobody but `consumption` asks."""
    consumption.add(name, "", WRITES, times * write_units(done.larger))
    for change in done.indexes:
        if change.units:
            consumption.add(name, change.index.name, WRITES, change.units)


def charge_write(meter: Meter, name: str, done: Plan, times: int = 1) -> None:
    """Adds what a plan costs to the table that the request names so; `times` 2 in a transaction, on the table's arm."""
    if not meter.counts:
        return
    part = meter.table(name)
    part.table += times * write_units(done.larger)
    for change in done.indexes:
        if change.units:
            part.add_index(change.index, change.units)
