"""Requests whose JSON has not the shape of the operation: SerializationException, before everything else. Rules 1.2."""

from __future__ import annotations

import pytest

from dynamodb.behaviours import deep
from lsm.dynamodb import ApiError
from lsm.dynamodb.wire import decode_request

PACKAGE = "com.amazonaws.dynamodb.v20120810"
MAP_OF = f"Unrecognized collection type java.util.Map<java.lang.String, {PACKAGE}."
CLASS = f"Unrecognized collection type class {PACKAGE}."
STRUCTURE = "Start of structure or map found where not expected"
FIELD = "Unexpected field type"
PAYLOAD = "Unexpected value type in payload"
BOOLEAN = "Unrecognized collection type class java.lang.Boolean"
PARSER = "Unexpected token received from parser"
CAST = (
    "class sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl cannot be cast to class java.lang.Class "
    "(sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl and java.lang.Class are in module java.base of "
    "loader 'bootstrap')"
)

TEXTS = [
    ("PutItem", '{"Item":[]}', MAP_OF + "AttributeValue>"),
    ("GetItem", '{"Key":[]}', MAP_OF + "AttributeValue>"),
    ("PutItem", '{"Expected":[]}', MAP_OF + "ExpectedAttributeValue>"),
    ("UpdateItem", '{"AttributeUpdates":[]}', MAP_OF + "AttributeValueUpdate>"),
    ("Query", '{"KeyConditions":[]}', MAP_OF + "Condition>"),
    ("Scan", '{"ScanFilter":[]}', MAP_OF + "Condition>"),
    ("BatchGetItem", '{"RequestItems":[]}', MAP_OF + "KeysAndAttributes>"),
    (
        "BatchWriteItem",
        '{"RequestItems":[]}',
        f"Unrecognized collection type java.util.Map<java.lang.String, java.util.List<{PACKAGE}.WriteRequest>>",
    ),
    (
        "PutItem",
        '{"ExpressionAttributeNames":[]}',
        "Unrecognized collection type java.util.Map<java.lang.String, java.lang.String>",
    ),
    ("PutItem", '{"Item":{"a":{"M":[]}}}', MAP_OF + "AttributeValue>"),
    ("PutItem", '{"Item":"x"}', FIELD),
    ("PutItem", '{"Item":1}', FIELD),
    ("PutItem", '{"Item":{"a":{"L":"x"}}}', FIELD),
    ("PutItem", '{"Item":{"a":{"SS":"x"}}}', FIELD),
    ("PutItem", '{"Item":{"a":{"M":"x"}}}', FIELD),
    ("TransactWriteItems", '{"TransactItems":"x"}', FIELD),
    ("TransactWriteItems", '{"TransactItems":[{"Put":"x"}]}', FIELD),
    ("PutItem", '{"Item":{"a":null}}', "Expected null"),
    ("PutItem", '{"Item":{"a":{"M":{"b":null}}}}', "Expected null"),
    ("PutItem", '{"Item":{"a":{"L":[null]}}}', "Expected null"),
    ("PutItem", '{"Item":{"a":{"SS":[null]}}}', "Expected null"),
    ("GetItem", '{"AttributesToGet":[null]}', "Expected null"),
    ("PutItem", '{"ExpressionAttributeNames":{"#a":null}}', "Expected null"),
    ("TransactWriteItems", '{"TransactItems":[null]}', "Expected null"),
    ("PutItem", '{"Item":{"a":"x"}}', PAYLOAD),
    ("PutItem", '{"Item":{"a":1}}', PAYLOAD),
    ("PutItem", '{"Item":{"a":{"M":{"b":"x"}}}}', PAYLOAD),
    ("PutItem", '{"Item":{"a":{"L":["x"]}}}', PAYLOAD),
    ("TransactWriteItems", '{"TransactItems":["x"]}', PAYLOAD),
    ("PutItem", '{"Item":{"a":[]}}', CLASS + "AttributeValue"),
    ("PutItem", '{"Item":{"a":{"L":[[]]}}}', CLASS + "AttributeValue"),
    ("PutItem", '{"Expected":{"a":[]}}', CLASS + "ExpectedAttributeValue"),
    ("UpdateItem", '{"AttributeUpdates":{"a":[]}}', CLASS + "AttributeValueUpdate"),
    ("Scan", '{"ScanFilter":{"a":[]}}', CLASS + "Condition"),
    ("PutItem", '{"TableName":[]}', "Unrecognized collection type class java.lang.String"),
    ("PutItem", '{"Item":{"a":{"S":[]}}}', "Unrecognized collection type class java.lang.String"),
    ("GetItem", '{"ConsistentRead":[]}', BOOLEAN),
    ("PutItem", '{"TableName":{}}', STRUCTURE),
    ("PutItem", '{"Item":{"a":{"S":{}}}}', STRUCTURE),
    ("PutItem", '{"Item":{"a":{"L":{}}}}', STRUCTURE),
    ("PutItem", '{"Item":{"a":{"SS":{}}}}', STRUCTURE),
    ("TransactWriteItems", '{"TransactItems":{}}', STRUCTURE),
    ("TransactWriteItems", '{"TransactItems":[{"Put":[]}]}', "Start of list found where not expected"),
    ("PutItem", '{"TableName":1}', "NUMBER_VALUE cannot be converted to String"),
    ("PutItem", '{"TableName":1.5}', "DECIMAL_VALUE cannot be converted to String"),
    ("PutItem", '{"Item":{"a":{"N":1}}}', "NUMBER_VALUE cannot be converted to String"),
    ("PutItem", '{"Item":{"a":{"N":1e3}}}', "DECIMAL_VALUE cannot be converted to String"),
    ("PutItem", '{"Item":{"a":{"S":true}}}', "TRUE_VALUE cannot be converted to String"),
    ("PutItem", '{"Item":{"a":{"SS":[false]}}}', "FALSE_VALUE cannot be converted to String"),
    ("Query", '{"Limit":"5"}', "STRING_VALUE cannot be converted to Integer"),
    ("Scan", '{"Segment":true}', "TRUE_VALUE cannot be converted to Integer"),
    (
        "CreateTable",
        '{"ProvisionedThroughput":{"ReadCapacityUnits":"5"}}',
        "STRING_VALUE cannot be converted to Long",
    ),
    ("BatchGetItem", '{"RequestItems":{"t":{"Keys":["x"]}}}', CAST),
    ("BatchGetItem", '{"RequestItems":{"t":{"Keys":[[]]}}}', CAST),
    ("BatchWriteItem", '{"RequestItems":{"t":"x"}}', CAST),
    ("BatchWriteItem", '{"RequestItems":{"t":{}}}', CAST),
    ("PutItem", '{"Item":{"a":{"BOOL":"maybe"}}}', PARSER),
    ("PutItem", '{"Item":{"a":{"BOOL":" yes"}}}', PARSER),
    ("PutItem", '{"Item":{"a":{"NULL":"maybe"}}}', PARSER),
    ("Query", '{"ScanIndexForward":"maybe"}', PARSER),
    ("PutItem", '{"Expected":{"a":{"Exists":"maybe"}}}', PARSER),
    ("Scan", '{"Limit":0,"ScanFilter":{"a":{"AttributeValueList":[{"BOOL":"maybe"}]}}}', PARSER),
    ("PutItem", '{"Item":{"a":{"BOOL":1}}}', "NUMBER_VALUE cannot be converted to Boolean"),
    ("PutItem", '{"Item":{"a":{"BOOL":-0}}}', "NUMBER_VALUE cannot be converted to Boolean"),
    ("GetItem", '{"ConsistentRead":1}', "NUMBER_VALUE cannot be converted to Boolean"),
    ("GetItem", '{"ConsistentRead":1e0}', "DECIMAL_VALUE cannot be converted to Boolean"),
    ("PutItem", '{"Item":{"a":{"NULL":0.5}}}', "DECIMAL_VALUE cannot be converted to Boolean"),
    ("PutItem", '{"Item":{"a":{"BOOL":[]}}}', None),
    ("PutItem", '{"Item":{"a":{"NULL":[]}}}', None),
    ("PutItem", '{"Item":{"a":{"BOOL":{}}}}', STRUCTURE),
    ("GetItem", '{"ConsistentRead":{}}', STRUCTURE),
]


