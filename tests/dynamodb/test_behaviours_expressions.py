"""Expressions and legacy parameters through requests: texts, envelopes, what conditions and updates mean. Rules 3.4 to
3.6, 4."""

from __future__ import annotations

import pytest

from dynamodb.behaviours import INVALID, env

KEY = {"pk": {"S": "a"}}
HASH = {"TableName": "hash"}
SYNTAX = 'Syntax error; token: "{}", near: "{}"'
RESERVED = "Attribute name is a reserved keyword; reserved keyword: {}"
NO_NAME = "An expression attribute name used in the document path is not defined; attribute name: {}"
NO_VALUE = "An expression attribute value used in expression is not defined; attribute value: {}"
EMPTY = "The expression can not be empty;"
REDUNDANT = "The expression has redundant parentheses;"
FUNCTION = "Invalid function name; function: {}"
COUNT = "Incorrect number of operands for operator or function; operator or function: {}, number of operands: {}"
TYPE = "Incorrect operand type for operator or function; operator or function: {}, operand type: {}"
NEEDS_PATH = "Operator or function requires a document path; operator or function: {}"
TYPE_SET = (
    "Incorrect operand type for operator or function; operator: {}, operand type: {}, typeSet: ALLOWED_FOR_ADD_OPERAND"
)
DISTINCT = (
    "The first operand must be distinct from the remaining operands for this operator or function; operator: {}, "
    "first operand: {}"
)
OVERLAP = (
    "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: {}, path two: {}"
)
CONFLICT = OVERLAP.replace("overlap", "conflict")
REVERSED = (
    "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; lower bound operand: "
    "AttributeValue: {{{}}}, upper bound operand: AttributeValue: {{{}}}"
)
TWO_TYPES = (
    "The BETWEEN operator requires same data type for lower and upper bounds; lower bound operand: AttributeValue: "
    "{{{}}}, upper bound operand: AttributeValue: {{{}}}"
)
ONCE = 'The "{}" section can only be used once in an update expression;'
SIZE = "Expression size has exceeded the maximum allowed size;"

NAMES = {"#n": "n", "#a.b": "x"}
VALUES = {
    ":s": {"S": "a"},
    ":n": {"N": "5"},
    ":m": {"N": "4"},
    ":ss": {"SS": ["a"]},
    ":l": {"L": []},
    ":map": {"M": {}},
    ":b": {"BOOL": True},
    ":x": {"NULL": True},
    ":bin": {"B": b"\x01"},
    ":bs": {"BS": [b"\x01"]},
    ":ns": {"NS": ["1"]},
}

# of a condition or filter
CONDITIONS = [
    ("", EMPTY),
    ("   ", SYNTAX.format("<EOF>", "   ")),
    ("\t\n", SYNTAX.format("<EOF>", "\t\n")),
    ("attribute_not_exists(", SYNTAX.format("<EOF>", "(")),
    ("a = :n AND", SYNTAX.format("<EOF>", "AND")),
    ("(a = :n", SYNTAX.format("<EOF>", ":n")),
    ("a[", SYNTAX.format("<EOF>", "[")),
    ("attribute_exists(pk) x y", SYNTAX.format("x", ") x y")),
    ("attribute_exists(pk,)", SYNTAX.format(")", ",)")),
    ("a = :n)", SYNTAX.format(")", ":n)")),
    ("a = = :n", SYNTAX.format("=", "= = :n")),
    ("= :n", SYNTAX.format("=", "= :n")),
    ("a IN ()", SYNTAX.format(")", "()")),
    ("a BETWEEN :n OR :m", SYNTAX.format("OR", ":n OR :m")),
    ("a[x] = :n", SYNTAX.format("x", "[x]")),
    ("a = :n !", SYNTAX.format("!", ":n !")),
    ("!!! INVALID !!!", SYNTAX.format("!", "!!")),
    ("l[00] = :n", SYNTAX.format("0", "00]")),
    ("l[01] = :n", SYNTAX.format("1", "01]")),
    ("l[007] = :n", SYNTAX.format("0", "007")),
    ("é = :n", SYNTAX.format("é", "é =")),
    ("a = :n AND € = :n", SYNTAX.format("€", "AND € =")),
    ("a\u00a0= :n", SYNTAX.format("\u00a0", "a\u00a0=")),
    ("\U0001f600 = :n", SYNTAX.format("\U0001f600", "\U0001f600 =")),
    ("NOT #n", SYNTAX.format("<EOF>", "#n")),
    ("a", SYNTAX.format("<EOF>", "a")),
    (":n", SYNTAX.format("<EOF>", ":n")),
    ("size(a)", "The function is not allowed to be used this way in an expression; function: size"),
    ("a = :n, b = :n", SYNTAX.format(",", ":n, b")),
    ("status = :n", RESERVED.format("status")),
    ("Status = :n", RESERVED.format("Status")),
    ("m.name = :n", RESERVED.format("name")),
    ("data = :n AND count = :n", RESERVED.format("data")),
    ("attribute_exists(items)", RESERVED.format("items")),
    ("#z = :n", NO_NAME.format("#z")),
    ("m.#z[1] = :n", NO_NAME.format("#z")),
    ("a = :z", NO_VALUE.format(":z")),
    ("a = :n AND (b = :z OR #z = :n)", NO_VALUE.format(":z")),
    ("foo(a)", FUNCTION.format("foo")),
    ("Attribute_exists(a)", FUNCTION.format("Attribute_exists")),
    ("begins_with(a)", COUNT.format("begins_with", 1)),
    ("attribute_exists(a, b)", COUNT.format("attribute_exists", 2)),
    ("size(a, b) = :n", COUNT.format("size", 2)),
    ("attribute_exists(:s)", NEEDS_PATH.format("attribute_exists")),
    ("attribute_not_exists(:s)", NEEDS_PATH.format("attribute_not_exists")),
    ("begins_with(a, :n)", TYPE.format("begins_with", "N")),
    ("begins_with(a, :b)", TYPE.format("begins_with", "BOOL")),
    ("begins_with(a, :ss)", TYPE.format("begins_with", "SS")),
    ("begins_with(:l, a)", TYPE.format("begins_with", "L")),
    ("a < :b", TYPE.format("<", "BOOL")),
    ("a <= :x", TYPE.format("<=", "NULL")),
    ("a > :l", TYPE.format(">", "L")),
    ("a >= :map", TYPE.format(">=", "M")),
    ("NOT a < :ss", TYPE.format("<", "SS")),
    ("a = :n OR a < :ns", TYPE.format("<", "NS")),
    (":bs < a", TYPE.format("<", "BS")),
    ("a BETWEEN :b AND :b", TYPE.format("BETWEEN", "BOOL")),
    ("attribute_type(a, :n)", TYPE.format("attribute_type", "N")),
    (
        "attribute_type(a, :s)",
        "Invalid attribute type name found; type: a, valid types: {N,BS,L,B,NULL,M,S,SS,NS,BOOL}",
    ),
    ("((a = :n))", REDUNDANT),
    ("((a = :n AND b = :n))", REDUNDANT),
    ("((a = :n)) AND (b = :n)", REDUNDANT),
    ("a = :n AND ((b = :n))", REDUNDANT),
    ("contains(a, a)", DISTINCT.format("contains", "[a]")),
    ("a = a", DISTINCT.format("=", "[a]")),
    ("a < a", DISTINCT.format("<", "[a]")),
    ("m.a <> m.a", DISTINCT.format("<>", "[m, a]")),
    ("l[0] = l[0]", DISTINCT.format("=", "[l, [0]]")),
    ("a BETWEEN :n AND a", DISTINCT.format("BETWEEN", "[a]")),
    ("a IN (:n, a)", DISTINCT.format("IN", "[a]")),
    ("n = #n", DISTINCT.format("=", "[n]")),
    ("a BETWEEN :n AND :m", REVERSED.format("N:5", "N:4")),
    ("a BETWEEN :s AND :n", TWO_TYPES.format("S:a", "N:5")),
    (
        "a IN (" + ", ".join([":n"] * 101) + ")",
        "The IN operator is provided with too many operands; number of operands: 101",
    ),
    (" AND ".join(["a=:n"] * 151), "The expression contains too many operators; operator count: 301"),
    ("a = :n" + " " * 4091, SIZE),
    ("if_not_exists(a, :n) = :n", "The function is not allowed in a condition expression; function: if_not_exists"),
    ("list_append(a, :l) = :n", "The function is not allowed in a condition expression; function: list_append"),
]


