"""Transactions by the published rules of the service, line by line: order of checks, reasons, tokens, capacity, echoes."""

from __future__ import annotations

import pytest

from dynamodb.asking import Asker, index
from lsm.dynamodb import ApiError, Clock, connect

ENVELOPE = "1 validation error detected: "
INVALID = "One or more parameter values were invalid: "
NESTING = (
    "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit"
)
TWICE = "Transaction request cannot include multiple operations on one item"
SIZE = "Expression size has exceeded the maximum allowed size;"
CANCELLED = "Transaction cancelled, please refer cancellation reasons for specific reasons "
NO_TABLE = ("ResourceNotFoundException", "Requested resource not found")
V = {":v": {"S": "v"}}


def key(pk="k", sk=1):
    return {"pk": {"S": pk}, "sk": {"N": str(sk)}}


def put(item=None, table="items", **more):
    return {"Put": {"TableName": table, "Item": item if item is not None else key(), **more}}


def update(text="SET a = :v", pk="k", table="items", **more):
    values = {"ExpressionAttributeValues": V} if ":v" in text else {}
    return {"Update": {"TableName": table, "Key": key(pk), "UpdateExpression": text, **values, **more}}


def delete(pk="k", table="items", **more):
    return {"Delete": {"TableName": table, "Key": key(pk), **more}}


def check(text="attribute_exists(pk)", pk="k", table="items", **more):
    return {"ConditionCheck": {"TableName": table, "Key": key(pk), "ConditionExpression": text, **more}}


def get(pk="k", table="items", **more):
    return {"Get": {"TableName": table, "Key": key(pk), **more}}


def deep(levels):
    value = {"S": "x"}
    for _ in range(levels):
        value = {"L": [value]}
    return value


def write_fault(table, *entries, **more):
    return table.fault("TransactWriteItems", TransactItems=list(entries), **more)


def read_fault(table, *entries, **more):
    return table.fault("TransactGetItems", TransactItems=list(entries), **more)


def reasons(table, *entries, operation="TransactWriteItems", **more):
    with pytest.raises(ApiError) as caught:
        table(operation, TransactItems=list(entries), **more)
    fault = caught.value
    assert fault.code == "TransactionCanceledException"
    found = fault.members["CancellationReasons"]
    assert fault.message == f"{CANCELLED}[{', '.join(reason['Code'] for reason in found)}]"
    return [(reason["Code"], reason.get("Message")) for reason in found]


# ---- TransactWriteItems, before the run


@pytest.mark.parametrize("operation", ["TransactWriteItems", "TransactGetItems"])
def test_the_list_has_one_to_a_hundred_entries(table, operation):
    begin = f"{ENVELOPE}Value '"
    fault = table.fault(operation, TransactItems=[], ReturnConsumedCapacity="X")
    assert fault == (
        f"{begin}[]' at 'transactItems' failed to satisfy constraint: Member must have length greater than or equal to 1"
    )
    entries = [delete(str(n)) if operation == "TransactWriteItems" else get(str(n)) for n in range(101)]
    fault = table.fault(operation, TransactItems=entries)
    assert fault.startswith(f"{begin}[{operation.removesuffix('s')}(")
    assert fault.endswith(
        "]' at 'transactItems' failed to satisfy constraint: Member must have length less than or equal to 100"
    )


