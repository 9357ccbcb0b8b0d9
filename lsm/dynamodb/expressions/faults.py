"""The words for what can be wrong with an expression. Each is a ValidationException without envelope; rules 3.4."""

from __future__ import annotations

from typing import Any

from lsm.dynamodb.errors import ApiError, validation

__all__ = [
    "bad_function",
    "bounds",
    "distinct",
    "empty",
    "invalid",
    "operand_count",
    "operand_type",
    "syntax",
    "too_long",
    "undefined_name",
    "undefined_value",
]


def invalid(kind: str, text: str) -> ApiError:
    """`kind` is the parameter, such as ConditionExpression."""
    return validation(f"Invalid {kind}: {text}")


def empty(kind: str) -> ApiError:
    return invalid(kind, "The expression can not be empty;")


def too_long(kind: str, size: int | None = None) -> ApiError:
    tail = "" if size is None else f" expression size: {size}"
    return invalid(kind, f"Expression size has exceeded the maximum allowed size;{tail}")


def syntax(kind: str, token: str, near: str) -> ApiError:
    return invalid(kind, f'Syntax error; token: "{token}", near: "{near}"')


def bad_function(kind: str, name: str) -> ApiError:
    return invalid(kind, f"Invalid function name; function: {name}")


def undefined_name(kind: str, name: str) -> ApiError:
    return invalid(
        kind, f"An expression attribute name used in the document path is not defined; attribute name: {name}"
    )


def undefined_value(kind: str, name: str) -> ApiError:
    return invalid(kind, f"An expression attribute value used in expression is not defined; attribute value: {name}")


def operand_type(kind: str, operator: str, found: str) -> ApiError:
    return invalid(
        kind,
        f"Incorrect operand type for operator or function; operator or function: {operator}, operand type: {found}",
    )


def operand_count(kind: str, function: str, count: int) -> ApiError:
    return invalid(
        kind,
        "Incorrect number of operands for operator or function; "
        f"operator or function: {function}, number of operands: {count}",
    )


def needs_path(kind: str, function: str) -> ApiError:
    return invalid(kind, f"Operator or function requires a document path; operator or function: {function}")


def bounds(low: dict[str, Any], high: dict[str, Any]) -> str:
    """The bounds of a BETWEEN, as its faults show them."""
    return f"lower bound operand: AttributeValue: {_shown(low)}, upper bound operand: AttributeValue: {_shown(high)}"


def _shown(value: dict[str, Any]) -> str:
    kind, held = next(iter(value.items()))
    if kind == "B":
        held = f"java.nio.HeapByteBuffer[pos=0 lim={len(held)} cap={len(held)}]"
    return f"{{{kind}:{held}}}"


def distinct(kind: str, operator: str, path: str) -> ApiError:
    return invalid(
        kind,
        "The first operand must be distinct from the remaining operands for this operator or function; "
        f"operator: {operator}, first operand: {path}",
    )
