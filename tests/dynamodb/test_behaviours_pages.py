"""Query and Scan: texts, order of checks, pages, cursors, Select, indexes. Rules 3.7 to 3.9, 7, 12.2."""

from __future__ import annotations

import pytest

from dynamodb.behaviours import INVALID, NESTED, NOT_FOUND, NOT_VALID, deep, env

P = {":p": {"S": "a"}}
EQ = {"ComparisonOperator": "EQ", "AttributeValueList": [{"S": "a"}]}
KEY_EXPRESSION = "Invalid KeyConditionExpression: "
NO_CONDITION = "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request."
MISSED = "Query condition missed key schema element: {}"
NOT_SUPPORTED = "Query key condition not supported"
TOO_MANY = "The number of query conditions ({}) exceeds the number of key attributes defined in the schema ({})"
ONE_PER_KEY = KEY_EXPRESSION + "KeyConditionExpressions must only contain one condition per key"
OPERATOR = KEY_EXPRESSION + "Invalid operator used in KeyConditionExpression: {}"
NESTED_PATH = KEY_EXPRESSION + "KeyConditionExpressions cannot have conditions on nested attributes"
OPERAND = KEY_EXPRESSION + "Incorrect operand type for operator or function; operator or function: {}, operand type: {}"
WRONG_TYPE = f"{INVALID}Condition parameter type does not match schema type"
UNDEFINED = KEY_EXPRESSION + "An expression attribute value used in expression is not defined; attribute value: {}"
BAD_START = "The provided starting key is invalid"
ONE_ROW = "The query can return at most one row and cannot be restarted"
UNUSED = "Value provided in ExpressionAttributeValues unused in expressions: keys: {:unused}"


def query(table, condition, values=None, **more):
    return {
        "TableName": table,
        "KeyConditionExpression": condition,
        "ExpressionAttributeValues": {":p": {"S": "a"}, **(values or {})},
        **more,
    }


