"""Small cases in which other implementations of DynamoDB were seen to answer otherwise; here as the rules say."""

from __future__ import annotations

import pytest

PAIR = {"pk": {"S": "p"}, "sk": {"N": "1"}}
ITEM = {
    **PAIR,
    "gh": {"S": "g"},
    "gr": {"N": "1"},
    "l1": {"S": "l"},
    "l2": {"S": "l"},
    "b": {"B": b"ab"},
    "n": {"N": "5"},
    "z": {"NULL": True},
}


@pytest.fixture
def item(world):
    world("PutItem", TableName="pair", Item=ITEM)
    return world


def count(world, text, value, index):
    key, held = ("gh", "g") if index.startswith("g") else ("pk", "p")
    answer = world(
        "Query",
        TableName="pair",
        IndexName=index,
        KeyConditionExpression=f"{key} = :k",
        FilterExpression=text,
        ExpressionAttributeValues={":k": {"S": held}, ":v": value},
    )
    assert answer["ScannedCount"] == 1
    return answer["Count"]


@pytest.mark.parametrize(
    ("text", "value", "holds"),
    [
        ("begins_with(b, :v)", {"B": b"a"}, True),
        ("contains(b, :v)", {"B": b"b"}, True),
        ("size(absent) <> :v", {"N": "0"}, True),
        ("size(n) < :v", {"N": "9"}, False),
        ("absent = :v", {"NULL": True}, False),
        ("absent <> :v", {"NULL": True}, True),
        ("z = :v", {"NULL": True}, True),
        ("absent IN (:v)", {"NULL": True}, False),
        ("n < :v", {"S": "9"}, False),
        ("NOT n < :v", {"S": "9"}, True),
        ("NOT n BETWEEN :v AND :v", {"S": "9"}, True),
    ],
)
@pytest.mark.parametrize("index", ["g-all", "l-all"])
def test_a_filter_on_an_index_means_what_it_means_on_the_table(item, text, value, holds, index):
    assert count(item, text, value, index) == holds


def test_a_local_index_reaches_back_for_what_it_lacks(item):
    request = {"TableName": "pair", "IndexName": "l-inc", "ProjectionExpression": "gh, sk"}
    assert item("Scan", **request)["Items"] == [{"gh": {"S": "g"}, "sk": {"N": "1"}}]


@pytest.mark.parametrize(
    "text", ["ADD m.a :n", "DELETE m.a :s", "SET m.a = :n", "ADD n.a :n", "DELETE z.a :s", "SET gh.a = :n"]
)
def test_parents_are_never_made(item, text):
    values = {":n": {"N": "1"}, ":s": {"SS": ["a"]}}
    request = {"TableName": "pair", "Key": PAIR, "UpdateExpression": text}
    request["ExpressionAttributeValues"] = {name: held for name, held in values.items() if name in text}
    fault = "The document path provided in the update expression is invalid for update"
    assert item.refused("UpdateItem", request) == ("ValidationException", fault)


def test_what_was_updated_does_not_include_the_key_of_a_new_item(world):
    key = {"pk": {"S": "brand"}, "sk": {"N": "2"}}
    request = {"TableName": "pair", "Key": key, "ReturnValues": "UPDATED_NEW", "UpdateExpression": "SET a = :v"}
    answer = world("UpdateItem", **request, ExpressionAttributeValues={":v": {"N": "1"}})
    assert answer == {"Attributes": {"a": {"N": "1"}}}
    assert world("UpdateItem", **{**request, "UpdateExpression": "REMOVE a"}) == {}
    world("DeleteItem", TableName="pair", Key=key)


def test_a_failed_condition_comes_before_a_path_that_cannot_be_updated(item):
    request = {"TableName": "pair", "Key": PAIR, "UpdateExpression": "REMOVE m.a.b"}
    request["ConditionExpression"] = "attribute_not_exists(pk)"
    assert item.refused("UpdateItem", request)[0] == "ConditionalCheckFailedException"


def test_a_transaction_gives_reasons_for_paths_that_cannot_be_updated(item):
    actions = [
        {"Delete": {"TableName": "pair", "Key": PAIR, "ConditionExpression": "attribute_not_exists(pk)"}},
        {"Update": {"TableName": "hash", "Key": {"pk": {"S": "x"}}, "UpdateExpression": "REMOVE a.b"}},
    ]
    code, text = item.refused("TransactWriteItems", {"TransactItems": actions})
    assert code == "TransactionCanceledException"
    assert text.endswith("[ConditionalCheckFailed, ValidationError]")


def test_an_index_key_is_checked_by_updates_too(item):
    request = {"TableName": "pair", "Key": PAIR, "UpdateExpression": "REMOVE gr ADD gh :s"}
    request["ExpressionAttributeValues"] = {":s": {"SS": ["a"]}}
    code, text = item.refused("UpdateItem", request)
    assert (code, text) == ("ValidationException", "An operand in the update expression has an incorrect data type")
    request["UpdateExpression"] = "SET gh = :s"
    text = (
        "One or more parameter values were invalid: Type mismatch for Index Key gh Expected: S Actual: SS IndexName: "
        "g-all"
    )
    assert item.refused("UpdateItem", request) == ("ValidationException", text)
