"""Texts of expressions by the published rules of the service, line by line: what is refused, in which words, in which
envelope, and what comes first."""

from __future__ import annotations

import pytest

from lsm.dynamodb import ApiError
from lsm.dynamodb.expressions import Condition, KeyCondition, Projection, Update

ENVELOPE = "1 validation error detected: "
KIND = "ConditionExpression"
OPERAND = "Incorrect operand type for operator or function; operator or function: {}, operand type: {}"
DISTINCT = (
    "The first operand must be distinct from the remaining operands for this operator or function; "
    "operator: {}, first operand: {}"
)
VALUES = {
    ":v": {"S": "v"},
    ":w": {"S": "w"},
    ":n": {"N": "5"},
    ":four": {"N": "4"},
    ":b": {"B": b"abc"},
    ":b2": {"B": b"a"},
    ":bool": {"BOOL": True},
    ":null": {"NULL": True},
    ":ss": {"SS": ["a"]},
    ":ns": {"NS": ["1"]},
    ":bs": {"BS": [b"a"]},
    ":l": {"L": []},
    ":m": {"M": {}},
    ":N": {"S": "N"},
    ":bad": {"S": "Q"},
}


def condition_fault(text, kind=KIND, names=None):
    with pytest.raises(ApiError) as caught:
        Condition.parse(kind, text, names or {}, VALUES).check()
    message = caught.value.message
    begin = f"Invalid {kind}: "
    assert message.startswith(begin)
    return message[len(begin) :]


def update_fault(text, names=None):
    with pytest.raises(ApiError) as caught:
        Update.parse(text, names or {}, VALUES).check()
    return caught.value.message.removeprefix("Invalid UpdateExpression: ")


def projection_fault(text, names=None):
    with pytest.raises(ApiError) as caught:
        Projection.parse(text, names or {}).check()
    return caught.value.message.removeprefix("Invalid ProjectionExpression: ")


# ---- syntax

WINDOWS = [
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
    ("NOT #bool", "<EOF>", "#bool"),
    ("a  =\t=  :v", "=", "=\t=  :v"),
    ("caf\u00e9 = :v", "\u00e9", "caf\u00e9 ="),
    ("a = \u20ac", "\u20ac", "= \u20ac"),
    ("a\u00a0= :v", "\u00a0", "a\u00a0="),
    ("\U0001f600 = :v", "\U0001f600", "\U0001f600 ="),
    ("_id = :v", "_", "_id"),
    ("a[:v] = :v", ":v", "[:v]"),
    ("a[#i] = :v", "#i", "[#i]"),
    ("a[-1] = :v", "-", "[-1"),
    (":v", "<EOF>", ":v"),
    ("a", "<EOF>", "a"),
    ("", None, None),
]


@pytest.mark.parametrize(("text", "token", "near"), WINDOWS[:-1])
def test_a_syntax_error_names_the_token_and_its_neighbours(text, token, near):
    assert condition_fault(text) == f'Syntax error; token: "{token}", near: "{near}"'


@pytest.mark.parametrize(
    ("text", "token", "near"),
    [
        ("SET a :v", ":v", "a :v"),
        ("INVALID SYNTAX HERE", "INVALID", "INVALID SYNTAX"),
        (" \t ", "<EOF>", " \t "),
        ("SET a = :v, ", "<EOF>", ","),
        ("set _something = :v", "_", "set _something"),
        ("SET a = b + c + d", "+", "c + d"),
        ("ADD a b", "b", "a b"),
        ("REMOVE a = :v", "=", "a = :v"),
        ("SET a = :v SETT b = :v", "SETT", ":v SETT b"),
    ],
)
def test_a_syntax_error_of_an_update(text, token, near):
    assert update_fault(text) == f'Syntax error; token: "{token}", near: "{near}"'


@pytest.mark.parametrize(
    ("text", "token", "near"),
    [("a,", "<EOF>", ","), ("  ", "<EOF>", "  "), ("a b", "b", "a b"), ("size(a)", "(", "size(a"), (":v", ":v", ":v")],
)
def test_a_syntax_error_of_a_projection(text, token, near):
    assert projection_fault(text) == f'Syntax error; token: "{token}", near: "{near}"'


