"""What conditions, updates and projections do, numbers, sets, empty values and sizes: the published rules of the
service, line by line."""

from __future__ import annotations

import pytest

from lsm.dynamodb import ApiError
from lsm.dynamodb.expressions import Condition, Update
from lsm.dynamodb.hash_order import hashed_numbers
from lsm.item_codec import encode_item, item_size, store_value

ENVELOPE = "1 validation error detected: "
INVALID = "One or more parameter values were invalid: "
KIND = "ConditionExpression"
ABSENT = "The provided expression refers to an attribute that does not exist in the item"
WRONG_TYPE = "An operand in the update expression has an incorrect data type"
WRONG_PATH = "The document path provided in the update expression is invalid for update"
KEY = {"pk": {"S": "k"}}

# ---- conditions

ITEM = {
    "s": {"S": "text"},
    "n": {"N": "10"},
    "b": {"B": b"\x01\xff"},
    "t": {"BOOL": True},
    "z": {"NULL": True},
    "ss": {"SS": ["a", "b"]},
    "ns": {"NS": ["1", "2.5"]},
    "bs": {"BS": [b"a"]},
    "l": {"L": [{"N": "1"}, {"M": {"x": {"NS": ["1"]}}}]},
    "m": {"M": {"x": {"S": "y"}, "dot.ted": {"N": "7"}}},
    "n2": {"N": "10"},
}
GIVEN = {
    ":v": {"S": "v"},
    ":w": {"S": "w"},
    ":n": {"N": "5"},
    ":ns": {"NS": ["1"]},
    ":b2": {"B": b"a"},
    ":ten": {"N": "1.0E1"},
    ":11": {"N": "11"},
    ":9": {"N": "9"},
    ":sets": {"SS": ["b", "a"]},
    ":sub": {"SS": ["a"]},
    ":nums": {"NS": ["2.50", "1.0"]},
    ":list": {"L": [{"N": "1.0"}, {"M": {"x": {"NS": ["1"]}}}]},
    ":list2": {"L": [{"M": {"x": {"NS": ["1"]}}}, {"N": "1"}]},
    ":map": {"M": {"dot.ted": {"N": "7.0"}, "x": {"S": "y"}}},
    ":text": {"S": "text"},
    ":te": {"S": "te"},
    ":TE": {"S": "TE"},
    ":ex": {"S": "ex"},
    ":one": {"N": "1.00"},
    ":two": {"N": "2"},
    ":a": {"S": "a"},
    ":elem": {"M": {"x": {"NS": ["1.0"]}}},
    ":by": {"B": b"\x01"},
    **{f":{t}": {"S": t} for t in ("S", "N", "B", "SS", "NS", "BS", "BOOL", "NULL", "L", "M")},
    ":null": {"NULL": True},
    ":t": {"BOOL": True},
    ":f": {"BOOL": False},
    ":3": {"N": "3"},
    ":4": {"N": "4"},
}
STORED = {name: store_value(value) for name, value in GIVEN.items()}

