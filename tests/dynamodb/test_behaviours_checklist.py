"""What the live service was seen to do with well-formed requests: items, conditions, legacy parameters, limits."""

from __future__ import annotations

import pytest

HASH = {"TableName": "hash"}
FULL = {
    "pk": {"S": "full"},
    "s": {"S": "text"},
    "n": {"N": "-3.25"},
    "b": {"B": b"\x00\x01\xff"},
    "t": {"BOOL": False},
    "z": {"NULL": True},
    "ss": {"SS": ["a", "b"]},
    "ns": {"NS": ["1", "2"]},
    "bs": {"BS": [b"\x01", b"\x02"]},
    "l": {"L": [{"S": "a"}, {"N": "1"}, {"M": {"x": {"L": [{"M": {"y": {"S": "deep"}}}]}}}]},
    "m": {"M": {"a": {"M": {"b": {"M": {"c": {"S": "three"}}}}}}},
    "empty": {"S": ""},
    "none": {"B": b""},
}


def get(world, key, table="hash", **more):
    return world("GetItem", TableName=table, Key=key, **more).get("Item")


@pytest.mark.parametrize("consistent", [True, False])
def test_every_type_comes_back(world, consistent):
    world("PutItem", **HASH, Item=FULL)
    assert get(world, {"pk": {"S": "full"}}, ConsistentRead=consistent) == FULL


def test_a_large_string_comes_back(world):
    item = {"pk": {"S": "large"}, "s": {"S": "x" * 100_000}}
    world("PutItem", **HASH, Item=item)
    assert get(world, {"pk": {"S": "large"}}) == item


@pytest.mark.parametrize("key", ["42", "3.14159", "-7", "0", "1E-130"])
def test_a_number_is_a_key_by_its_value(world, key):
    world("PutItem", TableName="number", Item={"pk": {"N": key}, "k": {"S": key}})
    again = {"pk": {"N": f"{key}E0" if "E" not in key else "0.1E-129"}}
    assert get(world, again, "number")["k"] == {"S": key}


def test_a_binary_sort_key_keeps_its_bytes(world):
    for held in (b"\x00", b"\x00\x00", b"\xff\x00"):
        key = {"pk": {"S": "b"}, "sk": {"B": held}}
        world("PutItem", TableName="bytes", Item=key)
        assert get(world, key, "bytes") == key


def test_a_put_replaces_the_whole_item(world):
    key = {"pk": {"S": "replaced"}}
    assert world("PutItem", **HASH, Item={**key, "a": {"S": "1"}}, ReturnValues="ALL_OLD") == {}
    old = world("PutItem", **HASH, Item={**key, "b": {"S": "2"}}, ReturnValues="ALL_OLD")
    assert old == {"Attributes": {**key, "a": {"S": "1"}}}
    assert get(world, key) == {**key, "b": {"S": "2"}}
    assert world("PutItem", **HASH, Item=key, ReturnValues="NONE") == {}


def test_a_delete_returns_what_was_there(world):
    key = {"pk": {"S": "deleted"}}
    world("PutItem", **HASH, Item={**key, "a": {"S": "1"}})
    old = world("DeleteItem", **HASH, Key=key, ReturnValues="ALL_OLD")
    assert old == {"Attributes": {**key, "a": {"S": "1"}}}
    assert world("DeleteItem", **HASH, Key=key, ReturnValues="ALL_OLD") == {}
    assert world("GetItem", **HASH, Key=key) == {}


def test_a_lookup_with_another_sort_key_finds_nothing(world):
    world("PutItem", TableName="words", Item={"pk": {"S": "k"}, "sk": {"S": "a"}})
    assert world("GetItem", TableName="words", Key={"pk": {"S": "k"}, "sk": {"S": "b"}}) == {}


# ---- conditions


