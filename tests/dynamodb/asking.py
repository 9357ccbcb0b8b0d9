"""What the DynamoDB tests ask with: operations by name, tables and indexes in few words."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from children import HUNG_SECONDS

from lsm.dynamodb import ApiError


class Asker:
    """Calls operations; `refused` gives the code and text of an ApiError."""

    def __init__(self, service: Any) -> None:
        self.service = service

    def __call__(self, operation: str, **request: Any) -> Any:
        return self.service.call(operation, request)

    def refused(self, operation: str, **request: Any) -> tuple[str, str | None]:
        with pytest.raises(ApiError) as caught:
            self.service.call(operation, request)
        return caught.value.code, caught.value.message

    def fault(self, operation: str, **request: Any) -> str | None:
        """The text of a ValidationException."""
        code, message = self.refused(operation, **request)
        assert code == "ValidationException"
        return message

    def create(self, name: str, keys: str, attributes: str, **more: Any) -> Any:
        """keys "pk sk", attributes "pk:S sk:N"."""
        kinds = ("HASH", "RANGE")
        return self(
            "CreateTable",
            TableName=name,
            KeySchema=[{"AttributeName": n, "KeyType": k} for n, k in zip(keys.split(), kinds, strict=False)],
            AttributeDefinitions=[
                {"AttributeName": one.split(":")[0], "AttributeType": one.split(":")[1]} for one in attributes.split()
            ],
            **{"BillingMode": "PAY_PER_REQUEST", **more},
        )


def until_built(ask: Callable[..., Any], table: str, name: str = "") -> list[dict[str, Any]]:
    """The global indexes of a table, or the one of that name, described once they can be read."""
    end = time.monotonic() + HUNG_SECONDS
    while True:
        indexes = ask("DescribeTable", TableName=table)["Table"].get("GlobalSecondaryIndexes", [])
        found = [one for one in indexes if name in ("", one["IndexName"])]
        if (found or not name) and all(one["IndexStatus"] == "ACTIVE" for one in found):
            return found
        assert time.monotonic() < end, f"the index was never built: {found}"
        time.sleep(0.005)


def index(name: str, keys: str, projection: str = "ALL", **included: Any) -> dict[str, Any]:
    """keys "pk sk"."""
    kinds = ("HASH", "RANGE")
    return {
        "IndexName": name,
        "KeySchema": [{"AttributeName": n, "KeyType": k} for n, k in zip(keys.split(), kinds, strict=False)],
        "Projection": {"ProjectionType": projection, **included},
    }
