"""PutItem, GetItem, UpdateItem, DeleteItem. Rules 3.6, 6.2, 12.1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lsm.dynamodb.capacity import READS, WRITES, read_units, write_units
from lsm.dynamodb.door import Door
from lsm.dynamodb.errors import validation
from lsm.dynamodb.keys import EngineKey
from lsm.dynamodb.limits import ITEM_BYTES
from lsm.dynamodb.requests.forms import Capacity, ConditionCheck, Delete, Get, Metrics, Put, ReturnValues, UpdateItem
from lsm.dynamodb.tables import OpenTable
from lsm.dynamodb.writes import TOO_LARGE, Plan, charge_write, commit, key_of, note_write, plan
from lsm.item_codec import decode_item, get_attributes, item_size

if TYPE_CHECKING:
    from lsm.dynamodb.service import Service

__all__ = ["collection_metrics", "delete_item", "get_item", "put_item", "update_item"]

GIGABYTE = 1 << 30


def get_item(service: Service, form: Get, door: Door) -> dict[str, Any]:
    table = service.table(form.table)
    found = table.keyspace.get(table.keys.of_request(form.key))
    answer: dict[str, Any] = {}
    if found is not None:
        if form.projection is None:
            answer["Item"] = door.encoded(found)
        else:
            answer["Item"] = door.typed(form.projection.of(decode_item(found)))
    if form.capacity is not Capacity.NONE or service.consumption is not None:
        size = item_size(found) if found is not None else 0
        units = read_units(size, consistent=form.consistent)
        if form.capacity is Capacity.NONE:
            assert service.consumption is not None
            service.consumption.add(form.table, "", READS, units)
        else:
            meter = service.meter(form.capacity)
            meter.table(form.table).table += units
            answer.update(meter.single())
    return answer


def put_item(service: Service, form: Put, door: Door) -> dict[str, Any]:
    table = service.table(form.table)
    key = key_of(table, form)
    plain = form.return_values is ReturnValues.NONE and form.capacity is Capacity.NONE
    if plain and form.condition is None and not table.written:
        lock = service.locks.take(table.id, key)
        try:
            if service.is_current(table):
                table.keyspace.put(key, form.item)
                if service.consumption is not None:
                    service.consumption.add(form.table, "", WRITES, write_units(item_size(form.item)))
                return {}
        finally:
            lock.release()
    done = _write(service, table, key, form, door)
    answer: dict[str, Any] = {}
    if form.return_values is ReturnValues.ALL_OLD and done.before is not None:
        answer["Attributes"] = door.encoded(done.before)
    return _with_metrics(form, table, key, door, _with_capacity(service, form, done, answer))


def delete_item(service: Service, form: Delete, door: Door) -> dict[str, Any]:
    table = service.table(form.table)
    key = key_of(table, form)
    done = _write(service, table, key, form, door)
    answer: dict[str, Any] = {}
    if form.return_values is ReturnValues.ALL_OLD and done.before is not None:
        answer["Attributes"] = door.encoded(done.before)
    return _with_metrics(form, table, key, door, _with_capacity(service, form, done, answer))


def update_item(service: Service, form: UpdateItem, door: Door) -> dict[str, Any]:
    table = service.table(form.table)
    key = key_of(table, form)
    if form.charge > ITEM_BYTES:
        raise validation(TOO_LARGE)
    done = _write(service, table, key, form, door)
    answer: dict[str, Any] = {}
    attributes = _returned(form, done, door)
    if attributes is not None:
        answer["Attributes"] = attributes
    return _with_metrics(form, table, key, door, _with_capacity(service, form, done, answer))


def _returned(form: UpdateItem, done: Plan, door: Door) -> Any:
    """What an update returns of the item; None for no `Attributes` member."""
    wanted = form.return_values
    if wanted is ReturnValues.ALL_NEW and done.after is not None:
        return door.encoded(done.after)
    if wanted is ReturnValues.ALL_OLD:
        return door.encoded(done.before) if done.before is not None else None
    if form.update is None or wanted not in (ReturnValues.UPDATED_OLD, ReturnValues.UPDATED_NEW):
        return None
    if wanted is ReturnValues.UPDATED_NEW:
        assert done.after is not None
        touched = form.update.touched(decode_item(done.after))
    else:
        touched = form.update.touched(done.old_item or {})
    return door.typed(touched) if touched else None


def _write(service: Service, table: OpenTable, key: EngineKey, form: Put | Delete | UpdateItem, door: Door) -> Plan:
    while True:
        lock = service.locks.take(table.id, key)
        try:
            if service.is_current(table):
                done = plan(table, key, form, door)
                commit(service.database, done)
                return done
        finally:
            lock.release()
        # an index was added or removed between the look at the table and the lock
        table = service.table(form.table)


def _with_capacity(
    service: Service, form: Put | Delete | UpdateItem, done: Plan, answer: dict[str, Any]
) -> dict[str, Any]:
    if form.capacity is Capacity.NONE:
        if service.consumption is not None:
            note_write(service.consumption, form.table, done)
    else:
        meter = service.meter(form.capacity, WRITES)
        charge_write(meter, form.table, done)
        answer.update(meter.single())
    return answer


def _with_metrics(
    form: Put | Delete | UpdateItem, table: OpenTable, key: EngineKey, door: Door, answer: dict[str, Any]
) -> dict[str, Any]:
    if form.metrics is Metrics.SIZE and table.schema.has_local_indexes:
        answer["ItemCollectionMetrics"] = collection_metrics(form, table, key, door)
    return answer


def collection_metrics(
    form: Put | Delete | UpdateItem | ConditionCheck, table: OpenTable, key: EngineKey, door: Door
) -> dict[str, Any]:
    """Of the collection that the written item is in: its partition key, its size in whole gigabytes and one more."""
    name = table.keys.names[0]
    value = get_attributes(form.item, (name,))[0] if isinstance(form, Put) else form.key[name]
    assert value is not None
    begin, end = (key[0], b""), (key[0], b"\xff" * 1025)
    size = table.keyspace.approximate_bytes(begin, end)
    for index in table.indexes.values():
        if not index.schema.is_global:
            size += index.keyspace.approximate_bytes(begin, (key[0], b"\xff" * 4096))
    low = float(size // GIGABYTE)
    return {
        "ItemCollectionKey": door.typed({name: value}),
        "SizeEstimateRangeGB": [low, low + 1.0],
    }
