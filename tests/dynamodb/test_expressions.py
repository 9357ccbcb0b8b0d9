"""Expressions: texts of faults, evaluation against every type, updates, projections, key conditions."""

from __future__ import annotations

import pytest

from lsm.dynamodb import ApiError
from lsm.dynamodb.expressions import Condition, KeyCondition, Projection, Update

CONDITION = "ConditionExpression"
VALUES = {":v": {"N": "1"}, ":w": {"S": "x"}, ":l": {"L": []}, ":s": {"SS": ["a"]}}
NAMES = {"#c": "c", "#s": "s"}


def text_of(call, *arguments):
    with pytest.raises(ApiError) as caught:
        call(*arguments)
    return caught.value.message


def condition(text, names=NAMES, values=VALUES):
    made = Condition.parse(CONDITION, text, names, values)
    made.check()
    return made


def update(text, item, values=VALUES, names=NAMES):
    made = Update.parse(text, names, values)
    made.check()
    return made.apply(item)


@pytest.mark.parametrize(
    ("text", "token", "near"),
    [
        ("attribute_not_exists(", "<EOF>", "("),
        ("a = :v AND", "<EOF>", "AND"),
        ("(a = :v", "<EOF>", ":v"),
        ("a[", "<EOF>", "["),
        ("attribute_exists(pk) x y", "x", ") x y"),
        ("attribute_exists(pk,)", ")", ",)"),
        ("a = :v)", ")", ":v)"),
        ("a = = :v", "=", "= = :v"),
        ("= :v", "=", "= :v"),
        ("a IN ()", ")", "()"),
        ("a BETWEEN :v OR :w", "OR", ":v OR :w"),
        ("a[x] = :v", "x", "[x]"),
        ("a = :v !", "!", ":v !"),
        ("!!! INVALID !!!", "!", "!!"),
        ("l[00] = :v", "0", "00]"),
        ("l[01] = :v", "1", "01]"),
        ("l[007] = :v", "0", "007"),
        ("   ", "<EOF>", "   "),
        ("NOT #c", "<EOF>", "#c"),
    ],
)
def test_a_syntax_error_shows_token_and_surroundings(text, token, near):
    fault = text_of(Condition.parse, CONDITION, text, NAMES, VALUES)
    assert fault == f'Invalid ConditionExpression: Syntax error; token: "{token}", near: "{near}"'


@pytest.mark.parametrize("text", ["((a = :v))", "((a = :v AND b = :v))", "((a = :v)) AND (b = :v)"])
def test_redundant_parentheses_are_refused(text):
    fault = text_of(condition, text)
    assert fault == "Invalid ConditionExpression: The expression has redundant parentheses;"


@pytest.mark.parametrize(
    "text",
    [
        "(a = :v) AND (b = :v)",
        "(a = :v AND b = :v)",
        "(a = :v AND (b = :v))",
        "a = :v OR (b = :v AND c = :v)",
        "(a) = :v",
        "((a) = :v)",
        "(size(a)) > (:v)",
        "NOT (a = :v)",
        "not (a = :v) and\n\tb in (:v, :w) or attribute_type(c, :t)",
        "contains(a.b[0].#c, :v)",
        "a BETWEEN :v AND :v AND b = :v",
    ],
)
def test_what_the_grammar_takes(text):
    condition(text, NAMES, {**VALUES, ":t": {"S": "SS"}}).holds({})


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a < :l", "Incorrect operand type for operator or function; operator or function: <, operand type: L"),
        (
            "begins_with(a, :v)",
            "Incorrect operand type for operator or function; operator or function: begins_with, operand type: N",
        ),
        (
            "a = a",
            "The first operand must be distinct from the remaining operands for this operator or function; "
            "operator: =, first operand: [a]",
        ),
        ("status = :v", "Attribute name is a reserved keyword; reserved keyword: status"),
        ("a.Status = :v", "Attribute name is a reserved keyword; reserved keyword: Status"),
        ("foo(a) = :v", "Invalid function name; function: foo"),
        (
            "a = :zz",
            "An expression attribute value used in expression is not defined; attribute value: :zz",
        ),
        (
            "#zz = :v",
            "An expression attribute name used in the document path is not defined; attribute name: #zz",
        ),
        (
            "a BETWEEN :five AND :v",
            "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; "
            "lower bound operand: AttributeValue: {N:5}, upper bound operand: AttributeValue: {N:1}",
        ),
        (
            "a BETWEEN :w AND :v",
            "The BETWEEN operator requires same data type for lower and upper bounds; "
            "lower bound operand: AttributeValue: {S:x}, upper bound operand: AttributeValue: {N:1}",
        ),
        ("", "The expression can not be empty;"),
        ("a = :v OR " * 600 + "a = :v", "Expression size has exceeded the maximum allowed size;"),
    ],
)
def test_the_words_of_a_fault(text, fault):
    assert text_of(condition, text, NAMES, {**VALUES, ":five": {"N": "5"}}) == f"Invalid ConditionExpression: {fault}"