HOLDS = [
    # comparison with what is absent
    ("q = :v", False), ("q < :v", False), ("q <= :v", False), ("q > :v", False), ("q >= :v", False),
    ("q BETWEEN :v AND :w", False), ("q IN (:v)", False), ("q <> :v", True), ("q <> qq", True), ("q = qq", False),
    ("NOT q = :v", True), ("NOT q < :v", True), ("s <> q", True), ("s = q", False), (":v <> q", True),
    # types
    ("s = :n", False), ("s <> :n", True), ("s < :n", False), ("NOT s < :n", True), ("t < s", False), ("ss < s", False),
    ("l BETWEEN s AND n", False), ("t = :t", True), ("t <> :f", True), ("z = :null", True),
    # sets, lists, maps, numbers
    ("ss = :sets", True), ("ss = :sub", False), ("ns = :nums", True), ("l = :list", True), ("l = :list2", False),
    ("m = :map", True), ("n = :ten", True), ("n = n2", True), ("n < :11", True), ("n >= :ten", True), ("n > :9", True),
    ("n BETWEEN :ten AND :ten", True), ("n BETWEEN :9 AND n2", True), ("n IN (:9, :11, :ten)", True), ("n IN (:v)", False),
    ("l IN (:map, :list)", True), ("s >= :te", True), ("b > :by", True),
    # functions
    ("attribute_exists(m.x)", True), ("attribute_exists(l[1].x)", True), ("attribute_exists(l[2])", False),
    ("attribute_exists(z)", True), ("attribute_not_exists(m.y)", True), ("attribute_not_exists(s.x)", True),
    ("attribute_type(s, :S)", True), ("attribute_type(z, :NULL)", True), ("attribute_type(l, :M)", False),
    ("attribute_type(q, :S)", False), ("NOT attribute_type(q, :S)", True),
    ("begins_with(s, :te)", True), ("begins_with(s, :TE)", False), ("begins_with(b, :by)", True),
    ("begins_with(n, :te)", False), ("begins_with(q, :te)", False), ("begins_with(s, :by)", False),
    ("contains(s, :ex)", True), ("contains(s, :n)", False), ("contains(ss, :a)", True), ("contains(ns, :one)", True),
    ("contains(ns, :two)", False), ("contains(bs, :b2)", True), ("contains(l, :one)", True), ("contains(l, :elem)", True),
    ("contains(l, :two)", False), ("contains(m, :a)", False), ("contains(q, :a)", False), ("NOT contains(q, :a)", True),
    ("contains(ss, :sub)", False), ("contains(:text, s)", True),
    # size
    ("size(s) = :4", True), ("size(b) = :two", True), ("size(ss) = :two", True), ("size(l) = :two", True),
    ("size(m) = :two", True), ("size(n) > :9", False), ("size(n) <> :9", True), ("size(t) = :one", False),
    ("size(q) < :9", False), ("size(s) BETWEEN :3 AND :4", True), ("size(s) IN (:3, :4)", True),
    ("size(s) > size(b)", True), ("size(:ex) = :two", True),
    # precedence and paths
    ("s = :text OR n = :9 AND q = :v", True), ("NOT s = :text OR n = :ten", True), ("NOT (s = :text OR n = :ten)", False),
    ("#dots.#dotted = #dots.#dotted2", False), ("#dots.#dotted > :4", True), ("dot.ted = :4", False),
    ("l[1].x = :ns", True), ("l[0] = :one", True), ("s[0] = :one", False), ("m[0] = :one", False), ("l.x = :one", False),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), HOLDS)
def test_conditions(text, expected):
    named = {"#dots": "m", "#dotted": "dot.ted", "#dotted2": "none"}
    condition = Condition.parse(KIND, text, named, STORED)
    condition.check()
    assert condition.holds(ITEM) is expected


def test_size_counts_utf16_units():
    condition = Condition.parse(KIND, "size(a) = :n", {}, {":n": {"N": "3"}})
    assert condition.holds({"a": {"S": "\u00e9\U0001f600"}})


def test_text_orders_by_its_bytes():
    condition = Condition.parse(KIND, "a < :v", {}, {":v": {"S": "\U00010000"}})
    assert condition.holds({"a": {"S": "\uffff"}})
    assert condition.holds({"a": {"S": ""}})


# ---- updates

