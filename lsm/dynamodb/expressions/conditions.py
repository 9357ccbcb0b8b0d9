"""Conditions and filters: a parsed tree becomes one function of (item, names, values), kept with the tree.

Guarantees: evaluation never fails; what can be refused is refused by `check`, before any item is read. Immutable, any
thread. Rules 3.4, 4.1, 4.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from lsm.dynamodb.expressions import faults
from lsm.dynamodb.expressions.parser import CACHED, Parsed, check_text, parse_condition
from lsm.dynamodb.expressions.passed import Passed
from lsm.dynamodb.expressions.syntax import (
    And,
    Arithmetic,
    Attribute,
    Between,
    Call,
    Compare,
    In,
    Literal,
    Not,
    Operand,
    Or,
    Path,
    Value,
    show_path,
)
from lsm.dynamodb.expressions.syntax import Condition as Tree
from lsm.dynamodb.expressions.values import ORDERED, contains, kind_of, less, ordered_key, size_of
from lsm.dynamodb.limits import IN_OPERANDS

__all__ = ["Condition", "operands_of", "read_operand", "value_at"]

TypedValue = dict[str, Any]
Names = Mapping[str, str]
Values = Mapping[str, TypedValue]
Test = Callable[[TypedValue, Names, Values], bool]
Read = Callable[[TypedValue, Names, Values], TypedValue | None]

TYPE_NAMES = ("N", "BS", "L", "B", "NULL", "M", "S", "SS", "NS", "BOOL")
NOTHING: Mapping[str, Any] = {}
ANY_TYPE = "{NS,SS,L,BS,N,M,B,BOOL,NULL,S}"
NEED_PATH = ("attribute_exists", "attribute_not_exists", "attribute_type")
TAKEN = {"begins_with": ("S", "B"), "size": ("S", "B", "SS", "NS", "BS", "L", "M")}


PASSED: Passed[bool] = Passed()


class Condition:
    """A condition with the names and values of its request."""

    __slots__ = ("_names", "_test", "_values", "kind", "parsed")

    def __init__(self, kind: str, parsed: Parsed[Tree], test: Test, names: Names, values: Values) -> None:
        self.kind = kind
        self.parsed = parsed
        self._names = names
        self._values = values
        self._test = test

    @classmethod
    def parse(
        cls, kind: str, text: str, names: Names | None, values: Values | None, *, show_size: bool = False
    ) -> Condition:
        """Reads the text; ApiError where it is empty, too long or ill-formed. `check` looks at names and values."""
        check_text(kind, text, show_size=show_size)
        parsed, test = _compiled(kind, text)
        return cls(kind, parsed, test, names or NOTHING, values or NOTHING)

    @classmethod
    def of_tree(cls, kind: str, tree: Tree) -> Condition:
        """Of a legacy parameter: names and values are in the tree."""
        return cls(kind, Parsed(tree, (), (), 0), _test(tree), NOTHING, NOTHING)

    def again(self, values: Values) -> Condition:
        """After `check`: the same with other values of the same kinds; ApiError where they themselves do not fit."""
        condition = Condition(self.kind, self.parsed, self._test, self._names, values)
        if self.parsed.by_value:
            condition.check_operands()
        return condition

    def bare(self) -> Condition:
        """The same without values, to be kept."""
        return Condition(self.kind, self.parsed, self._test, self._names, NOTHING)

    def holds(self, item: TypedValue) -> bool:
        """Whether it is true of the item; {} stands for no item."""
        return self._test(item, self._names, self._values)

    @property
    def names_used(self) -> tuple[str, ...]:
        return self.parsed.names

    @property
    def values_used(self) -> tuple[str, ...]:
        return self.parsed.values

    @property
    def attributes(self) -> set[str]:
        """The top-level attributes it reads."""
        return {str(path[0]) for path in self.paths()}

    def paths(self) -> Iterator[tuple[str | int, ...]]:
        """Every path in it, with names in place of placeholders, in the order of the text."""
        for operand in operands_of(self.parsed.tree):
            if isinstance(operand, Path):
                yield operand.resolved(self._names)
            elif isinstance(operand, Attribute):
                yield (operand.name,)

    def check_defined(self) -> None:
        """ApiError for a placeholder that the request does not define, names before values as they stand."""
        for operand in operands_of(self.parsed.tree):
            if isinstance(operand, Path):
                for part in operand.parts:
                    if isinstance(part, str) and part[0] == "#" and part not in self._names:
                        raise faults.undefined_name(self.kind, part)
            elif isinstance(operand, Value) and operand.name not in self._values:
                raise faults.undefined_value(self.kind, operand.name)

    def check_operands(self) -> None:
        """ApiError for operands that no item can make right; what is not defined is left to check_defined."""
        for node in _nodes(self.parsed.tree):
            self._check_node(node)

    def check(self) -> None:
        """Both."""
        key = None
        if self.parsed.text and not self.parsed.by_value:
            key = PASSED.key(self.kind + self.parsed.text, self._names, self._values)
            if PASSED.get(key):
                return
        self.check_defined()
        self.check_operands()
        if key is not None:
            PASSED.add(key, True)

    def _check_node(self, node: Any) -> None:
        if isinstance(node, Call):
            self._check_call(node)
        elif isinstance(node, Compare):
            if node.operator not in ("=", "<>"):
                self._check_ordered(node.operator, (node.left, node.right))
            self._check_distinct(node.operator, node.left, (node.right,))
        elif isinstance(node, Between):
            self._check_ordered("BETWEEN", (node.operand, node.low, node.high))
            self._check_distinct("BETWEEN", node.operand, (node.low, node.high))
            self._check_bounds(node)
        elif isinstance(node, In):
            if len(node.among) > IN_OPERANDS:
                raise faults.invalid(
                    self.kind,
                    f"The IN operator is provided with too many operands; number of operands: {len(node.among)}",
                )
            self._check_distinct("IN", node.operand, node.among)

    def _literal(self, operand: Operand) -> TypedValue | None:
        if isinstance(operand, Value):
            return self._values.get(operand.name)
        return operand.value if isinstance(operand, Literal) else None

    def _kind_of(self, operand: Operand) -> str | None:
        """What is known of an operand's type before any item is read."""
        if isinstance(operand, Call):
            return "N" if operand.function == "size" else None
        literal = self._literal(operand)
        return None if literal is None else kind_of(literal)

    def _check_ordered(self, operator: str, operands: tuple[Operand, ...]) -> None:
        for operand in operands:
            kind = self._kind_of(operand)
            if kind is not None and kind not in ORDERED:
                raise faults.operand_type(self.kind, operator, kind)

    def _check_distinct(self, operator: str, first: Operand, others: tuple[Operand, ...]) -> None:
        if isinstance(first, Path):
            parts = first.resolved(self._names)
            if any(isinstance(o, Path) and o.resolved(self._names) == parts for o in others):
                raise faults.distinct(self.kind, operator, show_path(parts))

    def _check_bounds(self, node: Between) -> None:
        low, high = self._literal(node.low), self._literal(node.high)
        if low is None or high is None:
            return
        shown = f"{faults.bounds(low, high)}"
        if kind_of(low) != kind_of(high):
            raise faults.invalid(
                self.kind, f"The BETWEEN operator requires same data type for lower and upper bounds; {shown}"
            )
        if ordered_key(high) < ordered_key(low):
            raise faults.invalid(
                self.kind,
                f"The BETWEEN operator requires upper bound to be greater than or equal to lower bound; {shown}",
            )

    def _check_call(self, call: Call) -> None:
        name = call.function
        first = call.arguments[0]
        if name in NEED_PATH and not isinstance(first, Path):
            raise faults.needs_path(self.kind, name)
        if name == "attribute_type":
            self._check_type_name(call.arguments[1])
        taken = TAKEN.get(name)
        for argument in call.arguments if taken is not None else ():
            kind = self._kind_of(argument)
            if kind is not None and taken is not None and kind not in taken:
                raise faults.operand_type(self.kind, name, kind)
        if name in ("contains", "attribute_type", "begins_with"):
            self._check_distinct(name, first, call.arguments[1:])

    def _check_type_name(self, argument: Operand) -> None:
        if not isinstance(argument, Value):
            raise faults.operand_type(self.kind, "attribute_type", self._kind_of(argument) or ANY_TYPE)
        literal = self._literal(argument)
        if literal is None:
            return
        if "S" not in literal:
            raise faults.operand_type(self.kind, "attribute_type", kind_of(literal))
        if literal["S"] not in TYPE_NAMES:
            raise faults.invalid(
                self.kind,
                f"Invalid attribute type name found; type: {literal['S']}, valid types: {{{','.join(TYPE_NAMES)}}}",
            )


