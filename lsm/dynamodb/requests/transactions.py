"""TransactWriteItems and TransactGetItems, up to where their tables are looked up. Rules 11.1, older layer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from lsm.dynamodb.errors import ApiError, validation
from lsm.dynamodb.expressions import Condition, Update, checked, unused_names, unused_values
from lsm.dynamodb.expressions.parser import check_text
from lsm.dynamodb.limits import ATTRIBUTE_NAME_BYTES, ITEM_BYTES, NESTING, TOKEN_CHARACTERS, TRANSACTION_ACTIONS
from lsm.dynamodb.requests.common import (
    Request,
    ValueForms,
    capacity_faults,
    check_expression_names,
    check_usage,
    expression_values,
    failure_faults,
    is_table_name,
    metrics_faults,
    null_fault,
    raise_members,
    raise_name_fault,
    read_capacity,
    read_metrics,
    table_name_faults,
)
from lsm.dynamodb.requests.echo import transact_get_echo, transact_write_echo
from lsm.dynamodb.requests.forms import (
    Action,
    Capacity,
    ConditionCheck,
    Delete,
    Get,
    Metrics,
    Put,
    TransactGet,
    TransactWrite,
    UpdateItem,
)
from lsm.dynamodb.requests.items import read_projection
from lsm.dynamodb.values import (
    ALL_BARE,
    Fault,
    Layer,
    find_fault,
    name_fault,
    nesting_fault,
    stored_item,
    stored_key,
    stored_value,
)
from lsm.item_codec import Unusual, encode_item, item_size, store_attributes, store_value, value_size

__all__ = ["read_transact_get_items", "read_transact_write_items"]

CONDITION = "ConditionExpression"
PLAIN_ACTION = {
    "TableName",
    "Item",
    "Key",
    CONDITION,
    "UpdateExpression",
    "ExpressionAttributeNames",
    "ExpressionAttributeValues",
}
NEEDED = {
    "Put": {"TableName", "Item"},
    "Update": {"TableName", "Key", "UpdateExpression"},
    "Delete": {"TableName", "Key"},
    "ConditionCheck": {"TableName", "Key", CONDITION},
}
KINDS = ("Put", "Update", "Delete", "ConditionCheck")


def read_transact_write_items(request: Request) -> TransactWrite:
    entries = request.get("TransactItems")
    # most requests have nothing but these: then nothing but these can be wrong
    if len(request) == 1 and entries and (plain := _plain_entries(entries)) is not None:
        return TransactWrite(lambda: _read_actions(plain), None, b"", Capacity.NONE, Metrics.NONE)
    _check_length(entries, transact_write_echo)
    assert entries is not None
    raise_members(_member_faults(request, entries))
    actions = [_only_action(entry) for entry in entries]
    faults = []
    for number, (kind, action) in enumerate(actions, 1):
        path = f"transactItems.{number}.member.{kind[0].lower()}{kind[1:]}"
        if not is_table_name(action.get("TableName")):
            faults += table_name_faults(action.get("TableName"), f"{path}.tableName", all_of_them=True)
        faults += _missing_members(kind, action, path)
    raise_members(faults)
    token = request.get("ClientRequestToken")
    return TransactWrite(
        lambda: _read_actions(actions),
        token,
        _fingerprint(entries) if token is not None else b"",
        read_capacity(request),
        read_metrics(request),
    )


def _plain_entries(entries: list[Mapping[str, Any]]) -> list[tuple[str, Mapping[str, Any]]] | None:
    """Kind and action of each; None where a closer look is needed."""
    if len(entries) > TRANSACTION_ACTIONS:
        return None
    actions: list[tuple[str, Mapping[str, Any]]] = []
    for entry in entries:
        if len(entry) != 1:
            return None
        for kind, action in entry.items():
            if type(action) is not dict or not action.keys() <= PLAIN_ACTION or not NEEDED[kind] <= action.keys():
                return None
            if type(action["TableName"]) is not str or not is_table_name(action["TableName"]):
                return None
            if None in action.values():
                return None
            actions.append((kind, action))
    return actions


def _check_length(entries: Any, echo: Callable[[Any], str]) -> None:
    if entries is None:
        raise_members([null_fault("transactItems")])
    if not entries:
        raise_members(
            [
                "Value '[]' at 'transactItems' failed to satisfy constraint: "
                "Member must have length greater than or equal to 1"
            ]
        )
    if len(entries) > TRANSACTION_ACTIONS:
        raise_members(
            [
                f"Value '{echo(entries)}' at 'transactItems' failed to satisfy constraint: "
                f"Member must have length less than or equal to {TRANSACTION_ACTIONS}"
            ]
        )


def _member_faults(request: Request, entries: list[Mapping[str, Any]]) -> list[str]:
    faults = []
    for number, entry in enumerate(entries, 1):
        for kind in KINDS:
            action = entry.get(kind)
            if action is not None:
                path = f"transactItems.{number}.member.{kind[0].lower()}{kind[1:]}"
                faults += failure_faults(action, f"{path}.returnValuesOnConditionCheckFailure")
    token = request.get("ClientRequestToken")
    if token is not None and len(token) > TOKEN_CHARACTERS:
        faults.append(
            f"Value '{token}' at 'clientRequestToken' failed to satisfy constraint: "
            f"Member must have length less than or equal to {TOKEN_CHARACTERS}"
        )
    if token == "":
        faults.append(
            "Value '' at 'clientRequestToken' failed to satisfy constraint: "
            "Member must have length greater than or equal to 1"
        )
    return [*faults, *capacity_faults(request), *metrics_faults(request)]


def _only_action(entry: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    given = [(kind, entry[kind]) for kind in KINDS if entry.get(kind) is not None]
    if not given:
        raise validation("Invalid Request: TransactWriteRequest should contain Delete or Put or Update request")
    if len(given) > 1:
        raise validation("TransactItems can only contain one of Check, Put, Update or Delete")
    return given[0]


def _missing_members(kind: str, action: Mapping[str, Any], path: str) -> list[str]:
    needed = {
        "Put": ("Item",),
        "Update": ("Key", "UpdateExpression"),
        "Delete": ("Key",),
        "ConditionCheck": ("Key", CONDITION),
    }[kind]
    return [null_fault(f"{path}.{member[0].lower()}{member[1:]}") for member in needed if action.get(member) is None]


def _check_names(action: Mapping[str, Any]) -> None:
    raise_name_fault([{"M": action.get("Item") or action.get("Key")}])
    check_expression_names(action)
    for key, value in (action.get("ExpressionAttributeValues") or {}).items():
        if (found := name_fault([value])) is not None:
            raise validation(f"ExpressionAttributeValues contains invalid value: {found.text} for key {key}")


def _read_actions(actions: list[tuple[str, Mapping[str, Any]]]) -> list[Action]:
    """What is looked at once the idempotency token is known to be fresh."""
    plain = _plain_actions(actions)
    if plain is not None:
        return plain
    for _, action in actions:
        _check_names(action)
    read = [_read_action(kind, action) for kind, action in actions]
    for _, action in actions:
        _check_nesting(action.get("Key") or {})
    return read


def _plain_actions(actions: list[tuple[str, Mapping[str, Any]]]) -> list[Action] | None:
    """None where a closer look is needed: in the order of the service's checks, which this is not."""
    read: list[Action] = []
    try:
        for kind, action in actions:
            if not action.keys() <= PLAIN_ACTION:
                return None
            if kind != "Put":
                read.append(_plain_action(kind, action))
                continue
            item = encode_item(action["Item"])
            if len(item) > ATTRIBUTE_NAME_BYTES and (
                item_size(item) > ITEM_BYTES or name_fault([{"M": action["Item"]}]) is not None
            ):
                return None
            read.append(Put(action["TableName"], item, _plain_expressions(action)[1]))
    except (Unusual, ApiError, TypeError, AttributeError):
        return None
    return read


