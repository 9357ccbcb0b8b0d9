"""What is wrong with a typed value, in the service's words, and which form such a fault has where it is found.

Guarantees: what `stored_item` and `stored_value` return is in stored form; what they refuse is refused with the first
fault in the request's order. Rules 0.4, 3.2, 5.1, 5.2. No state, any thread.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from enum import Enum
from typing import Any, NamedTuple

from lsm.decimal_text import read_number
from lsm.dynamodb.errors import ApiError, validation
from lsm.dynamodb.limits import ATTRIBUTE_NAME_BYTES, NESTING
from lsm.item_codec import Unusual, encode_item, store_value

__all__ = [
    "ALL_BARE",
    "LONG_NAME",
    "NULL_IS_FALSE",
    "VERY_DEEP",
    "WRITES",
    "WRITES_KEY",
    "Fault",
    "Found",
    "Layer",
    "depth_of",
    "find_fault",
    "is_long_name",
    "name_fault",
    "nesting_fault",
    "stored_item",
    "stored_key",
    "stored_parts",
    "stored_value",
]

TypedValue = dict[str, Any]
INVALID = "One or more parameter values were invalid: "
TYPES = frozenset(("S", "N", "B", "SS", "NS", "BS", "M", "L", "BOOL", "NULL"))
VERY_DEEP = 63
"""Levels from which on a value is refused before everything else, and without an envelope."""


class Layer(Enum):
    """The two validation layers of the service; see rules chapter 0."""

    NEWER = 1
    OLDER = 2


class Fault(Enum):
    """Kinds of faults that have forms of their own."""

    NUMBER = 1
    REPEATED = 2
    EMPTY_SET = 3
    NULL = 4
    NO_TYPE = 5
    SEVERAL_TYPES = 6
    NESTING = 7
    NAME = 8
    DEEP = 9


class Found(NamedTuple):
    """A fault and its text."""

    kind: Fault
    text: str


ALL_BARE: frozenset[Fault] = frozenset()
"""Kinds that stand in the envelope on reads, batches and transactions: none."""

WRITES = frozenset((Fault.NUMBER, Fault.REPEATED, Fault.EMPTY_SET, Fault.NULL, Fault.NESTING, Fault.NAME))
"""Kinds that stand in the envelope on PutItem, UpdateItem and DeleteItem."""

WRITES_KEY = WRITES - {Fault.EMPTY_SET}
"""The same in Key and AttributeUpdates."""

EMPTY_NAME = Found(Fault.NAME, "Empty attribute name")
LONG_NAME = Found(Fault.NAME, f"Attribute name is too large, must be less than {ATTRIBUTE_NAME_BYTES + 1} bytes")
NESTING_TEXT = (
    "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit"
)
NULL_IS_FALSE = f"{INVALID}Null attribute value types must have the value of true"
NO_NUMBER = "The parameter cannot be converted to a numeric value"
RANGE_TEXTS = {
    2: "Attempting to store more than 38 significant digits in a Number",
    3: "Number overflow. Attempting to store a number with magnitude larger than supported range",
    4: "Number underflow. Attempting to store a number with magnitude smaller than supported range",
}
EMPTY_SETS = {
    "SS": f"{INVALID}An string set  may not be empty",
    "NS": f"{INVALID}An number set  may not be empty",
    "BS": f"{INVALID}Binary sets should not be empty",
}
EMPTY = "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
SEVERAL = "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"
EXPONENT = re.compile(r"[eE]([+-]?[0-9]+)$")


# ---- values that are taken


def stored_item(item: Mapping[str, Any], layer: Layer, envelope: Container[Fault]) -> bytes:
    """The bytes of an item; ApiError for its first fault, in the envelope where its kind is in `envelope`."""
    try:
        return encode_item(item if type(item) is dict else dict(item))
    except Unusual:
        pass
    raise _error(_fault_of_item(item, layer), envelope)


def stored_key(key: Mapping[str, Any], layer: Layer, envelope: Container[Fault]) -> dict[str, TypedValue]:
    """The attributes of a key in stored form."""
    return {name: stored_value(value, layer, envelope) for name, value in key.items()}


def stored_value(value: Any, layer: Layer, envelope: Container[Fault]) -> TypedValue:
    """The value in stored form; ApiError for its first fault."""
    try:
        return store_value(value)
    except Unusual:
        pass
    raise _error(find_fault(value, layer), envelope)


def stored_parts(value: TypedValue) -> TypedValue:
    """The stored form of a list or map whose parts have one, but which has a level too many itself."""
    kind, held = next(iter(value.items()))
    if kind == "M":
        return {"M": {name: store_value(part) for name, part in held.items()}}
    return {"L": [store_value(part) for part in held]}


def _error(found: Found | None, envelope: Container[Fault]) -> ApiError:
    if found is None:
        # the codec refused something that no rule names: a text with half a surrogate pair, or a foreign Python type
        return validation("One or more parameter values were invalid: Supplied AttributeValue cannot be stored")
    return validation(found.text, envelope=found.kind in envelope)


def _fault_of_item(item: Mapping[str, Any], layer: Layer) -> Found | None:
    for value in item.values():
        if (found := find_fault(value, layer)) is not None:
            return found
    return None


# ---- faults


def find_fault(value: Any, layer: Layer) -> Found | None:
    """The first fault of a value: those of its parts in the request's order, then its nesting."""
    levels = depth_of(value)
    if levels >= VERY_DEEP:
        return Found(Fault.DEEP, NESTING_TEXT)
    found = _first(value, layer)
    if found is None and levels >= NESTING:
        return Found(Fault.NESTING, NESTING_TEXT)
    return found


