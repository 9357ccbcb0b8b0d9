"""Names and values that a request defines and no expression uses. Rules 3.4. No state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lsm.dynamodb.errors import ApiError, validation

__all__ = ["unused_names", "unused_values"]


def unused_names(names: Mapping[str, str] | None, used: Iterable[Iterable[str]]) -> ApiError | None:
    """The fault, where ExpressionAttributeNames holds more than the expressions use."""
    return _unused("Names", names, used)


def unused_values(values: Mapping[str, Any] | None, used: Iterable[Iterable[str]]) -> ApiError | None:
    """The fault, where ExpressionAttributeValues holds more than the expressions use."""
    return _unused("Values", values, used)


def _unused(what: str, given: Mapping[str, Any] | None, used: Iterable[Iterable[str]]) -> ApiError | None:
    if not given:
        return None
    known = {name for names in used for name in names}
    left = [name for name in given if name not in known]
    if not left:
        return None
    return validation(f"Value provided in ExpressionAttribute{what} unused in expressions: keys: {{{', '.join(left)}}}")
