"""Requests damaged at random: each is refused in DynamoDB's way, or done; nothing else comes out. Fixed seeds."""

from __future__ import annotations

import copy
import random

import pytest

from dynamodb.behaviours import definitions, index
from lsm.dynamodb import ApiError
from lsm.dynamodb.wire import decode_request

KEY = {"pk": {"S": "a"}}
PAIR = {"pk": {"S": "a"}, "sk": {"N": "1"}}
V = {":v": {"N": "1"}, ":w": {"S": "s"}, ":s": {"SS": ["a"]}}
REQUESTS = [
    (
        "PutItem",
        {
            "TableName": "pair",
            "Item": {**PAIR, "gh": {"S": "g"}, "m": {"M": {"a": {"L": [{"S": "x"}, {"NS": ["1"]}]}}}},
            "ConditionExpression": "a <> :v OR size(#n) < :v",
            "ExpressionAttributeValues": {":v": {"N": "1"}},
            "ExpressionAttributeNames": {"#n": "n"},
            "ReturnConsumedCapacity": "INDEXES",
        },
    ),
    (
        "PutItem",
        {
            "TableName": "hash",
            "Item": KEY,
            "Expected": {
                "a": {"Exists": False},
                "b": {"ComparisonOperator": "NE", "AttributeValueList": [{"S": "x"}]},
            },
            "ConditionalOperator": "OR",
        },
    ),
    (
        "UpdateItem",
        {
            "TableName": "pair",
            "Key": PAIR,
            "UpdateExpression": "SET a = if_not_exists(b, :v) + :v, l[0] = :w REMOVE c.d ADD e :v DELETE f :s",
            "ConditionExpression": "a BETWEEN :v AND :v OR b IN (:v, :w)",
            "ExpressionAttributeValues": V,
            "ReturnValues": "UPDATED_NEW",
        },
    ),
    (
        "UpdateItem",
        {
            "TableName": "hash",
            "Key": KEY,
            "AttributeUpdates": {"a": {"Action": "ADD", "Value": {"N": "1"}}, "b": {"Action": "DELETE"}},
        },
    ),
    ("GetItem", {"TableName": "hash", "Key": KEY, "ProjectionExpression": "a, b.c[0]", "ConsistentRead": True}),
    (
        "Query",
        {
            "TableName": "pair",
            "IndexName": "l-inc",
            "KeyConditionExpression": "pk = :w AND begins_with(l2, :w)",
            "FilterExpression": "contains(x, :w)",
            "ExpressionAttributeValues": {":w": {"S": "s"}},
            "Limit": 2,
            "Select": "COUNT",
        },
    ),
    (
        "Scan",
        {
            "TableName": "pair",
            "IndexName": "g-all",
            "ScanFilter": {"a": {"ComparisonOperator": "BEGINS_WITH", "AttributeValueList": [{"S": "a"}]}},
            "Segment": 0,
            "TotalSegments": 2,
            "ExclusiveStartKey": {**PAIR, "gh": {"S": "g"}, "gr": {"N": "1"}},
        },
    ),
    (
        "BatchGetItem",
        {"RequestItems": {"hash": {"Keys": [KEY], "ProjectionExpression": "a"}, "pair": {"Keys": [PAIR]}}},
    ),
    (
        "BatchWriteItem",
        {"RequestItems": {"hash": [{"PutRequest": {"Item": KEY}}, {"DeleteRequest": {"Key": {"pk": {"S": "b"}}}}]}},
    ),
    (
        "TransactWriteItems",
        {
            "TransactItems": [
                {"Put": {"TableName": "hash", "Item": KEY}},
                {
                    "Update": {
                        "TableName": "pair",
                        "Key": PAIR,
                        "UpdateExpression": "SET a = :w",
                        "ExpressionAttributeValues": {":w": {"S": "s"}},
                    }
                },
                {"ConditionCheck": {"TableName": "number", "Key": {"pk": {"N": "1"}}, "ConditionExpression": "a = b"}},
            ]
        },
    ),
    ("TransactGetItems", {"TransactItems": [{"Get": {"TableName": "hash", "Key": KEY, "ProjectionExpression": "a"}}]}),
    (
        "CreateTable",
        {
            "TableName": "hash",
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
            "AttributeDefinitions": definitions("pk:S gh:S"),
            "GlobalSecondaryIndexes": [index("ggg", "gh", "INCLUDE", NonKeyAttributes=["x"])],
            "ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1},
        },
    ),
    (
        "UpdateTable",
        {
            "TableName": "absent",
            "AttributeDefinitions": definitions("gh:S"),
            "GlobalSecondaryIndexUpdates": [{"Create": index("ggg", "gh")}],
            "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
        },
    ),
    ("TagResource", {"ResourceArn": "arn:aws:dynamodb:us-east-1:0:table/hash", "Tags": [{"Key": "a", "Value": "b"}]}),
]
PIECES = [
    None,
    "",
    "x",
    "arn:",
    "#",
    "\ud800",
    "pk",
    "((a))",
    ":v",
    "SET a = b",
    "a = :v",
    "EQ",
    0,
    -1,
    1.5,
    10**30,
    True,
    [],
    {},
    [None],
    [[]],
    {"": {}},
    {"S": "a"},
    {"S": ""},
    {"N": "x"},
    {"NS": ["1", "1.0"]},
    {"SS": []},
    {"B": "*"},
    {"M": {"a": {}}},
    {"NULL": False},
    {"S": "a", "N": "1"},
]
SIGNS = ["(", ")", " ", ":", "#", "[", "]", ".", ",", "=", "é", "0", "NOT ", "AND "]


def places(node, at=()):
    yield at
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for name, value in inner:
        yield from places(value, (*at, name))


def damaged(request, chance):
    request = copy.deepcopy(request)
    at = chance.choice([place for place in places(request) if place])
    node = request
    for step in at[:-1]:
        node = node[step]
    last, old = at[-1], node[at[-1]]
    how = chance.random()
    if how < 0.2:
        del node[last]
    elif how < 0.3 and isinstance(node, dict):
        node[chance.choice(["", "x", "pk", "#n", ":v", "a b", "SS", "absent"])] = node.pop(last)
    elif how < 0.5 and isinstance(old, str):
        cut = chance.randint(0, len(old))
        node[last] = old[:cut] + chance.choice(SIGNS) + old[cut + chance.randint(0, 2) :]
    else:
        alike = [piece for piece in PIECES if type(piece) is type(old)]
        node[last] = copy.deepcopy(chance.choice(alike if alike and how < 0.9 else PIECES))
    return request


def outcome(service, operation, request):
    try:
        service.call(operation, decode_request(operation, request))
    except ApiError as error:
        return error
    return None


@pytest.mark.parametrize("seed", range(8))
def test_a_damaged_request_is_refused_or_done(world, seed):
    chance = random.Random(seed)
    refused = 0
    for _ in range(400):
        operation, request = chance.choice(REQUESTS)
        request = damaged(request, chance)
        before = world.service.database.last_sequence
        error = outcome(world.service, operation, request)
        if error is not None:
            refused += 1
            assert error.status == 400, (operation, request)
            assert world.service.database.last_sequence == before, (operation, request)
    assert refused > 200
