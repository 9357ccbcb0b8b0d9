"""Steps that several requests share: members, names and values of expressions, legacy parameters, envelopes.

Every function raises ApiError for the first fault in the service's order. Rules 0, 2, 3.4, 3.5. No state.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from lsm.dynamodb.errors import ApiError, validation
from lsm.dynamodb.expressions import legacy
from lsm.dynamodb.limits import NESTING, PLACEHOLDER_BYTES, VALUES_BYTES
from lsm.dynamodb.requests.forms import Capacity, Metrics
from lsm.dynamodb.requests.layers import handed_over, very_deep
from lsm.dynamodb.values import Fault, Found, Layer, depth_of, find_fault, name_fault, stored_parts, stored_value
from lsm.item_codec import Unusual, store_value, value_size

__all__ = [
    "RETURN_VALUES",
    "TABLE_ARN",
    "Forms",
    "Request",
    "ValueForms",
    "check_attribute_names",
    "check_expression_names",
    "check_usage",
    "conditional_operator",
    "empty_table_name",
    "enum_fault",
    "enveloping",
    "expression_values",
    "is_table_name",
    "legacy_conditions",
    "raise_members",
    "raise_name_fault",
    "read_capacity",
    "read_metrics",
    "resource_name_faults",
    "table_name_faults",
    "to_get_faults",
]

Request = Mapping[str, Any]
TypedValue = dict[str, Any]

TABLE_NAME = re.compile(r"[a-zA-Z0-9_.-]+")
TABLE_ARN = re.compile(r"arn:[^:]+:dynamodb:[^:]*:[^:]*:table/[a-zA-Z0-9_.-]+")
TABLE_PATTERN = "[a-zA-Z0-9_.-]+"
PLACEHOLDER = re.compile(r"[#:][A-Za-z0-9_]+")
CAPACITY_SET = "[INDEXES, TOTAL, NONE]"
METRICS_SET = "[SIZE, NONE]"
RETURN_VALUES = ("NONE", "ALL_OLD", "UPDATED_OLD", "ALL_NEW", "UPDATED_NEW")
RETURN_VALUES_FAULT = (
    "Failed to satisfy constraint: Member must satisfy enum value set: "
    "[ALL_OLD, UPDATED_OLD, ALL_NEW, UPDATE_NEW, NONE]"
)
FAILURE_SET = "[ALL_OLD, NONE]"
OPERATOR_SET = "Failed to satisfy constraint: Member must satisfy enum value set: [ALL, OR]"


# ---- members


def raise_members(faults: Sequence[str]) -> None:
    """The faults of one step, joined."""
    if faults:
        errors = "error" if len(faults) == 1 else "errors"
        raise validation(f"{len(faults)} validation {errors} detected: {'; '.join(faults)}")


def null_fault(path: str) -> str:
    return f"Value null at '{path}' failed to satisfy constraint: Member must not be null"


def enum_fault(value: Any, path: str, values: str) -> str:
    return f"Value '{value}' at '{path}' failed to satisfy constraint: Member must satisfy enum value set: {values}"


def empty_table_name(request: Request) -> None:
    """An empty TableName stands alone, ahead of everything."""
    if request.get("TableName") == "":
        raise_members(
            ["Value at 'TableName' failed to satisfy constraint: Member must have length greater than or equal to 1"]
        )


@lru_cache(4096)
def is_table_name(name: str) -> bool:
    """Whether nothing is wrong with a table name or ARN."""
    return not table_name_faults(name)


def table_name_faults(name: Any, path: str = "tableName", *, all_of_them: bool = False) -> list[str]:
    """Faults of a table name or ARN: its length, else its pattern; with `all_of_them` both."""
    if name is None:
        return [null_fault(path)]
    if TABLE_ARN.fullmatch(name):
        return []
    faults = resource_name_faults(name, path)
    return faults if all_of_them else faults[:1]


def resource_name_faults(name: str, path: str) -> list[str]:
    """Of the name of a table or an index: its length, then its pattern."""
    faults = []
    begin = f"Value '{name}' at '{path}' failed to satisfy constraint: Member must"
    if len(name) < 3:
        faults.append(f"{begin} have length greater than or equal to 3")
    elif len(name) > 255:
        faults.append(f"{begin} have length less than or equal to 255")
    if not TABLE_NAME.fullmatch(name):
        faults.append(f"{begin} satisfy regular expression pattern: {TABLE_PATTERN}")
    return faults


def capacity_faults(request: Request) -> list[str]:
    value = request.get("ReturnConsumedCapacity")
    if value is None or value in Capacity.__members__:
        return []
    return [enum_fault(value, "returnConsumedCapacity", CAPACITY_SET)]


def metrics_faults(request: Request) -> list[str]:
    value = request.get("ReturnItemCollectionMetrics")
    if value is None or value in Metrics.__members__:
        return []
    return [enum_fault(value, "returnItemCollectionMetrics", METRICS_SET)]


def to_get_faults(request: Request, path: str = "attributesToGet") -> list[str]:
    """Of a list of attributes without any."""
    if request.get("AttributesToGet") != []:
        return []
    return [f"Value '[]' at '{path}' failed to satisfy constraint: Member must have length greater than or equal to 1"]


def return_values_faults(request: Request) -> list[str]:
    value = request.get("ReturnValues")
    if value is None or value in RETURN_VALUES:
        return []
    return [older_return_values(value) if very_deep(request) else RETURN_VALUES_FAULT]


def older_return_values(value: str) -> str:
    """The fault in the words of the older layer."""
    return enum_fault(value, "returnValues", "[ALL_NEW, UPDATED_OLD, ALL_OLD, NONE, UPDATED_NEW]")


def failure_faults(request: Request, path: str = "returnValuesOnConditionCheckFailure") -> list[str]:
    value = request.get("ReturnValuesOnConditionCheckFailure")
    return [] if value is None or value in ("ALL_OLD", "NONE") else [enum_fault(value, path, FAILURE_SET)]


def read_capacity(request: Request) -> Capacity:
    value = request.get("ReturnConsumedCapacity")
    return Capacity.NONE if value is None else Capacity(value)


def read_metrics(request: Request) -> Metrics:
    value = request.get("ReturnItemCollectionMetrics")
    return Metrics.NONE if value is None else Metrics(value)


# ---- envelopes


@contextmanager
def enveloping(wanted: bool = True) -> Iterator[None]:
    """Faults raised inside stand behind `1 validation error detected: `."""
    try:
        yield
    except ApiError as fault:
        if not wanted or fault.code != "ValidationException":
            raise
        raise validation(str(fault.message), envelope=True) from None


# ---- attribute names


def check_attribute_names(request: Request, items: Sequence[str], envelope: bool) -> None:
    """In members that are items or keys, in legacy conditions, in names and values of expressions."""
    for member in items:
        raise_name_fault([{"M": request.get(member)}], envelope=envelope)
    for member in ("AttributeUpdates", "Expected"):
        entries = request.get(member) or {}
        values = [v for e in entries.values() for v in (e.get("Value"), *(e.get("AttributeValueList") or ()))]
        raise_name_fault([{"M": dict.fromkeys(entries)}, *values], envelope=envelope)
    check_expression_names(request, envelope=envelope)
    raise_name_fault((request.get("ExpressionAttributeValues") or {}).values(), envelope=envelope)


def raise_name_fault(values: Iterable[Any], *, envelope: bool = False) -> None:
    """Of values that hold a map with an empty or an overlong attribute name."""
    if (found := name_fault(values)) is not None:
        raise validation(found.text, envelope=envelope)


def check_expression_names(request: Request, *, envelope: bool = False) -> None:
    """ExpressionAttributeNames whose attribute names are empty or overlong."""
    for placeholder, name in (request.get("ExpressionAttributeNames") or {}).items():
        if (found := name_fault([{"M": {name: None}}])) is not None:
            raise validation(
                f"ExpressionAttributeNames contains invalid value: {found.text} for key {placeholder}",
                envelope=envelope,
            )


# ---- use of parameters


def check_usage(
    request: Request, legacy_members: Sequence[str], expressions: Sequence[str], values_tail: str = ""
) -> None:
    """Legacy beside expression parameters; names and values without expressions, empty, or with ill-formed keys.

    `values_tail` follows the text for values without an expression. Faults are bare.
    """
    old = [member for member in legacy_members if request.get(member) is not None]
    new = [member for member in expressions if request.get(member) is not None]
    if old and new:
        raise validation(
            "Can not use both expression and non-expression parameters in the same request: "
            f"Non-expression parameters: {{{', '.join(old)}}} Expression parameters: {{{', '.join(new)}}}"
        )
    names, values = request.get("ExpressionAttributeNames"), request.get("ExpressionAttributeValues")
    if names is not None and not new:
        raise validation("ExpressionAttributeNames can only be specified when using expressions")
    takers = [member for member in new if member != "ProjectionExpression"]
    if values is not None and not takers:
        raise validation(f"ExpressionAttributeValues can only be specified when using expressions{values_tail}")
    for what, given, sign in (("Names", names, "#"), ("Values", values, ":")):
        if given is None:
            continue
        if not given:
            raise validation(f"ExpressionAttribute{what} must not be empty")
        for key in given:
            if not key.startswith(sign) or not PLACEHOLDER.fullmatch(key):
                raise validation(f'ExpressionAttribute{what} contains invalid key: Syntax error; key: "{key}"')
            if len(key) > PLACEHOLDER_BYTES:
                raise validation(
                    f"ExpressionAttribute{what} contains invalid key: The expression attribute map contains a key that "
                    f"is too long; size of key: {len(key)}"
                )


class Forms:
    """How a fault of an expression value is worded: p as it is, e enveloped, N with the key's name.

    whole: a request that was handed over is read by the older layer as a whole, its numbers and sets too.
    """

    def __init__(self, default: str, *, older: Forms | None = None, whole: bool = False, **forms: str) -> None:
        self._default = default
        self._older = older
        self._whole = whole
        self._forms = {Fault[kind]: form for kind, form in forms.items()}

    def of(self, request: Request) -> Forms:
        """Those of one request, which may have been handed over to the older layer."""
        return self if self._older is None or not handed_over(request) else self._older

    def layer(self, request: Request, layer: Layer) -> Layer:
        """That words a fault of one request."""
        return Layer.OLDER if self._whole and handed_over(request) else layer

    def error(self, found: Found, key: str) -> ApiError:
        form = "N" if found.kind is Fault.DEEP else self._forms.get(found.kind, self._default)
        if form == "N":
            return validation(f"ExpressionAttributeValues contains invalid value: {found.text} for key {key}")
        return validation(found.text, envelope=form == "e")


class ValueForms:
    """Of each operation; rules 3.2."""

    PUT = Forms("e", NO_TYPE="p", SEVERAL_TYPES="p", older=Forms("p"))
    UPDATE = Forms("e", NO_TYPE="p", SEVERAL_TYPES="N", older=Forms("N", NO_TYPE="p"))
    DELETE = Forms("e", NO_TYPE="N", SEVERAL_TYPES="N", older=Forms("p", NULL="N", NO_TYPE="N", SEVERAL_TYPES="N"))
    QUERY = Forms("p", NO_TYPE="N", whole=True, older=Forms("p", NO_TYPE="N", NULL="N"))
    SCAN = Forms("p", whole=True, older=Forms("N", NO_TYPE="p", NULL="p", SEVERAL_TYPES="p"))
    TRANSACTION = Forms("N", NULL="p", NO_TYPE="p", SEVERAL_TYPES="p")


def expression_values(
    request: Request, forms: Forms, layer: Layer = Layer.NEWER, *, deepest: int = NESTING
) -> dict[str, TypedValue]:
    """ExpressionAttributeValues in stored form; `deepest`: lists and maps around a value from which on it is refused,
    which may be one more than items have."""
    stored = {}
    for key, value in (request.get("ExpressionAttributeValues") or {}).items():
        try:
            stored[key] = store_value(value)
        except Unusual:
            found = find_fault(value, forms.layer(request, layer))
            if found is not None and found.kind is Fault.NESTING and depth_of(value) < deepest:
                stored[key] = stored_parts(value)
                continue
            if found is None:
                raise validation(f"ExpressionAttributeValues contains invalid value for key {key}") from None
            raise forms.of(request).error(found, key) from None
    if stored and (size := sum(map(_size, stored.values()))) > VALUES_BYTES:
        raise validation(
            f"ExpressionAttributeValues exceeds the maximum allowed size; size: {size}, allowed size: {VALUES_BYTES}"
        )
    return stored


def _size(value: TypedValue) -> int:
    """Also of a value one level deeper than items have."""
    try:
        return value_size(value)
    except Unusual:
        kind, held = next(iter(value.items()))
        if kind == "L":
            return 3 + sum(1 + value_size(element) for element in held)
        return 3 + sum(1 + len(name.encode()) + value_size(inner) for name, inner in held.items())


# ---- legacy conditions


def conditional_operator(request: Request, member: str) -> bool:
    """Whether the conditions of `member` are joined by OR; ApiError for misuse, bare."""
    operator = request.get("ConditionalOperator")
    if operator is None:
        return False
    count = len(request.get(member) or ())
    if count == 0:
        raise validation("ConditionalOperator cannot be used without Filter or Expected")
    if count == 1:
        raise validation("ConditionalOperator can only be used when Filter or Expected has two or more elements")
    if operator not in ("AND", "OR"):
        if member != "Expected" and handed_over(request):
            raise_members([enum_fault(operator, "conditionalOperator", "[OR, AND]")])
        raise validation(OPERATOR_SET)
    return bool(operator == "OR")


def legacy_conditions(
    conditions: Mapping[str, Any] | None, layer: Layer = Layer.NEWER, *, of_keys: bool = False
) -> list[tuple[str, str, list[TypedValue]]]:
    """(attribute, operator, values in stored form) of QueryFilter, ScanFilter or KeyConditions; ApiError, bare."""
    read = []
    for name, condition in (conditions or {}).items():
        values = [stored_value(value, layer, frozenset()) for value in condition.get("AttributeValueList") or ()]
        operator = condition["ComparisonOperator"]
        legacy.check_operator(operator)
        legacy.check_arguments(operator, values, of_keys=of_keys)
        read.append((name, operator, values))
    return read
