"""Answers as botocore gives them: times as datetimes, and ResponseMetadata. No state."""

from __future__ import annotations

import datetime
import uuid
from typing import Any

from lsm.dynamodb.model_data import OPERATIONS, SHAPES

__all__ = ["metadata", "with_times"]


def metadata(status: int = 200) -> dict[str, Any]:
    """Of one answer."""
    return {
        "RequestId": uuid.uuid4().hex.upper(),
        "HTTPStatusCode": status,
        "HTTPHeaders": {},
        "RetryAttempts": 0,
    }


def with_times(operation: str, answer: dict[str, Any]) -> dict[str, Any]:
    """The answer of a control operation, seconds since 1970 replaced by aware datetimes."""
    output = OPERATIONS[operation]["output"]
    if output is None:
        # TagResource and UntagResource answer nothing
        return dict(answer)
    converted: dict[str, Any] = _converted(output, answer)
    return converted


def _converted(name: str, value: Any) -> Any:
    shape = SHAPES[name]
    kind = shape["type"]
    if kind == "timestamp":
        return datetime.datetime.fromtimestamp(value, datetime.UTC).astimezone()
    if kind == "structure":
        return {member: _converted(shape["members"][member], held) for member, held in value.items()}
    if kind == "list":
        return [_converted(shape["member"], element) for element in value]
    return value
