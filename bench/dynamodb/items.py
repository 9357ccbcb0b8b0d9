"""The items of the measurements, and the tables that hold them."""

from __future__ import annotations

from typing import Any

Item = dict[str, Any]

TABLE = "bench"
PER_COLLECTION = 50


def small(number: int) -> Item:
    """Six flat attributes, 158 bytes as JSON."""
    return {
        "pk": {"S": f"user#{number // PER_COLLECTION:06}"},
        "sk": {"S": f"2024-05-{number % PER_COLLECTION:04}"},
        "name": {"S": "Ada Lovelace"},
        "age": {"N": str(20 + number % 60)},
        "active": {"BOOL": True},
        "city": {"S": "London"},
    }


def large(number: int) -> Item:
    """The same with a text that makes it 4 KB."""
    return {**small(number), "notes": {"S": f"{number:08}" * 490}}


def key(number: int) -> Item:
    return {name: small(number)[name] for name in ("pk", "sk")}


def table_request(indexed: bool) -> dict[str, Any]:
    """CreateTable: pk and sk, with two global indexes where `indexed`."""
    request: dict[str, Any] = {
        "TableName": TABLE,
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        "BillingMode": "PAY_PER_REQUEST",
    }
    if indexed:
        request["AttributeDefinitions"] += [
            {"AttributeName": "city", "AttributeType": "S"},
            {"AttributeName": "name", "AttributeType": "S"},
        ]
        request["GlobalSecondaryIndexes"] = [
            {
                "IndexName": f"by-{name}",
                "KeySchema": [{"AttributeName": name, "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
                "Projection": {"ProjectionType": "ALL"},
            }
            for name in ("city", "name")
        ]
    return request