N = {":n": {"N": "1"}, ":m": {"N": "2"}}
NO_EMPTY = f"{NOT_VALID}The AttributeValue for a key attribute cannot contain an empty {{}} value. Key: {{}}"
QUERIES = [
    (query("hash", "pk = :p", {":p": {"S": ""}}), NO_EMPTY.format("string", "pk")),
    (query("words", "pk = :p AND begins_with(sk, :s)", {":s": {"S": ""}}), NO_EMPTY.format("string", "sk")),
    (query("bytes", "pk = :p AND sk > :s", {":s": {"B": b""}}), NO_EMPTY.format("binary", "sk")),
    (
        query("pair", "gh = :p", {":p": {"S": ""}}, IndexName="g-all"),
        f"{NOT_VALID}A value specified for a secondary index key is not supported. The AttributeValue for a key attribute "
        "cannot contain an empty string value. IndexName: g-all, IndexKey: gh",
    ),
    ({"TableName": "hash"}, NO_CONDITION),
    ({"TableName": "hash", "KeyConditions": {}}, NO_CONDITION),
    (query("hash", "zz = :p"), MISSED.format("pk")),
    (
        {"TableName": "pair", "KeyConditionExpression": "sk = :n", "ExpressionAttributeValues": {":n": {"N": "1"}}},
        MISSED.format("pk"),
    ),
    (query("pair", "pk = :p AND zz = :p"), MISSED.format("sk")),
    (query("pair", "gh = :p"), MISSED.format("pk")),
    (query("pair", "pk = :p", IndexName="g-keys"), MISSED.format("gh")),
    (query("hash", "pk > :p"), NOT_SUPPORTED),
    (query("hash", "begins_with(pk, :p)"), NOT_SUPPORTED),
    (query("pair", "pk BETWEEN :p AND :p"), NOT_SUPPORTED),
    (query("pair", "pk = :p AND sk = :n AND x = :n", {":n": {"N": "1"}}), TOO_MANY.format(3, 2)),
    (query("hash", "pk = :p AND x = :p"), TOO_MANY.format(2, 1)),
    (query("pair", "pk = :p AND sk > :n AND sk < :m", N), ONE_PER_KEY),
    (query("absent", "pk = :p AND pk = :p"), ONE_PER_KEY),
    (
        query("pair", "pk = sk"),
        KEY_EXPRESSION + "Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition",
    ),
    (query("pair", "pk = :p OR sk = :n", {":n": {"N": "1"}}), OPERATOR.format("OR")),
    (query("pair", "NOT pk = :p"), OPERATOR.format("NOT")),
    (query("pair", "pk IN (:p)"), OPERATOR.format("IN")),
    (query("pair", "pk <> :p"), OPERATOR.format("<>")),
    (query("pair", "pk = :p AND contains(sk, :p)"), OPERATOR.format("contains")),
    (query("pair", "pk = :p AND attribute_exists(sk)"), OPERATOR.format("attribute_exists")),
    (query("pair", "pk = :p AND sk.a = :p"), NESTED_PATH),
    (query("pair", "pk[0] = :p"), NESTED_PATH),
    (query("absent", "pk = :p AND begins_with(sk, :n)", {":n": {"N": "1"}}), OPERAND.format("begins_with", "N")),
    (query("absent", "pk = :p AND sk < :b", {":b": {"BOOL": True}}), OPERAND.format("<", "BOOL")),
    (query("absent", "pk = :p AND sk >= :b", {":b": {"L": []}}), OPERAND.format(">=", "L")),
    (query("absent", "pk = :p AND sk BETWEEN :b AND :b", {":b": {"SS": ["a"]}}), OPERAND.format("BETWEEN", "SS")),
    (query("pair", "pk = :z AND sk < :b", {":b": {"BOOL": True}}), UNDEFINED.format(":z")),
    (query("absent", "pk = :z AND sk < :b", {":b": {"BOOL": True}}), NOT_FOUND),
    (query("absent", "sk < :b AND pk = :z", {":b": {"BOOL": True}}), OPERAND.format("<", "BOOL")),
    (query("pair", "pk = :p AND sk = :z"), UNDEFINED.format(":z")),
    (
        {"TableName": "pair", "KeyConditionExpression": "pk = :n", "ExpressionAttributeValues": {":n": {"N": "1"}}},
        WRONG_TYPE,
    ),
    (query("pair", "pk = :p AND sk = :p"), WRONG_TYPE),
    (query("pair", "gh = :p AND gr = :p", IndexName="g-all"), WRONG_TYPE),
    (query("hash", ""), KEY_EXPRESSION + "The expression can not be empty;"),
    (query("hash", "", {}, ExpressionAttributeNames={}), KEY_EXPRESSION + "The expression can not be empty;"),
    (query("hash", "  "), KEY_EXPRESSION + 'Syntax error; token: "<EOF>", near: "  "'),
    (query("hash", "pk = "), KEY_EXPRESSION + 'Syntax error; token: "<EOF>", near: "="'),
    (query("hash", "foo(pk)"), KEY_EXPRESSION + "Invalid function name; function: foo"),
    (query("hash", "Begins_with(pk, :p)"), KEY_EXPRESSION + "Invalid function name; function: Begins_with"),
    (query("hash", "((pk = :p))"), KEY_EXPRESSION + "The expression has redundant parentheses;"),
    (query("hash", "pk = :p" + " " * 4096), KEY_EXPRESSION + "Expression size has exceeded the maximum allowed size;"),
    (
        query("pair", "pk = :p AND sk BETWEEN :m AND :n", N),
        KEY_EXPRESSION
        + "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; lower bound operand: "
        "AttributeValue: {N:2}, upper bound operand: AttributeValue: {N:1}",
    ),
    (
        query("pair", "pk = :p AND sk BETWEEN :n AND :p", {":n": {"N": "1"}}),
        KEY_EXPRESSION
        + "The BETWEEN operator requires same data type for lower and upper bounds; lower bound operand: "
        "AttributeValue: {N:1}, upper bound operand: AttributeValue: {S:a}",
    ),
    (query("pair", "pk = :p", IndexName="nope"), "The table does not have the specified index: nope"),
    (
        query("pair", "gh = :p", IndexName="g-all", ConsistentRead=True),
        "Consistent reads are not supported on global secondary indexes",
    ),
    (
        query("pair", "gh = :p", IndexName="nope", ConsistentRead=True),
        "Consistent reads are not supported on global secondary indexes",
    ),
    (
        query("pair", "pk = :p", {":n": {"N": "1"}}, FilterExpression="sk > :n"),
        "Filter Expression can only contain non-primary key attributes: Primary key attribute: sk",
    ),
    (
        query("pair", "gh = :p", {":n": {"N": "1"}}, FilterExpression="gr > :n", IndexName="g-all"),
        "Filter Expression can only contain non-primary key attributes: Primary key attribute: gr",
    ),
    (
        query("pair", "pk = :p", FilterExpression="pk.a = :p"),
        "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: Key: pk",
    ),
    (
        {"TableName": "pair", "KeyConditions": {"pk": EQ}, "QueryFilter": {"sk": {"ComparisonOperator": "NOT_NULL"}}},
        "QueryFilter can only contain non-primary key attributes: Primary key attribute: sk",
    ),
    (
        query("pair", "gh = :p", IndexName="g-keys", ProjectionExpression="x"),
        f"{INVALID}Global secondary index g-keys does not project [x]",
    ),
    (
        query("pair", "gh = :p", IndexName="g-inc", Select="ALL_ATTRIBUTES"),
        f"{INVALID}Select type ALL_ATTRIBUTES is not supported for global secondary index g-inc because its "
        "projection type is not ALL",
    ),
    (query("hash", "pk = :p", {":unused": {"S": ""}}), UNUSED),
    (
        {**query("hash", "pk = :p"), "ExpressionAttributeNames": {"#a": "a"}},
        UNUSED.replace("Values", "Names").replace(":unused", "#a"),
    ),
    # KeyConditions
    ({"TableName": "hash", "KeyConditions": {"pk": {**EQ, "ComparisonOperator": "GT"}}}, NOT_SUPPORTED),
    ({"TableName": "hash", "KeyConditions": {"zz": EQ}}, MISSED.format("pk")),
    ({"TableName": "hash", "KeyConditions": {"pk": EQ, "zz": EQ}}, TOO_MANY.format(2, 1)),
    ({"TableName": "pair", "KeyConditions": {"pk": EQ, "sk": EQ}}, WRONG_TYPE),
    (
        {
            "TableName": "pair",
            "IndexName": "nope",
            "KeyConditions": {
                "pk": EQ,
                "sk": {"ComparisonOperator": "BETWEEN", "AttributeValueList": [{"S": "a"}, {"N": "1"}]},
            },
        },
        f"{INVALID}AttributeValues inside AttributeValueList must be of same type",
    ),
    (
        {"TableName": "absent", "KeyConditions": {"pk": {**EQ, "ComparisonOperator": "eq"}}},
        f"{INVALID}Invalid comparison operator",
    ),
    ({"TableName": "absent", "KeyConditions": {"pk": {**EQ, "AttributeValueList": [deep(32)]}}}, NESTED),
    (
        {"TableName": "hash", "KeyConditions": {"pk": {"AttributeValueList": [{"S": "a"}]}}},
        env(
            "Value null at 'keyConditions.pk.member.comparisonOperator' failed to satisfy constraint: Member must not be null"
        ),
    ),
    # Select
    (
        query("hash", "pk = :p", Select="SPECIFIC_ATTRIBUTES"),
        env("Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES"),
    ),
    (
        query("hash", "pk = :p", Select="ALL_PROJECTED_ATTRIBUTES"),
        env("ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName"),
    ),
    (
        query("hash", "pk = :p", Select="ALL_ATTRIBUTES", ProjectionExpression="a"),
        env("Cannot specify the ProjectionExpression when choosing to get ALL_ATTRIBUTES"),
    ),
    (
        query("hash", "pk = :p", Select="ALL_PROJECTED_ATTRIBUTES", ProjectionExpression="a"),
        env("Cannot specify the ProjectionExpression when choosing to get ALL_PROJECTED_ATTRIBUTES"),
    ),
    (
        query("hash", "pk = :p", Select="COUNT", ProjectionExpression="a"),
        env("Cannot specify the ProjectionExpression when choosing to get only the Count"),
    ),
    (
        {"TableName": "hash", "KeyConditions": {"pk": EQ}, "Select": "COUNT", "AttributesToGet": ["a"]},
        env("Cannot specify the AttributesToGet when choosing to get only the Count"),
    ),
    (
        {"TableName": "hash", "KeyConditions": {"pk": EQ}, "AttributesToGet": ["a", "b", "a"]},
        f"{INVALID}Duplicate value in attribute name: a",
    ),
    # multi-attribute keys
    (
        query("multi", "a = :p AND b > :n", {":n": {"N": "1"}}, IndexName="many"),
        "HASH key attributes b must have equality conditions specified in the query",
    ),
    (
        query("multi", "c = :p", IndexName="many"),
        "HASH key attributes a, b must have equality conditions specified in the query",
    ),
    (
        query("multi", "c = :p", IndexName="ranges"),
        "HASH key attributes a must have equality conditions specified in the query",
    ),
    (
        query("multi", "a = :p AND b = :n AND e = :x", {":n": {"N": "1"}, ":x": {"B": b"x"}}, IndexName="many"),
        "RANGE key attributes c, d must have equality conditions specified in the query because a condition is "
        "present on key attribute e",
    ),
    (
        query("multi", "a = :p AND b = :n AND c > :p AND d = :n", {":n": {"N": "1"}}, IndexName="many"),
        "RANGE key attributes c must have equality conditions specified in the query because a condition is present "
        "on key attribute d",
    ),
    (query("multi", "a = :p AND b = :n AND zz = :p", {":n": {"N": "1"}}, IndexName="many"), MISSED.format("c")),
    (
        query(
            "multi",
            "a = :p AND b = :n AND c = :p AND d = :n AND e = :p AND f = :p",
            {":n": {"N": "1"}},
            IndexName="many",
        ),
        TOO_MANY.format(6, 5),
    ),
    # order
    (
        query("absent", "pk = :p", FilterExpression="x x"),
        'Invalid FilterExpression: Syntax error; token: "x", near: "x x"',
    ),
    (
        query("absent", "pk = :p", FilterExpression="a = :z"),
        "Invalid FilterExpression: An expression attribute value used in expression is not defined; attribute value: :z",
    ),
    (query("absent", "x x", ProjectionExpression=""), "Invalid ProjectionExpression: The expression can not be empty;"),
    (
        query("absent", "x x", Select="SPECIFIC_ATTRIBUTES"),
        env("Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES"),
    ),
    (query("absent", "x x"), KEY_EXPRESSION + 'Syntax error; token: "x", near: "x x"'),
    (query("absent", "a > :p AND b > :p"), NOT_FOUND),
    (
        query("pair", "a > :p", IndexName="nope", ConsistentRead=True),
        "Consistent reads are not supported on global secondary indexes",
    ),
    (query("pair", "a > :p", ExclusiveStartKey={"pk": {"S": "a"}}), BAD_START),
    ({"TableName": "pair", "ExclusiveStartKey": {"pk": {"S": "a"}}}, NO_CONDITION),
    (query("pair", "pk = :p", ExclusiveStartKey={"": {"S": "a"}}, ExpressionAttributeNames={}), "Empty attribute name"),
]