STORED = {
    "pk": {"S": "cond"},
    "n": {"N": "5"},
    "s": {"S": "abc"},
    "status": {"S": "on"},
    "m": {"M": {"a": {"M": {"b": {"N": "1"}}}}},
    "ss": {"SS": ["x"]},
}
CONDITIONS = [
    ("attribute_exists(pk)", {}, True),
    ("attribute_not_exists(pk)", {}, False),
    ("n > :v", {"N": "4"}, True),
    ("n > :v", {"N": "5"}, False),
    ("zz <> :v", {"N": "5"}, True),
    ("zz = :v", {"N": "5"}, False),
    ("zz <> :v OR yy < :v", {"N": "5"}, True),
    ("size(s) < :v", {"N": "4"}, True),
    ("contains(s, :v)", {"S": "bc"}, True),
    ("attribute_type(ss, :v)", {"S": "SS"}, True),
    ("NOT attribute_exists(zz)", {}, True),
    ("n = :v AND attribute_exists(s)", {"N": "5"}, True),
    ("n = :v OR attribute_exists(zz)", {"N": "5"}, True),
    ("m.a.b = :v", {"N": "1"}, True),
    ("attribute_exists(m.a.b) AND attribute_not_exists(m.a.c)", {}, True),
    ("#st = :v", {"S": "on"}, True),
    ("(attribute_exists(pk)) AND (#st = :v)", {"S": "on"}, True),
    ("(attribute_exists(pk) AND #st = :v)", {"S": "on"}, True),
    ("(attribute_exists(pk) AND (#st = :v))", {"S": "on"}, True),
    ("(attribute_exists(pk) AND (#st = :v))", {"S": "off"}, False),
]


@pytest.mark.parametrize(("text", "value", "holds"), CONDITIONS)
@pytest.mark.parametrize("operation", ["PutItem", "UpdateItem", "DeleteItem"])
def test_a_write_happens_where_its_condition_holds(world, operation, text, value, holds):
    world("PutItem", **HASH, Item=STORED)
    key = {"pk": STORED["pk"]}
    request = {**HASH, "ConditionExpression": text}
    if value:
        request["ExpressionAttributeValues"] = {":v": value}
    if "#st" in text:
        request["ExpressionAttributeNames"] = {"#st": "status"}
    if operation == "PutItem":
        request["Item"] = {**key, "new": {"S": "new"}}
    else:
        request["Key"] = key
    if operation == "UpdateItem":
        request["UpdateExpression"] = "REMOVE n"
    after = {
        "PutItem": {**key, "new": {"S": "new"}},
        "UpdateItem": {name: held for name, held in STORED.items() if name != "n"},
        "DeleteItem": None,
    }[operation]
    if holds:
        world(operation, **request)
        assert get(world, key) == after
        return
    failed = ("ConditionalCheckFailedException", "The conditional request failed")
    assert world.refused(operation, request) == failed
    assert get(world, key) == STORED
    with pytest.raises(world.client.exceptions.ConditionalCheckFailedException) as caught:
        world(operation, **request, ReturnValuesOnConditionCheckFailure="ALL_OLD")
    assert caught.value.response["Item"] == STORED


def test_a_failed_condition_on_nothing_has_no_item(world):
    request = {**HASH, "Key": {"pk": {"S": "nothing"}}, "ConditionExpression": "attribute_exists(pk)"}
    with pytest.raises(world.client.exceptions.ConditionalCheckFailedException) as caught:
        world("DeleteItem", **request, ReturnValuesOnConditionCheckFailure="ALL_OLD")
    assert "Item" not in caught.value.response


RESERVED = ["status", "name", "data", "count", "items", "size", "Type", "USER", "timestamp", "value"]


def test_reserved_words_go_through_placeholders(world):
    names = {f"#{word}": word for word in RESERVED}
    values = {f":{word}": {"S": word} for word in RESERVED}
    text = "SET " + ", ".join(f"#{word} = :{word}" for word in RESERVED)
    key = {"pk": {"S": "reserved"}}
    request = {**HASH, "Key": key, "UpdateExpression": text, "ExpressionAttributeNames": names}
    answer = world("UpdateItem", **request, ExpressionAttributeValues=values, ReturnValues="UPDATED_NEW")
    assert answer["Attributes"] == {word: {"S": word} for word in RESERVED}
    for word in RESERVED:
        text = world.refused("UpdateItem", {**HASH, "Key": key, "UpdateExpression": f"REMOVE {word}"})[1]
        assert text.endswith(f"Attribute name is a reserved keyword; reserved keyword: {word}")


