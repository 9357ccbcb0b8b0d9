"""From a request's JSON to the typed request that the operations take: base64, booleans, numbers, misplaced structures.

Guarantees: what it returns has the types of the service model; what has not is refused with the service's
SerializationException (rules 1.2). Members that are null or that the model does not know are left out. Any thread.
"""

from __future__ import annotations

import base64
import binascii
import threading
from collections.abc import Callable
from typing import Any

from lsm.dynamodb.errors import ApiError, serialization
from lsm.dynamodb.model_data import OPERATIONS, SHAPES
from lsm.dynamodb.requests.layers import HandedOver
from lsm.typed_json import is_plain

__all__ = ["decode_request"]

PACKAGE = "com.amazonaws.dynamodb.v20120810"
STRUCTURE = "Start of structure or map found where not expected"
LIST = "Start of list found where not expected"
FIELD = "Unexpected field type"
NESTED = frozenset(("structure", "map", "list"))
NULL = "Expected null"
PAYLOAD = "Unexpected value type in payload"
CAST = (
    "class sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl cannot be cast to class java.lang.Class "
    "(sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl and java.lang.Class are in module java.base of "
    "loader 'bootstrap')"
)
TRUE = frozenset(("true", "t", "yes", "y", "1"))
FALSE = frozenset(("false", "f", "no", "n", "0"))


class _Seen(threading.local):
    """Whether the request being read holds what hands it over to the older layer."""

    unusual = False
    unmeasured: Any = None
    """The whole of it, until its depth is known not to be too much."""


_seen = _Seen()
DEEPEST = 2000
"""Lists and maps of JSON around a value."""
LEAST, MOST = -(1 << 31), (1 << 31) - 1


def decode_request(operation: str, data: Any) -> dict[str, Any]:
    """The typed request of an operation of the model; `data` is its parsed JSON. ApiError where it does not fit."""
    name = OPERATIONS[operation]["input"]
    _seen.unusual = False
    _seen.unmeasured = data
    if not isinstance(data, dict):
        raise serialization(LIST if isinstance(data, list) else FIELD)
    try:
        request = _structure(SHAPES[name], data)
        return HandedOver(request) if _seen.unusual else request
    except RecursionError:
        raise serialization(None) from None
    finally:
        _seen.unmeasured = None


def _measure() -> None:
    """Before the first look into a nested value. What is deeper is refused without a word, as the service does."""
    level, _seen.unmeasured = [_seen.unmeasured], None
    depth = 0
    while level:
        depth += 1
        if depth > DEEPEST:
            raise serialization(None)
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                inner += value.values()
            elif isinstance(value, list):
                inner += value
        level = [value for value in inner if isinstance(value, (dict, list))]