def used(text):
    """Names and values that the text mentions, so that none is unused."""
    import re

    request = {}
    names = {name: NAMES[name] for name in re.findall(r"#\w+", text) if name in NAMES}
    values = {name: VALUES[name] for name in re.findall(r":\w+", text) if name in VALUES}
    if names:
        request["ExpressionAttributeNames"] = names
    if values:
        request["ExpressionAttributeValues"] = values
    return request


@pytest.mark.parametrize(("text", "fault"), CONDITIONS)
def test_a_condition_is_refused_in_the_words_of_its_parameter(world, text, fault):
    """Enveloped on the writes, bare on reads and in transactions."""
    more = used(text)
    condition = {"ConditionExpression": text, **more}
    enveloped = env(f"Invalid ConditionExpression: {fault}")
    assert world.refused("PutItem", {**HASH, "Item": KEY, **condition})[1] == enveloped
    assert world.refused("DeleteItem", {**HASH, "Key": KEY, **condition})[1] == enveloped
    update = {"UpdateExpression": "REMOVE zz", **condition}
    assert world.refused("UpdateItem", {**HASH, "Key": KEY, **update})[1] == enveloped
    filtered = {"FilterExpression": text, **more}
    assert world.refused("Scan", {**HASH, **filtered})[1] == f"Invalid FilterExpression: {fault}"
    check = {"TransactItems": [{"ConditionCheck": {**HASH, "Key": KEY, **condition}}]}
    in_transaction = f"Invalid ConditionExpression: {fault}"
    if fault is SIZE:
        in_transaction += f" expression size: {len(text)}"
    assert world.refused("TransactWriteItems", check)[1] == in_transaction


QUERY = {**HASH, "KeyConditionExpression": "pk = :s"}


@pytest.mark.parametrize(("text", "fault"), [case for case in CONDITIONS if "pk" not in case[0]])
def test_a_filter_of_a_query_is_refused_in_the_same_words(world, text, fault):
    more = used(text + " :s")
    assert world.refused("Query", {**QUERY, "FilterExpression": text, **more}) == (
        "ValidationException",
        f"Invalid FilterExpression: {fault}",
    )


ACCEPTED = [
    "(attribute_not_exists(pk)) AND (attribute_not_exists(zz))",
    "(attribute_not_exists(zz) AND attribute_not_exists(yy))",
    "(attribute_not_exists(zz) AND (attribute_not_exists(yy)))",
    "a <> :n OR (b <> :n AND c <> :n)",
    "(NOT (a = :n))",
    "NOT NOT a <> :n",
    "a <> :n aNd b <> :n\n\tOr c <> :n",
    "zz BETWEEN :m AND :m OR a <> :n",
    "size(zz) > :n OR a <> :n",
    "attribute_exists(zz) OR attribute_not_exists(zz.a[0].b)",
    " OR ".join(["a<>:n"] * 150),
    "a <> :n" + " " * 4089,
    "not contains(zz, :s)",
    "a in (" + ", ".join([":n"] * 100) + ") or a <> :n",
]


@pytest.mark.parametrize("text", ACCEPTED)
def test_a_condition_that_is_taken(world, text):
    world("PutItem", **HASH, Item={"pk": {"S": "taken" + text[:50]}}, ConditionExpression=text, **used(text))


PROJECTIONS = [
    ("", EMPTY),
    ("  ", SYNTAX.format("<EOF>", "  ")),
    ("a,", SYNTAX.format("<EOF>", ",")),
    ("a,,b", SYNTAX.format(",", ",,b")),
    ("a b", SYNTAX.format("b", "a b")),
    ("a.", SYNTAX.format("<EOF>", ".")),
    (":s", SYNTAX.format(":s", ":s")),
    ("name", RESERVED.format("name")),
    ("a, m.count", RESERVED.format("count")),
    ("a, #z", NO_NAME.format("#z")),
    ("a, a.b", OVERLAP.format("[a]", "[a, b]")),
    ("a.b, a", OVERLAP.format("[a, b]", "[a]")),
    ("a, a", OVERLAP.format("[a]", "[a]")),
    ("n, #n", OVERLAP.format("[n]", "[n]")),
    ("a[0].b, a[0]", OVERLAP.format("[a, [0], b]", "[a, [0]]")),
    ("a.b, a[0]", CONFLICT.format("[a, b]", "[a, [0]]")),
    ("a" + " " * 4096, SIZE),
]


