"""Members of requests: constraint messages, which of several faults is reported, and in what order. Rules 0, 2, 3.1."""

from __future__ import annotations

import pytest

from dynamodb.behaviours import FAILED, INVALID, MISMATCH, NESTED, NOT_FOUND, deep, env

EMPTY_NAME = f"Value at 'TableName' {FAILED} have length greater than or equal to 1"
NO_NAME = f"Value null at 'tableName' {FAILED} not be null"
PATTERN = f"{FAILED} satisfy regular expression pattern: [a-zA-Z0-9_.-]+"
AT_LEAST_3 = f"{FAILED} have length greater than or equal to 3"
AT_MOST_255 = f"{FAILED} have length less than or equal to 255"
ENUM = f"{FAILED} satisfy enum value set:"
RETURN_VALUES = (
    "Failed to satisfy constraint: Member must satisfy enum value set: "
    "[ALL_OLD, UPDATED_OLD, ALL_NEW, UPDATE_NEW, NONE]"
)
OLDER_RETURN_VALUES = f"Value 'x' at 'returnValues' {ENUM} [ALL_NEW, UPDATED_OLD, ALL_OLD, NONE, UPDATED_NEW]"
CAPACITY = f"Value 'x' at 'returnConsumedCapacity' {ENUM} [INDEXES, TOTAL, NONE]"
METRICS = f"Value 'x' at 'returnItemCollectionMetrics' {ENUM} [SIZE, NONE]"
ON_FAILURE = f"Value 'x' at 'returnValuesOnConditionCheckFailure' {ENUM} [ALL_OLD, NONE]"
SELECT = f"Value 'x' at 'select' {ENUM} [SPECIFIC_ATTRIBUTES, COUNT, ALL_ATTRIBUTES, ALL_PROJECTED_ATTRIBUTES]"
LIMIT = f"Value at 'Limit' {FAILED} have value greater than or equal to 1"
OLDER_LIMIT = f"Value '0' at 'limit' {FAILED} have value greater than or equal to 1"

KEY = {"pk": {"S": "a"}}
ITEM = {"Item": KEY}
BY_KEY = {"Key": KEY}
HASH = {"TableName": "hash"}
BAD = {
    "ReturnValues": "x",
    "ReturnConsumedCapacity": "x",
    "ReturnItemCollectionMetrics": "x",
    "ReturnValuesOnConditionCheckFailure": "x",
}
CONDITION = {"KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": {":p": {"S": "a"}}}
SINGLE = {
    "PutItem": ITEM,
    "DeleteItem": BY_KEY,
    "UpdateItem": BY_KEY,
    "GetItem": BY_KEY,
    "Query": CONDITION,
    "Scan": {},
}


@pytest.mark.parametrize("operation", SINGLE)
def test_an_empty_table_name_stands_alone(world, operation):
    request = {"TableName": "", **SINGLE[operation], "ReturnConsumedCapacity": "x"}
    assert world.refused(operation, request) == ("ValidationException", env(EMPTY_NAME))


@pytest.mark.parametrize("operation", SINGLE)
@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("ab", AT_LEAST_3),
        ("a" * 256, AT_MOST_255),
        ("no blanks", PATTERN),
    ],
)
def test_one_fault_of_a_table_name(world, operation, name, fault):
    request = {"TableName": name, **SINGLE[operation]}
    assert world.refused(operation, request) == ("ValidationException", env(f"Value '{name}' at 'tableName' {fault}"))


@pytest.mark.parametrize("operation", [name for name in SINGLE if name != "UpdateItem"])
def test_of_two_faults_of_a_name_the_length_is_reported(world, operation):
    request = {"TableName": "a!", **SINGLE[operation]}
    assert world.refused(operation, request)[1] == env(f"Value 'a!' at 'tableName' {AT_LEAST_3}")