@pytest.mark.parametrize("kind", [KIND, "FilterExpression", "KeyConditionExpression"])
def test_each_parameter_names_itself(kind):
    assert condition_fault("", kind) == "The expression can not be empty;"
    assert condition_fault("\n", kind) == 'Syntax error; token: "<EOF>", near: "\n"'
    assert condition_fault("a = :v" + " " * 4091, kind) == "Expression size has exceeded the maximum allowed size;"
    assert condition_fault("nope(a)", kind) == "Invalid function name; function: nope"
    assert condition_fault("((a = :v))", kind) == "The expression has redundant parentheses;"


def test_the_size_of_a_text_is_that_of_its_bytes():
    Condition.parse(KIND, "a = :v" + " " * 4090, {}, VALUES).check()
    assert "Syntax" in condition_fault("a = " + "\u00e9" * 2046)
    assert "size" in condition_fault("a = " + "\u00e9" * 2047)


@pytest.mark.parametrize(
    "text",
    [
        "(a = :v)",
        "(a = :v) AND (b = :v)",
        "(a = :v AND b = :v)",
        "(a = :v AND (b = :v))",
        "a = :v OR (b = :v AND c = :v)",
    ]
    + [
        "(a) = (:v)",
        "NOT (a = :v)",
        "(NOT (a = :v))",
        "size((a)) > :n",
        "aNd_ = :v",
        "a=:v\nAND\tb=:v",
        "a.b[0][1].c = :v",
    ]
    + ["not a = :v", "a between :v And :w", "a in (:v)", "a IN (:v,:w)", "#n.#m[3] = :v", "(size(a)) = :n"],
)
def test_what_the_grammar_takes(text):
    Condition.parse(KIND, text, {"#n": "n", "#m": "m"}, VALUES).check()


@pytest.mark.parametrize("text", ["((a = :v))", "((a = :v AND b = :v))", "((a = :v)) AND (b = :v)", "((a)) = :v"])
def test_a_group_that_is_all_of_another_is_redundant(text):
    assert condition_fault(text) == "The expression has redundant parentheses;"


@pytest.mark.parametrize(
    "text",
    [
        "(" * 2000 + "a = :v" + ")" * 2000,
        "(" * 4000,
        "(" * 2000 + "a" + ")" * 2000 + " = :v",
        "NOT(" * 1000,
        "size(" * 800,
    ]
    + ["NOT " * 1000 + "a = :v", "a = :v AND (" * 300, "a.b" + ".c" * 1000 + " = :v"],
)
def test_texts_nested_as_deep_as_they_are_long_are_refused(text):
    assert condition_fault(text)


@pytest.mark.parametrize(
    "text", ["SET a = " + "(" * 4000, "SET a = " + "if_not_exists(a, " * 230, "SET a = " + "(a + " * 700]
)
def test_updates_nested_as_deep_as_they_are_long_are_refused(text):
    assert update_fault(text)