def test_the_echo_of_a_list_that_is_too_long(table):
    value = (
        "AttributeValue(s={}, n={}, b={}, iNT=null, dECIMAL=null, dOUBLE=null, sS=null, nS=null, bS=null, iNTSET=null, "
        "dECIMALSET=null, dOUBLESET=null, m=null, l=null, nULL=null, bOOL=null)"
    )
    binary = value.format("null", "null", "java.nio.HeapByteBuffer[pos=0 lim=3 cap=3]")
    entries = [
        {"Delete": {"TableName": "tab", "Key": {"p": {"B": b"abc"}}}},
        {
            "Update": {
                "TableName": "tab",
                "Key": {"p": {"S": "x"}},
                "UpdateExpression": "SET a = :v",
                "ExpressionAttributeValues": {":v": {"N": "1"}},
                "ReturnValuesOnConditionCheckFailure": "NONE",
            }
        },
    ]
    fault = write_fault(table, *entries, *[put({"p": {"S": "x"}}, "tab")] * 99)
    text, number = value.format("x", "null", "null"), value.format("null", "1", "null")
    tail = "conditionExpression=null, expressionAttributeNames=null, expressionAttributeValues={}, "
    tail += "returnValuesOnConditionCheckFailure={}, workloadProfileName=null)"
    nothing = tail.format("null", "null")
    assert fault.startswith(
        f"{ENVELOPE}Value '[TransactWriteItem(conditionCheck=null, put=null, delete=Delete(key={{p={binary}}}, "
        f"tableName=tab, {nothing}, update=null), "
        f"TransactWriteItem(conditionCheck=null, put=null, delete=null, update=Update(key={{p={text}}}, "
        f"updateExpression=SET a = :v, tableName=tab, {tail.format(f'{{:v={number}}}', 'NONE')}), "
        f"TransactWriteItem(conditionCheck=null, put=Put(item={{p={text}}}, tableName=tab, {nothing}, delete=null, "
        "update=null), "
    )
    fault = read_fault(
        table, *[{"Get": {"TableName": "tab", "Key": {"p": {"S": "x"}}, "ProjectionExpression": "a"}}] * 101
    )
    assert fault.startswith(
        f"{ENVELOPE}Value '[TransactGetItem(get=Get(key={{p={text}}}, tableName=tab, projectionExpression=a, "
        "expressionAttributeNames=null, workloadProfileName=null)), "
    )


def test_members_are_reported_together_in_their_order(table):
    failure = "returnValuesOnConditionCheckFailure' failed to satisfy constraint: Member must satisfy enum value set: "
    fault = write_fault(
        table,
        put(ReturnValuesOnConditionCheckFailure="X"),
        {},
        check(ReturnValuesOnConditionCheckFailure="Y"),
        ClientRequestToken="t" * 37,
        ReturnConsumedCapacity="Z",
        ReturnItemCollectionMetrics="W",
    )
    assert fault == (
        "5 validation errors detected: "
        f"Value 'X' at 'transactItems.1.member.put.{failure}[ALL_OLD, NONE]; "
        f"Value 'Y' at 'transactItems.3.member.conditionCheck.{failure}[ALL_OLD, NONE]; "
        f"Value '{'t' * 37}' at 'clientRequestToken' failed to satisfy constraint: "
        "Member must have length less than or equal to 36; "
        "Value 'Z' at 'returnConsumedCapacity' failed to satisfy constraint: Member must satisfy enum value set: "
        "[INDEXES, TOTAL, NONE]; "
        "Value 'W' at 'returnItemCollectionMetrics' failed to satisfy constraint: Member must satisfy enum value set: "
        "[SIZE, NONE]"
    )


def test_an_entry_has_one_action(table):
    bad_name = put(table="x!")
    assert write_fault(table, bad_name, {}) == (
        "Invalid Request: TransactWriteRequest should contain Delete or Put or Update request"
    )
    assert write_fault(table, bad_name, {**put(), **delete()}) == (
        "TransactItems can only contain one of Check, Put, Update or Delete"
    )


def test_table_names_are_reported_together(table):
    at = "Value '{}' at 'transactItems.{}.member.{}.tableName' failed to satisfy constraint: Member must "
    pattern = "satisfy regular expression pattern: [a-zA-Z0-9_.-]+"
    assert write_fault(table, put({"": {"S": "x"}}, "x!"), delete(table="y" * 256)) == (
        "3 validation errors detected: "
        + at.format("x!", 1, "put") + "have length greater than or equal to 3; "
        + at.format("x!", 1, "put") + pattern + "; "
        + at.format("y" * 256, 2, "delete") + "have length less than or equal to 255"
    )  # fmt: skip


