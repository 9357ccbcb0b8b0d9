"""DescribeLimits and DescribeEndpoints. Rules 12.4."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lsm.dynamodb.service import Service

__all__ = ["describe_endpoints", "describe_limits"]


def describe_limits(service: Service, request: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults of an account."""
    return {
        "AccountMaxReadCapacityUnits": 80000,
        "AccountMaxWriteCapacityUnits": 80000,
        "TableMaxReadCapacityUnits": 40000,
        "TableMaxWriteCapacityUnits": 40000,
    }


def describe_endpoints(service: Service, request: Mapping[str, Any]) -> dict[str, Any]:
    return {"Endpoints": [{"Address": f"dynamodb.{service.region}.amazonaws.com", "CachePeriodInMinutes": 1440}]}
