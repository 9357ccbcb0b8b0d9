"""What an operation answers when it does not do what was asked: one class, with the service's code and words.

Every front door turns an ApiError into its own form (an exception class, a JSON body). Raised anywhere in this package;
a fault of the engine (a full disk, a poisoned database) is not an ApiError and passes through as it is.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "ENVELOPE",
    "ApiError",
    "conditional_check_failed",
    "enveloped",
    "resource_in_use",
    "resource_not_found",
    "serialization",
    "table_not_found",
    "validation",
]

ENVELOPE = "1 validation error detected: "


class ApiError(Exception):
    """code: without prefix, such as ValidationException. members: what the answer carries beside code and message.

    message None: the answer carries no text at all.
    """

    def __init__(self, code: str, message: str | None, status: int = 400, **members: Any) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.status = status
        self.members = members

    def __str__(self) -> str:
        return self.code if self.message is None else f"{self.code}: {self.message}"


def validation(message: str, *, envelope: bool = False) -> ApiError:
    """A ValidationException; in the envelope where `envelope` says so."""
    return ApiError("ValidationException", ENVELOPE + message if envelope else message)


def enveloped(message: str) -> ApiError:
    """A ValidationException whose text stands behind `1 validation error detected: `."""
    return validation(message, envelope=True)


def serialization(message: str | None = None) -> ApiError:
    """The request's JSON has not the shape that the operation takes."""
    return ApiError("SerializationException", message)


def conditional_check_failed(item: Any = None) -> ApiError:
    """A failed condition; `item` as the front door renders it, None where the answer carries none."""
    members = {} if item is None else {"Item": item}
    return ApiError("ConditionalCheckFailedException", "The conditional request failed", **members)


def resource_not_found() -> ApiError:
    """A table that is not there, on the data plane."""
    return ApiError("ResourceNotFoundException", "Requested resource not found")


def table_not_found(name: str) -> ApiError:
    """A table that is not there, on the control plane."""
    return ApiError("ResourceNotFoundException", f"Requested resource not found: Table: {name} not found")


def resource_in_use(message: str) -> ApiError:
    """A table that exists already, or is being changed."""
    return ApiError("ResourceInUseException", message)
