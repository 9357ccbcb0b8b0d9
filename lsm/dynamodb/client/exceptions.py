"""The exceptions of the client, named and filled as botocore's are: code that catches those by name finds these."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lsm.dynamodb.errors import ApiError
from lsm.dynamodb.model_data import SHAPES

__all__ = ["ClientError", "Exceptions", "ParamValidationError", "WaiterError", "client_error", "error_response"]


class ClientError(Exception):
    """What an operation answered instead of doing what was asked. response: {"Error": {"Code", "Message"}, ...}."""

    def __init__(self, error_response: dict[str, Any], operation_name: str) -> None:
        error = error_response.get("Error", {})
        code, message = error.get("Code", "Unknown"), error.get("Message", "Unknown")
        super().__init__(f"An error occurred ({code}) when calling the {operation_name} operation: {message}")
        self.response = error_response
        self.operation_name = operation_name


class ParamValidationError(Exception):
    """A request whose members have wrong names or Python types; nothing was asked of the database."""

    def __init__(self, report: str) -> None:
        super().__init__(f"Parameter validation failed:\n{report}")
        self.kwargs = {"report": report}


class WaiterError(Exception):
    """What a waiter waited for did not come."""

    def __init__(self, name: str, reason: str, last_response: dict[str, Any]) -> None:
        super().__init__(f"Waiter {name} failed: {reason}")
        self.last_response = last_response


class Exceptions:
    """`client.exceptions`: ClientError, and a subclass of it for every error of the service model."""

    def __init__(self) -> None:
        self.ClientError = ClientError
        self._classes: dict[str, type[ClientError]] = {
            name: type(name, (ClientError,), {"__doc__": f"{name}, as DynamoDB answers it."})
            for name, shape in SHAPES.items()
            if shape.get("exception")
        }

    def __getattr__(self, name: str) -> type[ClientError]:
        try:
            return self._classes[name]
        except KeyError:
            known = ", ".join(sorted(self._classes))
            raise AttributeError(f"{name} is no error of DynamoDB; valid exceptions are: {known}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._classes)

    def from_code(self, code: str) -> type[ClientError]:
        """The class of a code; ClientError itself for one that the model does not know."""
        return self._classes.get(code, ClientError)


def error_response(error: ApiError, metadata: dict[str, Any]) -> dict[str, Any]:
    """An ApiError as botocore parses it from the wire."""
    message = error.message or ""
    response: dict[str, Any] = {"Error": {"Message": message, "Code": error.code}, "ResponseMetadata": metadata}
    if error.message is not None and "message" in SHAPES.get(error.code, {}).get("members", {}):
        response["message"] = message
    elif error.message is not None and "Message" in SHAPES.get(error.code, {}).get("members", {}):
        response["Message"] = message
    response.update(error.members)
    return response


def client_error(error: ApiError, operation: str, exceptions: Exceptions, metadata: dict[str, Any]) -> ClientError:
    """An ApiError as the client raises it."""
    return exceptions.from_code(error.code)(error_response(error, metadata), operation)
