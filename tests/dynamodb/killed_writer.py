"""A process that writes through the DynamoDB layer and acknowledges each call, until somebody kills it.

Run as `python killed_writer.py write PATH DURABILITY ROUND` or `python killed_writer.py backfill PATH`. An
acknowledgement is 16 bytes: writer and number of the call that returned. Verified by `test_kill.py`, which knows from
`calls` what every call writes.
"""

from __future__ import annotations

import os
import struct
import sys
import threading
import time
from typing import Any

from dynamodb.asking import Asker, index
from lsm.dynamodb import connect

ACK = struct.Struct("<QQ")
WRITERS = 3
ITEMS, HALFWAY = 1500, 700


def key(pk: str, sk: int) -> dict[str, Any]:
    return {"pk": {"S": pk}, "sk": {"N": str(sk)}}


def item(writer: int, number: int) -> dict[str, Any]:
    return {
        **key(f"w{writer}", number),
        "group": {"S": f"g{number % 3}"},
        "title": {"S": f"t{number % 5}"},
        "pad": {"S": "x" * (writer * 31 + number * 17 % 300)},
    }


def counter(writer: int, name: str, **more: Any) -> dict[str, Any]:
    return {
        "TableName": "items",
        "Key": key(f"{name}{writer}", 0),
        "UpdateExpression": "ADD n :one",
        "ExpressionAttributeValues": {":one": {"N": "1"}, **more.pop("values", {})},
        **more,
    }


def transaction(writer: int, number: int) -> dict[str, Any]:
    """Two tables and a counter, under a token of its own."""
    return {
        "ClientRequestToken": f"{writer}-{number}",
        "TransactItems": [
            {"Put": {"TableName": "items", "Item": item(writer, number)}},
            {"Put": {"TableName": "other", "Item": {"pk": {"S": f"{writer}-{number}"}}}},
            {"Update": counter(writer, "transacted")},
        ],
    }


def call(writer: int, number: int) -> tuple[str, dict[str, Any]]:
    """The operation and request of a writer's call: known from its number alone."""
    turn = number // 4
    if number % 4 == 0:
        return "PutItem", {"TableName": "items", "Item": item(writer, number)}
    if number % 4 == 1:
        condition = "n = :known" if turn else "attribute_not_exists(n)"
        values = {":known": {"N": str(turn)}} if turn else {}
        return "UpdateItem", counter(writer, "single", values=values, ConditionExpression=condition)
    if number % 4 == 2:
        return "TransactWriteItems", transaction(writer, number)
    # moves one item to another group, and removes every other one put before
    if turn % 2:
        return "DeleteItem", {"TableName": "items", "Key": key(f"w{writer}", number - 3)}
    return "UpdateItem", {
        "TableName": "items",
        "Key": key(f"w{writer}", number - 3),
        "UpdateExpression": "SET #g = :g REMOVE title",
        "ExpressionAttributeNames": {"#g": "group"},
        "ExpressionAttributeValues": {":g": {"S": "moved"}},
    }


def create(ask: Asker) -> None:
    if "items" in ask("ListTables")["TableNames"]:
        return
    ask.create(
        "items",
        "pk sk",
        "pk:S sk:N group:S title:S",
        GlobalSecondaryIndexes=[index("by-group", "group sk")],
        LocalSecondaryIndexes=[index("by-title", "pk title")],
    )
    ask.create("other", "pk", "pk:S")


def write(path: str, durability: str, round_: int) -> None:
    connection = connect(path, durability=durability)
    ask = Asker(connection.service)
    create(ask)

    def work(writer: int) -> None:
        number = 0
        while True:
            operation, request = call(writer, number)
            ask(operation, **request)
            os.write(1, ACK.pack(writer, number))
            number += 1

    for one in range(WRITERS):
        threading.Thread(target=work, args=(round_ * WRITERS + one,), daemon=True).start()
    time.sleep(600)


def backfill(path: str) -> None:
    """Stops for ever when half of the entries of a new index are written."""
    from lsm.dynamodb.backfill import Backfill

    ask = Asker(connect(path, durability="power").service)
    ask.create("items", "pk sk", "pk:S sk:N")
    for begin in range(0, ITEMS, 25):
        requests = [{"PutRequest": {"Item": item(0, begin + n)}} for n in range(25)]
        ask("BatchWriteItem", RequestItems={"items": requests})
    added = Backfill._add
    count = 0

    def counted(self: Any, engine_key: Any) -> None:
        nonlocal count
        added(self, engine_key)
        count += 1
        if count == HALFWAY:
            ask("DescribeLimits")  # an answer: all that was written so far is durable
            os.write(1, ACK.pack(0, count))
            time.sleep(600)

    Backfill._add = counted  # type: ignore[method-assign]
    ask(
        "UpdateTable",
        TableName="items",
        AttributeDefinitions=[
            {"AttributeName": "group", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "N"},
        ],
        GlobalSecondaryIndexUpdates=[{"Create": index("by-group", "group sk")}],
    )
    time.sleep(600)


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        backfill(sys.argv[2])
