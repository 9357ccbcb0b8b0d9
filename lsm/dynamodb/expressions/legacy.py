"""The parameters from before expressions, as the same conditions and updates: Expected, QueryFilter, ScanFilter,
KeyConditions, AttributeUpdates. Rules 3.5, 7.8.

Their values are typed values in stored form already; faults of their shape are found here, before any table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lsm.dynamodb.errors import ApiError, validation
from lsm.dynamodb.expressions.conditions import Condition
from lsm.dynamodb.expressions.key_conditions import REVERSED, SAME_TYPE, KeyCondition
from lsm.dynamodb.expressions.syntax import And, Attribute, Between, Call, Compare, In, Literal, Not, Or
from lsm.dynamodb.expressions.syntax import Condition as Tree
from lsm.dynamodb.expressions.updates import SETS, Update
from lsm.dynamodb.expressions.values import kind_of, ordered_key

__all__ = [
    "attribute_updates",
    "check_arguments",
    "check_operator",
    "expected",
    "filter_condition",
    "key_conditions",
]

TypedValue = dict[str, Any]
INVALID = "One or more parameter values were invalid: "
COUNTS: Mapping[str, tuple[int, int | None]] = {
    "EQ": (1, 1),
    "NE": (1, 1),
    "LT": (1, 1),
    "LE": (1, 1),
    "GT": (1, 1),
    "GE": (1, 1),
    "BEGINS_WITH": (1, 1),
    "CONTAINS": (1, 1),
    "NOT_CONTAINS": (1, 1),
    "NULL": (0, 0),
    "NOT_NULL": (0, 0),
    "BETWEEN": (2, 2),
    "IN": (1, None),
}
SCALARS = ("S", "N", "B")
TYPES = {
    **dict.fromkeys(("LT", "LE", "GT", "GE", "BETWEEN", "IN"), SCALARS),
    "BEGINS_WITH": ("S", "B"),
    "CONTAINS": (*SCALARS, "BOOL", "NULL"),
    "NOT_CONTAINS": (*SCALARS, "BOOL", "NULL"),
}
SIGNS = {"EQ": "=", "NE": "<>", "LT": "<", "LE": "<=", "GT": ">", "GE": ">="}


def check_operator(operator: str) -> None:
    """ApiError for an operator that does not exist."""
    if operator not in COUNTS:
        raise validation(f"{INVALID}Invalid comparison operator")


def check_arguments(operator: str, values: Sequence[TypedValue], *, of_keys: bool = False) -> None:
    """ApiError for a wrong number of values, or types that the operator does not take.

    of_keys: KeyConditions compare the two types of BETWEEN once the table was found.
    """
    least, most = COUNTS[operator]
    if len(values) < least or (most is not None and len(values) > most):
        raise validation(f"{INVALID}Invalid number of argument(s) for the {operator} ComparisonOperator")
    taken = TYPES.get(operator)
    for value in values:
        if taken is not None and kind_of(value) not in taken:
            raise validation(
                f"{INVALID}ComparisonOperator {operator} is not valid for {kind_of(value)} AttributeValue type"
            )
    if operator == "BETWEEN" and not of_keys and kind_of(values[0]) != kind_of(values[1]):
        raise validation(SAME_TYPE)


def condition_tree(name: str, operator: str, values: Sequence[TypedValue]) -> Tree:
    """One legacy condition; operator and values were checked."""
    attribute = Attribute(name)
    literals = tuple(map(Literal, values))
    if operator in SIGNS:
        return Compare(SIGNS[operator], attribute, literals[0])
    if operator == "BETWEEN":
        return Between(attribute, literals[0], literals[1])
    if operator == "IN":
        return In(attribute, literals)
    if operator == "NULL":
        return Call("attribute_not_exists", (attribute,))
    if operator == "NOT_NULL":
        return Call("attribute_exists", (attribute,))
    if operator == "NOT_CONTAINS":
        return Not(Call("contains", (attribute, literals[0])))
    return Call(operator.lower(), (attribute, literals[0]))


def _joined(trees: Sequence[Tree], any_of: bool) -> Tree:
    whole = trees[0]
    for tree in trees[1:]:
        whole = Or(whole, tree) if any_of else And(whole, tree)
    return whole


def filter_condition(conditions: Sequence[tuple[str, str, Sequence[TypedValue]]], *, any_of: bool) -> Condition | None:
    """Of QueryFilter or ScanFilter: (attribute, operator, values), checked; None where there are none."""
    if not conditions:
        return None
    return Condition.of_tree("FilterExpression", _joined([condition_tree(*c) for c in conditions], any_of))


def key_conditions(conditions: Sequence[tuple[str, str, Sequence[TypedValue]]]) -> KeyCondition:
    """Of KeyConditions: (attribute, operator, values), checked."""
    return KeyCondition.of_conditions([(name, operator, tuple(values)) for name, operator, values in conditions])


def expected(entries: Mapping[str, Mapping[str, Any]], *, any_of: bool) -> Condition | None:
    """Of Expected; ApiError (without envelope) for an entry whose members do not fit together. None where empty."""
    trees = [_expected_entry(name, entry) for name, entry in entries.items()]
    return Condition.of_tree("ConditionExpression", _joined(trees, any_of)) if trees else None


def _expected_entry(name: str, entry: Mapping[str, Any]) -> Tree:
    value, operator, exists = entry.get("Value"), entry.get("ComparisonOperator"), entry.get("Exists")
    values = entry.get("AttributeValueList")
    if value is not None and values is not None:
        raise _entry_fault("Value and AttributeValueList cannot be used together for Attribute: ", name)
    if values is not None and operator is None:
        raise _entry_fault("AttributeValueList can only be used with a ComparisonOperator for Attribute: ", name)
    if operator is None:
        return _exists_entry(name, value, exists)
    if exists is not None:
        raise _entry_fault("Exists and ComparisonOperator cannot be used together for Attribute: ", name)
    check_operator(operator)
    given = values if values is not None else [] if value is None else [value]
    if value is None and values is None and operator not in ("NULL", "NOT_NULL"):
        raise _entry_fault(
            f"Value or AttributeValueList must be used with ComparisonOperator: {operator} for Attribute: ", name
        )
    check_arguments(operator, given)
    if operator == "BETWEEN" and ordered_key(given[1]) < ordered_key(given[0]):
        raise validation(REVERSED)
    return condition_tree(name, operator, given)


def _exists_entry(name: str, value: TypedValue | None, exists: bool | None) -> Tree:
    if exists is False:
        if value is not None:
            raise _entry_fault("Value cannot be used when Exists is false for Attribute: ", name)
        return Call("attribute_not_exists", (Attribute(name),))
    if value is None:
        shown = "null" if exists is None else "true"
        raise _entry_fault(f"Value must be provided when Exists is {shown} for Attribute: ", name)
    return Compare("=", Attribute(name), Literal(value))


def _entry_fault(text: str, name: str) -> ApiError:
    return validation(f"{INVALID}{text}{name}")


def attribute_updates(updates: Mapping[str, Mapping[str, Any]]) -> Update:
    """Of AttributeUpdates; ApiError: an unknown Action in the envelope, an Action that does not fit its Value bare."""
    for entry in updates.values():
        if entry.get("Action", "PUT") not in ("PUT", "ADD", "DELETE"):
            raise validation("Member must satisfy enum value set: [ADD, DELETE, PUT]' for Action", envelope=True)
    return Update.of_attributes([_update_clause(name, entry) for name, entry in updates.items()])


def _update_clause(name: str, entry: Mapping[str, Any]) -> tuple[str, str, TypedValue | None]:
    action, value = entry.get("Action", "PUT"), entry.get("Value")
    if value is None:
        if action != "DELETE":
            raise validation(f"{INVALID}Only DELETE action is allowed when no attribute value is specified")
        return "REMOVE", name, None
    kind = kind_of(value)
    if action == "DELETE" and kind not in SETS:
        raise validation(f"{INVALID}DELETE action with value is not supported for the type {kind}")
    if action == "ADD" and kind not in SETS and kind not in ("N", "L"):
        raise validation(f"{INVALID}ADD action is not supported for the type {kind}")
    return ("SET" if action == "PUT" else action), name, value