@pytest.mark.parametrize(("operation", "body", "text"), TEXTS)
def test_a_misplaced_structure_or_scalar(world, operation, body, text):
    assert world.raw_refused(operation, body) == ("SerializationException", text)


def test_nested_fields_are_read_before_scalar_members(world):
    body = '{"TableName":1,"Item":{"a":{"S":1.5}}}'
    assert world.raw_refused("PutItem", body)[1] == "DECIMAL_VALUE cannot be converted to String"


def test_a_body_nested_past_all_measure_has_no_text():
    with pytest.raises(ApiError) as caught:
        decode_request("PutItem", {"TableName": "hash", "Item": {"pk": {"S": "a"}, "d": deep(5000)}})
    assert (caught.value.code, caught.value.message) == ("SerializationException", None)


@pytest.mark.parametrize(
    ("text", "stands_for"),
    [("true", True), ("T", True), ("Yes", True), ("y", True), ("1", True), ("NO", False), ("0", False)],
)
def test_a_string_may_spell_a_boolean(world, text, stands_for):
    item = '{"pk":{"S":"spelled"},"b":{"BOOL":"' + text + '"}}'
    world.raw("PutItem", f'{{"TableName":"hash","Item":{item}}}')
    stored = world.raw("GetItem", '{"TableName":"hash","Key":{"pk":{"S":"spelled"}},"ConsistentRead":"yes"}')
    assert stored["Item"]["b"] == {"BOOL": stands_for}


def test_members_that_are_null_count_as_absent(world):
    world.raw("PutItem", '{"TableName":"hash","Item":{"pk":{"S":"nulls","N":null},"n":{"NULL":"y"}},"Expected":null}')
    assert world.raw("GetItem", '{"TableName":"hash","Key":{"pk":{"S":"nulls"}}}')["Item"]["n"] == {"NULL": True}
    _, text = world.raw_refused("PutItem", '{"TableName":"hash","Item":{"pk":{"S":null}}}')
    assert text == "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"


def test_members_that_the_model_does_not_know_are_ignored(world):
    world.raw("PutItem", '{"TableName":"hash","Item":{"pk":{"S":"unknown"}},"Nonsense":{"a":[1]}}')


def test_scan_index_forward_null_reads_forward(world):
    for sort in "abc":
        world("PutItem", TableName="words", Item={"pk": {"S": "null"}, "sk": {"S": sort}})
    body = (
        '{"TableName":"words","KeyConditionExpression":"pk=:p","ExpressionAttributeValues":{":p":{"S":"null"}},'
        '"ScanIndexForward":null}'
    )
    assert [item["sk"]["S"] for item in world.raw("Query", body)["Items"]] == ["a", "b", "c"]


def test_an_operation_that_is_not_there_has_no_text(world):
    with pytest.raises(ApiError) as caught:
        world.service.call("CreateUnicorn", {})
    assert (caught.value.code, caught.value.message) == ("UnknownOperationException", None)
