"""Values and keys that are refused, where, and in which envelope; numbers and sets as they are stored. Rules 0.4, 3.2,
3.3, 5."""

from __future__ import annotations

from decimal import Decimal

import pytest

from dynamodb.behaviours import INVALID, MISMATCH, NESTED, NOT_VALID, deep, env

KEY = {"pk": {"S": "a"}}
EMPTY = "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
SEVERAL = "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"
OVERFLOW = "Number overflow. Attempting to store a number with magnitude larger than supported range"
UNDERFLOW = "Number underflow. Attempting to store a number with magnitude smaller than supported range"
DIGITS = "Attempting to store more than 38 significant digits in a Number"
NO_NUMBER = "The parameter cannot be converted to a numeric value: "
NULL = f"{INVALID}Null attribute value types must have the value of true"
NO_SS = f"{INVALID}An string set  may not be empty"
NO_NS = f"{INVALID}An number set  may not be empty"
NO_BS = f"{INVALID}Binary sets should not be empty"
IN_VALUES = "ExpressionAttributeValues contains invalid value: {} for key :v"

# kind, value, text in the newer words, text in the older words
FAULTS = [
    ("empty_set", {"SS": []}, NO_SS, NO_SS),
    ("empty_set", {"NS": []}, NO_NS, NO_NS),
    ("empty_set", {"BS": []}, NO_BS, NO_BS),
    (
        "repeated",
        {"SS": ["b", "a", "b"]},
        f'{INVALID}Input collection ["a", "b", "b"] contains duplicates.',
        f"{INVALID}Input collection [b, a, b] contains duplicates.",
    ),
    (
        "repeated",
        {"SS": ["c", "a", "c", "a", 'q"q']},
        f'{INVALID}Input collection ["a", "c", "c", "a", "q\\"q"] contains duplicates.',
        f'{INVALID}Input collection [c, a, c, a, q"q] contains duplicates.',
    ),
    (
        "repeated",
        {"BS": [b"\x00", b"\x7f", b"\x00"]},
        f'{INVALID}Input collection ["AA==","fw==","AA=="]of type BS contains duplicates.',
        f"{INVALID}Input collection [AA==, fw==, AA==]of type BS contains duplicates.",
    ),
    (
        "repeated",
        {"NS": ["1", "2", "1.0"]},
        f"{INVALID}Input collection contains duplicates.",
        "Input collection contains duplicates",
    ),
    ("null", {"NULL": False}, NULL, NULL),
    ("no_type", {}, EMPTY, EMPTY),
    ("several", {"S": "a", "BOOL": True}, SEVERAL, SEVERAL),
    ("number", {"N": "x"}, f"{NO_NUMBER}x", f"{NO_NUMBER}x"),
    ("number", {"N": ""}, NO_NUMBER, NO_NUMBER.removesuffix(": ")),
    ("number", {"N": "1" * 39}, DIGITS, DIGITS),
    ("number", {"N": "1e126"}, OVERFLOW, OVERFLOW),
    ("number", {"N": "-1e126"}, OVERFLOW, OVERFLOW),
    ("number", {"N": "1e-131"}, UNDERFLOW, UNDERFLOW),
    ("number", {"N": "0e126"}, OVERFLOW, OVERFLOW),
    ("number", {"N": "0e-131"}, UNDERFLOW, UNDERFLOW),
    ("number", {"N": "0.0e-130"}, UNDERFLOW, UNDERFLOW),
    ("number", {"N": "1e99999999999"}, OVERFLOW, f"{NO_NUMBER}1e99999999999"),
    ("number", {"N": "1e-99999999999"}, UNDERFLOW, f"{NO_NUMBER}1e-99999999999"),
    ("number", {"N": "1e2147483647"}, OVERFLOW, UNDERFLOW),
    (
        "number",
        {"N": "1e99999999999999999999"},
        f"{NO_NUMBER}1e99999999999999999999",
        f"{NO_NUMBER}1e99999999999999999999",
    ),
    ("number", {"NS": ["1", "x"]}, f"{NO_NUMBER}x", f"{NO_NUMBER}x"),
    ("nesting", deep(32), NESTED, NESTED),
    ("nesting", deep(62), NESTED, NESTED),
    ("deep", deep(63), NESTED, NESTED),
    ("name", {"M": {"": {"S": "a"}}}, "Empty attribute name", "Empty attribute name"),
    ("name", {"L": [{"M": {"": {"S": "a"}}}]}, "Empty attribute name", "Empty attribute name"),
    ("number", {"M": {"a": {"L": [{"N": "x"}]}}}, f"{NO_NUMBER}x", f"{NO_NUMBER}x"),
    ("empty_set", {"L": [{"M": {"a": {"SS": []}}}]}, NO_SS, NO_SS),
]