def test_three_hundred_operators_are_taken():
    chain = "NOT(" * 299 + "a = :v" + ")" * 299
    condition = Condition.parse(KIND, chain, {}, VALUES)
    condition.check()
    assert condition.holds({}) is True
    many = " OR ".join(["a = :v"] * 151)
    assert condition_fault(many) == "The expression contains too many operators; operator count: 301"
    Condition.parse(KIND, " OR ".join(["a = :v"] * 150), {}, VALUES).check()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("Status = :v", "Attribute name is a reserved keyword; reserved keyword: Status"),
        ("a.name = :v AND size = :v", "Attribute name is a reserved keyword; reserved keyword: name"),
        ("a = :nope", "An expression attribute value used in expression is not defined; attribute value: :nope"),
        ("#x = :v", "An expression attribute name used in the document path is not defined; attribute name: #x"),
        ("ATTRIBUTE_EXISTS(a)", "Invalid function name; function: ATTRIBUTE_EXISTS"),
        ("if_not_exists(a, :v)", "The function is not allowed in a condition expression; function: if_not_exists"),
        (
            "a = if_not_exists(a, :v)",
            "The function is not allowed in a condition expression; function: if_not_exists",
        ),
        ("size(a)", "The function is not allowed to be used this way in an expression; function: size"),
        (
            "attribute_exists(a) = :v",
            "The function is not allowed to be used this way in an expression; function: attribute_exists",
        ),
        (
            "attribute_exists(a, b)",
            "Incorrect number of operands for operator or function; operator or function: attribute_exists, "
            "number of operands: 2",
        ),
        (
            "contains(a)",
            "Incorrect number of operands for operator or function; operator or function: contains, number of operands: 1",
        ),
        (
            "attribute_exists(:v)",
            "Operator or function requires a document path; operator or function: attribute_exists",
        ),
        ("begins_with(a, :n)", OPERAND.format("begins_with", "N")),
        ("begins_with(a, :bool)", OPERAND.format("begins_with", "BOOL")),
        ("begins_with(a, :ss)", OPERAND.format("begins_with", "SS")),
        ("begins_with(a, :m)", OPERAND.format("begins_with", "M")),
        ("size(:n) > :n", OPERAND.format("size", "N")),
        ("a < :bool", OPERAND.format("<", "BOOL")),
        ("a <= :null", OPERAND.format("<=", "NULL")),
        ("a > :ss", OPERAND.format(">", "SS")),
        ("NOT a >= :l", OPERAND.format(">=", "L")),
        ("b = :v OR a < :m", OPERAND.format("<", "M")),
        ("a BETWEEN :ns AND :n", OPERAND.format("BETWEEN", "NS")),
        ("attribute_type(a, :n)", OPERAND.format("attribute_type", "N")),
        (
            "attribute_type(a, :bad)",
            "Invalid attribute type name found; type: Q, valid types: {N,BS,L,B,NULL,M,S,SS,NS,BOOL}",
        ),
        ("contains(a, a)", DISTINCT.format("contains", "[a]")),
        ("a = a", DISTINCT.format("=", "[a]")),
        ("m.a < m.a", DISTINCT.format("<", "[m, a]")),
        ("l[0] BETWEEN :v AND l[0]", DISTINCT.format("BETWEEN", "[l, [0]]")),
        ("a IN (:v, a)", DISTINCT.format("IN", "[a]")),
        (
            "a BETWEEN :n AND :four",
            "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; "
            "lower bound operand: AttributeValue: {N:5}, upper bound operand: AttributeValue: {N:4}",
        ),
        (
            "a BETWEEN :v AND :four",
            "The BETWEEN operator requires same data type for lower and upper bounds; "
            "lower bound operand: AttributeValue: {S:v}, upper bound operand: AttributeValue: {N:4}",
        ),
        (
            "a BETWEEN :b AND :b2",
            "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; lower bound operand: "
            "AttributeValue: {B:java.nio.HeapByteBuffer[pos=0 lim=3 cap=3]}, upper bound operand: "
            "AttributeValue: {B:java.nio.HeapByteBuffer[pos=0 lim=1 cap=1]}",
        ),
        (
            f"a IN ({', '.join([':v'] * 101)})",
            "The IN operator is provided with too many operands; number of operands: 101",
        ),
        (
            "a" + ".b" * 32 + " = :v",
            "The document path has too many nesting levels; nesting levels: 33",
        ),
        ("l[2147483648] = :v", "List index is not within the allowable range; index: [2147483648]"),
    ],
)
def test_the_words_of_a_condition_that_is_refused(text, fault):
    assert condition_fault(text) == fault


