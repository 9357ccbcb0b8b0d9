"""Reading tokens: the parts that all expressions have, which are paths and values. For the parser alone, one text each.

Guarantees: a syntax error is raised at once; a fault that the service reports after those is kept, in the order of the
text.
"""

from __future__ import annotations

from lsm.dynamodb.errors import ApiError
from lsm.dynamodb.expressions import faults
from lsm.dynamodb.expressions.lexer import Kind, Token, near, tokens
from lsm.dynamodb.expressions.reserved import RESERVED
from lsm.dynamodb.expressions.syntax import Path, Value
from lsm.dynamodb.limits import LIST_INDEX, PATH_PARTS

__all__ = ["KEYWORDS", "Reader"]

KEYWORDS = frozenset(("AND", "OR", "NOT", "BETWEEN", "IN", "SET", "REMOVE", "ADD", "DELETE"))
"""No expression of any kind takes these as a bare name."""


class Reader:
    """Steps through the tokens of one text; what it finds wrong beside the syntax waits in three lists."""

    def __init__(self, kind: str, text: str) -> None:
        self._kind = kind
        self._text = text
        self._tokens = tokens(text)
        self._at = 0
        self._names: dict[str, None] = {}
        self._values: dict[str, None] = {}
        self._redundant: list[ApiError] = []
        self._faults: list[ApiError] = []
        self._counts: list[ApiError] = []
        self._operators = 0
        self._by_value = False
        self._group: object = None  # the node that stood in the pair of parentheses closed last
        self._depth = 0
        self._runs: list[list[int]] = []
        self._ends: dict[int, int | None] = {}

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

    # ---- paths and values

    def path(self) -> Path:
        parts: list[str | int] = [self._name()]
        while True:
            if self.skip("."):
                parts.append(self._name())
            elif self.skip("["):
                if self._token.kind is not Kind.NUMBER:
                    raise self._wrong()
                parts.append(self._index())
                self._expect("]")
            else:
                break
        if len(parts) > PATH_PARTS:
            self._faults.append(
                faults.invalid(
                    self._kind, f"The document path has too many nesting levels; nesting levels: {len(parts)}"
                )
            )
        return Path(tuple(parts))

    def _index(self) -> int:
        text = self._advance().text
        if len(text) > 10 or int(text) > LIST_INDEX:
            self._faults.append(
                faults.invalid(self._kind, f"List index is not within the allowable range; index: [{text}]")
            )
            return LIST_INDEX
        return int(text)

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
