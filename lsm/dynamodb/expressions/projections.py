"""Projections: the parts of an item that paths name. Rules 4.4. Immutable, any thread."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lsm.dynamodb.expressions import faults
from lsm.dynamodb.expressions.parser import check_text, parse_projection
from lsm.dynamodb.expressions.paths import clash
from lsm.dynamodb.expressions.syntax import Parts, Path

__all__ = ["Projection", "pick"]

KIND = "ProjectionExpression"
TypedValue = dict[str, Any]


class Projection:
    """Of a ProjectionExpression, or of AttributesToGet."""

    __slots__ = ("_names", "_paths", "_resolved", "_simple", "names_used")

    def __init__(self, paths: tuple[Path, ...], names: Mapping[str, str], names_used: tuple[str, ...]) -> None:
        self._paths = paths
        self._names = names
        self.names_used = names_used
        self._resolved: list[Parts] | None = None
        self._simple: list[str] | None = None

    @classmethod
    def parse(cls, text: str, names: Mapping[str, str] | None) -> Projection:
        """ApiError where the text is empty, too long or ill-formed. `check` looks at names and overlaps."""
        check_text(KIND, text)
        parsed = parse_projection(text)
        return cls(parsed.tree, names or {}, parsed.names)

    @classmethod
    def of_names(cls, names: Iterable[str]) -> Projection:
        """Of AttributesToGet: names are attributes, whatever characters they hold."""
        projection = cls((), {}, ())
        projection._resolve([(name,) for name in names])
        return projection

    def check(self) -> None:
        """ApiError for an undefined name, then for paths that overlap. Harmless when repeated."""
        if self._resolved is not None:
            return
        for name in self.names_used:
            if name not in self._names:
                raise faults.undefined_name(KIND, name)
        resolved = [path.resolved(self._names) for path in self._paths]
        fault = clash(KIND, resolved)
        if fault is not None:
            raise fault
        self._resolve(resolved)

    def _resolve(self, resolved: list[Parts]) -> None:
        self._resolved = resolved
        if all(len(path) == 1 for path in resolved):
            self._simple = [str(path[0]) for path in resolved]

    @property
    def paths(self) -> list[Parts]:
        """After `check`."""
        assert self._resolved is not None
        return self._resolved

    @property
    def attributes(self) -> set[str]:
        """The top-level attributes that are named, after `check`."""
        return {str(path[0]) for path in self.paths}

    def of(self, item: TypedValue) -> TypedValue:
        """What the item has of it, after `check`."""
        if self._simple is not None:
            return {name: item[name] for name in self._simple if name in item}
        return pick(item, self.paths)


Wanted = dict[str | int, Any]
"""What is wanted below a node: None for all of it, or a Wanted for parts of it."""


def pick(item: TypedValue, paths: Iterable[Parts]) -> TypedValue:
    """The parts of an item at paths that do not overlap; elements of a list close up, in ascending order."""
    wanted: Wanted = {}
    for path in paths:
        below = wanted
        for part in path[:-1]:
            below = below.setdefault(part, {})
        below[path[-1]] = None
    return _members(item, wanted)


def _members(members: TypedValue, wanted: Wanted) -> TypedValue:
    result = {}
    for name, below in wanted.items():
        found = _part(members.get(str(name)), below)
        if found is not None:
            result[str(name)] = found
    return result


def _part(value: TypedValue | None, wanted: Wanted | None) -> TypedValue | None:
    if value is None or wanted is None:
        return value
    if isinstance(next(iter(wanted)), int):
        elements = value.get("L")
        if elements is None:
            return None
        indexes = sorted(index for index in wanted if isinstance(index, int) and index < len(elements))
        found = [part for index in indexes if (part := _part(elements[index], wanted[index])) is not None]
        return {"L": found} if found else None
    members = value.get("M")
    if members is None:
        return None
    picked = _members(members, wanted)
    return {"M": picked} if picked else None
