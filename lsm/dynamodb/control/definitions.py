"""What CreateTable and UpdateTable check of key schemas, attribute definitions and indexes. Rules 8.1, 12.2."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lsm.dynamodb.errors import ApiError, validation
from lsm.dynamodb.limits import (
    GLOBAL_INDEXES,
    INDEX_KEY_ATTRIBUTES,
    LOCAL_INDEXES,
    PROJECTED_PER_TABLE,
)
from lsm.dynamodb.requests.echo import hash_map_order
from lsm.dynamodb.schema import KeySchema

__all__ = [
    "attribute_types",
    "check_global_index",
    "check_global_indexes",
    "check_index_definitions",
    "check_local_indexes",
    "check_projection",
    "check_table_keys",
    "check_unused",
    "invalid",
    "key_schema",
]

INVALID = "One or more parameter values were invalid: "
NO_DEFINITION = "Invalid KeySchema: Some index key attribute have no definition"
Elements = Sequence[Mapping[str, Any]]


def invalid(text: str) -> ApiError:
    return validation(f"{INVALID}{text}")


def key_schema(elements: Elements) -> KeySchema:
    """Of a KeySchema list."""
    return KeySchema(
        tuple(e["AttributeName"] for e in elements if e["KeyType"] == "HASH"),
        tuple(e["AttributeName"] for e in elements if e["KeyType"] == "RANGE"),
    )


def _names(elements: Elements) -> list[str]:
    return [element["AttributeName"] for element in elements]


def attribute_types(given: Elements) -> dict[str, str]:
    """Of AttributeDefinitions, type by name."""
    types: dict[str, str] = {}
    for definition in given:
        if definition["AttributeName"] in types:
            raise validation(f"Attribute Name is duplicated: {definition['AttributeName']}")
        types[definition["AttributeName"]] = definition["AttributeType"]
    return types


def _listed(names: Iterable[str], buckets: int | None = None) -> str:
    return "[" + ", ".join(hash_map_order(dict.fromkeys(names), buckets)) + "]"


def check_table_keys(elements: Elements, types: Mapping[str, str]) -> None:
    """The table's own key: definitions, then its structure."""
    names = _names(elements)
    if any(name not in types for name in names):
        if len(names) > 1 or not types:
            raise validation(NO_DEFINITION)
        raise _undefined(names, types)
    if len(names) == 2 and names[0] == names[1]:
        raise validation(NO_DEFINITION)
    _check_order(elements)


def _check_order(elements: Elements) -> None:
    if elements[0]["KeyType"] != "HASH":
        raise validation("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")
    if len(elements) == 2 and elements[1]["KeyType"] != "RANGE":
        raise validation("Invalid KeySchema: The second KeySchemaElement is not a RANGE key type")


def _undefined(names: Sequence[str], types: Mapping[str, str]) -> ApiError:
    return invalid(
        f"Some index key attributes are not defined in AttributeDefinitions. Keys: {_listed(names)}, "
        f"AttributeDefinitions: {_listed(types)}"
    )


def check_index_definitions(indexes: Sequence[Mapping[str, Any]], types: Mapping[str, str]) -> None:
    """The first index with a key attribute that is not defined."""
    for index in indexes:
        names = _names(index["KeySchema"])
        if any(name not in types for name in names):
            raise validation(NO_DEFINITION) if len(types) < len(set(names)) else _undefined(names, types)


def check_local_indexes(indexes: Sequence[Mapping[str, Any]], table: KeySchema, types: Mapping[str, str]) -> None:
    if not table.ranges:
        raise invalid(
            "Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex"
        )
    check_index_definitions(indexes, types)
    seen: set[str] = set()
    for index in indexes:
        elements, name = index["KeySchema"], index["IndexName"]
        names = _names(elements)
        if elements[0]["KeyType"] != "HASH":
            raise validation("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")
        if len(names) == 2 and names[0] == names[1]:
            raise validation("Both the Hash Key and the Range Key element in the KeySchema have the same name")
        _check_order(elements)
        if len(names) < 2:
            raise invalid(f"Index KeySchema does not have a range key for index: {name}")
        if names[0] != table.hashes[0]:
            raise invalid(
                "Index KeySchema does not have the same leading hash key as table KeySchema for index: "
                f"{name}. index hash key: {names[0]}, table hash key: {table.hashes[0]}"
            )
        check_projection(index["Projection"])
        _check_name(name, seen)
    if len(indexes) > LOCAL_INDEXES:
        raise invalid(f"Number of LocalSecondaryIndexes exceeds per-table limit of {LOCAL_INDEXES}")


