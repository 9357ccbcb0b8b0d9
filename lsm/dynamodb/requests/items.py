"""PutItem, DeleteItem, UpdateItem and GetItem, up to the point where their table is looked up. Rules 3.1.1 to 3.1.4."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lsm.dynamodb.errors import ApiError, validation
from lsm.dynamodb.expressions import Condition, Projection, Update, checked, legacy, unused_names, unused_values
from lsm.dynamodb.limits import ATTRIBUTE_NAME_BYTES, ITEM_BYTES
from lsm.dynamodb.requests.common import (
    Request,
    ValueForms,
    capacity_faults,
    check_attribute_names,
    check_usage,
    conditional_operator,
    empty_table_name,
    enveloping,
    expression_values,
    failure_faults,
    is_table_name,
    metrics_faults,
    null_fault,
    older_return_values,
    raise_members,
    raise_name_fault,
    read_capacity,
    read_metrics,
    return_values_faults,
    table_name_faults,
    to_get_faults,
)
from lsm.dynamodb.requests.forms import Delete, Get, Put, ReturnValues, UpdateItem
from lsm.dynamodb.requests.layers import Enveloped, handed_over, null_is_false, very_deep
from lsm.dynamodb.values import (
    ALL_BARE,
    NULL_IS_FALSE,
    WRITES,
    WRITES_KEY,
    Layer,
    name_fault,
    nesting_fault,
    stored_item,
    stored_key,
    stored_value,
)
from lsm.item_codec import Unusual, encode_item, item_size, store_attributes, value_size

__all__ = ["read_delete_item", "read_get_item", "read_projection", "read_put_item", "read_update_item"]

ONLY_OLD = "ReturnValues can only be ALL_OLD or NONE"
OLD = ("ALL_OLD", "NONE")
CONDITION = "ConditionExpression"


EXPRESSION_MEMBERS = {
    CONDITION,
    "ExpressionAttributeNames",
    "ExpressionAttributeValues",
    "ReturnValues",
}
PLAIN_WRITE = {"TableName", "Item", "Key", "UpdateExpression", *EXPRESSION_MEMBERS}
SMALL_VALUES = 256
"""Bytes of expression values, together: no text of 4,096 bytes uses them so often that their charge is too much."""
PLAIN_GET = {"TableName", "Key"}
RETURNED: dict[str | None, ReturnValues] = {None: ReturnValues.NONE}
RETURNED.update((returned.value, returned) for returned in ReturnValues)
OLD_RETURNED = {name: returned for name, returned in RETURNED.items() if name is None or name in OLD}


def read_put_item(request: Request) -> Put:
    # most requests have nothing but these: then nothing but these can be wrong
    if request.keys() <= PLAIN_WRITE and (plain := _plain_put(request)) is not None:
        return plain
    empty_table_name(request)
    raise_members(
        [
            *table_name_faults(request.get("TableName")),
            *([null_fault("item")] if request.get("Item") is None else []),
            *capacity_faults(request),
            *return_values_faults(request),
            *metrics_faults(request),
            *failure_faults(request),
        ]
    )
    check_attribute_names(request, ("Item",), envelope=True)
    item = stored_item(request["Item"], Layer.NEWER, Enveloped(WRITES, request))
    with enveloping():
        check_usage(request, ("Expected", "ConditionalOperator"), (CONDITION,))
    values = expression_values(request, ValueForms.PUT)
    condition = _read_condition(request, values)
    if request.get("ReturnValues") not in (None, *OLD):
        raise validation(ONLY_OLD, envelope=True)
    expected = _read_expected(request)
    if item_size(item) > ITEM_BYTES:
        raise validation("Item size has exceeded the maximum allowed size")
    _check_names(request, values, condition)
    return Put(
        request["TableName"],
        item,
        condition or expected,
        ReturnValues(request.get("ReturnValues") or "NONE"),
        request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD",
        read_capacity(request),
        read_metrics(request),
    )


def _plain_put(request: Request) -> Put | None:
    """None where a closer look is needed: in the order of the service's checks, which this is not."""
    name, item = request.get("TableName"), request.get("Item")
    if type(name) is not str or type(item) is not dict or not is_table_name(name):
        return None
    returned = ReturnValues.NONE
    try:
        encoded = encode_item(item)
        condition = None
        if len(request) > 2:
            if "Key" in request or "UpdateExpression" in request:
                return None
            returned = OLD_RETURNED[request.get("ReturnValues")]
            text = request.get(CONDITION)
            held, _ = _plain_values(request)
            _, condition = checked(None, text, request.get("ExpressionAttributeNames"), held)
    except (Unusual, ApiError, TypeError, AttributeError, KeyError):
        return None
    if len(encoded) > ATTRIBUTE_NAME_BYTES and (item_size(encoded) > ITEM_BYTES or name_fault([{"M": item}])):
        return None
    return Put(name, encoded, condition, returned)


