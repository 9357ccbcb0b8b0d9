"""Query and Scan, up to the point where their table is looked up. Rules 7.2, 7.3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lsm.dynamodb.errors import ApiError, validation
from lsm.dynamodb.expressions import (
    Condition,
    KeyCondition,
    Projection,
    checked_keys,
    legacy,
    unused_names,
    unused_values,
)
from lsm.dynamodb.limits import EXPRESSION_BYTES, NESTING, SEGMENTS
from lsm.dynamodb.requests.common import (
    Request,
    ValueForms,
    capacity_faults,
    check_expression_names,
    check_usage,
    conditional_operator,
    enum_fault,
    expression_values,
    is_table_name,
    legacy_conditions,
    null_fault,
    raise_members,
    raise_name_fault,
    read_capacity,
    resource_name_faults,
    table_name_faults,
    to_get_faults,
)
from lsm.dynamodb.requests.forms import Capacity, Query, Scan
from lsm.dynamodb.requests.layers import handed_over
from lsm.dynamodb.values import Fault, Layer, find_fault, nesting_fault
from lsm.item_codec import Unusual, store_attributes, store_value

__all__ = ["read_query", "read_scan"]

SELECTS = ("SPECIFIC_ATTRIBUTES", "COUNT", "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES")
SELECT_SET = "[SPECIFIC_ATTRIBUTES, COUNT, ALL_ATTRIBUTES, ALL_PROJECTED_ATTRIBUTES]"
FILTER = "FilterExpression"
PLAIN_QUERY = {
    "TableName",
    "KeyConditionExpression",
    "ExpressionAttributeNames",
    "ExpressionAttributeValues",
    "Limit",
    "ScanIndexForward",
    "ConsistentRead",
}
BAD_START = "The provided starting key is invalid"


def read_query(request: Request) -> Query:
    # most requests have nothing but these: then nothing but these can be wrong
    if request.keys() <= PLAIN_QUERY and (plain := _plain_query(request)) is not None:
        return plain
    _older_members(request, ("keyConditions", "queryFilter"), segments=False)
    raise_members([*_range_faults(request, "Limit", 1, None), *_empty_name(request)])
    raise_members([*_name_faults(request), *capacity_faults(request), *to_get_faults(request)])
    _check_names(request, ("QueryFilter", "KeyConditions"))
    if request.get("KeyConditionExpression") == "":
        KeyCondition.parse("", None, None)
    tail = ": FilterExpression is null and KeyConditionExpression is null"
    expressions = ["ProjectionExpression", FILTER, "KeyConditionExpression"]
    old = ["AttributesToGet", "QueryFilter", "ConditionalOperator"]
    if request.get("KeyConditionExpression") is not None:
        old.append("KeyConditions")
    check_usage(request, old, expressions, tail)
    values = expression_values(request, ValueForms.QUERY)
    _check_select_name(request)
    any_of = conditional_operator(request, "QueryFilter")
    filters = _legacy(request, "QueryFilter")
    conditions = _legacy(request, "KeyConditions")
    _check_duplicates(request)
    start_key = _start_key(request, query=True)
    names = request.get("ExpressionAttributeNames")
    condition = _filter(request, values)
    projection = _projection(request)
    _check_select(request)
    key_condition = None
    if request.get("KeyConditionExpression") is not None:
        key_condition = KeyCondition.parse(request["KeyConditionExpression"], names, values)
        key_condition.check()
    elif conditions:
        key_condition = legacy.key_conditions(conditions)
    return Query(
        table=request["TableName"],
        index=request.get("IndexName"),
        filter=condition or legacy.filter_condition(filters, any_of=any_of),
        legacy_filter=condition is None,
        projection=projection,
        select=request.get("Select"),
        limit=request.get("Limit"),
        consistent=bool(request.get("ConsistentRead")),
        start_key=start_key,
        capacity=read_capacity(request),
        unused=_unused(request, values, [key_condition, condition, projection]),
        key_condition=key_condition,
        forward=request.get("ScanIndexForward") is not False,
    )


def _plain_query(request: Request) -> Query | None:
    """None where a closer look is needed: in the order of the service's checks, which this is not."""
    name, limit = request.get("TableName"), request.get("Limit")
    if type(name) is not str or not is_table_name(name) or (limit is not None and limit < 1):
        return None
    try:
        values = store_attributes(request["ExpressionAttributeValues"])
        names = request.get("ExpressionAttributeNames")
        condition = checked_keys(request["KeyConditionExpression"], names, values)
    except (Unusual, ApiError, TypeError, AttributeError, KeyError):
        return None
    return Query(
        table=name,
        index=None,
        filter=None,
        legacy_filter=False,
        projection=None,
        select=None,
        limit=limit,
        consistent=bool(request.get("ConsistentRead")),
        start_key=None,
        capacity=Capacity.NONE,
        unused=[],
        key_condition=condition,
        forward=request.get("ScanIndexForward") is not False,
    )