def _structure(shape: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    members = shape["members"]
    read = {}
    fault = None
    for name, value in data.items():
        if value is None or name not in members:
            continue
        inner = members[name]
        kind = SHAPES[inner]["type"]
        if kind == "string" and type(value) is str:
            read[name] = value
            continue
        try:
            read[name] = _value(inner, value)
        except ApiError as found:
            # what is nested is read before what is not
            if kind in NESTED:
                raise
            fault = fault or found
    if fault is not None:
        raise fault
    return read


def _value(name: str, value: Any) -> Any:
    """Of a member of a structure."""
    if name == "AttributeValue":
        return _attribute_value(value, _misplaced)
    shape = SHAPES[name]
    kind = shape["type"]
    if kind == "structure":
        if not isinstance(value, dict):
            raise serialization(LIST if isinstance(value, list) else FIELD)
        return _structure(shape, value)
    if kind == "map":
        return _map(shape, value)
    if kind == "list":
        return _list(shape, value)
    return _scalar(kind, name, value)


def _misplaced(value: Any) -> ApiError:
    return serialization(LIST if isinstance(value, list) else FIELD)


def _java(name: str) -> str:
    shape = SHAPES[name]
    if shape["type"] == "structure":
        return f"{PACKAGE}.{name}"
    if shape["type"] == "list":
        return f"java.util.List<{_java(shape['member'])}>"
    return "java.lang.String"


def _map(shape: dict[str, Any], value: Any) -> dict[str, Any]:
    inner = shape["value"]
    if inner == "AttributeValue" and is_plain(value):
        return value  # type: ignore[no-any-return]
    if isinstance(value, list):
        raise serialization(f"Unrecognized collection type java.util.Map<java.lang.String, {_java(inner)}>")
    if not isinstance(value, dict):
        raise serialization(FIELD)
    if inner == "AttributeValue":
        fault = _element_of("AttributeValue")
        return {name: _attribute_value(one, fault) for name, one in value.items()}
    return {name: _element(inner, one) for name, one in value.items()}


def _list(shape: dict[str, Any], value: Any) -> list[Any]:
    if isinstance(value, dict):
        raise serialization(STRUCTURE)
    if not isinstance(value, list):
        raise serialization(FIELD)
    inner = shape["member"]
    if SHAPES[inner].get("value") == "AttributeValue":
        return [one if is_plain(one) else _element(inner, one) for one in value]
    return [_element(inner, one) for one in value]


def _element(name: str, value: Any) -> Any:
    """Of a list or a map."""
    shape = SHAPES[name]
    if shape["type"] == "structure":
        if not isinstance(value, dict):
            raise _element_of(name)(value)
        if name == "AttributeValue":
            return _attribute_value(value, _element_of(name))
        return _structure(shape, value)
    if name in ("WriteRequests", "Key") and not isinstance(value, dict if shape["type"] == "map" else list):
        raise serialization(CAST)
    return _value(name, value)


def _element_of(name: str) -> Callable[[Any], ApiError]:
    def fault(value: Any) -> ApiError:
        if value is None:
            return serialization(NULL)
        if isinstance(value, list):
            return serialization(f"Unrecognized collection type class {PACKAGE}.{name}")
        return serialization(PAYLOAD)

    return fault


# ---- scalars


def _scalar(kind: str, name: str, value: Any) -> Any:
    if kind == "string":
        return _string(value)
    if kind == "boolean":
        return _boolean(value, "Unrecognized collection type class java.lang.Boolean")
    if kind == "blob":
        return _binary(value)
    if isinstance(value, dict):
        raise serialization(STRUCTURE)
    java = "Long" if kind == "long" else "Integer" if kind == "integer" else "Double"
    if isinstance(value, list):
        raise serialization(f"Unrecognized collection type class java.lang.{java}")
    if isinstance(value, bool):
        raise serialization(f"{str(value).upper()}_VALUE cannot be converted to {java}")
    if isinstance(value, str):
        raise serialization(f"STRING_VALUE cannot be converted to {java}")
    if kind in ("double", "float", "timestamp"):
        return value
    whole = int(value)
    if kind != "integer":
        return whole
    cut = max(LEAST, min(MOST, whole))
    if cut != value:
        _seen.unusual = True
    return cut


def _string(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        raise serialization(STRUCTURE)
    if isinstance(value, list):
        raise serialization("Unrecognized collection type class java.lang.String")
    if value is None:
        raise serialization(NULL)
    raise serialization(f"{_token(value)} cannot be converted to String")


def _token(value: Any) -> str:
    if isinstance(value, bool):
        return f"{str(value).upper()}_VALUE"
    return "DECIMAL_VALUE" if isinstance(value, float) else "NUMBER_VALUE"


def _boolean(value: Any, of_list: str | None) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        spelled = value.lower()
        if spelled in TRUE or spelled in FALSE:
            _seen.unusual = True
            return spelled in TRUE
        raise serialization("Unexpected token received from parser")
    if isinstance(value, dict):
        raise serialization(STRUCTURE)
    if isinstance(value, list):
        raise serialization(of_list)
    raise serialization(f"{_token(value)} cannot be converted to Boolean")


def _binary(value: Any) -> bytes:
    try:
        return base64.b64decode(_string(value), validate=True)
    except (binascii.Error, ValueError):
        raise serialization(None) from None


# ---- attribute values


def _attribute_value(value: Any, misplaced: Callable[[Any], ApiError]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise misplaced(value)
    if len(value) == 1:
        # the usual case needs no copy
        for kind, held in value.items():
            if (kind in ("S", "N") and type(held) is str) or (kind == "BOOL" and type(held) is bool):
                return value
    return {kind: READERS[kind](held) for kind, held in value.items() if held is not None and kind in READERS}


def _strings(value: Any) -> list[str]:
    return [_string(one) for one in _members(value)]


def _binaries(value: Any) -> list[bytes]:
    return [_binary(one) for one in _members(value)]


def _members(value: Any) -> list[Any]:
    if isinstance(value, dict):
        raise serialization(STRUCTURE)
    if not isinstance(value, list):
        raise serialization(FIELD)
    return value


def _value_list(value: Any) -> list[dict[str, Any]]:
    if _seen.unmeasured is not None:
        _measure()
    fault = _element_of("AttributeValue")
    return [_attribute_value(one, fault) for one in _members(value)]


def _value_map(value: Any) -> dict[str, Any]:
    if _seen.unmeasured is not None:
        _measure()
    if isinstance(value, list):
        raise serialization(f"Unrecognized collection type java.util.Map<java.lang.String, {PACKAGE}.AttributeValue>")
    if not isinstance(value, dict):
        raise serialization(FIELD)
    fault = _element_of("AttributeValue")
    return {name: _attribute_value(one, fault) for name, one in value.items()}


READERS: dict[str, Callable[[Any], Any]] = {
    "S": _string,
    "N": _string,
    "B": _binary,
    "SS": _strings,
    "NS": _strings,
    "BS": _binaries,
    "L": _value_list,
    "M": _value_map,
    "BOOL": lambda value: _boolean(value, None),
    "NULL": lambda value: _boolean(value, None),
}
