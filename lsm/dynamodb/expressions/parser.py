"""Text to tree: conditions, key conditions, projections and updates, by one grammar.

Guarantees: a syntax error is reported before everything else of the expression; then, in the order of the text, the
first reserved word, unknown function or redundant pair of parentheses. Results are cached by text. Rules 3.4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Generic, TypeVar

from lsm.dynamodb.errors import ApiError
from lsm.dynamodb.expressions import faults
from lsm.dynamodb.expressions.lexer import Kind, Token, near, tokens
from lsm.dynamodb.expressions.reserved import RESERVED
from lsm.dynamodb.expressions.syntax import (
    And,
    Arithmetic,
    Between,
    Call,
    Compare,
    Condition,
    In,
    Not,
    Operand,
    Or,
    Path,
    UpdateClause,
    Value,
)
from lsm.dynamodb.limits import EXPRESSION_BYTES, EXPRESSION_OPERATORS

__all__ = ["CACHED", "Parsed", "check_text", "parse_condition", "parse_projection", "parse_update"]

COMPARATORS = frozenset(("=", "<>", "<", "<=", ">", ">="))
CONDITIONS = frozenset(("attribute_exists", "attribute_not_exists", "attribute_type", "begins_with", "contains"))
OPERANDS = frozenset(("size",))
UPDATE_OPERANDS = frozenset(("if_not_exists", "list_append"))
SECTIONS = ("SET", "REMOVE", "ADD", "DELETE")
CACHED = 2048
T = TypeVar("T")
KEYWORDS = frozenset(("AND", "OR", "NOT", "BETWEEN", "IN"))


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
    return parser.whole(parser.any_of())


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


class _Parser:
    """One pass over one text."""

    def __init__(self, kind: str, text: str) -> None:
        self._kind = kind
        self._text = text
        self._tokens = tokens(text)
        self._at = 0
        self._names: dict[str, None] = {}
        self._values: dict[str, None] = {}
        self._faults: list[ApiError] = []
        self._operators = 0
        self._by_value = False
        self._group: object = None  # the node that stood in the pair of parentheses closed last

    # ---- tokens

    @property
    def _token(self) -> Token:
        return self._tokens[self._at]

    def _wrong(self) -> ApiError:
        return faults.syntax(self._kind, self._token.text, near(self._text, self._tokens, self._at))

    def _advance(self) -> Token:
        token = self._token
        self._at += 1
        return token

    def skip(self, sign: str) -> bool:
        """Steps over a sign if it is the next token."""
        if self._token.kind is Kind.SIGN and self._token.text == sign:
            self._at += 1
            return True
        return False

    def _expect(self, sign: str) -> None:
        if not self.skip(sign):
            raise self._wrong()

    def _skip_word(self, word: str) -> bool:
        if self._token.word() == word:
            self._at += 1
            return True
        return False

    def whole(self, tree: T) -> Parsed[T]:
        """The result, if the text ends here."""
        if self._token.kind is not Kind.END:
            raise self._wrong()
        if self._faults:
            raise self._faults[0]
        if self._operators > EXPRESSION_OPERATORS:
            raise faults.invalid(
                self._kind, f"The expression contains too many operators; operator count: {self._operators}"
            )
        return Parsed(tree, tuple(self._names), tuple(self._values), self._operators, self._text, self._by_value)

    # ---- paths and values

    def path(self) -> Path:
        parts: list[str | int] = [self._name()]
        while True:
            if self.skip("."):
                parts.append(self._name())
            elif self.skip("["):
                if self._token.kind is not Kind.NUMBER:
                    raise self._wrong()
                parts.append(int(self._advance().text))
                self._expect("]")
            else:
                return Path(tuple(parts))

    def _name(self) -> str:
        token = self._token
        if token.kind is Kind.PLACE:
            self._names[token.text] = None
        elif token.kind is not Kind.NAME or token.word() in KEYWORDS:
            raise self._wrong()
        elif token.text.upper() in RESERVED:
            self._faults.append(
                faults.invalid(self._kind, f"Attribute name is a reserved keyword; reserved keyword: {token.text}")
            )
        return self._advance().text

    def _value(self) -> Value:
        if self._token.kind is not Kind.VALUE:
            raise self._wrong()
        name = self._advance().text
        self._values[name] = None
        return Value(name)

    # ---- conditions

    def any_of(self) -> Condition:
        left = self._all_of()
        while self._skip_word("OR"):
            self._operators += 1
            self._group = None
            left = Or(left, self._all_of())
            self._group = None
        return left

    def _all_of(self) -> Condition:
        left = self._negated()
        while self._skip_word("AND"):
            self._operators += 1
            self._group = None
            left = And(left, self._negated())
            self._group = None
        return left

    def _negated(self) -> Condition:
        if self._skip_word("NOT"):
            self._operators += 1
            condition = Not(self._negated())
            self._group = None
            return condition
        if self._token.text == "(" and not self._operand_in_parentheses():
            return self._in_parentheses(self.any_of)
        return self._comparison()

    def _in_parentheses(self, inner: Callable[[], T]) -> T:
        self._expect("(")
        self._group = None
        node = inner()
        if self._group is node:
            self._faults.append(faults.invalid(self._kind, "The expression has redundant parentheses;"))
        self._expect(")")
        self._group = node
        return node

    def _operand_in_parentheses(self) -> bool:
        """Whether the parenthesis that is next stands around an operand, not around a condition."""
        depth, at = 0, self._at
        while self._tokens[at].text == "(":
            depth += 1
            at += 1
        opened = 0
        while self._tokens[at].kind is not Kind.END:
            text = self._tokens[at].text
            if text == ")" and opened == 0:
                break
            if text in COMPARATORS or self._tokens[at].word() in ("AND", "OR", "NOT", "BETWEEN", "IN"):
                return False
            opened += (text == "(") - (text == ")")
            at += 1
        while self._tokens[at].text == ")" and depth:
            depth -= 1
            at += 1
        behind = self._tokens[at]
        follows = behind.text in COMPARATORS or behind.word() in ("BETWEEN", "IN") or behind.text in (",", "+", "-")
        return depth == 0 and follows

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
        if isinstance(operand, Call) and operand.function not in OPERANDS | UPDATE_OPERANDS:
            return operand
        raise self._wrong()

    def _plain(self, operand: Operand) -> Operand:
        """An operand that has a value: functions that are conditions have none."""
        if isinstance(operand, Call) and operand.function in CONDITIONS:
            self._faults.append(
                faults.invalid(
                    self._kind,
                    f"The function is not allowed to be used this way in an expression; function: {operand.function}",
                )
            )
        return operand

    def _operands(self) -> list[Operand]:
        """Of a function or of IN, with their parentheses."""
        self._expect("(")
        operands = [self._operand()]
        while self.skip(","):
            operands.append(self._operand())
        self._expect(")")
        return operands

    def _operand(self) -> Operand:
        token = self._token
        if token.text == "(":
            operand = self._in_parentheses(self._operand)
            return operand
        self._group = None
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
        return Call(name, tuple(self._operands()))

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
        left = self._in_parentheses(self._sum) if self._token.text == "(" else self._operand()
        sign = self._token.text
        if self._token.kind is Kind.SIGN and sign in ("+", "-"):
            self._at += 1
            self._operators += 1
            right = self._in_parentheses(self._sum) if self._token.text == "(" else self._operand()
            self._group = None
            return Arithmetic(sign, left, right)
        return left
