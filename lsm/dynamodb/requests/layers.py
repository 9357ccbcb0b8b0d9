"""What hands a whole request from the newer validation layer to the older one. Rules 0.3, 7.1. No state, any thread.

Asked only where a fault was found already: a request without fault is the same in both layers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lsm.dynamodb.values import VERY_DEEP, Fault, depth_of

__all__ = ["Enveloped", "HandedOver", "handed_over", "null_is_false", "very_deep"]

HOLDERS = ("Item", "Key", "ExclusiveStartKey", "ExpressionAttributeValues")
LEGACY = ("Expected", "AttributeUpdates", "KeyConditions", "QueryFilter", "ScanFilter")


class HandedOver(dict[str, Any]):
    """A request whose JSON wrote a boolean as a string, or an integer that was cut to 32 bits or to a whole number."""


def handed_over(request: Mapping[str, Any]) -> bool:
    """Whether the older layer reads the request: for how it was written, or for a value with several members."""
    return isinstance(request, HandedOver) or any(len(value) > 1 for value in _nested(request))


def very_deep(request: Mapping[str, Any]) -> bool:
    """Whether a value of the request is nested so deep that ReturnValues is reported in the older words."""
    return any(depth_of(value) >= VERY_DEEP for value in _values(request))


def null_is_false(request: Mapping[str, Any]) -> bool:
    """Whether a value of the request is a NULL that is false, and nothing else."""
    return any(value == {"NULL": False} for value in _nested(request))


class Enveloped:
    """Kinds of faults that stand in the envelope in one request: none where it was handed over."""

    def __init__(self, kinds: frozenset[Fault], request: Mapping[str, Any]) -> None:
        self._kinds = kinds
        self._request = request

    def __contains__(self, kind: object) -> bool:
        return kind in self._kinds and not handed_over(self._request)


def _values(request: Mapping[str, Any]) -> Iterator[Any]:
    """Every typed value of the request, without those inside them."""
    for member in HOLDERS:
        yield from (request.get(member) or {}).values()
    for member in LEGACY:
        for entry in (request.get(member) or {}).values():
            if entry.get("Value") is not None:
                yield entry["Value"]
            yield from entry.get("AttributeValueList") or ()


def _nested(request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every typed value of the request, those inside others too; what is no typed value is left out."""
    waiting = list(_values(request))
    while waiting:
        value = waiting.pop()
        if not isinstance(value, dict):
            continue
        yield value
        if isinstance(members := value.get("M"), dict):
            waiting += members.values()
        if isinstance(elements := value.get("L"), list | tuple):
            waiting += elements
