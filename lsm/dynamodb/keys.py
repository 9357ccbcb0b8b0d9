"""From items and request keys to engine keys: (partition bytes, sort bytes) of a table, of an index.

Guarantees: the order of sort bytes is DynamoDB's order (S by UTF-8, B by unsigned bytes, N by value), equal keys have
equal bytes, and no key begins with another where several parts follow each other. Texts: rules 3.3. No state.

A table's partition bytes are those of its one attribute, its sort bytes those of the other, or empty. An index's
partition bytes are its partition attributes, its sort bytes its sort attributes and then the table's key, which tells
entries with equal index keys apart; each part of several is ended, see `_ended`.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any

from lsm.dynamodb.errors import ApiError, validation
from lsm.dynamodb.expressions import BoundKeys, KeyTest
from lsm.dynamodb.limits import PARTITION_KEY_BYTES, SORT_KEY_BYTES
from lsm.dynamodb.schema import Index, TableSchema
from lsm.item_codec import (
    Unusual,
    get_attributes,
    index_key,
    item_key,
    number_order,
    request_key,
    request_keys,
    store_value,
)

__all__ = [
    "LONG_PARTITION",
    "LONG_SORT",
    "Bounds",
    "EngineKey",
    "IndexKeys",
    "TableKeys",
    "check_sizes",
    "index_bounds",
    "part_bytes",
    "table_bounds",
    "type_of",
]

EngineKey = tuple[bytes, bytes]
Value = dict[str, Any]
Item = dict[str, Value]

MISMATCH = "The provided key element does not match the schema"
INVALID = "One or more parameter values were invalid: "
LONG_PARTITION = f"{INVALID}Size of hashkey has exceeded the maximum size limit of{PARTITION_KEY_BYTES} bytes"
LONG_SORT = f"{INVALID}Aggregated size of all range keys has exceeded the size limit of {SORT_KEY_BYTES} bytes"
NOT_VALID = "One or more parameter values are not valid. "
EMPTY_KEY = "The AttributeValue for a key attribute cannot contain an empty {kind} value."


def type_of(value: Value) -> str:
    """S, N, ... of a typed value."""
    return next(iter(value))


def part_bytes(value: Value) -> bytes:
    """The ordered bytes of a stored S, N or B value."""
    kind, held = next(iter(value.items()))
    if kind == "S":
        encoded: bytes = held.encode()
        return encoded
    return number_order(held) if kind == "N" else bytes(held)


NOTHING = b"\x00\x01"
NOTHING_FOLLOWS = NOTHING + NOTHING
"""An empty part where parts follow each other; elsewhere these bytes may mean anything."""

ANY_KEY = (b"k", b"")


def _ended(part: bytes) -> bytes:
    """With an end that keeps the order and lets no part begin with another."""
    return part.replace(b"\x00", b"\x00\xff") + b"\x00\x01"


def _empty_kind(value: Value) -> str | None:
    """`string` or `binary` where the value is empty."""
    kind, held = next(iter(value.items()))
    if held:
        return None
    return "string" if kind == "S" else "binary" if kind == "B" else None


class TableKeys:
    """Keys of one table's items. Immutable, any thread."""

    def __init__(self, schema: TableSchema) -> None:
        self.names = schema.keys.names
        self.types = tuple(schema.types[name] for name in self.names)

    def of_put(self, item: bytes) -> EngineKey:
        """The key of an item of PutItem; ApiError in PutItem's words."""
        usual = item_key(item, self.names, self.types)
        return self._put_in_words(item) if usual is None else usual

    def _put_in_words(self, item: bytes) -> EngineKey:
        values = get_attributes(item, self.names)
        for name, kind, value in zip(self.names, self.types, values, strict=True):
            if value is None:
                raise validation(f"{INVALID}Missing the key {name} in the item")
            if kind not in value:
                raise validation(f"{INVALID}Type mismatch for key {name} expected: {kind} actual: {type_of(value)}")
        return self._checked(values)

    def of_batch_put(self, item: bytes) -> EngineKey:
        """The key of an item of BatchWriteItem, whose faults have the words of a lookup."""
        usual = item_key(item, self.names, self.types)
        if usual is not None:
            return usual
        values = get_attributes(item, self.names)
        for kind, value in zip(self.types, values, strict=True):
            if value is None or kind not in value:
                raise validation(MISMATCH)
        return self._checked(values)

    def of_request(self, key: Item) -> EngineKey:
        """The key of a lookup; its values need not be in stored form yet."""
        usual = request_key(key, self.names, self.types)
        return self._request_in_words(key) if usual is None else usual

    def _request_in_words(self, key: Item) -> EngineKey:
        if len(key) != len(self.names):
            raise validation(MISMATCH)
        values = []
        for name, kind in zip(self.names, self.types, strict=True):
            value = key.get(name)
            if value is None or kind not in value:
                raise validation(MISMATCH)
            values.append(_stored(value))
        return self._checked(values)

    def of_requests(self, keys: list[Item]) -> list[EngineKey]:
        """The same of many."""
        usual = request_keys(keys, self.names, self.types)
        return [self.of_request(key) for key in keys] if usual is None else usual

    def of_stored(self, item: Item) -> EngineKey:
        """Of an item that came from the table, or of values known to fit."""
        values = [part_bytes(item[name]) for name in self.names]
        return values[0], values[1] if len(values) > 1 else b""

    def of_bytes(self, item: bytes) -> EngineKey:
        """Of an item's bytes that came from the table or one of its indexes."""
        key = item_key(item, self.names, self.types)
        assert key is not None
        return key

    def of_values(self, hashes: tuple[Value, ...]) -> bytes:
        """Partition bytes of a query."""
        return part_bytes(hashes[0])

    def _checked(self, values: list[Any]) -> EngineKey:
        for name, value in zip(self.names, values, strict=True):
            if kind := _empty_kind(value):
                raise validation(f"{NOT_VALID}{EMPTY_KEY.format(kind=kind)} Key: {name}")
        partition = part_bytes(values[0])
        sort = part_bytes(values[1]) if len(values) > 1 else b""
        if len(partition) > PARTITION_KEY_BYTES:
            raise validation(LONG_PARTITION)
        if len(sort) > SORT_KEY_BYTES:
            raise validation(LONG_SORT)
        return partition, sort


