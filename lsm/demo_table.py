"""The part of `lsm demo` that builds a DynamoDB table of the Unicode characters, and uses it.

Table UnicodeCharacters: partition key category, sort key code point, a global index by bidirectional class and name.
Every answer is compared with what was written. Uses lsm.dynamodb's client alone; one thread.
"""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lsm.dynamodb import Client, connect
from lsm.errors import Error
from lsm.unicode import character_of

__all__ = ["TableFacts", "tour_of_table"]

TABLE = "UnicodeCharacters"
INDEX = "by-bidirectional-class"
BATCH = 25


@dataclass(frozen=True)
class TableFacts:
    """What was done, for people (name and text) and for programs."""

    rows: list[tuple[str, str]]
    facts: dict[str, Any]


def tour_of_table(path: str, points: list[int], progress: Callable[[int], None]) -> TableFacts:
    """Builds the table in the database at `path`, which nothing has open. `progress` gets the items written so far."""
    with connect(path, durability="process") as db:
        client = db.client()
        _create(client)
        seconds = _load(client, points, progress)
        rows = [(f"table {TABLE}", f"{len(points):,} items in {seconds:.2f} s, {len(points) / seconds:,.0f}/s")]
        facts: dict[str, Any] = {"items": len(points), "seconds": seconds, "per_second": len(points) / seconds}
        for step in (_query, _query_index, _update, _transact):
            row, fact = step(client, points)
            rows.append(row)
            facts.update(fact)
        return TableFacts(rows, facts)


def item(point: int) -> dict[str, dict[str, str]]:
    """One character as an item."""
    character = character_of(point)
    made = {
        "category": {"S": character.category.decode()},
        "codepoint": {"N": str(point)},
        "name": {"S": character.name.decode()},
        "character": {"S": chr(point)},
    }
    if direction := unicodedata.bidirectional(chr(point)):
        made["bidirectional"] = {"S": direction}
    numeric = unicodedata.numeric(chr(point), None)
    if numeric is not None and float(numeric).is_integer() and abs(numeric) < 1e30:
        made["numeric"] = {"N": str(int(numeric))}
    return made


def _create(client: Client) -> None:
    client.create_table(
        TableName=TABLE,
        KeySchema=[
            {"AttributeName": "category", "KeyType": "HASH"},
            {"AttributeName": "codepoint", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[
            {"AttributeName": name, "AttributeType": kind}
            for name, kind in (("category", "S"), ("codepoint", "N"), ("bidirectional", "S"), ("name", "S"))
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": INDEX,
                "KeySchema": [
                    {"AttributeName": "bidirectional", "KeyType": "HASH"},
                    {"AttributeName": "name", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
        BillingMode="PAY_PER_REQUEST",
    )


def _load(client: Client, points: list[int], progress: Callable[[int], None]) -> float:
    """Seconds spent in BatchWriteItem."""
    seconds = 0.0
    for begin in range(0, len(points), BATCH):
        requests = [{"PutRequest": {"Item": item(point)}} for point in points[begin : begin + BATCH]]
        begun = time.perf_counter()
        client.batch_write_item(RequestItems={TABLE: requests})
        seconds += time.perf_counter() - begun
        progress(begin + len(requests))
    return seconds


Row = tuple[tuple[str, str], dict[str, Any]]


def _query(client: Client, points: list[int]) -> Row:
    pages = client.get_paginator("query").paginate(
        TableName=TABLE,
        KeyConditionExpression="category = :c AND codepoint BETWEEN :a AND :b",
        ExpressionAttributeValues={":c": {"S": "Lu"}, ":a": {"N": str(0x391)}, ":b": {"N": str(0x3A9)}},
    )
    greek = [found["character"]["S"] for page in pages for found in page["Items"]]
    expected = [chr(point) for point in points if 0x391 <= point <= 0x3A9 and unicodedata.category(chr(point)) == "Lu"]
    _expect("the Greek capitals", greek, expected)
    return ("Query", f"category Lu, U+0391 to U+03A9: {''.join(greek)}"), {"greek": greek}


def _query_index(client: Client, points: list[int]) -> Row:
    answer = client.query(
        TableName=TABLE,
        IndexName=INDEX,
        KeyConditionExpression="bidirectional = :d AND begins_with(#n, :p)",
        ExpressionAttributeNames={"#n": "name"},
        ExpressionAttributeValues={":d": {"S": "R"}, ":p": {"S": "HEBREW LETTER "}},
        ReturnConsumedCapacity="TOTAL",
    )
    letters = [found["name"]["S"] for found in answer["Items"]]
    expected = sorted(
        unicodedata.name(chr(point))
        for point in points
        if unicodedata.name(chr(point), "").startswith("HEBREW LETTER ")
        and unicodedata.bidirectional(chr(point)) == "R"
    )
    _expect("the Hebrew letters", letters, expected)
    units = answer["ConsumedCapacity"]["CapacityUnits"]
    text = f"class R, names that begin with HEBREW LETTER: {len(letters)} letters, {units:g} read units"
    return (f"Query of {INDEX}", text), {"hebrew": len(letters), "read_units": units}


def _update(client: Client, points: list[int]) -> Row:
    key = {name: item(points[len(points) // 2])[name] for name in ("category", "codepoint")}
    request = {
        "TableName": TABLE,
        "Key": key,
        "UpdateExpression": "SET looked_at = if_not_exists(looked_at, :zero) + :one",
        "ConditionExpression": "attribute_exists(#n) AND NOT looked_at >= :one",
        "ExpressionAttributeNames": {"#n": "name"},
        "ExpressionAttributeValues": {":zero": {"N": "0"}, ":one": {"N": "1"}},
    }
    answer = client.update_item(**request, ReturnValues="UPDATED_NEW")
    _expect("the updated attribute", answer["Attributes"], {"looked_at": {"N": "1"}})
    try:
        client.update_item(**request)
    except client.exceptions.ConditionalCheckFailedException:
        refused = True
    else:
        refused = False
    _expect("whether the second update is refused", refused, True)
    return ("UpdateItem", "with a condition: done once, refused the second time"), {"updated": 1, "refused": 1}


def _transact(client: Client, points: list[int]) -> Row:
    one, two = ({name: item(point)[name] for name in ("category", "codepoint")} for point in (points[0], points[-1]))
    mark = {"UpdateExpression": "SET marked = :t", "ExpressionAttributeValues": {":t": {"BOOL": True}}}
    client.transact_write_items(
        TransactItems=[
            {"Update": {"TableName": TABLE, "Key": one, **mark}},
            {"Update": {"TableName": TABLE, "Key": two, **mark}},
        ]
    )
    gets = [{"Get": {"TableName": TABLE, "Key": key, "ProjectionExpression": "marked"}} for key in (one, two)]
    responses = client.transact_get_items(TransactItems=gets)["Responses"]
    _expect("the marked characters", responses, [{"Item": {"marked": {"BOOL": True}}}] * 2)
    return ("TransactWriteItems", "two items marked together, read together"), {"transacted": 2}


def _expect(what: str, got: object, expected: object) -> None:
    if got != expected:
        raise Error(f"the demo read something else than it wrote: {what} is {got!r:.80}, not {expected!r:.80}")