def nesting_fault(value: Any, limit: int = NESTING) -> Found | None:
    """The fault of a value with `limit` or more lists and maps around a leaf."""
    levels = depth_of(value)
    if levels < limit:
        return None
    return Found(Fault.DEEP if levels >= VERY_DEEP else Fault.NESTING, NESTING_TEXT)


def depth_of(value: Any) -> int:
    """How many lists and maps lie around the deepest part; a value that is none of them has 0."""
    deepest = 0
    waiting = [(value, 0)]
    while waiting:
        inner, level = waiting.pop()
        if isinstance(inner, dict):
            for parts in (inner.get("M"), inner.get("L")):
                if parts is not None:
                    deepest = max(deepest, level + 1)
                    waiting.extend((part, level + 1) for part in _parts(parts))
    return deepest


def _parts(container: Any) -> Iterable[Any]:
    if isinstance(container, dict):
        return container.values()
    return container if isinstance(container, list | tuple) else ()


def name_fault(values: Iterable[Any]) -> Found | None:
    """The fault of values that hold a map with an empty or an overlong attribute name, at any depth.

    The attributes of an item stand in a map too: {"M": item}.
    """
    waiting = list(values)
    while waiting:
        value = waiting.pop()
        if not isinstance(value, dict):
            continue
        members = value.get("M")
        if isinstance(members, dict):
            if "" in members:
                return EMPTY_NAME
            if any(map(is_long_name, members)):
                return LONG_NAME
            waiting.extend(members.values())
        elements = value.get("L")
        if isinstance(elements, list):
            waiting.extend(elements)
    return None


def is_long_name(name: str) -> bool:
    """Whether it is too long for an attribute."""
    return len(name) * 4 > ATTRIBUTE_NAME_BYTES and len(name.encode("utf-8", "surrogatepass")) > ATTRIBUTE_NAME_BYTES


def _first(value: Any, layer: Layer) -> Found | None:
    if not isinstance(value, dict) or not value or not TYPES.issuperset(value):
        return Found(Fault.NO_TYPE, EMPTY)
    for found in _members(value, layer):
        return found
    if len(value) > 1:
        return Found(Fault.SEVERAL_TYPES, SEVERAL)
    for parts in (value.get("M"), value.get("L")):
        for part in _parts(parts) if parts is not None else ():
            if (inner := _first(part, layer)) is not None:
                return inner
    return None


def _members(value: TypedValue, layer: Layer) -> Iterator[Found]:
    """Faults of the value itself, in the order in which the service looks."""
    for kind, text in EMPTY_SETS.items():
        if kind in value and not value[kind]:
            yield Found(Fault.EMPTY_SET, text)
    if "N" in value and (text_of := number_fault(value["N"], layer)) is not None:
        yield Found(Fault.NUMBER, text_of)
    for member in value.get("NS", ()):
        if (text_of := number_fault(member, layer)) is not None:
            yield Found(Fault.NUMBER, text_of)
    for kind in ("SS", "NS", "BS"):
        if kind in value and (text_of := _repeated(kind, list(value[kind]), layer)) is not None:
            yield Found(Fault.REPEATED, text_of)
    if "NULL" in value and value["NULL"] is not True:
        yield Found(Fault.NULL, NULL_IS_FALSE)


def number_fault(text: Any, layer: Layer) -> str | None:
    """Why a number's text is refused."""
    if text == "":
        return f"{NO_NUMBER}: " if layer is Layer.NEWER else NO_NUMBER
    status = read_number(text) if isinstance(text, str) else 1
    if isinstance(status, str):
        return None
    if layer is Layer.OLDER and status != 1:
        status = _as_big_decimal(str(text), status)
    return RANGE_TEXTS.get(status, f"{NO_NUMBER}: {text}")


def _as_big_decimal(text: str, status: int) -> int:
    """The status as Java's BigDecimal makes it: its scale has 32 bits, and so has its magnitude, which wraps round."""
    exponent = EXPONENT.search(text)
    if exponent is None:
        return status
    whole, _, fraction = text[: exponent.start()].lstrip("+-").partition(".")
    scale = len(fraction) - int(exponent[1])
    if not -(1 << 31) <= scale < 1 << 31:
        return 1
    digits = len((whole + fraction).lstrip("0")) or 1
    return 4 if digits - scale >= 1 << 31 else status


def _repeated(kind: str, members: list[Any], layer: Layer) -> str | None:
    same = [read_number(member) for member in members] if kind == "NS" else members
    if len(set(same)) == len(same):
        return None
    position = next(n for n, member in enumerate(same) if member in same[:n])
    if kind == "NS":
        bare = "Input collection contains duplicates"
        return bare if layer is Layer.OLDER else f"{INVALID}{bare}."
    shown = members
    if layer is Layer.NEWER:
        shown = [*sorted(members[:position]), *members[position:]]
    if kind == "SS":
        inside = ", ".join(json.dumps(m, ensure_ascii=False) if layer is Layer.NEWER else m for m in shown)
        return f"{INVALID}Input collection [{inside}] contains duplicates."
    texts = [base64.b64encode(member).decode() for member in shown]
    inside = ",".join(f'"{text}"' for text in texts) if layer is Layer.NEWER else ", ".join(texts)
    return f"{INVALID}Input collection [{inside}]of type BS contains duplicates."
