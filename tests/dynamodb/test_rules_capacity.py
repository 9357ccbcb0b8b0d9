"""Units, index charges, shapes of ConsumedCapacity, item collections and names by ARN: the published rules, line by line."""

from __future__ import annotations

import pytest

from dynamodb.asking import index

KEY = {"pk": {"S": "k"}, "sk": {"N": "1"}}


def key(pk="k", sk=1):
    return {"pk": {"S": pk}, "sk": {"N": str(sk)}}


def sized(size, **more):
    """An item of `size` bytes; its key is 7 of them with a sort key of one digit."""
    item = {**KEY, **more}
    rest = size - 7 - sum(len(name) + len(value["S"]) for name, value in more.items()) - 1
    return {**item, "a": {"S": "x" * rest}}


@pytest.fixture
def indexed(ask):
    """Table `items` with a global index that holds all, one of keys, and a local index that holds `x`."""
    ask.create(
        "items",
        "pk sk",
        "pk:S sk:N group:S title:S",
        GlobalSecondaryIndexes=[index("all", "group"), index("keys", "group sk", "KEYS_ONLY")],
        LocalSecondaryIndexes=[index("local", "pk title", "INCLUDE", NonKeyAttributes=["x"])],
    )
    return ask


def units(ask, operation, detail="TOTAL", **request):
    return ask(operation, TableName="items", ReturnConsumedCapacity=detail, **request)["ConsumedCapacity"]


def total(ask, operation, **request):
    found = units(ask, operation, **request)
    assert set(found) == {"TableName", "CapacityUnits"}
    assert found["TableName"] == "items"
    assert type(found["CapacityUnits"]) is float
    return found["CapacityUnits"]


def arms(ask, operation, **request):
    """(table, global indexes, local indexes) under INDEXES, whose sum must be the total."""
    found = units(ask, operation, "INDEXES", **request)
    assert set(found) <= {"TableName", "CapacityUnits", "Table", "GlobalSecondaryIndexes", "LocalSecondaryIndexes"}
    own = found["Table"]["CapacityUnits"]
    of_global, of_local = (
        {name: arm["CapacityUnits"] for name, arm in found.get(f"{scope}SecondaryIndexes", {}).items()}
        for scope in ("Global", "Local")
    )
    assert found["CapacityUnits"] == own + sum(of_global.values()) + sum(of_local.values())
    return own, of_global, of_local


# ---- reads


@pytest.mark.parametrize(("size", "whole"), [(None, 1), (100, 1), (4096, 1), (4097, 2), (9000, 3)])
def test_units_of_single_reads(table, size, whole):
    if size is not None:
        table("PutItem", TableName="items", Item=sized(size))
    for consistent, expected in (True, whole), (False, whole / 2):
        request = {"Key": KEY, "ConsistentRead": consistent}
        assert total(table, "GetItem", **request) == expected
        assert total(table, "GetItem", **request, ProjectionExpression="sk") == expected
        assert arms(table, "GetItem", **request) == (expected, {}, {})
        keys = {"Keys": [KEY, key("absent")], "ConsistentRead": consistent}
        answer = table("BatchGetItem", RequestItems={"items": keys}, ReturnConsumedCapacity="TOTAL")
        minimum = 1 if consistent else 0.5
        assert answer["ConsumedCapacity"] == [{"TableName": "items", "CapacityUnits": expected + minimum}]
    answer = table(
        "TransactGetItems",
        TransactItems=[
            {"Get": {"TableName": "items", "Key": k, "ProjectionExpression": "sk"}} for k in (KEY, key("absent"))
        ],
        ReturnConsumedCapacity="TOTAL",
    )
    expected = 2.0 * whole + 2.0
    assert answer["ConsumedCapacity"] == [
        {"TableName": "items", "CapacityUnits": expected, "ReadCapacityUnits": expected}
    ]


