"""Checks that passed, remembered: the same texts with the same names and kinds of values pass again.

What depends on values themselves (bounds of BETWEEN, names of types) is not remembered. Bounded; any thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

__all__ = ["Passed"]

T = TypeVar("T")
MOST = 4096
NOTHING: Any = object()


class Passed(Generic[T]):
    """By (text, names, kinds of values): what the check found out."""

    def __init__(self) -> None:
        self._known: dict[Any, T] = {}

    @staticmethod
    def key(text: str, names: Mapping[str, str], values: Mapping[str, dict[str, Any]]) -> Any:
        return text, tuple(names.items()), tuple([(name, *value) for name, value in values.items()])

    def get(self, key: Any) -> T | None:
        return self._known.get(key)

    def add(self, key: Any, found: T) -> None:
        if len(self._known) >= MOST:
            self._known.clear()
        self._known[key] = found