EMPTY_VALUE = {":v": {"M": {"": {"S": "x"}}}}
TOO_LARGE_ITEM = {**key(), "a": {"S": "x" * 409_600}}


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        # 6: empty names of all actions
        (put({"": {"S": "x"}}), "Empty attribute name"),
        (put({**key(), "m": {"M": {"": {"S": "x"}}}}), "Empty attribute name"),
        (
            {"Delete": {"TableName": "none", "Key": {"": {"S": "x"}}}},
            "Empty attribute name",
        ),
        (
            update(ExpressionAttributeValues=EMPTY_VALUE),
            "ExpressionAttributeValues contains invalid value: Empty attribute name for key :v",
        ),
        (
            check("attribute_exists(#n)", ExpressionAttributeNames={"#n": ""}),
            "ExpressionAttributeNames contains invalid value: Empty attribute name for key #n",
        ),
        # 7.1: sets of the item, then of the values
        (
            put(
                {**key(), "s": {"SS": ["a", "a"]}},
                ConditionExpression="a = :v",
                ExpressionAttributeValues={":v": {"SS": []}},
            ),
            f"{INVALID}Input collection [a, a] contains duplicates.",
        ),
        (put({**key(), "s": {"SS": []}, "d": deep(32)}), f"{INVALID}An string set  may not be empty"),
        (put({**key(), "s": {"BS": []}}), f"{INVALID}Binary sets should not be empty"),
        (put({**key(), "s": {"NS": ["1", "1.0"]}}), "Input collection contains duplicates"),
        (
            update(ExpressionAttributeValues={":v": {"SS": ["b", "a", "b"]}}),
            f"ExpressionAttributeValues contains invalid value: {INVALID}Input collection [b, a, b] contains duplicates. "
            "for key :v",
        ),
        (
            put(
                {**key(), "d": deep(32)},
                ConditionExpression="a = :v",
                ExpressionAttributeValues={":v": {"NS": []}},
            ),
            f"ExpressionAttributeValues contains invalid value: {INVALID}An number set  may not be empty for key :v",
        ),
        (
            update(ExpressionAttributeValues={":v": {"N": "x"}}),
            "ExpressionAttributeValues contains invalid value: "
            "The parameter cannot be converted to a numeric value: x for key :v",
        ),
        # 7.2: values of 33 levels, used or not
        (
            update("REMOVE a", ExpressionAttributeValues={":v": deep(33)}),
            f"ExpressionAttributeValues contains invalid value: {NESTING} for key :v",
        ),
        (
            put(
                {**key(), "d": deep(32)},
                ConditionExpression="a = :v",
                ExpressionAttributeValues={":v": deep(33)},
            ),
            f"ExpressionAttributeValues contains invalid value: {NESTING} for key :v",
        ),
        # 7.3: a put
        (put({**key(), "d": deep(32)}, ConditionExpression="x" * 4097), NESTING),
        (
            put(TOO_LARGE_ITEM, ConditionExpression="x" * 4097),
            f"Invalid ConditionExpression: {SIZE} expression size: 4097",
        ),
        (put(TOO_LARGE_ITEM, ConditionExpression=""), "Item size has exceeded the maximum allowed size"),
        (put(ConditionExpression=""), "Invalid ConditionExpression: The expression can not be empty;"),
        (put(ConditionExpression="a ="), 'Invalid ConditionExpression: Syntax error; token: "<EOF>", near: "="'),
        (
            put(ConditionExpression="a = :v", ExpressionAttributeNames={"#x": "x"}),
            "Invalid ConditionExpression: An expression attribute value used in expression is not defined; "
            "attribute value: :v",
        ),
        (
            put(
                ConditionExpression="attribute_exists(a)",
                ExpressionAttributeNames={"#x": "x"},
                ExpressionAttributeValues=V,
            ),
            "Value provided in ExpressionAttributeNames unused in expressions: keys: {#x}",
        ),
        (
            put(ConditionExpression="attribute_exists(a)", ExpressionAttributeValues=V),
            "Value provided in ExpressionAttributeValues unused in expressions: keys: {:v}",
        ),
        # 7.4: an update
        (update("x" * 4097, ConditionExpression=""), f"Invalid UpdateExpression: {SIZE}"),
        (update("", ConditionExpression=""), "Invalid UpdateExpression: The expression can not be empty;"),
        (update("SET", ConditionExpression=""), 'Invalid UpdateExpression: Syntax error; token: "<EOF>", near: "SET"'),
        (
            update("SET a = :v, a.b = :v", ConditionExpression=""),
            "Invalid ConditionExpression: The expression can not be empty;",
        ),
        (
            update("SET a = :v, a.b = :v", ConditionExpression="b = :w"),
            "Invalid UpdateExpression: Two document paths overlap with each other; must remove or rewrite one of these "
            "paths; path one: [a], path two: [a, b]",
        ),
        (
            update(ConditionExpression="b = :w", ExpressionAttributeNames={"#x": "x"}),
            "Invalid ConditionExpression: An expression attribute value used in expression is not defined; "
            "attribute value: :w",
        ),
        (
            update("SET a = :v SET b = :v"),
            'Invalid UpdateExpression: The "SET" section can only be used once in an update expression;',
        ),
        (
            update("ADD a :v"),
            "Invalid UpdateExpression: Incorrect operand type for operator or function; operator: ADD, operand type: "
            "STRING, typeSet: ALLOWED_FOR_ADD_OPERAND",
        ),
        (update("REMOVE a", ExpressionAttributeValues={}), "ExpressionAttributeValues must not be empty"),
        # 7.5: a delete, a check
        (
            delete(ConditionExpression="a" * 4097),
            f"Invalid ConditionExpression: {SIZE} expression size: 4097",
        ),
        (check(""), "Invalid ConditionExpression: The expression can not be empty;"),
        (
            check("attribute_exists(#a)"),
            "Invalid ConditionExpression: An expression attribute name used in the document path is not defined; "
            "attribute name: #a",
        ),
        # 8: keys
        ({"Delete": {"TableName": "none", "Key": {"pk": deep(32)}}}, NESTING),
    ],
)
def test_faults_of_an_action_come_before_any_table(table, entry, fault):
    for action in entry.values():
        action["TableName"] = "none"
    assert write_fault(table, entry) == fault


