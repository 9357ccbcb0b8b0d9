"""What is timed: one function per operation, which makes a client's calls; a client has boto3's methods."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.dynamodb.items import PER_COLLECTION, TABLE, Item, key

__all__ = ["WORKLOADS", "Workload"]

Make = Callable[[int], Item]
Client = Any
TRANSACTED = 4
GOTTEN = 100
WRITTEN = 25


@dataclass(frozen=True)
class Workload:
    """items: how many one call handles, which the round trip beside it also handles. run: call number n.

    aim, least: times of the round trip of these items that it may take; None where only peers are compared.
    """

    name: str
    items: int
    run: Callable[[Client, Make, int], None]
    aim: float | None = None
    least: float | None = None


def _get(client: Client, make: Make, number: int) -> None:
    client.get_item(TableName=TABLE, Key=key(number))


def _put(client: Client, make: Make, number: int) -> None:
    client.put_item(TableName=TABLE, Item=make(number))


def _update(client: Client, make: Make, number: int) -> None:
    client.update_item(
        TableName=TABLE,
        Key=key(number),
        UpdateExpression="SET age = age + :one",
        ConditionExpression="attribute_exists(pk)",
        ExpressionAttributeValues={":one": {"N": "1"}},
    )


def _query(client: Client, make: Make, number: int) -> None:
    answer = client.query(
        TableName=TABLE,
        KeyConditionExpression="pk = :p",
        ExpressionAttributeValues={":p": key(number)["pk"]},
    )
    assert answer["Count"] == PER_COLLECTION


def _batch_write(client: Client, make: Make, number: int) -> None:
    requests = [{"PutRequest": {"Item": make(number + one)}} for one in range(WRITTEN)]
    client.batch_write_item(RequestItems={TABLE: requests})


def _batch_get(client: Client, make: Make, number: int) -> None:
    answer = client.batch_get_item(RequestItems={TABLE: {"Keys": [key(number + one) for one in range(GOTTEN)]}})
    assert len(answer["Responses"][TABLE]) == GOTTEN


def _transact(client: Client, make: Make, number: int) -> None:
    actions = [{"Put": {"TableName": TABLE, "Item": make(number + one)}} for one in range(TRANSACTED)]
    client.transact_write_items(TransactItems=actions)


WORKLOADS = (
    Workload("GetItem", 1, _get, 1.0, 2.0),
    Workload("PutItem", 1, _put, 1.5, 3.0),
    Workload("UpdateItem, condition", 1, _update),
    Workload("Query of 50", PER_COLLECTION, _query, 1.0, 1.5),
    Workload("BatchWriteItem of 25", WRITTEN, _batch_write),
    Workload("BatchGetItem of 100", GOTTEN, _batch_get),
    Workload("TransactWriteItems of 4", TRANSACTED, _transact),
)


def round_trip(items: list[Item]) -> None:
    """The yardstick: these items to JSON and back."""
    for item in items:
        json.loads(json.dumps(item))
