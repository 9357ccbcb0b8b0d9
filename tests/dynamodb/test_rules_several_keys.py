"""Global indexes with several partition and sort attributes: the published rules, line by line."""

from __future__ import annotations

import random

import pytest

from dynamodb.asking import until_built

INVALID = "One or more parameter values were invalid: "
TYPES = {"pk": "S", "h1": "S", "h2": "N", "r1": "N", "r2": "S", "r3": "B"}


def element(name, kind):
    return {"AttributeName": name, "KeyType": kind}


def schema(hashes, ranges):
    return [element(name, "HASH") for name in hashes.split()] + [element(name, "RANGE") for name in ranges.split()]


def by(keys, name="several"):
    return {"IndexName": name, "KeySchema": keys, "Projection": {"ProjectionType": "KEYS_ONLY"}}


def definitions(*names):
    return [{"AttributeName": name, "AttributeType": TYPES.get(name, "S")} for name in names]


def table_of(keys):
    names = dict.fromkeys(["pk", *(one["AttributeName"] for one in keys)])
    return {
        "TableName": "many",
        "KeySchema": [element("pk", "HASH")],
        "AttributeDefinitions": definitions(*names),
        "GlobalSecondaryIndexes": [by(keys)],
        "BillingMode": "PAY_PER_REQUEST",
    }


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        (schema("", "r1 h1"), "Invalid KeySchema: The first KeySchemaElement is not a HASH key type"),
        (
            schema("h1", "h1"),
            "Both the Hash Key and the Range Key element in the KeySchema have the same name",
        ),
        (schema("h1 h1", ""), "The KeySchema contains multiple key attributes with the same name"),
        (
            [element("h1", "HASH"), element("r1", "RANGE"), element("h2", "HASH")],
            f"{INVALID}All HASH key attributes must precede RANGE key attributes in the KeySchema",
        ),
        (
            schema("a b c d e", ""),
            f"{INVALID}The KeySchema exceeds the maximum allowed number of HASH key attributes",
        ),
        (
            schema("a", "b c d e f"),
            f"{INVALID}The KeySchema exceeds the maximum allowed number of RANGE key attributes",
        ),
    ],
)
def test_the_words_of_a_schema_that_is_refused(ask, keys, fault):
    assert ask.fault("CreateTable", **table_of(keys)).endswith(fault)


def test_a_schema_has_at_most_eight_elements(ask):
    fault = ask.fault("CreateTable", **table_of(schema("a b c d", "e f g h i")))
    assert "eySchema' failed to satisfy constraint: Member must have length less than or equal to 8" in fault


KEYS = schema("h1 h2", "r1 r2 r3")


@pytest.fixture(params=["CreateTable", "UpdateTable"])
def many(ask, request):
    """120 items of which most are in the index; the index is made with the table, or later."""
    if request.param == "CreateTable":
        ask("CreateTable", **table_of(KEYS))
    else:
        ask.create("many", "pk", "pk:S")
    dice = random.Random(5)
    items = []
    for number in range(120):
        item = {
            "pk": {"S": f"k{number}"},
            "h1": {"S": dice.choice(["a", "a\x00b", ""]) or "a"},
            "h2": {"N": dice.choice(["1", "1.0", "2"])},
            "r1": {"N": dice.choice(["-10", "-1.5", "0", "3", "20"])},
            "r2": {"S": dice.choice(["x", "x\x00", "xa", "y"])},
            "r3": {"B": bytes([dice.randrange(256)])},
        }
        if number % 10 == 0:
            del item[dice.choice(["h1", "h2", "r1", "r2", "r3"])]
        items.append(item)
        ask("PutItem", TableName="many", Item=item)
    if request.param == "UpdateTable":
        ask(
            "UpdateTable",
            TableName="many",
            AttributeDefinitions=definitions("h1", "h2", "r1", "r2", "r3"),
            GlobalSecondaryIndexUpdates=[{"Create": by(KEYS)}],
        )
        until_built(ask, "many")
    ask.items = items
    return ask


def expected(items, holds=lambda item: True):
    chosen = [
        item
        for item in items
        if len(item) == 6 and item["h1"] == {"S": "a"} and float(item["h2"]["N"]) == 1 and holds(item)
    ]
    chosen.sort(key=lambda item: (float(item["r1"]["N"]), item["r2"]["S"].encode(), item["r3"]["B"]))
    return [tuple(next(iter(item[name].values())) for name in ("r1", "r2", "r3")) for item in chosen]