@pytest.mark.parametrize(("request_", "text"), QUERIES)
def test_a_query_is_refused(world, request_, text):
    expected = text if isinstance(text, tuple) else ("ValidationException", text)
    assert world.refused("Query", request_) == expected


SCANS = [
    (
        {"TableName": "hash", "Segment": 0},
        "The TotalSegments parameter is required but was not present in the request when Segment parameter is present",
    ),
    (
        {"TableName": "hash", "TotalSegments": 2},
        "The Segment parameter is required but was not present in the request when parameter TotalSegments is present",
    ),
    (
        {"TableName": "hash", "Segment": 2, "TotalSegments": 2},
        "The Segment parameter is zero-based and must be less than parameter TotalSegments",
    ),
    (
        {"TableName": "absent", "Segment": 0},
        "The TotalSegments parameter is required but was not present in the request when Segment parameter is present",
    ),
    (
        {"TableName": "absent", "Select": "x", "FilterExpression": "x x"},
        'Invalid FilterExpression: Syntax error; token: "x", near: "x x"',
    ),
    (
        {"TableName": "hash", "Select": "SPECIFIC_ATTRIBUTES"},
        env("Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES"),
    ),
    (
        {"TableName": "hash", "Select": "ALL_PROJECTED_ATTRIBUTES", "Segment": 0},
        env("ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName"),
    ),
    (
        {"TableName": "hash", "Select": "COUNT", "AttributesToGet": ["a"]},
        env("Cannot specify the AttributesToGet when choosing to get only the Count"),
    ),
    ({"TableName": "hash", "AttributesToGet": ["a", "a"]}, f"{INVALID}Duplicate value in attribute name: a"),
    (
        {"TableName": "pair", "IndexName": "g-all", "ConsistentRead": True},
        "Consistent reads are not supported on global secondary indexes",
    ),
    (
        {"TableName": "pair", "IndexName": "nope", "ConsistentRead": True},
        "Consistent reads are not supported on global secondary indexes",
    ),
    ({"TableName": "pair", "IndexName": "nope"}, "The table does not have the specified index: nope"),
    (
        {"TableName": "pair", "IndexName": "g-keys", "Select": "ALL_ATTRIBUTES", "ExclusiveStartKey": {}},
        f"{INVALID}Select type ALL_ATTRIBUTES is not supported for global secondary index g-keys because its projection "
        "type is not ALL",
    ),
    (
        {"TableName": "pair", "IndexName": "g-keys", "ProjectionExpression": "x"},
        f"{INVALID}Global secondary index g-keys does not project [x]",
    ),
    (
        {"TableName": "pair", "FilterExpression": "pk.a = :p", "ExpressionAttributeValues": P},
        "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: Key: pk",
    ),
    (
        {"TableName": "pair", "IndexName": "g-all", "FilterExpression": "gh.a = :p", "ExpressionAttributeValues": P},
        "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: IndexKey: gh",
    ),
    (
        {"TableName": "hash", "ScanFilter": {"a": {**EQ, "AttributeValueList": [{"M": {"": {"S": "a"}}}]}}},
        "Empty attribute name",
    ),
    ({"TableName": "hash", "AttributesToGet": [""]}, "Empty attribute name"),
    (
        {"TableName": "hash", "ScanFilter": {"a": {"AttributeValueList": [deep(32)], "ComparisonOperator": "EQ"}}},
        NESTED,
    ),
    (
        {
            "TableName": "hash",
            "FilterExpression": "a = :v",
            "ExpressionAttributeValues": {":v": {"S": ""}, ":unused": {"S": ""}},
        },
        UNUSED,
    ),
    (
        {"TableName": "hash", "FilterExpression": "a < :v", "ExpressionAttributeValues": {":v": {"BOOL": True}}},
        "Invalid FilterExpression: Incorrect operand type for operator or function; operator or function: <, operand type: BOOL",
    ),
]


