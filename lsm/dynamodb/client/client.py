"""The client: boto3's methods, arguments, answers and errors, on a Service in this process. Any thread."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from lsm.dynamodb.client.answers import metadata, with_times
from lsm.dynamodb.client.exceptions import Exceptions, client_error
from lsm.dynamodb.client.paginators import PAGINATORS, Paginator
from lsm.dynamodb.client.parameters import checked, top_level
from lsm.dynamodb.client.waiters import WAITERS, Waiter
from lsm.dynamodb.errors import ApiError
from lsm.dynamodb.model_data import OPERATIONS
from lsm.dynamodb.service import DATA, Service

__all__ = ["Client", "method_name"]


def method_name(operation: str) -> str:
    """put_item of PutItem."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", operation).lower()


class Client:
    """One method per operation: client.put_item(TableName=..., Item={"pk": {"S": "..."}}).

    Arguments are keywords, answers dicts with ResponseMetadata, as boto3 has them. Raises ClientError and its
    subclasses in `exceptions` as DynamoDB answers, ParamValidationError for arguments of wrong names or types.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self.exceptions = Exceptions()
        self.meta = SimpleNamespace(
            region_name=service.region,
            service_model=SimpleNamespace(service_name="dynamodb"),
            method_to_api_mapping={method_name(operation): operation for operation in OPERATIONS},
        )
        for operation in OPERATIONS:
            setattr(self, method_name(operation), self._method(operation))

    def __getattr__(self, name: str) -> Callable[..., dict[str, Any]]:
        raise AttributeError(f"a DynamoDB client has no {name!r}")

    def _method(self, operation: str) -> Callable[..., dict[str, Any]]:
        if operation in DATA:
            method = self._data_method(operation)
        else:

            def method(**request: Any) -> dict[str, Any]:
                answer = self._again(operation, request, None)
                answer["ResponseMetadata"] = metadata()
                return answer

        method.__name__ = method_name(operation)
        method.__doc__ = f"{operation}: arguments and answer as of boto3's method of this name."
        return method

    def _data_method(self, operation: str) -> Callable[..., dict[str, Any]]:
        """The request is tried as it is: its types are looked at only where that fails."""
        call, check = self._service.call, top_level(operation)

        def method(**request: Any) -> dict[str, Any]:
            check(request)
            try:
                answer = call(operation, request)
            except (ApiError, TypeError, ValueError, AttributeError, KeyError) as error:
                answer = self._again(operation, request, error)
            answer["ResponseMetadata"] = metadata()
            return answer

        return method

    def _again(self, operation: str, request: dict[str, Any], error: Exception | None) -> dict[str, Any]:
        """A look at every type of the request: of a control operation always, of the others where they failed.

        Only binaries that were not bytes are a reason to ask again what was refused.
        """
        typed = checked(operation, request)
        if error is not None and (typed == request or not isinstance(error, ApiError)) and not _has_views(request):
            if isinstance(error, ApiError):
                raise client_error(error, operation, self.exceptions, metadata(error.status)) from None
            raise error
        try:
            answer = self._service.call(operation, typed)
        except ApiError as refused:
            raise client_error(refused, operation, self.exceptions, metadata(refused.status)) from None
        return answer if operation in DATA else with_times(operation, answer)

    def get_paginator(self, operation_name: str) -> Paginator:
        """Of query, scan, list_tables or list_tags_of_resource."""
        if operation_name not in PAGINATORS:
            raise ValueError(f"Operation cannot be paginated: {operation_name}")
        return Paginator(getattr(self, operation_name), PAGINATORS[operation_name])

    def can_paginate(self, operation_name: str) -> bool:
        """Whether get_paginator takes it."""
        return operation_name in PAGINATORS

    def get_waiter(self, waiter_name: str) -> Waiter:
        """Of table_exists or table_not_exists."""
        if waiter_name not in WAITERS:
            raise ValueError(f"Waiter does not exist: {waiter_name}")
        return Waiter(waiter_name, self.describe_table, self._service.clock)

    @property
    def waiter_names(self) -> list[str]:
        """What get_waiter takes."""
        return list(WAITERS)

    def close(self) -> None:
        """Nothing to let go of: the connection owns the database."""


def _has_views(value: Any) -> bool:
    """Whether there is anything in it that stands for bytes and is none."""
    if isinstance(value, dict):
        return any(map(_has_views, value.values()))
    if isinstance(value, list | tuple):
        return isinstance(value, tuple) or any(map(_has_views, value))
    return not isinstance(value, str | int | float | bytes | None)