ITEM = {
    "n": {"N": "10"},
    "s": {"S": "héllo"},
    "b": {"B": b"\x01\x02"},
    "ss": {"SS": ["a", "b"]},
    "ns": {"NS": ["1", "2.5"]},
    "l": {"L": [{"N": "1"}, {"M": {"x": {"S": "y"}}}]},
    "m": {"M": {"k": {"N": "7"}}},
    "t": {"BOOL": True},
    "z": {"NULL": True},
}


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("n = :a", {":a": {"N": "10"}}, True),
        ("n = :a", {":a": {"S": "10"}}, False),
        ("n <> :a", {":a": {"S": "10"}}, True),
        ("gone = :a", {":a": {"S": "10"}}, False),
        ("gone <> :a", {":a": {"S": "10"}}, True),
        ("NOT gone = :a", {":a": {"S": "10"}}, True),
        ("gone <> gone2", {}, True),
        ("n < :a", {":a": {"N": "9"}}, False),
        ("n > :a", {":a": {"N": "9"}}, True),
        ("n >= :a AND n <= :a", {":a": {"N": "10"}}, True),
        ("n < :a", {":a": {"S": "z"}}, False),
        ("s BETWEEN :a AND :b", {":a": {"S": "h"}, ":b": {"S": "i"}}, True),
        ("n IN (:a, :b)", {":a": {"N": "3"}, ":b": {"N": "10"}}, True),
        ("begins_with(s, :a)", {":a": {"S": "hé"}}, True),
        ("begins_with(b, :a)", {":a": {"B": b"\x01"}}, True),
        ("contains(s, :a)", {":a": {"S": "llo"}}, True),
        ("contains(ss, :a)", {":a": {"S": "b"}}, True),
        ("contains(ns, :a)", {":a": {"N": "2.5"}}, True),
        ("contains(l, :a)", {":a": {"N": "1"}}, True),
        ("contains(gone, :a)", {":a": {"N": "1"}}, False),
        ("size(s) = :a", {":a": {"N": "5"}}, True),
        ("size(b) = :a", {":a": {"N": "2"}}, True),
        ("size(l) = :a AND size(m) = :b", {":a": {"N": "2"}, ":b": {"N": "1"}}, True),
        ("size(n) = :a", {":a": {"N": "2"}}, False),
        ("attribute_type(z, :a)", {":a": {"S": "NULL"}}, True),
        ("attribute_type(t, :a)", {":a": {"S": "S"}}, False),
        ("attribute_exists(l[1].x)", {}, True),
        ("attribute_not_exists(l[2])", {}, True),
        ("l[1].x = :a", {":a": {"S": "y"}}, True),
        ("m.k > :a", {":a": {"N": "6"}}, True),
        ("NOT n = :a OR t = :b", {":a": {"N": "10"}, ":b": {"BOOL": True}}, True),
    ],
)
def test_evaluation(text, values, expected):
    assert condition(text, {}, values).holds(ITEM) is expected


def test_size_of_a_string_counts_utf16_units():
    assert condition("size(a) = :n", {}, {":n": {"N": "3"}}).holds({"a": {"S": "é\U0001f600"}})