@pytest.mark.parametrize(("request_", "text"), SCANS)
def test_a_scan_is_refused(world, request_, text):
    assert world.refused("Scan", request_) == ("ValidationException", text)


def test_an_empty_name_as_the_key_of_a_filter_is_accepted(world):
    world("Scan", TableName="hash", ScanFilter={"": {"ComparisonOperator": "NULL"}})
    world("Query", TableName="hash", KeyConditions={"pk": EQ}, QueryFilter={"": {"ComparisonOperator": "NULL"}})


# ---- ExclusiveStartKey


EMPTY_VALUE = "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
SEVERAL = "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"
NULL = f"{INVALID}Null attribute value types must have the value of true"
NO_SS = f"{INVALID}An string set  may not be empty"
TABLE_KEY = {"pk": {"S": "a"}, "sk": {"N": "1"}}
INDEX_KEY = {**TABLE_KEY, "gh": {"S": "g"}, "gr": {"N": "1"}}

# table, index, key, text of Query, text of Scan
STARTS = [
    ("words", None, {"pk": {"S": "a"}}, BAD_START, BAD_START),
    ("words", None, {}, BAD_START, BAD_START),
    ("words", None, {"pk": {"S": "a"}, "sk": {"S": "b"}, "x": {"S": "c"}}, BAD_START, BAD_START),
    ("words", None, {"pk": {"S": "a"}, "x": {"S": "b"}}, BAD_START, BAD_START),
    ("words", None, {"pk": {"S": "a"}, "sk": {"N": "1"}}, BAD_START, BAD_START),
    ("words", None, {"pk": {"S": "a"}, "sk": {"M": {}}}, BAD_START, BAD_START),
    ("words", None, {"pk": {"S": "a"}, "sk": {"NULL": True}}, BAD_START, BAD_START),
    ("words", None, {"pk": {"S": "a"}, "sk": {"SS": ["a"]}}, BAD_START, BAD_START),
    ("words", None, {"pk": {"S": "a"}, "sk": {}}, f"{BAD_START}: {EMPTY_VALUE}", f"{BAD_START}: {EMPTY_VALUE}"),
    (
        "words",
        None,
        {"pk": {"S": "a"}, "sk": {"S": "a", "N": "1"}},
        f"{BAD_START}: {SEVERAL}",
        f"{BAD_START}: {SEVERAL}",
    ),
    ("words", None, {"pk": {"S": "a"}, "sk": {"NULL": False}}, NULL, f"{BAD_START}: {NULL}"),
    ("words", None, {"pk": {"S": "a"}, "sk": {"SS": []}}, NO_SS, f"{BAD_START}: {NO_SS}"),
    (
        "words",
        None,
        {"pk": {"S": "a"}, "sk": {"N": "x"}},
        "The parameter cannot be converted to a numeric value: x",
        "The parameter cannot be converted to a numeric value: x",
    ),
    (
        "words",
        None,
        {"pk": {"S": "a"}, "sk": {"S": ""}},
        f"{NOT_VALID}The AttributeValue for a key attribute cannot contain an empty string value. Key: sk",
        None,
    ),
    ("words", None, {"pk": {"S": "a"}, "sk": deep(32)}, NESTED, NESTED),
    ("words", None, {"pk": {"S": "a"}, "sk": deep(63)}, f"{BAD_START}: {NESTED}", f"{BAD_START}: {NESTED}"),
    ("pair", "g-all", TABLE_KEY, BAD_START, BAD_START),
    ("pair", "g-all", {**INDEX_KEY, "x": {"S": "a"}}, BAD_START, BAD_START),
    (
        "pair",
        "g-all",
        {**INDEX_KEY, "gr": {"S": "a"}},
        BAD_START,
        f"{INVALID}Type mismatch for Index Key gr Expected: N Actual: S IndexName: g-all",
    ),
    (
        "pair",
        "l-inc",
        {**TABLE_KEY, "l2": {"N": "1"}},
        BAD_START,
        f"{INVALID}Type mismatch for Index Key l2 Expected: S Actual: N IndexName: l-inc",
    ),
    (
        "pair",
        None,
        {"pk": {"S": "a"}, "sk": {"S": "1"}},
        BAD_START,
        f"{INVALID}Type mismatch for Index Key sk Expected: N Actual: S IndexName: g-all",
    ),
    (
        "pair",
        None,
        {"sk": {"S": "1"}},
        BAD_START,
        f"{INVALID}Type mismatch for Index Key sk Expected: N Actual: S IndexName: g-all",
    ),
]


