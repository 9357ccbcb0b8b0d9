"""OnDemandThroughput of a table or a global index: how it may be given and changed. Rules 8.1, 8.3. No state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lsm.dynamodb.control.definitions import invalid
from lsm.dynamodb.errors import ApiError

__all__ = ["change_limits", "check_first_limits"]

LIMITS = ("MaxReadRequestUnits", "MaxWriteRequestUnits")
Given = Mapping[str, Any]
UNLIMITED = -1


def check_first_limits(given: Given | None, billing: str, index: str | None = None) -> dict[str, int]:
    """Of a table or an index that is being made; what is to be kept of them."""
    limits = _given(given)
    whose = "" if index is None else f" for index: {index}"
    for member in limits:
        if billing == "PROVISIONED":
            raise invalid(
                f"{member} for OnDemandThroughput{whose} cannot be specified when table BillingMode is PROVISIONED."
            )
    _check_range(limits, 1, index)
    return limits


def change_limits(settings: dict[str, Any], change: Given | None, billing: str, index: str | None = None) -> None:
    """Member by member; -1 removes one."""
    if change is None:
        return
    limits = _given(change)
    if not limits:
        raise ApiError("InternalFailure", None, 500)
    whose = "" if index is None else f" for index : {index}"
    for member in limits:
        if billing == "PROVISIONED":
            raise invalid(
                f"{member} for OnDemandThroughput{whose} cannot be specified when the table BillingMode is PROVISIONED"
            )
    _check_range(limits, UNLIMITED, index)
    merged = {**settings.pop("OnDemandThroughput", {}), **limits}
    kept = {member: value for member, value in merged.items() if value != UNLIMITED}
    if kept:
        settings["OnDemandThroughput"] = kept


def _given(limits: Given | None) -> dict[str, int]:
    return {member: limits[member] for member in LIMITS if limits and limits.get(member) is not None}


def _check_range(limits: Mapping[str, int], least: int, index: str | None) -> None:
    whose = "table" if index is None else f"index : {index}"
    for member, value in limits.items():
        if value < least or value == 0:
            raise invalid(f"Requested {member} for OnDemandThroughput for {whose} is outside of valid range")