@pytest.mark.parametrize(("sizes", "whole"), [([], 1), ([100], 1), ([2000, 2000], 1), ([3000, 3000, 3000], 3)])
def test_units_of_pages_are_rounded_once(table, sizes, whole):
    for number, size in enumerate(sizes):
        table("PutItem", TableName="items", Item={**sized(size), "sk": {"N": str(number + 1)}})
    keyed = {"KeyConditionExpression": "pk = :k", "ExpressionAttributeValues": {":k": {"S": "k"}}}
    filtered = {"FilterExpression": "a = :k", "ExpressionAttributeValues": {":k": {"S": "k"}}}
    for consistent, expected in (True, whole), (False, whole / 2):
        for more in {}, {"ProjectionExpression": "sk"}, {"Select": "COUNT"}:
            assert total(table, "Query", **keyed, **more, ConsistentRead=consistent) == expected
            assert total(table, "Scan", **more, ConsistentRead=consistent) == expected
        assert total(table, "Scan", **filtered, ConsistentRead=consistent) == expected


def test_units_of_a_read_through_an_index_are_those_of_its_entries(indexed):
    for number in range(3):
        item = {**sized(3000, group={"S": "g"}, title={"S": "t"}), "sk": {"N": str(number + 1)}}
        indexed("PutItem", TableName="items", Item=item)
    keyed = {"KeyConditionExpression": "#g = :g", "ExpressionAttributeNames": {"#g": "group"}}
    keyed["ExpressionAttributeValues"] = {":g": {"S": "g"}}
    assert arms(indexed, "Query", IndexName="all", **keyed) == (0.0, {"all": 1.5}, {})
    assert arms(indexed, "Query", IndexName="keys", **keyed) == (0.0, {"keys": 0.5}, {})
    assert arms(indexed, "Scan", IndexName="keys") == (0.0, {"keys": 0.5}, {})
    assert arms(indexed, "Scan", IndexName="local", ConsistentRead=True) == (0.0, {}, {"local": 1.0})
    assert total(indexed, "Query", IndexName="all", **keyed) == 1.5


@pytest.mark.parametrize(("size", "eventual", "consistent"), [(100, 1.5, 3.0), (9000, 4.5, 9.0)])
def test_items_fetched_for_a_local_index_are_charged_one_by_one(indexed, size, eventual, consistent):
    for number in range(3):
        indexed("PutItem", TableName="items", Item={**sized(size, title={"S": "t"}), "sk": {"N": str(number + 1)}})
    request = {
        "IndexName": "local",
        "KeyConditionExpression": "pk = :k",
        "ExpressionAttributeValues": {":k": {"S": "k"}},
        "Select": "ALL_ATTRIBUTES",
    }
    assert arms(indexed, "Query", **request) == (eventual, {}, {"local": 0.5})
    assert arms(indexed, "Query", **request, ConsistentRead=True) == (consistent, {}, {"local": 1.0})
    del request["Select"]
    assert arms(indexed, "Query", **request) == (0.0, {}, {"local": 0.5})


# ---- writes


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [(None, 100, 1), (None, 1024, 1), (None, 1025, 2), (3000, 100, 3), (100, 3000, 3), (3000, 3000, 3)],
)
def test_a_write_is_charged_the_larger_image(table, before, after, expected):
    item = sized(after)
    for operation, request in (
        ("PutItem", {"Item": item}),
        (
            "UpdateItem",
            {"Key": KEY, "UpdateExpression": "SET a = :a", "ExpressionAttributeValues": {":a": item["a"]}},
        ),
    ):
        table("DeleteItem", TableName="items", Key=KEY)
        if before is not None:
            table("PutItem", TableName="items", Item=sized(before))
        assert total(table, operation, **request) == expected


def test_a_delete_is_charged_the_old_image_or_one(table):
    assert total(table, "DeleteItem", Key=KEY) == 1
    table("PutItem", TableName="items", Item=sized(2049))
    assert total(table, "DeleteItem", Key=KEY) == 3