@pytest.mark.parametrize(("table", "index", "key", "of_query", "of_scan"), STARTS)
def test_a_starting_key_that_does_not_fit(world, table, index, key, of_query, of_scan):
    where = {"TableName": table, "ExclusiveStartKey": key}
    if index is not None:
        where["IndexName"] = index
    partition = "gh" if index == "g-all" else "pk"
    request = {**where, "KeyConditionExpression": f"{partition} = :p", "ExpressionAttributeValues": P}
    assert world.refused("Query", request) == ("ValidationException", of_query)
    if of_scan is not None:
        assert world.refused("Scan", where) == ("ValidationException", of_scan)


OUTSIDE = [
    (
        query("words", "pk = :p", ExclusiveStartKey={"pk": {"S": "b"}, "sk": {"S": "x"}}),
        "The provided starting key is outside query boundaries based on provided conditions",
    ),
    (query("hash", "pk = :p", ExclusiveStartKey={"pk": {"S": "b"}}), "The provided exclusive start key is invalid"),
    (
        query(
            "words", "pk = :p AND sk > :s", {":s": {"S": "m"}}, ExclusiveStartKey={"pk": {"S": "a"}, "sk": {"S": "a"}}
        ),
        "The provided starting key does not match the range key predicate",
    ),
    (
        query(
            "words", "pk = :p AND sk > :s", {":s": {"S": "m"}}, ExclusiveStartKey={"pk": {"S": "b"}, "sk": {"S": "z"}}
        ),
        ONE_ROW,
    ),
    (
        query(
            "words", "pk = :p AND sk > :s", {":s": {"S": "m"}}, ExclusiveStartKey={"pk": {"S": "b"}, "sk": {"S": "a"}}
        ),
        "The provided starting key does not match the range key predicate",
    ),
    (
        query("pair", "gh = :p", IndexName="g-all", ExclusiveStartKey=INDEX_KEY),
        "The provided starting key is outside query boundaries based on provided conditions",
    ),
    (
        query(
            "multi",
            "a = :p AND b = :n",
            {":n": {"N": "1"}},
            IndexName="many",
            ExclusiveStartKey={
                "id": {"S": "i"},
                "a": {"S": "other"},
                "b": {"N": "1"},
                "c": {"S": "c"},
                "d": {"N": "1"},
                "e": {"B": b"e"},
            },
        ),
        ONE_ROW,
    ),
]


@pytest.mark.parametrize(("request_", "text"), OUTSIDE)
def test_a_starting_key_outside_the_condition(world, request_, text):
    assert world.refused("Query", request_) == ("ValidationException", text)


# ---- what is read


@pytest.fixture(scope="module")
def rows(world):
    """Partition `rows` of pair: sk -3 to 6; x and gh on the even ones, l1 and l2 everywhere."""
    for number in range(-3, 7):
        item = {"pk": {"S": "rows"}, "sk": {"N": str(number)}, "l1": {"S": f"{6 - number:02}"}, "l2": {"S": "same"}}
        if number % 2 == 0:
            item.update(x={"S": "x"}, gh={"S": "g"}, gr={"N": str(-number)})
        world("PutItem", TableName="pair", Item={**item, "y": {"S": "y"}})
    return world


def rows_query(condition="pk = :p", values=None, **more):
    return {
        "TableName": "pair",
        "KeyConditionExpression": condition,
        "ExpressionAttributeValues": {":p": {"S": "rows"}, **(values or {})},
        **more,
    }


def numbers(answer):
    return [int(item["sk"]["N"]) for item in answer["Items"]]