@pytest.mark.parametrize(("text", "fault"), PROJECTIONS)
def test_a_projection_is_refused_bare_even_where_nothing_is_found(world, text, fault):
    more = used(text.replace(":s", ""))
    fault = f"Invalid ProjectionExpression: {fault}"
    block = {"ProjectionExpression": text, **more}
    absent = {"pk": {"S": "nobody"}}
    names = more.get("ExpressionAttributeNames")
    assert world.refused("GetItem", {**HASH, "Key": absent, **block})[1] == fault
    assert world.refused("BatchGetItem", {"RequestItems": {"hash": {"Keys": [absent], **block}}})[1] == fault
    gets = {"TransactItems": [{"Get": {**HASH, "Key": absent, **block}}]}
    assert world.refused("TransactGetItems", gets)[1] == fault
    assert world.refused("Scan", {**HASH, **block})[1] == fault
    query = {**QUERY, "ProjectionExpression": text, "ExpressionAttributeValues": {":s": {"S": "a"}}}
    if names:
        query["ExpressionAttributeNames"] = names
    assert world.refused("Query", query)[1] == fault


UPDATES = [
    ("", EMPTY),
    ("  ", SYNTAX.format("<EOF>", "  ")),
    ("INVALID SYNTAX HERE", SYNTAX.format("INVALID", "INVALID SYNTAX")),
    ("SET a :n", SYNTAX.format(":n", "a :n")),
    ("SET", SYNTAX.format("<EOF>", "SET")),
    ("SET a = :n,", SYNTAX.format("<EOF>", ",")),
    ("SET a = :n SETT b = :n", SYNTAX.format("SETT", ":n SETT b")),
    ("ADD a", SYNTAX.format("<EOF>", "a")),
    ("ADD a b", SYNTAX.format("b", "a b")),
    ("REMOVE a = :n", SYNTAX.format("=", "a = :n")),
    ("SET name = :n", RESERVED.format("name")),
    ("SET a = :n REMOVE status", RESERVED.format("status")),
    ("SET #z = :n", NO_NAME.format("#z")),
    ("SET a = :z", NO_VALUE.format(":z")),
    ("ADD a :z", NO_VALUE.format(":z")),
    ("SET a = foo(b, :n)", FUNCTION.format("foo")),
    ("SET a = if_not_exists(b)", COUNT.format("if_not_exists", 1)),
    ("SET a = list_append(b)", COUNT.format("list_append", 1)),
    ("SET a = if_not_exists(:n, :n)", NEEDS_PATH.format("if_not_exists")),
    ("SET a = size(b)", "The function is not allowed in an update expression; function: size"),
    ("SET a = a + :s", TYPE.format("+", "S")),
    ("SET a = :ss - a", TYPE.format("-", "SS")),
    ("SET a = list_append(a, :s)", TYPE.format("list_append", "S")),
    ("SET a = list_append(:map, a)", TYPE.format("list_append", "M")),
    ("ADD a :s", TYPE_SET.format("ADD", "STRING")),
    ("ADD a :l", TYPE_SET.format("ADD", "LIST")),
    ("ADD a :map", TYPE_SET.format("ADD", "MAP")),
    ("ADD a :b", TYPE_SET.format("ADD", "BOOL")),
    ("ADD a :x", TYPE_SET.format("ADD", "NULL")),
    ("ADD a :bin", TYPE_SET.format("ADD", "Binary")),
    ("DELETE a :n", TYPE_SET.format("DELETE", "NUMBER")),
    ("DELETE a :s", TYPE_SET.format("DELETE", "STRING")),
    ("SET a = :n, a = :m", OVERLAP.format("[a]", "[a]")),
    ("SET a = :n, a.b = :m", OVERLAP.format("[a]", "[a, b]")),
    ("SET a.b = :n REMOVE a", OVERLAP.format("[a, b]", "[a]")),
    ("SET a.b = :n, a[0] = :m", CONFLICT.format("[a, b]", "[a, [0]]")),
    ("SET a = :n SET b = :n", ONCE.format("SET")),
    ("REMOVE a REMOVE b", ONCE.format("REMOVE")),
    ("ADD a :n ADD b :n", ONCE.format("ADD")),
    ("DELETE a :ss DELETE b :ss", ONCE.format("DELETE")),
    ("SET a = :n" + " " * 4090, SIZE),
]


@pytest.mark.parametrize(("text", "fault"), UPDATES)
def test_an_update_is_refused_in_the_envelope_and_bare_in_a_transaction(world, text, fault):
    fault = f"Invalid UpdateExpression: {fault}"
    request = {**HASH, "Key": KEY, "UpdateExpression": text, **used(text)}
    assert world.refused("UpdateItem", request) == ("ValidationException", env(fault))
    code, found = world.refused("TransactWriteItems", {"TransactItems": [{"Update": request}]})
    # an undefined value of a transaction's update is a reason, not a fault of the request
    assert (code, found) == ("ValidationException", fault) or "not defined; attribute value" in fault


USAGE = [
    (
        {"ExpressionAttributeNames": {"#n": "n"}},
        "ExpressionAttributeNames can only be specified when using expressions",
    ),
    (
        {"ExpressionAttributeValues": {":n": {"N": "1"}}},
        "ExpressionAttributeValues can only be specified when using expressions",
    ),
    ({"e": "a <> :n", "ExpressionAttributeNames": {}}, "ExpressionAttributeNames must not be empty"),
    ({"e": "a <> :n", "ExpressionAttributeValues": {}}, "ExpressionAttributeValues must not be empty"),
    (
        {"e": "a <> :n", "ExpressionAttributeValues": {"n": {"N": "1"}}},
        'ExpressionAttributeValues contains invalid key: Syntax error; key: "n"',
    ),
    (
        {"e": "a <> :n", "ExpressionAttributeNames": {"n": "1"}},
        'ExpressionAttributeNames contains invalid key: Syntax error; key: "n"',
    ),
    (
        {"e": "a <> :n", "ExpressionAttributeNames": {"#é": "1"}},
        'ExpressionAttributeNames contains invalid key: Syntax error; key: "#é"',
    ),
    (
        {"e": "a <> :n", "ExpressionAttributeValues": {":é": {"N": "1"}}},
        'ExpressionAttributeValues contains invalid key: Syntax error; key: ":é"',
    ),
    (
        {"e": "a <> :n", "ExpressionAttributeNames": {"#n": ""}, "ExpressionAttributeValues": {":n": {"N": "1"}}},
        "ExpressionAttributeNames contains invalid value: Empty attribute name for key #n",
    ),
    (
        {
            "e": "a <> :n",
            "ExpressionAttributeNames": {"#b": "b", "#a": "a"},
            "ExpressionAttributeValues": {":n": {"N": "1"}, ":m": {"N": "1"}},
        },
        "Value provided in ExpressionAttributeNames unused in expressions: keys: {#b, #a}",
    ),
    (
        {"e": "a <> :n", "ExpressionAttributeValues": {":n": {"N": "1"}, ":m": {"N": "1"}}},
        "Value provided in ExpressionAttributeValues unused in expressions: keys: {:m}",
    ),
]


