"""Answers as botocore gives them: times as datetimes, and ResponseMetadata. No state."""

from __future__ import annotations

import datetime
import os
from random import Random
from typing import Any

from lsm.dynamodb.model_data import OPERATIONS, SHAPES

__all__ = ["metadata", "with_times"]


# of its own: who seeds the program's generator, or counts on what it gives, does not meet this one
_identifiers = Random()
_bits = _identifiers.getrandbits
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_identifiers.seed)


def metadata(status: int = 200) -> dict[str, Any]:
    """Of one answer."""
    return {
        "RequestId": f"{_bits(128):032X}",
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
