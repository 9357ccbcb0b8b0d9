"""What other implementations answered otherwise, and rightly: one test for each rule that was not kept."""

from __future__ import annotations

import pytest

from dynamodb.asking import index

KEY_EXPRESSION = "Invalid KeyConditionExpression: "
CONDITION = KEY_EXPRESSION + "Invalid condition in KeyConditionExpression: "
NOT_VALID = "One or more parameter values are not valid. "
INDEX_KEY = NOT_VALID + "A value specified for a secondary index key is not supported. "
EMPTY = "The AttributeValue for a key attribute cannot contain an empty {} value."
LONG_PARTITION = (
    "One or more parameter values were invalid: Size of hashkey has exceeded the maximum size limit of2048 bytes"
)
LONG_SORT = (
    "One or more parameter values were invalid: "
    "Aggregated size of all range keys has exceeded the size limit of 1024 bytes"
)
LIST = {"L": [{"N": "1"}, {"N": "2"}, {"M": {"a": {"N": "1"}, "b": {"N": "2"}}}]}


@pytest.fixture
def shelves(ask):
    """Table `shelves`: pk S, sk S; global index `by-g` (g, n), local index `by-b` (pk, b)."""
    ask.create(
        "shelves",
        "pk sk",
        "pk:S sk:S g:S n:N b:B",
        GlobalSecondaryIndexes=[index("by-g", "g n")],
        LocalSecondaryIndexes=[index("by-b", "pk b")],
    )
    return ask


# ---- the words that begin the sections of an update are no names, in expressions of any kind


@pytest.mark.parametrize("word", ["set", "REMOVE", "Add", "delete"])
@pytest.mark.parametrize(
    ("text", "near"),
    [("SET {} = :v", "SET {} ="), ("SET a = {}", "= {}"), ("SET a.{} = :v", ".{} ="), ("REMOVE {}", "REMOVE {}")],
)
def test_a_section_word_is_no_name_in_an_update(hashes, word, text, near):
    message = hashes.fault(
        "UpdateItem",
        TableName="hashes",
        Key={"pk": {"S": "a"}},
        UpdateExpression=text.format(word),
        **({"ExpressionAttributeValues": {":v": {"N": "1"}}} if ":v" in text else {}),
    )
    token = f'token: "{word}", near: "{near.format(word)}"'
    assert message == f"1 validation error detected: Invalid UpdateExpression: Syntax error; {token}"


def test_a_section_word_is_no_name_in_a_condition_nor_in_a_projection(hashes):
    filtered = hashes.fault(
        "Scan", TableName="hashes", FilterExpression="a.remove = :v", ExpressionAttributeValues={":v": {"N": "1"}}
    )
    assert filtered == 'Invalid FilterExpression: Syntax error; token: "remove", near: ".remove ="'
    projected = hashes.fault("GetItem", TableName="hashes", Key={"pk": {"S": "a"}}, ProjectionExpression="a, add")
    assert projected == 'Invalid ProjectionExpression: Syntax error; token: "add", near: ", add"'


def test_a_section_that_begins_where_an_operand_belongs_is_the_wrong_token(hashes):
    message = hashes.fault(
        "UpdateItem",
        TableName="hashes",
        Key={"pk": {"S": "a"}},
        UpdateExpression="SET n = n + SET m = :v",
        ExpressionAttributeValues={":v": {"N": "1"}},
    )
    assert message.endswith('Syntax error; token: "SET", near: "+ SET m"')


def test_the_count_of_operators_ends_at_the_first_that_is_too_many(hashes):
    message = hashes.fault(
        "Scan",
        TableName="hashes",
        FilterExpression=" AND ".join(["n = :v"] * 200),
        ExpressionAttributeValues={":v": {"N": "1"}},
    )
    assert message == "Invalid FilterExpression: The expression contains too many operators; operator count: 301"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("name = :v AND ((a = :v))", "The expression has redundant parentheses;"),
        ("foo(a) AND ((a = :v))", "The expression has redundant parentheses;"),
        ("foo(a) AND name = :v", "Invalid function name; function: foo"),
        ("name = :v AND foo(a)", "Attribute name is a reserved keyword; reserved keyword: name"),
        ("contains(a) AND name = :v", "Attribute name is a reserved keyword; reserved keyword: name"),
        ("name = :v AND ((a = :v)) AND", 'Syntax error; token: "<EOF>", near: "AND"'),
    ],
)
def test_syntax_and_parentheses_come_before_reserved_words_and_functions_and_these_before_operands(hashes, text, fault):
    values = {":v": {"N": "1"}}
    request = {"TableName": "hashes", "FilterExpression": text, "ExpressionAttributeValues": values}
    assert hashes.fault("Scan", **request) == f"Invalid FilterExpression: {fault}"