@pytest.mark.parametrize(("members", "text"), USAGE)
def test_names_and_values_that_no_expression_uses(world, members, text):
    rest = {name: value for name, value in members.items() if name != "e"}
    condition = {"ConditionExpression": members["e"]} if "e" in members else {}
    assert world.refused("PutItem", {**HASH, "Item": KEY, **rest, **condition})[1] == env(text)
    assert world.refused("DeleteItem", {**HASH, "Key": KEY, **rest, **condition})[1] == env(text)
    assert world.refused("UpdateItem", {**HASH, "Key": KEY, **rest, **condition})[1] == env(text)
    filtered = {"FilterExpression": members["e"]} if "e" in members else {}
    bare = text
    if "e" not in members and "Values" in text:
        bare += ": FilterExpression is null"
    assert world.refused("Scan", {**HASH, **rest, **filtered})[1] == bare


# ---- legacy beside expression parameters


BOTH = (
    "Can not use both expression and non-expression parameters in the same request: Non-expression parameters: {{{}}} "
    "Expression parameters: {{{}}}"
)
EQ = {"ComparisonOperator": "EQ", "AttributeValueList": [{"S": "a"}]}
MIXED = [
    ("PutItem", {"Item": KEY, "Expected": {}, "ConditionExpression": "x"}, True, "Expected", "ConditionExpression"),
    (
        "PutItem",
        {"Item": KEY, "Expected": {}, "ConditionalOperator": "AND", "ConditionExpression": "x"},
        True,
        "Expected, ConditionalOperator",
        "ConditionExpression",
    ),
    (
        "DeleteItem",
        {"Key": KEY, "ConditionalOperator": "x", "ConditionExpression": "x"},
        True,
        "ConditionalOperator",
        "ConditionExpression",
    ),
    (
        "UpdateItem",
        {"Key": KEY, "AttributeUpdates": {}, "UpdateExpression": "x"},
        True,
        "AttributeUpdates",
        "UpdateExpression",
    ),
    (
        "GetItem",
        {"Key": KEY, "AttributesToGet": ["a"], "ProjectionExpression": "x"},
        False,
        "AttributesToGet",
        "ProjectionExpression",
    ),
    ("Scan", {"ScanFilter": {}, "FilterExpression": "x"}, False, "ScanFilter", "FilterExpression"),
    (
        "Scan",
        {"AttributesToGet": ["a"], "FilterExpression": "x"},
        False,
        "AttributesToGet",
        "FilterExpression",
    ),
    (
        "Query",
        {"KeyConditions": {"pk": EQ}, "KeyConditionExpression": "x"},
        False,
        "KeyConditions",
        "KeyConditionExpression",
    ),
    (
        "Query",
        {"KeyConditions": {"pk": EQ}, "QueryFilter": {}, "FilterExpression": "x"},
        False,
        "QueryFilter",
        "FilterExpression",
    ),
]


@pytest.mark.parametrize(("operation", "members", "enveloped", "old", "new"), MIXED)
def test_legacy_beside_expression_parameters(world, operation, members, enveloped, old, new):
    text = BOTH.format(old, new)
    assert world.refused(operation, {**HASH, **members})[1] == (env(text) if enveloped else text)


def test_key_conditions_go_with_a_filter_expression_and_a_projection(world):
    world("PutItem", **HASH, Item={"pk": {"S": "kc"}, "a": {"N": "1"}, "b": {"N": "2"}})
    answer = world(
        "Query",
        **HASH,
        KeyConditions={"pk": {"ComparisonOperator": "EQ", "AttributeValueList": [{"S": "kc"}]}},
        FilterExpression="a = :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
        ProjectionExpression="b",
    )
    assert answer["Items"] == [{"b": {"N": "2"}}]


MISUSE = [
    ({}, "AND", "ConditionalOperator cannot be used without Filter or Expected"),
    ({}, "x", "ConditionalOperator cannot be used without Filter or Expected"),
    ({"a": EQ}, "OR", "ConditionalOperator can only be used when Filter or Expected has two or more elements"),
    ({"a": EQ}, "x", "ConditionalOperator can only be used when Filter or Expected has two or more elements"),
    ({"a": EQ, "b": EQ}, "x", "Failed to satisfy constraint: Member must satisfy enum value set: [ALL, OR]"),
    ({"a": EQ, "b": EQ}, "and", "Failed to satisfy constraint: Member must satisfy enum value set: [ALL, OR]"),
]


@pytest.mark.parametrize(("conditions", "operator", "text"), MISUSE)
def test_misuse_of_the_conditional_operator(world, conditions, operator, text):
    joined = {**HASH, "ConditionalOperator": operator}
    for name, key in (("PutItem", "Item"), ("DeleteItem", "Key"), ("UpdateItem", "Key")):
        assert world.refused(name, {**joined, key: KEY, "Expected": conditions})[1] == env(text)
    assert world.refused("Scan", {**joined, "ScanFilter": conditions})[1] == text
    assert world.refused("Query", {**joined, "KeyConditions": {"pk": EQ}, "QueryFilter": conditions})[1] == text


def condition(operator, *values):
    return {"ComparisonOperator": operator, "AttributeValueList": list(values)}