@pytest.mark.parametrize("operation", SINGLE)
def test_a_missing_table_has_the_data_planes_words(world, operation):
    assert world.refused(operation, {"TableName": "absent", **SINGLE[operation]}) == NOT_FOUND


JOINED = [
    ("PutItem", {**ITEM}, env(NO_NAME)),
    ("PutItem", {**HASH}, env(f"Value null at 'item' {FAILED} not be null")),
    (
        "PutItem",
        {"TableName": "a!", **BAD},
        env(
            f"Value 'a!' at 'tableName' {AT_LEAST_3}",
            f"Value null at 'item' {FAILED} not be null",
            CAPACITY,
            RETURN_VALUES,
            METRICS,
            ON_FAILURE,
        ),
    ),
    ("PutItem", {**HASH, **ITEM, **BAD}, env(CAPACITY, RETURN_VALUES, METRICS, ON_FAILURE)),
    ("PutItem", {**HASH, **ITEM, "ReturnValuesOnConditionCheckFailure": ""}, env(ON_FAILURE.replace("'x'", "''"))),
    ("PutItem", {**HASH, **ITEM, "ReturnValues": "UPDATE_NEW"}, env(RETURN_VALUES)),
    ("PutItem", {**HASH, **ITEM, "ReturnValues": "ALL_NEW"}, env("ReturnValues can only be ALL_OLD or NONE")),
    ("PutItem", {**HASH, **ITEM, "ReturnConsumedCapacity": "total"}, env(CAPACITY.replace("'x'", "'total'"))),
    ("DeleteItem", {**HASH}, env(f"Value null at 'key' {FAILED} not be null")),
    ("DeleteItem", {**HASH, **BY_KEY, **BAD}, env(CAPACITY, RETURN_VALUES, METRICS, ON_FAILURE)),
    ("DeleteItem", {**HASH, **BY_KEY, "ReturnValues": "ALL_NEW"}, env("ReturnValues can only be ALL_OLD or NONE")),
    (
        "DeleteItem",
        {**HASH, **BY_KEY, "ReturnValues": "UPDATED_NEW", "ReturnConsumedCapacity": "x"},
        env(CAPACITY, "ReturnValues can only be ALL_OLD or NONE"),
    ),
    ("DeleteItem", {**HASH, "ReturnValues": "ALL_NEW"}, env(f"Value null at 'key' {FAILED} not be null")),
    (
        "DeleteItem",
        {"TableName": "absent", **BY_KEY, "ReturnValues": "ALL_NEW", "ConditionExpression": ""},
        env("ReturnValues can only be ALL_OLD or NONE"),
    ),
    ("GetItem", {**HASH}, env(f"Value null at 'key' {FAILED} not be null")),
    (
        "GetItem",
        {"TableName": "a!", "ReturnConsumedCapacity": "x", "AttributesToGet": []},
        env(
            f"Value null at 'key' {FAILED} not be null",
            f"Value 'a!' at 'tableName' {AT_LEAST_3}",
            CAPACITY,
            f"Value '[]' at 'attributesToGet' {FAILED} have length greater than or equal to 1",
        ),
    ),
    (
        "UpdateItem",
        {"TableName": "a!", **BY_KEY, **BAD},
        env(f"Value 'a!' at 'tableName' {PATTERN}", f"Value 'a!' at 'tableName' {AT_LEAST_3}"),
    ),
    ("UpdateItem", {**HASH, **BY_KEY, **BAD}, env(RETURN_VALUES)),
    ("UpdateItem", {**HASH, **BY_KEY, **BAD, "ReturnValues": "NONE"}, ON_FAILURE),
    (
        "UpdateItem",
        {**HASH, **BY_KEY, "ReturnItemCollectionMetrics": "x", "ReturnConsumedCapacity": "x"},
        env(METRICS),
    ),
    ("UpdateItem", {**HASH, **BY_KEY, "ReturnConsumedCapacity": "x"}, CAPACITY),
    (
        "UpdateItem",
        {**BAD},
        env(
            CAPACITY,
            NO_NAME,
            OLDER_RETURN_VALUES,
            ON_FAILURE,
            METRICS,
            f"Value null at 'key' {FAILED} not be null",
        ),
    ),
    (
        "UpdateItem",
        {"TableName": "a!", "ReturnConsumedCapacity": "x"},
        env(CAPACITY, f"Value null at 'key' {FAILED} not be null"),
    ),
    ("UpdateItem", {**BY_KEY, "ReturnValues": "x"}, env(NO_NAME, OLDER_RETURN_VALUES)),
    ("UpdateItem", {**BY_KEY}, env(NO_NAME)),
    ("Query", {"TableName": "", "Limit": 0, "ReturnConsumedCapacity": "x", **CONDITION}, env(LIMIT, EMPTY_NAME)),
    ("Query", {**HASH, "Limit": 0, "Select": "x", **CONDITION}, env(LIMIT)),
    (
        "Query",
        {"TableName": "ab", "ReturnConsumedCapacity": "x", "Select": "x", **CONDITION},
        env(f"Value 'ab' at 'tableName' {AT_LEAST_3}", CAPACITY),
    ),
    (
        "Query",
        {"Select": "x", "ReturnConsumedCapacity": "x", "Limit": 0, **CONDITION},
        env(SELECT, CAPACITY, NO_NAME, OLDER_LIMIT),
    ),
    ("Query", {**HASH, "Select": "x", **CONDITION}, env(SELECT)),
    ("Query", {**HASH, "Select": "count", **CONDITION}, env(SELECT.replace("'x'", "'count'"))),
    (
        "Query",
        {**HASH, "Select": "x", "ConditionalOperator": "AND", "FilterExpression": "a = :p", **CONDITION},
        "Can not use both expression and non-expression parameters in the same request: Non-expression parameters: "
        "{ConditionalOperator} Expression parameters: {FilterExpression, KeyConditionExpression}",
    ),
    (
        "Scan",
        {"TableName": "", "Limit": 0, "Segment": -1, "TotalSegments": 0, "ReturnConsumedCapacity": "x"},
        env(
            LIMIT,
            f"Value at 'Segment' {FAILED} have value greater than or equal to 0",
            f"Value at 'TotalSegments' {FAILED} have value greater than or equal to 1",
            EMPTY_NAME,
        ),
    ),
    (
        "Scan",
        {**HASH, "Segment": 1000000, "TotalSegments": 1000001},
        env(
            f"Value at 'Segment' {FAILED} have value less than or equal to 999999",
            f"Value at 'TotalSegments' {FAILED} have value less than or equal to 1000000",
        ),
    ),
    ("Scan", {**HASH, "Limit": -1}, env(LIMIT)),
    (
        "Scan",
        {"TableName": "ab", "ReturnConsumedCapacity": "x", "Select": "x"},
        env(f"Value 'ab' at 'tableName' {AT_LEAST_3}", CAPACITY),
    ),
    (
        "Scan",
        {"Select": "x", "TotalSegments": 0, "ReturnConsumedCapacity": "x", "Segment": -1, "Limit": 0},
        env(
            SELECT,
            f"Value '0' at 'totalSegments' {FAILED} have value greater than or equal to 1",
            CAPACITY,
            NO_NAME,
            f"Value '-1' at 'segment' {FAILED} have value greater than or equal to 0",
            OLDER_LIMIT,
        ),
    ),
    (
        "Scan",
        {
            **HASH,
            "ConditionalOperator": "x",
            "ScanFilter": {"a": {"AttributeValueList": [{"S": "a"}]}},
            "Limit": 0,
        },
        env(
            f"Value 'x' at 'conditionalOperator' {ENUM} [OR, AND]",
            f"Value null at 'scanFilter.a.member.comparisonOperator' {FAILED} not be null",
            OLDER_LIMIT,
        ),
    ),
    ("Scan", {"TableName": "", "Limit": 0}, env(LIMIT, EMPTY_NAME)),
    ("Scan", {**HASH, "Select": "x"}, env(SELECT)),
    ("Scan", {**HASH, "ReturnConsumedCapacity": "x"}, env(CAPACITY)),
]