def read_delete_item(request: Request) -> Delete:
    empty_table_name(request)
    members = [
        *table_name_faults(request.get("TableName")),
        *([null_fault("key")] if request.get("Key") is None else []),
        *capacity_faults(request),
        *return_values_faults(request),
        *metrics_faults(request),
        *failure_faults(request),
    ]
    if request.get("Key") is not None and request.get("ReturnValues") in ("UPDATED_OLD", "ALL_NEW", "UPDATED_NEW"):
        if not members and very_deep(request):
            raise validation(ONLY_OLD)
        members.append(ONLY_OLD)
    raise_members(members)
    check_attribute_names(request, ("Key",), envelope=True)
    with enveloping():
        check_usage(request, ("Expected", "ConditionalOperator"), (CONDITION,))
    values = expression_values(request, ValueForms.DELETE)
    with enveloping():
        conditional_operator(request, "Expected")
    _check_nesting(request)
    key = stored_key(request["Key"], Layer.NEWER, Enveloped(WRITES_KEY, request))
    condition = _read_condition(request, values)
    _check_names(request, values, condition)
    expected = _read_expected(request)
    return Delete(
        request["TableName"],
        key,
        condition or expected,
        ReturnValues(request.get("ReturnValues") or "NONE"),
        request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD",
        read_capacity(request),
        read_metrics(request),
    )


def read_update_item(request: Request) -> UpdateItem:
    if request.keys() <= PLAIN_WRITE and (plain := _plain_update(request)) is not None:
        return plain
    _check_update_members(request)
    check_attribute_names(request, ("Key",), envelope=True)
    if null_is_false(request) and not handed_over(request):
        raise validation(NULL_IS_FALSE, envelope=True)
    with enveloping():
        check_usage(request, ("AttributeUpdates", "Expected", "ConditionalOperator"), ("UpdateExpression", CONDITION))
    values = expression_values(request, ValueForms.UPDATE)
    with enveloping():
        conditional_operator(request, "Expected")
    _check_nesting(request)
    key = stored_key(request["Key"], Layer.NEWER, Enveloped(WRITES_KEY, request))
    update = _read_attribute_updates(request)
    expected = _read_expected(request)
    names = request.get("ExpressionAttributeNames")
    condition = None
    with enveloping():
        if request.get(CONDITION) == "":
            Condition.parse(CONDITION, "", None, None)
        text = request.get("UpdateExpression")
        if text is not None:
            update = Update.parse(text, names, values)
            update.check()
        if request.get(CONDITION) is not None:
            condition = Condition.parse(CONDITION, request[CONDITION], names, values)
            condition.check_defined()
        used = [part for part in (update if text is not None else None, condition) if part is not None]
        _raise_unused(request, values, used)
        if condition is not None:
            condition.check_operands()
    return UpdateItem(
        request["TableName"],
        key,
        update,
        condition or expected,
        ReturnValues(request.get("ReturnValues") or "NONE"),
        request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD",
        read_capacity(request),
        read_metrics(request),
        update.charge() if update is not None and text is not None else 0,
    )


def _plain_update(request: Request) -> UpdateItem | None:
    """None where a closer look is needed: in the order of the service's checks, which this is not."""
    name, key, text = request.get("TableName"), request.get("Key"), request.get("UpdateExpression")
    if type(name) is not str or type(key) is not dict or type(text) is not str or "Item" in request:
        return None
    if not is_table_name(name):
        return None
    try:
        stored = store_attributes(key)
        held, size = _plain_values(request)
        update, condition = checked(text, request.get(CONDITION), request.get("ExpressionAttributeNames"), held)
        charge = 0
        if update is not None and size > SMALL_VALUES:
            charge = update.charge()
        returned = RETURNED[request.get("ReturnValues")]
    except (Unusual, ApiError, TypeError, AttributeError, KeyError):
        return None
    return UpdateItem(name, stored, update, condition, returned, charge=charge)


def _plain_values(request: Request) -> tuple[dict[str, Any] | None, int]:
    """In stored form, with their size; Unusual or AttributeError where they are anything else than typed values."""
    values = request.get("ExpressionAttributeValues")
    if values is None:
        return None, 0
    stored = store_attributes(values)
    size = sum(map(value_size, stored.values()))
    if size > ATTRIBUTE_NAME_BYTES:
        raise Unusual
    return stored, size


def _check_update_members(request: Request) -> None:
    """Of UpdateItem, which reports names alone, then the first bad enum alone; without a key all, in older words."""
    name = request.get("TableName")
    if request.get("Key") is None or (name is None and return_values_faults(request)):
        raise_members(
            [
                *capacity_faults(request),
                *([null_fault("tableName")] if name is None else []),
                *_older_return_values(request),
                *failure_faults(request),
                *metrics_faults(request),
                *([null_fault("key")] if request.get("Key") is None else []),
            ]
        )
    empty_table_name(request)
    faults = table_name_faults(name, all_of_them=True)
    raise_members(sorted(faults, key=lambda fault: "pattern" not in fault))
    raise_members(return_values_faults(request))
    if failure := failure_faults(request):
        raise validation(failure[0])
    raise_members(metrics_faults(request))
    if capacity := capacity_faults(request):
        raise validation(capacity[0])


