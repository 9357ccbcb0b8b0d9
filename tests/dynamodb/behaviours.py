"""What the tests of observed behaviours share: boto3 without its own checks, raw JSON, and tables of every shape.

A refused request must leave the database as it was: `refused` sees to it that no commit was made.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from lsm.dynamodb import ApiError, boto3_session
from lsm.dynamodb.wire import decode_request

INVALID = "One or more parameter values were invalid: "
NOT_VALID = "One or more parameter values are not valid. "
FAILED = "failed to satisfy constraint: Member must"
NESTED = (
    "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit"
)
MISMATCH = "The provided key element does not match the schema"
NOT_FOUND = ("ResourceNotFoundException", "Requested resource not found")


def env(*faults: str) -> str:
    """Faults behind the words that count them."""
    return f"{len(faults)} validation error{'s' if len(faults) > 1 else ''} detected: {'; '.join(faults)}"


class World:
    """One database in memory behind an unmodified boto3 client whose own validation of parameters is off."""

    def __init__(self) -> None:
        self.session = boto3_session(":memory:")
        self.client = self.session.client("dynamodb", config=Config(parameter_validation=False))
        self.service = self.session.lsm.service

    def __call__(self, operation: str, **request: Any) -> dict[str, Any]:
        """The answer, without its metadata."""
        answer = self.client._make_api_call(operation, request)
        assert answer.pop("ResponseMetadata")["HTTPStatusCode"] == 200
        return answer

    def refused(self, operation: str, request: dict[str, Any]) -> tuple[str, str]:
        before = self.service.database.last_sequence
        with pytest.raises(ClientError) as caught:
            self.client._make_api_call(operation, request)
        assert self.service.database.last_sequence == before, "a refused request wrote something"
        error = caught.value.response["Error"]
        return error["Code"], error["Message"]

    def raw(self, operation: str, body: str) -> dict[str, Any]:
        return self.service.call(operation, decode_request(operation, json.loads(body)))

    def raw_refused(self, operation: str, body: str) -> tuple[str, str | None]:
        before = self.service.database.last_sequence
        with pytest.raises(ApiError) as caught:
            self.raw(operation, body)
        assert self.service.database.last_sequence == before, "a refused request wrote something"
        return caught.value.code, caught.value.message

    def create(self, name: str, keys: str, attributes: str, **more: Any) -> dict[str, Any]:
        return self("CreateTable", **table(name, keys, attributes, **more))["TableDescription"]


def schema(keys: str) -> list[dict[str, str]]:
    """`pk sk`: partition and sort key; `a b | c d`: several of each."""
    parts = keys.split("|") if "|" in keys else [*keys.split(maxsplit=1), ""][:2]
    return [
        {"AttributeName": name, "KeyType": kind}
        for kind, names in zip(("HASH", "RANGE"), parts, strict=True)
        for name in names.split()
    ]


def definitions(attributes: str) -> list[dict[str, str]]:
    """`pk:S sk:N`."""
    return [dict(zip(("AttributeName", "AttributeType"), one.split(":"), strict=True)) for one in attributes.split()]


def table(name: str, keys: str, attributes: str, **more: Any) -> dict[str, Any]:
    """A CreateTable request."""
    return {
        "TableName": name,
        "KeySchema": schema(keys),
        "AttributeDefinitions": definitions(attributes),
        "BillingMode": "PAY_PER_REQUEST",
        **more,
    }


def index(name: str, keys: str, projection: str = "ALL", **more: Any) -> dict[str, Any]:
    return {"IndexName": name, "KeySchema": schema(keys), "Projection": {"ProjectionType": projection, **more}}


def deep(levels: int) -> dict[str, Any]:
    """A leaf inside so many lists."""
    value: dict[str, Any] = {"S": "leaf"}
    for _ in range(levels):
        value = {"L": [value]}
    return value


def make_tables(world: World) -> None:
    """hash: pk S. pair: pk S, sk N with indexes of every projection. words: pk S, sk S. bytes: pk S, sk B."""
    world.create("hash", "pk", "pk:S")
    world.create("words", "pk sk", "pk:S sk:S")
    world.create("bytes", "pk sk", "pk:S sk:B")
    world.create("number", "pk", "pk:N")
    world.create(
        "pair",
        "pk sk",
        "pk:S sk:N gh:S gr:N l1:S l2:S",
        GlobalSecondaryIndexes=[
            index("g-all", "gh gr"),
            index("g-inc", "gh", "INCLUDE", NonKeyAttributes=["x"]),
            index("g-keys", "gh gr", "KEYS_ONLY"),
        ],
        LocalSecondaryIndexes=[
            index("l-all", "pk l1"),
            index("l-inc", "pk l2", "INCLUDE", NonKeyAttributes=["x"]),
        ],
    )
    world.create(
        "multi",
        "id",
        "id:S a:S b:N c:S d:N e:B",
        GlobalSecondaryIndexes=[index("many", "a b | c d e"), index("ranges", "a | c d")],
    )


def make_world() -> World:
    world = World()
    make_tables(world)
    return world
