"""The order in which some operations return the members of a number set: that of a Java HashSet of BigDecimals.

Rules 5.2: TransactGetItems, cancellation reasons, PartiQL, stream records. No state, any thread.
"""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Any

__all__ = ["hashed_numbers", "hashed_sets"]

TREE_BUCKET = 9  # members of a bucket at which a small table is doubled instead of growing a tree
TREE_TABLE = 64
MASK = 0xFFFFFFFF
EXACT = Context(prec=40)


def hashed_sets(item: dict[str, Any]) -> dict[str, Any]:
    """The item with the members of its number sets in hash order, at every depth; itself where it has none."""
    return {name: _hashed(value) for name, value in item.items()}


def _hashed(value: dict[str, Any]) -> dict[str, Any]:
    kind, held = next(iter(value.items()))
    if kind == "NS":
        return {"NS": hashed_numbers(held)}
    if kind == "M":
        return {"M": hashed_sets(held)}
    return {"L": [_hashed(element) for element in held]} if kind == "L" else value


def hashed_numbers(members: list[str]) -> list[str]:
    """Stored members, which are ascending, in hash order."""
    capacity = 16
    buckets: dict[int, list[tuple[int, str]]] = {}
    for count, member in enumerate(members, 1):
        spread = _spread(_hash(member))
        bucket = buckets.setdefault(spread & (capacity - 1), [])
        bucket.append((spread, member))
        crowded = len(bucket) >= TREE_BUCKET and capacity < TREE_TABLE
        if crowded or count > capacity * 3 // 4:
            capacity *= 2
            buckets = _doubled(buckets, capacity)
    return [member for number in sorted(buckets) for _, member in buckets[number]]


def _doubled(buckets: dict[int, list[tuple[int, str]]], capacity: int) -> dict[int, list[tuple[int, str]]]:
    fresh: dict[int, list[tuple[int, str]]] = {}
    for number in sorted(buckets):
        for spread, member in buckets[number]:
            fresh.setdefault(spread & (capacity - 1), []).append((spread, member))
    return fresh


def _spread(hashed: int) -> int:
    return hashed ^ (hashed >> 16)


def _hash(member: str) -> int:
    """Of a BigDecimal without trailing zeros: 31 times the hash of its unscaled value, plus its scale."""
    number = Decimal(member)
    sign, digits, exponent = number.normalize(EXACT).as_tuple() if number else (0, (0,), 0)
    assert isinstance(exponent, int)
    unscaled = int("".join(map(str, digits)))
    return (31 * _hash_integer(-unscaled if sign else unscaled) - exponent) & MASK


def _hash_integer(number: int) -> int:
    """Of a Java BigInteger: its magnitude in 32-bit words, most significant first, base 31; times the sign."""
    hashed = 0
    magnitude = abs(number)
    words = []
    while magnitude:
        words.append(magnitude & MASK)
        magnitude >>= 32
    for word in reversed(words):
        hashed = (31 * hashed + word) & MASK
    return hashed if number >= 0 else (-hashed) & MASK
