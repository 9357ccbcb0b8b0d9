"""Query and Scan: a page of items of a table or an index. Rules 7; checks that need the table: 7.2, 7.3."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lsm.dynamodb.capacity import read_units
from lsm.dynamodb.door import Door
from lsm.dynamodb.errors import validation
from lsm.dynamodb.expressions import BoundKeys
from lsm.dynamodb.keys import EngineKey, check_sizes, index_bounds, table_bounds
from lsm.dynamodb.limits import PAGE_BYTES
from lsm.dynamodb.operations.start_key import check_against_condition, check_scan_start, check_start
from lsm.dynamodb.requests.forms import Capacity, Page, Query, Scan
from lsm.dynamodb.schema import KeySchema
from lsm.dynamodb.tables import OpenIndex, OpenTable
from lsm.item_codec import decode_item, get_attributes, item_size

if TYPE_CHECKING:
    from lsm.dynamodb.service import Service

__all__ = ["query", "scan"]

NO_CONDITION = "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request."
INVALID = "One or more parameter values were invalid: "
ENTRY_BYTES = 64
"""What an entry that is only looked at costs, against the patience of a door."""
LONGEST_PART = 16_384
"""Bytes of a cursor's partition or sort part that are looked at: no item's or entry's part has as many."""
Entries = Iterable[tuple[EngineKey, bytes]]


@dataclass(slots=True)
class _Source:
    """What is read: a table, or one of its indexes."""

    table: OpenTable
    index: OpenIndex | None

    @property
    def keys(self) -> KeySchema:
        return self.table.schema.keys if self.index is None else self.index.schema.keys

    @property
    def cursor_names(self) -> tuple[str, ...]:
        """Attributes of LastEvaluatedKey."""
        names = dict.fromkeys(self.keys.names)
        names.update(dict.fromkeys(self.table.keys.names))
        return tuple(names)

    def position(self, key: dict[str, Any]) -> EngineKey:
        """The engine key of an ExclusiveStartKey that fits."""
        own = self.table.keys.of_stored(key)
        return own if self.index is None else self.index.keys.of_stored(key, own)


def query(service: Service, form: Query, door: Door) -> dict[str, Any]:
    table = service.table(form.table)
    if form.key_condition is None:
        raise validation(NO_CONDITION)
    form.key_condition.check_values(table.schema.types)
    source = _source(table, form)
    if form.start_key is not None:
        check_start(table, source.index, source.cursor_names, form.start_key)
    index = None if source.index is None else source.index.name
    bound = form.key_condition.bind(source.keys.hashes, source.keys.ranges, table.schema.types, index)
    check_sizes(bound)
    if form.start_key is not None:
        check_against_condition(source.keys, bound, form.start_key)
    _check_filter(form, source)
    _check_select(form, source)
    reach_back = _check_projection(form, source)
    return _page(service, form, source, _query_entries(form, source, bound), reach_back, door)


def _query_entries(form: Query, source: _Source, bound: BoundKeys) -> Entries:
    if source.index is None:
        partition = source.table.keys.of_values(bound.hashes)
        bounds = table_bounds(bound.ranges)
        keyspace = source.table.keyspace
    else:
        partition = source.index.keys.of_values(bound.hashes)
        bounds = index_bounds(bound.ranges)
        keyspace = source.index.keyspace
    if form.start_key is not None:
        bounds = bounds.after(source.position(form.start_key)[1], forward=form.forward)
    return keyspace.scan(partition=partition, start=bounds.start, stop=bounds.stop, reverse=not form.forward)


def scan(service: Service, form: Scan, door: Door) -> dict[str, Any]:
    table = service.table(form.table)
    source = _source(table, form)
    _check_select(form, source)
    if form.start_key is not None:
        check_scan_start(table, source.index, source.cursor_names, form.start_key)
    _check_paths(form, source)
    reach_back = _check_projection(form, source)
    keyspace = table.keyspace if source.index is None else source.index.keyspace
    start = None
    if form.start_key is not None:
        partition, sort = source.position(form.start_key)
        # a cursor may be longer than any key; what lies at one that is cut off is as good a place
        start = (partition[:LONGEST_PART], sort[:LONGEST_PART] + b"\x00")
    segment = None
    if form.segment is not None and form.total_segments is not None:
        segment = (form.segment, form.total_segments)
    return _page(service, form, source, keyspace.scan(start=start, segment=segment), reach_back, door)


# ---- checks


def _source(table: OpenTable, form: Page) -> _Source:
    index = table.indexes.get(form.index) if form.index is not None else None
    if form.consistent and form.index is not None and (index is None or index.schema.is_global):
        raise validation("Consistent reads are not supported on global secondary indexes")
    if form.index is not None:
        if index is None:
            raise validation(f"The table does not have the specified index: {form.index}")
        if index.schema.status == "CREATING":
            raise validation(f"Cannot read from backfilling global secondary index: {form.index}")
    return _Source(table, index)


