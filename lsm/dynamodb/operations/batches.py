"""BatchGetItem and BatchWriteItem. Rules 3.10, 6.2; each write of a batch is atomic by itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from lsm.dynamodb.capacity import WRITES, read_units
from lsm.dynamodb.door import Door
from lsm.dynamodb.errors import validation
from lsm.dynamodb.keys import EngineKey
from lsm.dynamodb.limits import BATCH_GET_BYTES
from lsm.dynamodb.operations.items import collection_metrics
from lsm.dynamodb.requests.forms import BatchGet, BatchWrite, Delete, KeysOfTable, Metrics, Put
from lsm.dynamodb.tables import OpenTable
from lsm.dynamodb.writes import add_to, charge_write, key_of, plan
from lsm.item_codec import decode_item, item_size

if TYPE_CHECKING:
    from lsm.dynamodb.service import Service

__all__ = ["batch_get_item", "batch_write_item"]

DUPLICATES = "Provided list of item keys contains duplicates"


def batch_get_item(service: Service, form: BatchGet, door: Door) -> dict[str, Any]:
    """Up to 16 MB of items; the keys beyond come back as UnprocessedKeys."""
    tables = [(service.table(part.table), part) for part in form.tables]
    keys = [table.keys.of_requests(part.keys) for table, part in tables]
    _refuse_duplicates((table.id, key) for (table, _), wanted in zip(tables, keys, strict=True) for key in wanted)
    meter = service.meter(form.capacity)
    responses: dict[str, list[Any]] = {}
    unprocessed: dict[str, Any] = {}
    room = BATCH_GET_BYTES
    for (table, part), wanted in zip(tables, keys, strict=True):
        found = table.keyspace.get_many(wanted) if room > 0 else []
        stored = []
        read = 0
        units = 0.0
        door.check(sum([len(data) for data in found if data is not None]))
        for data in found:
            size = item_size(data) if data is not None else 0
            if size > room:
                break
            room -= size
            read += 1
            units += read_units(size, consistent=part.consistent)
            if data is not None:
                stored.append(data)
        if meter.counts and read:
            meter.table(part.table).table += units
        responses[part.table] = _shown(part, stored, door)
        if read < len(wanted):
            room = 0
            unprocessed[part.table] = {**part.request, "Keys": [door.typed(key) for key in part.keys[read:]]}
    return {"Responses": responses, "UnprocessedKeys": unprocessed, **meter.several()}


def _refuse_duplicates(items: Iterable[tuple[str, EngineKey]]) -> None:
    """Also of a table that is named twice, by its name and by its ARN."""
    seen = set()
    for item in items:
        if item in seen:
            raise validation(DUPLICATES)
        seen.add(item)


def _shown(part: KeysOfTable, stored: list[bytes], door: Door) -> Any:
    if part.projection is None:
        return door.several(stored)
    return [door.typed(part.projection.of(decode_item(data))) for data in stored]


def batch_write_item(service: Service, form: BatchWrite, door: Door) -> dict[str, Any]:
    """All writes are checked before the first is made; they are then one commit, which promises more than is asked."""
    while (answer := _batch_write(service, form, door)) is None:
        pass
    return answer


def _batch_write(service: Service, form: BatchWrite, door: Door) -> dict[str, Any] | None:
    """None where a table changed between the look at it and the locks: then it is to be done again."""
    tables = {name: service.table(name) for name in form.tables}
    work = []
    for name, writes in form.tables.items():
        table = tables[name]
        work.append((name, table, [(key_of(table, write, batch=True), write) for write in writes]))
    items = [(table.id, key) for _, table, keyed in work for key, _ in keyed]
    _refuse_duplicates(items)
    meter = service.meter(form.capacity, WRITES)
    metrics: dict[str, list[Any]] = {}
    read = 0
    with service.locks.all_of(items), service.database.batch() as batch:
        if not all(map(service.is_current, tables.values())):
            return None
        for name, table, keyed in work:
            for key, write in keyed:
                done = plan(table, key, write, door)
                read += len(done.before or b"")
                door.check(read)
                add_to(batch, done)
                charge_write(meter, name, done)
    if form.metrics is Metrics.SIZE:
        for name, table, keyed in work:
            if table.schema.has_local_indexes:
                metrics[name] = _metrics_of(table, keyed, door)
    answer: dict[str, Any] = {"UnprocessedItems": {}, **meter.several()}
    if metrics:
        answer["ItemCollectionMetrics"] = metrics
    return answer


def _metrics_of(table: OpenTable, keyed: list[tuple[EngineKey, Put | Delete]], door: Door) -> list[Any]:
    """One for each partition key that was written."""
    seen: dict[bytes, Any] = {}
    for key, write in keyed:
        if key[0] not in seen:
            seen[key[0]] = collection_metrics(write, table, key, door)
    return list(seen.values())