@pytest.mark.parametrize(
    ("text", "before", "after"),
    [
        ("SET a = a + :v, b = a", {"a": {"N": "41"}}, {"a": {"N": "42"}, "b": {"N": "41"}}),
        ("SET a = :v - a", {"a": {"N": "3"}}, {"a": {"N": "-2"}}),
        ("SET b = if_not_exists(b, :w)", {}, {"b": {"S": "x"}}),
        ("SET b = if_not_exists(b, :w)", {"b": {"N": "1"}}, {"b": {"N": "1"}}),
        ("SET l = list_append(if_not_exists(l, :l), :l)", {}, {"l": {"L": []}}),
        (
            "SET l[5] = :v, l[0] = :w REMOVE l[1]",
            {"l": {"L": [{"N": "0"}, {"N": "1"}, {"N": "2"}]}},
            {"l": {"L": [{"S": "x"}, {"N": "2"}, {"N": "1"}]}},
        ),
        ("REMOVE l[0], l[1]", {"l": {"L": [{"N": "0"}, {"N": "1"}, {"N": "2"}]}}, {"l": {"L": [{"N": "2"}]}}),
        ("ADD n :v, s :s", {"n": {"N": "2"}, "s": {"SS": ["b"]}}, {"n": {"N": "3"}, "s": {"SS": ["a", "b"]}}),
        ("ADD n :v", {}, {"n": {"N": "1"}}),
        ("DELETE s :s", {"s": {"SS": ["a"]}}, {}),
        ("DELETE m.s :s", {"m": {"M": {"s": {"SS": ["a"]}}}}, {"m": {"M": {}}}),
        ("DELETE l[0] :s", {"l": {"L": [{"SS": ["a"]}, {"N": "1"}]}}, {"l": {"L": [{"N": "1"}]}}),
        ("REMOVE gone", {"a": {"N": "1"}}, {"a": {"N": "1"}}),
        ("SET m.a = :v, m.b = :w", {"m": {"M": {}}}, {"m": {"M": {"a": {"N": "1"}, "b": {"S": "x"}}}}),
        ("SET #c.#s = :v", {"c": {"M": {}}}, {"c": {"M": {"s": {"N": "1"}}}}),
    ],
)
def test_updates(text, before, after):
    kept = repr(before)
    assert update(text, before) == after
    assert repr(before) == kept


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("SET a.b = :v", "The document path provided in the update expression is invalid for update"),
        ("REMOVE zz.y", "The document path provided in the update expression is invalid for update"),
        ("SET a = b", "The provided expression refers to an attribute that does not exist in the item"),
        ("SET a = t + :v", "An operand in the update expression has an incorrect data type"),
        ("ADD t :v", "An operand in the update expression has an incorrect data type"),
        (
            "ADD a :w",
            "Invalid UpdateExpression: Incorrect operand type for operator or function; operator: ADD, "
            "operand type: STRING, typeSet: ALLOWED_FOR_ADD_OPERAND",
        ),
        (
            "SET a = :w + :v",
            "Invalid UpdateExpression: Incorrect operand type for operator or function; operator or function: +, "
            "operand type: S",
        ),
        (
            "SET a = :v, a.b = :v",
            "Invalid UpdateExpression: Two document paths overlap with each other; must remove or rewrite one of "
            "these paths; path one: [a], path two: [a, b]",
        ),
        (
            "SET a.b = :v, a[0] = :v",
            "Invalid UpdateExpression: Two document paths conflict with each other; must remove or rewrite one of "
            "these paths; path one: [a, b], path two: [a, [0]]",
        ),
        (
            "SET a = :v SET b = :v",
            'Invalid UpdateExpression: The "SET" section can only be used once in an update expression;',
        ),
        ("SET a :v", 'Invalid UpdateExpression: Syntax error; token: ":v", near: "a :v"'),
        (
            "INVALID SYNTAX HERE",
            'Invalid UpdateExpression: Syntax error; token: "INVALID", near: "INVALID SYNTAX"',
        ),
    ],
)
def test_the_words_of_an_update_that_does_not_fit(text, fault):
    assert text_of(update, text, {"a": {"N": "1"}, "t": {"S": "x"}}) == fault


def test_arithmetic_is_exact_to_38_digits_and_refuses_more():
    big, one = {":v": {"N": "1" + "0" * 37}}, {"n": {"N": "1"}}
    assert update("ADD n :v", one, big) == {"n": {"N": "1" + "0" * 36 + "1"}}
    with pytest.raises(ApiError):
        update("ADD n :v", {"n": {"N": "0.1"}}, big)
    assert "overflow" in text_of(update, "ADD n :v", {"n": {"N": "9" + "0" * 125}}, {":v": {"N": "9" + "0" * 125}})