RANGES = [
    ("pk = :p", {}, list(range(-3, 7))),
    ("pk = :p AND sk < :a", {":a": "0"}, [-3, -2, -1]),
    ("pk = :p AND sk <= :a", {":a": "0.0"}, [-3, -2, -1, 0]),
    ("pk = :p AND sk > :a", {":a": "4"}, [5, 6]),
    ("pk = :p AND sk >= :a", {":a": "-1"}, list(range(-1, 7))),
    ("pk = :p AND sk = :a", {":a": "5.00"}, [5]),
    ("pk = :p AND sk BETWEEN :a AND :b", {":a": "-2", ":b": "2"}, [-2, -1, 0, 1, 2]),
    ("pk = :p AND sk BETWEEN :a AND :a", {":a": "2"}, [2]),
    (":a <= sk AND pk = :p", {":a": "5"}, [5, 6]),
    (":a < sk and :p = pk", {":a": "5"}, [6]),
    (":a >= sk AND pk = :p", {":a": "-2"}, [-3, -2]),
    ("(pk = :p) AND (sk > :a)", {":a": "5"}, [6]),
    ("(pk = :p AND sk > :a)", {":a": "5"}, [6]),
    ("pk = :p\n\tAND\tsk > :a", {":a": "5"}, [6]),
]


@pytest.mark.parametrize(("condition", "values", "found"), RANGES)
def test_a_range_of_numbers_both_ways(rows, condition, values, found):
    request = rows_query(condition, {name: {"N": value} for name, value in values.items()})
    assert numbers(rows("Query", **request)) == found
    assert numbers(rows("Query", **request, ScanIndexForward=False)) == found[::-1]


def pages(world, operation, request):
    found, start = [], {}
    while True:
        answer = world(operation, **request, **start)
        found.append(answer)
        if "LastEvaluatedKey" not in answer:
            return found
        start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 9, 11])
@pytest.mark.parametrize(
    ("condition", "more", "cursor"),
    [
        ("pk = :p", {}, {"pk", "sk"}),
        ("pk = :p", {"ScanIndexForward": False}, {"pk", "sk"}),
        ("pk = :p", {"IndexName": "l-inc"}, {"pk", "sk", "l2"}),
        ("pk = :p", {"IndexName": "l-inc", "ScanIndexForward": False}, {"pk", "sk", "l2"}),
        ("gh = :p", {"IndexName": "g-all", "ExpressionAttributeValues": {":p": {"S": "g"}}}, {"pk", "sk", "gh", "gr"}),
    ],
)
def test_pages_together_are_the_whole(rows, limit, condition, more, cursor):
    request = {**rows_query(condition), **more}
    whole = rows("Query", **request)
    found = pages(rows, "Query", {**request, "Limit": limit})
    assert [item for page in found for item in page["Items"]] == whole["Items"]
    assert all(set(page["LastEvaluatedKey"]) == cursor for page in found[:-1])
    assert all(page["Count"] == page["ScannedCount"] <= limit for page in found)
    assert "LastEvaluatedKey" not in whole


def test_the_limit_counts_what_is_evaluated(rows):
    answer = rows("Query", **rows_query(FilterExpression="attribute_exists(x)", Limit=4))
    assert (answer["Count"], answer["ScannedCount"], numbers(answer)) == (2, 4, [-2, 0])
    assert answer["LastEvaluatedKey"] == {"pk": {"S": "rows"}, "sk": {"N": "0"}}
    nothing = rows("Query", **rows_query(FilterExpression="attribute_exists(zz)", Limit=4))
    assert (nothing["Items"], nothing["Count"], nothing["ScannedCount"]) == ([], 0, 4)
    assert "LastEvaluatedKey" in nothing


def test_a_start_need_not_exist_and_numbers_in_it_compare_by_value(rows):
    start = {"pk": {"S": "rows"}, "sk": {"N": "3.5"}}
    assert numbers(rows("Query", **rows_query(ExclusiveStartKey=start))) == [4, 5, 6]
    assert numbers(rows("Query", **rows_query(ExclusiveStartKey=start, ScanIndexForward=False)))[0] == 3
    start["sk"] = {"N": "40e-1"}
    assert numbers(rows("Query", **rows_query(ExclusiveStartKey=start))) == [5, 6]


def test_a_query_of_nothing(rows):
    answer = rows("Query", **rows_query(values={":p": {"S": "nothing"}}))
    assert answer == {"Items": [], "Count": 0, "ScannedCount": 0}


def test_count_has_no_items(rows):
    assert rows("Query", **rows_query(Select="COUNT")) == {"Count": 10, "ScannedCount": 10}
    filtered = rows("Query", **rows_query(Select="COUNT", FilterExpression="attribute_exists(x)"))
    assert filtered == {"Count": 5, "ScannedCount": 10}
    scanned = rows("Scan", TableName="pair", Select="COUNT", FilterExpression="attribute_exists(x)")
    assert set(scanned) == {"Count", "ScannedCount"}


SHOWN = [
    ("g-keys", {}, {"pk", "sk", "gh", "gr"}),
    ("g-inc", {}, {"pk", "sk", "gh", "x"}),
    ("g-inc", {"Select": "ALL_PROJECTED_ATTRIBUTES"}, {"pk", "sk", "gh", "x"}),
    ("g-all", {}, {"pk", "sk", "gh", "gr", "l1", "l2", "x", "y"}),
    ("g-all", {"Select": "ALL_ATTRIBUTES"}, {"pk", "sk", "gh", "gr", "l1", "l2", "x", "y"}),
    ("l-inc", {}, {"pk", "sk", "l2", "x"}),
    ("l-inc", {"Select": "ALL_ATTRIBUTES"}, {"pk", "sk", "gh", "gr", "l1", "l2", "x", "y"}),
    ("l-inc", {"ProjectionExpression": "sk, y"}, {"sk", "y"}),
    ("l-inc", {"ConsistentRead": True, "ProjectionExpression": "sk, x"}, {"sk", "x"}),
    ("l-all", {}, {"pk", "sk", "gh", "gr", "l1", "l2", "x", "y"}),
    ("g-inc", {"Select": "SPECIFIC_ATTRIBUTES", "ProjectionExpression": "sk, x"}, {"sk", "x"}),
]