LIST3 = {"L": [{"N": "0"}, {"N": "1"}, {"N": "2"}]}
BEFORE = {
    "pk": {"S": "k"},
    "n": {"N": "5"},
    "s": {"S": "text"},
    "l": LIST3,
    "e": {"L": []},
    "ss": {"SS": ["a", "b"]},
    "ns": {"NS": ["1", "2"]},
    "m": {"M": {"n": {"N": "1"}, "ss": {"SS": ["a"]}, "l": {"L": [{"SS": ["a"]}, {"S": "x"}]}}},
    "z": {"NULL": True},
}
U = {
    ":v": {"S": "v"},
    ":w": {"S": "w"},
    ":x": {"S": "x"},
    ":7": {"N": "7"},
    ":1": {"N": "1"},
    ":tiny": {"N": "0.00000000000000000001"},
    ":l": {"L": [{"S": "new"}]},
    ":e": {"L": []},
    ":a": {"SS": ["a"]},
    ":bc": {"SS": ["c", "b"]},
    ":n2": {"NS": ["2", "10"]},
    ":m": {"M": {}},
}


def lists(*texts):
    return {"L": [{"N" if text.isdigit() else "S": text} for text in texts]}


UPDATES = [
    ("SET n = :7, q = n", {"n": {"N": "7"}, "q": {"N": "5"}}),
    ("SET n = :7, s = n + :1", {"n": {"N": "7"}, "s": {"N": "6"}}),
    ("SET n = n - :7", {"n": {"N": "-2"}}),
    ("SET n = :7 - n", {"n": {"N": "2"}}),
    ("SET n = (n + :1)", {"n": {"N": "6"}}),
    ("set n = n + :tiny REMOVE s add q :1", {"n": {"N": "5.00000000000000000001"}, "s": None, "q": {"N": "1"}}),
    ("SET q = if_not_exists(q, :v)", {"q": {"S": "v"}}),
    ("SET q = if_not_exists(s, :v)", {"q": {"S": "text"}}),
    ("SET q = if_not_exists(q, :7) + :1", {"q": {"N": "8"}}),
    ("SET q = list_append(if_not_exists(q, :e), :l)", {"q": lists("new")}),
    ("SET l = list_append(l, :l)", {"l": lists("0", "1", "2", "new")}),
    ("SET l = list_append(:l, l)", {"l": lists("new", "0", "1", "2")}),
    ("SET l[1] = :v", {"l": lists("0", "v", "2")}),
    ("SET l[5] = :v", {"l": lists("0", "1", "2", "v")}),
    ("SET l[9] = :v, l[3] = :w", {"l": lists("0", "1", "2", "w", "v")}),
    ("SET l[9] = :v ADD l[4] :7", {"l": lists("0", "1", "2", "7", "v")}),
    ("SET l[9] = :v REMOVE l[4], l[0]", {"l": lists("1", "2", "v")}),
    ("SET l[9] = :v DELETE l[4] :a", {"l": lists("0", "1", "2", "v")}),
    ("SET e[0] = :v", {"e": lists("v")}),
    ("ADD l[1] :7", {"l": lists("0", "8", "2")}),
    ("REMOVE l[0], l[1]", {"l": lists("2")}),
    ("REMOVE l[1]", {"l": lists("0", "2")}),
    ("REMOVE l[7]", {}),
    ("REMOVE q", {}),
    ("REMOVE m.q, m.n", {"m": {"M": {k: v for k, v in BEFORE["m"]["M"].items() if k != "n"}}}),
    ("SET m.q = :v, m.n = :w", {"m": {"M": {**BEFORE["m"]["M"], "q": {"S": "v"}, "n": {"S": "w"}}}}),
    ("ADD n :7", {"n": {"N": "12"}}),
    ("ADD q :7", {"q": {"N": "7"}}),
    ("ADD ss :bc", {"ss": {"SS": ["a", "b", "c"]}}),
    ("ADD q :bc", {"q": {"SS": ["b", "c"]}}),
    ("ADD ns :n2", {"ns": {"NS": ["1", "2", "10"]}}),
    ("DELETE ss :a", {"ss": {"SS": ["b"]}}),
    ("DELETE q :a", {}),
    ("DELETE ss :bc", {"ss": {"SS": ["a"]}}),
    ("DELETE m.ss :a", {"m": {"M": {k: v for k, v in BEFORE["m"]["M"].items() if k != "ss"}}}),
    ("DELETE m.l[0] :a", {"m": {"M": {**BEFORE["m"]["M"], "l": {"L": [{"S": "x"}]}}}}),
    ("DELETE m.q :a", {}),
    ("ADD m.n :7, m.ss :bc", {"m": {"M": {**BEFORE["m"]["M"], "n": {"N": "8"}, "ss": {"SS": ["a", "b", "c"]}}}}),
    ("SET q = m.l[1]", {"q": {"S": "x"}}),
]