def test_a_batch_is_charged_as_its_writes(table):
    table("PutItem", TableName="items", Item={**sized(2049), "sk": {"N": "2"}})
    table.create("other", "pk", "pk:S")
    answer = table(
        "BatchWriteItem",
        RequestItems={
            "items": [{"PutRequest": {"Item": sized(1500)}}, {"DeleteRequest": {"Key": key(sk=2)}}],
            "other": [{"DeleteRequest": {"Key": {"pk": {"S": "x"}}}}],
        },
        ReturnConsumedCapacity="TOTAL",
    )
    assert answer["ConsumedCapacity"] == [
        {"TableName": "items", "CapacityUnits": 5.0},
        {"TableName": "other", "CapacityUnits": 1.0},
    ]


G, H = {"group": {"S": "g"}}, {"group": {"S": "h"}}
T = {"title": {"S": "t"}}
SETS = {"ns": {"NS": ["1", "2"]}}

INDEX_CHARGES = [
    # before, after; units of the table, of the global indexes, of the local index
    (None, {}, 1, {}, {}),
    (None, G, 1, {"all": 1, "keys": 1}, {}),
    (None, {**G, **T}, 1, {"all": 1, "keys": 1}, {"local": 1}),
    ({**G, **T}, {**G, **T}, 1, {}, {}),
    (G, {**G, "y": {"S": "y"}}, 1, {"all": 1}, {}),
    (T, {**T, "y": {"S": "y"}}, 1, {}, {}),
    (T, {**T, "x": {"S": "x"}}, 1, {}, {"local": 1}),
    ({**G, **SETS}, {**G, "ns": {"NS": ["2", "1.0"]}}, 1, {}, {}),
    (G, H, 1, {"all": 2, "keys": 2}, {}),
    (G, {}, 1, {"all": 1, "keys": 1}, {}),
    (G, None, 1, {"all": 1, "keys": 1}, {}),
    ({}, None, 1, {}, {}),
    ({**G, "a": {"S": "x" * 1500}}, {**H, "a": {"S": "x" * 1500}}, 2, {"all": 4, "keys": 2}, {}),
    ({**G, "a": {"S": "x" * 2500}}, {**G, "a": {"S": "x" * 100}}, 3, {"all": 3}, {}),
    ({**G, "a": {"S": "x" * 100}}, {**H, "a": {"S": "x" * 2500}}, 3, {"all": 1 + 3, "keys": 2}, {}),
]


@pytest.mark.parametrize(("before", "after", "own", "of_global", "of_local"), INDEX_CHARGES)
def test_indexes_are_charged_for_what_they_store_anew(indexed, before, after, own, of_global, of_local):
    if before is not None:
        indexed("PutItem", TableName="items", Item={**KEY, **before})
    if after is None:
        assert arms(indexed, "DeleteItem", Key=KEY) == (own, of_global, of_local)
    else:
        assert arms(indexed, "PutItem", Item={**KEY, **after}) == (own, of_global, of_local)


def test_what_a_batch_costs_by_index(indexed):
    answer = indexed(
        "BatchWriteItem",
        RequestItems={"items": [{"PutRequest": {"Item": {**key(sk=n), **G}}} for n in range(3)]},
        ReturnConsumedCapacity="INDEXES",
    )
    three = {"CapacityUnits": 3.0}
    assert answer["ConsumedCapacity"] == [
        {
            "TableName": "items",
            "CapacityUnits": 9.0,
            "Table": three,
            "GlobalSecondaryIndexes": {"all": three, "keys": three},
        }
    ]


def test_nothing_is_told_where_nothing_is_asked(table):
    for more in {}, {"ReturnConsumedCapacity": "NONE", "ReturnItemCollectionMetrics": "NONE"}:
        for operation, what in ("PutItem", "Item"), ("UpdateItem", "Key"), ("DeleteItem", "Key"):
            assert table(operation, TableName="items", **{what: KEY}, **more) == {}
        answer = table("BatchWriteItem", RequestItems={"items": [{"PutRequest": {"Item": KEY}}]}, **more)
        assert answer == {"UnprocessedItems": {}}


