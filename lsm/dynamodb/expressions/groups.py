"""Parentheses in a condition: what stands between a pair as far as it was read, and runs of them. No state."""

from __future__ import annotations

from dataclasses import dataclass

from lsm.dynamodb.expressions.lexer import Token
from lsm.dynamodb.expressions.syntax import And, Condition, Not, Or

__all__ = ["Group", "runs"]


@dataclass(slots=True)
class Group:
    """Conditions between one pair of parentheses, or of the whole text, as far as they were read."""

    nots: int = 0
    all_of: Condition | None = None
    any_of: Condition | None = None

    def add(self, node: Condition, conjoined: bool) -> bool:
        """`conjoined`: AND follows, which this returns."""
        for _ in range(self.nots):
            node = Not(node)
        self.nots = 0
        node = node if self.all_of is None else And(self.all_of, node)
        if conjoined:
            self.all_of = node
            return True
        self.all_of = None
        self.any_of = node if self.any_of is None else Or(self.any_of, node)
        return False

    @property
    def whole(self) -> Condition | None:
        return self.any_of


def runs(all_tokens: list[Token], sign: str) -> list[int]:
    """For every token how many of a sign there are from it on, without another between."""
    lengths = [0] * (len(all_tokens) + 1)
    for at in range(len(all_tokens) - 1, -1, -1):
        if all_tokens[at].text == sign:
            lengths[at] = lengths[at + 1] + 1
    return lengths