@pytest.mark.parametrize(
    ("text", "charge"),
    [
        ("SET b = :pad", 23 + 1),
        ("SET b = :pad, n = n + :one", 95 + 1),
        ("SET b = :pad, n = n - :one", 98 + 1),
        ("SET b = :pad, c = if_not_exists(c, :pad)", 99 + 1),
        ("SET b = :pad, l = list_append(l, :new)", 110 + 1),
        ("SET b = :pad REMOVE m.y", 30 + 1),
    ],
)
def test_the_charge_of_an_update(text, charge):
    values = {":pad": {"S": "p"}, ":one": {"N": "1"}, ":new": {"L": [{"S": "0123456789"}]}}
    made = Update.parse(text, {}, values)
    made.check()
    assert made.charge() == charge


def test_a_projection_closes_lists_up_and_merges_parts():
    projection = Projection.parse("l[2], l[0].a, m.x.y, gone, q", {})
    projection.check()
    item = {
        "l": {"L": [{"M": {"a": {"S": "1"}, "b": {"S": "2"}}}, {"N": "1"}, {"N": "2"}]},
        "m": {"M": {"x": {"M": {"y": {"N": "1"}, "z": {"N": "2"}}}}},
        "r": {"N": "1"},
    }
    assert projection.of(item) == {
        "l": {"L": [{"M": {"a": {"S": "1"}}}, {"N": "2"}]},
        "m": {"M": {"x": {"M": {"y": {"N": "1"}}}}},
    }


def test_updated_attributes_are_the_touched_paths():
    made = Update.parse("SET m.a = :v, l[0] = :v REMOVE gone", {}, VALUES)
    made.check()
    item = {"m": {"M": {"a": {"N": "1"}, "b": {"N": "2"}}}, "l": {"L": [{"N": "1"}, {"N": "2"}]}}
    assert made.touched(item) == {"m": {"M": {"a": {"N": "1"}}}, "l": {"L": [{"N": "1"}, {"N": "2"}]}}


def bound(text, values=VALUES, hashes=("pk",), ranges=("sk",), types=None):
    made = KeyCondition.parse(text, {}, values)
    made.check()
    return made.bind(hashes, ranges, types or {"pk": "S", "sk": "S"})


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("pk = :w OR sk = :w", "Invalid KeyConditionExpression: Invalid operator used in KeyConditionExpression: OR"),
        ("sk = :w", "Query condition missed key schema element: pk"),
        ("pk > :w", "Query key condition not supported"),
        ("pk = :w AND x = :w", "Query condition missed key schema element: sk"),
        (
            "pk = :w AND sk = :w AND x = :w",
            "The number of query conditions (3) exceeds the number of key attributes defined in the schema (2)",
        ),
        (
            "pk = :w AND a.b = :v",
            "Invalid KeyConditionExpression: KeyConditionExpressions cannot have conditions on nested attributes",
        ),
        (
            "pk = :w AND pk = :w",
            "Invalid KeyConditionExpression: KeyConditionExpressions must only contain one condition per key",
        ),
        (
            "pk = :w AND begins_with(sk, :v)",
            "Invalid KeyConditionExpression: Incorrect operand type for operator or function; operator or function: "
            "begins_with, operand type: N",
        ),
        (
            "pk = :v",
            "One or more parameter values were invalid: Condition parameter type does not match schema type",
        ),
    ],
)
def test_the_words_of_a_key_condition_that_does_not_fit(text, fault):
    assert text_of(bound, text) == fault


def test_a_value_may_stand_on_the_left_of_a_key_condition():
    assert bound("pk = :w AND :w <= sk").ranges[0].operator == ">="


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "a = :w",
            "HASH key attributes b must have equality conditions specified in the query",
        ),
        (
            "a = :w AND b = :w AND d = :w",
            "RANGE key attributes c must have equality conditions specified in the query because a condition is "
            "present on key attribute d",
        ),
    ],
)
def test_keys_of_several_attributes(text, fault):
    types = dict.fromkeys("abcd", "S")
    assert text_of(bound, text, VALUES, ("a", "b"), ("c", "d"), types) == fault
    assert len(bound("b = :w AND a = :w AND c = :w AND d > :w", VALUES, ("a", "b"), ("c", "d"), types).ranges) == 2
