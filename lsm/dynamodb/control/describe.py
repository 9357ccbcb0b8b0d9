"""What the service says of a table: TableDescription. Rules 8.2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lsm import Keyspace
from lsm.dynamodb.control.throughput import decreases_today, warm_throughput
from lsm.dynamodb.schema import Index, KeySchema, TableSchema
from lsm.item_codec import item_size

if TYPE_CHECKING:
    from lsm.dynamodb.service import Service

__all__ = ["described"]

EXACT_UNTIL = 10_000
"""Up to about so many items they are counted for an answer; beyond, the figures are approximate."""


def described(service: Service, schema: TableSchema) -> dict[str, Any]:
    """A TableDescription; times are seconds since 1970."""
    table = service.catalog.find(schema.name)
    own = table is not None and table.id == schema.id
    count, size = _counted(table.keyspace) if table is not None and own else (0, 0)
    settings = schema.settings
    arn = service.catalog.arn(schema.name)
    description: dict[str, Any] = {
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": kind} for name, kind in schema.types.items()],
        "TableName": schema.name,
        "KeySchema": key_elements(schema.keys),
        "TableStatus": schema.status,
        "CreationDateTime": schema.created,
        "ProvisionedThroughput": throughput(settings, service.clock.now()),
        "TableSizeBytes": size,
        "ItemCount": count,
        "TableArn": arn,
        "TableId": schema.id,
        "DeletionProtectionEnabled": bool(settings.get("DeletionProtectionEnabled")),
    }
    _add_settings(service, description, settings, schema)
    for member, is_global in (("LocalSecondaryIndexes", False), ("GlobalSecondaryIndexes", True)):
        listed = [index for index in schema.indexes if index.is_global is is_global]
        if listed:
            description[member] = [_index(service, schema, index, arn, settings) for index in listed]
    return description


def _add_settings(service: Service, description: dict[str, Any], settings: dict[str, Any], schema: TableSchema) -> None:
    if "LastUpdateToPayPerRequestDateTime" in settings:
        description["BillingModeSummary"] = {
            "BillingMode": settings["BillingMode"],
            "LastUpdateToPayPerRequestDateTime": settings["LastUpdateToPayPerRequestDateTime"],
        }
    for member in ("StreamSpecification", "LatestStreamLabel", "LatestStreamArn", "OnDemandThroughput"):
        if member in settings:
            description[member] = settings[member]
    if "TableClass" in settings:
        summary = {"TableClass": settings["TableClass"]}
        if "TableClassUpdated" in settings:
            summary["LastUpdateDateTime"] = settings["TableClassUpdated"]
        description["TableClassSummary"] = summary
    sse = settings.get("SSESpecification")
    if sse and sse.get("Enabled"):
        description["SSEDescription"] = {
            "Status": "ENABLED",
            "SSEType": sse.get("SSEType") or "KMS",
            "KMSMasterKeyArn": sse.get("KMSMasterKeyId")
            or f"arn:aws:kms:{service.region}:{service.account}:key/00000000-0000-0000-0000-000000000000",
        }
    if schema.status != "DELETING":
        warm = warm_throughput(settings, settings["BillingMode"])
        description["WarmThroughput"] = {**warm, "Status": "ACTIVE"}


def throughput(settings: dict[str, Any], now: float) -> dict[str, Any]:
    """ProvisionedThroughputDescription; zeros on demand."""
    given = settings.get("ProvisionedThroughput") or {}
    shown = {
        "NumberOfDecreasesToday": decreases_today(settings, now),
        "ReadCapacityUnits": given.get("ReadCapacityUnits", 0),
        "WriteCapacityUnits": given.get("WriteCapacityUnits", 0),
    }
    for member in ("LastIncreaseDateTime", "LastDecreaseDateTime"):
        if member in settings:
            shown[member] = settings[member]
    return shown


def key_elements(keys: KeySchema) -> list[dict[str, str]]:
    """A KeySchema list."""
    return [
        *({"AttributeName": name, "KeyType": "HASH"} for name in keys.hashes),
        *({"AttributeName": name, "KeyType": "RANGE"} for name in keys.ranges),
    ]


def _index(service: Service, schema: TableSchema, index: Index, arn: str, settings: dict[str, Any]) -> dict[str, Any]:
    table = service.catalog.find(schema.name)
    opened = table.indexes.get(index.name) if table is not None and table.id == schema.id else None
    count, size = _counted(opened.keyspace) if opened is not None else (0, 0)
    projection: dict[str, Any] = {"ProjectionType": index.projection}
    if index.projection == "INCLUDE":
        projection["NonKeyAttributes"] = sorted(index.included)
    description: dict[str, Any] = {
        "IndexName": index.name,
        "KeySchema": key_elements(index.keys),
        "Projection": projection,
        "IndexSizeBytes": size,
        "ItemCount": count,
        "IndexArn": f"{arn}/index/{index.name}",
    }
    if index.is_global:
        description["IndexStatus"] = index.status
        if index.backfilling and index.status == "CREATING":
            description["Backfilling"] = True
        description["ProvisionedThroughput"] = throughput(index.settings, service.clock.now())
        if "OnDemandThroughput" in index.settings:
            description["OnDemandThroughput"] = index.settings["OnDemandThroughput"]
        warm = warm_throughput(index.settings, settings["BillingMode"])
        description["WarmThroughput"] = {**warm, "Status": "ACTIVE"}
    return description


def _counted(keyspace: Keyspace[tuple[bytes, bytes]]) -> tuple[int, int]:
    """Items and their bytes."""
    about = keyspace.approximate_count()
    if about > EXACT_UNTIL:
        sample = [item_size(data) for _, data in keyspace.scan(limit=EXACT_UNTIL // 10)]
        return about, about * sum(sample) // max(1, len(sample))
    sizes = [item_size(data) for _, data in keyspace.scan()]
    return len(sizes), sum(sizes)
