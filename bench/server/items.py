"""The table of the measurements and its items: seven attributes, 250 bytes of JSON, fifty items a collection."""

from __future__ import annotations

from typing import Any

Item = dict[str, Any]

TABLE = "bench"
PER_COLLECTION = 50
NAMES = ("Ada Lovelace", "Grace Hopper", "Alan Turing", "Barbara Liskov", "Edsger Dijkstra", "Radia Perlman")


def item(number: int, version: int = 0) -> Item:
    """Two versions of an item differ, so that a put changes what is stored."""
    return {
        **key(number),
        "name": {"S": NAMES[number % len(NAMES)]},
        "total": {"N": f"{number % 997}.{11 + version}"},
        "count": {"N": "0"},
        "paid": {"BOOL": number % 3 == 0},
        "notes": {"L": [{"S": "gift wrapped"}, {"S": f"leave with the neighbours, door {number % 90:02}"}]},
    }


def key(number: int) -> Item:
    return {**collection(number), "order": {"S": f"2024-05-{number % PER_COLLECTION:04}"}}


def collection(number: int) -> Item:
    return {"customer": {"S": f"customer#{number // PER_COLLECTION:06}"}}


def members(number: int) -> list[Item]:
    """The collection that holds an item, in order."""
    first = number - number % PER_COLLECTION
    return [item(one) for one in range(first, first + PER_COLLECTION)]


TABLE_REQUEST: dict[str, Any] = {
    "TableName": TABLE,
    "KeySchema": [
        {"AttributeName": "customer", "KeyType": "HASH"},
        {"AttributeName": "order", "KeyType": "RANGE"},
    ],
    "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in ("customer", "order")],
    "BillingMode": "PAY_PER_REQUEST",
}
