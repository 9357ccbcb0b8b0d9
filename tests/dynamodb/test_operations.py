"""Operations through the service: items, pages, indexes, batches, transactions, tables, capacity."""

from __future__ import annotations

import threading

import pytest

from dynamodb.asking import index, until_built
from lsm.dynamodb import connect


def key(pk, sk):
    return {"pk": {"S": pk}, "sk": {"N": str(sk)}}


def fill(ask, count=20):
    for number in range(count):
        ask(
            "PutItem",
            TableName="items",
            Item={
                **key("a", number - 5),
                "group": {"S": f"g{number % 2}"},
                "title": {"S": f"t{count - 1 - number:02}"},
                "x": {"N": str(number)},
                "y": {"S": "y" * number},
            },
        )


def test_get_gives_what_put_took_in_stored_form(table):
    table("PutItem", TableName="items", Item={**key("a", "1.0"), "x": {"NS": ["3", "1.50"]}})
    answer = table("GetItem", TableName="items", Key=key("a", "1"), ReturnConsumedCapacity="TOTAL")
    assert answer == {
        "Item": {**key("a", 1), "x": {"NS": ["1.5", "3"]}},
        "ConsumedCapacity": {"TableName": "items", "CapacityUnits": 0.5},
    }


def test_get_of_nothing_has_no_item(table):
    assert table("GetItem", TableName="items", Key=key("a", 1)) == {}


def test_a_query_reads_a_range_in_both_directions_page_by_page(table):
    fill(table)
    seen, start = [], None
    while True:
        more = {} if start is None else {"ExclusiveStartKey": start}
        page = table(
            "Query",
            TableName="items",
            KeyConditionExpression="pk = :p AND sk BETWEEN :a AND :b",
            ExpressionAttributeValues={":p": {"S": "a"}, ":a": {"N": "-3"}, ":b": {"N": "11.5"}},
            ScanIndexForward=False,
            Limit=4,
            **more,
        )
        seen += [int(item["sk"]["N"]) for item in page["Items"]]
        start = page.get("LastEvaluatedKey")
        if start is None:
            break
    assert seen == list(range(11, -4, -1))


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("sk = :v", [3]),
        ("sk < :v", [0, 1, 2]),
        ("sk <= :v", [0, 1, 2, 3]),
        ("sk > :v", [4, 5]),
        (":v <= sk", [3, 4, 5]),
    ],
)
def test_sort_key_conditions_on_table_and_index(table, condition, expected):
    for number in range(6):
        table("PutItem", TableName="items", Item={**key("a", number), "group": {"S": "g"}})
    for source, name in ({}, "pk"), ({"IndexName": "by-group"}, "group"):
        page = table(
            "Query",
            TableName="items",
            KeyConditionExpression=f"#h = :h AND {condition}",
            ExpressionAttributeNames={"#h": name},
            ExpressionAttributeValues={":h": {"S": "a" if name == "pk" else "g"}, ":v": {"N": "3"}},
            **source,
        )
        assert [int(item["sk"]["N"]) for item in page["Items"]] == expected


def test_an_index_follows_writes(table):
    def of_group(group):
        page = table(
            "Query",
            TableName="items",
            IndexName="by-group",
            KeyConditionExpression="#g = :g",
            ExpressionAttributeNames={"#g": "group"},
            ExpressionAttributeValues={":g": {"S": group}},
        )
        return page["Items"]

    table("PutItem", TableName="items", Item={**key("a", 1), "group": {"S": "one"}, "x": {"N": "1"}})
    assert of_group("one") == [{**key("a", 1), "group": {"S": "one"}}]
    table(
        "UpdateItem",
        TableName="items",
        Key=key("a", 1),
        UpdateExpression="SET #g = :g",
        ExpressionAttributeNames={"#g": "group"},
        ExpressionAttributeValues={":g": {"S": "two"}},
    )
    assert (of_group("one"), len(of_group("two"))) == ([], 1)
    table("DeleteItem", TableName="items", Key=key("a", 1))
    assert of_group("two") == []


