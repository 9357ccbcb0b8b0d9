"""ExclusiveStartKey against the schema, and against the condition of a Query. Rules 7.7. No state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lsm.dynamodb.errors import ApiError, validation
from lsm.dynamodb.expressions import BoundKeys
from lsm.dynamodb.keys import type_of
from lsm.dynamodb.schema import Index, KeySchema
from lsm.dynamodb.tables import OpenIndex, OpenTable

__all__ = ["check_against_condition", "check_scan_start", "check_start"]

BAD = "The provided starting key is invalid"
ONE_ROW = "The query can return at most one row and cannot be restarted"
Key = dict[str, Any]


def check_start(table: OpenTable, index: OpenIndex | None, names: Sequence[str], key: Key) -> None:
    """Exactly the attributes `names`, each of its type and not empty."""
    types = table.schema.types
    if set(key) != set(names) or any(types[name] not in key[name] for name in names):
        raise validation(BAD)
    for name in names:
        value = key[name]
        if not value[types[name]]:
            kind = "string" if types[name] == "S" else "binary"
            raise validation(
                "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain "
                f"an empty {kind} value. Key: {name}"
            )


def check_scan_start(table: OpenTable, index: OpenIndex | None, names: Sequence[str], key: Key) -> None:
    """As check_start; where the table has indexes, a wrong type is named first."""
    if table.indexes:
        for name, value in key.items():
            wanted = table.schema.types.get(name)
            if wanted is not None and wanted not in value:
                raise _mismatch(table, index, name, wanted, value)
    check_start(table, index, names, key)


def _mismatch(table: OpenTable, index: OpenIndex | None, name: str, wanted: str, value: Key) -> ApiError:
    indexes: list[Index] = sorted(table.schema.indexes, key=lambda one: not one.is_global)
    shown = index.name if index is not None else indexes[0].name
    return validation(
        f"One or more parameter values were invalid: Type mismatch for Index Key {name} Expected: {wanted} "
        f"Actual: {type_of(value)} IndexName: {shown}"
    )


def check_against_condition(keys: KeySchema, bound: BoundKeys, key: Key) -> None:
    """A Query goes on only where its own condition holds."""
    *others, (last_name, last_value) = zip(keys.hashes, bound.hashes, strict=True)
    if any(key[name] != value for name, value in others):
        raise validation(ONE_ROW)
    if any(not test.holds(key[test.name]) for test in bound.ranges):
        raise validation("The provided starting key does not match the range key predicate")
    if key[last_name] == last_value:
        return
    if bound.ranges:
        raise validation(ONE_ROW)
    if not keys.ranges:
        raise validation("The provided exclusive start key is invalid")
    raise validation("The provided starting key is outside query boundaries based on provided conditions")