def put(value):
    return "PutItem", {"TableName": "hash", "Item": {**KEY, "v": value}}


def put_condition(value):
    request = {"TableName": "hash", "Item": KEY, "ConditionExpression": "a <> :v"}
    return "PutItem", {**request, "ExpressionAttributeValues": {":v": value}}


def expected(value):
    return "PutItem", {"TableName": "hash", "Item": KEY, "Expected": {"v": {"Value": value}}}


def delete_key(value):
    return "DeleteItem", {"TableName": "hash", "Key": {"pk": value}}


def delete_condition(value):
    request = {"TableName": "hash", "Key": KEY, "ConditionExpression": "a <> :v"}
    return "DeleteItem", {**request, "ExpressionAttributeValues": {":v": value}}


def update_key(value):
    return "UpdateItem", {"TableName": "hash", "Key": {"pk": value}}


def update_value(value):
    request = {"TableName": "hash", "Key": KEY, "UpdateExpression": "SET a = :v"}
    return "UpdateItem", {**request, "ExpressionAttributeValues": {":v": value}}


def attribute_update(value):
    return "UpdateItem", {"TableName": "hash", "Key": KEY, "AttributeUpdates": {"a": {"Value": value}}}


def get_key(value):
    return "GetItem", {"TableName": "hash", "Key": {"pk": value}}


def batch_get(value):
    return "BatchGetItem", {"RequestItems": {"hash": {"Keys": [{"pk": value}]}}}


def batch_put(value):
    return "BatchWriteItem", {"RequestItems": {"hash": [{"PutRequest": {"Item": {**KEY, "v": value}}}]}}


def batch_delete(value):
    return "BatchWriteItem", {"RequestItems": {"hash": [{"DeleteRequest": {"Key": {"pk": value}}}]}}


def query_value(value):
    values = {":p": {"S": "a"}, ":v": value}
    request = {"TableName": "hash", "KeyConditionExpression": "pk = :p", "FilterExpression": "a <> :v"}
    return "Query", {**request, "ExpressionAttributeValues": values}


def query_filter(value):
    conditions = {"pk": {"ComparisonOperator": "EQ", "AttributeValueList": [{"S": "a"}]}}
    filters = {"a": {"ComparisonOperator": "NE", "AttributeValueList": [value]}}
    return "Query", {"TableName": "hash", "KeyConditions": conditions, "QueryFilter": filters}


def scan_value(value):
    return "Scan", {"TableName": "hash", "FilterExpression": "a <> :v", "ExpressionAttributeValues": {":v": value}}


def scan_filter(value):
    return "Scan", {
        "TableName": "hash",
        "ScanFilter": {"a": {"ComparisonOperator": "NE", "AttributeValueList": [value]}},
    }


def transact_put(value):
    return "TransactWriteItems", {"TransactItems": [{"Put": {"TableName": "hash", "Item": {**KEY, "v": value}}}]}


def transact_value(value):
    action = {"TableName": "hash", "Key": KEY, "UpdateExpression": "SET a = :v"}
    return "TransactWriteItems", {"TransactItems": [{"Update": {**action, "ExpressionAttributeValues": {":v": value}}}]}


def transact_get(value):
    return "TransactGetItems", {"TransactItems": [{"Get": {"TableName": "hash", "Key": {"pk": value}}}]}


