"""What an update does to an item, compiled: one step for each clause, with the names of its paths in place.

Guarantees: all steps read the item as it was, which stays as it is; a wrong operand is reported before a wrong path.
Immutable, any thread. Rules 3.6, 4.3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lsm.dynamodb.errors import validation
from lsm.dynamodb.expressions.conditions import value_at
from lsm.dynamodb.expressions.syntax import Arithmetic, Call, Literal, Operand, Parts, Path, UpdateClause, Value
from lsm.dynamodb.expressions.values import add_numbers, kind_of, ordered_key

__all__ = ["Program"]

TypedValue = dict[str, Any]
Names = Mapping[str, str]
Values = Mapping[str, TypedValue]
Read = Callable[[TypedValue, Values], TypedValue]
New = Callable[[TypedValue, Values], TypedValue | None]

ABSENT = "The provided expression refers to an attribute that does not exist in the item"
WRONG_TYPE = "An operand in the update expression has an incorrect data type"
WRONG_PATH = "The document path provided in the update expression is invalid for update"
LEGACY_TYPE = "Type mismatch for attribute to update"


class Program:
    """Of an update's clauses. paths: where it writes, in the order of the text. attributes: their first elements."""

    __slots__ = ("_below", "_steps", "attributes", "paths")

    def __init__(self, clauses: Sequence[UpdateClause], names: Names, *, legacy: bool = False) -> None:
        self.paths = [clause.path.resolved(names) for clause in clauses]
        self.attributes = frozenset(str(path[0]) for path in self.paths)
        self._below = any(len(path) > 1 for path in self.paths)
        wrong = LEGACY_TYPE if legacy else WRONG_TYPE
        self._steps: list[tuple[str, Parts, New]] = [
            (str(path[0]), path, _new_value(clause, path, names, wrong))
            for clause, path in zip(clauses, self.paths, strict=True)
        ]

    def run(self, item: TypedValue, values: Values) -> TypedValue:
        """The new item; ApiError where the update does not fit the old one."""
        if self._below:
            return self._run_below(item, values)
        changed = dict(item)
        for name, _, new in self._steps:
            value = new(item, values)
            if value is not None:
                changed[name] = value
            else:
                changed.pop(name, None)
        return changed

    def _run_below(self, item: TypedValue, values: Values) -> TypedValue:
        found = [(name, path, new(item, values)) for name, path, new in self._steps]
        changed = dict(item)
        copied: set[str] = set()
        lists: dict[int, _Edit] = {}
        for name, path, value in found:
            if len(path) == 1:
                if value is not None:
                    changed[name] = value
                else:
                    changed.pop(name, None)
                continue
            if name not in changed:
                raise validation(WRONG_PATH)
            if name not in copied:
                copied.add(name)
                changed[name] = _copy(changed[name])
            _change(changed[name], path, value, lists)
        for edit in lists.values():
            edit.finish()
        return changed


# ---- new values


def _new_value(clause: UpdateClause, path: Parts, names: Names, wrong: str) -> New:
    """Reads what will stand at the path; None for nothing."""
    if clause.section == "REMOVE":
        return lambda item, values: None
    assert clause.operand is not None
    read = _reader(clause.operand, names)
    if clause.section == "SET":
        return read
    combine = _added if clause.section == "ADD" else _deleted

    def combined(item: TypedValue, values: Values) -> TypedValue | None:
        value = read(item, values)
        return combine(value_at(item, path), value, wrong)

    return combined


def _added(current: TypedValue | None, value: TypedValue, wrong: str) -> TypedValue:
    if current is None:
        return value
    kind = kind_of(value)
    if kind not in current:
        raise validation(wrong)
    if kind == "N":
        return add_numbers(current, value)
    if kind == "L":
        return {"L": current["L"] + value["L"]}
    members = {*current[kind], *value[kind]}
    return {kind: sorted(members, key=lambda member: ordered_key({kind[0]: member}))}