# ---- walking


def _nodes(tree: Any) -> Iterator[Any]:
    """Comparisons and calls, in the order of the text; calls within comparisons before them."""
    if isinstance(tree, And | Or):
        yield from _nodes(tree.left)
        yield from _nodes(tree.right)
    elif isinstance(tree, Not):
        yield from _nodes(tree.condition)
    else:
        for operand in _direct(tree):
            if isinstance(operand, Call):
                yield from _nodes(operand)
        yield tree


def _direct(node: Any) -> tuple[Operand, ...]:
    if isinstance(node, Compare | Arithmetic):
        return node.left, node.right
    if isinstance(node, Between):
        return node.operand, node.low, node.high
    if isinstance(node, In):
        return node.operand, *node.among
    return node.arguments if isinstance(node, Call) else ()


def operands_of(tree: Any) -> Iterator[Operand]:
    """Paths, values and literals of a tree, in the order of the text."""
    if isinstance(tree, And | Or):
        yield from operands_of(tree.left)
        yield from operands_of(tree.right)
    elif isinstance(tree, Not):
        yield from operands_of(tree.condition)
    elif isinstance(tree, Path | Attribute | Value | Literal):
        yield tree
    else:
        for operand in _direct(tree):
            yield from operands_of(operand)


# ---- evaluation


@lru_cache(CACHED)
def _compiled(kind: str, text: str) -> tuple[Parsed[Tree], Test]:
    parsed = parse_condition(kind, text)
    return parsed, _test(parsed.tree)