def test_an_item_without_the_index_key_is_not_in_the_index(table):
    table("PutItem", TableName="items", Item=key("a", 1))
    assert table("Scan", TableName="items", IndexName="by-group")["Count"] == 0
    assert table("Scan", TableName="items", IndexName="by-title")["Count"] == 0


def test_segments_of_a_scan_are_disjoint_and_complete(table):
    for number in range(50):
        table("PutItem", TableName="items", Item=key(f"p{number}", number))
    pages = [table("Scan", TableName="items", Segment=n, TotalSegments=7)["Items"] for n in range(7)]
    found = [item["pk"]["S"] for page in pages for item in page]
    assert sorted(found) == sorted(f"p{number}" for number in range(50))


def test_a_page_ends_after_a_megabyte(hashes):
    for number in range(20):
        hashes("PutItem", TableName="hashes", Item={"pk": {"S": f"{number:02}"}, "x": {"S": "x" * 60_000}})
    page = hashes("Scan", TableName="hashes")
    assert page["Count"] < 20
    rest = hashes("Scan", TableName="hashes", ExclusiveStartKey=page["LastEvaluatedKey"])
    assert page["Count"] + rest["Count"] == 20


def test_a_failed_condition_changes_nothing_and_shows_the_item_if_asked(table):
    table("PutItem", TableName="items", Item={**key("a", 1), "x": {"N": "1"}})
    code, message = table.refused(
        "PutItem",
        TableName="items",
        Item=key("a", 1),
        ConditionExpression="attribute_not_exists(pk)",
    )
    assert (code, message) == ("ConditionalCheckFailedException", "The conditional request failed")
    assert table("GetItem", TableName="items", Key=key("a", 1))["Item"]["x"] == {"N": "1"}


def test_counters_of_many_threads_lose_nothing(table):
    def add():
        for _ in range(50):
            table(
                "UpdateItem",
                TableName="items",
                Key=key("counter", 0),
                UpdateExpression="ADD n :one",
                ExpressionAttributeValues={":one": {"N": "1"}},
            )

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert table("GetItem", TableName="items", Key=key("counter", 0))["Item"]["n"] == {"N": "200"}


def test_units_of_a_write_count_the_table_and_each_changed_index(table):
    written = table(
        "PutItem",
        TableName="items",
        Item={**key("a", 1), "group": {"S": "g"}, "title": {"S": "t"}, "x": {"S": "x" * 1500}},
        ReturnConsumedCapacity="INDEXES",
    )["ConsumedCapacity"]
    assert written == {
        "TableName": "items",
        "CapacityUnits": 5.0,
        "Table": {"CapacityUnits": 2.0},
        "GlobalSecondaryIndexes": {"by-group": {"CapacityUnits": 1.0}},
        "LocalSecondaryIndexes": {"by-title": {"CapacityUnits": 2.0}},
    }


def test_a_transaction_is_all_or_nothing_with_a_reason_for_each_action(table):
    put = {"TableName": "items", "Item": key("t", 1)}
    code, message = table.refused(
        "TransactWriteItems",
        TransactItems=[
            {"Put": put},
            {"Delete": {"TableName": "items", "Key": key("a", 1), "ConditionExpression": "attribute_exists(pk)"}},
        ],
    )
    assert code == "TransactionCanceledException"
    assert message == (
        "Transaction cancelled, please refer cancellation reasons for specific reasons [None, ConditionalCheckFailed]"
    )
    assert table("Scan", TableName="items")["Count"] == 0