def stored_update(text):
    update = Update.parse(text, {}, {name: store_value(value) for name, value in U.items()})
    update.check()
    return update


@pytest.mark.parametrize(("text", "changes"), UPDATES)
def test_updates(text, changes):
    expected = {**BEFORE, **changes}
    untouched = encode_item(BEFORE)
    assert stored_update(text).apply(BEFORE) == {name: value for name, value in expected.items() if value is not None}
    assert encode_item(BEFORE) == untouched


def test_a_set_that_is_emptied_leaves_its_map():
    assert stored_update("DELETE m.s :a").apply({"m": {"M": {"s": {"SS": ["a"]}}}}) == {"m": {"M": {}}}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("SET q = qq", ABSENT),
        ("SET q = qq + :1", ABSENT),
        ("SET q = list_append(qq, :l)", ABSENT),
        ("SET q = m.qq", ABSENT),
        ("SET n = s + :1", WRONG_TYPE),
        ("SET n = :1 - s", WRONG_TYPE),
        ("SET l = list_append(s, :l)", WRONG_TYPE),
        ("ADD s :1", WRONG_TYPE),
        ("ADD ss :1", WRONG_TYPE),
        ("ADD n :a", WRONG_TYPE),
        ("ADD ns :a", WRONG_TYPE),
        ("DELETE s :a", WRONG_TYPE),
        ("DELETE ns :a", WRONG_TYPE),
        ("SET q.x = :v", WRONG_PATH),
        ("SET s.x = :v", WRONG_PATH),
        ("SET m[0] = :v", WRONG_PATH),
        ("SET l.x = :v", WRONG_PATH),
        ("SET q[0] = :v", WRONG_PATH),
        ("REMOVE q.x", WRONG_PATH),
        ("REMOVE z.x", WRONG_PATH),
        ("SET l[7].x = :v", WRONG_PATH),
        ("ADD q.x :1", WRONG_PATH),
        ("DELETE q.x :a", WRONG_PATH),
        ("REMOVE m.q.x", WRONG_PATH),
        ("SET q.x = :v ADD s :1", WRONG_TYPE),
        ("REMOVE q.x DELETE s :a", WRONG_TYPE),
    ],
)
def test_the_words_of_an_update_that_does_not_fit_the_item(hashes, text, fault):
    hashes("PutItem", TableName="hashes", Item=BEFORE)
    used = {name: value for name, value in U.items() if name in text.replace(",", " ").replace(")", " ").split()}
    given = {"ExpressionAttributeValues": used} if used else {}
    request = {"TableName": "hashes", "Key": KEY, "UpdateExpression": text}
    assert hashes.fault("UpdateItem", **request, **given) == fault
    code, _ = hashes.refused("UpdateItem", **request, **given, ConditionExpression="attribute_exists(zz)")
    assert code == "ConditionalCheckFailedException"
    assert hashes("GetItem", TableName="hashes", Key=KEY)["Item"] == BEFORE


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("SET pk = :v", {":v": {"S": "x"}}),
        ("SET pk = pk", {}),
        ("REMOVE pk", {}),
        ("ADD pk :n", {":n": {"N": "1"}}),
        ("DELETE pk :a", {":a": {"SS": ["a"]}}),
        ("SET pk.x = :v", {":v": {"S": "x"}}),
    ],
)
def test_key_attributes_are_not_updated(hashes, text, values):
    fault = f"{INVALID}Cannot update attribute pk. This attribute is part of the key"
    given = {"ExpressionAttributeValues": values} if values else {}
    request = {"TableName": "hashes", "Key": KEY}
    assert hashes.fault("UpdateItem", **request, UpdateExpression=text, **given) == fault
    updates = {"pk": {"Value": {"S": "x"}}}
    assert hashes.fault("UpdateItem", **request, AttributeUpdates=updates) == fault