def test_what_stands_just_below_the_limits_is_taken():
    for text in (f"a IN ({', '.join([':v'] * 100)})", "a" + ".b" * 31 + " = :v", "a BETWEEN :v AND :v"):
        Condition.parse(KIND, text, {}, VALUES).check()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "The expression can not be empty;"),
        ("SET set = :v", 'Syntax error; token: "set", near: "SET set ="'),
        ("SET a.status = :v", "Attribute name is a reserved keyword; reserved keyword: status"),
        ("SET a = :v SET b = :v", 'The "SET" section can only be used once in an update expression;'),
        ("REMOVE a remove b", 'The "REMOVE" section can only be used once in an update expression;'),
        ("ADD a :n ADD b :n", 'The "ADD" section can only be used once in an update expression;'),
        ("DELETE a :ss DELETE b :ss", 'The "DELETE" section can only be used once in an update expression;'),
        ("SET a = nope(a)", "Invalid function name; function: nope"),
        ("SET a = size(a)", "The function is not allowed in an update expression; function: size"),
        (
            "SET a = if_not_exists(:v, a)",
            "Operator or function requires a document path; operator or function: if_not_exists",
        ),
        (
            "SET a = list_append(a)",
            "Incorrect number of operands for operator or function; operator or function: list_append, "
            "number of operands: 1",
        ),
        ("SET a = a + :v", OPERAND.format("+", "S")),
        ("SET a = :v - a", OPERAND.format("-", "S")),
        ("SET a = list_append(a, :n)", OPERAND.format("list_append", "N")),
        *[
            (
                f"{section} a {value}",
                f"Incorrect operand type for operator or function; operator: {section}, operand type: {word}, "
                "typeSet: ALLOWED_FOR_ADD_OPERAND",
            )
            for section, value, word in [
                ("ADD", ":v", "STRING"),
                ("ADD", ":b", "Binary"),
                ("ADD", ":bool", "BOOL"),
                ("ADD", ":null", "NULL"),
                ("ADD", ":l", "LIST"),
                ("ADD", ":m", "MAP"),
                ("DELETE", ":n", "NUMBER"),
                ("DELETE", ":v", "STRING"),
            ]
        ],
        *[
            (
                text,
                "Two document paths overlap with each other; must remove or rewrite one of these paths; "
                f"path one: {one}, path two: {two}",
            )
            for text, one, two in [
                ("SET a = :v, a.b = :v", "[a]", "[a, b]"),
                ("SET a.b = :v REMOVE a", "[a, b]", "[a]"),
                ("SET a = :v, a = :w", "[a]", "[a]"),
                ("SET #a = :v ADD a :n", "[a]", "[a]"),
                ("SET l[0].x = :v REMOVE l[0]", "[l, [0], x]", "[l, [0]]"),
            ]
        ],
        (
            "SET a.b = :v, a[0] = :v",
            "Two document paths conflict with each other; must remove or rewrite one of these paths; "
            "path one: [a, b], path two: [a, [0]]",
        ),
    ],
)
def test_the_words_of_an_update_that_is_refused(text, fault):
    assert update_fault(text, {"#a": "a"}) == fault


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "The expression can not be empty;"),
        ("a, status", "Attribute name is a reserved keyword; reserved keyword: status"),
        ("#x", "An expression attribute name used in the document path is not defined; attribute name: #x"),
        (
            "a, a.b",
            "Two document paths overlap with each other; must remove or rewrite one of these paths; "
            "path one: [a], path two: [a, b]",
        ),
        (
            "b, c, b",
            "Two document paths overlap with each other; must remove or rewrite one of these paths; "
            "path one: [b], path two: [b]",
        ),
        ("a" + ".b" * 32, "The document path has too many nesting levels; nesting levels: 33"),
    ],
)
def test_the_words_of_a_projection_that_is_refused(text, fault):
    assert projection_fault(text) == fault


# ---- requests: who is enveloped, and what comes first

KEY = {"pk": {"S": "k"}}
V = {":v": {"S": "v"}}
USAGE = "{} can only be specified when using expressions"
UNUSED_N = "Value provided in ExpressionAttributeNames unused in expressions: keys: {{{}}}"
UNUSED_V = "Value provided in ExpressionAttributeValues unused in expressions: keys: {{{}}}"
BOTH = (
    "Can not use both expression and non-expression parameters in the same request: "
    "Non-expression parameters: {{{}}} Expression parameters: {{{}}}"
)


def names(**more):
    return {f"#{name}": held for name, held in more.items()}


WRITES = [
    ("PutItem", {"Item": KEY}, KIND),
    ("DeleteItem", {"Key": KEY}, KIND),
    ("UpdateItem", {"Key": KEY}, KIND),
    ("UpdateItem", {"Key": KEY}, "UpdateExpression"),
]
READS = [
    ("GetItem", {"Key": KEY}, "ProjectionExpression"),
    ("Scan", {}, "FilterExpression"),
    ("Query", {}, "KeyConditionExpression"),
]


