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
from lsm.dynamodb.control.encryption import check_encryption
from lsm.dynamodb.control.members import check_name, constraint_faults, raise_at_most_ten
from lsm.dynamodb.control.on_demand import change_limits, check_first_limits
from lsm.dynamodb.control.throughput import change_throughput, check_first_warm, check_warm, switch_to_on_demand
from lsm.dynamodb.control.together import CHANGES, check_together
from lsm.dynamodb.errors import ApiError, table_not_found, validation
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
ONE_AT_A_TIME = "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table"
TOO_MANY = f"Subscriber limit exceeded: Number of global secondary indexes exceeds per-table limit of {GLOBAL_INDEXES}"
Request = Mapping[str, Any]


def update_table(service: Service, request: Request) -> dict[str, Any]:
    name = check_name(request)
    updates = request.get("GlobalSecondaryIndexUpdates") or []
    _check_members(request, updates)
    if not updates and all(request.get(member) is None for member in CHANGES):
        raise validation(NOTHING)
    _check_updates(updates)
    check_together(request, service.region)
    with service.catalog.changing:
        table = service.catalog.find(name)
        if table is None:
            raise table_not_found(service.catalog.name_of(name))
        before = table.schema
        after = _with_settings(service, before, request)
        _check_one_at_a_time(before, updates)
        after = _with_changed_indexes(after, updates, service.clock.now())
        for update in updates:
            if update.get("Delete") is not None:
                after = _without_index(after, update["Delete"]["IndexName"])
            elif update.get("Create") is not None:
                after = _with_index(after, update["Create"], request.get("AttributeDefinitions"))
        after = _with_definitions(after, request)
        service.catalog.change(after)
    return {"TableDescription": _answered(service, before, after, request)}


def _answered(service: Service, before: TableSchema, after: TableSchema, request: Request) -> dict[str, Any]:
    """The answer shows the change going on, capacity as it was before, on-demand limits as they were sent."""
    updates = request.get("GlobalSecondaryIndexUpdates") or []
    deleted = {update["Delete"]["IndexName"] for update in updates if update.get("Delete") is not None}
    changed = {update["Update"]["IndexName"] for update in updates if update.get("Update") is not None}
    switched = before.settings["BillingMode"] != after.settings["BillingMode"]
    old = {index.id: index.settings for index in before.indexes}
    indexes = [
        replace(i, status="UPDATING", settings=i.settings if switched else old[i.id]) if i.name in changed else i
        for i in after.indexes
    ]
    indexes += [replace(i, status="DELETING") for i in before.indexes if i.name in deleted]
    shown = dict(after.settings)
    for member in ("ProvisionedThroughput", "Decreases"):
        shown.pop(member, None)
        if member in before.settings:
            shown[member] = before.settings[member]
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
        changes = [update[kind] for kind in ("Update", "Create", "Delete") if update.get(kind) is not None]
        if len(changes) > 1:
            raise invalid("Only one global secondary index action is allowed per GlobalSecondaryIndexUpdate object")
        change = changes[0] if changes else None
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


def _with_settings(service: Service, schema: TableSchema, request: Request) -> TableSchema:
    settings = dict(schema.settings)
    throughput, billing = request.get("ProvisionedThroughput"), request.get("BillingMode")
    on_demand = settings["BillingMode"] == "PAY_PER_REQUEST"
    if throughput is not None and on_demand and billing != "PROVISIONED":
        raise invalid(ON_DEMAND_CAPACITY)
    if billing == "PROVISIONED" and throughput is None:
        raise invalid("ProvisionedThroughput must be specified when BillingMode is PROVISIONED")
    now = service.clock.now()
    change_limits(settings, request.get("OnDemandThroughput"), billing or settings["BillingMode"])
    if throughput is not None:
        change_throughput(settings, throughput, now)
    if billing == "PAY_PER_REQUEST" and not on_demand:
        switch_to_on_demand(settings, now)
    if billing == "PROVISIONED":
        settings.pop("OnDemandThroughput", None)
    if billing is not None:
        settings["BillingMode"] = billing
    _change_others(service, schema, settings, request, now)
    after = replace(schema, settings=settings)
    switched = billing is not None and billing != schema.settings["BillingMode"]
    return _with_index_modes(after, request) if switched else after