def test_a_failed_condition_leaves_no_ghost(hashes):
    request = {"TableName": "hashes", "Key": KEY, "UpdateExpression": "REMOVE a"}
    assert hashes.refused("UpdateItem", **request, ConditionExpression="attribute_exists(pk)") == (
        "ConditionalCheckFailedException",
        "The conditional request failed",
    )
    assert hashes("GetItem", TableName="hashes", Key=KEY) == {}
    answer = hashes("UpdateItem", **request, ConditionExpression="attribute_not_exists(pk)", ReturnValues="ALL_NEW")
    assert answer == {"Attributes": KEY}


@pytest.mark.parametrize(
    ("text", "values", "old", "new"),
    [
        ("SET m.n = :v", {":v": {"S": "v"}}, {"m": {"M": {"n": {"N": "1"}}}}, {"m": {"M": {"n": {"S": "v"}}}}),
        ("SET l[0] = :v", {":v": {"S": "v"}}, {"l": LIST3}, {"l": lists("v", "1", "2")}),
        ("REMOVE s, m.n", {}, {"s": {"S": "text"}, "m": {"M": {"n": {"N": "1"}}}}, None),
        ("REMOVE l[0]", {}, {"l": LIST3}, {"l": lists("1", "2")}),
        ("SET q = :v", {":v": {"S": "v"}}, None, {"q": {"S": "v"}}),
        ("SET n = n + :v REMOVE s", {":v": {"N": "1"}}, {"n": {"N": "5"}, "s": {"S": "text"}}, {"n": {"N": "6"}}),
    ],
)
def test_updated_values_are_those_at_the_touched_paths(hashes, text, values, old, new):
    given = {"ExpressionAttributeValues": values} if values else {}
    for wanted, expected in ("UPDATED_OLD", old), ("UPDATED_NEW", new):
        hashes("PutItem", TableName="hashes", Item=BEFORE)
        answer = hashes("UpdateItem", TableName="hashes", Key=KEY, UpdateExpression=text, ReturnValues=wanted, **given)
        assert answer.get("Attributes") == expected


def test_put_and_delete_return_the_old_item_or_nothing(hashes):
    for operation, what in ("PutItem", "Item"), ("DeleteItem", "Key"):
        request = {"TableName": "hashes", what: KEY}
        assert hashes.fault(operation, **request, ReturnValues="ALL_NEW") == (
            f"{ENVELOPE}ReturnValues can only be ALL_OLD or NONE"
        )
        hashes("DeleteItem", TableName="hashes", Key=KEY)
        assert hashes(operation, **request, ReturnValues="ALL_OLD") == {}
        hashes("PutItem", TableName="hashes", Item=BEFORE)
        assert hashes(operation, **request, ReturnValues="ALL_OLD") == {"Attributes": BEFORE}