def read_scan(request: Request) -> Scan:
    _older_members(request, ("scanFilter",), segments=True)
    raise_members(
        [
            *_range_faults(request, "Limit", 1, None),
            *_range_faults(request, "Segment", 0, SEGMENTS - 1),
            *_range_faults(request, "TotalSegments", 1, SEGMENTS),
            *_empty_name(request),
        ]
    )
    raise_members([*_name_faults(request), *capacity_faults(request), *to_get_faults(request)])
    _check_names(request, ("ScanFilter",))
    check_usage(
        request,
        ("AttributesToGet", "ScanFilter", "ConditionalOperator"),
        ("ProjectionExpression", FILTER),
        ": FilterExpression is null",
    )
    values = expression_values(request, ValueForms.SCAN)
    any_of = conditional_operator(request, "ScanFilter")
    filters = _legacy(request, "ScanFilter")
    _check_duplicates(request)
    start_key = _start_key(request, query=False)
    condition = _filter(request, values)
    projection = _projection(request)
    _check_select_name(request)
    _check_select(request)
    _check_segments(request)
    return Scan(
        table=request["TableName"],
        index=request.get("IndexName"),
        filter=condition or legacy.filter_condition(filters, any_of=any_of),
        legacy_filter=condition is None,
        projection=projection,
        select=request.get("Select"),
        limit=request.get("Limit"),
        consistent=bool(request.get("ConsistentRead")),
        start_key=start_key,
        capacity=read_capacity(request),
        unused=_unused(request, values, [condition, projection]),
        segment=request.get("Segment"),
        total_segments=request.get("TotalSegments"),
    )


# ---- members


def _older_members(request: Request, conditions: tuple[str, ...], *, segments: bool) -> None:
    """A request without TableName, with a legacy condition without operator, or handed over for how it was written,
    is read by the older layer."""
    missing = [
        f"{member}.{name}.member.comparisonOperator"
        for member in conditions
        for name, condition in (request.get(member[0].upper() + member[1:]) or {}).items()
        if condition.get("ComparisonOperator") is None
    ]
    faults = []
    select = request.get("Select")
    if select is not None and select not in SELECTS:
        faults.append(enum_fault(select, "select", SELECT_SET))
    index = request.get("IndexName")
    if index is not None:
        faults += reversed(resource_name_faults(index, "indexName"))
    if segments:
        faults += _older_range(request, "TotalSegments", 1, SEGMENTS)
    faults += capacity_faults(request)
    name = request.get("TableName")
    if name is None:
        faults.append(null_fault("tableName"))
    elif name == "":
        faults.append(
            "Value '' at 'tableName' failed to satisfy constraint: Member must have length greater than or equal to 1"
        )
    else:
        named = table_name_faults(name, all_of_them=True)
        faults += reversed(named if len(name) > 2 else named[1:])
    if segments and request.get("ConditionalOperator") not in (None, "AND", "OR"):
        faults.append(enum_fault(request["ConditionalOperator"], "conditionalOperator", "[OR, AND]"))
    faults += [null_fault(path) for path in missing]
    if segments:
        faults += _older_range(request, "Segment", 0, SEGMENTS - 1)
    faults += _older_range(request, "Limit", 1, None)
    if name is None or missing or (faults and handed_over(request)):
        raise_members(faults)


def _name_faults(request: Request) -> list[str]:
    """The first fault of each name. The older layer, whose own were raised before, looks one of two characters up."""
    index = request.get("IndexName")
    faults = table_name_faults(request["TableName"])
    if index is not None:
        faults += resource_name_faults(index, "indexName")[:1]
    return [] if faults and handed_over(request) else faults


def _older_range(request: Request, member: str, least: int, most: int | None) -> list[str]:
    value = request.get(member)
    path = member[0].lower() + member[1:]
    return [
        fault.replace(f"Value at '{member}'", f"Value '{value}' at '{path}'")
        for fault in _range_faults(request, member, least, most)
    ]


def _range_faults(request: Request, member: str, least: int, most: int | None) -> list[str]:
    value = request.get(member)
    if value is None:
        return []
    begin = f"Value at '{member}' failed to satisfy constraint: Member must have value"
    if value < least:
        return [f"{begin} greater than or equal to {least}"]
    if most is not None and value > most:
        return [f"{begin} less than or equal to {most}"]
    return []


def _empty_name(request: Request) -> list[str]:
    if request.get("TableName") != "":
        return []
    return ["Value at 'TableName' failed to satisfy constraint: Member must have length greater than or equal to 1"]


def _check_names(request: Request, conditions: tuple[str, ...]) -> None:
    """Empty attribute names, everywhere but as the name of a legacy condition."""
    places: list[Any] = []
    for member in conditions:
        for condition in (request.get(member) or {}).values():
            places += condition.get("AttributeValueList") or ()
    start = request.get("ExclusiveStartKey") or {}
    places += start.values()
    places += (request.get("ExpressionAttributeValues") or {}).values()
    names = dict.fromkeys(request.get("AttributesToGet") or ())
    raise_name_fault([{"M": names}, {"M": dict.fromkeys(start)}, *places])
    check_expression_names(request)


