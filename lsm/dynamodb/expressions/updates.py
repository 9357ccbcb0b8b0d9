"""Updates: clauses that read the item as it was, and make a new one. Rules 3.6, 4.3, 6.1. Immutable, any thread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lsm.dynamodb.errors import ApiError
from lsm.dynamodb.expressions import faults
from lsm.dynamodb.expressions.changes import Program
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
from lsm.dynamodb.expressions.values import kind_of
from lsm.item_codec import value_size

__all__ = ["Update"]

KIND = "UpdateExpression"
TypedValue = dict[str, Any]

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


PASSED: Passed[Program] = Passed()


class Update:
    """An update with the names and values of its request."""

    __slots__ = ("_clauses", "_lenient", "_names", "_program", "_text", "_values", "names_used", "values_used")

    def __init__(
        self,
        clauses: tuple[UpdateClause, ...],
        names: Mapping[str, str],
        values: Mapping[str, TypedValue],
        names_used: tuple[str, ...] = (),
        values_used: tuple[str, ...] = (),
        *,
        text: str = "",
        program: Program | None = None,
    ) -> None:
        self._clauses = clauses
        self._text = text
        self._names = names
        self._values = values
        self._lenient = False
        self._program = program
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
        parsed = tuple(
            UpdateClause(section, Path((name,)), None if value is None else Literal(value))
            for section, name, value in clauses
        )
        return cls(parsed, {}, {}, program=Program(parsed, {}, legacy=True))

    def again(self, values: Mapping[str, TypedValue]) -> Update:
        """After `check`: the same with other values of the same kinds."""
        return Update(
            self._clauses,
            self._names,
            values,
            self.names_used,
            self.values_used,
            text=self._text,
            program=self._program,
        )

    @property
    def legacy(self) -> bool:
        """Of AttributeUpdates."""
        return not self._text

    # ---- before the item is read

    def check(self) -> None:
        """ApiError for undefined names and values and wrong operands, as written; then for overlapping paths."""
        key = PASSED.key(self._text, self._names, self._values)
        self._program = PASSED.get(key)
        if self._program is None:
            self._check()
            self._program = Program(self._clauses, self._names)
            PASSED.add(key, self._program)

    def check_but_undefined_values(self) -> ApiError | None:
        """As `check`, but the first value that is not defined is returned, not raised."""
        if all(name in self._values for name in self.values_used):
            self.check()
            return None
        self._lenient = True
        self._check()
        self._program = Program(self._clauses, self._names)
        return next(faults.undefined_value(KIND, name) for name in self.values_used if name not in self._values)

    def _check(self) -> None:
        for clause in self._clauses:
            self._check_path(clause.path)
            if clause.operand is not None:
                self._check_operand(clause.operand)
                if clause.section in ("ADD", "DELETE"):
                    self._check_section(clause)
        fault = clash(KIND, [clause.path.resolved(self._names) for clause in self._clauses])
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
            if operand.name not in self._values and not self._lenient:
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
        value = self._values.get(operand.name) if isinstance(operand, Value) else None
        if value is not None and kind not in value:
            raise faults.operand_type(KIND, operator, kind_of(value))

    def _check_section(self, clause: UpdateClause) -> None:
        assert isinstance(clause.operand, Value)
        value = self._values.get(clause.operand.name)
        if value is None:
            return
        kind = kind_of(value)
        if kind not in SETS and not (kind == "N" and clause.section == "ADD"):
            raise faults.invalid(
                KIND,
                "Incorrect operand type for operator or function; "
                f"operator: {clause.section}, operand type: {TYPE_WORDS[kind]}, typeSet: ALLOWED_FOR_ADD_OPERAND",
            )

    @property
    def attributes(self) -> frozenset[str]:
        """The top-level attributes it writes, after `check`."""
        assert self._program is not None
        return self._program.attributes

    @property
    def _paths(self) -> list[Parts]:
        assert self._program is not None
        return self._program.paths

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

    # ---- on an item, after `check`

    def apply(self, item: TypedValue) -> TypedValue:
        """The new item; the old one stays as it is. ApiError where the update does not fit it."""
        assert self._program is not None
        return self._program.run(item, self._values)

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