def test_empty_names_of_all_actions_come_before_the_first_action(table):
    assert write_fault(table, put({**key(), "s": {"SS": []}}), put({"": {"S": "x"}})) == "Empty attribute name"


def test_nested_keys_come_after_the_faults_of_all_actions(table):
    nested = {"Delete": {"TableName": "items", "Key": {"pk": deep(32)}}}
    assert write_fault(table, nested, put({**key(), "s": {"SS": []}})) == f"{INVALID}An string set  may not be empty"


def test_the_first_failing_action_wins(table):
    fault = write_fault(table, check("a ="), put({**key(), "s": {"SS": []}}))
    assert fault == 'Invalid ConditionExpression: Syntax error; token: "<EOF>", near: "="'


def test_names_and_values_of_an_action_without_expression_are_not_looked_at(table):
    given = {"ExpressionAttributeNames": {"#x": "x"}, "ExpressionAttributeValues": V}
    assert table("TransactWriteItems", TransactItems=[put(**given), delete("z", **given)]) == {}


def test_tables_and_repeated_items_are_found_entry_by_entry(table):
    missing = put(table="none")
    assert table.refused("TransactWriteItems", TransactItems=[put(), missing, put()]) == NO_TABLE
    assert write_fault(table, put(), delete(), missing) == TWICE
    for second in delete(), check(), update():
        assert write_fault(table, put(), second) == TWICE
    swapped = {"Delete": {"TableName": "items", "Key": dict(reversed(key().items()))}}
    assert write_fault(table, check(), swapped) == TWICE
    assert write_fault(table, put({**key(), "group": {"N": "1"}}), delete()) == TWICE
    misfit = {"Delete": {"TableName": "items", "Key": {"pk": {"S": "k"}}}}
    assert reasons(table, misfit, misfit)[0] == (
        "ValidationError",
        "The provided key element does not match the schema",
    )


def test_four_megabytes_are_too_much(table):
    entries = [put({**key(str(n)), "a": {"S": "x" * 400_000}}) for n in range(11)]
    assert "4MB" in write_fault(table, *entries)
    table("TransactWriteItems", TransactItems=entries[:10])


# ---- the run


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        (
            put(key(pk="")),
            "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty "
            "string value. Key: pk",
        ),
        (
            delete(pk=""),
            "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty "
            "string value. Key: pk",
        ),
        (
            put({**key(), "group": {"S": ""}}),
            "One or more parameter values are not valid. A value specified for a secondary index key is not supported. "
            "The AttributeValue for a key attribute cannot contain an empty string value. IndexName: by-group, "
            "IndexKey: group",
        ),
        (
            update("SET title = :v", ExpressionAttributeValues={":v": {"S": ""}}),
            "One or more parameter values are not valid. The update expression attempted to update a secondary index key "
            "to a value that is not supported. The AttributeValue for a key attribute cannot contain an empty string "
            "value.",
        ),
    ],
)
def test_empty_keys_are_faults_of_the_request(table, entry, fault):
    failing = check("attribute_exists(zz)", "other")
    assert write_fault(table, failing, entry) == fault


