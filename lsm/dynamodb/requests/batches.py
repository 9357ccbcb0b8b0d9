"""BatchGetItem and BatchWriteItem, up to the point where their tables are looked up. Rules 3.1.5, 3.1.6, 3.10."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from lsm.dynamodb.errors import validation
from lsm.dynamodb.limits import BATCH_GET_KEYS, BATCH_WRITE_REQUESTS, ITEM_BYTES
from lsm.dynamodb.requests.common import (
    Request,
    capacity_faults,
    check_expression_names,
    check_usage,
    metrics_faults,
    null_fault,
    raise_members,
    raise_name_fault,
    read_capacity,
    read_metrics,
    table_name_faults,
    to_get_faults,
)
from lsm.dynamodb.requests.echo import json_echo, write_requests_echo
from lsm.dynamodb.requests.forms import BatchGet, BatchWrite, Delete, KeysOfTable, Put
from lsm.dynamodb.requests.items import read_projection
from lsm.dynamodb.values import ALL_BARE, Layer, nesting_fault, stored_item, stored_key
from lsm.item_codec import Unusual, item_size, store_keys

__all__ = ["read_batch_get_item", "read_batch_write_item"]

MAP_KEYS = (
    "Map keys must satisfy constraint: [Member must have length less than or equal to 255, Member must have length "
    "greater than or equal to 3, Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+]"
)
MAP_VALUES = (
    "Map value must satisfy constraint: [Member must have length less than or equal to 25, Member must have length "
    "greater than or equal to 1]"
)
PLAIN_BLOCK = {"Keys", "ConsistentRead"}
DUPLICATES = "Provided list of item keys contains duplicates"


def _bad_name(tables: Iterable[str]) -> bool:
    return any(table_name_faults(name) for name in tables)


def read_batch_get_item(request: Request) -> BatchGet:
    tables = request.get("RequestItems")
    if tables is None:
        raise_members([null_fault("requestItems"), *capacity_faults(request)])
    assert tables is not None
    if not tables:
        raise validation(
            "Value at 'RequestItems' failed to satisfy constraint: Member must have length greater than or equal to 1",
            envelope=True,
        )
    _check_counts(tables, least=True)
    faults = []
    if _bad_name(tables):
        faults.append(f"Value '{json_echo(tables)}' at 'requestItems' failed to satisfy constraint: {MAP_KEYS}")
    for name, block in tables.items():
        faults += to_get_faults(block, f"requestItems.{name}.member.attributesToGet")
    raise_members([*faults, *capacity_faults(request)])
    _check_counts(tables, least=False)
    if sum(len(block["Keys"]) for block in tables.values()) > BATCH_GET_KEYS:
        raise validation("Too many items requested for the BatchGetItem call")
    plain = _plain_batch_get(tables)
    if plain is not None:
        return BatchGet(plain, read_capacity(request))
    for block in tables.values():
        _check_block_names(block)
    _check_mixed(tables.values())
    for block in tables.values():
        check_usage(block, ("AttributesToGet",), ("ProjectionExpression",))
    parts = [_read_block(name, block) for name, block in tables.items()]
    for part, block in zip(parts, tables.values(), strict=True):
        part.projection = read_projection(block)
    return BatchGet(parts, read_capacity(request))


def _check_counts(tables: Mapping[str, Any], *, least: bool) -> None:
    """An empty list of keys is found before ill-formed names, too long a one after them."""
    for name, block in tables.items():
        path = f"RequestItems.{name}.member.Keys"
        keys = block.get("Keys")
        if keys is None:
            raise_members([null_fault(f"requestItems.{name}.member.keys")])
        if least and not keys:
            raise_members(
                [f"Value at '{path}' failed to satisfy constraint: Member must have length greater than or equal to 1"]
            )
        if not least and len(keys) > BATCH_GET_KEYS:
            raise_members(
                [f"Value at '{path}' failed to satisfy constraint: Member must have length less than or equal to 100"]
            )


def _check_block_names(block: Mapping[str, Any]) -> None:
    raise_name_fault({"M": key} for key in block["Keys"])
    raise_name_fault([{"M": dict.fromkeys(block.get("AttributesToGet") or ())}])
    check_expression_names(block)


def _check_mixed(blocks: Iterable[Mapping[str, Any]]) -> None:
    """One table may not use ProjectionExpression where another uses AttributesToGet."""
    listed = list(blocks)
    old = any(block.get("AttributesToGet") is not None for block in listed)
    new = any(block.get("ProjectionExpression") is not None for block in listed)
    if old and new:
        raise validation(
            "Can not use both expression and non-expression parameters in the same request: "
            "Non-expression parameters: {AttributesToGet} Expression parameters: {ProjectionExpression}"
        )


def _plain_batch_get(tables: Mapping[str, Any]) -> list[KeysOfTable] | None:
    """None where there is more than keys, or anything is wrong with one of them."""
    parts = []
    for name, block in tables.items():
        if not block.keys() <= PLAIN_BLOCK:
            return None
        try:
            keys = store_keys(block["Keys"])
        except (Unusual, TypeError):
            return None
        settings = {} if block.get("ConsistentRead") is None else {"ConsistentRead": block["ConsistentRead"]}
        parts.append(KeysOfTable(name, keys, None, bool(block.get("ConsistentRead")), settings))
    return parts


def _read_block(name: str, block: Mapping[str, Any]) -> KeysOfTable:
    for key in block["Keys"]:
        for value in key.values():
            if (found := nesting_fault(value)) is not None:
                raise validation(found.text)
    keys = [stored_key(key, Layer.NEWER, ALL_BARE) for key in block["Keys"]]
    if len({_identity(key) for key in keys}) < len(keys):
        raise validation(DUPLICATES)
    settings = {member: held for member, held in block.items() if member != "Keys" and held is not None}
    return KeysOfTable(name, keys, None, bool(block.get("ConsistentRead")), settings)


def _identity(key: Mapping[str, Any]) -> str:
    return json.dumps(key, sort_keys=True, default=bytes.hex)


def read_batch_write_item(request: Request) -> BatchWrite:
    tables = request.get("RequestItems")
    if tables is not None and not tables:
        raise validation("The requestItems parameter is required for BatchWriteItem")
    faults = [] if tables is not None else [null_fault("requestItems")]
    if tables and any(not 1 <= len(requests or ()) <= BATCH_WRITE_REQUESTS for requests in tables.values()):
        faults.append(_echoed(tables, MAP_VALUES))
    raise_members([*faults, *capacity_faults(request), *metrics_faults(request)])
    assert tables is not None
    if _bad_name(tables):
        raise_members([_echoed(tables, MAP_KEYS)])
    if sum(map(len, tables.values())) > BATCH_WRITE_REQUESTS:
        raise validation("Too many items requested for the BatchWriteItem call")
    for requests in tables.values():
        for write in requests:
            _check_write_names(write)
    return BatchWrite(
        {name: [_read_write(name, write) for write in requests] for name, requests in tables.items()},
        read_capacity(request),
        read_metrics(request),
    )


def _echoed(tables: Mapping[str, Any], constraint: str) -> str:
    return f"Value '{write_requests_echo(tables)}' at 'requestItems' failed to satisfy constraint: {constraint}"


def _parts(write: Mapping[str, Any]) -> tuple[Any, Any]:
    put, delete = write.get("PutRequest"), write.get("DeleteRequest")
    return put, delete


def _check_write_names(write: Mapping[str, Any]) -> None:
    for part, member in zip(_parts(write), ("Item", "Key"), strict=True):
        raise_name_fault([{"M": (part or {}).get(member)}])


def _read_write(table: str, write: Mapping[str, Any]) -> Put | Delete:
    put, delete = _parts(write)
    if (put is None) == (delete is None):
        raise validation(
            "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported "
            "datatypes"
        )
    if put is not None:
        if put.get("Item") is None:
            raise_members([null_fault(f"requestItems.{table}.member.1.member.putRequest.item")])
        item = stored_item(put["Item"], Layer.OLDER, ALL_BARE)
        if item_size(item) > ITEM_BYTES:
            raise validation("Item size has exceeded the maximum allowed size")
        return Put(table, item)
    if delete.get("Key") is None:
        raise_members([null_fault(f"requestItems.{table}.member.1.member.deleteRequest.key")])
    return Delete(table, stored_key(delete["Key"], Layer.OLDER, ALL_BARE))