ARGUMENTS = f"{INVALID}Invalid number of argument(s) for the {{}} ComparisonOperator"
NOT_TAKEN = f"{INVALID}ComparisonOperator {{}} is not valid for {{}} AttributeValue type"
LEGACY = [
    (condition("eq", {"S": "a"}), f"{INVALID}Invalid comparison operator"),
    (condition("LIKE", {"S": "a"}), f"{INVALID}Invalid comparison operator"),
    (condition("EQ"), ARGUMENTS.format("EQ")),
    (condition("EQ", {"S": "a"}, {"S": "b"}), ARGUMENTS.format("EQ")),
    (condition("NULL", {"S": "a"}), ARGUMENTS.format("NULL")),
    (condition("BETWEEN", {"S": "a"}), ARGUMENTS.format("BETWEEN")),
    (condition("IN"), ARGUMENTS.format("IN")),
    (condition("LT", {"BOOL": True}), NOT_TAKEN.format("LT", "BOOL")),
    (condition("GE", {"SS": ["a"]}), NOT_TAKEN.format("GE", "SS")),
    (condition("IN", {"S": "a"}, {"M": {}}), NOT_TAKEN.format("IN", "M")),
    (condition("BEGINS_WITH", {"N": "1"}), NOT_TAKEN.format("BEGINS_WITH", "N")),
    (condition("CONTAINS", {"L": []}), NOT_TAKEN.format("CONTAINS", "L")),
    (condition("NOT_CONTAINS", {"SS": ["a"]}), NOT_TAKEN.format("NOT_CONTAINS", "SS")),
    (condition("EQ", {"NULL": False}), f"{INVALID}Null attribute value types must have the value of true"),
    (
        condition("BETWEEN", {"S": "a"}, {"N": "1"}),
        f"{INVALID}AttributeValues inside AttributeValueList must be of same type",
    ),
]


@pytest.mark.parametrize(("entry", "text"), LEGACY)
def test_a_legacy_condition_is_refused_before_its_table(world, entry, text):
    scan = {"TableName": "absent", "ScanFilter": {"a": entry}}
    assert world.refused("Scan", scan)[1] == text
    query = {"TableName": "absent", "KeyConditions": {"pk": EQ}, "QueryFilter": {"a": entry}}
    assert world.refused("Query", query)[1] == text
    assert world.refused("PutItem", {"TableName": "absent", "Item": KEY, "Expected": {"a": entry}})[1] == env(text)


EXPECTED = [
    ({"Exists": True}, "Value must be provided when Exists is true for Attribute: a"),
    ({}, "Value must be provided when Exists is null for Attribute: a"),
    ({"Exists": False, "Value": {"S": "a"}}, "Value cannot be used when Exists is false for Attribute: a"),
    (
        {"Exists": True, "ComparisonOperator": "EQ", "Value": {"S": "a"}},
        "Exists and ComparisonOperator cannot be used together for Attribute: a",
    ),
    (
        {"Value": {"S": "a"}, "AttributeValueList": [{"S": "a"}]},
        "Value and AttributeValueList cannot be used together for Attribute: a",
    ),
    (
        {"AttributeValueList": [{"S": "a"}], "Exists": True},
        "AttributeValueList can only be used with a ComparisonOperator for Attribute: a",
    ),
    (
        {"ComparisonOperator": "EQ"},
        "Value or AttributeValueList must be used with ComparisonOperator: EQ for Attribute: a",
    ),
]


@pytest.mark.parametrize(("entry", "text"), EXPECTED)
def test_an_expectation_whose_members_do_not_fit(world, entry, text):
    for name, key in (("PutItem", "Item"), ("DeleteItem", "Key"), ("UpdateItem", "Key")):
        request = {"TableName": "absent", key: KEY, "Expected": {"a": entry}}
        assert world.refused(name, request)[1] == env(INVALID + text)


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ({"Action": "DELETE", "Value": {"N": "1"}}, "DELETE action with value is not supported for the type N"),
        ({"Action": "ADD", "Value": {"S": "1"}}, "ADD action is not supported for the type S"),
        ({"Action": "PUT"}, "Only DELETE action is allowed when no attribute value is specified"),
        ({"Action": "ADD"}, "Only DELETE action is allowed when no attribute value is specified"),
    ],
)
def test_an_attribute_update_whose_action_does_not_fit(world, entry, text):
    request = {"TableName": "absent", "Key": KEY, "AttributeUpdates": {"a": entry}}
    assert world.refused("UpdateItem", request)[1] == INVALID + text


# ---- what conditions mean


