"""DescribeTable, DeleteTable, ListTables. Rules 8.1, 8.3, 8.4."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lsm.dynamodb.control.describe import described
from lsm.dynamodb.control.members import check_name, raise_at_most_ten
from lsm.dynamodb.errors import resource_in_use, table_not_found, validation
from lsm.dynamodb.requests.common import table_name_faults
from lsm.dynamodb.tables import OpenTable

if TYPE_CHECKING:
    from lsm.dynamodb.service import Service

__all__ = ["delete_table", "describe_table", "existing", "list_tables"]

PAGE = 100
PROTECTED = (
    "Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first."
)
BUSY = (
    "Attempt to change a resource which is still in use: "
    "Cannot delete table while indexes are being created, updated, or deleted."
)
Request = Mapping[str, Any]


def existing(service: Service, name: str) -> OpenTable:
    """The table, in the control plane's words where there is none."""
    table = service.catalog.find(name)
    if table is None:
        raise table_not_found(service.catalog.name_of(name))
    return table


def describe_table(service: Service, request: Request) -> dict[str, Any]:
    table = existing(service, check_name(request))
    return {"Table": described(service, table.schema)}


def delete_table(service: Service, request: Request) -> dict[str, Any]:
    name = check_name(request)
    with service.catalog.changing:
        table = existing(service, name)
        if table.schema.settings.get("DeletionProtectionEnabled"):
            raise validation(PROTECTED)
        if any(index.status != "ACTIVE" for index in table.schema.indexes):
            raise resource_in_use(BUSY)
        shown = described(service, replace(table.schema, status="DELETING"))
        service.catalog.drop(table.name)
    kept = (
        "TableName",
        "TableStatus",
        "ProvisionedThroughput",
        "TableSizeBytes",
        "ItemCount",
        "TableArn",
        "TableId",
        "BillingModeSummary",
        "DeletionProtectionEnabled",
        "CreationDateTime",
        "KeySchema",
        "AttributeDefinitions",
    )
    return {"TableDescription": {member: shown[member] for member in kept if member in shown}}


def list_tables(service: Service, request: Request) -> dict[str, Any]:
    start, limit = request.get("ExclusiveStartTableName"), request.get("Limit")
    faults = []
    if start is not None:
        named = table_name_faults(start, "exclusiveStartTableName", all_of_them=True)
        faults += sorted(named, key=lambda fault: "pattern" not in fault)
    if limit is not None and not 1 <= limit <= PAGE:
        bound = "greater than or equal to 1" if limit < 1 else f"less than or equal to {PAGE}"
        faults.append(f"Value '{limit}' at 'limit' failed to satisfy constraint: Member must have value {bound}")
    raise_at_most_ten(faults)
    names = service.catalog.names()
    first = 0 if start is None else bisect_right(names, service.catalog.name_of(start))
    page = names[first : first + (limit or PAGE)]
    answer: dict[str, Any] = {"TableNames": page}
    if first + len(page) < len(names):
        answer["LastEvaluatedTableName"] = page[-1]
    return answer