# ---- item collections


def test_collections_are_told_of_tables_with_a_local_index(table):
    table.create("plain", "pk sk", "pk:S sk:N")
    expected = {"ItemCollectionKey": {"pk": {"S": "k"}}, "SizeEstimateRangeGB": [0.0, 1.0]}
    for operation, what in ("PutItem", "Item"), ("UpdateItem", "Key"), ("DeleteItem", "Key"):
        request = {what: KEY, "ReturnItemCollectionMetrics": "SIZE"}
        assert table(operation, TableName="items", **request) == {"ItemCollectionMetrics": expected}
        assert table(operation, TableName="plain", **request) == {}


def test_a_batch_tells_of_each_partition_key_once(table):
    table.create("plain", "pk sk", "pk:S sk:N")
    writes = [{"PutRequest": {"Item": key(pk, sk)}} for pk, sk in [("k", 1), ("k", 2), ("m", 1)]]
    answer = table(
        "BatchWriteItem", RequestItems={"items": writes, "plain": writes}, ReturnItemCollectionMetrics="SIZE"
    )
    assert answer["ItemCollectionMetrics"] == {
        "items": [{"ItemCollectionKey": {"pk": {"S": pk}}, "SizeEstimateRangeGB": [0.0, 1.0]} for pk in ("k", "m")]
    }


def test_sizes_of_tables_and_indexes_are_sums_of_what_they_hold(indexed):
    indexed("PutItem", TableName="items", Item={**sized(1000, **G), "sk": {"N": "1"}})
    indexed("PutItem", TableName="items", Item=sized(500, **T) | {"sk": {"N": "2"}})
    shown = indexed("DescribeTable", TableName="items")["Table"]
    assert (shown["ItemCount"], shown["TableSizeBytes"]) == (2, 1500)
    sizes = {
        one["IndexName"]: (one["ItemCount"], one["IndexSizeBytes"])
        for member in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes")
        for one in shown[member]
    }
    assert sizes == {"all": (1, 1000), "keys": (1, 7 + 6), "local": (1, 7 + 6)}


# ---- names by ARN; limits, endpoints


def test_answers_name_a_table_as_the_request_did(table):
    arn = table("DescribeTable", TableName="items")["Table"]["TableArn"]
    assert table("DescribeTable", TableName=arn)["Table"]["TableName"] == "items"
    both = {"TableName": arn, "ReturnConsumedCapacity": "TOTAL"}
    for operation, request in (
        ("PutItem", {"Item": KEY}),
        ("UpdateItem", {"Key": KEY}),
        ("GetItem", {"Key": KEY}),
        ("Scan", {}),
        ("Query", {"KeyConditionExpression": "pk = :k", "ExpressionAttributeValues": {":k": {"S": "k"}}}),
        ("DeleteItem", {"Key": KEY}),
    ):
        assert table(operation, **both, **request)["ConsumedCapacity"]["TableName"] == arn
    table("BatchWriteItem", RequestItems={arn: [{"PutRequest": {"Item": KEY}}]})
    answer = table("BatchGetItem", RequestItems={arn: {"Keys": [KEY]}}, ReturnConsumedCapacity="TOTAL")
    assert answer["Responses"] == {arn: [KEY]}
    assert answer["ConsumedCapacity"][0]["TableName"] == arn
    other = arn.replace("us-east-1", "eu-west-1")
    assert table.refused("GetItem", TableName=other, Key=KEY)[0] == "ResourceNotFoundException"


def test_limits_and_endpoints(ask):
    assert ask("DescribeLimits") == {
        "AccountMaxReadCapacityUnits": 80000,
        "AccountMaxWriteCapacityUnits": 80000,
        "TableMaxReadCapacityUnits": 40000,
        "TableMaxWriteCapacityUnits": 40000,
    }
    endpoint = {"Address": "dynamodb.us-east-1.amazonaws.com", "CachePeriodInMinutes": 1440}
    assert ask("DescribeEndpoints") == {"Endpoints": [endpoint]}