# ---- updates without expressions


def test_an_update_of_nothing_makes_an_item_of_its_key(world):
    key = {"pk": {"S": "made"}}
    assert world("UpdateItem", **HASH, Key=key, ReturnValues="ALL_NEW") == {"Attributes": key}
    assert get(world, key) == key
    removed = {"pk": {"S": "removed"}}
    world("UpdateItem", **HASH, Key=removed, UpdateExpression="REMOVE a")
    assert get(world, removed) == removed


LEGACY = [
    ({"a": {"Action": "PUT", "Value": {"S": "x"}}}, {"a": {"S": "x"}}),
    ({"a": {"Value": {"S": "x"}}}, {"a": {"S": "x"}}),
    ({"a": {"Action": "DELETE"}}, {"a": None}),
    ({"ss": {"Action": "DELETE", "Value": {"SS": ["x", "q"]}}}, {"ss": {"SS": ["y"]}}),
    ({"ss": {"Action": "DELETE", "Value": {"SS": ["x", "y"]}}}, {"ss": None}),
    ({"n": {"Action": "ADD", "Value": {"N": "2.5"}}}, {"n": {"N": "3.5"}}),
    ({"new": {"Action": "ADD", "Value": {"N": "2.5"}}}, {"new": {"N": "2.5"}}),
    ({"ss": {"Action": "ADD", "Value": {"SS": ["a"]}}}, {"ss": {"SS": ["a", "x", "y"]}}),
    ({"l": {"Action": "ADD", "Value": {"L": [{"N": "2"}]}}}, {"l": {"L": [{"N": "1"}, {"N": "2"}]}}),
    (
        {"a": {"Value": {"S": "x"}}, "n": {"Action": "DELETE"}, "b-b.b": {"Value": {"S": "y"}}},
        {"a": {"S": "x"}, "n": None, "b-b.b": {"S": "y"}},
    ),
]


@pytest.mark.parametrize(("updates", "changed"), LEGACY)
def test_attribute_updates(world, updates, changed):
    key = {"pk": {"S": "legacy"}}
    before = {"a": {"S": "a"}, "n": {"N": "1"}, "ss": {"SS": ["x", "y"]}, "l": {"L": [{"N": "1"}]}}
    world("PutItem", **HASH, Item={**key, **before})
    answer = world("UpdateItem", **HASH, Key=key, AttributeUpdates=updates, ReturnValues="ALL_NEW")
    after = {name: held for name, held in {**key, **before, **changed}.items() if held is not None}
    assert answer["Attributes"] == after == get(world, key)


def test_an_attribute_update_of_another_type(world):
    world("PutItem", **HASH, Item={"pk": {"S": "legacy"}, "a": {"S": "a"}})
    request = {
        **HASH,
        "Key": {"pk": {"S": "legacy"}},
        "AttributeUpdates": {"a": {"Action": "ADD", "Value": {"N": "1"}}},
    }
    assert world.refused("UpdateItem", request) == ("ValidationException", "Type mismatch for attribute to update")


EXPECTED = [
    ({"pk": {"Exists": False}}, "AND", False),
    ({"zz": {"Exists": False}}, "AND", True),
    ({"a": {"Value": {"S": "a"}}}, "AND", True),
    ({"a": {"Exists": True, "Value": {"S": "b"}}}, "AND", False),
    ({"n": {"ComparisonOperator": "EQ", "AttributeValueList": [{"N": "1.0"}]}}, "AND", True),
    ({"n": {"ComparisonOperator": "NE", "Value": {"N": "1"}}}, "AND", False),
    ({"a": {"ComparisonOperator": "BEGINS_WITH", "AttributeValueList": [{"S": ""}]}}, "AND", True),
    ({"n": {"ComparisonOperator": "BETWEEN", "AttributeValueList": [{"N": "0"}, {"N": "2"}]}}, "AND", True),
    ({"n": {"ComparisonOperator": "IN", "AttributeValueList": [{"N": "0"}, {"N": "1"}]}}, "AND", True),
    ({"zz": {"ComparisonOperator": "NULL"}}, "AND", True),
    ({"a": {"ComparisonOperator": "NOT_NULL"}}, "AND", True),
    ({"ss": {"ComparisonOperator": "CONTAINS", "AttributeValueList": [{"S": "x"}]}}, "AND", True),
    ({"zz": {"ComparisonOperator": "NOT_CONTAINS", "AttributeValueList": [{"S": "x"}]}}, "AND", None),
    ({"a": {"Value": {"S": "a"}}, "zz": {"Exists": False}}, "AND", True),
    ({"a": {"Value": {"S": "b"}}, "zz": {"Exists": False}}, "AND", False),
    ({"a": {"Value": {"S": "b"}}, "zz": {"Exists": False}}, "OR", True),
]


