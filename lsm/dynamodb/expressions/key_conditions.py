"""Key conditions: equality on the partition key, and at most one range on the sort key. Rules 3.7, 7.6, 12.2.

`check` says what can be said without the table; `bind` compares with the keys of a table or index. Immutable.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lsm.dynamodb.errors import ApiError, validation
from lsm.dynamodb.expressions import faults
from lsm.dynamodb.expressions.parser import Parsed, check_text, parse_condition
from lsm.dynamodb.expressions.syntax import (
    And,
    Between,
    Call,
    Compare,
    Condition,
    In,
    Not,
    Operand,
    Or,
    Path,
    Value,
    show_path,
)
from lsm.dynamodb.expressions.values import ORDERED, kind_of, less, ordered_key

__all__ = ["REVERSED", "SAME_TYPE", "BoundKeys", "KeyCondition", "KeyTest"]

KIND = "KeyConditionExpression"
TypedValue = dict[str, Any]
FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "="}
NAMES = {"EQ": "=", "LT": "<", "LE": "<=", "GT": ">", "GE": ">=", "BETWEEN": "BETWEEN", "BEGINS_WITH": "begins_with"}
NOT_SUPPORTED = "Query key condition not supported"
IN_KEYS = frozenset(NAMES.values())
NOT_VALID = "One or more parameter values are not valid."
NO_EMPTY = "The AttributeValue for a key attribute cannot contain an empty {} value."
SAME_TYPE = "One or more parameter values were invalid: AttributeValues inside AttributeValueList must be of same type"
REVERSED = "The BETWEEN condition was provided a range where the lower bound is greater than the upper bound"
WRONG_TYPE = "One or more parameter values were invalid: Condition parameter type does not match schema type"


@dataclass(frozen=True, slots=True)
class KeyTest:
    """One condition on one attribute. operator: =, <, <=, >, >=, BETWEEN, begins_with. values: one, of BETWEEN two."""

    name: str
    operator: str
    values: tuple[TypedValue, ...]

    def holds(self, value: TypedValue) -> bool:
        """Whether an attribute's value passes."""
        first = self.values[0]
        if self.operator == "=":
            return value == first
        if self.operator == "begins_with":
            kind, held = next(iter(value.items()))
            return kind in first and bool(held.startswith(first[kind]))
        if self.operator == "BETWEEN":
            return less(value, first) is False and less(self.values[1], value) is False
        if self.operator[0] == "<":
            return less(value, first) is True if self.operator == "<" else less(first, value) is False
        return less(first, value) is True if self.operator == ">" else less(value, first) is False


@dataclass(frozen=True, slots=True)
class BoundKeys:
    """hashes: a value for every partition attribute, in order. ranges: tests on the first sort attributes, in order;
    all but the last are equalities."""

    hashes: tuple[TypedValue, ...]
    ranges: tuple[KeyTest, ...]


@dataclass(frozen=True, slots=True)
class _Clause:
    """A condition: path, operator, operands. written: the operator in the text, where the value may stand first."""

    path: Path
    operator: str
    operands: tuple[Operand, ...]
    written: str


