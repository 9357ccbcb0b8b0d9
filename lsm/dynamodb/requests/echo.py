"""What a constraint message prints of a refused map or list: the service's own rendering. Rules 2.2, 11.5.

BatchGetItem prints compact JSON, the others what Java's toString makes. No state.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

__all__ = ["hash_map_order", "json_echo", "transact_get_echo", "transact_write_echo", "write_requests_echo"]

V = TypeVar("V")
FIELDS = (
    ("s", "S"),
    ("n", "N"),
    ("b", "B"),
    ("iNT", None),
    ("dECIMAL", None),
    ("dOUBLE", None),
    ("sS", "SS"),
    ("nS", "NS"),
    ("bS", "BS"),
    ("iNTSET", None),
    ("dECIMALSET", None),
    ("dOUBLESET", None),
    ("m", "M"),
    ("l", "L"),
    ("nULL", "NULL"),
    ("bOOL", "BOOL"),
)


def _string_hash(text: str) -> int:
    hashed = 0
    units = text.encode("utf-16-be", "surrogatepass")
    for position in range(0, len(units), 2):
        hashed = (31 * hashed + int.from_bytes(units[position : position + 2], "big")) & 0xFFFFFFFF
    return hashed


def hash_map_order(names: Iterable[str], buckets: int | None = None) -> list[str]:
    """The order in which a Java HashMap made for these many entries gives them."""
    listed = list(names)
    if buckets is None:
        buckets = 1
        while buckets < len(listed):
            buckets *= 2
        while len(listed) > buckets * 3 / 4:
            buckets *= 2
    mask = buckets - 1

    def bucket(name: str) -> int:
        hashed = _string_hash(name)
        return (hashed ^ (hashed >> 16)) & mask

    return sorted(listed, key=bucket)


def _java_map(entries: Mapping[str, V], shown: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{name}={shown[name]}" for name in hash_map_order(entries)) + "}"


def _value(value: Any) -> str:
    parts = []
    for field, kind in FIELDS:
        held = value.get(kind) if kind is not None and isinstance(value, dict) else None
        parts.append(f"{field}={_held(kind, held)}")
    return f"AttributeValue({', '.join(parts)})"


def _held(kind: str | None, held: Any) -> str:
    if held is None:
        return "null"
    if kind == "B":
        return _buffer(held)
    if kind == "BS":
        return "[" + ", ".join(map(_buffer, held)) + "]"
    if kind in ("SS", "NS"):
        return "[" + ", ".join(held) + "]"
    if kind == "M":
        return _item(held)
    if kind == "L":
        return "[" + ", ".join(map(_value, held)) + "]"
    return str(held).lower() if isinstance(held, bool) else str(held)


def _buffer(data: bytes) -> str:
    return f"java.nio.HeapByteBuffer[pos=0 lim={len(data)} cap={len(data)}]"


def _item(item: Mapping[str, Any] | None) -> str:
    return "null" if item is None else _java_map(item, {name: _value(value) for name, value in item.items()})


def write_requests_echo(tables: Mapping[str, Any]) -> str:
    """Of BatchWriteItem's RequestItems."""
    shown = {table: "[" + ", ".join(map(_write_request, requests or ())) + "]" for table, requests in tables.items()}
    return _java_map(tables, shown)


def _write_request(request: Mapping[str, Any]) -> str:
    put, delete = request.get("PutRequest"), request.get("DeleteRequest")
    shown_put = "null" if put is None else f"PutRequest(item={_item(put.get('Item'))}, workloadProfileName=null)"
    shown_delete = (
        "null" if delete is None else f"DeleteRequest(key={_item(delete.get('Key'))}, workloadProfileName=null)"
    )
    return f"WriteRequest(putRequest={shown_put}, deleteRequest={shown_delete})"


def json_echo(tables: Mapping[str, Any]) -> str:
    """Of BatchGetItem's RequestItems."""
    return json.dumps(tables, separators=(",", ":"), ensure_ascii=False, default=_base64)


def _base64(data: Any) -> str:
    return base64.b64encode(data).decode()


def _text(value: Any) -> str:
    return "null" if value is None else str(value)


def _names(names: Mapping[str, str] | None) -> str:
    return "null" if names is None else _java_map(names, names)


def _action(kind: str, action: Mapping[str, Any] | None) -> str:
    if action is None:
        return "null"
    first = f"item={_item(action.get('Item'))}" if kind == "Put" else f"key={_item(action.get('Key'))}"
    update = f", updateExpression={_text(action.get('UpdateExpression'))}" if kind == "Update" else ""
    return (
        f"{kind}({first}{update}, tableName={_text(action.get('TableName'))}, "
        f"conditionExpression={_text(action.get('ConditionExpression'))}, "
        f"expressionAttributeNames={_names(action.get('ExpressionAttributeNames'))}, "
        f"expressionAttributeValues={_item(action.get('ExpressionAttributeValues'))}, "
        f"returnValuesOnConditionCheckFailure={_text(action.get('ReturnValuesOnConditionCheckFailure'))}, "
        "workloadProfileName=null)"
    )


def transact_write_echo(actions: Iterable[Mapping[str, Any]]) -> str:
    """Of TransactWriteItems' TransactItems."""
    shown = [
        f"TransactWriteItem(conditionCheck={_action('ConditionCheck', a.get('ConditionCheck'))}, "
        f"put={_action('Put', a.get('Put'))}, delete={_action('Delete', a.get('Delete'))}, "
        f"update={_action('Update', a.get('Update'))})"
        for a in actions
    ]
    return "[" + ", ".join(shown) + "]"


def transact_get_echo(actions: Iterable[Mapping[str, Any]]) -> str:
    """Of TransactGetItems' TransactItems."""
    shown = []
    for action in actions:
        get = action.get("Get")
        if get is None:
            shown.append("TransactGetItem(get=null)")
            continue
        shown.append(
            f"TransactGetItem(get=Get(key={_item(get.get('Key'))}, tableName={_text(get.get('TableName'))}, "
            f"projectionExpression={_text(get.get('ProjectionExpression'))}, "
            f"expressionAttributeNames={_names(get.get('ExpressionAttributeNames'))}, workloadProfileName=null))"
        )
    return "[" + ", ".join(shown) + "]"