def _plain_action(kind: str, action: Mapping[str, Any]) -> Action:
    key = store_attributes(action["Key"])
    update, condition = _plain_expressions(action)
    if kind == "Update":
        return UpdateItem(action["TableName"], key, update, condition)
    if kind == "Delete":
        return Delete(action["TableName"], key, condition)
    assert condition is not None
    return ConditionCheck(action["TableName"], key, condition)


def _plain_expressions(action: Mapping[str, Any]) -> tuple[Update | None, Condition | None]:
    """Unusual or TypeError where they are anything else than expressions with typed values."""
    if len(action) == 2:
        return None, None
    values = action.get("ExpressionAttributeValues")
    stored = None if values is None else store_attributes(values)
    if stored and sum(map(value_size, stored.values())) > ATTRIBUTE_NAME_BYTES:
        # as large as this they may hold names that are too long, or be too large themselves
        raise Unusual
    return checked(
        action.get("UpdateExpression"), action.get(CONDITION), action.get("ExpressionAttributeNames"), stored
    )


def _check_nesting(attributes: Mapping[str, Any]) -> None:
    for value in attributes.values():
        if (found := nesting_fault(value)) is not None:
            raise validation(found.text)


def _read_action(kind: str, action: Mapping[str, Any]) -> Action:
    old = action.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
    table = action["TableName"]
    if kind == "Put":
        return _read_put(action, old)
    key = _stored_but_deep(action["Key"])
    values = _values(action)
    if kind == "Update":
        return _read_update(action, key, values, old)
    condition = _condition(action, values)
    if condition is not None:
        condition.check()
    _check_unused(action, values, [condition])
    if kind == "Delete":
        return Delete(table, key, condition, return_old_on_failure=old)
    assert condition is not None
    return ConditionCheck(table, key, condition, old)