@pytest.mark.parametrize(("entries", "operator", "holds"), EXPECTED)
def test_expectations(world, entries, operator, holds):
    key = {"pk": {"S": "expected"}}
    item = {**key, "a": {"S": "a"}, "n": {"N": "1"}, "ss": {"SS": ["x"]}}
    world("PutItem", **HASH, Item=item)
    more = {"ConditionalOperator": operator} if len(entries) > 1 else {}
    for operation, request in (
        ("PutItem", {"Item": item}),
        ("UpdateItem", {"Key": key}),
        ("DeleteItem", {"Key": key}),
    ):
        if holds is None:
            continue
        if holds:
            world(operation, **HASH, **request, Expected=entries, **more)
        else:
            refused = world.refused(operation, {**HASH, **request, "Expected": entries, **more})
            assert refused[0] == "ConditionalCheckFailedException"


FILTERS = [
    ({"n": {"ComparisonOperator": "EQ", "AttributeValueList": [{"N": "1"}]}}, "1"),
    ({"n": {"ComparisonOperator": "NE", "AttributeValueList": [{"N": "1"}]}}, "234"),
    ({"n": {"ComparisonOperator": "GT", "AttributeValueList": [{"N": "1"}]}}, "23"),
    ({"s": {"ComparisonOperator": "LE", "AttributeValueList": [{"S": "b"}]}}, "12"),
    ({"s": {"ComparisonOperator": "BEGINS_WITH", "AttributeValueList": [{"S": "c"}]}}, "3"),
    ({"s": {"ComparisonOperator": "CONTAINS", "AttributeValueList": [{"S": "c"}]}}, "3"),
    ({"n": {"ComparisonOperator": "NULL"}}, "4"),
    ({"b": {"ComparisonOperator": "GT", "AttributeValueList": [{"B": b"\x01"}]}}, "23"),
    ({"b": {"ComparisonOperator": "BETWEEN", "AttributeValueList": [{"B": b"\x01"}, {"B": b"\x01\xff"}]}}, "12"),
    ({"ss": {"ComparisonOperator": "EQ", "AttributeValueList": [{"SS": ["y", "x"]}]}}, "1"),
    ({"ss": {"ComparisonOperator": "NE", "AttributeValueList": [{"SS": ["y", "x"]}]}}, "234"),
]


@pytest.mark.parametrize(("conditions", "found"), FILTERS)
def test_filters_of_a_scan(world, conditions, found):
    rows = [
        {"n": {"N": "1"}, "s": {"S": "a"}, "b": {"B": b"\x01"}, "ss": {"SS": ["x", "y"]}},
        {"n": {"N": "2"}, "s": {"S": "b"}, "b": {"B": b"\x01\x02"}, "ss": {"SS": ["x"]}},
        {"n": {"N": "3"}, "s": {"S": "cc"}, "b": {"B": b"\x02"}},
        {},
    ]
    for number, row in enumerate(rows, 1):
        world("PutItem", TableName="words", Item={"pk": {"S": "filter"}, "sk": {"S": str(number)}, **row})
    answer = world(
        "Query",
        TableName="words",
        KeyConditions={"pk": {"ComparisonOperator": "EQ", "AttributeValueList": [{"S": "filter"}]}},
        QueryFilter=conditions,
    )
    assert "".join(item["sk"]["S"] for item in answer["Items"]) == found
    only = {"pk": {"ComparisonOperator": "EQ", "AttributeValueList": [{"S": "filter"}]}}
    scanned = world("Scan", TableName="words", ScanFilter={**conditions, **only}, ConditionalOperator="AND")
    assert sorted(item["sk"]["S"] for item in scanned["Items"]) == list(found)


