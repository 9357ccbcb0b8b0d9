"""The control plane: operations on tables, their tags and settings. Each function takes the Service and the request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lsm.dynamodb.control.account import describe_endpoints, describe_limits
from lsm.dynamodb.control.create_table import create_table
from lsm.dynamodb.control.tables import delete_table, describe_table, list_tables
from lsm.dynamodb.control.tags import list_tags_of_resource, tag_resource, untag_resource
from lsm.dynamodb.control.ttl import describe_time_to_live, update_time_to_live
from lsm.dynamodb.control.update_table import update_table

__all__ = ["CONTROL"]

CONTROL: dict[str, Callable[[Any, dict[str, Any]], dict[str, Any]]] = {
    "CreateTable": create_table,
    "DeleteTable": delete_table,
    "DescribeEndpoints": describe_endpoints,
    "DescribeLimits": describe_limits,
    "DescribeTable": describe_table,
    "DescribeTimeToLive": describe_time_to_live,
    "ListTables": list_tables,
    "ListTagsOfResource": list_tags_of_resource,
    "TagResource": tag_resource,
    "UntagResource": untag_resource,
    "UpdateTable": update_table,
    "UpdateTimeToLive": update_time_to_live,
}
"""Operation name to what carries it out."""
