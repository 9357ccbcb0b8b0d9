"""Bodies that are no JSON, or not the JSON that was meant; and what goes through a request and back unchanged."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.serving import Server, served
from server.wire import TABLE, Wire, ask, connected, get, message, put

UNREADABLE = {"__type": "com.amazon.coral.service#SerializationException"}
VALUE = "com.amazonaws.dynamodb.v20120810.AttributeValue"
STRUCTURE = "Start of structure or map found where not expected"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with served("--in-memory") as running:
        assert running.call("CreateTable", TABLE)[0] == 200
        yield running
        assert running.stderr == ""


# ---- no JSON


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"}",
        b"nothing",
        b'{"TableName": }',
        b'{"TableName": "x",}',
        b'{"TableName": "x"} {}',
        b"{'TableName': 'x'}",
        b'{"Limit": NaN}',
        b'{"Limit": Infinity}',
        b'{"Limit": -Infinity}',
        b'{"Limit": 01}',
        b'{"Limit": .5}',
        b'{"Limit": +1}',
        b'{"Limit": 1e}',
        b'{"Limit": 1e400, "x": NaN}',
        b'{"x": "\xff"}',
        b'{"x": "\xc3"}',
        b'{"x": "\xed\xa0\x80"}',
        b'{"x": "\xc0\x80"}',
        b'{"x": "\xf5\x80\x80\x80"}',
        b'{"x": "\\ud800"}',
        b'{"x": "\\udc00\\ud800"}',
        b'{"x": "\\ud800", "Limit": 1e400}',
        b'{"Limit": 1e400, "x": "\\ud800"}',
        b'{"x": "\\x41"}',
        b'{"x": "\x01"}',
        b'{"x": "\n"}',
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
        b"{}\x00",
        b"\x00",
        b" ",
    ],
)
def test_what_is_no_json_cannot_be_read_and_has_no_text(server, body) -> None:
    answer = ask(server, message(body=body))
    assert (answer.status, answer.json()) == (400, UNREADABLE)


@pytest.mark.parametrize("pair", [b"[]", b'{"a":}', b'{"M":{"a":}}'])
def test_json_nested_a_million_deep_cannot_be_read(server, pair) -> None:
    half = len(pair) // 2 if pair == b"[]" else pair.index(b":") + 1
    opening, closing = (pair[:1], pair[1:]) if pair == b"[]" else (pair[:half], b"}")
    if pair.count(b"{") == 2:
        opening, closing = b'{"M":{"a":', b"}}"
    deep = opening * 1_000_000 + b"1" + closing * 1_000_000
    answer = ask(server, message("PutItem", b'{"TableName":"Things","Item":' + deep + b"}"))
    assert (answer.status, answer.json()) == (400, UNREADABLE)


@pytest.mark.parametrize("depth", [64, 300, 500, 511, 900, 1022, 1023, 1024, 1500, 5000])
def test_json_of_any_depth_is_refused_and_never_a_fault_of_the_server(server, depth) -> None:
    deep = b'{"M":{"a":' * depth + b'{"S":"x"}' + b"}}" * depth
    answer = ask(server, message("PutItem", b'{"TableName":"Things","Item":{"id":{"S":"x"},"a":' + deep + b"}}"))
    assert (answer.status, answer.code) in ((400, "ValidationException"), (400, "SerializationException"))


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"[]", "Start of list found where not expected"),
        (b"[{}]", "Start of list found where not expected"),
        (b"1", "Unexpected field type"),
        (b'"x"', "Unexpected field type"),
        (b"true", "Unexpected field type"),
        (b"null", "Unexpected field type"),
    ],
)
def test_json_that_is_no_object_is_refused(server, body, text) -> None:
    answer = ask(server, message(body=body))
    assert (answer.status, answer.json()) == (400, {**UNREADABLE, "Message": text})


def test_of_members_of_one_name_the_last_counts(server) -> None:
    body = b'{"TableName":"Nowhere","TableName":"Things","Key":{"id":{"S":"none"}}}'
    assert ask(server, message("GetItem", body)).json() == {}


def test_members_that_the_operation_does_not_know_are_ignored(server) -> None:
    body = {"Surprise": {"a": [1, None]}, "TableName": "Things", "Key": {"id": {"S": "none"}}}
    assert ask(server, message("GetItem", body)).status == 200


def test_white_space_around_the_body_is_ignored(server) -> None:
    assert ask(server, message(body=b" \r\n\t{ } \n")).status == 200


# ---- wrong types of members

KEY = {"id": {"S": "x"}}
NAME = {"TableName": "Things"}
MAP_OF_VALUES = f"Unrecognized collection type java.util.Map<java.lang.String, {VALUE}>"
MAP_OF_NAMES = "Unrecognized collection type java.util.Map<java.lang.String, java.lang.String>"
CAST = (
    "class sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl cannot be cast to class java.lang.Class "
    "(sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl and java.lang.Class are in module java.base of "
    "loader 'bootstrap')"
)
LIST_OF_STRING = "Unrecognized collection type class java.lang.String"


@pytest.mark.parametrize(
    ("operation", "body", "text"),
    [
        ("PutItem", {**NAME, "Item": []}, MAP_OF_VALUES),
        ("PutItem", {**NAME, "Item": "x"}, "Unexpected field type"),
        ("PutItem", {**NAME, "Item": 1}, "Unexpected field type"),
        ("PutItem", {**NAME, "Item": {"id": "x"}}, "Unexpected value type in payload"),
        ("PutItem", {**NAME, "Item": {"id": ["x"]}}, f"Unrecognized collection type class {VALUE}"),
        ("PutItem", {**NAME, "Item": {"id": {"S": ["x"]}}}, LIST_OF_STRING),
        ("PutItem", {**NAME, "Item": {"id": {"S": {}}}}, STRUCTURE),
        ("PutItem", {**NAME, "Item": {"id": {"S": 1}}}, "NUMBER_VALUE cannot be converted to String"),
        ("PutItem", {**NAME, "Item": {"id": {"S": 1.5}}}, "DECIMAL_VALUE cannot be converted to String"),
        ("PutItem", {**NAME, "Item": {"id": {"N": True}}}, "TRUE_VALUE cannot be converted to String"),
        ("PutItem", {**NAME, "Item": {"id": {"N": False}}}, "FALSE_VALUE cannot be converted to String"),
        ("PutItem", {**NAME, "Item": {"id": {"L": {}}}}, STRUCTURE),
        ("PutItem", {**NAME, "Item": {"id": {"L": "x"}}}, "Unexpected field type"),
        ("PutItem", {**NAME, "Item": {"id": {"L": ["x"]}}}, "Unexpected value type in payload"),
        ("PutItem", {**NAME, "Item": {"id": {"M": []}}}, MAP_OF_VALUES),
        ("PutItem", {**NAME, "Item": {"id": {"M": 1}}}, "Unexpected field type"),
        ("PutItem", {**NAME, "Item": {"id": {"SS": {}}}}, STRUCTURE),
        ("PutItem", {**NAME, "Item": {"id": {"SS": [1]}}}, "NUMBER_VALUE cannot be converted to String"),
        ("PutItem", {**NAME, "Item": {"id": {"BOOL": "maybe"}}}, "Unexpected token received from parser"),
        ("PutItem", {**NAME, "Item": {"id": {"BOOL": 1}}}, "NUMBER_VALUE cannot be converted to Boolean"),
        ("PutItem", {**NAME, "Item": {"id": {"BOOL": 0.5}}}, "DECIMAL_VALUE cannot be converted to Boolean"),
        ("PutItem", {**NAME, "Item": {"id": {"NULL": {}}}}, STRUCTURE),
        ("PutItem", {**NAME, "Item": {"id": {"NULL": []}}}, None),
        ("PutItem", {**NAME, "Item": {"id": {"BOOL": []}}}, None),
        ("GetItem", {"TableName": 1, "Key": KEY}, "NUMBER_VALUE cannot be converted to String"),
        ("GetItem", {"TableName": ["x"], "Key": KEY}, LIST_OF_STRING),
        ("GetItem", {"TableName": {}, "Key": KEY}, STRUCTURE),
        ("GetItem", {**NAME, "Key": []}, MAP_OF_VALUES),
        ("GetItem", {**NAME, "Key": KEY, "ConsistentRead": {}}, STRUCTURE),
        (
            "GetItem",
            {**NAME, "Key": KEY, "ConsistentRead": []},
            "Unrecognized collection type class java.lang.Boolean",
        ),
        ("GetItem", {**NAME, "Key": KEY, "AttributesToGet": {}}, STRUCTURE),
        ("GetItem", {**NAME, "Key": KEY, "AttributesToGet": "x"}, "Unexpected field type"),
        ("GetItem", {**NAME, "Key": KEY, "ExpressionAttributeNames": []}, MAP_OF_NAMES),
        ("Query", {**NAME, "Limit": "1"}, "STRING_VALUE cannot be converted to Integer"),
        ("Query", {**NAME, "Limit": True}, "TRUE_VALUE cannot be converted to Integer"),
        ("Query", {**NAME, "Limit": {}}, STRUCTURE),
        (
            "Query",
            {**NAME, "KeyConditions": []},
            "Unrecognized collection type java.util.Map<java.lang.String, com.amazonaws.dynamodb.v20120810.Condition>",
        ),
        (
            "Query",
            {**NAME, "KeyConditions": {"id": []}},
            "Unrecognized collection type class com.amazonaws.dynamodb.v20120810.Condition",
        ),
        ("Scan", {**NAME, "Segment": "1"}, "STRING_VALUE cannot be converted to Integer"),
        ("Scan", {**NAME, "TotalSegments": False}, "FALSE_VALUE cannot be converted to Integer"),
        ("BatchGetItem", {"RequestItems": {"Things": {"Keys": ["x"]}}}, CAST),
        ("BatchGetItem", {"RequestItems": {"Things": "x"}}, "Unexpected value type in payload"),
        ("BatchWriteItem", {"RequestItems": {"Things": {}}}, CAST),
        (
            "BatchWriteItem",
            {"RequestItems": []},
            "Unrecognized collection type java.util.Map<java.lang.String, "
            "java.util.List<com.amazonaws.dynamodb.v20120810.WriteRequest>>",
        ),
        ("TransactWriteItems", {"TransactItems": {}}, STRUCTURE),
        ("TransactWriteItems", {"TransactItems": "x"}, "Unexpected field type"),
        ("TransactWriteItems", {"TransactItems": ["x"]}, "Unexpected value type in payload"),
        (
            "CreateTable",
            {**NAME, "ProvisionedThroughput": {"ReadCapacityUnits": "1", "WriteCapacityUnits": 1}},
            "STRING_VALUE cannot be converted to Long",
        ),
        ("CreateTable", {**NAME, "KeySchema": "x"}, "Unexpected field type"),
        ("UpdateItem", {**NAME, "Key": KEY, "UpdateExpression": 1}, "NUMBER_VALUE cannot be converted to String"),
        (
            "UpdateItem",
            {**NAME, "Key": KEY, "AttributeUpdates": []},
            "Unrecognized collection type java.util.Map<java.lang.String, "
            "com.amazonaws.dynamodb.v20120810.AttributeValueUpdate>",
        ),
        (
            "DeleteItem",
            {**NAME, "Key": KEY, "Expected": []},
            "Unrecognized collection type java.util.Map<java.lang.String, "
            "com.amazonaws.dynamodb.v20120810.ExpectedAttributeValue>",
        ),
    ],
)
def test_a_member_of_the_wrong_type_is_refused_in_the_services_words(server, operation, body, text) -> None:
    answer = ask(server, message(operation, body))
    assert (answer.status, answer.json()) == (400, UNREADABLE if text is None else {**UNREADABLE, "Message": text})


@pytest.mark.parametrize(
    ("number", "token"),
    [
        ("0", "NUMBER_VALUE"),
        ("-0", "NUMBER_VALUE"),
        ("18446744073709551616", "NUMBER_VALUE"),
        ("-" + "9" * 40, "NUMBER_VALUE"),
        ("9" * 5000, "NUMBER_VALUE"),
        ("1.0", "DECIMAL_VALUE"),
        ("1e3", "DECIMAL_VALUE"),
        ("1e30", "DECIMAL_VALUE"),
        ("-1E400", "DECIMAL_VALUE"),
    ],
)
def test_numbers_of_any_size_are_told_by_their_form(server, number, token) -> None:
    body = b'{"TableName":"Things","Key":{"id":{"BOOL":%b}}}' % number.encode()
    assert ask(server, message("GetItem", body)).text == f"{token} cannot be converted to Boolean"


@pytest.mark.parametrize("number", ["4294967296", str(2**70), "1e30", "1e400", "9" * 400, "9" * 5000, "2147483647.5"])
def test_a_huge_limit_saturates(server, number) -> None:
    answer = ask(server, message("Scan", b'{"TableName":"Things","Limit":%b}' % number.encode()))
    assert answer.status == 200


@pytest.mark.parametrize("number", ["-1", "0", "0.9", str(-(2**70)), "-1e400"])
def test_a_limit_that_saturates_below_one_is_refused(server, number) -> None:
    answer = ask(server, message("Scan", b'{"TableName":"Things","Limit":%b}' % number.encode()))
    assert answer.code == "ValidationException"


# ---- there and back


def back(wire: Wire, key: str, **attributes: Any) -> dict[str, Any]:
    answer = wire.ask(put(key, **attributes))
    assert answer.status == 200, answer.body
    item: dict[str, Any] = wire.ask(get(key)).json()["Item"]
    return item


# everything but surrogates
TEXT = st.text(st.characters(codec="utf-8"), max_size=40)


@settings(max_examples=150, deadline=None)
@given(name=TEXT.filter(bool), text=TEXT, data=st.binary(max_size=60))
def test_text_and_bytes_come_back_as_they_were(server, name, text, data) -> None:
    encoded = base64.b64encode(data).decode()
    if name == "id":
        name = "other"
    attributes = {name: {"M": {name: {"S": text}, "b" + name: {"B": encoded}}}}
    with connected(server) as wire:
        assert back(wire, "x", **attributes) == {"id": {"S": "x"}, **attributes}


@settings(max_examples=60, deadline=None)
@given(key=TEXT.filter(bool))
def test_any_text_is_a_key(server, key) -> None:
    with connected(server) as wire:
        assert back(wire, key) == {"id": {"S": key}}


@pytest.mark.parametrize(
    "text", ["", "\x00", "\x7f\x80\x9f", "\u2028\u2029", "\ufeff", "\ufffe\uffff", "\U0010ffff", "a\u0301", '"\\/\b\f']
)
def test_special_characters_come_back_escaped_or_not(server, text) -> None:
    raw = json.dumps({"TableName": "Things", "Item": {"id": {"S": "x"}, "t": {"S": text}}}, ensure_ascii=False)
    with connected(server) as wire:
        for body in (raw, json.dumps(json.loads(raw))):
            assert wire.ask(message("PutItem", body.encode())).status == 200
            assert wire.ask(get("x")).json()["Item"]["t"] == {"S": text}


def test_empty_texts_bytes_lists_and_maps_come_back(server) -> None:
    attributes: dict[str, Any] = {"s": {"S": ""}, "b": {"B": ""}, "l": {"L": []}, "m": {"M": {}}}
    with connected(server) as wire:
        assert back(wire, "x", **attributes) == {"id": {"S": "x"}, **attributes}


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("0", "0"),
        ("-0", "0"),
        ("1.10", "1.1"),
        ("100", "100"),
        ("1E2", "100"),
        ("12345678901234567890123456789012345678", "12345678901234567890123456789012345678"),
        ("0.1234567890123456789012345678901234567", "0.1234567890123456789012345678901234567"),
        ("9007199254740993", "9007199254740993"),
    ],
)
def test_numbers_are_exact(server, sent, stored) -> None:
    with connected(server) as wire:
        assert back(wire, "x", n={"N": sent})["n"] == {"N": stored}


@pytest.mark.parametrize("text", ["*", "YQ", "YQ=", "YQ==YQ==", "Y Q==", "YQ==\n", "YQ==\u00e9", "YR=="])
def test_bytes_that_are_no_base64_are_refused_or_read_as_they_are_meant(server, text) -> None:
    answer = ask(server, put("x", b={"B": text}))
    assert answer.status == 200 if text == "YR==" else answer.code == "SerializationException"