@pytest.mark.parametrize(("operation", "request_", "member"), WRITES + READS)
def test_texts_of_expressions_are_enveloped_on_writes_and_bare_on_reads(hashes, operation, request_, member):
    begin = ENVELOPE if operation in ("PutItem", "DeleteItem", "UpdateItem") else ""

    def fault(text, **more):
        return hashes.fault(operation, TableName="hashes", **request_, **{member: text}, **more)

    clean = {"UpdateExpression": "SET a = :v", "ProjectionExpression": "a"}.get(member, "pk = :v")
    given = {} if operation == "GetItem" else {"ExpressionAttributeValues": V}
    assert fault("") == f"{begin}Invalid {member}: The expression can not be empty;"
    assert fault(" ") == f'{begin}Invalid {member}: Syntax error; token: "<EOF>", near: " "'
    assert fault(clean, **given, ExpressionAttributeNames=names(a="a", b="b")) == begin + UNUSED_N.format("#a, #b")
    assert fault(clean, **given, ExpressionAttributeNames={}) == f"{begin}ExpressionAttributeNames must not be empty"
    if operation != "GetItem":
        assert fault(clean) == (
            f"{begin}Invalid {member}: An expression attribute value used in expression is not defined; "
            "attribute value: :v"
        )
        assert fault(clean, ExpressionAttributeValues={}) == f"{begin}ExpressionAttributeValues must not be empty"
        more = {":v": {"S": "v"}, ":x": {"S": "x"}}
        assert fault(clean, ExpressionAttributeValues=more) == begin + UNUSED_V.format(":x")
        both = {"ExpressionAttributeValues": more, "ExpressionAttributeNames": names(a="a")}
        assert fault(clean, **both) == begin + UNUSED_N.format("#a")


@pytest.mark.parametrize(
    ("operation", "request_", "tail"),
    [
        ("PutItem", {"Item": KEY}, ""),
        ("DeleteItem", {"Key": KEY}, ""),
        ("UpdateItem", {"Key": KEY}, ""),
        ("Scan", {}, ": FilterExpression is null"),
        ("Query", {}, ": FilterExpression is null and KeyConditionExpression is null"),
    ],
)
def test_names_and_values_need_an_expression(hashes, operation, request_, tail):
    begin = ENVELOPE if operation.endswith("Item") else ""
    fault = hashes.fault(operation, TableName="hashes", **request_, ExpressionAttributeNames=names(a="a"))
    assert fault == begin + USAGE.format("ExpressionAttributeNames")
    fault = hashes.fault(operation, TableName="hashes", **request_, ExpressionAttributeValues=V)
    assert fault == begin + USAGE.format("ExpressionAttributeValues") + tail


@pytest.mark.parametrize(
    ("member", "key"),
    [("Names", "a"), ("Values", "v"), ("Names", "#\u00e9"), ("Values", ":\u00e9"), ("Names", "#"), ("Names", "#a-b")],
)
def test_placeholders_are_a_sign_and_ascii_letters(hashes, member, key):
    given = (
        {"ExpressionAttributeNames": {key: "a"}} if member == "Names" else {"ExpressionAttributeValues": {key: V[":v"]}}
    )
    for operation, request_, begin in (
        ("UpdateItem", {"Key": KEY, "UpdateExpression": "REMOVE a"}, ENVELOPE),
        ("Scan", {"FilterExpression": "attribute_exists(a)"}, ""),
    ):
        fault = hashes.fault(operation, TableName="hashes", **request_, **given)
        assert fault == f'{begin}ExpressionAttribute{member} contains invalid key: Syntax error; key: "{key}"'


def test_a_placeholder_has_at_most_255_bytes(hashes):
    long = "#" + "a" * 254
    request = {"TableName": "hashes", "Key": KEY}
    hashes("UpdateItem", **request, UpdateExpression=f"REMOVE {long}", ExpressionAttributeNames={long: "a"})
    fault = hashes.fault(
        "UpdateItem", **request, UpdateExpression=f"REMOVE {long}a", ExpressionAttributeNames={f"{long}a": "a"}
    )
    assert "too long; size of key: 256" in fault


def test_placeholders_of_parts_that_are_never_evaluated_count_as_used(hashes):
    hashes(
        "UpdateItem",
        TableName="hashes",
        Key=KEY,
        UpdateExpression="SET a = if_not_exists(pk, :d)",
        ConditionExpression="attribute_not_exists(zz) OR #b = :b",
        ExpressionAttributeNames={"#b": "b"},
        ExpressionAttributeValues={":d": {"S": "d"}, ":b": {"S": "b"}},
    )