# ---- key conditions


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pk = :s AND size(sk) = :n", KEY_EXPRESSION + "KeyConditionExpressions cannot contain nested operations"),
        (
            "pk = :s AND begins_with(:s, sk)",
            CONDITION + "begins_with operator must have the key attribute as its first operand",
        ),
        (
            "pk = :s AND :n BETWEEN sk AND :n",
            CONDITION + "BETWEEN operator must have the key attribute as its first operand",
        ),
        (":s = :s", CONDITION + "No key attribute specified"),
        ("pk = sk", CONDITION + "Multiple attribute names used in one condition"),
        (
            "pk = pk",
            KEY_EXPRESSION + "The first operand must be distinct from the remaining operands for this operator or "
            "function; operator: =, first operand: [pk]",
        ),
        (
            "pk = :s AND sk BETWEEN :n AND sk",
            KEY_EXPRESSION + "The first operand must be distinct from the remaining operands for this operator or "
            "function; operator: BETWEEN, first operand: [sk]",
        ),
        (
            ":set <= sk AND pk = :s",
            KEY_EXPRESSION + "Incorrect operand type for operator or function; operator or function: <=, "
            "operand type: NS",
        ),
    ],
)
def test_a_key_condition_is_refused_for_what_stands_in_it(table, text, message):
    values = {":s": {"S": "a"}, ":n": {"N": "1"}, ":set": {"NS": ["1"]}}
    request = {"KeyConditionExpression": text, "ExpressionAttributeValues": values}
    assert table.fault("Query", TableName="items", **request) == message


@pytest.mark.parametrize(
    ("name", "text", "values", "kind", "tail"),
    [
        (None, "pk = :p AND sk > :v", {":p": {"S": "a"}, ":v": {"S": ""}}, "string", " Key: sk"),
        ("by-g", "g = :v", {":v": {"S": ""}}, "string", " IndexName: by-g, IndexKey: g"),
        ("by-b", "pk = :v", {":v": {"S": ""}}, "string", " IndexName: by-b, IndexKey: pk"),
        ("by-b", "pk = :p AND b > :v", {":p": {"S": "a"}, ":v": {"B": b""}}, "binary", " IndexName: by-b, IndexKey: b"),
    ],
)
def test_an_empty_value_in_a_condition_names_the_key_of_the_index_that_is_queried(
    shelves, name, text, values, kind, tail
):
    request = {"KeyConditionExpression": text, "ExpressionAttributeValues": values}
    request |= {"IndexName": name} if name else {}
    lead = INDEX_KEY if name else NOT_VALID
    assert shelves.fault("Query", TableName="shelves", **request) == lead + EMPTY.format(kind) + tail


@pytest.mark.parametrize("size", [2049, 70_000, 400_000])
@pytest.mark.parametrize(("name", "attribute"), [(None, "pk"), ("by-g", "g")])
def test_a_query_for_a_partition_key_that_is_too_long_is_refused(shelves, name, attribute, size):
    request = {"KeyConditionExpression": f"{attribute} = :v", "ExpressionAttributeValues": {":v": {"S": "x" * size}}}
    request |= {"IndexName": name} if name else {}
    assert shelves.fault("Query", TableName="shelves", **request) == LONG_PARTITION


@pytest.mark.parametrize("test", ["sk = :v", "sk > :v", "begins_with(sk, :v)", "sk BETWEEN :a AND :v"])
def test_a_sort_key_condition_that_is_too_long_is_refused(shelves, test):
    values = {":p": {"S": "a"}, ":v": {"S": "x" * 1025}}
    values |= {":a": {"S": "a"}} if ":a" in test else {}
    request = {"KeyConditionExpression": f"pk = :p AND {test}", "ExpressionAttributeValues": values}
    assert shelves.fault("Query", TableName="shelves", **request) == LONG_SORT
    values[":v"] = {"S": "x" * 1024}
    assert shelves("Query", TableName="shelves", **request)["Count"] == 0


@pytest.mark.parametrize("size", [2049, 70_000, 400_000])
def test_a_scan_goes_on_behind_a_key_longer_than_any(shelves, size):
    key = {"pk": {"S": "x" * size}, "sk": {"S": "y" * size}}
    assert shelves("Scan", TableName="shelves", ExclusiveStartKey=key)["Count"] == 0
    key |= {"g": {"S": "z" * size}, "n": {"N": "1"}}
    assert shelves("Scan", TableName="shelves", IndexName="by-g", ExclusiveStartKey=key)["Count"] == 0


# ---- what an update returns


@pytest.mark.parametrize(
    ("text", "returned"),
    [
        ("REMOVE l[0]", {"l": {"L": LIST["L"][1:]}}),
        ("REMOVE l[2].a", {"l": {"L": [*LIST["L"][:2], {"M": {"b": {"N": "2"}}}]}}),
        ("REMOVE m.l[0], m.q", {"m": {"M": {"l": {"L": LIST["L"][1:]}}}}),
        ("REMOVE m.q", None),
        ("REMOVE l", None),
    ],
)
def test_updated_new_has_the_list_that_an_element_left(hashes, text, returned):
    item = {"pk": {"S": "a"}, "l": LIST, "m": {"M": {"l": LIST, "q": {"N": "1"}}}}
    hashes("PutItem", TableName="hashes", Item=item)
    answer = hashes(
        "UpdateItem", TableName="hashes", Key={"pk": {"S": "a"}}, UpdateExpression=text, ReturnValues="UPDATED_NEW"
    )
    assert answer.get("Attributes") == returned
