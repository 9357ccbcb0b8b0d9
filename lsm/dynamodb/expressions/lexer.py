"""Tokens of an expression, and the text around a token that a syntax error shows.

Guarantees: every text gives tokens; a character that no token can hold is a token of its own, of kind BAD. No state.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import NamedTuple

__all__ = ["Kind", "Token", "near", "tokens"]


class Kind(Enum):
    """NAME: a bare word. PLACE: #name. VALUE: :value. END: behind the last token."""

    NAME = 1
    PLACE = 2
    VALUE = 3
    NUMBER = 4
    SIGN = 5
    BAD = 6
    END = 7


class Token(NamedTuple):
    kind: Kind
    text: str
    begin: int
    end: int

    def word(self) -> str:
        """In upper case where it is a bare word, else nothing: keywords may be in any case."""
        return self.text.upper() if self.kind is Kind.NAME else ""


# A number has no leading zero: in [01] the 0 and the 1 are two tokens. A bare name begins with a letter: the _ of _id
# is a token of its own, which nothing takes.
PATTERN = re.compile(
    r"[ \t\r\n]*(?:(?P<NAME>[A-Za-z][A-Za-z0-9_]*)|(?P<PLACE>\#[A-Za-z0-9_]+)|(?P<VALUE>:[A-Za-z0-9_]+)"
    r"|(?P<NUMBER>0|[1-9][0-9]*)|(?P<SIGN><>|<=|>=|[=<>()\[\],.+-])|(?P<BAD>[^ \t\r\n]))"
)


def tokens(text: str) -> list[Token]:
    """All tokens, END last."""
    found = []
    position = 0
    while (match := PATTERN.match(text, position)) is not None:
        kind = Kind[match.lastgroup or "BAD"]
        position = match.end()
        found.append(Token(kind, match[match.lastgroup or 0], match.start(match.lastgroup or 0), position))
    found.append(Token(Kind.END, "<EOF>", len(text), len(text)))
    return found


def near(text: str, all_tokens: list[Token], index: int) -> str:
    """From the token before to the token behind; at the end the last token alone; of blanks the blanks."""
    if len(all_tokens) == 1:
        return text
    last = len(all_tokens) - 2
    if index > last:
        return all_tokens[last].text
    return text[all_tokens[max(index - 1, 0)].begin : all_tokens[min(index + 1, last)].end]