@pytest.mark.parametrize(("index", "more", "names"), SHOWN)
def test_what_an_index_shows(rows, index, more, names):
    condition, value = ("gh = :p", "g") if index.startswith("g") else ("pk = :p", "rows")
    request = {**rows_query(condition), "ExpressionAttributeValues": {":p": {"S": value}}, "IndexName": index, **more}
    found = rows("Query", **request)["Items"]
    assert next(set(item) for item in found if item["sk"] == {"N": "2"}) == names
    assert len(found) == (5 if index.startswith("g") else 10)
    del request["KeyConditionExpression"], request["ExpressionAttributeValues"]
    scanned = rows("Scan", **request)["Items"]
    assert sorted(map(str, scanned)) == sorted(map(str, found))


def test_an_index_orders_by_its_own_sort_key(rows):
    request = {**rows_query("gh = :p"), "ExpressionAttributeValues": {":p": {"S": "g"}}, "IndexName": "g-all"}
    assert numbers(rows("Query", **request)) == [6, 4, 2, 0, -2]
    assert numbers(rows("Query", **rows_query(IndexName="l-all"))) == list(range(6, -4, -1))
    begins = rows_query("pk = :p AND begins_with(l1, :b)", {":b": {"S": "0"}}, IndexName="l-all", ConsistentRead=True)
    assert len(rows("Query", **begins)["Items"]) == 10


def test_legacy_key_conditions_read_backwards(rows):
    between = {"ComparisonOperator": "BETWEEN", "AttributeValueList": [{"N": "0"}, {"N": "2"}]}
    conditions = {"pk": {"ComparisonOperator": "EQ", "AttributeValueList": [{"S": "rows"}]}, "sk": between}
    filters = {"x": {"ComparisonOperator": "CONTAINS", "AttributeValueList": [{"S": "x"}]}}
    answer = rows("Query", TableName="pair", KeyConditions=conditions, QueryFilter=filters, ScanIndexForward=False)
    assert (numbers(answer), answer["ScannedCount"]) == ([2, 0], 3)


def test_binary_and_string_sort_keys_order_by_bytes(world):
    binaries = [b"\x01", b"\x01\x02", b"\x02", b"\xff"]
    words = ["", "A", "a", "aa", "b", "é", "\uffff", "\U0001f600"][1:]
    for held in reversed(binaries):
        world("PutItem", TableName="bytes", Item={"pk": {"S": "o"}, "sk": {"B": held}})
    for held in reversed(words):
        world("PutItem", TableName="words", Item={"pk": {"S": "o"}, "sk": {"S": held}})
    values = {":p": {"S": "o"}}
    found = world("Query", **query("bytes", "pk = :p", values))["Items"]
    assert [item["sk"]["B"] for item in found] == binaries
    found = world("Query", **query("bytes", "pk = :p AND begins_with(sk, :b)", {**values, ":b": {"B": b"\x01"}}))
    assert found["Count"] == 2
    found = world("Query", **query("bytes", "pk = :p AND sk > :b", {**values, ":b": {"B": b"\x01"}}))["Items"]
    assert [item["sk"]["B"] for item in found] == binaries[1:]
    found = world("Query", **query("words", "pk = :p", values))["Items"]
    assert [item["sk"]["S"] for item in found] == words
    found = world("Query", **query("words", "pk = :p AND begins_with(sk, :b)", {**values, ":b": {"S": "a"}}))
    assert found["Count"] == 2


def test_numbers_as_sort_keys_keep_order_at_the_ends_of_their_range(world):
    held = ["-9" + "9" * 37 + "E88", "-0.7", "-0.6", "0", "1E-130", "0.7", "5", "10", "9" * 38]
    for number in reversed(held):
        world("PutItem", TableName="pair", Item={"pk": {"S": "ends"}, "sk": {"N": number}})
    found = world("Query", **rows_query(values={":p": {"S": "ends"}}))["Items"]
    assert [float(item["sk"]["N"]) for item in found] == [float(number) for number in held]


def test_segments_are_disjoint_and_complete(rows):
    for number in range(40):
        rows("PutItem", TableName="hash", Item={"pk": {"S": f"segment {number}"}})
    whole = sorted(item["pk"]["S"] for item in rows("Scan", TableName="hash")["Items"])
    for total in (1, 2, 3, 7):
        parts = []
        for segment in range(total):
            request = {"TableName": "hash", "Segment": segment, "TotalSegments": total, "Limit": 3}
            parts += [item["pk"]["S"] for page in pages(rows, "Scan", request) for item in page["Items"]]
        assert sorted(parts) == whole
    assert rows("Scan", TableName="hash", Segment=999_998, TotalSegments=1_000_000)["Count"] <= 1


def test_a_reader_that_deletes_each_page_sees_the_rest(world):
    for number in range(12):
        world("PutItem", TableName="words", Item={"pk": {"S": "gone"}, "sk": {"S": f"{number:02}"}})
    seen, start = [], {}
    while True:
        page = world("Query", **query("words", "pk = :p", {":p": {"S": "gone"}}), Limit=5, **start)
        seen += [item["sk"]["S"] for item in page["Items"]]
        for item in page["Items"]:
            world("DeleteItem", TableName="words", Key=item)
        if "LastEvaluatedKey" not in page:
            break
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
    assert seen == [f"{number:02}" for number in range(12)]


