"""Limits of transactions, batches, names and index keys. Rules 2, 3.3, 3.10, 5.4, 11.1, 12.1, 12.2."""

from __future__ import annotations

import pytest

from dynamodb.asking import index, until_built
from lsm.dynamodb import ApiError
from lsm.dynamodb.wire import decode_request

INVALID = "One or more parameter values were invalid: "
TOO_MUCH = (
    "Collection size of items exceeded, which can also be caused by the aggregate size of the items in the "
    "transaction exceeding the 4MB limit"
)
DUPLICATES = "Provided list of item keys contains duplicates"
LONG_PARTITION = f"{INVALID}Size of hashkey has exceeded the maximum size limit of2048 bytes"
LONG_SORT = f"{INVALID}Aggregated size of all range keys has exceeded the size limit of 1024 bytes"


def key(pk, sk=1):
    return {"pk": {"S": str(pk)}, "sk": {"N": str(sk)}}


# ---- 4 MB in a transaction


@pytest.fixture
def large(table):
    """Eleven items of nearly 400 KB."""
    for number in range(11):
        table("PutItem", TableName="items", Item={**key(number), "a": {"S": "x" * 399_000}})
    return table


def action(kind, pk):
    more = {
        "Update": {"UpdateExpression": "SET b = :b", "ExpressionAttributeValues": {":b": {"S": "b"}}},
        "Delete": {},
        "ConditionCheck": {"ConditionExpression": "attribute_exists(pk)"},
        "Get": {},
    }[kind]
    return {kind: {"TableName": "items", "Key": key(pk), **more}}


@pytest.mark.parametrize("kind", ["Update", "Delete", "ConditionCheck"])
def test_items_that_are_updated_deleted_or_checked_count_towards_4_megabytes(large, kind):
    actions = [action(kind, number) for number in range(11)]
    assert large.fault("TransactWriteItems", TransactItems=actions) == TOO_MUCH
    assert large("Scan", TableName="items", Select="COUNT")["ScannedCount"] <= 11
    assert "b" not in large("GetItem", TableName="items", Key=key(0))["Item"]
    large("TransactWriteItems", TransactItems=actions[:10])


def test_small_items_that_grow_count_as_they_become(table):
    grow = {"UpdateExpression": "SET a = :a", "ExpressionAttributeValues": {":a": {"S": "x" * 399_000}}}
    actions = [{"Update": {"TableName": "items", "Key": key(number), **grow}} for number in range(11)]
    assert table.fault("TransactWriteItems", TransactItems=actions) == TOO_MUCH
    assert table("Scan", TableName="items")["Items"] == []


def test_a_false_condition_cancels_before_the_size_is_looked_at(large):
    actions = [action("ConditionCheck", number) for number in range(11)]
    actions[3]["ConditionCheck"]["ConditionExpression"] = "attribute_not_exists(pk)"
    assert large.refused("TransactWriteItems", TransactItems=actions)[0] == "TransactionCanceledException"


def test_items_that_are_read_together_have_4_megabytes(large):
    gets = [action("Get", number) for number in range(11)]
    assert large.fault("TransactGetItems", TransactItems=gets) == TOO_MUCH
    assert len(large("TransactGetItems", TransactItems=gets[:10])["Responses"]) == 10


# ---- item collections


def test_a_transaction_measures_each_item_collection_once(table):
    actions = [{"Put": {"TableName": "items", "Item": key(pk, sk)}} for pk, sk in (("a", 1), ("b", 1), ("a", 2))]
    actions.append({"Update": {"TableName": "items", "Key": key("b", 3), "UpdateExpression": "REMOVE x"}})
    actions.append({"Delete": {"TableName": "items", "Key": key("c")}})
    checked = {"TableName": "items", "Key": key("d"), "ConditionExpression": "attribute_not_exists(pk)"}
    answer = table(
        "TransactWriteItems",
        TransactItems=[*actions, {"ConditionCheck": checked}],
        ReturnItemCollectionMetrics="SIZE",
    )
    collections = [one["ItemCollectionKey"]["pk"]["S"] for one in answer["ItemCollectionMetrics"]["items"]]
    assert collections == ["a", "b", "c"]


