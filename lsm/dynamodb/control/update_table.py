"""UpdateTable. Order of checks and texts: rules 8.1, 8.3."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lsm.dynamodb.control import definitions
from lsm.dynamodb.control.create_table import (
    ON_DEMAND_CAPACITY,
    capacity_bounds,
    global_index,
    index_faults,
    settings_faults,
    stream_settings,
    throughput_faults,
)
from lsm.dynamodb.control.definitions import invalid
from lsm.dynamodb.control.describe import described
from lsm.dynamodb.control.members import check_name, constraint_faults, raise_at_most_ten
from lsm.dynamodb.errors import ApiError, resource_not_found, table_not_found, validation
from lsm.dynamodb.limits import GLOBAL_INDEXES
from lsm.dynamodb.requests.common import raise_members
from lsm.dynamodb.schema import Index, TableSchema

if TYPE_CHECKING:
    from lsm.dynamodb.service import Service

__all__ = ["update_table"]

NOTHING = (
    "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates or "
    "SSESpecification or ReplicaUpdates is required"
)
CHANGES = (
    "ProvisionedThroughput",
    "BillingMode",
    "StreamSpecification",
    "SSESpecification",
    "TableClass",
    "OnDemandThroughput",
    "WarmThroughput",
    "DeletionProtectionEnabled",
    "ReplicaUpdates",
)
ONE_AT_A_TIME = "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table"
Request = Mapping[str, Any]


def update_table(service: Service, request: Request) -> dict[str, Any]:
    name = check_name(request)
    updates = request.get("GlobalSecondaryIndexUpdates") or []
    _check_members(request, updates)
    if not updates and all(request.get(member) is None for member in CHANGES):
        raise validation(NOTHING)
    _check_updates(updates)
    with service.catalog.changing:
        table = service.catalog.find(name)
        if table is None:
            raise table_not_found(service.catalog.name_of(name))
        if sum(update.get("Update") is None for update in updates) > 1:
            raise ApiError("LimitExceededException", ONE_AT_A_TIME)
        before = table.schema
        settings = _new_settings(service, before, request)
        after = replace(before, settings=settings)
        for update in updates:
            after = _updated_index(service, after, request, update)
        after = _with_definitions(after, request)
        service.catalog.change(after)
    return {"TableDescription": _answered(service, before, after, request)}


def _answered(service: Service, before: TableSchema, after: TableSchema, request: Request) -> dict[str, Any]:
    """The answer shows the change going on, capacity as it was before, on-demand limits as they were sent."""
    updates = request.get("GlobalSecondaryIndexUpdates") or []
    deleted = {update["Delete"]["IndexName"] for update in updates if update.get("Delete") is not None}
    changed = {update["Update"]["IndexName"] for update in updates if update.get("Update") is not None}
    indexes = [replace(i, status="UPDATING") if i.name in changed else i for i in after.indexes]
    indexes += [replace(i, status="DELETING") for i in before.indexes if i.name in deleted]
    shown = dict(after.settings)
    if "ProvisionedThroughput" in before.settings:
        shown["ProvisionedThroughput"] = before.settings["ProvisionedThroughput"]
    if request.get("OnDemandThroughput") is not None:
        shown["OnDemandThroughput"] = {**before.settings.get("OnDemandThroughput", {}), **request["OnDemandThroughput"]}
    return described(service, replace(after, status="UPDATING", indexes=tuple(indexes), settings=shown))


# ---- members


def _check_members(request: Request, updates: list[Request]) -> None:
    faults = constraint_faults("AttributeDefinitions", request.get("AttributeDefinitions"), "attributeDefinitions")
    for number, update in enumerate(updates, 1):
        path = f"globalSecondaryIndexUpdates.{number}.member"
        if update.get("Create") is not None:
            faults += index_faults(update["Create"], f"{path}.create", 8)
            faults += throughput_faults(
                update["Create"].get("ProvisionedThroughput"), f"{path}.create.provisionedThroughput"
            )
        if update.get("Delete") is not None:
            faults += constraint_faults(
                "IndexName", update["Delete"].get("IndexName"), f"{path}.delete.indexName", True
            )
    raise_at_most_ten(faults)
    faults = throughput_faults(request.get("ProvisionedThroughput"), "provisionedThroughput")
    for number, update in enumerate(updates, 1):
        path = f"globalSecondaryIndexUpdates.{number}.member.update"
        change = update.get("Update")
        if change is not None:
            faults += constraint_faults("IndexName", change.get("IndexName"), f"{path}.indexName", True)
            faults += throughput_faults(change.get("ProvisionedThroughput"), f"{path}.provisionedThroughput")
    raise_at_most_ten(faults)
    raise_members(constraint_faults("BillingMode", request.get("BillingMode"), "billingMode"))
    raise_members(constraint_faults("TableClass", request.get("TableClass"), "tableClass"))
    raise_at_most_ten(settings_faults(request))
    if request.get("BillingMode") == "PAY_PER_REQUEST" and request.get("ProvisionedThroughput") is not None:
        raise invalid(ON_DEMAND_CAPACITY)
    capacity_bounds(request.get("ProvisionedThroughput"))


def _check_updates(updates: list[Request]) -> None:
    seen = set()
    for update in updates:
        change = next((update[kind] for kind in ("Update", "Create", "Delete") if update.get(kind) is not None), None)
        if change is None:
            raise invalid(
                "One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, "
                "GlobalSecondaryIndexUpdate.Delete must not be null"
            )
        if change["IndexName"] in seen:
            raise invalid(
                "Only one global secondary index update per index is allowed simultaneously. "
                f"Index: {change['IndexName']}"
            )
        seen.add(change["IndexName"])


# ---- settings


def _new_settings(service: Service, schema: TableSchema, request: Request) -> dict[str, Any]:
    settings = dict(schema.settings)
    throughput, billing = request.get("ProvisionedThroughput"), request.get("BillingMode")
    on_demand = settings["BillingMode"] == "PAY_PER_REQUEST"
    if throughput is not None and on_demand and billing != "PROVISIONED":
        raise invalid(ON_DEMAND_CAPACITY)
    if billing == "PROVISIONED" and on_demand and throughput is None:
        raise invalid("ProvisionedThroughput must be specified when BillingMode is PROVISIONED")
    now = service.clock.now()
    _change_on_demand(settings, request.get("OnDemandThroughput"), billing or settings["BillingMode"])
    if throughput is not None:
        _check_same(settings.get("ProvisionedThroughput"), throughput)
        _change_throughput(settings, throughput, now)
    if billing == "PAY_PER_REQUEST" and not on_demand:
        settings.pop("ProvisionedThroughput", None)
        settings["LastUpdateToPayPerRequestDateTime"] = now
    if billing == "PROVISIONED":
        settings.pop("OnDemandThroughput", None)
    if billing is not None:
        settings["BillingMode"] = billing
    if request.get("TableClass") is not None:
        if settings.get("TableClass", "STANDARD") != request["TableClass"]:
            settings["TableClassUpdated"] = now
        settings["TableClass"] = request["TableClass"]
    for member in ("SSESpecification", "WarmThroughput", "DeletionProtectionEnabled"):
        if request.get(member) is not None:
            settings[member] = request[member]
    if request.get("StreamSpecification") is not None:
        _change_stream(service, schema, settings, request["StreamSpecification"], now)
    return settings


def _check_same(old: Request | None, new: Request) -> None:
    members = ("ReadCapacityUnits", "WriteCapacityUnits")
    if old is None or any(old[member] != new[member] for member in members):
        return
    read, write = (new[member] for member in members)
    raise validation(
        "The provisioned throughput for the table will not change. The requested value equals the current value. "
        f"Current ReadCapacityUnits provisioned for the table: {read}. Requested ReadCapacityUnits: {read}. "
        f"Current WriteCapacityUnits provisioned for the table: {write}. Requested WriteCapacityUnits: {write}. "
        "Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits."
    )


def _change_throughput(settings: dict[str, Any], new: Request, now: float) -> None:
    old = settings.get("ProvisionedThroughput") or {}
    for member in ("ReadCapacityUnits", "WriteCapacityUnits"):
        if member in old and new[member] != old[member]:
            settings["LastIncreaseDateTime" if new[member] > old[member] else "LastDecreaseDateTime"] = now
    settings["ProvisionedThroughput"] = dict(new)


def _change_on_demand(settings: dict[str, Any], change: Request | None, billing: str) -> None:
    if change is None:
        return
    members = [m for m in ("MaxReadRequestUnits", "MaxWriteRequestUnits") if change.get(m) is not None]
    if not members:
        raise ApiError("InternalFailure", None, 500)
    for member in members:
        if billing == "PROVISIONED":
            raise invalid(
                f"{member} for OnDemandThroughput cannot be specified when the table BillingMode is PROVISIONED"
            )
    for member in members:
        if change[member] == 0 or change[member] < -1:
            raise invalid(f"Requested {member} for OnDemandThroughput for table is outside of valid range")
    merged = {**settings.get("OnDemandThroughput", {}), **{member: change[member] for member in members}}
    kept = {member: value for member, value in merged.items() if value != -1}
    settings.pop("OnDemandThroughput", None)
    if kept:
        settings["OnDemandThroughput"] = kept


def _change_stream(
    service: Service, schema: TableSchema, settings: dict[str, Any], stream: Request, now: float
) -> None:
    has_one = "StreamSpecification" in settings
    if stream.get("StreamEnabled"):
        if has_one:
            raise validation(f"Table already has an enabled stream: {settings['LatestStreamArn']}")
        if stream.get("StreamViewType") is None:
            raise invalid("StreamViewType is required when StreamEnabled is true")
        settings.update(stream_settings(service, schema.name, stream, now))
    elif not has_one:
        raise validation("Table is already disabled for streaming")
    else:
        del settings["StreamSpecification"]


# ---- indexes


def _updated_index(service: Service, schema: TableSchema, request: Request, update: Request) -> TableSchema:
    if update.get("Update") is not None:
        return _changed_index(schema, update["Update"])
    busy = any(index.backfilling for index in schema.indexes)
    if update.get("Delete") is not None:
        name = update["Delete"]["IndexName"]
        if not any(index.name == name and index.is_global for index in schema.indexes):
            raise resource_not_found()
        if any(index.backfilling and index.name != name for index in schema.indexes):
            raise ApiError("LimitExceededException", ONE_AT_A_TIME)
        return replace(schema, indexes=tuple(index for index in schema.indexes if index.name != name))
    create = update["Create"]
    if schema.index(create["IndexName"]) is not None:
        raise invalid(f"Index already exists: {create['IndexName']}")
    if busy:
        raise ApiError("LimitExceededException", ONE_AT_A_TIME)
    types = {d["AttributeName"]: d["AttributeType"] for d in request.get("AttributeDefinitions") or ()}
    definitions.check_index_definitions([create], types)
    definitions.check_global_index(create)
    if sum(index.is_global for index in schema.indexes) >= GLOBAL_INDEXES:
        raise invalid(f"GlobalSecondaryIndex count exceeds the per-table limit of {GLOBAL_INDEXES}")
    number = int(schema.settings.get("LastIndexId", max((index.id for index in schema.indexes), default=0))) + 1
    made = replace(global_index(number, create), status="CREATING", backfilling=True)
    definitions.check_projected_count([*(index.included for index in schema.indexes), made.included])
    return replace(schema, indexes=(*schema.indexes, made), settings={**schema.settings, "LastIndexId": number})


def _changed_index(schema: TableSchema, change: Request) -> TableSchema:
    old = schema.index(change["IndexName"])
    if old is None or not old.is_global:
        raise resource_not_found()
    settings = dict(old.settings)
    for member in ("ProvisionedThroughput", "OnDemandThroughput", "WarmThroughput"):
        if change.get(member) is not None:
            settings[member] = change[member]
    indexes: list[Index] = [replace(i, settings=settings) if i is old else i for i in schema.indexes]
    return replace(schema, indexes=tuple(indexes))


def _with_definitions(schema: TableSchema, request: Request) -> TableSchema:
    """Definitions are merged by name, the stored type stays, and what no key uses goes."""
    types = dict(schema.types)
    for definition in request.get("AttributeDefinitions") or ():
        types.setdefault(definition["AttributeName"], definition["AttributeType"])
    used = {name for keys in (schema.keys, *(i.keys for i in schema.indexes)) for name in keys.names}
    return replace(schema, types={name: kind for name, kind in types.items() if name in used})