def test_a_failed_condition_shows_the_whole_item_on_demand(hashes):
    hashes("PutItem", TableName="hashes", Item=BEFORE)
    for operation, what in ("PutItem", "Item"), ("DeleteItem", "Key"), ("UpdateItem", "Key"):
        for key, shown in ("k", {"Item": BEFORE}), ("none", {}):
            with pytest.raises(ApiError) as caught:
                hashes(
                    operation,
                    TableName="hashes",
                    **{what: {"pk": {"S": key}}},
                    ConditionExpression="attribute_exists(zz)",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
            assert caught.value.members == shown


def test_an_update_of_nothing_makes_an_item_of_its_key(hashes):
    assert hashes("UpdateItem", TableName="hashes", Key=KEY, ReturnValues="ALL_NEW") == {"Attributes": KEY}
    hashes("PutItem", TableName="hashes", Item=BEFORE)
    assert hashes("UpdateItem", TableName="hashes", Key=KEY, ReturnValues="ALL_NEW") == {"Attributes": BEFORE}


# ---- projections


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("l[2], l[0]", {"l": lists("0", "2")}),
        ("d[0].a, d[0].b", {"d": {"L": [{"M": {"a": {"N": "1"}, "b": {"N": "2"}}}]}}),
        ("d[1].x.a, d[0].c, d[1].x.b", {"d": {"L": [{"M": {"c": {"N": "3"}}}, {"M": {"x": {"M": {"a": {"N": "1"}, "b": {"N": "2"}}}}}]}}),
        ("zz, l[9], s.x, m[0]", {}),
        ("m.a, m.b", {"m": {"M": {"a": {"N": "1"}}}}),
        ("m", {"m": {"M": {"a": {"N": "1"}}}}),
    ],
)  # fmt: skip
def test_projections(hashes, text, expected):
    item = {
        **KEY,
        "l": LIST3,
        "s": {"S": "s"},
        "m": {"M": {"a": {"N": "1"}}},
        "d": {
            "L": [
                {"M": {"a": {"N": "1"}, "b": {"N": "2"}, "c": {"N": "3"}}},
                {"M": {"x": {"M": {"a": {"N": "1"}, "b": {"N": "2"}, "c": {"N": "3"}}}}},
            ]
        },
    }
    hashes("PutItem", TableName="hashes", Item=item)
    assert hashes("GetItem", TableName="hashes", Key=KEY, ProjectionExpression=text)["Item"] == expected
    answer = hashes(
        "Query",
        TableName="hashes",
        KeyConditionExpression="pk = :k",
        ProjectionExpression=text,
        ExpressionAttributeValues={":k": {"S": "k"}},
    )
    assert answer["Items"] == [expected]
    got = hashes(
        "TransactGetItems", TransactItems=[{"Get": {"TableName": "hashes", "Key": KEY, "ProjectionExpression": text}}]
    )
    assert got["Responses"] == [{"Item": expected} if expected else {}]


# ---- numbers, sets, empty values


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("00042", "42"), ("1.0", "1"), ("3.1400", "3.14"), ("1.5E2", "150"), ("1E10", "10000000000"), ("-0", "0"),
        ("1E-130", "0." + "0" * 129 + "1"), ("+5", "5"), ("+1e2", "100"), (".5", "0.5"), ("5.", "5"), ("+.5", "0.5"),
        ("9" * 38, "9" * 38), ("-9." + "9" * 37 + "E125", "-" + "9" * 38 + "0" * 88), ("0e125", "0"), ("0e-130", "0"),
        ("0" * 50 + "1." + "0" * 50, "1"),
    ],
)  # fmt: skip
def test_numbers_are_stored_as_plain_digits(text, stored):
    assert store_value({"N": text}) == {"N": stored}


NOT_A_NUMBER = "The parameter cannot be converted to a numeric value: {}"
OVERFLOW = "Number overflow. Attempting to store a number with magnitude larger than supported range"
UNDERFLOW = "Number underflow. Attempting to store a number with magnitude smaller than supported range"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("9" * 39, "Attempting to store more than 38 significant digits in a Number"),
        ("1E126", OVERFLOW), ("-1E126", OVERFLOW), ("1E-131", UNDERFLOW), ("0e126", OVERFLOW), ("0e-131", UNDERFLOW),
        ("0.0e-130", UNDERFLOW), ("1e99999999999", OVERFLOW), ("1e-99999999999", UNDERFLOW),
        *[(bad, NOT_A_NUMBER.format(bad)) for bad in ("1+2", "1.2.3", "+e2", "1e", " 1", "1 ", "", "NaN", "Infinity", "1_0")],
        ("1e99999999999999999999", NOT_A_NUMBER.format("1e99999999999999999999")),
    ],
)  # fmt: skip
def test_the_words_of_a_number_that_is_refused(hashes, text, fault):
    item = {**KEY, "a": {"N": text}}
    assert hashes.fault("PutItem", TableName="hashes", Item=item) == ENVELOPE + fault