def test_attributes_to_get_adds_no_keys(world):
    key = {"pk": {"S": "atg"}}
    world("PutItem", **HASH, Item={**key, "a": {"S": "1"}, "b.c": {"S": "2"}})
    assert get(world, key, AttributesToGet=["a", "zz", "b.c"]) == {"a": {"S": "1"}, "b.c": {"S": "2"}}
    assert get(world, key, AttributesToGet=["zz"]) == {}
    batch = world("BatchGetItem", RequestItems={"hash": {"Keys": [key], "AttributesToGet": ["a"]}})
    assert batch["Responses"]["hash"] == [{"a": {"S": "1"}}]


# ---- limits


def test_the_largest_batches_and_transactions(world):
    keys = [{"pk": {"S": f"limit {number}"}} for number in range(100)]
    actions = [{"Put": {**HASH, "Item": {**key, "b": {"S": "x" * 40_000}}}} for key in keys]
    assert world("TransactWriteItems", TransactItems=actions) == {}
    gets = [{"Get": {**HASH, "Key": key, "ProjectionExpression": "pk"}} for key in keys]
    assert [response["Item"] for response in world("TransactGetItems", TransactItems=gets)["Responses"]] == keys
    found = world("BatchGetItem", RequestItems={"hash": {"Keys": keys, "ProjectionExpression": "pk"}})
    assert sorted(item["pk"]["S"] for item in found["Responses"]["hash"]) == sorted(key["pk"]["S"] for key in keys)
    puts = [{"PutRequest": {"Item": {**key, "b": {"S": "x" * 20_000}}}} for key in keys[:25]]
    assert world("BatchWriteItem", RequestItems={"hash": puts}) == {"UnprocessedItems": {}}
    deletes = [{"Delete": {**HASH, "Key": key}} for key in keys]
    world("TransactWriteItems", TransactItems=deletes)


def test_index_pages_are_whole_under_equal_cursor_components(world):
    for partition in ("dup-a", "dup-b"):
        for number in range(15):
            item = {"pk": {"S": partition}, "sk": {"N": str(number)}, "gh": {"S": "dup"}, "gr": {"N": "1"}}
            world("PutItem", TableName="pair", Item={**item, "l1": {"S": "dup"}, "odd": {"N": str(number % 2)}})
    for index in ("g-all", "l-all"):
        for more in ({}, {"FilterExpression": "odd = :o", "ExpressionAttributeValues": {":o": {"N": "1"}}}):
            seen, start = [], {}
            while True:
                page = world("Scan", TableName="pair", IndexName=index, Limit=4, **more, **start)
                seen += [(item["pk"]["S"], int(item["sk"]["N"])) for item in page["Items"]]
                if "LastEvaluatedKey" not in page:
                    break
                start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
            wanted = range(1, 15, 2) if more else range(15)
            assert sorted(seen) == [(name, number) for name in ("dup-a", "dup-b") for number in wanted]


def test_an_item_leaves_and_enters_its_indexes_as_its_keys_change(world):
    key = {"pk": {"S": "moving"}, "sk": {"N": "1"}}

    def members(value):
        request = {"TableName": "pair", "IndexName": "g-keys", "KeyConditionExpression": "gh = :g"}
        return world("Query", **request, ExpressionAttributeValues={":g": {"S": value}})["Count"]

    world("PutItem", TableName="pair", Item={**key, "gh": {"S": "mv1"}})
    assert members("mv1") == 0
    update = {"TableName": "pair", "Key": key}
    world("UpdateItem", **update, UpdateExpression="SET gr = :r", ExpressionAttributeValues={":r": {"N": "1"}})
    assert members("mv1") == 1
    world("UpdateItem", **update, UpdateExpression="SET gh = :h", ExpressionAttributeValues={":h": {"S": "mv2"}})
    assert (members("mv1"), members("mv2")) == (0, 1)
    world("UpdateItem", **update, UpdateExpression="REMOVE gr")
    assert members("mv2") == 0