ALL = "number repeated empty_set null no_type several nesting deep name"
# place, layer, enveloped kinds, kinds that name the key of the value
PLACES = [
    (put, "newer", "number repeated empty_set null nesting name", ""),
    (put_condition, "newer", "number repeated empty_set null nesting name", "deep"),
    (expected, "newer", "number repeated empty_set null nesting name", ""),
    (delete_key, "newer", "number repeated null nesting name", ""),
    (delete_condition, "newer", "number repeated empty_set null nesting name", "deep no_type several"),
    (update_key, "newer", "number repeated null nesting name", ""),
    (update_value, "newer", "number repeated empty_set null nesting name", "deep several"),
    (attribute_update, "newer", "number repeated null nesting name", ""),
    (get_key, "newer", "", ""),
    (batch_get, "newer", "", ""),
    (batch_put, "older", "", ""),
    (batch_delete, "older", "", ""),
    (query_value, "newer", "", "deep no_type"),
    (query_filter, "newer", "", ""),
    (scan_value, "newer", "", "deep"),
    (scan_filter, "newer", "", ""),
    (transact_put, "older", "", ""),
    (transact_value, "older", "", "number repeated empty_set name nesting deep"),
    (transact_get, "older", "", ""),
]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place[0].__name__)
def test_a_value_at_fault_is_refused_in_the_form_of_its_place(world, place):
    make, layer, enveloped, named = place
    wrong = []
    for kind, value, newer, older in FAULTS:
        if make is transact_value and value == deep(32):
            continue
        text = newer if layer == "newer" else older
        if kind in named.split():
            text = IN_VALUES.format(text)
        elif kind in enveloped.split():
            text = env(text)
        found = world.refused(*make(value))
        if found != ("ValidationException", text):
            wrong.append((kind, str(value)[:60], found, text))
    assert not wrong


def test_31_levels_pass_everywhere(world):
    for make in (put, put_condition, expected, update_value, attribute_update, batch_put, transact_put, transact_value):
        operation, request = make(deep(31))
        if make is expected:
            assert world.refused(operation, request)[0] == "ConditionalCheckFailedException"
        else:
            world(operation, **request)


def test_a_transactions_value_of_32_levels_is_compared_but_not_stored(world):
    operation, request = transact_value(deep(32))
    code, text = world.refused(operation, request)
    assert (code, text.rsplit(" ", 1)[1]) == ("TransactionCanceledException", "[ValidationError]")
    check = {"TableName": "hash", "Key": KEY, "ConditionExpression": "zz <> :v"}
    actions = [{"ConditionCheck": {**check, "ExpressionAttributeValues": {":v": deep(32)}}}]
    world("TransactWriteItems", TransactItems=actions)


def test_an_update_may_not_leave_an_item_too_deep(world):
    world("PutItem", TableName="hash", Item={"pk": {"S": "deep"}, "a": deep(20)})
    path = "a" + "[0]" * 20
    request = {
        "TableName": "hash",
        "Key": {"pk": {"S": "deep"}},
        "UpdateExpression": f"SET {path} = :v",
        "ExpressionAttributeValues": {":v": deep(12)},
    }
    assert world.refused("UpdateItem", request) == (
        "ValidationException",
        "Nesting Levels have exceeded supported limits",
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"BS": [], "N": "x"}, NO_BS),
        ({"N": "x", "NULL": False}, f"{NO_NUMBER}x"),
        ({"NULL": False, "S": "a"}, NULL),
        ({"S": "a", "N": "1"}, SEVERAL),
    ],
)
def test_in_a_value_with_two_members_their_own_faults_come_first(world, value, text):
    assert world.refused(*put(value)) == ("ValidationException", text)


# ---- keys


NO_EMPTY = f"{NOT_VALID}The AttributeValue for a key attribute cannot contain an empty {{}} value. Key: {{}}"
PAIR = {"pk": {"S": "a"}, "sk": {"N": "1"}}
LONG_HASH = f"{INVALID}Size of hashkey has exceeded the maximum size limit of2048 bytes"
LONG_RANGE = f"{INVALID}Aggregated size of all range keys has exceeded the size limit of 1024 bytes"
INDEX_EMPTY = (
    f"{NOT_VALID}A value specified for a secondary index key is not supported. The AttributeValue for a key attribute "
    "cannot contain an empty {} value. IndexName: {}, IndexKey: {}"
)
INDEX_TYPE = f"{INVALID}Type mismatch for Index Key {{}} Expected: {{}} Actual: {{}} IndexName: {{}}"

