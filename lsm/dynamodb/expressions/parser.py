"""Text to tree: conditions, key conditions, projections and updates, by one grammar.

Guarantees: a syntax error is reported before everything else of the expression; then redundant parentheses, wherever
they are; then, in the order of the text, the first reserved word or unknown function; then the first call with too many
or too few operands. Results are cached by text. Rules 3.4.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Generic, TypeVar

from lsm.dynamodb.errors import ApiError
from lsm.dynamodb.expressions import faults
from lsm.dynamodb.expressions.groups import Group, runs
from lsm.dynamodb.expressions.lexer import Kind
from lsm.dynamodb.expressions.reader import KEYWORDS, Reader
from lsm.dynamodb.expressions.syntax import (
    Arithmetic,
    Between,
    Call,
    Compare,
    Condition,
    In,
    Operand,
    Path,
    UpdateClause,
)
from lsm.dynamodb.limits import EXPRESSION_BYTES, EXPRESSION_OPERATORS

__all__ = ["CACHED", "Parsed", "check_text", "parse_condition", "parse_projection", "parse_update"]

COMPARATORS = frozenset(("=", "<>", "<", "<=", ">", ">="))
ARGUMENTS = {
    "attribute_exists": 1,
    "attribute_not_exists": 1,
    "attribute_type": 2,
    "begins_with": 2,
    "contains": 2,
    "size": 1,
}
CONDITIONS = frozenset(ARGUMENTS) - {"size"}
OPERANDS = frozenset(("size",))
UPDATE_OPERANDS = frozenset(("if_not_exists", "list_append"))
SECTIONS = ("SET", "REMOVE", "ADD", "DELETE")
CACHED = 2048
T = TypeVar("T")
DEEPEST = 64
"""Calls and sums within each other."""


@dataclass(frozen=True, slots=True)
class Parsed(Generic[T]):
    """tree: what the text says. names, values: placeholders in the order of the text. operators: how many.

    by_value: whether the check of operands looks at values themselves and not only at their kinds.
    """

    tree: T
    names: tuple[str, ...]
    values: tuple[str, ...]
    operators: int
    text: str = ""
    by_value: bool = False


@lru_cache(CACHED)
def parse_condition(kind: str, text: str) -> Parsed[Condition]:
    """Of ConditionExpression, FilterExpression and KeyConditionExpression."""
    parser = _Parser(kind, text)
    return parser.whole(parser.condition())


@lru_cache(CACHED)
def parse_projection(text: str) -> Parsed[tuple[Path, ...]]:
    """Of ProjectionExpression."""
    parser = _Parser("ProjectionExpression", text)
    paths = [parser.path()]
    while parser.skip(","):
        paths.append(parser.path())
    return parser.whole(tuple(paths))


@lru_cache(CACHED)
def parse_update(text: str) -> Parsed[tuple[UpdateClause, ...]]:
    """Of UpdateExpression."""
    parser = _Parser("UpdateExpression", text)
    return parser.whole(parser.sections())


def check_text(kind: str, text: str, *, show_size: bool = False) -> None:
    """What is wrong with a text before it is parsed."""
    if not text:
        raise faults.empty(kind)
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > EXPRESSION_BYTES:
        raise faults.too_long(kind, size if show_size else None)


class _Parser(Reader):
    """One pass over one text."""

    def whole(self, tree: T) -> Parsed[T]:
        """The result, if the text ends here."""
        if self._token.kind is not Kind.END:
            raise self._wrong()
        for faults_of_a_kind in (self._redundant, self._faults, self._counts):
            if faults_of_a_kind:
                raise faults_of_a_kind[0]
        if self._operators > EXPRESSION_OPERATORS:
            # the service stops to count at the first that is too many
            count = EXPRESSION_OPERATORS + 1
            raise faults.invalid(self._kind, f"The expression contains too many operators; operator count: {count}")
        return Parsed(tree, tuple(self._names), tuple(self._values), self._operators, self._text, self._by_value)

    # ---- conditions

    def condition(self) -> Condition:
        """Conditions joined by OR, AND and NOT. Groups are on a list: a text may nest them as deep as it is long."""
        groups = [Group()]
        while True:
            while self._skip_word("NOT"):
                self._operators += 1
                groups[-1].nots += 1
            if self._token.text == "(" and not self._operand_in_parentheses():
                self._at += 1
                groups.append(Group())
                continue
            self._group = None
            node = self._comparison()
            self._group = None
            while not self._joins(groups[-1], node):
                whole = groups.pop().whole
                assert whole is not None
                if not groups:
                    return whole
                node = self._closed(whole)

    def _joins(self, group: Group, node: Condition) -> bool:
        """Adds a condition to its group; whether AND or OR follows, and with it another condition."""
        if group.nots or group.all_of is not None or group.any_of is not None:
            self._group = None
        conjoined = self._token.word() == "AND"
        if not group.add(node, conjoined) and self._token.word() != "OR":
            return False
        self._at += 1
        self._operators += 1
        self._group = None
        return True

    def _closed(self, node: T) -> T:
        """Steps over the end of a group; one that holds nothing but another group is redundant."""
        if self._group is node:
            self._redundant.append(faults.invalid(self._kind, "The expression has redundant parentheses;"))
        self._expect(")")
        self._group = node
        return node

    def _operand_in_parentheses(self) -> bool:
        """Whether the parenthesis that is next stands around an operand, not around a condition."""
        if not self._runs:
            self._runs = [runs(self._tokens, sign) for sign in "()"]
        opening, closing = self._runs
        inside = self._at + opening[self._at]
        if inside not in self._ends:
            self._ends[inside] = self._end_of_operand(inside)
        end = self._ends[inside]
        depth = opening[self._at]
        if end is None or closing[end] < depth:
            return False
        behind = self._tokens[end + depth]
        return behind.text in COMPARATORS or behind.word() in ("BETWEEN", "IN") or behind.text in (",", "+", "-")

    def _end_of_operand(self, at: int) -> int | None:
        """The token that closes the group in which the token `at` is the first; None where it is a condition."""
        opened = 0
        while self._tokens[at].kind is not Kind.END:
            text = self._tokens[at].text
            if text == ")" and opened == 0:
                return at
            if text in COMPARATORS or self._tokens[at].word() in KEYWORDS:
                return None
            opened += (text == "(") - (text == ")")
            at += 1
        return None

    def _comparison(self) -> Condition:
        operand = self._operand()
        token = self._token
        if token.text in COMPARATORS:
            self._at += 1
            self._operators += 1
            return Compare(token.text, self._plain(operand), self._plain(self._operand()))
        if self._skip_word("BETWEEN"):
            self._operators += 1
            self._by_value = True
            low = self._plain(self._operand())
            if not self._skip_word("AND"):
                raise self._wrong()
            return Between(self._plain(operand), low, self._plain(self._operand()))
        if self._skip_word("IN"):
            self._operators += 1
            return In(self._plain(operand), tuple(map(self._plain, self._operands())))
        if isinstance(operand, Call):
            if operand.function in OPERANDS:
                self._faults.append(self._misused(operand))
            return operand
        raise self._wrong()

    def _plain(self, operand: Operand) -> Operand:
        """An operand that has a value: functions that are conditions have none."""
        if isinstance(operand, Call) and operand.function in CONDITIONS:
            self._faults.append(self._misused(operand))
        return operand

    def _misused(self, call: Call) -> ApiError:
        return faults.invalid(
            self._kind, f"The function is not allowed to be used this way in an expression; function: {call.function}"
        )

    def _operands(self) -> list[Operand]:
        """Of a function or of IN, with their parentheses."""
        self._expect("(")
        operands = [self._operand()]
        while self.skip(","):
            operands.append(self._operand())
        self._expect(")")
        return operands

    def _operand(self) -> Operand:
        opened = 0
        while self.skip("("):
            opened += 1
        self._group = None
        operand = self._bare_operand()
        for _ in range(opened):
            operand = self._closed(operand)
        return operand

    def _bare_operand(self) -> Operand:
        token = self._token
        if token.kind is Kind.VALUE:
            return self._value()
        if token.kind is Kind.NAME and self._tokens[self._at + 1].text == "(" and token.word() not in KEYWORDS:
            return self._call()
        return self.path()

    def _call(self) -> Call:
        name = self._advance().text
        self._operators += 1
        self._by_value |= name == "attribute_type"
        in_update = self._kind == "UpdateExpression"
        if name not in CONDITIONS | OPERANDS | UPDATE_OPERANDS:
            self._faults.append(faults.bad_function(self._kind, name))
        elif (name in UPDATE_OPERANDS) != in_update:
            where = "an update" if in_update else "a condition"
            self._faults.append(
                faults.invalid(self._kind, f"The function is not allowed in {where} expression; function: {name}")
            )
        if self._tokens[self._at + 1].text == ")":
            self._at += 1
            raise self._wrong()
        place = len(self._counts)
        with self._deeper():
            arguments = tuple(map(self._plain, self._operands()))
        if ARGUMENTS.get(name, len(arguments)) != len(arguments):
            self._counts.insert(place, faults.operand_count(self._kind, name, len(arguments)))
        return Call(name, arguments)

    @contextmanager
    def _deeper(self) -> Iterator[None]:
        """Of what is read by recursion: nobody nests calls and sums as deep as Python could not follow."""
        self._depth += 1
        if self._depth > DEEPEST:
            raise self._wrong()
        yield
        self._depth -= 1

    # ---- updates

    def sections(self) -> tuple[UpdateClause, ...]:
        clauses: list[UpdateClause] = []
        seen: set[str] = set()
        while True:
            section = self._token.word()
            if section not in SECTIONS:
                raise self._wrong()
            self._at += 1
            if section in seen:
                self._faults.append(
                    faults.invalid(
                        self._kind, f'The "{section}" section can only be used once in an update expression;'
                    )
                )
            seen.add(section)
            clauses.append(self._clause(section))
            while self.skip(","):
                clauses.append(self._clause(section))
            if self._token.kind is Kind.END:
                return tuple(clauses)

    def _clause(self, section: str) -> UpdateClause:
        path = self.path()
        if section == "REMOVE":
            return UpdateClause(section, path, None)
        if section != "SET":
            return UpdateClause(section, path, self._value())
        self._expect("=")
        return UpdateClause(section, path, self._sum())

    def _sum(self) -> Operand:
        """One operand, or two with + or - between; parentheses may stand around it."""
        left = self._addend()
        sign = self._token.text
        if self._token.kind is Kind.SIGN and sign in ("+", "-"):
            self._at += 1
            self._operators += 1
            right = self._addend()
            self._group = None
            return Arithmetic(sign, left, right)
        return left

    def _addend(self) -> Operand:
        if not self.skip("("):
            return self._operand()
        self._group = None
        with self._deeper():
            return self._closed(self._sum())