NO_ATTRIBUTES = f"Value '[]' at '{{}}' {FAILED} have length greater than or equal to 1"
JOINED += [
    (
        "Query",
        {**HASH, "AttributesToGet": [], "ReturnConsumedCapacity": "x"},
        env(CAPACITY, NO_ATTRIBUTES.format("attributesToGet")),
    ),
    ("Scan", {**HASH, "AttributesToGet": []}, env(NO_ATTRIBUTES.format("attributesToGet"))),
    (
        "BatchGetItem",
        {"RequestItems": {"hash": {"Keys": [KEY], "AttributesToGet": []}}},
        env(NO_ATTRIBUTES.format("requestItems.hash.member.attributesToGet")),
    ),
    ("GetItem", {"TableName": "arn:x", **BY_KEY}, env(f"Value 'arn:x' at 'tableName' {PATTERN}")),
]


@pytest.mark.parametrize(("operation", "request_", "text"), JOINED)
def test_members_that_are_reported_together(world, operation, request_, text):
    assert world.refused(operation, request_) == ("ValidationException", text)


HANDED_OVER = [
    ("Query", '{"TableName":"hash","Limit":0.5}', env(OLDER_LIMIT)),
    ("Query", '{"TableName":"hash","Limit":-2147483649}', env(OLDER_LIMIT.replace("'0'", "'-2147483648'"))),
    (
        "Scan",
        '{"TableName":"hash","Segment":4294967296,"TotalSegments":1}',
        env(f"Value '2147483647' at 'segment' {FAILED} have value less than or equal to 999999"),
    ),
    ("Scan", '{"TableName":"hash","Segment":-0.5,"TotalSegments":1}', None),
    ("Scan", '{"TableName":"hash","Limit":4294967296}', None),
    ("Scan", '{"TableName":"hash","Limit":1.5}', None),
    (
        "Scan",
        '{"TableName":"","Limit":0,"ExclusiveStartKey":{"pk":{"S":"a","N":"1"}}}',
        env(f"Value '' at 'tableName' {FAILED} have length greater than or equal to 1", OLDER_LIMIT),
    ),
    (
        "PutItem",
        '{"TableName":"hash","Item":{"pk":{"S":"a"},"b":{"BOOL":"yes"},"n":{"N":"x"}}}',
        "The parameter cannot be converted to a numeric value: x",
    ),
    (
        "PutItem",
        '{"TableName":"hash","Item":{"pk":{"S":"a"},"b":{"NULL":"no"}}}',
        f"{INVALID}Null attribute value types must have the value of true",
    ),
    (
        "PutItem",
        '{"TableName":"hash","Item":{"pk":{"S":"a"}},"Expected":{"a":{"Exists":"no","Value":{"S":"x"}}}}',
        f"{INVALID}Value cannot be used when Exists is false for Attribute: a",
    ),
    (
        "UpdateItem",
        '{"TableName":"hash","Key":{"pk":{"S":"a"}},"UpdateExpression":"SET a = :a, b = :b",'
        '"ExpressionAttributeValues":{":a":{"BOOL":"t"},":b":{"N":"x"}}}',
        "ExpressionAttributeValues contains invalid value: The parameter cannot be converted to a numeric value: x "
        "for key :b",
    ),
    (
        "DeleteItem",
        '{"TableName":"hash","Key":{"pk":{"S":"a","N":null,"B":"AA=="}}}',
        "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes",
    ),
]