def _read_put(action: Mapping[str, Any], old: bool) -> Put:
    item = None
    try:
        item = encode_item(action["Item"])
    except Unusual:
        _stored_but_deep(action["Item"])
    values = _values(action)
    if item is None:
        item = stored_item(action["Item"], Layer.OLDER, ALL_BARE)
    if action.get(CONDITION):
        check_text(CONDITION, action[CONDITION], show_size=True)
    if item_size(item) > ITEM_BYTES:
        raise validation("Item size has exceeded the maximum allowed size")
    condition = _condition(action, values)
    if condition is not None:
        condition.check()
    _check_unused(action, values, [condition])
    return Put(action["TableName"], item, condition, return_old_on_failure=old)


def _read_update(action: Mapping[str, Any], key: dict[str, Any], values: dict[str, Any], old: bool) -> UpdateItem:
    """A value that is not defined is no fault of the request: it cancels."""
    update = Update.parse(action["UpdateExpression"], action.get("ExpressionAttributeNames"), values)
    condition = _condition(action, values)
    undefined = update.check_but_undefined_values()
    if condition is not None:
        condition.check()
    _check_unused(action, values, [update, condition])
    return UpdateItem(action["TableName"], key, update, condition, return_old_on_failure=old, fault=undefined)


def _stored_but_deep(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """In stored form; without those whose only fault is their nesting, which is reported later."""
    stored = {}
    for name, value in attributes.items():
        try:
            stored[name] = store_value(value)
        except Unusual:
            found = find_fault(value, Layer.OLDER)
            if found is None or found.kind not in (Fault.NESTING, Fault.DEEP):
                stored[name] = stored_value(value, Layer.OLDER, ALL_BARE)
    return stored


def _values(action: Mapping[str, Any]) -> dict[str, Any]:
    """Of an action without any expression, names and values are not looked at."""
    if action.get(CONDITION) is None and action.get("UpdateExpression") is None:
        return {}
    check_usage(action, (), ("UpdateExpression", CONDITION))
    return expression_values(action, ValueForms.TRANSACTION, Layer.OLDER, deepest=NESTING + 1)


def _condition(action: Mapping[str, Any], values: Mapping[str, Any]) -> Condition | None:
    text = action.get(CONDITION)
    if text is None:
        return None
    return Condition.parse(CONDITION, text, action.get("ExpressionAttributeNames"), values, show_size=True)


def _check_unused(action: Mapping[str, Any], values: Mapping[str, Any], used: list[Any]) -> None:
    parts = [part for part in used if part is not None]
    if not parts:
        return
    fault = unused_names(action.get("ExpressionAttributeNames"), [part.names_used for part in parts])
    if fault is None:
        fault = unused_values(values, [part.values_used for part in parts])
    if fault is not None:
        raise fault


def _fingerprint(entries: Any) -> bytes:
    """Equal for equal payloads, whatever the order of members."""
    text = json.dumps(entries, sort_keys=True, separators=(",", ":"), default=bytes.hex)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def read_transact_get_items(request: Request) -> TransactGet:
    entries = request.get("TransactItems")
    if entries:
        missing = [
            null_fault(f"transactItems.{number}.member.get")
            for number, entry in enumerate(entries, 1)
            if entry.get("Get") is None
        ]
        if missing:
            raise_members([*missing, *capacity_faults(request)])
    _check_length(entries, transact_get_echo)
    assert entries is not None
    raise_members(capacity_faults(request))
    gets = [entry["Get"] for entry in entries]
    faults = []
    for number, get in enumerate(gets, 1):
        path = f"transactItems.{number}.member.get"
        faults += table_name_faults(get.get("TableName"), f"{path}.tableName", all_of_them=True)
        if get.get("Key") is None:
            faults.append(null_fault(f"{path}.key"))
    raise_members(faults)
    for get in gets:
        _check_names(get)
    for get in gets:
        _check_nesting(get["Key"])
    keys = [stored_key(get["Key"], Layer.OLDER, ALL_BARE) for get in gets]
    read = []
    for get, key in zip(gets, keys, strict=True):
        check_usage(get, (), ("ProjectionExpression",))
        read.append(Get(get["TableName"], key, read_projection(get), True))
    return TransactGet(read, read_capacity(request))