def _older_return_values(request: Request) -> list[str]:
    if not return_values_faults(request):
        return []
    return [older_return_values(request["ReturnValues"])]


def read_get_item(request: Request) -> Get:
    if request.keys() == PLAIN_GET and (plain := _plain_get(request)) is not None:
        return plain
    empty_table_name(request)
    to_get = request.get("AttributesToGet")
    raise_members(
        [
            *([null_fault("key")] if request.get("Key") is None else []),
            *table_name_faults(request.get("TableName")),
            *capacity_faults(request),
            *to_get_faults(request),
        ]
    )
    check_attribute_names(request, ("Key",), envelope=False)
    raise_name_fault([{"M": dict.fromkeys(to_get or ())}])
    check_usage(request, ("AttributesToGet",), ("ProjectionExpression",))
    for value in request["Key"].values():
        if (found := nesting_fault(value)) is not None:
            raise validation(found.text)
    key = stored_key(request["Key"], Layer.NEWER, ALL_BARE)
    projection = read_projection(request)
    return Get(request["TableName"], key, projection, bool(request.get("ConsistentRead")), read_capacity(request))


def _plain_get(request: Request) -> Get | None:
    """None where a closer look is needed."""
    name, key = request["TableName"], request["Key"]
    if type(name) is not str or type(key) is not dict or not is_table_name(name):
        return None
    try:
        return Get(name, store_attributes(key))
    except Unusual:
        return None


def read_projection(request: Request) -> Projection | None:
    """Of ProjectionExpression or AttributesToGet, with the names that only it uses; ApiError, bare."""
    to_get = request.get("AttributesToGet")
    if to_get is not None:
        for position, name in enumerate(to_get):
            if name in to_get[:position]:
                raise validation(
                    f"One or more parameter values were invalid: Duplicate value in attribute name: {name}"
                )
        return Projection.of_names(to_get)
    text = request.get("ProjectionExpression")
    if text is None:
        return None
    projection = Projection.parse(text, request.get("ExpressionAttributeNames"))
    projection.check()
    fault = unused_names(request.get("ExpressionAttributeNames"), [projection.names_used])
    if fault is not None:
        raise fault
    return projection


# ---- parts of writes


def _read_condition(request: Request, values: Mapping[str, Any]) -> Condition | None:
    """ConditionExpression: its text and operands, enveloped; undefined and unused placeholders come later."""
    with enveloping():
        conditional_operator(request, "Expected")
    _check_nesting(request)
    text = request.get(CONDITION)
    if text is None:
        return None
    with enveloping():
        condition = Condition.parse(CONDITION, text, request.get("ExpressionAttributeNames"), values)
        condition.check_operands()
    return condition


def _check_names(request: Request, values: Mapping[str, Any], condition: Condition | None) -> None:
    with enveloping():
        if condition is not None:
            condition.check_defined()
        _raise_unused(request, values, [] if condition is None else [condition])


def _raise_unused(request: Request, values: Mapping[str, Any], used: list[Any]) -> None:
    fault = unused_names(request.get("ExpressionAttributeNames"), [part.names_used for part in used])
    if fault is None:
        fault = unused_values(values, [part.values_used for part in used])
    if fault is not None:
        raise fault


def _check_nesting(request: Request) -> None:
    """Of Key, AttributeUpdates and Expected: enveloped, bare from 63 levels."""
    values = list((request.get("Key") or {}).values())
    for member in ("AttributeUpdates", "Expected"):
        for entry in (request.get(member) or {}).values():
            values += [entry.get("Value"), *(entry.get("AttributeValueList") or ())]
    for value in values:
        if value is not None and (found := nesting_fault(value)) is not None:
            raise validation(found.text, envelope=found.kind in WRITES)


def _read_expected(request: Request) -> Condition | None:
    """Expected, enveloped."""
    entries = request.get("Expected")
    if not entries:
        return None
    stored = {}
    kinds = Enveloped(WRITES, request)
    for name, entry in entries.items():
        kept = {member: held for member, held in entry.items() if held is not None}
        if "Value" in kept:
            kept["Value"] = stored_value(kept["Value"], Layer.NEWER, kinds)
        if "AttributeValueList" in kept:
            kept["AttributeValueList"] = [stored_value(v, Layer.NEWER, kinds) for v in kept["AttributeValueList"]]
        stored[name] = kept
    any_of = request.get("ConditionalOperator") == "OR"
    try:
        return legacy.expected(stored, any_of=any_of)
    except ApiError as fault:
        raise validation(str(fault.message), envelope=not handed_over(request)) from None


def _read_attribute_updates(request: Request) -> Update | None:
    entries = request.get("AttributeUpdates")
    if entries is None:
        return None
    stored = {}
    for name, entry in entries.items():
        kept = {member: held for member, held in entry.items() if held is not None}
        if "Value" in kept:
            kept["Value"] = stored_value(kept["Value"], Layer.NEWER, Enveloped(WRITES_KEY, request))
        stored[name] = kept
    return legacy.attribute_updates(stored)
