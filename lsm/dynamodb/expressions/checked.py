"""The expressions of a request, checked as a whole; what passed is remembered by texts, names and kinds of values.

Guarantees: for callers who want to know only that nothing is wrong: which fault comes first is not said here. Bounded;
any thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lsm.dynamodb.errors import validation
from lsm.dynamodb.expressions.conditions import Condition
from lsm.dynamodb.expressions.key_conditions import KeyCondition
from lsm.dynamodb.expressions.unused import unused_names, unused_values
from lsm.dynamodb.expressions.updates import Update
from lsm.dynamodb.limits import ATTRIBUTE_NAME_BYTES, PLACEHOLDER_BYTES

__all__ = ["checked", "checked_keys"]

TypedValue = dict[str, Any]
Names = Mapping[str, str]
MOST = 4096
CONDITION = "ConditionExpression"

_passed: dict[Any, tuple[Update | None, Condition | None]] = {}
_passed_keys: dict[Any, KeyCondition] = {}


def checked(
    update: str | None, condition: str | None, names: Names | None, values: dict[str, TypedValue] | None
) -> tuple[Update | None, Condition | None]:
    """Both, ready for use, of their texts; ApiError or TypeError where anything at all is wrong. Values are stored."""
    key = (update, condition, *_given(names, values))
    known = _passed.get(key)
    held = values or {}
    if known is not None:
        first, second = known
        return first and first.again(held), second and second.again(held)
    found = _checked(update, condition, dict(names or {}), held)
    if (names is not None and not names) or (values is not None and not values):
        raise validation("names and values are not empty where they are given")
    if len(_passed) >= MOST:
        _passed.clear()
    # the request's own values are not kept
    _passed[key] = (found[0] and found[0].again({}), found[1] and found[1].bare())
    return found


def checked_keys(text: str, names: Names | None, values: dict[str, TypedValue]) -> KeyCondition:
    """A key condition that uses all names and values, which are stored; else ApiError or TypeError."""
    key = (text, *_given(names, values))
    known = _passed_keys.get(key)
    if known is not None:
        return known.again(values)
    if not values or (names is not None and not names):
        raise validation("names and values are not empty where they are given")
    _check_places(names or {}, values)
    found = KeyCondition.parse(text, dict(names or {}), values)
    found.check()
    fault = unused_names(names, [found.names_used]) or unused_values(values, [found.values_used])
    if fault is not None or set(found.values_used) != set(values):
        raise fault or validation("a value is not defined")
    if len(_passed_keys) >= MOST:
        _passed_keys.clear()
    _passed_keys[key] = found.again({})
    return found


def _checked(
    update: str | None, condition: str | None, names: dict[str, str], values: dict[str, TypedValue]
) -> tuple[Update | None, Condition | None]:
    _check_places(names, values)
    first = second = None
    if update is not None:
        first = Update.parse(update, names, values)
        first.check()
    if condition is not None:
        second = Condition.parse(CONDITION, condition, names, values)
        second.check()
    used = [part for part in (first, second) if part is not None]
    fault = unused_names(names, [part.names_used for part in used])
    if fault is None:
        fault = unused_values(values, [part.values_used for part in used])
    if fault is not None:
        raise fault
    return first, second


def _given(names: Names | None, values: Mapping[str, TypedValue] | None) -> tuple[Any, Any]:
    """Names, and places with the kinds of their values: what a text's verdict depends on."""
    return (
        None if names is None else tuple(names.items()),
        None if values is None else tuple([(place, *value) for place, value in values.items()]),
    )


def _check_places(names: Names, values: Mapping[str, TypedValue]) -> None:
    for given in (*names, *values):
        if type(given) is not str or len(given) > PLACEHOLDER_BYTES:
            raise TypeError("a placeholder")
    for name in names.values():
        if type(name) is not str or not name or len(name) * 4 > ATTRIBUTE_NAME_BYTES:
            raise TypeError("an attribute name")