def _stored(value: Value) -> Value:
    try:
        return store_value(value)
    except Unusual:
        raise validation(MISMATCH) from None


class IndexKeys:
    """Keys of one index's entries. Immutable, any thread."""

    def __init__(self, schema: TableSchema, index: Index) -> None:
        self.index = index
        self.keys = index.keys
        self.names = index.keys.names
        self.types = tuple(schema.types[name] for name in self.names)
        self._hashes = len(index.keys.hashes)
        self._ranges = len(index.keys.ranges)

    def of(self, item: bytes, key: EngineKey) -> EngineKey | None:
        """The entry of an item whose key in the table is `key`; None where the item is not in the index.

        That may hold an attribute which no item could have got since the index is there: it is not in it either.
        """
        found = index_key(item, self.names, self.types, self._hashes, key)
        if found is None:
            return None
        return found if self._usual(*found) or self.check(item) is None else None

    def _usual(self, partition: bytes, sort: bytes) -> bool:
        """Whether nothing is wrong with an entry at first sight: no part is empty, none can be too long."""
        return (
            0 < len(partition) <= PARTITION_KEY_BYTES
            and len(sort) <= SORT_KEY_BYTES
            and not partition.startswith(NOTHING)
            and not (self._ranges and sort.startswith(NOTHING))
            and NOTHING_FOLLOWS not in partition
            and NOTHING_FOLLOWS not in sort
        )

    def of_stored(self, item: Item, key: EngineKey) -> EngineKey:
        """The entry that an item with these attributes would have; they are known to fit."""
        parts = [part_bytes(item[name]) for name in self.names]
        return self.partition(parts[: self._hashes]), self.sort(parts[self._hashes :], key)

    def of_values(self, hashes: tuple[Value, ...]) -> bytes:
        """Partition bytes of a query."""
        return self.partition([part_bytes(value) for value in hashes])

    def partition(self, parts: list[bytes]) -> bytes:
        """Of the parts of all partition attributes."""
        return parts[0] if len(parts) == 1 else b"".join(map(_ended, parts))

    def sort(self, parts: list[bytes], key: EngineKey) -> bytes:
        return b"".join(map(_ended, parts)) + _ended(key[0]) + key[1]

    def check(self, item: bytes, written: Container[str] | None = None) -> ApiError | None:
        """What is wrong with the index's attributes in an item that is to be stored: a type, an empty value, a size.

        written: names that alone are looked at, those that an update wrote.
        """
        if written is None:
            found = index_key(item, self.names, self.types, self._hashes, ANY_KEY)
            if found is not None and self._usual(*found):
                return None
        values = get_attributes(item, self.names)
        for name, kind, value in zip(self.names, self.types, values, strict=True):
            if value is None or (written is not None and name not in written):
                continue
            if kind not in value:
                return validation(
                    f"{INVALID}Type mismatch for Index Key {name} Expected: {kind} Actual: {type_of(value)} "
                    f"IndexName: {self.index.name}"
                )
            if empty := _empty_kind(value):
                return validation(
                    f"{NOT_VALID}A value specified for a secondary index key is not supported. "
                    f"{EMPTY_KEY.format(kind=empty)} IndexName: {self.index.name}, IndexKey: {name}"
                )
        if len(item) <= SORT_KEY_BYTES:
            return None
        return self._size_fault(values, written)

    def _size_fault(self, values: Sequence[Value | None], written: Container[str] | None) -> ApiError | None:
        """Partition attributes are sized together, sort attributes too; those that the item lacks count nothing."""
        sizes = [
            len(part_bytes(value)) if value is not None and kind in value else 0
            for kind, value in zip(self.types, values, strict=True)
        ]
        count = self._hashes
        for names, arm, most, text in (
            (self.names[:count], sizes[:count], PARTITION_KEY_BYTES, LONG_PARTITION),
            (self.names[count:], sizes[count:], SORT_KEY_BYTES, LONG_SORT),
        ):
            if sum(arm) > most and (written is None or any(name in written for name in names)):
                return validation(text)
        return None