def test_a_page_ends_at_a_megabyte_before_filter_and_projection(world):
    for number in range(20):
        item = {"pk": {"S": "big"}, "sk": {"S": f"{number:02}"}, "body": {"S": "x" * 60_000}}
        world("PutItem", TableName="words", Item=item)
    request = query("words", "pk = :p", {":p": {"S": "big"}}, ProjectionExpression="sk")
    first = world("Query", **request)
    assert 17 <= first["Count"] < 20
    assert "LastEvaluatedKey" in first
    counted = world("Query", **{**request, "FilterExpression": "attribute_not_exists(body)"})
    assert (counted["Count"], counted["ScannedCount"]) == (0, first["Count"])
    assert sum(page["Count"] for page in pages(world, "Query", request)) == 20
    assert world("Query", **request, Limit=3)["Count"] == 3
    for number in range(20):
        world("DeleteItem", TableName="words", Key={"pk": {"S": "big"}, "sk": {"S": f"{number:02}"}})


@pytest.fixture(scope="module")
def many(world):
    """Index many of multi: (a, b) x (c, d, e)."""
    for c in ("c", "cc", "d"):
        for d in ("-1", "2", "10"):
            for e in (b"\x00", b"\x00\xff"):
                key = f"{c}{d}{e.hex()}"
                item = {
                    "id": {"S": key},
                    "a": {"S": "a"},
                    "b": {"N": "1.0"},
                    "c": {"S": c},
                    "d": {"N": d},
                    "e": {"B": e},
                }
                world("PutItem", TableName="multi", Item=item)
    world("PutItem", TableName="multi", Item={"id": {"S": "sparse"}, "a": {"S": "a"}, "b": {"N": "1"}, "c": {"S": "c"}})
    return world


MANY = [
    ("b = :n AND a = :p", {}, 18),
    ("a = :p AND b = :n AND c = :c", {":c": {"S": "c"}}, 6),
    ("a = :p AND b = :n AND begins_with(c, :c)", {":c": {"S": "c"}}, 12),
    ("a = :p AND b = :n AND c > :c", {":c": {"S": "c"}}, 12),
    ("a = :p AND b = :n AND c < :c", {":c": {"S": "cc"}}, 6),
    ("a = :p AND b = :n AND c BETWEEN :c AND :d", {":c": {"S": "c"}, ":d": {"S": "cc"}}, 12),
    ("c = :c AND a = :p AND b = :n AND d > :d", {":c": {"S": "cc"}, ":d": {"N": "-1.0"}}, 4),
    (
        "a = :p AND b = :n AND c = :c AND d = :d AND e >= :e",
        {":c": {"S": "d"}, ":d": {"N": "2"}, ":e": {"B": b"\x00"}},
        2,
    ),
    (
        "a = :p AND b = :n AND c = :c AND d = :d AND e > :e",
        {":c": {"S": "d"}, ":d": {"N": "2"}, ":e": {"B": b"\x00"}},
        1,
    ),
]


@pytest.mark.parametrize(("condition", "values", "count"), MANY)
def test_an_index_of_several_attributes(many, condition, values, count):
    request = query("multi", condition, {":n": {"N": "1"}, **values}, IndexName="many")
    found = many("Query", **request)["Items"]
    assert len(found) == count
    order = [(item["c"]["S"], int(item["d"]["N"]), item["e"]["B"]) for item in found]
    assert order == sorted(order)
    split = pages(many, "Query", {**request, "Limit": 4})
    assert [item for page in split for item in page["Items"]] == found
    assert all(set(page["LastEvaluatedKey"]) == {"id", "a", "b", "c", "d", "e"} for page in split[:-1])


# ---- capacity of reads


def test_capacity_of_a_query(rows):
    total = rows("Query", **rows_query(ReturnConsumedCapacity="TOTAL"))["ConsumedCapacity"]
    assert total == {"TableName": "pair", "CapacityUnits": 0.5}
    request = {**rows_query("gh = :p"), "ExpressionAttributeValues": {":p": {"S": "g"}}, "IndexName": "g-all"}
    found = rows("Query", **request, ReturnConsumedCapacity="INDEXES")["ConsumedCapacity"]
    assert found == {
        "TableName": "pair",
        "CapacityUnits": 0.5,
        "Table": {"CapacityUnits": 0.0},
        "GlobalSecondaryIndexes": {"g-all": {"CapacityUnits": 0.5}},
    }
    assert "ConsumedCapacity" not in rows("Query", **request, ReturnConsumedCapacity="NONE")


@pytest.mark.parametrize(("size", "consistent", "table"), [(10, False, 1.5), (9000, False, 4.5), (9000, True, 9.0)])
def test_reaching_back_from_a_local_index_costs_each_item(world, size, consistent, table):
    for number in range(3):
        item = {"pk": {"S": "reach"}, "sk": {"N": str(number)}, "l2": {"S": "l"}, "y": {"S": "y" * size}}
        world("PutItem", TableName="pair", Item=item)
    request = rows_query(values={":p": {"S": "reach"}}, IndexName="l-inc", ConsistentRead=consistent)
    answer = world("Query", **request, Select="ALL_ATTRIBUTES", ReturnConsumedCapacity="INDEXES")
    index = 1.0 if consistent else 0.5
    assert answer["ConsumedCapacity"] == {
        "TableName": "pair",
        "CapacityUnits": table + index,
        "Table": {"CapacityUnits": table},
        "LocalSecondaryIndexes": {"l-inc": {"CapacityUnits": index}},
    }