@pytest.mark.parametrize(("operation", "body", "text"), HANDED_OVER)
def test_what_hands_a_request_to_the_older_layer(world, operation, body, text):
    if text is None:
        world.raw(operation, body)
    else:
        assert world.raw_refused(operation, body) == ("ValidationException", text)


def test_a_very_deep_value_brings_the_older_words_for_return_values(world):
    key = {"pk": {"S": "a"}, "d": deep(63)}
    for operation, member in (("PutItem", "Item"), ("DeleteItem", "Key"), ("UpdateItem", "Key")):
        request = {**HASH, member: key, "ReturnValues": "x"}
        assert world.refused(operation, request)[1] == env(OLDER_RETURN_VALUES)
    request = {**HASH, "Key": key, "ReturnValues": "ALL_NEW"}
    assert world.refused("DeleteItem", request)[1] == "ReturnValues can only be ALL_OLD or NONE"


VALUES = {"ExpressionAttributeValues": {":v": {"S": "v"}}}
NAMES = {"ExpressionAttributeNames": {"#n": "n"}}
EMPTY_ATTRIBUTE = "Empty attribute name"
NO_EXPRESSION = "ExpressionAttributeValues can only be specified when using expressions"
NO_EXPRESSION_NAMES = "ExpressionAttributeNames can only be specified when using expressions"
ABSENT = {"TableName": "absent"}
EMPTY_CONDITION = "Invalid ConditionExpression: The expression can not be empty;"
UNUSED = "Value provided in ExpressionAttribute{} unused in expressions: keys: {{{}}}"
UNDEFINED = "Invalid {}: An expression attribute value used in expression is not defined; attribute value: {}"