STORED = {
    "pk": {"S": "meaning"},
    "s": {"S": "hello"},
    "n": {"N": "5"},
    "b": {"B": b"\x01\x02"},
    "t": {"BOOL": True},
    "z": {"NULL": True},
    "ss": {"SS": ["a", "b"]},
    "ns": {"NS": ["1", "2.5"]},
    "l": {"L": [{"S": "x"}, {"N": "1"}, {"L": [{"N": "2"}]}]},
    "m": {"M": {"k": {"N": "1"}, "d": {"M": {"e": {"S": "deep"}}}}},
    "u": {"S": "é\U0001f600"},
    "dot.ted": {"S": "dots"},
}
MEANINGS = [
    ("a = :v", {"S": "x"}, False),
    ("a < :v", {"N": "1"}, False),
    ("a <> :v", {"S": "x"}, True),
    ("NOT a = :v", {"S": "x"}, True),
    ("a BETWEEN :v AND :v", {"N": "1"}, False),
    ("a IN (:v)", {"N": "1"}, False),
    ("a <> b2", None, True),
    ("a = b2", None, False),
    ("n = :v", {"N": "5.0"}, True),
    ("n = :v", {"N": "50E-1"}, True),
    ("n = :v", {"S": "5"}, False),
    ("n <> :v", {"S": "5"}, True),
    ("n < :v", {"S": "6"}, False),
    ("n >= :v", {"S": "4"}, False),
    ("n < s", None, False),
    ("n < :v", {"N": "10"}, True),
    ("s < :v", {"S": "hellp"}, True),
    ("s < :v", {"S": "hell"}, False),
    ("b > :v", {"B": b"\x01"}, True),
    ("t < n", None, False),
    ("n BETWEEN :v AND n", {"N": "5"}, None),
    ("n BETWEEN :v AND :v", {"N": "5"}, True),
    ("ss = :v", {"SS": ["b", "a"]}, True),
    ("ss = :v", {"SS": ["a"]}, False),
    ("ss <> :v", {"SS": ["b", "a"]}, False),
    ("ns = :v", {"NS": ["2.50", "1.0"]}, True),
    ("l = :v", {"L": [{"S": "x"}, {"N": "1.0"}, {"L": [{"N": "2"}]}]}, True),
    ("l = :v", {"L": [{"N": "1"}, {"S": "x"}, {"L": [{"N": "2"}]}]}, False),
    ("m = :v", {"M": {"d": {"M": {"e": {"S": "deep"}}}, "k": {"N": "1.00"}}}, True),
    ("m IN (:v)", {"M": {"d": {"M": {"e": {"S": "deep"}}}, "k": {"N": "1"}}}, True),
    ("t = :v", {"BOOL": True}, True),
    ("z = :v", {"NULL": True}, True),
    ("attribute_exists(z)", None, True),
    ("attribute_exists(m.d.e)", None, True),
    ("attribute_exists(m.d.f)", None, False),
    ("attribute_not_exists(l[3])", None, True),
    ("attribute_exists(l[2][0])", None, True),
    ("attribute_exists(s.a)", None, False),
    ("attribute_type(ns, :v)", {"S": "NS"}, True),
    ("attribute_type(a, :v)", {"S": "NULL"}, False),
    ("begins_with(s, :v)", {"S": "hel"}, True),
    ("begins_with(s, :v)", {"S": "Hel"}, False),
    ("begins_with(b, :v)", {"B": b"\x01"}, True),
    ("begins_with(n, :v)", {"S": "5"}, False),
    ("contains(s, :v)", {"S": "ell"}, True),
    ("contains(s, :v)", {"N": "1"}, False),
    ("contains(ss, :v)", {"S": "b"}, True),
    ("contains(ns, :v)", {"N": "2.50"}, True),
    ("contains(ns, :v)", {"S": "1"}, False),
    ("contains(l, :v)", {"L": [{"N": "2.0"}]}, True),
    ("contains(l, :v)", {"N": "2"}, False),
    ("contains(n, :v)", {"N": "5"}, False),
    ("NOT contains(a, :v)", {"S": "b"}, True),
    ("contains(b, :v)", {"B": b"\x02"}, True),
    ("size(u) = :v", {"N": "3"}, True),
    ("size(b) = :v", {"N": "2"}, True),
    ("size(ss) = :v", {"N": "2"}, True),
    ("size(l) = :v", {"N": "3"}, True),
    ("size(m) = :v", {"N": "2"}, True),
    ("size(n) = :v", {"N": "1"}, False),
    ("size(n) < :v", {"N": "100"}, False),
    ("size(n) <> :v", {"N": "1"}, True),
    ("size(a) = :v", {"N": "0"}, False),
    ("size(s) BETWEEN :v AND :v", {"N": "5"}, True),
    ("size(s) IN (:v)", {"N": "5"}, True),
    ("size(ss) < n", None, True),
    ("NOT s = :v AND n = n2 OR t <> z", {"S": "x"}, True),
    (":v = n", {"N": "5"}, True),
    ("#dotted = :v", {"S": "dots"}, True),
]


@pytest.mark.parametrize(("text", "value", "holds"), MEANINGS)
def test_what_a_condition_means(world, text, value, holds):
    request = {"FilterExpression": text}
    if value is not None:
        request["ExpressionAttributeValues"] = {":v": value}
    if "#dotted" in text:
        request["ExpressionAttributeNames"] = {"#dotted": "dot.ted"}
    world("PutItem", TableName="number", Item={**STORED, "pk": {"N": "1"}})
    if holds is None:
        assert world.refused("Scan", {"TableName": "number", **request})[0] == "ValidationException"
    else:
        assert world("Scan", TableName="number", **request)["Count"] == holds


# ---- what updates mean


L3 = {"L": [{"S": "a"}, {"S": "b"}, {"S": "c"}]}
NUM = {"N": "7"}
PATH = "The document path provided in the update expression is invalid for update"
ABSENT = "The provided expression refers to an attribute that does not exist in the item"
OPERAND = "An operand in the update expression has an incorrect data type"
OVERFLOW = "Number overflow. Attempting to store a number with magnitude larger than supported range"


def listed(*letters):
    return {"L": [{"S": letter} for letter in letters]}