@pytest.mark.parametrize(
    ("operation", "request_", "old", "new"),
    [
        (
            "PutItem",
            {"Item": KEY, "Expected": {"a": {"Exists": False}}, "ConditionalOperator": "X", KIND: "nope"},
            "Expected, ConditionalOperator",
            KIND,
        ),
        ("DeleteItem", {"Key": KEY, "ConditionalOperator": "AND", KIND: "nope"}, "ConditionalOperator", KIND),
        (
            "UpdateItem",
            {
                "Key": KEY,
                "AttributeUpdates": {"a": {"Value": V[":v"]}},
                "Expected": {"a": {"Exists": False}},
                "UpdateExpression": "SET",
                KIND: "nope",
            },
            "AttributeUpdates, Expected",
            f"UpdateExpression, {KIND}",
        ),
        (
            "GetItem",
            {"Key": KEY, "AttributesToGet": ["a"], "ProjectionExpression": "b"},
            "AttributesToGet",
            "ProjectionExpression",
        ),
        (
            "Scan",
            {"ScanFilter": {"a": {"ComparisonOperator": "NULL"}}, "FilterExpression": "nope"},
            "ScanFilter",
            "FilterExpression",
        ),
        (
            "Query",
            {
                "KeyConditions": {"pk": {"ComparisonOperator": "EQ", "AttributeValueList": [V[":v"]]}},
                "KeyConditionExpression": "pk = :v",
            },
            "KeyConditions",
            "KeyConditionExpression",
        ),
    ],
)
def test_legacy_parameters_stand_beside_no_expression(hashes, operation, request_, old, new):
    begin = ENVELOPE if operation in ("PutItem", "DeleteItem", "UpdateItem") else ""
    assert hashes.fault(operation, TableName="hashes", **request_) == begin + BOTH.format(old, new)


def test_key_conditions_go_with_a_filter_expression(hashes):
    hashes(
        "Query",
        TableName="hashes",
        KeyConditions={"pk": {"ComparisonOperator": "EQ", "AttributeValueList": [V[":v"]]}},
        FilterExpression="a = :v",
        ProjectionExpression="a",
        ExpressionAttributeValues=V,
    )


def test_batches_refuse_both_kinds_of_projection_across_tables(hashes):
    hashes.create("other", "pk", "pk:S")
    fault = hashes.fault(
        "BatchGetItem",
        RequestItems={
            "hashes": {"Keys": [KEY], "ProjectionExpression": "a"},
            "other": {"Keys": [KEY], "AttributesToGet": ["a"]},
        },
    )
    assert fault == BOTH.format("AttributesToGet", "ProjectionExpression")


ONE = {"a": {"Exists": False}}
TWO = {**ONE, "b": {"Exists": False}}


@pytest.mark.parametrize(
    ("expected", "operator", "fault"),
    [
        (None, "AND", "ConditionalOperator cannot be used without Filter or Expected"),
        (None, "X", "ConditionalOperator cannot be used without Filter or Expected"),
        (ONE, "X", "ConditionalOperator can only be used when Filter or Expected has two or more elements"),
        (TWO, "X", "Failed to satisfy constraint: Member must satisfy enum value set: [ALL, OR]"),
    ],
)
def test_a_conditional_operator_joins_two_or_more(hashes, expected, operator, fault):
    more = {} if expected is None else {"Expected": expected}
    for operation, what in ("PutItem", "Item"), ("DeleteItem", "Key"), ("UpdateItem", "Key"):
        request = {"TableName": "hashes", what: KEY, "ConditionalOperator": operator, **more}
        assert hashes.fault(operation, **request) == ENVELOPE + fault


INVALID = "One or more parameter values were invalid: "


