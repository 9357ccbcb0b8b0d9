"""CreateTable. Order of checks and texts: rules 8.1."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lsm.dynamodb.control import definitions
from lsm.dynamodb.control.definitions import invalid
from lsm.dynamodb.control.describe import described
from lsm.dynamodb.control.encryption import check_encryption
from lsm.dynamodb.control.members import constraint_faults, key_schema_faults, raise_at_most_ten, required_name
from lsm.dynamodb.control.on_demand import check_first_limits
from lsm.dynamodb.control.tags import check_tags
from lsm.dynamodb.control.throughput import check_first_warm
from lsm.dynamodb.errors import resource_in_use, validation
from lsm.dynamodb.requests.common import raise_members, table_name_faults
from lsm.dynamodb.schema import Index, TableSchema

if TYPE_CHECKING:
    from lsm.dynamodb.service import Service

__all__ = ["capacity_bounds", "create_table", "global_index", "settings_faults", "stream_settings", "throughput_faults"]

MOST_UNITS = 10**12
NO_CAPACITY = "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED"
ON_DEMAND_CAPACITY = (
    "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST"
)
Request = Mapping[str, Any]


def create_table(service: Service, request: Request) -> dict[str, Any]:
    required_name(request)
    faults = table_name_faults(request["TableName"], all_of_them=True)
    raise_members(sorted(faults, key=lambda fault: "pattern" not in fault))
    raise_at_most_ten(_member_faults(request))
    _check_capacity(request)
    types = definitions.attribute_types(request["AttributeDefinitions"])
    definitions.check_table_keys(request["KeySchema"], types)
    keys = definitions.key_schema(request["KeySchema"])
    local = request.get("LocalSecondaryIndexes")
    global_ = request.get("GlobalSecondaryIndexes")
    for member, listed in (("LocalSecondaryIndexes", local), ("GlobalSecondaryIndexes", global_)):
        if listed is not None and not listed:
            raise invalid(f"List of {member} is empty")
    if local:
        definitions.check_local_indexes(local, keys, types)
    if global_:
        definitions.check_global_indexes(global_, types)
        _check_index_capacity(request, global_)
    indexes = [
        *(_index(number, one, is_global=False) for number, one in enumerate(local or (), 1)),
        *(global_index(number, one) for number, one in enumerate(global_ or (), len(local or ()) + 1)),
    ]
    _check_names(indexes)
    definitions.check_projected_count(index.included for index in indexes)
    definitions.check_unused(keys, [index.keys for index in indexes], types)
    settings = _settings(service, request)
    with service.catalog.changing:
        name = service.catalog.name_of(request["TableName"])
        if service.catalog.find(name) is not None:
            raise resource_in_use(f"Table already exists: {name}")
        now = service.clock.now()
        schema = TableSchema(
            name, service.clock.unique(), keys, types, tuple(indexes), created=now, settings=settings(now)
        )
        service.catalog.create(schema)
    creating = replace(
        schema, status="CREATING", indexes=tuple(replace(one, status="CREATING") for one in schema.indexes)
    )
    return {"TableDescription": described(service, creating)}


# ---- members


def _member_faults(request: Request) -> list[str]:
    faults = constraint_faults("BillingMode", request.get("BillingMode"), "billingMode")
    faults += throughput_faults(request.get("ProvisionedThroughput"), "provisionedThroughput")
    faults += key_schema_faults(request.get("KeySchema"), "keySchema", 2)
    faults += constraint_faults(
        "AttributeDefinitions", request.get("AttributeDefinitions"), "attributeDefinitions", True
    )
    for number, index in enumerate(request.get("GlobalSecondaryIndexes") or (), 1):
        faults += index_faults(index, f"globalSecondaryIndexes.{number}.member", 8)
        faults += throughput_faults(
            index.get("ProvisionedThroughput"), f"globalSecondaryIndexes.{number}.member.provisionedThroughput"
        )
    for number, index in enumerate(request.get("LocalSecondaryIndexes") or (), 1):
        path = f"localSecondaryIndexes.{number}.member"
        faults += constraint_faults("IndexName", index.get("IndexName"), f"{path}.indexName", True)
        faults += key_schema_faults(index.get("KeySchema"), f"{path}.keySchema", 2)
        faults += constraint_faults("Projection", index.get("Projection"), f"{path}.projection", True)
    return faults


def index_faults(index: Request, path: str, most: int) -> list[str]:
    """Of a global index: key schema, projection, name."""
    return [
        *key_schema_faults(index.get("KeySchema"), f"{path}.keySchema", most),
        *constraint_faults("Projection", index.get("Projection"), f"{path}.projection", True),
        *constraint_faults("IndexName", index.get("IndexName"), f"{path}.indexName", True),
    ]


def throughput_faults(throughput: Request | None, path: str) -> list[str]:
    """Write units before read units."""
    if throughput is None:
        return []
    return [
        fault
        for member in ("WriteCapacityUnits", "ReadCapacityUnits")
        for fault in constraint_faults(
            "PositiveLongObject", throughput.get(member), f"{path}.{member[0].lower()}{member[1:]}", True
        )
    ]


def settings_faults(request: Request) -> list[str]:
    """Of settings that are neither capacity nor indexes."""
    return [
        fault
        for member in ("StreamSpecification", "SSESpecification", "WarmThroughput")
        for fault in constraint_faults(member, request.get(member), f"{member[0].lower()}{member[1:]}")
    ]


# ---- capacity and settings


def capacity_bounds(throughput: Request | None) -> None:
    for member in ("ReadCapacityUnits", "WriteCapacityUnits"):
        value = (throughput or {}).get(member)
        if value is not None and value > MOST_UNITS:
            raise validation(f"Given value {value} for {member} is out of bounds")


def _check_capacity(request: Request) -> None:
    throughput = request.get("ProvisionedThroughput")
    on_demand = request.get("BillingMode") == "PAY_PER_REQUEST"
    if on_demand and throughput is not None:
        raise invalid(ON_DEMAND_CAPACITY)
    capacity_bounds(throughput)
    if not on_demand and throughput is None:
        raise invalid(NO_CAPACITY)


def _check_index_capacity(request: Request, indexes: list[Request]) -> None:
    on_demand = request.get("BillingMode") == "PAY_PER_REQUEST"
    for index in indexes:
        throughput = index.get("ProvisionedThroughput")
        if on_demand and throughput is not None:
            raise invalid(
                f"ProvisionedThroughput should not be specified for index: {index['IndexName']} when BillingMode is "
                "PAY_PER_REQUEST"
            )
        if not on_demand and throughput is None:
            raise invalid(f"ProvisionedThroughput is not specified for index: {index['IndexName']}")
        check_first_limits(
            index.get("OnDemandThroughput"), request.get("BillingMode") or "PROVISIONED", index["IndexName"]
        )
        check_first_warm(index, request.get("BillingMode") or "PROVISIONED", index["IndexName"])


def _check_names(indexes: list[Index]) -> None:
    seen: set[str] = set()
    for index in indexes:
        if index.name in seen:
            raise invalid(f"Duplicate index name: {index.name}")
        seen.add(index.name)


def _index(number: int, index: Request, *, is_global: bool) -> Index:
    projection = index["Projection"]
    return Index(
        index["IndexName"],
        number,
        definitions.key_schema(index["KeySchema"]),
        is_global,
        projection["ProjectionType"],
        tuple(projection.get("NonKeyAttributes") or ()),
    )


def global_index(number: int, index: Request) -> Index:
    """Of a GlobalSecondaryIndex as a request has it; `number` is its id."""
    settings = {
        member: index[member]
        for member in ("ProvisionedThroughput", "OnDemandThroughput", "WarmThroughput")
        if index.get(member) is not None
    }
    return replace(_index(number, index, is_global=True), settings=settings)


def _settings(service: Service, request: Request) -> Any:
    """Checks the members that are described as they are given; what makes the settings of the time of creation."""
    raise_at_most_ten(settings_faults(request))
    stream = request.get("StreamSpecification")
    if stream is not None:
        _check_stream(stream)
    raise_members(constraint_faults("TableClass", request.get("TableClass"), "tableClass"))
    billing = request.get("BillingMode") or "PROVISIONED"
    limits = check_first_limits(request.get("OnDemandThroughput"), billing)
    check_encryption(request.get("SSESpecification"))
    check_first_warm(request, billing)
    check_tags(request.get("Tags") or ())

    def made(now: float) -> dict[str, Any]:
        settings: dict[str, Any] = {"BillingMode": billing}
        if billing == "PAY_PER_REQUEST":
            settings["LastUpdateToPayPerRequestDateTime"] = now
        for member in ("ProvisionedThroughput", "SSESpecification", "TableClass", "WarmThroughput"):
            if request.get(member) is not None:
                settings[member] = request[member]
        if limits:
            settings["OnDemandThroughput"] = limits
        if request.get("DeletionProtectionEnabled"):
            settings["DeletionProtectionEnabled"] = True
        if stream is not None and stream.get("StreamEnabled"):
            settings.update(stream_settings(service, request["TableName"], stream, now))
        if request.get("Tags"):
            settings["Tags"] = {tag["Key"]: tag["Value"] for tag in request["Tags"]}
        return settings

    return made


def _check_stream(stream: Request) -> None:
    if not stream.get("StreamEnabled") and stream.get("StreamViewType") is not None:
        raise invalid("Table is being created with a stream disabled, UpdateViewType should not be specified")
    if stream.get("StreamEnabled") and stream.get("StreamViewType") is None:
        raise invalid("Table is being created with a stream enabled, UpdateViewType is required")


def stream_settings(service: Service, name: str, stream: Request, now: float) -> dict[str, Any]:
    """What a table with a stream reports of it."""
    moment = datetime.datetime.fromtimestamp(now, datetime.UTC)
    label = moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}"
    table = service.catalog.arn(service.catalog.name_of(name))
    return {
        "StreamSpecification": {"StreamEnabled": True, "StreamViewType": stream["StreamViewType"]},
        "LatestStreamLabel": label,
        "LatestStreamArn": f"{table}/stream/{label}",
    }