# Two faults in one request: the text is that of the one that is reported.
ORDERS = [
    # PutItem
    ("PutItem", {**HASH, "Item": {"": {"S": "a"}, "n": {"N": "x"}}}, env(EMPTY_ATTRIBUTE)),
    ("PutItem", {**HASH, "Item": {"": {"S": "a"}}, "ReturnConsumedCapacity": "x"}, env(CAPACITY)),
    ("PutItem", {**HASH, "Item": {"d": deep(32)}, "ReturnValues": "x"}, env(RETURN_VALUES)),
    ("PutItem", {**HASH, "Item": {"d": deep(32)}, **VALUES}, env(NESTED)),
    ("PutItem", {**HASH, **ITEM, **VALUES, "Expected": {}, "ConditionExpression": ""}, None),
    ("PutItem", {**HASH, **ITEM, **NAMES, **VALUES}, env(NO_EXPRESSION_NAMES)),
    (
        "PutItem",
        {**HASH, **ITEM, "ConditionExpression": "", "ExpressionAttributeNames": {}, "ExpressionAttributeValues": {}},
        env("ExpressionAttributeNames must not be empty"),
    ),
    (
        "PutItem",
        {**HASH, **ITEM, "ConditionExpression": "", "ExpressionAttributeValues": {}},
        env("ExpressionAttributeValues must not be empty"),
    ),
    (
        "PutItem",
        {**HASH, **ITEM, "ConditionExpression": "", "ExpressionAttributeValues": {":v": {"N": "x"}}},
        env("The parameter cannot be converted to a numeric value: x"),
    ),
    (
        "PutItem",
        {**HASH, **ITEM, "ConditionExpression": "x x", "ReturnValues": "ALL_NEW"},
        env('Invalid ConditionExpression: Syntax error; token: "x", near: "x x"'),
    ),
    (
        "PutItem",
        {**ABSENT, **ITEM, "ConditionExpression": "a = :x"},
        env(UNDEFINED.format("ConditionExpression", ":x")),
    ),
    (
        "PutItem",
        {
            **ABSENT,
            **ITEM,
            "ConditionExpression": "a = :v",
            "ExpressionAttributeValues": {":v": {"S": ""}, ":w": {"S": ""}},
            **NAMES,
        },
        env(UNUSED.format("Names", "#n")),
    ),
    (
        "PutItem",
        {
            **ABSENT,
            **ITEM,
            "ConditionExpression": "a = :v",
            "ExpressionAttributeValues": {":v": {"S": ""}, ":w": {"S": ""}},
        },
        env(UNUSED.format("Values", ":w")),
    ),
    (
        "PutItem",
        {**ABSENT, **ITEM, "Expected": {"a": {}}},
        env(f"{INVALID}Value must be provided when Exists is null for Attribute: a"),
    ),
    (
        "PutItem",
        {**ABSENT, "Item": {"pk": {"S": "a"}, "x": {"S": "x" * 409_598}}},
        "Item size has exceeded the maximum allowed size",
    ),
    ("PutItem", {**ABSENT, "Item": {"x": {"S": "a"}}}, NOT_FOUND),
    # DeleteItem
    ("DeleteItem", {**HASH, "Key": {"": {"S": "a"}}, **VALUES}, env(EMPTY_ATTRIBUTE)),
    ("DeleteItem", {**HASH, "Key": {"d": deep(32)}, **VALUES}, env(NO_EXPRESSION)),
    ("DeleteItem", {**HASH, "Key": {"d": deep(32)}, "ConditionExpression": ""}, env(NESTED)),
    (
        "DeleteItem",
        {**HASH, "Key": {"d": {"N": "x"}}, "ConditionExpression": ""},
        env("The parameter cannot be converted to a numeric value: x"),
    ),
    ("DeleteItem", {**ABSENT, "Key": {}, "ConditionExpression": ""}, env(EMPTY_CONDITION)),
    ("DeleteItem", {**ABSENT, "Key": {}}, NOT_FOUND),
    ("DeleteItem", {**HASH, "Key": {}}, MISMATCH),
    # UpdateItem
    ("UpdateItem", {**HASH, "Key": {"": {"S": ""}}, **VALUES}, env(EMPTY_ATTRIBUTE)),
    ("UpdateItem", {**HASH, **BY_KEY, "AttributeUpdates": {"": {"Value": {"S": "a"}}}}, env(EMPTY_ATTRIBUTE)),
    (
        "UpdateItem",
        {**HASH, "Key": {"pk": {"NULL": False}}, **VALUES},
        env(f"{INVALID}Null attribute value types must have the value of true"),
    ),
    (
        "UpdateItem",
        {
            **HASH,
            **BY_KEY,
            "AttributeUpdates": {},
            "Expected": {},
            "ConditionalOperator": "x",
            "UpdateExpression": "",
            "ConditionExpression": "",
        },
        env(
            "Can not use both expression and non-expression parameters in the same request: Non-expression "
            "parameters: {AttributeUpdates, Expected, ConditionalOperator} Expression parameters: "
            "{UpdateExpression, ConditionExpression}"
        ),
    ),
    (
        "UpdateItem",
        {**HASH, **BY_KEY, "UpdateExpression": "", "ConditionExpression": ""},
        env(EMPTY_CONDITION),
    ),
    (
        "UpdateItem",
        {**HASH, **BY_KEY, "UpdateExpression": "", "ConditionExpression": "x x"},
        env("Invalid UpdateExpression: The expression can not be empty;"),
    ),
    (
        "UpdateItem",
        {**ABSENT, **BY_KEY, "UpdateExpression": "SET a = :x", "ConditionExpression": "x x"},
        env(UNDEFINED.format("UpdateExpression", ":x")),
    ),
    (
        "UpdateItem",
        {
            **ABSENT,
            **BY_KEY,
            "UpdateExpression": "SET a = :v",
            "ConditionExpression": "a = :x",
            **NAMES,
            **VALUES,
        },
        env(UNDEFINED.format("ConditionExpression", ":x")),
    ),
    (
        "UpdateItem",
        {**ABSENT, **BY_KEY, "UpdateExpression": "SET a = :v, a = :v", **NAMES, **VALUES},
        env(
            "Invalid UpdateExpression: Two document paths overlap with each other; must remove or rewrite one of "
            "these paths; path one: [a], path two: [a]"
        ),
    ),
    (
        "UpdateItem",
        {
            **ABSENT,
            **BY_KEY,
            "UpdateExpression": "SET a = :v",
            "ConditionExpression": "begins_with(a, :n)",
            **NAMES,
            "ExpressionAttributeValues": {":v": {"S": ""}, ":n": {"N": "1"}},
        },
        env(UNUSED.format("Names", "#n")),
    ),
    (
        "UpdateItem",
        {**ABSENT, **BY_KEY, "AttributeUpdates": {"a": {"Action": "PUT"}, "b": {"Action": "put", "Value": {"S": "a"}}}},
        env("Member must satisfy enum value set: [ADD, DELETE, PUT]' for Action"),
    ),
    (
        "UpdateItem",
        {**ABSENT, **BY_KEY, "AttributeUpdates": {"a": {"Action": "PUT"}}},
        f"{INVALID}Only DELETE action is allowed when no attribute value is specified",
    ),
    (
        "UpdateItem",
        {**HASH, "Key": {}, "UpdateExpression": "SET pk = :v", **VALUES},
        MISMATCH,
    ),
    (
        "UpdateItem",
        {
            **HASH,
            **BY_KEY,
            "UpdateExpression": "SET pk = :v",
            "ConditionExpression": "attribute_exists(pk)",
            "ExpressionAttributeValues": {":v": {"S": "x" * 409_600}},
        },
        "Item size to update has exceeded the maximum allowed size",
    ),
    (
        "UpdateItem",
        {**HASH, **BY_KEY, "UpdateExpression": "SET pk = :v", "ConditionExpression": "attribute_exists(pk)", **VALUES},
        ("ConditionalCheckFailedException", "The conditional request failed"),
    ),
    (
        "UpdateItem",
        {**HASH, **BY_KEY, "UpdateExpression": "SET a.b = :v", "ConditionExpression": "attribute_exists(pk)", **VALUES},
        ("ConditionalCheckFailedException", "The conditional request failed"),
    ),
    # GetItem
    ("GetItem", {**ABSENT, "Key": {"": {"S": "a"}}, **NAMES}, EMPTY_ATTRIBUTE),
    ("GetItem", {**ABSENT, **BY_KEY, "AttributesToGet": [""]}, EMPTY_ATTRIBUTE),
    ("GetItem", {**ABSENT, "Key": {"d": deep(32)}, **NAMES}, NO_EXPRESSION_NAMES),
    ("GetItem", {**ABSENT, "Key": {"d": deep(32)}}, NESTED),
    ("GetItem", {**ABSENT, "Key": {"d": {"N": "x"}}}, "The parameter cannot be converted to a numeric value: x"),
    (
        "GetItem",
        {**ABSENT, **BY_KEY, "ProjectionExpression": ""},
        "Invalid ProjectionExpression: The expression can not be empty;",
    ),
    ("GetItem", {**ABSENT, **BY_KEY, "AttributesToGet": ["a", "a"]}, f"{INVALID}Duplicate value in attribute name: a"),
    ("GetItem", {**HASH, "Key": {"nope": {"S": "x"}}, **NAMES}, NO_EXPRESSION_NAMES),
    ("GetItem", {**ABSENT, **BY_KEY}, NOT_FOUND),
]


@pytest.mark.parametrize(("operation", "request_", "text"), ORDERS)
def test_of_two_faults_one_is_reported(world, operation, request_, text):
    if text is None:
        text = env(
            "Can not use both expression and non-expression parameters in the same request: Non-expression "
            "parameters: {Expected} Expression parameters: {ConditionExpression}"
        )
    expected = text if isinstance(text, tuple) else ("ValidationException", text)
    assert world.refused(operation, request_) == expected