# ---- one table by two names


@pytest.fixture
def named_twice(table):
    return table, table("DescribeTable", TableName="items")["Table"]["TableArn"]


def test_a_key_read_by_name_and_by_arn_is_a_duplicate(named_twice):
    table, arn = named_twice
    both = {"items": {"Keys": [key("a")]}, arn: {"Keys": [key("b"), key("a")]}}
    assert table.fault("BatchGetItem", RequestItems=both) == DUPLICATES
    table("PutItem", TableName="items", Item=key("a"))
    apart = {"items": {"Keys": [key("a")]}, arn: {"Keys": [key("b")]}}
    assert table("BatchGetItem", RequestItems=apart)["Responses"] == {"items": [key("a")], arn: []}


def test_a_key_written_by_name_and_by_arn_is_a_duplicate(named_twice):
    table, arn = named_twice
    put, delete = {"PutRequest": {"Item": key("a")}}, {"DeleteRequest": {"Key": key("a", "1.0")}}
    assert table.fault("BatchWriteItem", RequestItems={"items": [put], arn: [delete]}) == DUPLICATES
    assert table("Scan", TableName="items")["Count"] == 0
    other = {"PutRequest": {"Item": key("b")}}
    table("BatchWriteItem", RequestItems={"items": [put], arn: [other]})
    assert table("Scan", TableName="items")["Count"] == 2


def test_an_item_read_by_name_and_by_arn_is_one_of_a_transaction(named_twice):
    table, arn = named_twice
    gets = [{"Get": {"TableName": name, "Key": key("a")}} for name in ("items", arn)]
    text = "Transaction request cannot include multiple operations on one item"
    assert table.fault("TransactGetItems", TransactItems=gets) == text


# ---- names of tables and indexes


FAILED = "failed to satisfy constraint: Member must"
PATTERN = f"{FAILED} satisfy regular expression pattern: [a-zA-Z0-9_.-]+"
QUERY = {"KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": {":p": {"S": "a"}}}


@pytest.mark.parametrize(("operation", "more"), [("Query", QUERY), ("Scan", {})])
@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("ab", f"Value 'ab' at 'indexName' {FAILED} have length greater than or equal to 3"),
        ("", f"Value '' at 'indexName' {FAILED} have length greater than or equal to 3"),
        ("a" * 256, f"Value '{'a' * 256}' at 'indexName' {FAILED} have length less than or equal to 255"),
        ("a b c", f"Value 'a b c' at 'indexName' {PATTERN}"),
    ],
)
def test_the_name_of_an_index_is_looked_at_before_the_table(table, operation, more, name, fault):
    assert table.fault(operation, TableName="absent", IndexName=name, **more) == f"1 validation error detected: {fault}"


def test_the_name_of_an_index_stands_beside_that_of_the_table(table):
    text = table.fault("Scan", TableName="ab", IndexName="cd", ReturnConsumedCapacity="x")
    assert text.startswith("3 validation errors detected: Value 'ab' at 'tableName'")
    assert "Value 'cd' at 'indexName'" in text


HANDED_OVER = {"ConsistentRead": "true", "Limit": 1.5}


@pytest.mark.parametrize(("member", "value"), HANDED_OVER.items())
@pytest.mark.parametrize(("operation", "more"), [("Query", QUERY), ("Scan", {})])
def test_the_older_layer_takes_a_table_name_of_two_characters(table, operation, more, member, value):
    request = decode_request(operation, {"TableName": "ab", member: value, **more})
    assert table.refused(operation, **request)[0] == "ValidationException"
    with pytest.raises(ApiError) as caught:
        table.service.call(operation, request)
    assert caught.value.code == "ResourceNotFoundException"


