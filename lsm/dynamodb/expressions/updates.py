"""Updates: clauses that read the item as it was, and make a new one. Rules 3.6, 4.3, 6.1. Immutable, any thread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lsm.dynamodb.errors import ApiError, validation
from lsm.dynamodb.expressions import faults
from lsm.dynamodb.expressions.conditions import value_at
from lsm.dynamodb.expressions.parser import check_text, parse_update
from lsm.dynamodb.expressions.passed import Passed
from lsm.dynamodb.expressions.paths import clash
from lsm.dynamodb.expressions.projections import pick
from lsm.dynamodb.expressions.syntax import (
    Arithmetic,
    Call,
    Literal,
    Operand,
    Parts,
    Path,
    UpdateClause,
    Value,
)
from lsm.dynamodb.expressions.values import add_numbers, kind_of, ordered_key
from lsm.item_codec import value_size

__all__ = ["Update"]

KIND = "UpdateExpression"
TypedValue = dict[str, Any]

ABSENT = "The provided expression refers to an attribute that does not exist in the item"
WRONG_TYPE = "An operand in the update expression has an incorrect data type"
WRONG_PATH = "The document path provided in the update expression is invalid for update"
LEGACY_TYPE = "Type mismatch for attribute to update"
SETS = frozenset(("SS", "NS", "BS"))
ARGUMENTS = {"if_not_exists": 2, "list_append": 2}
TYPE_WORDS = {
    "S": "STRING",
    "N": "NUMBER",
    "B": "Binary",
    "L": "LIST",
    "M": "MAP",
    "BOOL": "BOOL",
    "NULL": "NULL",
    "SS": "SS",
    "NS": "NS",
    "BS": "BS",
}


@dataclass(slots=True)
class _Action:
    """A clause ready to be applied: path with names; value None removes what is there."""

    path: Parts
    value: TypedValue | None
    section: str


@dataclass(slots=True)
class _Edit:
    """Changes of one list, by its indexes as they were before the update."""

    elements: list[TypedValue]
    removed: set[int] = field(default_factory=set)
    appended: list[tuple[int, TypedValue]] = field(default_factory=list)


PASSED: Passed[list[Parts]] = Passed()


class Update:
    """An update with the names and values of its request."""

    __slots__ = ("_clauses", "_legacy", "_names", "_paths", "_text", "_values", "names_used", "values_used")

    def __init__(
        self,
        clauses: tuple[UpdateClause, ...],
        names: Mapping[str, str],
        values: Mapping[str, TypedValue],
        names_used: tuple[str, ...] = (),
        values_used: tuple[str, ...] = (),
        *,
        text: str = "",
        legacy: bool = False,
    ) -> None:
        self._clauses = clauses
        self._text = text
        self._names = names
        self._values = values
        self._legacy = legacy
        self._paths: list[Parts] = []
        self.names_used = names_used
        self.values_used = values_used

    @classmethod
    def parse(cls, text: str, names: Mapping[str, str] | None, values: Mapping[str, TypedValue] | None) -> Update:
        """ApiError where the text is empty, too long or ill-formed. `check` looks at the rest."""
        check_text(KIND, text)
        parsed = parse_update(text)
        return cls(parsed.tree, names or {}, values or {}, parsed.names, parsed.values, text=text)

    @classmethod
    def of_attributes(cls, clauses: list[tuple[str, str, TypedValue | None]]) -> Update:
        """Of AttributeUpdates: (section, attribute, value) with names and values as they are."""
        update = cls(
            tuple(
                UpdateClause(section, Path((name,)), None if value is None else Literal(value))
                for section, name, value in clauses
            ),
            {},
            {},
            legacy=True,
        )
        update._paths = [(name,) for _, name, _ in clauses]
        return update

    # ---- before the item is read

    def check(self) -> None:
        """ApiError for undefined names and values and wrong operands, as written; then for overlapping paths."""
        key = PASSED.key(self._text, self._names, self._values)
        known = PASSED.get(key)
        if known is None:
            self._check()
            PASSED.add(key, self._paths)
        else:
            self._paths = known

    def _check(self) -> None:
        for clause in self._clauses:
            self._check_path(clause.path)
            if clause.operand is not None:
                self._check_operand(clause.operand)
                if clause.section in ("ADD", "DELETE"):
                    self._check_section(clause)
        self._paths = [clause.path.resolved(self._names) for clause in self._clauses]
        fault = clash(KIND, self._paths)
        if fault is not None:
            raise fault

    def _check_path(self, path: Path) -> None:
        for part in path.parts:
            if isinstance(part, str) and part[0] == "#" and part not in self._names:
                raise faults.undefined_name(KIND, part)

    def _check_operand(self, operand: Operand) -> None:
        if isinstance(operand, Path):
            self._check_path(operand)
        elif isinstance(operand, Value):
            if operand.name not in self._values:
                raise faults.undefined_value(KIND, operand.name)
        elif isinstance(operand, Arithmetic):
            for side in (operand.left, operand.right):
                self._check_operand(side)
                self._check_kind(operand.operator, side, "N")
        elif isinstance(operand, Call):
            self._check_call(operand)

    def _check_call(self, call: Call) -> None:
        count = len(call.arguments)
        if count != ARGUMENTS[call.function]:
            raise faults.operand_count(KIND, call.function, count)
        if call.function == "if_not_exists" and not isinstance(call.arguments[0], Path):
            raise faults.needs_path(KIND, call.function)
        for argument in call.arguments:
            self._check_operand(argument)
            if call.function == "list_append":
                self._check_kind(call.function, argument, "L")

    def _check_kind(self, operator: str, operand: Operand, kind: str) -> None:
        if isinstance(operand, Value) and kind not in self._values[operand.name]:
            raise faults.operand_type(KIND, operator, kind_of(self._values[operand.name]))

    def _check_section(self, clause: UpdateClause) -> None:
        assert isinstance(clause.operand, Value)
        kind = kind_of(self._values[clause.operand.name])
        if kind not in SETS and not (kind == "N" and clause.section == "ADD"):
            raise faults.invalid(
                KIND,
                "Incorrect operand type for operator or function; "
                f"operator: {clause.section}, operand type: {TYPE_WORDS[kind]}, typeSet: ALLOWED_FOR_ADD_OPERAND",
            )

    @property
    def attributes(self) -> set[str]:
        """The top-level attributes it writes, after `check`."""
        return {str(path[0]) for path in self._paths}

    def charge(self) -> int:
        """What the request is charged against the item size limit, in bytes; after `check`."""
        total = 3
        for clause, path in zip(self._clauses, self._paths, strict=True):
            target = _length(path[0]) + sum(4 + _length(part) for part in path[1:])
            if clause.section == "SET":
                assert clause.operand is not None
                total += 19 + target + self._operand_charge(clause.operand)
            elif clause.section == "ADD":
                assert isinstance(clause.operand, Value)
                total += 19 + target + value_size(self._values[clause.operand.name])
            else:
                total += 1 + target
        return total

    def _operand_charge(self, operand: Operand) -> int:
        if isinstance(operand, Path):
            return 1 + sum(14 + _length(part) for part in operand.resolved(self._names))
        if isinstance(operand, Value):
            return value_size(self._values[operand.name])
        if isinstance(operand, Arithmetic):
            base = 34 if operand.operator == "+" else 37
            return base + self._operand_charge(operand.left) + self._operand_charge(operand.right)
        assert isinstance(operand, Call)
        base = 39 if operand.function == "if_not_exists" else 37
        return base + sum(map(self._operand_charge, operand.arguments))

    # ---- on an item

    def apply(self, item: TypedValue) -> TypedValue:
        """The new item; the old one, which all clauses read, stays as it is. ApiError where it does not fit.

        A wrong operand is reported before a wrong path.
        """
        actions = [
            _Action(path, self._new_value(clause, path, item), clause.section)
            for clause, path in zip(self._clauses, self._paths, strict=True)
        ]
        changed = dict(item)
        copied: set[str] = set()
        lists: dict[int, _Edit] = {}
        for action in actions:
            name = str(action.path[0])
            if len(action.path) == 1:
                if action.value is not None:
                    changed[name] = action.value
                else:
                    changed.pop(name, None)
                continue
            if name not in changed:
                raise validation(WRONG_PATH)
            if name not in copied:
                copied.add(name)
                changed[name] = _copy(changed[name])
            _apply_below(changed[name], action, lists)
        for edit in lists.values():
            _finish(edit)
        return changed

    def _new_value(self, clause: UpdateClause, path: Parts, item: TypedValue) -> TypedValue | None:
        if clause.section == "REMOVE":
            return None
        assert clause.operand is not None
        value = self._value(clause.operand, item)
        if clause.section == "SET":
            return value
        current = value_at(item, path)
        if clause.section == "ADD":
            return self._added(current, value)
        return self._deleted(current, value)

    def _wrong_type(self) -> ApiError:
        return validation(LEGACY_TYPE if self._legacy else WRONG_TYPE)

    def _added(self, current: TypedValue | None, value: TypedValue) -> TypedValue:
        if current is None:
            return value
        kind = kind_of(value)
        if kind not in current:
            raise self._wrong_type()
        if kind == "N":
            return add_numbers(current, value)
        if kind == "L":
            return {"L": current["L"] + value["L"]}
        members = set(current[kind])
        return _set(kind, current[kind] + [member for member in value[kind] if member not in members])

    def _deleted(self, current: TypedValue | None, value: TypedValue) -> TypedValue | None:
        if current is None:
            return None
        kind = kind_of(value)
        if kind not in current:
            raise self._wrong_type()
        gone = set(value[kind])
        left = [member for member in current[kind] if member not in gone]
        return {kind: left} if left else None

    def _value(self, operand: Operand, item: TypedValue) -> TypedValue:
        if isinstance(operand, Value):
            return self._values[operand.name]
        if isinstance(operand, Literal):
            literal: TypedValue = operand.value
            return literal
        if isinstance(operand, Path):
            found = value_at(item, operand.resolved(self._names))
            if found is None:
                raise validation(ABSENT)
            return found
        if isinstance(operand, Arithmetic):
            left, right = self._value(operand.left, item), self._value(operand.right, item)
            if "N" not in left or "N" not in right:
                raise validation(WRONG_TYPE)
            return add_numbers(left, right, subtract=operand.operator == "-")
        assert isinstance(operand, Call)
        return self._called(operand, item)

    def _called(self, call: Call, item: TypedValue) -> TypedValue:
        first, second = call.arguments
        if call.function == "if_not_exists":
            assert isinstance(first, Path)
            found = value_at(item, first.resolved(self._names))
            return self._value(second, item) if found is None else found
        head, tail = self._value(first, item), self._value(second, item)
        if "L" not in head or "L" not in tail:
            raise validation(WRONG_TYPE)
        return {"L": head["L"] + tail["L"]}

    def touched(self, item: TypedValue) -> TypedValue:
        """What the item has at the paths that were written: of a path through a list the whole attribute."""
        paths: dict[Parts, None] = {}
        whole: set[str | int] = set()
        for path in self._paths:
            if any(isinstance(part, int) for part in path):
                whole.add(path[0])
                paths[path[:1]] = None
            else:
                paths[path] = None
        return pick(item, [path for path in paths if len(path) == 1 or path[0] not in whole])


def _length(part: str | int) -> int:
    return len(str(part).encode("utf-8", "surrogatepass"))


def _set(kind: str, members: list[Any]) -> TypedValue:
    return {kind: sorted(members, key=lambda member: ordered_key({kind[0]: member}))}


def _copy(value: TypedValue) -> TypedValue:
    """With lists and maps of its own."""
    kind, held = next(iter(value.items()))
    if kind == "M":
        return {"M": {name: _copy(inner) for name, inner in held.items()}}
    return {"L": [_copy(inner) for inner in held]} if kind == "L" else value


def _apply_below(value: TypedValue, action: _Action, lists: dict[int, _Edit]) -> None:
    """Steps to the parent of the path's end, which must be there and of the right type, and changes it."""
    for part in action.path[1:-1]:
        value = _step(value, part, lists)
    last = action.path[-1]
    if isinstance(last, int):
        elements = value.get("L")
        if elements is None:
            raise validation(WRONG_PATH)
        _edit_element(lists.setdefault(id(elements), _Edit(elements)), last, action.value)
        return
    members = value.get("M")
    if members is None:
        raise validation(WRONG_PATH)
    if action.value is not None:
        members[last] = action.value
    else:
        members.pop(last, None)


def _step(value: TypedValue, part: str | int, lists: dict[int, _Edit]) -> TypedValue:
    inner: TypedValue | None = None
    if isinstance(part, int):
        elements = value.get("L")
        if elements is not None and part < len(elements):
            inner = elements[part]
    else:
        members = value.get("M")
        inner = members.get(part) if members is not None else None
    if inner is None:
        raise validation(WRONG_PATH)
    return inner


def _edit_element(edit: _Edit, index: int, value: TypedValue | None) -> None:
    inside = index < len(edit.elements)
    if value is None:
        if inside:
            edit.removed.add(index)
    elif inside:
        edit.elements[index] = value
    else:
        edit.appended.append((index, value))


def _finish(edit: _Edit) -> None:
    for index in sorted(edit.removed, reverse=True):
        del edit.elements[index]
    edit.elements.extend(value for _, value in sorted(edit.appended, key=lambda appended: appended[0]))