LOOKUPS = [
    ("pair", {"pk": {"S": "a"}}, MISMATCH),
    ("pair", {}, MISMATCH),
    ("pair", {**PAIR, "x": {"S": "a"}}, MISMATCH),
    ("pair", {"pk": {"S": "a"}, "sk": {"S": "1"}}, MISMATCH),
    ("pair", {"pk": {"S": "a"}, "x": {"N": "1"}}, MISMATCH),
    ("pair", {"pk": {"L": []}, "sk": {"N": "1"}}, MISMATCH),
    ("hash", {"pk": {"B": b"a"}}, MISMATCH),
    ("hash", {"pk": {"NULL": True}}, MISMATCH),
    ("hash", {"pk": {"S": ""}}, NO_EMPTY.format("string", "pk")),
    ("words", {"pk": {"S": "a"}, "sk": {"S": ""}}, NO_EMPTY.format("string", "sk")),
    ("bytes", {"pk": {"S": "a"}, "sk": {"B": b""}}, NO_EMPTY.format("binary", "sk")),
    ("hash", {"pk": {"S": "é" * 1025}}, LONG_HASH),
    ("words", {"pk": {"S": "a"}, "sk": {"S": "s" * 1025}}, LONG_RANGE),
    ("words", {"pk": {"S": "p" * 2049}, "sk": {"S": "s" * 1025}}, LONG_HASH),
]


@pytest.mark.parametrize(("table", "key", "text"), LOOKUPS)
def test_a_key_that_does_not_fit_its_table(world, table, key, text):
    for operation, request in (
        ("GetItem", {"TableName": table, "Key": key}),
        ("DeleteItem", {"TableName": table, "Key": key}),
        ("UpdateItem", {"TableName": table, "Key": key}),
        ("BatchGetItem", {"RequestItems": {table: {"Keys": [key]}}}),
        ("BatchWriteItem", {"RequestItems": {table: [{"DeleteRequest": {"Key": key}}]}}),
    ):
        assert world.refused(operation, request) == ("ValidationException", text), operation


ITEMS = [
    ("pair", {"pk": {"S": "a"}}, f"{INVALID}Missing the key sk in the item", MISMATCH),
    ("pair", {}, f"{INVALID}Missing the key pk in the item", MISMATCH),
    ("pair", {"sk": {"N": "1"}}, f"{INVALID}Missing the key pk in the item", MISMATCH),
    ("pair", {**PAIR, "sk": {"S": "1"}}, f"{INVALID}Type mismatch for key sk expected: N actual: S", MISMATCH),
    ("hash", {"pk": {"M": {}}}, f"{INVALID}Type mismatch for key pk expected: S actual: M", MISMATCH),
    ("hash", {"pk": {"S": ""}}, NO_EMPTY.format("string", "pk"), NO_EMPTY.format("string", "pk")),
    ("bytes", {"pk": {"S": "a"}, "sk": {"B": b""}}, NO_EMPTY.format("binary", "sk"), NO_EMPTY.format("binary", "sk")),
    ("hash", {"pk": {"S": "p" * 2049}}, LONG_HASH, LONG_HASH),
    ("words", {"pk": {"S": "a"}, "sk": {"S": "s" * 1025}}, LONG_RANGE, LONG_RANGE),
    ("pair", {**PAIR, "gr": {"S": "1"}}, INDEX_TYPE.format("gr", "N", "S", "g-all"), None),
    ("pair", {**PAIR, "gh": {"SS": ["1"]}}, INDEX_TYPE.format("gh", "S", "SS", "g-all"), None),
    ("pair", {**PAIR, "l2": {"N": "1"}}, INDEX_TYPE.format("l2", "S", "N", "l-inc"), None),
    ("pair", {**PAIR, "gh": {"S": ""}}, INDEX_EMPTY.format("string", "g-all", "gh"), None),
    ("pair", {**PAIR, "l1": {"S": ""}}, INDEX_EMPTY.format("string", "l-all", "l1"), None),
    ("multi", {"id": {"S": "a"}, "e": {"B": b""}}, INDEX_EMPTY.format("binary", "many", "e"), None),
    ("multi", {"id": {"S": "a"}, "c": {"N": "1"}}, INDEX_TYPE.format("c", "S", "N", "many"), None),
]


