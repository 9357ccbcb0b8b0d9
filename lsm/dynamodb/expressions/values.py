"""What expressions compute with typed values: equality, order, size, containment, arithmetic. Rules 4, 5.

Values are in stored form: numbers as plain text, sets sorted; so equal values are equal dicts. No state.
"""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Any

from lsm.decimal_text import read_number
from lsm.dynamodb.errors import validation
from lsm.dynamodb.limits import NUMBER_DIGITS
from lsm.item_codec import number_order

__all__ = ["ORDERED", "add_numbers", "contains", "kind_of", "less", "ordered_key", "size_of"]

TypedValue = dict[str, Any]

ORDERED = frozenset("SNB")
EXACT = Context(prec=320)
NUMBER_FAULTS = {
    2: "Attempting to store more than 38 significant digits in a Number",
    3: "Number overflow. Attempting to store a number with magnitude larger than supported range",
    4: "Number underflow. Attempting to store a number with magnitude smaller than supported range",
}


def kind_of(value: TypedValue) -> str:
    """S, N, ..."""
    return next(iter(value))


def ordered_key(value: TypedValue) -> Any:
    """Something that compares as the value does; of S, N and B alone. Text compares by code point, as UTF-8 does."""
    kind, held = next(iter(value.items()))
    return number_order(held) if kind == "N" else held


def less(left: TypedValue, right: TypedValue) -> bool | None:
    """Whether left is less; None where the two do not compare."""
    kind = kind_of(left)
    if kind not in ORDERED or kind not in right:
        return None
    return bool(ordered_key(left) < ordered_key(right))


def size_of(value: TypedValue) -> int | None:
    """What size() gives; None for types that have none."""
    kind, held = next(iter(value.items()))
    if kind == "S":
        return len(held) if held.isascii() else len(held.encode("utf-16-le", "surrogatepass")) // 2
    return None if kind in ("N", "BOOL", "NULL") else len(held)


def contains(value: TypedValue, wanted: TypedValue) -> bool:
    """What contains() gives."""
    kind, held = next(iter(value.items()))
    if kind == "L":
        return wanted in held
    inner = {"S": "S", "B": "B", "SS": "S", "NS": "N", "BS": "B"}.get(kind)
    return inner is not None and inner in wanted and wanted[inner] in held


def add_numbers(left: TypedValue, right: TypedValue, *, subtract: bool = False) -> TypedValue:
    """The exact sum or difference; ApiError where no number that DynamoDB stores is equal to it."""
    one, other = left["N"], right["N"]
    if "." not in one and "." not in other and len(one) < NUMBER_DIGITS and len(other) < NUMBER_DIGITS:
        return {"N": str(int(one) - int(other) if subtract else int(one) + int(other))}
    a, b = Decimal(one), Decimal(other)
    result = EXACT.subtract(a, b) if subtract else EXACT.add(a, b)
    text = read_number(str(result))
    if isinstance(text, int):
        raise validation(NUMBER_FAULTS[text])
    return {"N": text}
