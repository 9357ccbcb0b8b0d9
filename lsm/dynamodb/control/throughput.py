"""Capacity of a table or a global index as UpdateTable changes it, and how often it may. Rules 8.1, 8.3.

Guarantees: settings that are passed in are changed only where nothing is wrong. Times in seconds since 1970. No state.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from lsm.dynamodb.control.definitions import invalid
from lsm.dynamodb.errors import ApiError, validation
from lsm.dynamodb.limits import FREE_DECREASES, SECONDS_BETWEEN_DECREASES, SWITCHES_TO_ON_DEMAND

__all__ = [
    "change_throughput",
    "check_first_warm",
    "check_warm",
    "decreases_today",
    "switch_to_on_demand",
    "warm_throughput",
]

DAY = 86400
MEMBERS = ("ReadCapacityUnits", "WriteCapacityUnits")
WARM = {"ReadUnitsPerSecond": ("ReadCapacityUnits", 12000), "WriteUnitsPerSecond": ("WriteCapacityUnits", 4000)}
"""Members of WarmThroughput, with what they are at least: the provisioned units, or a figure on demand."""

ON_DEMAND_PAGE = (
    "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/on-demand-capacity-mode.html"
    "#on-demand-capacity-mode-initial"
)
# as the service writes them, whatever the locale
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
Settings = dict[str, Any]


def change_throughput(settings: Settings, new: Mapping[str, Any], now: float, index: str | None = None) -> None:
    """Puts new units into the settings of a table, or of the index of that name; ApiError where they are the old ones,
    or where there were too many decreases."""
    old = settings.get("ProvisionedThroughput")
    if old is not None:
        if all(old[member] == new[member] for member in MEMBERS):
            raise _unchanged(new, index)
        if any(new[member] < old[member] for member in MEMBERS):
            _count_decrease(settings, now)
        if any(new[member] > old[member] for member in MEMBERS):
            settings["LastIncreaseDateTime"] = now
    settings["ProvisionedThroughput"] = {member: new[member] for member in MEMBERS}


def _unchanged(new: Mapping[str, Any], index: str | None) -> ApiError:
    read, write = (new[member] for member in MEMBERS)
    opening, whose = ("the table", "the table") if index is None else (f"the index {index}", f"index {index}")
    return validation(
        f"The provisioned throughput for {opening} will not change. The requested value equals the current value. "
        f"Current ReadCapacityUnits provisioned for {whose}: {read}. Requested ReadCapacityUnits: {read}. "
        f"Current WriteCapacityUnits provisioned for {whose}: {write}. Requested WriteCapacityUnits: {write}. "
        "Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits."
    )


def decreases_today(settings: Mapping[str, Any], now: float) -> int:
    """Of a UTC day."""
    day, count = settings.get("Decreases", (0, 0))
    return int(count) if day == int(now // DAY) else 0


def _count_decrease(settings: Settings, now: float) -> None:
    """Both units in one call count once; a few at once, then one for each hour without."""
    count = decreases_today(settings, now)
    last = settings.get("LastDecreaseDateTime", 0.0)
    if count >= FREE_DECREASES and now < last + SECONDS_BETWEEN_DECREASES:
        following = min(last + SECONDS_BETWEEN_DECREASES, (now // DAY + 1) * DAY)
        raise _limit_exceeded(
            "Provisioned throughput decreases are limited within a given UTC day. "
            f"After the first {FREE_DECREASES} decreases, each subsequent decrease in the same UTC day can be "
            f"performed at most once every {SECONDS_BETWEEN_DECREASES} seconds. Number of decreases today: {count}. "
            f"Last decrease at {_spoken(last)}. Next decrease can be made at {_spoken(following)}."
        )
    settings["Decreases"] = [int(now // DAY), count + 1]
    settings["LastDecreaseDateTime"] = now


def switch_to_on_demand(settings: Settings, now: float) -> None:
    """Of a table with provisioned units; ApiError where it was switched too often within a day."""
    switches = [moment for moment in settings.get("SwitchesToOnDemand", ()) if moment > now - DAY]
    if len(switches) >= SWITCHES_TO_ON_DEMAND:
        raise _limit_exceeded(
            f"Update to PayPerRequest mode are limited to {SWITCHES_TO_ON_DEMAND} times in 1 day(s). "
            f"Last update at {_written(switches[-1])}. Next update can be made at {_written(switches[0] + DAY)}"
        )
    settings["SwitchesToOnDemand"] = [*switches, now]
    settings["LastUpdateToPayPerRequestDateTime"] = now
    settings.pop("ProvisionedThroughput", None)


def _limit_exceeded(text: str) -> ApiError:
    return ApiError("LimitExceededException", f"Subscriber limit exceeded: {text}")


def _spoken(moment: float) -> str:
    """Thursday, October 8, 2026 at 11:20:48 PM Coordinated Universal Time"""
    when = datetime.datetime.fromtimestamp(moment, datetime.UTC)
    half = "AM" if when.hour < 12 else "PM"
    return (
        f"{WEEKDAYS[when.weekday()]}, {MONTHS[when.month - 1]} {when.day}, {when.year} at "
        f"{when.hour % 12 or 12}:{when:%M:%S} {half} Coordinated Universal Time"
    )


def _written(moment: float) -> str:
    """Sat Feb 23 03:07:45 UTC 2019"""
    when = datetime.datetime.fromtimestamp(moment, datetime.UTC)
    return f"{WEEKDAYS[when.weekday()][:3]} {MONTHS[when.month - 1][:3]} {when:%d %H:%M:%S} UTC {when.year}"


# ---- warm throughput


def warm_throughput(settings: Mapping[str, Any], billing: str) -> dict[str, int]:
    """Of a table or an index by its settings."""
    given, units = settings.get("WarmThroughput") or {}, settings.get("ProvisionedThroughput") or {}
    return {
        member: max(given.get(member) or 0, initial if billing == "PAY_PER_REQUEST" else units.get(unit, 0))
        for member, (unit, initial) in WARM.items()
    }


def check_first_warm(given: Mapping[str, Any], billing: str, index: str | None = None) -> None:
    """WarmThroughput of a table or an index that is being made, among its other settings: not below what it has."""
    least = warm_throughput({**given, "WarmThroughput": None}, billing)
    for member, (unit, _) in WARM.items():
        wanted = (given.get("WarmThroughput") or {}).get(member)
        if wanted is not None and wanted < least[member]:
            than = f"initial throughput for OnDemand. See: {ON_DEMAND_PAGE}"
            if billing == "PROVISIONED":
                than = f"{unit} of ProvisionedThroughput"
            raise invalid(f"Requested {member} for WarmThroughput for {_whose(index)} is lower than {than}")


def check_warm(settings: Mapping[str, Any], change: Mapping[str, Any] | None, billing: str, index: str | None) -> None:
    """A change of it, which only increases."""
    current = warm_throughput(settings, billing)
    for member in WARM:
        wanted = (change or {}).get(member)
        if wanted is not None and wanted < current[member]:
            raise invalid(
                f"Requested {member} for WarmThroughput for {_whose(index)} is lower than current WarmThroughput, "
                "decreasing WarmThroughput is not supported"
            )


def _whose(index: str | None) -> str:
    return "table" if index is None else f"index {index}"