def test_the_older_layer_names_all_faults_of_a_table_name(table):
    name = "a;" * 200
    request = decode_request("Scan", {"TableName": name, "IndexName": "i;", "ConsistentRead": "true"})
    with pytest.raises(ApiError) as caught:
        table.service.call("Scan", request)
    assert caught.value.message == (
        f"4 validation errors detected: Value 'i;' at 'indexName' {PATTERN}; "
        f"Value 'i;' at 'indexName' {FAILED} have length greater than or equal to 3; "
        f"Value '{name}' at 'tableName' {PATTERN}; "
        f"Value '{name}' at 'tableName' {FAILED} have length less than or equal to 255"
    )


def test_the_older_layer_says_which_segment_is_not_below_the_total(table):
    text = "The Segment parameter is zero-based and must be less than parameter TotalSegments"
    segments = {"TableName": "items", "Segment": 3, "TotalSegments": 2}
    assert table.fault("Scan", **segments) == text
    request = decode_request("Scan", {**segments, "ConsistentRead": "true"})
    with pytest.raises(ApiError) as caught:
        table.service.call("Scan", request)
    assert caught.value.message == f"{text}: Segment: 3 is not less than TotalSegments: 2"


@pytest.mark.parametrize(("number", "newer", "older"), [("", ": ", ""), ("1e2147483647", None, None)])
@pytest.mark.parametrize("operation", ["Query", "Scan"])
def test_the_older_layer_words_the_values_of_a_request(table, operation, number, newer, older):
    expression = {"FilterExpression": "x = :x", "ExpressionAttributeValues": {":x": {"N": number}, ":p": {"S": "a"}}}
    if operation == "Query":
        expression["KeyConditionExpression"] = "pk = :p"
    written = {"TableName": "items", **expression}
    plain = "The parameter cannot be converted to a numeric value"
    over, under = ("Number overflow", "Number underflow")
    found = table.fault(operation, **decode_request(operation, written))
    assert found == plain + newer if newer is not None else found.startswith(over)
    with pytest.raises(ApiError) as caught:
        table.service.call(operation, decode_request(operation, {**written, "ConsistentRead": "true"}))
    text = str(caught.value.message)
    if operation == "Scan":
        text = text.removeprefix("ExpressionAttributeValues contains invalid value: ").removesuffix(" for key :x")
    assert text == plain + older if older is not None else text.startswith(under)


# ---- names of attributes

TOO_LONG = "Attribute name is too large, must be less than 65536 bytes"


@pytest.mark.parametrize("name", ["n" * 65_536, "é" * 32_768])
def test_an_attribute_name_has_65535_bytes_at_most(hashes, name):
    item = {"pk": {"S": "a"}, name: {"S": "v"}}
    assert TOO_LONG in hashes.fault("PutItem", TableName="hashes", Item=item)
    nested = {"pk": {"S": "a"}, "m": {"M": {"deep": {"L": [{"M": {name: {"NULL": True}}}]}}}}
    assert TOO_LONG in hashes.fault("PutItem", TableName="hashes", Item=nested)
    batch = {"hashes": [{"PutRequest": {"Item": item}}]}
    assert hashes.fault("BatchWriteItem", RequestItems=batch) == TOO_LONG
    put = [{"Put": {"TableName": "hashes", "Item": item}}]
    assert TOO_LONG in hashes.fault("TransactWriteItems", TransactItems=put)
    update = {"UpdateExpression": "SET #n = :v", "ExpressionAttributeNames": {"#n": name}}
    values = {"ExpressionAttributeValues": {":v": {"S": "v"}}}
    assert TOO_LONG in hashes.fault("UpdateItem", TableName="hashes", Key={"pk": {"S": "a"}}, **update, **values)
    values = {"ExpressionAttributeValues": {":v": {"M": {name: {"S": "v"}}}}}
    update = {"UpdateExpression": "SET a = :v"}
    assert TOO_LONG in hashes.fault("UpdateItem", TableName="hashes", Key={"pk": {"S": "a"}}, **update, **values)
    assert hashes("Scan", TableName="hashes")["Count"] == 0