def test_a_token_is_spent_once_and_survives_a_restart(tmp_path):
    def write(connection, number):
        return connection.service.call(
            "TransactWriteItems",
            {
                "ClientRequestToken": "token",
                "ReturnConsumedCapacity": "TOTAL",
                "TransactItems": [
                    {
                        "Update": {
                            "TableName": "counters",
                            "Key": {"pk": {"S": "c"}},
                            "UpdateExpression": "ADD n :n",
                            "ExpressionAttributeValues": {":n": {"N": str(number)}},
                        }
                    }
                ],
            },
        )["ConsumedCapacity"][0]

    with connect(tmp_path / "db") as connection:
        connection.client().create_table(
            TableName="counters",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        assert write(connection, 1)["WriteCapacityUnits"] == 2.0
    with connect(tmp_path / "db") as connection:
        assert write(connection, 1)["ReadCapacityUnits"] == 2.0
        client = connection.client()
        assert client.get_item(TableName="counters", Key={"pk": {"S": "c"}})["Item"]["n"] == {"N": "1"}
        with pytest.raises(Exception, match="non-identical"):
            write(connection, 2)


def test_transact_get_answers_in_order_with_number_sets_in_hash_order(table):
    table("PutItem", TableName="items", Item={**key("a", 1), "s": {"NS": ["1", "2", "3"]}})
    answer = table(
        "TransactGetItems",
        TransactItems=[{"Get": {"TableName": "items", "Key": key("a", number)}} for number in (2, 1)],
    )
    assert answer == {"Responses": [{}, {"Item": {**key("a", 1), "s": {"NS": ["3", "2", "1"]}}}]}


def test_a_batch_writes_and_reads(table):
    writes = [{"PutRequest": {"Item": key("b", number)}} for number in range(5)]
    assert table("BatchWriteItem", RequestItems={"items": writes}) == {"UnprocessedItems": {}}
    answer = table(
        "BatchGetItem", RequestItems={"items": {"Keys": [key("b", n) for n in range(7)], "ProjectionExpression": "sk"}}
    )
    assert answer["UnprocessedKeys"] == {}
    assert sorted(int(item["sk"]["N"]) for item in answer["Responses"]["items"]) == list(range(5))


def test_an_index_added_to_a_live_table_finds_old_and_new_items(hashes):
    for number in range(200):
        hashes("PutItem", TableName="hashes", Item={"pk": {"S": str(number)}, "g": {"S": "g"}})
    hashes(
        "UpdateTable",
        TableName="hashes",
        AttributeDefinitions=[{"AttributeName": "g", "AttributeType": "S"}],
        GlobalSecondaryIndexUpdates=[{"Create": index("by-g", "g")}],
    )
    for number in range(200, 300):
        hashes("PutItem", TableName="hashes", Item={"pk": {"S": str(number)}, "g": {"S": "g"}})
    until_built(hashes, "hashes")
    assert hashes("Scan", TableName="hashes", IndexName="by-g", Select="COUNT")["Count"] == 300
    hashes("UpdateTable", TableName="hashes", GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "by-g"}}])
    assert "GlobalSecondaryIndexes" not in hashes("DescribeTable", TableName="hashes")["Table"]


def test_tables_survive_a_restart_and_dropped_ones_do_not(tmp_path):
    schema = {
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "BillingMode": "PAY_PER_REQUEST",
    }
    with connect(tmp_path / "db") as connection:
        client = connection.client()
        for name in ("one", "two"):
            client.create_table(TableName=name, **schema)
            client.put_item(TableName=name, Item={"pk": {"S": name}})
        client.delete_table(TableName="two")
    with connect(tmp_path / "db") as connection:
        client = connection.client()
        assert client.list_tables()["TableNames"] == ["one"]
        assert client.scan(TableName="one")["Items"] == [{"pk": {"S": "one"}}]
        client.create_table(TableName="two", **schema)
        assert client.scan(TableName="two")["Count"] == 0