def _change_others(
    service: Service, schema: TableSchema, settings: dict[str, Any], request: Request, now: float
) -> None:
    """Settings that are neither billing nor units."""
    if request.get("TableClass") is not None:
        if settings.get("TableClass", "STANDARD") != request["TableClass"]:
            settings["TableClassUpdated"] = now
        settings["TableClass"] = request["TableClass"]
    check_warm(settings, request.get("WarmThroughput"), settings["BillingMode"], None)
    if request.get("WarmThroughput") is not None:
        settings["WarmThroughput"] = {**settings.get("WarmThroughput", {}), **request["WarmThroughput"]}
    check_encryption(request.get("SSESpecification"), settings)
    for member in ("SSESpecification", "DeletionProtectionEnabled"):
        if request.get(member) is not None:
            settings[member] = request[member]
    if request.get("StreamSpecification") is not None:
        _change_stream(service, schema, settings, request["StreamSpecification"], now)


def _with_index_modes(schema: TableSchema, request: Request) -> TableSchema:
    """After the billing mode changed: indexes have no units of the old mode, and units of the new one are given."""
    provisioned = schema.settings["BillingMode"] == "PROVISIONED"
    updates = [u["Update"] for u in request.get("GlobalSecondaryIndexUpdates") or () if u.get("Update") is not None]
    given = {update["IndexName"] for update in updates if update.get("ProvisionedThroughput") is not None}
    indexes = []
    for index in schema.indexes:
        if provisioned and index.is_global and index.name not in given:
            raise invalid(f"ProvisionedThroughput must be specified for index: {index.name}")
        gone = ("ProvisionedThroughput", "OnDemandThroughput")
        kept = {member: value for member, value in index.settings.items() if member not in gone}
        indexes.append(replace(index, settings=kept))
    return replace(schema, indexes=tuple(indexes))


def _change_stream(
    service: Service, schema: TableSchema, settings: dict[str, Any], stream: Request, now: float
) -> None:
    has_one = "StreamSpecification" in settings
    if stream.get("StreamEnabled"):
        if stream.get("StreamViewType") is None:
            raise invalid("If stream is being enabled then UpdateViewType is required")
        if has_one:
            raise validation(f"Table already has an enabled stream: TableName: {schema.name}")
        settings.update(stream_settings(service, schema.name, stream, now))
    elif stream.get("StreamViewType") is not None:
        raise invalid("If stream is being disabled, then UpdateViewType must not be specified")
    elif not has_one:
        raise validation(f"Table has no stream to disable: TableName: {schema.name}")
    else:
        del settings["StreamSpecification"]


# ---- indexes


def _check_one_at_a_time(schema: TableSchema, updates: list[Request]) -> None:
    """One index is made or removed at a time; the one that is being made may be removed."""
    changes = [update for update in updates if update.get("Update") is None]
    if len(changes) > 1:
        raise ApiError("LimitExceededException", ONE_AT_A_TIME)
    for change in changes:
        deleted = change["Delete"]["IndexName"] if change.get("Delete") is not None else None
        if any(index.backfilling and index.name != deleted for index in schema.indexes):
            raise ApiError("LimitExceededException", ONE_AT_A_TIME)


def _global(schema: TableSchema, name: str, doing: str) -> Index:
    """The global index of that name; ApiError where there is none."""
    index = schema.index(name)
    if index is None:
        raise ApiError(
            "ResourceNotFoundException", f"Requested resource not found: Index {name} for table {schema.name}"
        )
    if not index.is_global:
        raise validation(f"Cannot {doing} an index that is not a GlobalSecondaryIndex: {name}")
    return index