@pytest.mark.parametrize(("table", "item", "text", "in_batch"), ITEMS)
def test_an_item_whose_keys_do_not_fit(world, table, item, text, in_batch):
    assert world.refused("PutItem", {"TableName": table, "Item": item}) == ("ValidationException", text)
    batch = {"RequestItems": {table: [{"PutRequest": {"Item": item}}]}}
    assert world.refused("BatchWriteItem", batch) == ("ValidationException", in_batch or text)
    code, found = world.refused("TransactWriteItems", {"TransactItems": [{"Put": {"TableName": table, "Item": item}}]})
    if "empty" in text:
        assert (code, found) == ("ValidationException", text)
    else:
        assert code == "TransactionCanceledException"


UPDATED = (
    f"{NOT_VALID}The update expression attempted to update a secondary index key to a value that is not supported. "
    "The AttributeValue for a key attribute cannot contain an empty {} value."
)


@pytest.mark.parametrize(
    ("table", "key", "attribute", "value", "text"),
    [
        ("pair", PAIR, "gh", {"S": ""}, UPDATED.format("string")),
        ("multi", {"id": {"S": "a"}}, "e", {"B": b""}, UPDATED.format("binary")),
        ("pair", PAIR, "gr", {"S": "1"}, INDEX_TYPE.format("gr", "N", "S", "g-all")),
    ],
)
def test_an_update_may_not_spoil_an_index_key(world, table, key, attribute, value, text):
    request = {"TableName": table, "Key": key, "UpdateExpression": f"SET {attribute} = :v"}
    request["ExpressionAttributeValues"] = {":v": value}
    assert world.refused("UpdateItem", request) == ("ValidationException", text)


def test_the_longest_keys_are_taken(world):
    item = {"pk": {"S": "p" * 2048}, "sk": {"S": "s" * 1024}}
    world("PutItem", TableName="words", Item=item)
    assert world("GetItem", TableName="words", Key=item)["Item"] == item


def test_an_index_key_of_an_update_is_not_looked_at_where_it_stays(world):
    world("PutItem", TableName="hash", Item={"pk": {"S": "spoilt"}, "late": {"S": ""}})
    assert "Item" in world("GetItem", TableName="hash", Key={"pk": {"S": "spoilt"}})


# ---- numbers and sets as they come back


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("00042", "42"),
        ("1.0", "1"),
        ("3.1400", "3.14"),
        ("1.5E2", "150"),
        ("1E2", "100"),
        ("1E10", "10000000000"),
        ("1E-130", "0." + "0" * 129 + "1"),
        ("-0", "0"),
        ("-0.0", "0"),
        ("+5", "5"),
        ("+1.5", "1.5"),
        ("+1e2", "100"),
        (".5", "0.5"),
        ("5.", "5"),
        ("+.5", "0.5"),
        ("1" * 38, "1" * 38),
        ("9." + "9" * 37 + "E+125", "9" * 38 + "0" * 88),
        ("-9." + "9" * 37 + "E+125", "-" + "9" * 38 + "0" * 88),
        ("1E-38", "0." + "0" * 37 + "1"),
        ("1" + "0" * 50, "1" + "0" * 50),
    ],
)
def test_a_number_comes_back_in_plain_digits(world, sent, stored):
    world("PutItem", TableName="hash", Item={"pk": {"S": "n"}, "v": {"N": sent}})
    assert world("GetItem", TableName="hash", Key={"pk": {"S": "n"}})["Item"]["v"] == {"N": stored}