def check_sizes(bound: BoundKeys) -> None:
    """ApiError where a key condition has a value that no key could have: it is refused, not found absent."""
    if sum(len(part_bytes(value)) for value in bound.hashes) > PARTITION_KEY_BYTES:
        raise validation(LONG_PARTITION)
    if not bound.ranges:
        return
    *equal, last = bound.ranges
    size = sum(len(part_bytes(test.values[0])) for test in equal)
    if size + max(len(part_bytes(value)) for value in last.values) > SORT_KEY_BYTES:
        raise validation(LONG_SORT)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of sort bytes: start included, stop not; None where there is none."""

    start: bytes | None = None
    stop: bytes | None = None

    def after(self, position: bytes, *, forward: bool) -> Bounds:
        """What lies behind a position, in the direction of reading."""
        if forward:
            following = position + b"\x00"
            return Bounds(following if self.start is None else max(self.start, following), self.stop)
        return Bounds(self.start, position if self.stop is None else min(self.stop, position))


def _behind(prefix: bytes) -> bytes | None:
    """The least bytes above all that begin with `prefix`."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes([stripped[-1] + 1]) if stripped else None


def table_bounds(tests: tuple[KeyTest, ...]) -> Bounds:
    """Of a table's sort key, which has one attribute and no end."""
    if not tests:
        return Bounds()
    test = tests[0]
    parts = [part_bytes(value) for value in test.values]
    first = parts[0]
    if test.operator == "begins_with":
        return Bounds(first, _behind(first))
    if test.operator == "=":
        return Bounds(first, first + b"\x00")
    if test.operator == "BETWEEN":
        return Bounds(first, parts[1] + b"\x00")
    if test.operator[0] == "<":
        return Bounds(None, first if test.operator == "<" else first + b"\x00")
    return Bounds(first if test.operator == ">=" else first + b"\x00", None)


def index_bounds(tests: tuple[KeyTest, ...]) -> Bounds:
    """Of an index's sort bytes: equalities on the first sort attributes, any test on the last one used."""
    if not tests:
        return Bounds()
    *equal, test = tests
    prefix = b"".join(_ended(part_bytes(one.values[0])) for one in equal)
    parts = [part_bytes(value) for value in test.values]
    first = prefix + _ended(parts[0])
    if test.operator == "begins_with":
        begun = prefix + parts[0].replace(b"\x00", b"\x00\xff")
        return Bounds(begun, _behind(begun))
    if test.operator == "=":
        return Bounds(first, _behind(first))
    if test.operator == "BETWEEN":
        return Bounds(first, _behind(prefix + _ended(parts[1])))
    if test.operator[0] == "<":
        return Bounds(prefix or None, first if test.operator == "<" else _behind(first))
    return Bounds(first if test.operator == ">=" else _behind(first), _behind(prefix))
