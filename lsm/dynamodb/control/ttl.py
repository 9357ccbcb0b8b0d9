"""UpdateTimeToLive and DescribeTimeToLive: accepted and described; nothing expires yet. Rules 8.5."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lsm.dynamodb.control.members import check_name, constraint_faults
from lsm.dynamodb.control.tables import existing
from lsm.dynamodb.errors import validation
from lsm.dynamodb.requests.common import null_fault, raise_members

if TYPE_CHECKING:
    from lsm.dynamodb.service import Service

__all__ = ["describe_time_to_live", "update_time_to_live"]

Request = Mapping[str, Any]
INTERVAL = 3600.0
"""Seconds in which one change is taken."""


def update_time_to_live(service: Service, request: Request) -> dict[str, Any]:
    specification = request.get("TimeToLiveSpecification")
    if specification is None:
        raise_members([null_fault("timeToLiveSpecification")])
    assert specification is not None
    path = "timeToLiveSpecification"
    faults = constraint_faults(
        "TimeToLiveAttributeName", specification.get("AttributeName"), f"{path}.attributeName", True
    )
    if specification.get("Enabled") is None:
        faults.append(null_fault(f"{path}.enabled"))
    raise_members(faults)
    name = check_name(request)
    with service.catalog.changing:
        schema = existing(service, name).schema
        current = schema.settings.get("TimeToLive")
        wanted = specification["AttributeName"]
        if specification["Enabled"]:
            if current is not None and current != wanted:
                raise validation(
                    f"TimeToLive is active on a different AttributeName: current AttributeName is {current}"
                )
            if current is not None:
                raise validation("TimeToLive is already enabled")
            settings = {**schema.settings, "TimeToLive": wanted}
        else:
            if current is None:
                raise validation("TimeToLive is already disabled")
            if current != wanted:
                raise validation(
                    f"TimeToLive is active on a different AttributeName: current AttributeName is {current}"
                )
            settings = {key: value for key, value in schema.settings.items() if key != "TimeToLive"}
        now = service.clock.now()
        if now < schema.settings.get("TimeToLiveChanged", now - INTERVAL) + INTERVAL:
            raise validation("Time to live has been modified multiple times within a fixed interval")
        settings["TimeToLiveChanged"] = now
        service.catalog.change(replace(schema, settings=settings))
    return {"TimeToLiveSpecification": {"Enabled": specification["Enabled"], "AttributeName": wanted}}


def describe_time_to_live(service: Service, request: Request) -> dict[str, Any]:
    attribute = existing(service, check_name(request)).schema.settings.get("TimeToLive")
    if attribute is None:
        return {"TimeToLiveDescription": {"TimeToLiveStatus": "DISABLED"}}
    return {"TimeToLiveDescription": {"TimeToLiveStatus": "ENABLED", "AttributeName": attribute}}