@pytest.mark.parametrize(
    "text", ["1+2", "1.2.3", "+e2", "1e", " 1", "1 ", "1 2", "NaN", "Infinity", "-", ".", "0x1", "1_0", "\u0661"]
)
def test_a_text_that_is_no_number(world, text):
    assert world.refused(*put({"N": text})) == ("ValidationException", env(f"{NO_NUMBER}{text}"))


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ({"SS": ["b", "", "a", "é", "\U0001f600", "\uffff"]}, {"SS": ["", "a", "b", "é", "\uffff", "\U0001f600"]}),
        ({"BS": [b"\xff", b"", b"\x01\x02", b"\x01"]}, {"BS": [b"", b"\x01", b"\x01\x02", b"\xff"]}),
        ({"NS": ["10", "9", "-1", "1E-130", "0"]}, {"NS": ["-1", "0", "0." + "0" * 129 + "1", "9", "10"]}),
        ({"L": [{"M": {"s": {"NS": ["2", "1"]}}}]}, {"L": [{"M": {"s": {"NS": ["1", "2"]}}}]}),
        ({"S": ""}, {"S": ""}),
        ({"B": b""}, {"B": b""}),
        ({"L": []}, {"L": []}),
        ({"M": {}}, {"M": {}}),
        ({"M": {" ": {"NULL": True}}}, {"M": {" ": {"NULL": True}}}),
        ({"L": [{"S": ""}]}, {"L": [{"S": ""}]}),
    ],
)
def test_a_value_comes_back_as_it_is_stored(world, sent, stored):
    world("PutItem", TableName="hash", Item={"pk": {"S": "v"}, "v": sent})
    assert world("GetItem", TableName="hash", Key={"pk": {"S": "v"}})["Item"]["v"] == stored


HASHED_TEXT = """0 1E-130 -1E-130 25 99999999999999999999999999999999999999 2.5 1E10 9 -0.5 -0.00001 5 0.5 1000 100
-1 10 -10"""
HASHED = HASHED_TEXT.split()


def plain(number):
    return f"{Decimal(number):f}"


def test_number_sets_are_in_hash_order_in_transactions_alone(world):
    ascending = sorted(map(plain, HASHED), key=float)
    key = {"pk": {"S": "hashed"}}
    world("PutItem", TableName="hash", Item={**key, "v": {"NS": ascending}, "w": {"NS": ["1", "2", "3"]}})
    item = world("TransactGetItems", TransactItems=[{"Get": {"TableName": "hash", "Key": key}}])["Responses"][0]["Item"]
    assert item["v"]["NS"] == [plain(number) for number in HASHED]
    assert item["w"]["NS"] == ["3", "2", "1"]
    for answer in (
        world("GetItem", TableName="hash", Key=key)["Item"],
        world("BatchGetItem", RequestItems={"hash": {"Keys": [key]}})["Responses"]["hash"][0],
        next(item for item in world("Scan", TableName="hash")["Items"] if item["pk"] == key["pk"]),
    ):
        assert answer["v"]["NS"] == ascending


def test_index_keys_are_as_long_as_table_keys_at_most(world):
    longer = {"gh": {"S": "g" * 2049}, "gr": {"N": "1"}}
    request = {"TableName": "pair", "Item": {**PAIR, **longer}}
    assert world.refused("PutItem", request) == ("ValidationException", LONG_HASH)
    request["Item"] = {**PAIR, "l1": {"S": "l" * 1025}}
    assert world.refused("PutItem", request) == ("ValidationException", LONG_RANGE)
    world("PutItem", TableName="pair", Item={**PAIR, "gh": {"S": "g" * 2048}, "l1": {"S": "l" * 1024}})
    update = {"TableName": "pair", "Key": PAIR, "UpdateExpression": "SET l1 = :v"}
    update["ExpressionAttributeValues"] = {":v": {"S": "l" * 1025}}
    text = "The update expression attempted to update the secondary index key beyond allowed size limits"
    assert world.refused("UpdateItem", update) == ("ValidationException", text)
    world("DeleteItem", TableName="pair", Key=PAIR)


def test_a_legacy_update_of_an_index_key_to_another_type(world):
    request = {"TableName": "pair", "Key": PAIR, "AttributeUpdates": {"gh": {"Value": {"N": "1"}}}}
    assert world.refused("UpdateItem", request) == ("ValidationException", "Type mismatch for attribute to update")