@pytest.mark.parametrize(
    ("condition", "fault"),
    [
        (("eq", [V[":v"]]), "Invalid comparison operator"),
        (("EQ", []), "Invalid number of argument(s) for the EQ ComparisonOperator"),
        (("BETWEEN", [V[":v"]]), "Invalid number of argument(s) for the BETWEEN ComparisonOperator"),
        (("NULL", [V[":v"]]), "Invalid number of argument(s) for the NULL ComparisonOperator"),
        (("LT", [{"BOOL": True}]), "ComparisonOperator LT is not valid for BOOL AttributeValue type"),
        (("IN", [V[":v"], {"SS": ["a"]}]), "ComparisonOperator IN is not valid for SS AttributeValue type"),
        (("BEGINS_WITH", [{"N": "1"}]), "ComparisonOperator BEGINS_WITH is not valid for N AttributeValue type"),
        (("CONTAINS", [{"L": []}]), "ComparisonOperator CONTAINS is not valid for L AttributeValue type"),
        (("NOT_CONTAINS", [{"M": {}}]), "ComparisonOperator NOT_CONTAINS is not valid for M AttributeValue type"),
        (("BETWEEN", [V[":v"], {"N": "1"}]), "AttributeValues inside AttributeValueList must be of same type"),
    ],
)
def test_the_words_of_a_legacy_condition_that_is_refused(hashes, condition, fault):
    operator, values = condition
    held = {"a": {"ComparisonOperator": operator, "AttributeValueList": values}}
    assert hashes.fault("Scan", TableName="hashes", ScanFilter=held) == INVALID + fault
    keyed = {"pk": {"ComparisonOperator": "EQ", "AttributeValueList": [V[":v"]]}}
    assert hashes.fault("Query", TableName="hashes", KeyConditions=keyed, QueryFilter=held) == INVALID + fault


@pytest.mark.parametrize(
    ("member", "operation"), [("scanFilter", "Scan"), ("queryFilter", "Query"), ("keyConditions", "Query")]
)
def test_a_legacy_condition_without_operator(hashes, member, operation):
    given = {member[0].upper() + member[1:]: {"a": {"AttributeValueList": [V[":v"]]}}}
    assert hashes.fault(operation, TableName="hashes", **given) == (
        f"{ENVELOPE}Value null at '{member}.a.member.comparisonOperator' failed to satisfy constraint: "
        "Member must not be null"
    )


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ({"Exists": True}, "Value must be provided when Exists is true for Attribute: a"),
        ({}, "Value must be provided when Exists is null for Attribute: a"),
        ({"Exists": False, "Value": V[":v"]}, "Value cannot be used when Exists is false for Attribute: a"),
        (
            {"Exists": True, "ComparisonOperator": "EQ", "AttributeValueList": [V[":v"]]},
            "Exists and ComparisonOperator cannot be used together for Attribute: a",
        ),
        (
            {"Value": V[":v"], "AttributeValueList": [V[":v"]]},
            "Value and AttributeValueList cannot be used together for Attribute: a",
        ),
        (
            {"Exists": False, "AttributeValueList": [V[":v"]]},
            "AttributeValueList can only be used with a ComparisonOperator for Attribute: a",
        ),
        (
            {"ComparisonOperator": "EQ"},
            "Value or AttributeValueList must be used with ComparisonOperator: EQ for Attribute: a",
        ),
    ],
)
def test_the_words_of_an_expected_entry_that_is_refused(hashes, entry, fault):
    for operation, what in ("PutItem", "Item"), ("DeleteItem", "Key"), ("UpdateItem", "Key"):
        request = {"TableName": "none", what: KEY, "Expected": {"a": entry}}
        assert hashes.fault(operation, **request) == ENVELOPE + INVALID + fault


def test_an_expected_value_goes_with_an_operator_and_any_name(hashes):
    hashes("PutItem", TableName="hashes", Item={**KEY, "a-b.\u00e9": {"N": "3"}})
    entry = {"Value": {"N": "4"}, "ComparisonOperator": "LT"}
    hashes("PutItem", TableName="hashes", Item=KEY, Expected={"a-b.\u00e9": entry})


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ({"Action": "put"}, f"{ENVELOPE}Member must satisfy enum value set: [ADD, DELETE, PUT]' for Action"),
        ({"Action": "PUT"}, f"{INVALID}Only DELETE action is allowed when no attribute value is specified"),
        ({"Action": "DELETE", "Value": V[":v"]}, f"{INVALID}DELETE action with value is not supported for the type S"),
        ({"Action": "ADD", "Value": V[":v"]}, f"{INVALID}ADD action is not supported for the type S"),
    ],
)
def test_the_words_of_an_attribute_update_that_is_refused(hashes, entry, fault):
    first = {"b": {"Action": "ADD"}} if entry["Action"] == "put" else {}
    request = {"TableName": "none", "Key": KEY, "AttributeUpdates": {**first, "a": entry}}
    assert hashes.fault("UpdateItem", **request) == fault