def stored(table):
    table(
        "PutItem",
        TableName="items",
        Item={**key("s"), "n": {"N": "1"}, "t": {"S": "t"}, "ns": {"NS": ["1", "2", "3"]}, "big": {"N": "9E125"}},
    )


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (check("attribute_exists(zz)", "s"), ("ConditionalCheckFailed", "The conditional request failed")),
        (
            put({"pk": {"N": "1"}, "sk": {"N": "1"}}),
            ("ValidationError", f"{INVALID}Type mismatch for key pk expected: S actual: N"),
        ),
        (
            put({"pk": {"L": []}, "sk": {"N": "1"}}),
            ("ValidationError", f"{INVALID}Type mismatch for key pk expected: S actual: L"),
        ),
        (put({"pk": {"S": "x"}}), ("ValidationError", f"{INVALID}Missing the key sk in the item")),
        (
            {"Delete": {"TableName": "items", "Key": {"pk": {"S": "x"}}}},
            ("ValidationError", "The provided key element does not match the schema"),
        ),
        (
            put({**key(), "group": {"N": "1"}}),
            (
                "ValidationError",
                f"{INVALID}Type mismatch for Index Key group Expected: S Actual: N IndexName: by-group",
            ),
        ),
        (
            update("SET a = t + :v", "s", ExpressionAttributeValues={":v": {"N": "1"}}),
            ("ValidationError", "An operand in the update expression has an incorrect data type"),
        ),
        (
            update("SET a = zz", "s"),
            ("ValidationError", "The provided expression refers to an attribute that does not exist in the item"),
        ),
        (
            update("SET zz.a = :v", "s"),
            ("ValidationError", "The document path provided in the update expression is invalid for update"),
        ),
        (
            update("ADD big :v", "s", ExpressionAttributeValues={":v": {"N": "9E125"}}),
            (
                "ValidationError",
                "Number overflow. Attempting to store a number with magnitude larger than supported range",
            ),
        ),
        (
            update("SET a = :v", "s", ExpressionAttributeValues={":v": deep(32)}),
            ("ValidationError", "Nesting Levels have exceeded supported limits"),
        ),
        (
            update("SET a = :v", "s", ExpressionAttributeValues={":v": {"S": "x" * 409_600}}),
            ("ValidationError", "Item size to update has exceeded the maximum allowed size"),
        ),
        (
            update("SET pk = :v", "s"),
            ("ValidationError", f"{INVALID}Cannot update attribute pk. This attribute is part of the key"),
        ),
        (
            update("SET a = :w", "s"),
            (
                "ValidationError",
                "Invalid UpdateExpression: An expression attribute value used in expression is not defined; "
                "attribute value: :w",
            ),
        ),
        (
            update("REMOVE a", "zz", ConditionExpression="attribute_exists(pk)"),
            ("ConditionalCheckFailed", "The conditional request failed"),
        ),
    ],
)
def test_what_an_item_shows_to_be_wrong_cancels(table, entry, reason):
    stored(table)
    good = put(key("good"))
    failing = (
        delete("s", ConditionExpression="attribute_not_exists(pk)") if entry.get("ConditionCheck") is None else None
    )
    entries = [good, entry] if "'s'" in str(entry) or failing is None else [good, entry, failing]
    found = reasons(table, *entries)
    assert found[:2] == [("None", None), reason]
    assert [code for code, _ in found[2:]] == ["ConditionalCheckFailed"] * len(found[2:])
    assert table("GetItem", TableName="items", Key=key("good")) == {}
    assert table("GetItem", TableName="items", Key=key("zz")) == {}


def test_a_value_of_32_levels_is_compared(table):
    table("PutItem", TableName="items", Item={**key("s"), "d": deep(31)})
    compared = check("NOT d = :v", "s", ExpressionAttributeValues={":v": deep(32)})
    assert table("TransactWriteItems", TransactItems=[compared]) == {}


def test_the_size_of_a_transacted_update_is_that_of_the_finished_item(table):
    pad = 409_600 - 1 - len("pk" + "k" + "sk" + "b") - 2
    for longer, ends in (0, {}), (1, None):
        values = {":v": {"S": "x" * (pad + longer + 1)}}
        entry = update("SET b = :v", ExpressionAttributeValues=values)
        if ends is None:
            assert reasons(table, entry)[0][1] == "Item size to update has exceeded the maximum allowed size"
        else:
            assert table("TransactWriteItems", TransactItems=[entry]) == ends


