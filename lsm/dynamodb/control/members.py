"""The constraint layer of the control operations: faults of members by the service model. Rules 2, 8.1. No state."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from lsm.dynamodb.errors import validation
from lsm.dynamodb.model_data import SHAPES
from lsm.dynamodb.requests.common import TABLE_ARN, raise_members

__all__ = ["check_name", "constraint_faults", "key_schema_faults", "raise_at_most_ten", "required_name"]

MOST = 10
PRINTED_SETS = {
    "KeyType": "[HASH, RANGE]",
    "ScalarAttributeType": "[B, N, S]",
    "BillingMode": "[PROVISIONED, PAY_PER_REQUEST]",
    "ProjectionType": "[ALL, INCLUDE, KEYS_ONLY]",
    "TableClass": "[STANDARD, STANDARD_INFREQUENT_ACCESS]",
}
# Where the live service differs from the model, or checks later.
LENGTHS: dict[str, tuple[int | None, int | None]] = {
    "TableName": (3, 255),
    "TableArn": (3, 1024),
    "KeySchema": (1, None),
    "NonKeyAttributeNameList": (1, 20),
}


def raise_at_most_ten(faults: Sequence[str]) -> None:
    raise_members(faults[:MOST])


def required_name(request: Mapping[str, Any]) -> None:
    if request.get("TableName") is None:
        raise validation("The parameter 'TableName' is required but was not present in the request")


def check_name(request: Mapping[str, Any]) -> str:
    """TableName of the operations that describe, change or delete a table."""
    required_name(request)
    name = str(request["TableName"])
    if TABLE_ARN.fullmatch(name):
        return name
    if not 3 <= len(name) <= 255:
        raise validation("TableName must be at least 3 characters long and at most 255 characters long")
    raise_members(_pattern(name, "tableName", "[a-zA-Z0-9_.-]+"))
    return name


@lru_cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _pattern(value: str, path: str, pattern: str) -> list[str]:
    if _compiled(pattern).fullmatch(value):
        return []
    return [
        f"Value '{value}' at '{path}' failed to satisfy constraint: "
        f"Member must satisfy regular expression pattern: {pattern}"
    ]


def constraint_faults(name: str, value: Any, path: str, required: bool = False) -> list[str]:
    """Faults of a value of the shape `name`, then of its parts, in the model's order of members."""
    if value is None:
        return [f"Value null at '{path}' failed to satisfy constraint: Member must not be null"] if required else []
    shape = SHAPES[name]
    kind = shape["type"]
    if kind == "structure":
        return _structure(shape, value, path)
    if kind == "list":
        return [*_length(name, shape, value, path, _shown_list(value)), *_elements(shape, value, path)]
    if kind == "string":
        faults = _length(name, shape, value, path, str(value))
        if "enum" in shape and value not in shape["enum"]:
            printed = PRINTED_SETS.get(name) or f"[{', '.join(shape['enum'])}]"
            faults.append(
                f"Value '{value}' at '{path}' failed to satisfy constraint: "
                f"Member must satisfy enum value set: {printed}"
            )
        if "pattern" in shape:
            faults += _pattern(value, path, shape["pattern"])
        return faults
    if kind in ("integer", "long") and "min" in shape and value < shape["min"]:
        return [
            f"Value '{value}' at '{path}' failed to satisfy constraint: "
            f"Member must have value greater than or equal to {shape['min']}"
        ]
    return []


def _structure(shape: Mapping[str, Any], value: Mapping[str, Any], path: str) -> list[str]:
    needed = shape.get("required", ())
    faults = []
    for member, inner in shape["members"].items():
        below = f"{path}.{member[0].lower()}{member[1:]}" if path else f"{member[0].lower()}{member[1:]}"
        faults += constraint_faults(inner, value.get(member), below, member in needed)
    return faults


def _elements(shape: Mapping[str, Any], value: Sequence[Any], path: str) -> list[str]:
    return [
        fault
        for number, element in enumerate(value, 1)
        for fault in constraint_faults(shape["member"], element, f"{path}.{number}.member", True)
    ]


def _length(name: str, shape: Mapping[str, Any], value: Any, path: str, shown: str) -> list[str]:
    least, most = LENGTHS.get(name, (shape.get("min"), shape.get("max")))
    begin = f"Value '{shown}' at '{path}' failed to satisfy constraint: Member must have length"
    if least is not None and len(value) < least:
        return [f"{begin} greater than or equal to {least}"]
    if most is not None and len(value) > most:
        return [f"{begin} less than or equal to {most}"]
    return []


def _shown_list(value: Sequence[Any]) -> str:
    return "[" + ", ".join(map(_shown, value)) + "]"


def _shown(element: Any) -> str:
    if isinstance(element, dict) and {"AttributeName", "KeyType"} >= set(element):
        return f"KeySchemaElement(attributeName={element.get('AttributeName')}, keyType={element.get('KeyType')})"
    return str(element)


def key_schema_faults(elements: Any, path: str, most: int) -> list[str]:
    """Of a key schema: its length, which the service always names `keySchema`, else its elements."""
    faults = constraint_faults("KeySchema", elements, path, True)
    if elements is not None and len(elements) > most:
        return [
            f"Value '{_shown_list(elements)}' at 'keySchema' failed to satisfy constraint: "
            f"Member must have length less than or equal to {most}"
        ]
    return faults
