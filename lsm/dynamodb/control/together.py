"""Which changes one UpdateTable may make together. Rules 8.3; texts as the service gives them. No state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lsm.dynamodb.control.definitions import invalid
from lsm.dynamodb.errors import validation

__all__ = ["CHANGES", "check_together"]

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
"""Members that change something, besides GlobalSecondaryIndexUpdates."""

ALONE = (
    ("SSESpecification", "Server-Side Encryption modification"),
    ("TableClass", "TableClass modification"),
    ("DeletionProtectionEnabled", "DeletionProtection modification"),
    ("ReplicaUpdates", "Replica modification"),
)
"""Members that go with no other, in the order in which the service names them."""


def check_together(request: Mapping[str, Any], region: str) -> None:
    """ApiError for what may not stand in one request."""
    updates = request.get("GlobalSecondaryIndexUpdates")
    given = {member for member in CHANGES if request.get(member) is not None}
    if given and updates == []:
        raise invalid("List of GlobalSecondaryIndexUpdates is empty")
    count = len(given) + bool(updates)
    for member, what in ALONE:
        if member in given and count > 1:
            raise invalid(f"{what} must be the only operation in the request")
    _check_replicas(request.get("ReplicaUpdates"), region)
    _check_throughput(given, count, updates or ())
    _check_stream_and_indexes(request, given, updates or ())


def _check_replicas(updates: Sequence[Mapping[str, Mapping[str, Any]]] | None, region: str) -> None:
    """Tables have no replicas here."""
    for update in updates or ():
        for action in update.values():
            raise validation(
                f"Region {action.get('RegionName')} is not supported. The latest version of global tables are only "
                f"supported in the following regions: [{region}]"
            )


def _check_throughput(given: set[str], count: int, updates: Sequence[Mapping[str, Any]]) -> None:
    if "OnDemandThroughput" in given and given & {"StreamSpecification", "WarmThroughput"}:
        raise invalid("OnDemandThroughput can only be combined with BillingMode in an UpdateTable request")
    if "WarmThroughput" in given and count > 1:
        if any(update.get("Create") is not None for update in updates):
            raise invalid("Create global secondary index cannot be specified when updating WarmThroughput")
        raise invalid("WarmThroughput must be the only operation in the request")


def _check_stream_and_indexes(
    request: Mapping[str, Any], given: set[str], updates: Sequence[Mapping[str, Any]]
) -> None:
    units = "ProvisionedThroughput" in given or request.get("BillingMode") == "PROVISIONED"
    stream = "StreamSpecification" in given
    if stream and units:
        raise invalid("You cannot modify stream status while updating table IOPS")
    if all(update.get("Update") is not None for update in updates):
        return
    if units:
        raise invalid("You cannot create or delete index while updating table IOPS")
    if stream:
        raise invalid("You cannot create or delete index while changing stream status")
