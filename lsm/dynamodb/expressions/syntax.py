"""The tree of an expression, as parsed: placeholders are not replaced yet, so one tree serves all requests.

Immutable. A path's parts are names (str, with # where it is a placeholder) and list indexes (int).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

__all__ = [
    "And",
    "Arithmetic",
    "Attribute",
    "Between",
    "Call",
    "Compare",
    "Condition",
    "In",
    "Literal",
    "Not",
    "Operand",
    "Or",
    "Parts",
    "Path",
    "UpdateClause",
    "Value",
    "show_path",
]

Parts: TypeAlias = tuple[str | int, ...]
Names: TypeAlias = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Path:
    parts: Parts

    def resolved(self, names: Names) -> Parts:
        """With the names that the placeholders stand for; one that is not defined stands for itself."""
        return tuple(names.get(p, p) if isinstance(p, str) and p[0] == "#" else p for p in self.parts)


@dataclass(frozen=True, slots=True)
class Attribute:
    """A top-level attribute by its own name, of a legacy parameter: nothing in it is a placeholder."""

    name: str


@dataclass(frozen=True, slots=True)
class Value:
    """A placeholder such as :v."""

    name: str


@dataclass(frozen=True, slots=True)
class Literal:
    """A typed value itself, of a legacy parameter; not hashed: its dicts are not."""

    value: Any


@dataclass(frozen=True, slots=True)
class Call:
    """A function; `size`, `if_not_exists` and `list_append` are operands, the others conditions."""

    function: str
    arguments: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """operator: + or -."""

    operator: str
    left: Operand
    right: Operand


Operand: TypeAlias = Path | Attribute | Value | Literal | Call | Arithmetic


@dataclass(frozen=True, slots=True)
class Compare:
    operator: str
    left: Operand
    right: Operand


@dataclass(frozen=True, slots=True)
class Between:
    operand: Operand
    low: Operand
    high: Operand


@dataclass(frozen=True, slots=True)
class In:
    operand: Operand
    among: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class And:
    left: Condition
    right: Condition


@dataclass(frozen=True, slots=True)
class Or:
    left: Condition
    right: Condition


@dataclass(frozen=True, slots=True)
class Not:
    condition: Condition


Condition: TypeAlias = Compare | Between | In | Call | And | Or | Not


@dataclass(frozen=True, slots=True)
class UpdateClause:
    """section: SET, REMOVE, ADD or DELETE; operand None for REMOVE."""

    section: str
    path: Path
    operand: Operand | None


def show_path(parts: Parts) -> str:
    """As messages print it: [a, b], [l, [0]]."""
    return "[" + ", ".join(f"[{p}]" if isinstance(p, int) else p for p in parts) + "]"
