"""What the DynamoDB tests ask with: operations by name, tables and indexes in few words."""

from __future__ import annotations

import time
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

    def until_built(self, table: str) -> None:
        """Returns when all indexes of the table can be read."""
        end = time.monotonic() + HUNG_SECONDS
        while any(
            one["IndexStatus"] != "ACTIVE"
            for one in self("DescribeTable", TableName=table)["Table"].get("GlobalSecondaryIndexes", [])
        ):
            assert time.monotonic() < end, "the index was never built"
            time.sleep(0.005)


def index(name: str, keys: str, projection: str = "ALL", **included: Any) -> dict[str, Any]:
    """keys "pk sk"."""
    kinds = ("HASH", "RANGE")
    return {
        "IndexName": name,
        "KeySchema": [{"AttributeName": n, "KeyType": k} for n, k in zip(keys.split(), kinds, strict=False)],
        "Projection": {"ProjectionType": projection, **included},
    }