def _check_name(name: str, seen: set[str]) -> None:
    if name in seen:
        raise invalid(f"Duplicate index name: {name}")
    seen.add(name)


def check_global_indexes(indexes: Sequence[Mapping[str, Any]], types: Mapping[str, str]) -> None:
    check_index_definitions(indexes, types)
    seen: set[str] = set()
    for index in indexes:
        check_global_index(index)
        _check_name(index["IndexName"], seen)
    if len(indexes) > GLOBAL_INDEXES:
        raise invalid(f"GlobalSecondaryIndex count exceeds the per-table limit of {GLOBAL_INDEXES}")


def check_global_index(index: Mapping[str, Any]) -> None:
    """Structure of its key, then its projection."""
    elements = index["KeySchema"]
    names = _names(elements)
    kinds = [element["KeyType"] for element in elements]
    if kinds[0] != "HASH":
        raise validation("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")
    if kinds == ["HASH", "RANGE"] and names[0] == names[1]:
        raise validation("Both the Hash Key and the Range Key element in the KeySchema have the same name")
    if len(set(names)) < len(names):
        raise validation("The KeySchema contains multiple key attributes with the same name")
    if "HASH" in kinds[kinds.index("RANGE") if "RANGE" in kinds else len(kinds) :]:
        raise invalid("All HASH key attributes must precede RANGE key attributes in the KeySchema")
    for kind in ("HASH", "RANGE"):
        if kinds.count(kind) > INDEX_KEY_ATTRIBUTES:
            raise invalid(f"The KeySchema exceeds the maximum allowed number of {kind} key attributes")
    check_projection(index["Projection"])


def check_projection(projection: Mapping[str, Any]) -> None:
    kind, names = projection.get("ProjectionType"), projection.get("NonKeyAttributes")
    if kind is None:
        raise invalid("Unknown ProjectionType: null")
    if kind == "INCLUDE" and names is None:
        raise invalid("ProjectionType is INCLUDE, but NonKeyAttributes is not specified")
    if kind != "INCLUDE" and names is not None:
        raise invalid(f"ProjectionType is {kind}, but NonKeyAttributes is specified")
    seen: set[str] = set()
    for name in names or ():
        if name in seen:
            raise invalid(f"Duplicate element in NonKeyAttributes: {name}")
        seen.add(name)


def check_projected_count(indexes: Iterable[Sequence[str]]) -> None:
    """Attributes that all indexes of a table INCLUDE, together."""
    if sum(map(len, indexes)) > PROJECTED_PER_TABLE:
        raise invalid(
            f"Number of NonKeyAttributes exceeds the per-table limit of {PROJECTED_PER_TABLE} over all indexes"
        )


def check_unused(table: KeySchema, indexes: Sequence[KeySchema], types: Mapping[str, str]) -> None:
    """Definitions that no key uses."""
    used = dict.fromkeys(table.names)
    for keys in indexes:
        used.update(dict.fromkeys(keys.names))
    if all(name in used for name in types):
        return
    if not indexes:
        raise invalid(
            "Number of attributes in KeySchema does not exactly match number of attributes defined in "
            "AttributeDefinitions"
        )
    buckets = 16
    while len(used) > buckets * 3 / 4:
        buckets *= 2
    raise invalid(
        f"Some AttributeDefinitions are not used. AttributeDefinitions: {_listed(types)}, "
        f"keys used: {_listed(used, buckets)}"
    )