def _without_index(schema: TableSchema, name: str) -> TableSchema:
    gone = _global(schema, name, "delete")
    return replace(schema, indexes=tuple(index for index in schema.indexes if index is not gone))


def _with_index(schema: TableSchema, create: Request, given: list[Request] | None) -> TableSchema:
    name = create["IndexName"]
    if schema.index(name) is not None:
        raise validation("Attempting to create an index which already exists")
    if given is None:
        raise invalid(f"AttributeDefinitions is not specified for index: {name}")
    definitions.check_index_definitions([create], definitions.attribute_types(given))
    definitions.check_global_index(create)
    _check_new_capacity(schema, create)
    check_first_limits(create.get("OnDemandThroughput"), schema.settings["BillingMode"], name)
    check_first_warm(create, schema.settings["BillingMode"], name)
    if sum(index.is_global for index in schema.indexes) >= GLOBAL_INDEXES:
        raise ApiError("LimitExceededException", TOO_MANY)
    number = int(schema.settings.get("LastIndexId", max((index.id for index in schema.indexes), default=0))) + 1
    made = replace(global_index(number, create), status="CREATING", backfilling=True)
    definitions.check_projected_count([*(index.included for index in schema.indexes), made.included])
    return replace(schema, indexes=(*schema.indexes, made), settings={**schema.settings, "LastIndexId": number})


def _check_new_capacity(schema: TableSchema, create: Request) -> None:
    provisioned, given = schema.settings["BillingMode"] == "PROVISIONED", create.get("ProvisionedThroughput")
    if provisioned and given is None:
        raise invalid(
            f"Both ReadCapacityUnits and WriteCapacityUnits must be specified for index: {create['IndexName']}"
        )
    if given is not None and not provisioned:
        raise invalid(
            f"Neither ReadCapacityUnits nor WriteCapacityUnits can be specified for index: {create['IndexName']} when "
            "BillingMode is PAY_PER_REQUEST"
        )


def _with_changed_indexes(schema: TableSchema, updates: list[Request], now: float) -> TableSchema:
    changes = [(_global(schema, u["Update"]["IndexName"], "update"), u["Update"]) for u in updates if u.get("Update")]
    changed = {old.id: _changed_index(schema, old, change, now) for old, change in changes}
    return replace(schema, indexes=tuple(changed.get(index.id, index) for index in schema.indexes))


def _changed_index(schema: TableSchema, old: Index, change: Request, now: float) -> Index:
    settings = dict(old.settings)
    if change.get("ProvisionedThroughput") is not None:
        if schema.settings["BillingMode"] == "PAY_PER_REQUEST":
            raise invalid(
                f"The only Updates for index: {old.name} when TableThroughputMode is PAY_PER_REQUEST can be to "
                "OnDemandThroughput, WarmThroughput"
            )
        change_throughput(settings, change["ProvisionedThroughput"], now, old.name)
    check_warm(settings, change.get("WarmThroughput"), schema.settings["BillingMode"], old.name)
    change_limits(settings, change.get("OnDemandThroughput"), schema.settings["BillingMode"], old.name)
    if change.get("WarmThroughput") is not None:
        settings["WarmThroughput"] = {**settings.get("WarmThroughput", {}), **change["WarmThroughput"]}
    return replace(old, settings=settings)


def _with_definitions(schema: TableSchema, request: Request) -> TableSchema:
    """Definitions are merged by name, the stored type stays, and what no key uses goes."""
    types = dict(schema.types)
    for definition in request.get("AttributeDefinitions") or ():
        types.setdefault(definition["AttributeName"], definition["AttributeType"])
    used = {name for keys in (schema.keys, *(i.keys for i in schema.indexes)) for name in keys.names}
    return replace(schema, types={name: kind for name, kind in types.items() if name in used})