# ---- key conditions of several attributes

SEVERAL = (("h1", "h2"), ("r1", "r2", "r3"), dict.fromkeys(("h1", "h2", "r1", "r2", "r3"), "S"))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            " AND ".join(f"{name} = :v" for name in "abcdef"),
            "The number of query conditions (6) exceeds the number of key attributes defined in the schema (5)",
        ),
        ("h1 = :v", "HASH key attributes h2 must have equality conditions specified in the query"),
        ("r1 = :v", "HASH key attributes h1, h2 must have equality conditions specified in the query"),
        ("h1 = :v AND h2 > :v", "HASH key attributes h2 must have equality conditions specified in the query"),
        ("h1 = :v AND h2 = :v AND x = :v", "Query condition missed key schema element: r1"),
        ("h1 = :v AND h2 = :v AND x = :v AND r1 = :v", "Query condition missed key schema element: r2"),
        (
            "r3 = :v AND h1 = :v AND h2 = :v",
            "RANGE key attributes r1, r2 must have equality conditions specified in the query because a condition is "
            "present on key attribute r3",
        ),
        (
            "h1 = :v AND h2 = :v AND r1 > :v AND r2 = :v",
            "RANGE key attributes r1 must have equality conditions specified in the query because a condition is "
            "present on key attribute r2",
        ),
    ],
)
def test_key_conditions_on_several_attributes(text, fault):
    condition = KeyCondition.parse(text, {}, VALUES)
    condition.check()
    with pytest.raises(ApiError) as caught:
        condition.bind(*SEVERAL)
    assert caught.value.message == fault


# ---- the short way of plain requests

PLAIN_TEXTS = [
    *[
        "a = :v",
        "a =",
        "",
        " ",
        "a = :nope",
        "#x = :v",
        "a = :v AND #x = :v",
        "status = :v",
        "a < :m",
        "a = a",
        "size(a)",
    ],
    *[
        "((a = :v))",
        "contains(a)",
        "a BETWEEN :n AND :four",
        "attribute_type(a, :bad)",
        "attribute_type(a, :N)",
        "_a = :v",
    ],
]
GIVEN_NAMES = [None, {}, {"#x": "x"}, {"#x": ""}, {"#x": "x", "#y": "y"}, {"x": "x"}, {"#x": 5}]
GIVEN_VALUES = [
    *[
        None,
        {},
        {":v": {"S": "v"}},
        {":v": {"S": "v"}, ":m": {"M": {}}},
        {"v": {"S": "v"}},
        {":v": {}},
        {":v": {"NS": []}},
    ],
    *[{":n": {"N": "5"}, ":four": {"N": "4"}}, {":bad": {"S": "Q"}}, {":N": {"S": "N"}}, {":v": {"N": "x"}}],
]


def outcome(ask, operation, request):
    try:
        return ask(operation, **request)
    except ApiError as fault:
        return fault.code, fault.message
    except (TypeError, AttributeError) as fault:
        return type(fault)


@pytest.mark.parametrize("text", PLAIN_TEXTS)
@pytest.mark.parametrize(
    ("operation", "request_"),
    [
        ("PutItem", {"Item": KEY}),
        ("UpdateItem", {"Key": KEY, "UpdateExpression": "REMOVE zz"}),
        ("UpdateItem", {"Key": {"pk": {"N": "x"}}, "UpdateExpression": "SET a = :v"}),
        ("UpdateItem", {"Key": KEY, "UpdateExpression": "SET #x = :v REMOVE"}),
    ],
)
def test_a_plain_request_has_the_outcome_of_one_that_is_not(hashes, operation, request_, text):
    for names_, values in ((n, v) for n in GIVEN_NAMES for v in GIVEN_VALUES):
        request = {"TableName": "hashes", **request_, KIND: text}
        if names_ is not None:
            request["ExpressionAttributeNames"] = names_
        if values is not None:
            request["ExpressionAttributeValues"] = values
        expected = outcome(hashes, operation, {**request, "ReturnItemCollectionMetrics": "NONE"})
        for _ in range(2):
            assert outcome(hashes, operation, request) == expected, request