# (attributes before, expression, values, attributes after or fault)
CHANGES = [
    ({"a": NUM}, "SET a = :v, b = a", {":v": {"S": "new"}}, {"a": {"S": "new"}, "b": NUM}),
    ({"n": {"N": "1"}}, "SET n = :v, s = n + :o", {":v": NUM, ":o": {"N": "1"}}, {"n": NUM, "s": {"N": "2"}}),
    ({"n": {"N": "1"}}, "SET n = :o - n", {":o": {"N": "1"}}, {"n": {"N": "0"}}),
    ({"n": {"N": "1"}}, "SET n = (n + :o)", {":o": {"N": "0.1"}}, {"n": {"N": "1.1"}}),
    ({}, "SET b = a", {}, ABSENT),
    ({}, "SET n = n + :o", {":o": {"N": "1"}}, ABSENT),
    ({"n": {"S": "1"}}, "SET n = n + :o", {":o": {"N": "1"}}, OPERAND),
    ({"n": {"N": "9.9e125"}}, "SET n = n + :o", {":o": {"N": "9e125"}}, OVERFLOW),
    ({"n": {"N": "9.9e125"}}, "ADD n :o", {":o": {"N": "9e125"}}, OVERFLOW),
    ({}, "SET a = if_not_exists(a, :v)", {":v": NUM}, {"a": NUM}),
    ({"b": {"S": "x"}}, "SET a = if_not_exists(b, :v)", {":v": NUM}, {"a": {"S": "x"}, "b": {"S": "x"}}),
    ({}, "SET a = if_not_exists(a, :v) + :v", {":v": NUM}, {"a": {"N": "14"}}),
    ({}, "SET l = list_append(if_not_exists(l, :e), :v)", {":e": {"L": []}, ":v": listed("x")}, {"l": listed("x")}),
    ({"l": L3}, "SET l = list_append(:v, l)", {":v": listed("x")}, {"l": listed("x", "a", "b", "c")}),
    ({"l": {"S": "x"}}, "SET l = list_append(l, :v)", {":v": listed("x")}, OPERAND),
    ({}, "SET l = list_append(l, :v)", {":v": listed("x")}, ABSENT),
    ({"l": L3}, "SET l[1] = :v", {":v": {"S": "x"}}, {"l": listed("a", "x", "c")}),
    ({"l": L3}, "SET l[5] = :v", {":v": {"S": "x"}}, {"l": listed("a", "b", "c", "x")}),
    ({"l": {"L": []}}, "SET l[0] = :v", {":v": {"S": "x"}}, {"l": listed("x")}),
    (
        {"l": L3},
        "SET l[9] = :y, l[7] = :x",
        {":x": {"S": "x"}, ":y": {"S": "y"}},
        {"l": listed("a", "b", "c", "x", "y")},
    ),
    (
        {"l": L3},
        "ADD l[8] :o SET l[9] = :o, l[7] = :v",
        {":o": {"N": "1"}, ":v": {"S": "x"}},
        {"l": {"L": [*L3["L"], {"S": "x"}, {"N": "1"}, {"N": "1"}]}},
    ),
    ({"l": L3}, "SET l[3] = :v REMOVE l[4]", {":v": {"S": "x"}}, {"l": listed("a", "b", "c", "x")}),
    ({}, "SET a.b = :v", {":v": NUM}, PATH),
    ({"a": {"S": "x"}}, "SET a.b = :v", {":v": NUM}, PATH),
    ({"a": {"M": {}}}, "SET a[0] = :v", {":v": NUM}, PATH),
    ({}, "REMOVE zz.y", {}, PATH),
    ({"l": L3}, "SET l[7].a = :v", {":v": NUM}, PATH),
    ({"a": {"NULL": True}}, "REMOVE a.b", {}, PATH),
    ({}, "ADD zz.y :v", {":v": NUM}, PATH),
    ({}, "DELETE zz.y :v", {":v": {"SS": ["a"]}}, PATH),
    ({"a": {"M": {}}}, "REMOVE a.b", {}, {"a": {"M": {}}}),
    ({"a": {"M": {}}}, "DELETE a.b :v", {":v": {"SS": ["a"]}}, {"a": {"M": {}}}),
    ({"a": {"M": {}}}, "SET a.b = :v, a.c = :v", {":v": NUM}, {"a": {"M": {"b": NUM, "c": NUM}}}),
    (
        {"a": {"M": {"b": {"M": {"c": NUM}}}}},
        "SET a.b.c = a.b.c + :o",
        {":o": {"N": "1"}},
        {"a": {"M": {"b": {"M": {"c": {"N": "8"}}}}}},
    ),
    ({"s": {"S": "x"}}, "ADD s :v, zz.y :v", {":v": NUM}, OPERAND),
    ({"a": NUM}, "REMOVE b", {}, {"a": NUM}),
    ({"l": L3}, "REMOVE l[1]", {}, {"l": listed("a", "c")}),
    ({"l": L3}, "REMOVE l[2]", {}, {"l": listed("a", "b")}),
    ({"l": L3}, "REMOVE l[7]", {}, {"l": L3}),
    ({"l": L3}, "REMOVE l[0], l[1]", {}, {"l": listed("c")}),
    ({"l": L3}, "SET l[1] = :v REMOVE l[0]", {":v": {"S": "x"}}, {"l": listed("x", "c")}),
    ({}, "ADD n :v", {":v": NUM}, {"n": NUM}),
    ({"n": {"N": "1"}}, "ADD n :v", {":v": {"N": "-3.5"}}, {"n": {"N": "-2.5"}}),
    ({}, "ADD s :v", {":v": {"SS": ["a"]}}, {"s": {"SS": ["a"]}}),
    ({"s": {"SS": ["b"]}}, "ADD s :v", {":v": {"SS": ["a", "b"]}}, {"s": {"SS": ["a", "b"]}}),
    ({"s": {"NS": ["1"]}}, "ADD s :v", {":v": {"SS": ["a"]}}, OPERAND),
    ({"s": {"NS": ["1"]}}, "ADD s :v", {":v": NUM}, OPERAND),
    ({"n": NUM}, "ADD n :v", {":v": {"NS": ["1"]}}, OPERAND),
    ({"n": NUM}, "DELETE n :v", {":v": {"NS": ["1"]}}, OPERAND),
    ({"s": {"NS": ["1", "2"]}}, "DELETE s :v", {":v": {"NS": ["1.0", "9"]}}, {"s": {"NS": ["2"]}}),
    ({"s": {"SS": ["a"]}}, "DELETE s :v", {":v": {"SS": ["a", "b"]}}, {}),
    ({"m": {"M": {"s": {"SS": ["a"]}}}}, "DELETE m.s :v", {":v": {"SS": ["a"]}}, {"m": {"M": {}}}),
    (
        {"l": {"L": [{"SS": ["a"]}, {"S": "b"}]}},
        "DELETE l[0] :v SET l[1] = :w",
        {":v": {"SS": ["a"]}, ":w": {"S": "w"}},
        {"l": listed("w")},
    ),
    ({}, "DELETE s :v", {":v": {"SS": ["a"]}}, {}),
    ({"m": {"M": {"s": {"SS": ["a"]}}}}, "add m.s :v", {":v": {"SS": ["b"]}}, {"m": {"M": {"s": {"SS": ["a", "b"]}}}}),
    (
        {"a": NUM, "b": NUM, "n": NUM, "s": {"SS": ["a", "b"]}},
        "DELETE s :a ADD n :o REMOVE b SET a = :o",
        {":a": {"SS": ["a"]}, ":o": {"N": "1"}},
        {"a": {"N": "1"}, "n": {"N": "8"}, "s": {"SS": ["b"]}},
    ),
    (
        {"n": {"N": "1" + "0" * 37}},
        "ADD n :v",
        {":v": {"N": "0.1"}},
        "Attempting to store more than 38 significant digits in a Number",
    ),
]


@pytest.mark.parametrize(("before", "text", "values", "after"), CHANGES)
def test_what_an_update_makes_of_an_item(world, before, text, values, after):
    key = {"pk": {"S": "changed"}}
    world("PutItem", **HASH, Item={**key, **before})
    request = {**HASH, "Key": key, "UpdateExpression": text}
    if values:
        request["ExpressionAttributeValues"] = values
    if isinstance(after, str):
        assert world.refused("UpdateItem", request) == ("ValidationException", after)
        code, found = world.refused("TransactWriteItems", {"TransactItems": [{"Update": request}]})
        assert (code, found.rsplit(" ", 1)[1]) == ("TransactionCanceledException", "[ValidationError]")
    else:
        answer = world("UpdateItem", **request, ReturnValues="ALL_NEW")
        assert answer == {"Attributes": {**key, **after}}
        assert world("GetItem", **HASH, Key=key)["Item"] == {**key, **after}