# ---- parts


def _legacy(request: Request, member: str) -> list[tuple[str, str, list[dict[str, Any]]]]:
    conditions = request.get(member)
    if not conditions:
        return []
    older = handed_over(request)
    deepest = NESTING + 1 if older and member == "ScanFilter" else NESTING
    for condition in conditions.values():
        for value in condition.get("AttributeValueList") or ():
            if (found := nesting_fault(value, deepest)) is not None:
                raise validation(found.text)
    return legacy_conditions(conditions, Layer.OLDER if older else Layer.NEWER, of_keys=member == "KeyConditions")


def _check_duplicates(request: Request) -> None:
    names = request.get("AttributesToGet") or ()
    for position, name in enumerate(names):
        if name in names[:position]:
            raise validation(f"One or more parameter values were invalid: Duplicate value in attribute name: {name}")


def _start_key(request: Request, *, query: bool) -> dict[str, Any] | None:
    key = request.get("ExclusiveStartKey")
    if key is None:
        return None
    stored = {}
    for name, value in key.items():
        try:
            stored[name] = store_value(value)
        except Unusual:
            raise _start_key_fault(value, query, older=handed_over(request)) from None
    return stored


def _start_key_fault(value: Any, query: bool, *, older: bool) -> ApiError:
    found = find_fault(value, Layer.OLDER if older else Layer.NEWER)
    if found is None:
        return validation(BAD_START)
    prefixed = {Fault.NO_TYPE, Fault.SEVERAL_TYPES, Fault.DEEP}
    if not query:
        prefixed |= {Fault.NULL, Fault.EMPTY_SET, *([Fault.NESTING] if older else [])}
    return validation(f"{BAD_START}: {found.text}" if found.kind in prefixed else found.text)


def _filter(request: Request, values: Mapping[str, Any]) -> Condition | None:
    text = request.get(FILTER)
    if text is None:
        return None
    # the older layer shows the size of a Scan's filter that is too long
    shown = len(text) > EXPRESSION_BYTES // 4 and "KeyConditionExpression" not in request and handed_over(request)
    condition = Condition.parse(FILTER, text, request.get("ExpressionAttributeNames"), values, show_size=shown)
    condition.check()
    return condition


def _projection(request: Request) -> Projection | None:
    """Its text alone: names and overlaps are looked at after the table."""
    if request.get("AttributesToGet") is not None:
        return Projection.of_names(request["AttributesToGet"])
    text = request.get("ProjectionExpression")
    return None if text is None else Projection.parse(text, request.get("ExpressionAttributeNames"))


def _unused(request: Request, values: Mapping[str, Any], used: list[Any]) -> list[str]:
    """The text for unused names, else values; reported after the table was looked up."""
    parts = [part for part in used if part is not None]
    fault = unused_names(request.get("ExpressionAttributeNames"), [part.names_used for part in parts])
    if fault is None:
        fault = unused_values(values, [getattr(part, "values_used", ()) for part in parts])
    return [] if fault is None else [str(fault.message)]


def _check_select_name(request: Request) -> None:
    select = request.get("Select")
    if select is not None and select not in SELECTS:
        raise_members([enum_fault(select, "select", SELECT_SET)])


def _check_select(request: Request) -> None:
    """Select against the projection and the index, enveloped; bare in the older layer."""
    try:
        _check_select_use(request)
    except ApiError as fault:
        raise validation(str(fault.message), envelope=not handed_over(request)) from None


def _check_select_use(request: Request) -> None:
    select = request.get("Select")
    projection = next((m for m in ("ProjectionExpression", "AttributesToGet") if request.get(m) is not None), None)
    if projection is not None and select not in (None, "SPECIFIC_ATTRIBUTES"):
        what = "only the Count" if select == "COUNT" else select
        raise validation(f"Cannot specify the {projection} when choosing to get {what}")
    if select == "SPECIFIC_ATTRIBUTES" and projection is None:
        raise validation(
            "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES"
        )
    if select == "ALL_PROJECTED_ATTRIBUTES" and request.get("IndexName") is None:
        raise validation("ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName")


def _check_segments(request: Request) -> None:
    segment, total = request.get("Segment"), request.get("TotalSegments")
    if segment is not None and total is None:
        raise validation(
            "The TotalSegments parameter is required but was not present in the request when Segment parameter is "
            "present"
        )
    if total is not None and segment is None:
        raise validation(
            "The Segment parameter is required but was not present in the request when parameter TotalSegments is "
            "present"
        )
    if segment is not None and total is not None and segment >= total:
        tail = f": Segment: {segment} is not less than TotalSegments: {total}" if handed_over(request) else ""
        raise validation(f"The Segment parameter is zero-based and must be less than parameter TotalSegments{tail}")