class KeyCondition:
    """Of a KeyConditionExpression, or of KeyConditions."""

    __slots__ = ("_clauses", "_legacy", "_names", "_pending", "_tests", "_values", "names_used", "values_used")

    def __init__(self, names: Mapping[str, str], values: Mapping[str, TypedValue]) -> None:
        self._names = names
        self._values = values
        self._clauses: list[_Clause] = []
        self._tests: list[KeyTest] = []
        self._pending: ApiError | None = None
        self._legacy = False
        self.names_used: tuple[str, ...] = ()
        self.values_used: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str, names: Mapping[str, str] | None, values: Mapping[str, TypedValue] | None) -> KeyCondition:
        """ApiError where the text is empty, too long or ill-formed. `check` looks at the rest."""
        check_text(KIND, text)
        return cls._of(parse_condition(KIND, text), names or {}, values or {})

    @classmethod
    def _of(cls, parsed: Parsed[Condition], names: Mapping[str, str], values: Mapping[str, TypedValue]) -> KeyCondition:
        condition = cls(names, values)
        condition._clauses = list(_clauses(parsed.tree))
        condition.names_used = parsed.names
        condition.values_used = parsed.values
        return condition

    @classmethod
    def of_conditions(cls, tests: Sequence[tuple[str, str, tuple[TypedValue, ...]]]) -> KeyCondition:
        """Of KeyConditions: (attribute, legacy operator, values), counts and types of operands checked already."""
        condition = cls({}, {})
        condition._legacy = True
        condition._tests = [KeyTest(name, NAMES.get(operator, operator), values) for name, operator, values in tests]
        return condition

    def again(self, values: Mapping[str, TypedValue]) -> KeyCondition:
        """The same with other values, of the kinds that this one's have. After `check`."""
        condition = KeyCondition(self._names, values)
        condition._clauses = self._clauses
        condition.names_used = self.names_used
        condition.values_used = self.values_used
        return condition

    def check(self) -> None:
        """ApiError for what needs no table, in the order of the text. A value that is not defined ends the check: it
        is reported by `bind`, after the table was found."""
        for clause in self._clauses:
            for part in clause.path.parts:
                if isinstance(part, str) and part[0] == "#" and part not in self._names:
                    raise faults.undefined_name(KIND, part)
        for clause in self._clauses:
            if len(clause.path.parts) > 1:
                raise faults.invalid(KIND, "KeyConditionExpressions cannot have conditions on nested attributes")
        for clause in self._clauses:
            self._check_operands(clause)
            if self._pending is not None:
                break
        seen: set[str] = set()
        for clause in self._clauses:
            name = str(clause.path.resolved(self._names)[0])
            if name in seen:
                raise faults.invalid(KIND, "KeyConditionExpressions must only contain one condition per key")
            seen.add(name)

    def _check_operands(self, clause: _Clause) -> None:
        for operand in clause.operands:
            assert isinstance(operand, Value)
            value = self._values.get(operand.name)
            if value is None:
                self._pending = faults.undefined_value(KIND, operand.name)
                return
            kind = kind_of(value)
            taken = ("S", "B") if clause.operator == "begins_with" else ORDERED
            if clause.operator != "=" and kind not in taken:
                raise faults.operand_type(KIND, clause.written, kind)

    def check_values(self, types: Mapping[str, str]) -> None:
        """Of KeyConditions alone, once the table was found: BETWEEN with two types, then types unlike the schema's."""
        if not self._legacy:
            return
        for test in self._tests:
            if test.operator == "BETWEEN" and kind_of(test.values[0]) != kind_of(test.values[1]):
                raise validation(SAME_TYPE)
        self._check_types([test for test in self._tests if test.name in types], types)

    # ---- against a schema

    def bind(
        self, hashes: Sequence[str], ranges: Sequence[str], types: Mapping[str, str], index: str | None = None
    ) -> BoundKeys:
        """The condition on keys with these attributes, of a table or of the index that is named; ApiError where it does
        not fit them. After `check`."""
        names = [*hashes, *ranges]
        tests = self._tests if self._legacy else None
        written = [test.name for test in tests] if tests is not None else list(map(self._name, self._clauses))
        if len(written) > len(names):
            raise validation(
                f"The number of query conditions ({len(written)}) exceeds the number of key attributes defined in the "
                f"schema ({len(names)})"
            )
        self._bind_hashes(hashes, ranges, written)
        if tests is not None:
            self._check_legacy(tests)
        else:
            if self._pending is not None:
                raise self._pending
            tests = [self._test(clause) for clause in self._clauses]
        by_name = {test.name: test for test in tests}
        self._check_names(hashes, ranges, by_name)
        self._check_types(tests, types)
        self._check_empty(tests, index)
        self._check_gaps(ranges, by_name)
        return BoundKeys(
            tuple(by_name[name].values[0] for name in hashes),
            tuple(by_name[name] for name in ranges if name in by_name),
        )

    def _check_legacy(self, tests: Sequence[KeyTest]) -> None:
        """What KeyConditions can say that a KeyConditionExpression cannot."""
        for test in tests:
            if test.operator not in IN_KEYS:
                raise validation("Attempted conditional constraint is not an indexable operation")
            if test.operator == "BETWEEN" and less(test.values[1], test.values[0]):
                raise validation(REVERSED)

    def _name(self, clause: _Clause) -> str:
        return str(clause.path.resolved(self._names)[0])

    def _operator_of(self, name: str) -> str | None:
        if self._legacy:
            return next((test.operator for test in self._tests if test.name == name), None)
        return next((clause.operator for clause in self._clauses if self._name(clause) == name), None)

    def _bind_hashes(self, hashes: Sequence[str], ranges: Sequence[str], written: list[str]) -> None:
        lacking = [name for name in hashes if self._operator_of(name) != "="]
        if not lacking:
            return
        if len(hashes) > 1 or len(ranges) > 1:
            raise validation(
                f"HASH key attributes {', '.join(lacking)} must have equality conditions specified in the query"
            )
        if hashes[0] not in written:
            raise validation(f"Query condition missed key schema element: {hashes[0]}")
        raise validation(NOT_SUPPORTED)

    def _check_names(self, hashes: Sequence[str], ranges: Sequence[str], by_name: Mapping[str, KeyTest]) -> None:
        known = {*hashes, *ranges}
        if any(name not in known for name in by_name):
            missed = next((name for name in ranges if name not in by_name), None)
            raise validation(f"Query condition missed key schema element: {missed or hashes[0]}")

    def _check_gaps(self, ranges: Sequence[str], by_name: Mapping[str, KeyTest]) -> None:
        used = [position for position, name in enumerate(ranges) if name in by_name]
        if not used:
            return
        last = used[-1]
        lacking = [name for name in ranges[:last] if name not in by_name or by_name[name].operator != "="]
        if lacking:
            raise validation(
                f"RANGE key attributes {', '.join(lacking)} must have equality conditions specified in the query "
                f"because a condition is present on key attribute {ranges[last]}"
            )

    def _check_types(self, tests: Sequence[KeyTest], types: Mapping[str, str]) -> None:
        for test in tests:
            for value in test.values:
                if types.get(test.name) not in value:
                    raise validation(WRONG_TYPE)

    def _check_empty(self, tests: Sequence[KeyTest], index: str | None) -> None:
        for test in tests:
            for value in test.values:
                if kind_of(value) == "N" or value[kind_of(value)]:
                    continue
                fault = NO_EMPTY.format("string" if "S" in value else "binary")
                if index is None:
                    raise validation(f"{NOT_VALID} {fault} Key: {test.name}")
                raise validation(
                    f"{NOT_VALID} A value specified for a secondary index key is not supported. {fault} "
                    f"IndexName: {index}, IndexKey: {test.name}"
                )

    def _test(self, clause: _Clause) -> KeyTest:
        values = tuple(self._values[operand.name] for operand in clause.operands if isinstance(operand, Value))
        if clause.operator == "BETWEEN":
            self._check_bounds(values)
        return KeyTest(self._name(clause), clause.operator, values)

    def _check_bounds(self, values: tuple[TypedValue, ...]) -> None:
        low, high = values
        shown = f"; {faults.bounds(low, high)}"
        if kind_of(low) != kind_of(high):
            raise faults.invalid(
                KIND, f"The BETWEEN operator requires same data type for lower and upper bounds{shown}"
            )
        if ordered_key(high) < ordered_key(low):
            raise faults.invalid(
                KIND,
                f"The BETWEEN operator requires upper bound to be greater than or equal to lower bound{shown}",
            )