@pytest.mark.parametrize(
    "change",
    [
        {"UpdateExpression": "SET pk = :v", "ExpressionAttributeValues": {":v": {"S": "a"}}},
        {"UpdateExpression": "REMOVE pk"},
        {"UpdateExpression": "ADD pk :v", "ExpressionAttributeValues": {":v": {"N": "1"}}},
        {"UpdateExpression": "DELETE pk :v", "ExpressionAttributeValues": {":v": {"SS": ["a"]}}},
        {"AttributeUpdates": {"pk": {"Value": {"S": "a"}}}},
        {"AttributeUpdates": {"pk": {"Action": "DELETE"}}},
    ],
)
def test_a_key_attribute_cannot_be_changed(world, change):
    text = f"{INVALID}Cannot update attribute pk. This attribute is part of the key"
    assert world.refused("UpdateItem", {**HASH, "Key": KEY, **change}) == ("ValidationException", text)
    pair = {"TableName": "pair", "Key": {"pk": {"S": "a"}, "sk": {"N": "1"}}, "UpdateExpression": "REMOVE sk"}
    assert world.refused("UpdateItem", pair)[1] == text.replace("pk", "sk")


# pad: the longest :pad accepted; what it makes of an item whose key takes 3 bytes more
CHARGES = [
    ({}, "SET b = :pad", {}, 409_577),
    ({"u": {"S": "123456789"}}, "SET b = :pad", {}, 409_577),
    ({"n": {"N": "1"}}, "SET b = :pad, n = n + :one", {":one": {"N": "1"}}, 409_505),
    ({"n": {"N": "1"}}, "SET b = :pad, n = n - :one", {":one": {"N": "1"}}, 409_502),
    ({}, "SET b = :pad, c = if_not_exists(c, :v)", {":v": {"S": "1"}}, 409_501),
    ({"l": {"L": []}}, "SET b = :pad, l = list_append(l, :new)", {":new": {"L": [{"S": "0123456789"}]}}, 409_490),
    ({"m": {"M": {"y": {"S": "1"}}}}, "SET b = :pad REMOVE m.y", {}, 409_570),
]


@pytest.mark.parametrize(("before", "text", "values", "longest"), CHARGES)
def test_an_update_is_charged_for_its_request(world, before, text, values, longest):
    world("PutItem", **HASH, Item={**KEY, **before})
    request = {**HASH, "Key": KEY, "UpdateExpression": text}
    request["ExpressionAttributeValues"] = {**values, ":pad": {"S": "x" * (longest + 1)}}
    fault = "Item size to update has exceeded the maximum allowed size"
    assert world.refused("UpdateItem", request) == ("ValidationException", fault)
    request["ExpressionAttributeValues"] = {**values, ":pad": {"S": "x" * longest}}
    world("UpdateItem", **request)
    world("DeleteItem", **HASH, Key=KEY)


# ---- projections


DOCUMENT = {
    "pk": {"S": "doc"},
    "l": {"L": [{"M": {"a": NUM, "b": NUM, "c": NUM}}, {"S": "1"}, {"S": "2"}]},
    "m": {"M": {"x": {"M": {"y": NUM, "z": NUM}}, "w": NUM}},
    "a-b": NUM,
}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("l[2], l[1]", {"l": {"L": [{"S": "1"}, {"S": "2"}]}}),
        ("l[0].a, l[0].b", {"l": {"L": [{"M": {"a": NUM, "b": NUM}}]}}),
        ("m.x.y, m.w", {"m": {"M": {"x": {"M": {"y": NUM}}, "w": NUM}}}),
        ("l[9], m.q, zz, pk", {"pk": {"S": "doc"}}),
        ("zz", {}),
        ("m.x.y.q, m[0]", None),
        ("#dash", {"a-b": NUM}),
    ],
)
def test_what_a_projection_gives(world, text, shown):
    world("PutItem", **HASH, Item=DOCUMENT)
    request = {"ProjectionExpression": text}
    if "#" in text:
        request["ExpressionAttributeNames"] = {"#dash": "a-b"}
    get = {**HASH, "Key": {"pk": {"S": "doc"}}, **request}
    if shown is None:
        assert world.refused("GetItem", get)[0] == "ValidationException"
        return
    assert world("GetItem", **get)["Item"] == shown
    values = {":p": {"S": "doc"}}
    query = world("Query", **HASH, KeyConditionExpression="pk = :p", ExpressionAttributeValues=values, **request)
    assert query["Items"] == [shown]
    response = world("TransactGetItems", TransactItems=[{"Get": get}])["Responses"][0]
    assert response == ({"Item": shown} if shown else {})


# ---- return values


RETURNED = [
    ("SET n = :v", "UPDATED_NEW", {"n": NUM}),
    ("SET n = :v", "UPDATED_OLD", {"n": {"N": "1"}}),
    ("SET m.x.y = :v", "UPDATED_NEW", {"m": {"M": {"x": {"M": {"y": NUM}}}}}),
    ("SET m.x.q = :v", "UPDATED_OLD", None),
    ("SET l[0].a = :v", "UPDATED_NEW", {"l": {"L": [{"M": {"a": NUM}}, {"S": "1"}]}}),
    ("REMOVE n", "UPDATED_NEW", None),
    ("REMOVE n", "UPDATED_OLD", {"n": {"N": "1"}}),
    ("ADD n :v", "UPDATED_NEW", {"n": {"N": "8"}}),
    ("SET q = :v", "UPDATED_OLD", None),
    ("SET n = :v", "NONE", None),
]


@pytest.mark.parametrize(("text", "kind", "shown"), RETURNED)
def test_what_an_update_returns(world, text, kind, shown):
    item = {
        "pk": {"S": "returned"},
        "n": {"N": "1"},
        "m": {"M": {"x": {"M": {"y": {"N": "1"}, "z": NUM}}}},
        "l": {"L": [{"M": {}}, {"S": "1"}]},
    }
    world("PutItem", **HASH, Item=item)
    values = {"ExpressionAttributeValues": {":v": NUM}} if ":v" in text else {}
    answer = world(
        "UpdateItem", **HASH, Key={"pk": {"S": "returned"}}, UpdateExpression=text, ReturnValues=kind, **values
    )
    assert answer == ({} if shown is None else {"Attributes": shown})