def test_arithmetic_beyond_the_range_is_refused(hashes):
    big = {"N": "9E125"}
    hashes("PutItem", TableName="hashes", Item={**KEY, "a": big})
    request = {"TableName": "hashes", "Key": KEY, "ExpressionAttributeValues": {":b": big}}
    for text in "SET a = a + :b", "ADD a :b":
        assert hashes.fault("UpdateItem", **request, UpdateExpression=text) == OVERFLOW


def test_numbers_order_and_key_by_value(hashes):
    hashes.create("numbers", "pk sk", "pk:S sk:N")
    written = ["1E-130", "0", "-0.6", "9" * 38, "-0.7", "0.7", "100.0", "-1E125"]
    for text in written:
        hashes("PutItem", TableName="numbers", Item={**KEY, "sk": {"N": text}})
    page = hashes(
        "Query", TableName="numbers", KeyConditionExpression="pk = :k", ExpressionAttributeValues={":k": {"S": "k"}}
    )
    found = [item["sk"]["N"] for item in page["Items"]]
    assert found == [
        store_value({"N": t})["N"] for t in ["-1E125", "-0.7", "-0.6", "0", "1E-130", "0.7", "100", "9" * 38]
    ]
    assert hashes("GetItem", TableName="numbers", Key={**KEY, "sk": {"N": "1e2"}})["Item"]["sk"] == {"N": "100"}


def test_number_sets_in_hash_order_as_captured():
    captured = [
        "0",
        "1E-130",
        "-1E-130",
        "25",
        "99999999999999999999999999999999999999",
        "2.5",
        "1E10",
        "9",
        "-0.5",
        "-0.00001",
        "5",
        "0.5",
        "1000",
        "100",
        "-1",
        "10",
        "-10",
    ]
    plain = [store_value({"N": text})["N"] for text in captured]
    ascending = store_value({"NS": plain})["NS"]
    assert hashed_numbers(ascending) == plain
    assert hashed_numbers(["1", "2", "3"]) == ["3", "2", "1"]


def test_sets_come_back_ascending_at_every_depth(hashes):
    sets = {"n": {"NS": ["10", "9", "-1"]}, "s": {"SS": ["\U00010000", "\uffff", "b"]}, "b": {"BS": [b"\xff", b"\x00"]}}
    sorted_ = {
        "n": {"NS": ["-1", "9", "10"]},
        "s": {"SS": ["b", "\uffff", "\U00010000"]},
        "b": {"BS": [b"\x00", b"\xff"]},
    }
    hashes("PutItem", TableName="hashes", Item={**KEY, **sets, "l": {"L": [{"M": sets}]}})
    expected = {**KEY, **sorted_, "l": {"L": [{"M": sorted_}]}}
    assert hashes("GetItem", TableName="hashes", Key=KEY)["Item"] == expected
    assert hashes("Scan", TableName="hashes")["Items"] == [expected]


@pytest.mark.parametrize(
    "value",
    [{"S": ""}, {"B": b""}, {"L": [{"S": ""}]}, {"M": {"a": {"B": b""}}}, {"L": []}, {"M": {}}, {"NULL": True}]
    + [{"SS": ["", "a"]}, {"BS": [b""]}, {"M": {" ": {"S": "blank"}}}],
)
def test_empty_values_that_are_stored(hashes, value):
    hashes("PutItem", TableName="hashes", Item={**KEY, "a": value})
    assert hashes("GetItem", TableName="hashes", Key=KEY)["Item"]["a"] == value