@pytest.mark.parametrize(
    ("request_", "fault"),
    [
        (
            {"TableName": ""},
            "1 validation error detected: Value at 'TableName' failed to satisfy constraint: "
            "Member must have length greater than or equal to 1",
        ),
        (
            {"TableName": "ab", "Item": {}},
            "1 validation error detected: Value 'ab' at 'tableName' failed to satisfy constraint: "
            "Member must have length greater than or equal to 3",
        ),
        (
            {"TableName": "items", "Item": {"pk": {"S": "a"}}},
            "One or more parameter values were invalid: Missing the key sk in the item",
        ),
        (
            {"TableName": "items", "Item": {"pk": {"S": "a"}, "sk": {"S": "a"}}},
            "One or more parameter values were invalid: Type mismatch for key sk expected: N actual: S",
        ),
        (
            {"TableName": "items", "Item": {"pk": {"S": ""}, "sk": {"N": "1"}}},
            "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an "
            "empty string value. Key: pk",
        ),
        (
            {"TableName": "items", "Item": {**key("a", 1), "x": {"SS": ["c", "a", "c", "a", "b"]}}},
            "1 validation error detected: One or more parameter values were invalid: Input collection "
            '["a", "c", "c", "a", "b"] contains duplicates.',
        ),
        (
            {"TableName": "items", "Item": {**key("a", 1), "x": {"SS": []}}},
            "1 validation error detected: One or more parameter values were invalid: An string set  may not be empty",
        ),
        (
            {"TableName": "items", "Item": {**key("a", 1), "x": {"S": "x" * 409_600}}},
            "Item size has exceeded the maximum allowed size",
        ),
        (
            {"TableName": "items", "Item": {**key("a", 1), "group": {"N": "1"}}},
            "One or more parameter values were invalid: Type mismatch for Index Key group Expected: S Actual: N "
            "IndexName: by-group",
        ),
        (
            {"TableName": "items", "Item": key("a", 1), "ReturnValues": "ALL_NEW"},
            "1 validation error detected: ReturnValues can only be ALL_OLD or NONE",
        ),
        (
            {
                "TableName": "items",
                "Item": key("a", 1),
                "ConditionExpression": "a = :v",
                "ExpressionAttributeValues": {":v": {"S": "a"}, ":unused": {"S": "b"}},
            },
            "1 validation error detected: Value provided in ExpressionAttributeValues unused in expressions: "
            "keys: {:unused}",
        ),
        (
            {
                "TableName": "items",
                "Item": key("a", 1),
                "ConditionExpression": "a = :v",
                "Expected": {"a": {"Exists": False}},
                "ConditionalOperator": "AND",
            },
            "1 validation error detected: Can not use both expression and non-expression parameters in the same "
            "request: Non-expression parameters: {Expected, ConditionalOperator} Expression parameters: "
            "{ConditionExpression}",
        ),
    ],
)
def test_the_words_of_a_put_that_is_refused(table, request_, fault):
    assert table.fault("PutItem", **request_) == fault
    assert table("Scan", TableName="items")["Count"] == 0


def test_legacy_parameters_work_on_the_same_core(table):
    fill(table, 6)
    page = table(
        "Query",
        TableName="items",
        KeyConditions={
            "pk": {"ComparisonOperator": "EQ", "AttributeValueList": [{"S": "a"}]},
            "sk": {"ComparisonOperator": "GE", "AttributeValueList": [{"N": "-3"}]},
        },
        QueryFilter={"x": {"ComparisonOperator": "GT", "AttributeValueList": [{"N": "3"}]}},
        AttributesToGet=["x"],
    )
    assert (page["Items"], page["ScannedCount"]) == ([{"x": {"N": "4"}}, {"x": {"N": "5"}}], 4)
    table(
        "UpdateItem",
        TableName="items",
        Key=key("a", -5),
        AttributeUpdates={
            "x": {"Action": "ADD", "Value": {"N": "7"}},
            "y": {"Action": "DELETE"},
            "z": {"Value": {"S": "new"}},
        },
        Expected={"x": {"Value": {"N": "0"}}},
    )
    item = table("GetItem", TableName="items", Key=key("a", -5))["Item"]
    assert (item["x"], item["z"], "y" in item) == ({"N": "7"}, {"S": "new"}, False)


def test_unknown_operations_are_named_so(ask):
    assert ask.refused("Nonsense") == ("UnknownOperationException", None)
    assert ask.refused("CreateBackup") == ("UnknownOperationException", None)
