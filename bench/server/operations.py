"""What is measured: for each operation its prebuilt requests, and a check that a server carries it out rightly.

The keys of the requests come from a seed and go over all items in random order, each once a pass. Checks want the
table as it was loaded, and leave it so.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from bench.server.items import PER_COLLECTION, TABLE, Item, collection, item, key, members
from bench.server.wire import Caller, WrongAnswerError, request_bytes

__all__ = ["OPERATIONS", "Operation"]

TRANSACTED = 4
GOTTEN = 100
QUERIES_A_COLLECTION = 5  # so many requests for each, with neighbours in the row that ask for others
Body = dict[str, Any]


@dataclass(frozen=True)
class Operation:
    """bodies: one cycle of requests over `count` items. check: one request and what it did, on a table of `count`.

    single: of one item. writes: needs an fsync where an answer promises durability.
    """

    name: str
    target: str
    title: str
    single: bool
    writes: bool
    bodies: Callable[[int, random.Random], Iterator[Body]]
    check: Callable[[Caller, int], None]

    def requests(self, count: int, seed: int = 1) -> list[bytes]:
        chance = random.Random(f"{self.name} {seed}")
        return [request_bytes(self.target, body) for body in self.bodies(count, chance)]


def _shuffled(count: int, chance: random.Random) -> list[int]:
    return chance.sample(range(count), count)


def _groups(count: int, size: int, chance: random.Random) -> Iterator[list[int]]:
    """Every number once but for a remainder, in groups of `size`."""
    numbers = _shuffled(count, chance)
    return (numbers[begin : begin + size] for begin in range(0, count - size + 1, size))


def _expect(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise WrongAnswerError(f"{what}: expected {str(expected)[:200]}, found {str(found)[:300]}")


def _stored(call: Caller, number: int) -> Item | None:
    found: Item | None = call("GetItem", {"TableName": TABLE, "Key": key(number), "ConsistentRead": True}).get("Item")
    return found


def _get(number: int) -> Body:
    return {"TableName": TABLE, "Key": key(number)}


def _gets(count: int, chance: random.Random) -> Iterator[Body]:
    return map(_get, _shuffled(count, chance))


def _check_get(call: Caller, count: int) -> None:
    for number in (0, count // 2, count - 1):
        _expect("GetItem", call("GetItem", _get(number)).get("Item"), item(number))
    _expect("GetItem of nothing", call("GetItem", _get(count)).get("Item"), None)


def _put(number: int, version: int) -> Body:
    return {"TableName": TABLE, "Item": item(number, version)}


def _puts(count: int, chance: random.Random) -> Iterator[Body]:
    """Two passes, each with another version, so that every put changes its item."""
    return (_put(number, version) for version in (1, 2) for number in _shuffled(count, chance))


def _check_put(call: Caller, count: int) -> None:
    for version in (1, 0):
        call("PutItem", _put(count // 3, version))
        _expect("what PutItem stored", _stored(call, count // 3), item(count // 3, version))


def _update(number: int, amount: int = 1) -> Body:
    return {
        "TableName": TABLE,
        "Key": key(number),
        "UpdateExpression": "SET #c = #c + :n",
        "ConditionExpression": "attribute_exists(customer) AND #c >= :least",
        "ExpressionAttributeNames": {"#c": "count"},
        "ExpressionAttributeValues": {":n": {"N": str(amount)}, ":least": {"N": "0"}},
        "ReturnValues": "UPDATED_NEW",
    }


def _updates(count: int, chance: random.Random) -> Iterator[Body]:
    return map(_update, _shuffled(count, chance))


def _check_update(call: Caller, count: int) -> None:
    number = count // 5
    for amount, total in ((1, "1"), (-1, "0")):
        answer = call("UpdateItem", _update(number, amount))
        _expect("UpdateItem", answer.get("Attributes"), {"count": {"N": total}})
    _expect("what UpdateItem stored", _stored(call, number), item(number))
    status, answer = call.send("UpdateItem", _update(count))
    _expect("UpdateItem whose condition is not met", status, 400)
    _expect("its error", str(answer.get("__type")).rpartition("#")[2], "ConditionalCheckFailedException")


def _query(number: int) -> Body:
    return {
        "TableName": TABLE,
        "KeyConditionExpression": "customer = :c",
        "ExpressionAttributeValues": {":c": collection(number)["customer"]},
    }


def _queries(count: int, chance: random.Random) -> Iterator[Body]:
    for _ in range(QUERIES_A_COLLECTION):
        yield from map(_query, chance.sample(range(0, count, PER_COLLECTION), count // PER_COLLECTION))


def _check_query(call: Caller, count: int) -> None:
    answer = call("Query", _query(count - 1))
    _expect("Query's Count", answer.get("Count"), PER_COLLECTION)
    _expect("Query", answer.get("Items"), members(count - 1))


def _transact(numbers: list[int], version: int) -> Body:
    return {"TransactItems": [{"Put": _put(number, version)} for number in numbers]}


def _transacts(count: int, chance: random.Random) -> Iterator[Body]:
    return (_transact(group, version) for version in (1, 2) for group in _groups(count, TRANSACTED, chance))


def _check_transact(call: Caller, count: int) -> None:
    numbers = [0, count // 3, count // 2, count - 1]
    for version in (1, 0):
        call("TransactWriteItems", _transact(numbers, version))
        stored = [_stored(call, number) for number in numbers]
        _expect("what TransactWriteItems stored", stored, [item(number, version) for number in numbers])


def _batch(numbers: list[int]) -> Body:
    return {"RequestItems": {TABLE: {"Keys": [key(number) for number in numbers]}}}


def _batches(count: int, chance: random.Random) -> Iterator[Body]:
    for _ in range(10):
        yield from map(_batch, _groups(count, GOTTEN, chance))


def _check_batch(call: Caller, count: int) -> None:
    numbers = list(range(count - GOTTEN, count))
    answer = call("BatchGetItem", _batch(numbers))
    _expect("BatchGetItem's UnprocessedKeys", answer.get("UnprocessedKeys") or {}, {})
    found = sorted(answer["Responses"][TABLE], key=lambda one: (one["customer"]["S"], one["order"]["S"]))
    _expect("BatchGetItem", found, [item(number) for number in numbers])


OPERATIONS = {
    operation.name: operation
    for operation in (
        Operation("get", "GetItem", "GetItem", True, False, _gets, _check_get),
        Operation("put", "PutItem", "PutItem", True, True, _puts, _check_put),
        Operation("update", "UpdateItem", "UpdateItem, condition", True, True, _updates, _check_update),
        Operation("query", "Query", "Query of 50", False, False, _queries, _check_query),
        Operation(
            "transact", "TransactWriteItems", "TransactWriteItems of 4", False, True, _transacts, _check_transact
        ),
        Operation("batch_get", "BatchGetItem", "BatchGetItem of 100", False, False, _batches, _check_batch),
    )
}