def _check_filter(form: Query, source: _Source) -> None:
    """A Query's filter may not use the key attributes of what is queried."""
    if form.filter is None:
        return
    for path in form.filter.paths():
        name = str(path[0])
        if name not in source.keys.names:
            continue
        if len(path) > 1:
            raise _not_scalar(source, name)
        what = "QueryFilter" if form.legacy_filter else "Filter Expression"
        raise validation(f"{what} can only contain non-primary key attributes: Primary key attribute: {name}")


def _check_paths(form: Page, source: _Source) -> None:
    if form.filter is not None:
        for path in form.filter.paths():
            if len(path) > 1 and path[0] in source.keys.names:
                raise _not_scalar(source, str(path[0]))


def _not_scalar(source: _Source, name: str) -> Exception:
    what = "Key" if source.index is None else "IndexKey"
    return validation(
        f"Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: {what}: {name}"
    )


def _check_select(form: Page, source: _Source) -> None:
    index = source.index
    if form.select == "ALL_ATTRIBUTES" and index is not None and index.schema.is_global and index.stored is not None:
        raise validation(
            f"{INVALID}Select type ALL_ATTRIBUTES is not supported for global secondary index {index.name} because "
            "its projection type is not ALL"
        )


def _check_projection(form: Page, source: _Source) -> bool:
    """Names and overlaps of the projection, then what is unused. Whether items must be fetched from the table."""
    if form.projection is not None:
        form.projection.check()
    if form.unused:
        raise validation(form.unused[0])
    index = source.index
    if index is None or index.stored is None:
        return False
    if form.projection is None:
        return form.select == "ALL_ATTRIBUTES"
    stored = index.stored
    lacking = sorted(name for name in form.projection.attributes if name not in stored)
    if lacking and index.schema.is_global:
        raise validation(f"{INVALID}Global secondary index {index.name} does not project [{', '.join(lacking)}]")
    return bool(lacking)


# ---- reading


def _page(
    service: Service, form: Page, source: _Source, entries: Entries, reach_back: bool, door: Door
) -> dict[str, Any]:
    """Reads until the limit, or a megabyte; sizes count before filter and projection."""
    items: list[Any] = []
    stored: list[bytes] = []
    counting = form.select == "COUNT"
    simple = form.filter is None and form.projection is None and not reach_back
    scanned = matched = size = 0
    fetched = 0.0
    last: bytes | None = None
    room = form.limit if form.limit is not None else -1
    patience = door.patience
    for _, data in entries:
        scanned += 1
        size += item_size(data)
        if simple:
            matched += 1
            if not counting:
                stored.append(data)
        else:
            whole = data
            if reach_back:
                whole = source.table.keyspace.get(_table_key(source, data)) or data
                fetched += read_units(item_size(whole), consistent=form.consistent)
            shown = _shown(form, whole, counting, door)
            if shown is not None:
                matched += 1
                if not counting:
                    items.append(shown)
        if scanned == room or size >= PAGE_BYTES:
            last = data
            break
        if patience is not None and (read := size + scanned * ENTRY_BYTES) > patience:
            door.check(read)
    answer: dict[str, Any] = {} if counting else {"Items": door.several(stored) if simple else items}
    answer.update(Count=matched, ScannedCount=scanned)
    if last is not None:
        names = source.cursor_names
        values = get_attributes(last, names)
        answer["LastEvaluatedKey"] = door.typed({n: v for n, v in zip(names, values, strict=True) if v is not None})
    if form.capacity is not Capacity.NONE or service.consumption is not None:
        answer.update(_capacity(service, form, source, size, fetched))
    return answer


def _table_key(source: _Source, data: bytes) -> EngineKey:
    return source.table.keys.of_bytes(data)


def _shown(form: Page, data: bytes, counting: bool, door: Door) -> Any:
    """The item as it is returned; None where the filter leaves it out."""
    if form.filter is None and form.projection is None:
        return True if counting else door.encoded(data)
    item = decode_item(data)
    if form.filter is not None and not form.filter.holds(item):
        return None
    if counting:
        return True
    return door.encoded(data) if form.projection is None else door.typed(form.projection.of(item))


def _capacity(service: Service, form: Page, source: _Source, size: int, fetched: float) -> dict[str, Any]:
    meter = service.meter(form.capacity)
    part = meter.table(form.table)
    units = read_units(size, consistent=form.consistent)
    if source.index is None:
        part.table += units
    else:
        part.add_index(source.index, units)
        part.table += fetched
    return meter.single()