def test_an_attribute_name_of_65535_bytes_is_taken(hashes):
    item = {"pk": {"S": "a"}, "n" * 65_535: {"S": "v"}}
    hashes("PutItem", TableName="hashes", Item=item)
    assert hashes("GetItem", TableName="hashes", Key={"pk": {"S": "a"}})["Item"] == item


# ---- sizes of index keys


@pytest.fixture
def indexed(ask):
    ask.create(
        "items",
        "pk sk",
        "pk:S sk:N group:S rank:S title:S",
        GlobalSecondaryIndexes=[index("by-group", "group rank")],
        LocalSecondaryIndexes=[index("by-title", "pk title")],
    )
    return ask


@pytest.mark.parametrize(
    ("attribute", "size", "text"),
    [("group", 2049, LONG_PARTITION), ("rank", 1025, LONG_SORT), ("title", 1025, LONG_SORT)],
)
def test_an_index_key_is_sized_though_another_one_is_missing(indexed, attribute, size, text):
    def item(length):
        return {**key("a"), attribute: {"S": "x" * length}}

    assert indexed.fault("PutItem", TableName="items", Item=item(size)) == text
    batch = {"items": [{"PutRequest": {"Item": item(size)}}]}
    assert indexed.fault("BatchWriteItem", RequestItems=batch) == text
    request = {
        "TableName": "items",
        "Key": key("a"),
        "UpdateExpression": "SET #a = :v",
        "ExpressionAttributeNames": {"#a": attribute},
        "ExpressionAttributeValues": {":v": {"S": "x" * size}},
    }
    beyond = "The update expression attempted to update the secondary index key beyond allowed size limits"
    assert indexed.fault("UpdateItem", **request) == beyond
    indexed("PutItem", TableName="items", Item=item(size - 1))
    other = {**request, "ExpressionAttributeNames": {"#a": "x"}}
    indexed("UpdateItem", **other)


def test_several_sort_attributes_are_sized_together(ask):
    schema = [("a", "HASH"), ("b", "HASH"), ("c", "RANGE"), ("d", "RANGE")]
    many = {
        "IndexName": "many",
        "KeySchema": [{"AttributeName": name, "KeyType": kind} for name, kind in schema],
        "Projection": {"ProjectionType": "ALL"},
    }
    ask.create("items", "pk", "pk:S a:S b:S c:S d:S", GlobalSecondaryIndexes=[many])
    item = {"pk": {"S": "p"}, "c": {"S": "x" * 600}, "d": {"S": "y" * 424}}
    ask("PutItem", TableName="items", Item=item)
    assert ask.fault("PutItem", TableName="items", Item={**item, "d": {"S": "y" * 425}}) == LONG_SORT
    item = {"pk": {"S": "p"}, "a": {"S": "x" * 2000}, "b": {"S": "y" * 49}}
    assert ask.fault("PutItem", TableName="items", Item=item) == LONG_PARTITION


@pytest.mark.parametrize("value", [{"S": ""}, {"S": "x" * 2049}, {"N": "1"}])
def test_what_no_item_could_have_got_is_not_in_an_index_that_came_later(ask, value):
    ask.create("items", "pk", "pk:S")
    for pk, group in (("a", value), ("b", {"S": "g"})):
        ask("PutItem", TableName="items", Item={"pk": {"S": pk}, "group": group})
    ask(
        "UpdateTable",
        TableName="items",
        AttributeDefinitions=[{"AttributeName": "group", "AttributeType": "S"}],
        GlobalSecondaryIndexUpdates=[{"Create": index("late", "group")}],
    )
    until_built(ask, "items")
    update = {"UpdateExpression": "SET x = :x", "ExpressionAttributeValues": {":x": {"S": "x"}}}
    ask("UpdateItem", TableName="items", Key={"pk": {"S": "a"}}, **update)
    assert [item["pk"]["S"] for item in ask("Scan", TableName="items", IndexName="late")["Items"]] == ["b"]
    ask("DeleteItem", TableName="items", Key={"pk": {"S": "a"}})
