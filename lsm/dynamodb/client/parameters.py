"""Requests of Python callers: names and types by the service model, and binaries of any bytes-like type as bytes.

Texts as botocore words them. No state, any thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from lsm.dynamodb.client.exceptions import ParamValidationError
from lsm.dynamodb.model_data import OPERATIONS, SHAPES

__all__ = ["checked", "top_level"]

TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "double": (float, int),
    "float": (float, int),
    "list": (list, tuple),
    "map": (dict,),
    "structure": (dict,),
    "blob": (bytes, bytearray, memoryview, str),
    "timestamp": (object,),
}


def top_level(operation: str) -> Callable[[dict[str, Any]], None]:
    """What raises ParamValidationError for top-level members that the operation does not take, or lacks."""
    shape = SHAPES[OPERATIONS[operation]["input"]]
    taken, needed = frozenset(shape["members"]), tuple(shape.get("required", ()))

    def check(request: dict[str, Any]) -> None:
        if taken.issuperset(request):
            for name in needed:
                if name not in request:
                    break
            else:
                return
        raise ParamValidationError("\n".join(_structure_faults(shape, request, "")))

    return check


def checked(operation: str, request: dict[str, Any]) -> dict[str, Any]:
    """The request with binaries as bytes; ParamValidationError for names and types that do not fit the model."""
    name = OPERATIONS[operation]["input"]
    faults = list(_faults(name, request, ""))
    if faults:
        raise ParamValidationError("\n".join(faults))
    converted: dict[str, Any] = _converted(name, request)
    return converted


def _faults(name: str, value: Any, path: str) -> Iterator[str]:
    shape = SHAPES[name]
    kind = shape["type"]
    wrong = not isinstance(value, TYPES[kind]) or (isinstance(value, bool) and kind in ("integer", "long"))
    if wrong and kind == "blob" and hasattr(value, "value"):
        wrong = not isinstance(value.value, bytes | bytearray)
    if wrong:
        valid = ", ".join(str(one) for one in TYPES[kind])
        yield (
            f"Invalid type for parameter {path or 'input'}, value: {value}, type: {type(value)}, valid types: {valid}"
        )
    elif kind == "structure":
        yield from _structure_faults(shape, value, path)
    elif kind == "list":
        yield from _range_faults(shape, len(value), value, path, "length")
        for position, element in enumerate(value):
            yield from _faults(shape["member"], element, f"{path}[{position}]")
    elif kind == "map":
        for key, element in value.items():
            yield from _faults(shape["key"], key, f"{path} (key: {key})")
            yield from _faults(shape["value"], element, f"{path}.{key}")
    elif kind == "string":
        yield from _range_faults(shape, len(value), value, path, "length")
    elif kind in ("integer", "long"):
        yield from _range_faults(shape, value, value, path, "range")


def _structure_faults(shape: dict[str, Any], value: dict[str, Any], path: str) -> Iterator[str]:
    members = shape["members"]
    for name in shape.get("required", ()):
        if name not in value:
            yield f'Missing required parameter in {path or "input"}: "{name}"'
    for name in value:
        if name not in members:
            yield f'Unknown parameter in {path or "input"}: "{name}", must be one of: {", ".join(members)}'
        else:
            yield from _faults(members[name], value[name], f"{path}.{name}" if path else name)


def _range_faults(shape: dict[str, Any], measured: int, value: Any, path: str, what: str) -> Iterator[str]:
    """botocore refuses what is below the least; what is above the most it leaves to the service."""
    least = shape.get("min")
    if least is not None and measured < least:
        bound = "length" if what == "length" else "value"
        yield f"Invalid {what} for parameter {path}, value: {measured}, valid min {bound}: {least}"


def _converted(name: str, value: Any) -> Any:
    shape = SHAPES[name]
    kind = shape["type"]
    if kind == "structure":
        return {member: _converted(shape["members"][member], held) for member, held in value.items()}
    if kind == "list":
        return [_converted(shape["member"], element) for element in value]
    if kind == "map":
        return {key: _converted(shape["value"], element) for key, element in value.items()}
    if kind == "blob":
        return value.encode() if isinstance(value, str) else bytes(getattr(value, "value", value))
    return value