def found(ask, condition, values, **more):
    pages, start = [], {}
    while True:
        page = ask(
            "Query",
            TableName="many",
            IndexName="several",
            KeyConditionExpression=condition,
            ExpressionAttributeValues={":a": {"S": "a"}, ":one": {"N": "1.00"}, **values},
            **more,
            **start,
        )
        pages += page["Items"]
        if "LastEvaluatedKey" not in page:
            return [tuple(next(iter(item[name].values())) for name in ("r1", "r2", "r3")) for item in pages]
        assert set(page["LastEvaluatedKey"]) == {"pk", "h1", "h2", "r1", "r2", "r3"}
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


@pytest.mark.parametrize(
    ("condition", "values", "holds"),
    [
        ("h1 = :a AND h2 = :one", {}, lambda item: True),
        ("h2 = :one AND r1 >= :r AND h1 = :a", {":r": {"N": "-1.50"}}, lambda item: float(item["r1"]["N"]) >= -1.5),
        (
            "r2 = :x AND r1 = :r AND h1 = :a AND h2 = :one",
            {":r": {"N": "3.0"}, ":x": {"S": "x"}},
            lambda item: item["r1"]["N"] == "3" and item["r2"]["S"] == "x",
        ),
        (
            "h1 = :a AND h2 = :one AND r1 = :r AND begins_with(r2, :x)",
            {":r": {"N": "20"}, ":x": {"S": "x"}},
            lambda item: item["r1"]["N"] == "20" and item["r2"]["S"].startswith("x"),
        ),
        (
            "h1 = :a AND h2 = :one AND r1 = :r AND r2 BETWEEN :x AND :y",
            {":r": {"N": "0"}, ":x": {"S": "x\x00"}, ":y": {"S": "xa"}},
            lambda item: item["r1"]["N"] == "0" and "x\x00" <= item["r2"]["S"] <= "xa",
        ),
    ],
)
def test_queries_sort_by_each_attribute_in_turn(many, condition, values, holds):
    wanted = expected(many.items, holds)
    assert wanted
    assert found(many, condition, values) == wanted
    assert found(many, condition, values, Limit=3) == wanted
    assert found(many, condition, values, Limit=4, ScanIndexForward=False) == wanted[::-1]


def test_items_that_lack_a_key_attribute_are_not_in_the_index(many):
    entries = many("Scan", TableName="many", IndexName="several")["Items"]
    whole = [item for item in many.items if len(item) == 6]
    assert {item["pk"]["S"] for item in entries} == {item["pk"]["S"] for item in whole}


def test_each_attribute_is_checked_on_a_write(many):
    fault = many.fault("PutItem", TableName="many", Item={"pk": {"S": "k"}, "r2": {"N": "1"}})
    assert fault == f"{INVALID}Type mismatch for Index Key r2 Expected: S Actual: N IndexName: several"


def test_legacy_conditions_obey_the_same_rules(many):
    def condition(operator, value):
        return {"ComparisonOperator": operator, "AttributeValueList": [value]}

    conditions = {"h1": condition("EQ", {"S": "a"}), "r2": condition("BEGINS_WITH", {"S": "x"})}
    request = {"TableName": "many", "IndexName": "several"}
    assert many.fault("Query", **request, KeyConditions=conditions) == (
        "HASH key attributes h2 must have equality conditions specified in the query"
    )
    conditions["h2"] = condition("EQ", {"N": "1"})
    assert many.fault("Query", **request, KeyConditions=conditions) == (
        "RANGE key attributes r1 must have equality conditions specified in the query because a condition is present on "
        "key attribute r2"
    )
    conditions["r1"] = condition("EQ", {"N": "3"})
    wanted = expected(many.items, lambda item: item["r1"]["N"] == "3" and item["r2"]["S"].startswith("x"))
    assert len(many("Query", **request, KeyConditions=conditions)["Items"]) == len(wanted)


def test_the_schema_is_described_as_it_was_given(many):
    shown = many("DescribeTable", TableName="many")["Table"]["GlobalSecondaryIndexes"][0]
    assert shown["KeySchema"] == KEYS