# ---- sizes


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ({"S": "\u00e9"}, 2), ({"B": b"abc"}, 3), ({"BOOL": False}, 1), ({"NULL": True}, 1), ({"SS": ["a", "bc"]}, 3),
        ({"NS": ["1", "12"]}, 4), ({"BS": [b"", b"a"]}, 1), ({"L": []}, 3), ({"L": [{"S": "ab"}]}, 6), ({"M": {}}, 3),
        ({"M": {"ab": {"NULL": True}}}, 7), ({"N": "1"}, 2), ({"N": "100"}, 2), ({"N": "12"}, 2), ({"N": "123"}, 3),
        ({"N": "-1"}, 3), ({"N": "12.5"}, 3), ({"N": "0.0000001"}, 2), ({"N": "9" * 38}, 20),
    ],
)  # fmt: skip
def test_sizes_of_values(value, size):
    assert item_size(encode_item({"na": value})) == 2 + size


CHARGES = [
    ("SET b = :pad", {}, {}, 409_577),
    ("SET b = :pad", {}, {"u": {"S": "123456789"}}, 409_577),
    ("SET b = :pad, n = n + :one", {":one": {"N": "1"}}, {"n": {"N": "1"}}, 409_505),
    ("SET b = :pad, n = n - :one", {":one": {"N": "1"}}, {"n": {"N": "1"}}, 409_502),
    ("SET b = :pad, c = if_not_exists(c, :v)", {":v": {"S": "v"}}, {"c": {"S": "x" * 10}}, 409_501),
    ("SET b = :pad, l = list_append(l, :new)", {":new": {"L": [{"S": "x" * 10}]}}, {"l": {"L": []}}, 409_490),
    ("SET b = :pad REMOVE m.y", {}, {"m": {"M": {"y": {"S": "x"}}}}, 409_570),
]
TOO_LARGE = "Item size to update has exceeded the maximum allowed size"


@pytest.mark.parametrize(("text", "values", "stored", "longest"), CHARGES)
def test_the_charge_of_an_update_at_its_limit(ask, text, values, stored, longest):
    ask.create("one", "pk", "pk:S")
    ask("PutItem", TableName="one", Item={**KEY, **stored})
    request = {"TableName": "one", "Key": KEY, "UpdateExpression": text}
    pad = {":pad": {"S": "x" * (longest + 1)}}
    assert ask.fault("UpdateItem", **request, ExpressionAttributeValues={**values, **pad}) == TOO_LARGE
    fault = ask.fault(
        "UpdateItem",
        **{**request, "UpdateExpression": text.replace("b =", "pk =")},
        ExpressionAttributeValues={**values, ":pad": {"S": "x" * 409_600}},
        ConditionExpression="attribute_exists(zz)",
    )
    assert fault == TOO_LARGE
    pad = {":pad": {"S": "x" * longest}}
    ask("UpdateItem", **request, ExpressionAttributeValues={**values, **pad})


def test_an_item_of_exactly_the_limit(hashes):
    item = {**KEY, "a": {"S": "x" * (409_600 - 3 - 1)}}
    hashes("PutItem", TableName="hashes", Item=item)
    item["a"]["S"] += "x"
    text = "Item size has exceeded the maximum allowed size"
    assert hashes.fault("PutItem", TableName="none", Item=item) == text
    assert hashes.fault("BatchWriteItem", RequestItems={"none": [{"PutRequest": {"Item": item}}]}) == text
    put = {"Put": {"TableName": "none", "Item": item}}
    assert hashes.fault("TransactWriteItems", TransactItems=[put]) == text
    updates = {"a": {"Value": item["a"]}}
    assert hashes.fault("UpdateItem", TableName="hashes", Key=KEY, AttributeUpdates=updates) == TOO_LARGE