def _deleted(current: TypedValue | None, value: TypedValue, wrong: str) -> TypedValue | None:
    if current is None:
        return None
    kind = kind_of(value)
    if kind not in current:
        raise validation(wrong)
    gone = set(value[kind])
    left = [member for member in current[kind] if member not in gone]
    return {kind: left} if left else None


def _reader(operand: Operand, names: Names) -> Read:
    if isinstance(operand, Value):
        place = operand.name
        return lambda item, values: values[place]
    if isinstance(operand, Literal):
        literal: TypedValue = operand.value
        return lambda item, values: literal
    if isinstance(operand, Path):
        return _reader_of_path(operand.resolved(names))
    if isinstance(operand, Arithmetic):
        return _sum(_reader(operand.left, names), _reader(operand.right, names), operand.operator == "-")
    assert isinstance(operand, Call)
    first, second = operand.arguments
    if operand.function == "list_append":
        return _joined(_reader(first, names), _reader(second, names))
    assert isinstance(first, Path)
    return _first_of(first.resolved(names), _reader(second, names))


def _reader_of_path(path: Parts) -> Read:
    def read(item: TypedValue, values: Values) -> TypedValue:
        found = value_at(item, path)
        if found is None:
            raise validation(ABSENT)
        return found

    return read


def _sum(left: Read, right: Read, subtract: bool) -> Read:
    def sum_of(item: TypedValue, values: Values) -> TypedValue:
        a, b = left(item, values), right(item, values)
        if "N" not in a or "N" not in b:
            raise validation(WRONG_TYPE)
        return add_numbers(a, b, subtract=subtract)

    return sum_of


def _joined(head: Read, tail: Read) -> Read:
    def joined(item: TypedValue, values: Values) -> TypedValue:
        first, second = head(item, values), tail(item, values)
        if "L" not in first or "L" not in second:
            raise validation(WRONG_TYPE)
        return {"L": first["L"] + second["L"]}

    return joined


def _first_of(path: Parts, otherwise: Read) -> Read:
    def first_of(item: TypedValue, values: Values) -> TypedValue:
        found = value_at(item, path)
        return otherwise(item, values) if found is None else found

    return first_of


# ---- below the top level


@dataclass(slots=True)
class _Edit:
    """Changes of one list, by its indexes as they were before the update."""

    elements: list[TypedValue]
    removed: set[int] = field(default_factory=set)
    appended: list[tuple[int, TypedValue]] = field(default_factory=list)

    def change(self, index: int, value: TypedValue | None) -> None:
        inside = index < len(self.elements)
        if value is None:
            if inside:
                self.removed.add(index)
        elif inside:
            self.elements[index] = value
        else:
            self.appended.append((index, value))

    def finish(self) -> None:
        for index in sorted(self.removed, reverse=True):
            del self.elements[index]
        self.elements.extend(value for _, value in sorted(self.appended, key=lambda appended: appended[0]))


def _copy(value: TypedValue) -> TypedValue:
    """With lists and maps of its own."""
    kind, held = next(iter(value.items()))
    if kind == "M":
        return {"M": {name: _copy(inner) for name, inner in held.items()}}
    return {"L": [_copy(inner) for inner in held]} if kind == "L" else value


def _change(value: TypedValue, path: Parts, new: TypedValue | None, lists: dict[int, _Edit]) -> None:
    """Steps to the parent of the path's end, which must be there and of the right type, and changes it."""
    for part in path[1:-1]:
        value = _step(value, part)
    last = path[-1]
    if isinstance(last, int):
        elements = value.get("L")
        if elements is None:
            raise validation(WRONG_PATH)
        lists.setdefault(id(elements), _Edit(elements)).change(last, new)
        return
    members = value.get("M")
    if members is None:
        raise validation(WRONG_PATH)
    if new is not None:
        members[last] = new
    else:
        members.pop(last, None)


def _step(value: TypedValue, part: str | int) -> TypedValue:
    inner = value_at({"": value}, ("", part))
    if inner is None:
        raise validation(WRONG_PATH)
    return inner