def _clauses(tree: Condition) -> Iterator[_Clause]:
    """The conditions that AND joins, in the order of the text."""
    if isinstance(tree, And):
        yield from _clauses(tree.left)
        yield from _clauses(tree.right)
    elif isinstance(tree, Or):
        raise _operator("OR")
    elif isinstance(tree, Not):
        raise _operator("NOT")
    elif isinstance(tree, In):
        raise _operator("IN")
    elif isinstance(tree, Compare):
        yield _comparison(tree)
    elif isinstance(tree, Between):
        yield _clause(tree.operand, "BETWEEN", (tree.low, tree.high))
    else:
        if tree.function != "begins_with":
            raise _operator(tree.function)
        yield _clause(tree.arguments[0], "begins_with", tree.arguments[1:])


def _operator(name: str) -> ApiError:
    return faults.invalid(KIND, f"Invalid operator used in KeyConditionExpression: {name}")


def _comparison(tree: Compare) -> _Clause:
    if tree.operator == "<>":
        raise _operator("<>")
    if isinstance(tree.left, Value) and isinstance(tree.right, Path):
        return _Clause(tree.right, FLIPPED[tree.operator], (tree.left,), tree.operator)
    return _clause(tree.left, tree.operator, (tree.right,))


def _clause(first: Operand, operator: str, others: tuple[Operand, ...]) -> _Clause:
    if isinstance(first, Path) and first in others:
        raise faults.distinct(KIND, operator, show_path(first.parts))
    if any(isinstance(operand, Call) for operand in (first, *others)):
        raise faults.invalid(KIND, "KeyConditionExpressions cannot contain nested operations")
    paths = sum(isinstance(operand, Path) for operand in (first, *others))
    if paths != 1:
        fault = "Multiple attribute names used in one condition" if paths else "No key attribute specified"
        raise faults.invalid(KIND, f"Invalid condition in KeyConditionExpression: {fault}")
    if not isinstance(first, Path):
        fault = f"{operator} operator must have the key attribute as its first operand"
        raise faults.invalid(KIND, f"Invalid condition in KeyConditionExpression: {fault}")
    return _Clause(first, operator, others, operator)