@pytest.mark.parametrize("kind", ["Put", "Update", "Delete", "ConditionCheck"])
def test_a_reason_shows_the_item_on_demand_with_number_sets_in_hash_order(table, kind):
    stored(table)
    more = {"ConditionExpression": "attribute_exists(zz)", "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
    entry = {
        "Put": put(key("s"), **more),
        "Update": update("REMOVE a", "s", **more),
        "Delete": delete("s", **more),
        "ConditionCheck": {"ConditionCheck": {"TableName": "items", "Key": key("s"), **more}},
    }[kind]
    with pytest.raises(ApiError) as caught:
        table("TransactWriteItems", TransactItems=[entry, put(key("other"))], ReturnConsumedCapacity="TOTAL")
    failed, other = caught.value.members["CancellationReasons"]
    assert set(caught.value.members) == {"CancellationReasons"}
    assert failed["Item"]["ns"] == {"NS": ["3", "2", "1"]}
    assert set(failed["Item"]) == {"pk", "sk", "n", "t", "ns", "big"}
    assert other == {"Code": "None"}
    entry[kind][("Item" if kind == "Put" else "Key")] = key("absent")
    with pytest.raises(ApiError) as caught:
        table("TransactWriteItems", TransactItems=[entry])
    assert "Item" not in caught.value.members["CancellationReasons"][0]


def test_an_update_without_condition_creates_its_item(table):
    assert table("TransactWriteItems", TransactItems=[update(pk="new"), check("attribute_not_exists(pk)")]) == {}
    assert table("GetItem", TableName="items", Key=key("new"))["Item"] == {**key("new"), "a": {"S": "v"}}


# ---- TransactGetItems


def test_the_order_of_checks_of_a_transacted_read(table):
    null = "Value null at 'transactItems.{}.member.get' failed to satisfy constraint: Member must not be null"
    capacity = (
        "Value 'X' at 'returnConsumedCapacity' failed to satisfy constraint: Member must satisfy enum value set: "
        "[INDEXES, TOTAL, NONE]"
    )
    assert read_fault(table, {}, get(), {}, ReturnConsumedCapacity="X") == (
        f"3 validation errors detected: {null.format(1)}; {null.format(3)}; {capacity}"
    )
    assert read_fault(table, get(table="x"), ReturnConsumedCapacity="X") == f"{ENVELOPE}{capacity}"
    at = "Value '{}' at 'transactItems.{}.member.get.tableName' failed to satisfy constraint: "
    assert read_fault(table, get(table="x"), {"Get": {"TableName": "y", "Key": {"": {"S": ""}}}}) == (
        f"2 validation errors detected: {at.format('x', 1)}Member must have length greater than or equal to 3; "
        f"{at.format('y', 2)}Member must have length greater than or equal to 3"
    )
    empty = {"Get": {"TableName": "none", "Key": {"": {"S": "x"}}}}
    nested = {"Get": {"TableName": "none", "Key": {"pk": deep(32)}}}
    repeated = {"Get": {"TableName": "none", "Key": {"pk": {"SS": ["a", "a"]}}}}
    assert read_fault(table, nested, empty) == "Empty attribute name"
    assert read_fault(table, repeated, nested) == NESTING
    bad = get(table="none", ProjectionExpression="")
    assert read_fault(table, bad, repeated) == f"{INVALID}Input collection [a, a] contains duplicates."
    assert read_fault(table, bad) == "Invalid ProjectionExpression: The expression can not be empty;"
    for text, fault in [
        (" ", 'Syntax error; token: "<EOF>", near: " "'),
        ("a b", 'Syntax error; token: "b", near: "a b"'),
        (
            "a, a",
            "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [a], "
            "path two: [a]",
        ),
    ]:
        fault = f"Invalid ProjectionExpression: {fault}"
        assert read_fault(table, get(table="none", ProjectionExpression=text)) == fault
    unused = get(table="none", ProjectionExpression="a", ExpressionAttributeNames={"#x": "x"})
    assert read_fault(table, unused) == "Value provided in ExpressionAttributeNames unused in expressions: keys: {#x}"
    assert table.refused("TransactGetItems", TransactItems=[get(), get(), get(table="none")]) == NO_TABLE
    assert read_fault(table, get(), get()) == TWICE


def test_keys_that_do_not_fit_cancel_a_transacted_read(table):
    short = {"Get": {"TableName": "items", "Key": {}}}
    found = reasons(table, get(), short, get(""), get(), operation="TransactGetItems")
    assert found == [
        ("None", None),
        ("ValidationError", "The provided key element does not match the schema"),
        (
            "ValidationError",
            "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty "
            "string value. Key: pk",
        ),
        ("None", None),
    ]


def test_a_transacted_read_answers_in_order(table):
    stored(table)
    answer = table(
        "TransactGetItems",
        TransactItems=[get("none"), get("s"), get("s2"), {"Get": {**get("s3")["Get"], "ProjectionExpression": "zz"}}],
        ReturnConsumedCapacity="INDEXES",
    )
    first, second, third, fourth = answer["Responses"]
    assert first == third == fourth == {}
    assert second["Item"]["ns"] == {"NS": ["3", "2", "1"]}
    units = {"CapacityUnits": 8.0, "ReadCapacityUnits": 8.0}
    assert answer["ConsumedCapacity"] == [{"TableName": "items", **units, "Table": units}]


# ---- tokens


class SetClock(Clock):
    """Tells what it is set to."""

    time = 1000.0

    def now(self):
        return self.time


@pytest.fixture
def timed():
    clock = SetClock()
    with connect(":memory:", clock=clock) as connection:
        asker = Asker(connection.service)
        asker.create("items", "pk sk", "pk:S sk:N")
        yield asker, clock


MISMATCH = (
    "IdempotentParameterMismatchException",
    "The request uses the same client token as a previous, but non-identical request.",
)
ADD = {
    "Update": {
        "TableName": "items",
        "Key": key(),
        "UpdateExpression": "ADD n :v",
        "ExpressionAttributeValues": {":v": {"N": "1"}},
    }
}


def count(ask):
    return ask("GetItem", TableName="items", Key=key()).get("Item", {}).get("n", {"N": "0"})["N"]


def test_a_token_is_good_for_ten_minutes(timed):
    ask, clock = timed
    request = {"TransactItems": [ADD], "ClientRequestToken": "t" * 36}
    for moment, expected in (0, "1"), (1, "1"), (599, "1"), (601, "2"), (602, "2"):
        clock.time = 1000.0 + moment
        ask("TransactWriteItems", **request)
        assert count(ask) == expected


def test_another_payload_with_the_same_token_is_refused(timed):
    ask, _ = timed
    ask("TransactWriteItems", TransactItems=[ADD], ClientRequestToken="t")
    other = put({**key(), "s": {"SS": []}})
    for entries in [delete()], [ADD, delete("x")], [other], [put(table="none")]:
        assert ask.refused("TransactWriteItems", TransactItems=entries, ClientRequestToken="t") == MISMATCH
    # what is checked before the token is checked on replays too
    assert ask.fault("TransactWriteItems", TransactItems=[], ClientRequestToken="t")
    assert "tableName" in ask.fault("TransactWriteItems", TransactItems=[put(table="x")], ClientRequestToken="t")
    assert count(ask) == "1"


def test_a_cancelled_transaction_does_not_spend_its_token(timed):
    ask, _ = timed
    failing = check("attribute_exists(pk)", "other")
    assert reasons(ask, ADD, failing, ClientRequestToken="t")[1][0] == "ConditionalCheckFailed"
    ask("TransactWriteItems", TransactItems=[ADD], ClientRequestToken="t")
    assert count(ask) == "1"


def test_a_replay_is_charged_as_reads_in_the_mode_it_asks_for(timed):
    ask, _ = timed
    ask("PutItem", TableName="items", Item={**key("gone"), "a": {"S": "x" * 9000}})
    request = {
        "TransactItems": [
            delete("gone"),
            put({**key("new"), "a": {"S": "x" * 1400}}),
            check("attribute_exists(pk)", "new2"),
        ],
        "ClientRequestToken": "t",
    }
    ask("PutItem", TableName="items", Item=key("new2"))
    answer = ask("TransactWriteItems", **request, ReturnConsumedCapacity="TOTAL")
    write = {"CapacityUnits": 18.0 + 4.0 + 2.0, "WriteCapacityUnits": 24.0}
    assert answer == {"ConsumedCapacity": [{"TableName": "items", **write}]}
    read = {"CapacityUnits": 6.0 + 2.0 + 2.0, "ReadCapacityUnits": 10.0}
    answer = ask("TransactWriteItems", **request, ReturnConsumedCapacity="INDEXES")
    assert answer == {"ConsumedCapacity": [{"TableName": "items", **read, "Table": read}]}
    assert ask("TransactWriteItems", **request) == {}
    ask("DeleteTable", TableName="items")
    answer = ask("TransactWriteItems", **request, ReturnConsumedCapacity="TOTAL")
    assert answer == {"ConsumedCapacity": [{"TableName": "items", **read}]}


# ---- capacity and collections

CAPACITIES = [
    # what is there, what is done, units of table, global and local index
    (None, put(), 2, 0, 0),
    (None, put({**key(), "group": {"S": "g"}}), 2, 1, 0),
    (None, put({**key(), "group": {"S": "g"}, "title": {"S": "t"}}), 2, 1, 1),
    ({"group": {"S": "g"}, "title": {"S": "t"}}, delete(), 2, 1, 1),
    ({"group": {"S": "g"}}, put({**key(), "group": {"S": "g"}}), 2, 0, 0),
    (
        {"group": {"S": "g"}, "title": {"S": "t"}},
        update("SET #g = :v", ExpressionAttributeNames={"#g": "group"}),
        2, 2, 1,
    ),
    (
        {"group": {"S": "g"}, "a": {"S": "x" * 1500}},
        put({**key(), "group": {"S": "h"}, "a": {"S": "x" * 1500}}),
        4, 4, 0,
    ),
    (None, delete(), 2, 0, 0),
    (None, check("attribute_not_exists(pk)"), 2, 0, 0),
    ({}, check(), 2, 0, 0),
    ({"a": {"S": "x" * 3000}}, check(), 6, 0, 0),
    ({"group": {"S": "g"}, "a": {"S": "x" * 3000}}, delete(), 6, 3, 0),
]  # fmt: skip


@pytest.mark.parametrize(("before", "entry", "own", "of_global", "of_local"), CAPACITIES)
def test_units_of_a_transacted_write(ask, before, entry, own, of_global, of_local):
    ask.create(
        "items",
        "pk sk",
        "pk:S sk:N group:S title:S",
        GlobalSecondaryIndexes=[index("glob", "group")],
        LocalSecondaryIndexes=[index("loc", "pk title")],
    )
    if before is not None:
        ask("PutItem", TableName="items", Item={**key(), **before})

    def units(number):
        return {"CapacityUnits": float(number), "WriteCapacityUnits": float(number)}

    expected = {"TableName": "items", **units(own + of_global + of_local), "Table": units(own)}
    if of_global:
        expected["GlobalSecondaryIndexes"] = {"glob": units(of_global)}
    if of_local:
        expected["LocalSecondaryIndexes"] = {"loc": units(of_local)}
    answer = ask("TransactWriteItems", TransactItems=[entry], ReturnConsumedCapacity="INDEXES")
    assert answer == {"ConsumedCapacity": [expected]}


def test_capacity_and_collections_are_listed_by_table(table):
    table.create("plain", "pk sk", "pk:S sk:N")
    answer = table(
        "TransactWriteItems",
        TransactItems=[put(), check("attribute_not_exists(pk)", "z", "plain"), put(key("o"), "plain")],
        ReturnConsumedCapacity="TOTAL",
        ReturnItemCollectionMetrics="SIZE",
    )
    assert answer == {
        "ConsumedCapacity": [
            {"TableName": "items", "CapacityUnits": 2.0, "WriteCapacityUnits": 2.0},
            {"TableName": "plain", "CapacityUnits": 4.0, "WriteCapacityUnits": 4.0},
        ],
        "ItemCollectionMetrics": {
            "items": [{"ItemCollectionKey": {"pk": {"S": "k"}}, "SizeEstimateRangeGB": [0.0, 1.0]}]
        },
    }


def test_a_table_may_be_named_by_its_arn(table):
    arn = table("DescribeTable", TableName="items")["Table"]["TableArn"]
    answer = table("TransactWriteItems", TransactItems=[put(table=arn)], ReturnConsumedCapacity="TOTAL")
    assert answer["ConsumedCapacity"][0]["TableName"] == arn
    assert write_fault(table, put(), delete(table=arn)) == TWICE
    assert table("TransactGetItems", TransactItems=[get(table=arn)])["Responses"] == [{"Item": key()}]
