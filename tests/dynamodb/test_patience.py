"""A door without patience: what reads much is not carried out through it, and changes nothing; elsewhere it is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lsm import WouldWaitError
from lsm.dynamodb.door import TYPED

HURRIED = replace(TYPED, patience=64 << 10)
WIDE = "v" * 9_000
KEYS = [{"pk": {"S": f"{n:02}"}} for n in range(10)]


def item(n: int, text: str = WIDE) -> dict:
    return {"pk": {"S": f"{n:02}"}, "same": {"S": "x"}, "text": {"S": text}}


@pytest.fixture
def service(ask):
    ask.create("hashes", "pk", "pk:S")
    for n in range(10):
        ask.service.call("PutItem", {"TableName": "hashes", "Item": item(n)})
    ask.create("lists", "pk sk", "pk:S sk:S")
    for n in range(10):
        ask.service.call("PutItem", {"TableName": "lists", "Item": {**item(0), "sk": {"S": f"{n}"}}})
    return ask.service


def put(n: int, text: str) -> dict:
    return {"Put": {"TableName": "hashes", "Item": item(n, text)}}


LONG = {
    "Scan": {"TableName": "hashes"},
    "Query": {
        "TableName": "lists",
        "KeyConditionExpression": "pk = :p",
        "ExpressionAttributeValues": {":p": {"S": "00"}},
    },
    "BatchGetItem": {"RequestItems": {"hashes": {"Keys": KEYS}}},
    "TransactGetItems": {"TransactItems": [{"Get": {"TableName": "hashes", "Key": key}} for key in KEYS]},
    "TransactWriteItems": {"TransactItems": [put(n, "new") for n in range(10)]},
    "BatchWriteItem": {"RequestItems": {"hashes": [{"PutRequest": {"Item": item(n, "new")}} for n in range(10)]}},
}


@pytest.mark.parametrize("operation", LONG)
def test_what_reads_much_is_left_to_others(service, operation) -> None:
    before, sequence = service.call("Scan", {"TableName": "hashes"}), service.database.last_sequence
    with pytest.raises(WouldWaitError):
        service.run(operation, LONG[operation], HURRIED)
    assert service.database.last_sequence == sequence
    assert service.call("Scan", {"TableName": "hashes"}) == before
    service.run(operation, LONG[operation])  # no lock was kept
    if "Write" in operation:
        assert service.call("Scan", {"TableName": "hashes"})["Items"] != before["Items"]


SHORT = {
    "Scan": {"TableName": "hashes", "Limit": 5},
    "Query": {**LONG["Query"], "Limit": 5},
    "BatchGetItem": {"RequestItems": {"hashes": {"Keys": KEYS[:5]}}},
    "TransactGetItems": {"TransactItems": LONG["TransactGetItems"]["TransactItems"][:5]},
    "TransactWriteItems": {"TransactItems": LONG["TransactWriteItems"]["TransactItems"][:5]},
    "BatchWriteItem": {"RequestItems": {"hashes": LONG["BatchWriteItem"]["RequestItems"]["hashes"][:5]}},
}


@pytest.mark.parametrize("operation", SHORT)
def test_what_reads_little_is_the_same_through_every_door(service, operation) -> None:
    answer = service.run(operation, SHORT[operation], HURRIED)
    assert answer == service.run(operation, SHORT[operation])


def test_small_items_that_a_filter_leaves_out_count_too(ask) -> None:
    ask.create("many", "pk", "pk:S")
    for n in range(1100):
        ask.service.call("PutItem", {"TableName": "many", "Item": {"pk": {"S": f"{n}"}}})
    request = {
        "TableName": "many",
        "FilterExpression": "pk = :p",
        "ExpressionAttributeValues": {":p": {"S": "7"}},
    }
    with pytest.raises(WouldWaitError):
        ask.service.run("Scan", request, HURRIED)
    assert ask.service.run("Scan", request)["Count"] == 1