def _test(tree: Tree) -> Test:
    if isinstance(tree, And):
        return _both(_test(tree.left), _test(tree.right))
    if isinstance(tree, Or):
        return _either(_test(tree.left), _test(tree.right))
    if isinstance(tree, Not):
        inner = _test(tree.condition)
        return lambda item, names, values: not inner(item, names, values)
    if isinstance(tree, Compare):
        return _comparison(tree.operator, read_operand(tree.left), read_operand(tree.right))
    if isinstance(tree, Between):
        return _between(read_operand(tree.operand), read_operand(tree.low), read_operand(tree.high))
    if isinstance(tree, In):
        return _in(read_operand(tree.operand), [read_operand(operand) for operand in tree.among])
    return _call(tree.function, [read_operand(argument) for argument in tree.arguments])


def _both(left: Test, right: Test) -> Test:
    return lambda item, names, values: left(item, names, values) and right(item, names, values)


def _either(left: Test, right: Test) -> Test:
    return lambda item, names, values: left(item, names, values) or right(item, names, values)


def _comparison(operator: str, left: Read, right: Read) -> Test:
    if operator == "=":

        def equal(item: TypedValue, names: Names, values: Values) -> bool:
            value = left(item, names, values)
            return value is not None and value == right(item, names, values)

        return equal
    if operator == "<>":

        def differ(item: TypedValue, names: Names, values: Values) -> bool:
            value = left(item, names, values)
            return value is None or value != right(item, names, values)

        return differ
    swapped, or_equal = operator[0] == ">", operator[-1] == "="

    def ordered(item: TypedValue, names: Names, values: Values) -> bool:
        a, b = left(item, names, values), right(item, names, values)
        if a is None or b is None:
            return False
        if swapped:
            a, b = b, a
        # a <= b is not b < a, where the two compare at all
        verdict = less(b, a) if or_equal else less(a, b)
        return verdict is not None and verdict is not or_equal

    return ordered


def _between(operand: Read, low: Read, high: Read) -> Test:
    def between(item: TypedValue, names: Names, values: Values) -> bool:
        value = operand(item, names, values)
        lower, upper = low(item, names, values), high(item, names, values)
        if value is None or lower is None or upper is None:
            return False
        return less(value, lower) is False and less(upper, value) is False

    return between


def _in(operand: Read, among: list[Read]) -> Test:
    def is_in(item: TypedValue, names: Names, values: Values) -> bool:
        value = operand(item, names, values)
        return value is not None and any(value == read(item, names, values) for read in among)

    return is_in


def _call(function: str, arguments: list[Read]) -> Test:
    first = arguments[0]
    if function == "attribute_exists":
        return lambda item, names, values: first(item, names, values) is not None
    if function == "attribute_not_exists":
        return lambda item, names, values: first(item, names, values) is None
    judge = {"attribute_type": _has_type, "begins_with": _begins, "contains": contains}[function]
    second = arguments[1]

    def call(item: TypedValue, names: Names, values: Values) -> bool:
        value, wanted = first(item, names, values), second(item, names, values)
        return value is not None and wanted is not None and judge(value, wanted)

    return call


def _has_type(value: TypedValue, wanted: TypedValue) -> bool:
    return "S" in wanted and wanted["S"] in value


def _begins(value: TypedValue, wanted: TypedValue) -> bool:
    kind, held = next(iter(value.items()))
    return kind in ("S", "B") and kind in wanted and bool(held.startswith(wanted[kind]))


def read_operand(operand: Operand) -> Read:
    """The function that gives an operand's value, None where there is none."""
    if isinstance(operand, Path):
        return _reader_of_path(operand)
    if isinstance(operand, Value):
        name = operand.name
        return lambda item, names, values: values[name]
    if isinstance(operand, Attribute):
        attribute = operand.name
        return lambda item, names, values: item.get(attribute)
    if isinstance(operand, Literal):
        literal = operand.value
        return lambda item, names, values: literal
    assert isinstance(operand, Call)
    inner = read_operand(operand.arguments[0])

    def size(item: TypedValue, names: Names, values: Values) -> TypedValue | None:
        value = inner(item, names, values)
        count = None if value is None else size_of(value)
        return None if count is None else {"N": str(count)}

    return size


def _reader_of_path(path: Path) -> Read:
    first = path.parts[0]
    assert isinstance(first, str)
    if len(path.parts) == 1:
        if first[0] == "#":
            return lambda item, names, values: item.get(names[first])
        return lambda item, names, values: item.get(first)
    return lambda item, names, values: value_at(item, path.resolved(names))


def value_at(item: TypedValue, parts: tuple[str | int, ...]) -> TypedValue | None:
    """The value at a path, None where there is none."""
    value = item.get(str(parts[0]))
    for part in parts[1:]:
        if value is None:
            return None
        if isinstance(part, int):
            elements = value.get("L")
            value = elements[part] if elements is not None and part < len(elements) else None
        else:
            members = value.get("M")
            value = members.get(part) if members is not None else None
    return value
