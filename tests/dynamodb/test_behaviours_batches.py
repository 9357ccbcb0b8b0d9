"""Batches and transactions: texts and order of checks, what is done and what it costs. Rules 3.1.5, 3.1.6, 3.10, 6, 11."""

from __future__ import annotations

import pytest

from dynamodb.behaviours import FAILED, INVALID, MISMATCH, NESTED, NOT_FOUND, deep, env

CAPACITY = f"Value 'x' at 'returnConsumedCapacity' {FAILED} satisfy enum value set: [INDEXES, TOTAL, NONE]"
METRICS = f"Value 'x' at 'returnItemCollectionMetrics' {FAILED} satisfy enum value set: [SIZE, NONE]"
AT_LEAST_1 = f"{FAILED} have length greater than or equal to 1"
MAP_KEYS = (
    "failed to satisfy constraint: Map keys must satisfy constraint: [Member must have length less than or equal to 255, "
    "Member must have length greater than or equal to 3, Member must satisfy regular expression pattern: "
    "[a-zA-Z0-9_.-]+]"
)
MAP_VALUES = (
    "failed to satisfy constraint: Map value must satisfy constraint: [Member must have length less than or equal to 25, "
    "Member must have length greater than or equal to 1]"
)
DUPLICATES = "Provided list of item keys contains duplicates"
BOTH = (
    "Can not use both expression and non-expression parameters in the same request: Non-expression parameters: "
    "{AttributesToGet} Expression parameters: {ProjectionExpression}"
)
UNUSED_NAME = "Value provided in ExpressionAttributeNames unused in expressions: keys: {#x}"
KEY = {"pk": {"S": "x"}}
OTHER = {"pk": {"S": "y"}}
VALUE = (
    "AttributeValue(s=x, n=null, b=null, iNT=null, dECIMAL=null, dOUBLE=null, sS=null, nS=null, bS=null, iNTSET=null, "
    "dECIMALSET=null, dOUBLESET=null, m=null, l=null, nULL=null, bOOL=null)"
)
ECHO = (
    "{ab=[WriteRequest(putRequest=null, deleteRequest=DeleteRequest(key={pk="
    + VALUE
    + "}, workloadProfileName=null))]}"
)


def keys(*listed, **more):
    return {"Keys": list(listed), **more}


def many(count):
    return [{"pk": {"S": str(number)}} for number in range(count)]


def get(name="hash", *listed, **more):
    return {"RequestItems": {name: keys(*listed, **more)}}


BATCH_GET = [
    ({"RequestItems": {}}, env(f"Value at 'RequestItems' {AT_LEAST_1}")),
    ({"RequestItems": {}, "ReturnConsumedCapacity": "x"}, env(f"Value at 'RequestItems' {AT_LEAST_1}")),
    (get("hash"), env(f"Value at 'RequestItems.hash.member.Keys' {AT_LEAST_1}")),
    (
        {"RequestItems": {"a!": keys(KEY), "hash": keys()}, "ReturnConsumedCapacity": "x"},
        env(f"Value at 'RequestItems.hash.member.Keys' {AT_LEAST_1}"),
    ),
    (
        {**get("ab", KEY), "ReturnConsumedCapacity": "x"},
        env('Value \'{"ab":{"Keys":[{"pk":{"S":"x"}}]}}\' at \'requestItems\' ' + MAP_KEYS, CAPACITY),
    ),
    ({**get("hash", KEY), "ReturnConsumedCapacity": "x"}, env(CAPACITY)),
    (
        get("hash", *many(101)),
        env(f"Value at 'RequestItems.hash.member.Keys' {FAILED} have length less than or equal to 100"),
    ),
    (
        {"RequestItems": {"hash": keys(*many(60)), "number": keys(*many(41))}},
        "Too many items requested for the BatchGetItem call",
    ),
    (get("hash", {"": {"S": "a"}}, AttributesToGet=["a"], ProjectionExpression="a"), "Empty attribute name"),
    (get("absent", KEY, AttributesToGet=["a"], ProjectionExpression="a"), BOTH),
    (
        {
            "RequestItems": {
                "hash": keys(KEY, AttributesToGet=["a"]),
                "number": keys({"pk": {"N": "1"}}, ProjectionExpression="a"),
            }
        },
        BOTH,
    ),
    (
        get("absent", KEY, ExpressionAttributeNames={"#x": "x"}),
        "ExpressionAttributeNames can only be specified when using expressions",
    ),
    (get("absent", KEY, ProjectionExpression=""), "Invalid ProjectionExpression: The expression can not be empty;"),
    (get("absent", KEY, ProjectionExpression="a", ExpressionAttributeNames={"#x": "x"}), UNUSED_NAME),
    (get("absent", KEY, AttributesToGet=["a", "a"]), f"{INVALID}Duplicate value in attribute name: a"),
    (get("absent", {"pk": deep(32)}), NESTED),
    (get("absent", {"pk": {"N": "x"}}), "The parameter cannot be converted to a numeric value: x"),
    (get("absent", KEY, KEY), DUPLICATES),
    (get("number", {"pk": {"N": "1"}}, {"pk": {"N": "1.0"}}), DUPLICATES),
    (get("absent", KEY), NOT_FOUND),
    ({"RequestItems": {"hash": keys(KEY), "absent": keys(KEY)}}, NOT_FOUND),
    (get("hash", {"sk": {"S": "x"}}), MISMATCH),
]


@pytest.mark.parametrize(("request_", "text"), BATCH_GET)
def test_a_batch_of_reads_is_refused(world, request_, text):
    expected = text if isinstance(text, tuple) else ("ValidationException", text)
    assert world.refused("BatchGetItem", request_) == expected


def put(item):
    return {"PutRequest": {"Item": item}}


def delete(key):
    return {"DeleteRequest": {"Key": key}}


BIG = {**KEY, "b": {"S": "x" * 409_600}}
BATCH_WRITE = [
    ({"RequestItems": {}}, "The requestItems parameter is required for BatchWriteItem"),
    (
        {"RequestItems": {"ab": []}, "ReturnConsumedCapacity": "x", "ReturnItemCollectionMetrics": "x"},
        env(f"Value '{{ab=[]}}' at 'requestItems' {MAP_VALUES}", CAPACITY, METRICS),
    ),
    ({"RequestItems": {"ab": [delete(KEY)]}, "ReturnConsumedCapacity": "x"}, env(CAPACITY)),
    ({"RequestItems": {"ab": [delete(KEY)]}}, env(f"Value '{ECHO}' at 'requestItems' {MAP_KEYS}")),
    (
        {"RequestItems": {"hash": [put(key) for key in many(13)], "words": [put(key) for key in many(13)]}},
        "Too many items requested for the BatchWriteItem call",
    ),
    ({"RequestItems": {"absent": [put({"": {"S": "a"}})]}}, "Empty attribute name"),
    ({"RequestItems": {"absent": [put(BIG)]}}, "Item size has exceeded the maximum allowed size"),
    ({"RequestItems": {"absent": [put({**KEY, "d": deep(32)})]}}, NESTED),
    ({"RequestItems": {"absent": [put(KEY), put(KEY)]}}, NOT_FOUND),
    ({"RequestItems": {"hash": [put(KEY)], "absent": [put(KEY)]}}, NOT_FOUND),
    ({"RequestItems": {"hash": [put(KEY), put({**KEY, "a": {"S": "a"}})]}}, DUPLICATES),
    ({"RequestItems": {"hash": [put(KEY), delete(KEY)]}}, DUPLICATES),
    (
        {"RequestItems": {"hash": [{}]}},
        "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes",
    ),
]


@pytest.mark.parametrize(("request_", "text"), BATCH_WRITE)
def test_a_batch_of_writes_is_refused(world, request_, text):
    expected = text if isinstance(text, tuple) else ("ValidationException", text)
    assert world.refused("BatchWriteItem", request_) == expected


def test_a_batch_of_26_writes_is_echoed(world):
    code, text = world.refused("BatchWriteItem", {"RequestItems": {"hash": [put(key) for key in many(26)]}})
    assert code == "ValidationException"
    assert text.startswith("1 validation error detected: Value '{hash=[WriteRequest(putRequest=PutRequest(item={pk=")
    assert text.endswith(f"' at 'requestItems' {MAP_VALUES}")


def test_a_batch_of_100_reads_and_25_writes_over_tables(world):
    items = many(100)
    for first in range(0, 100, 25):
        mixed = [put({**key, "n": {"N": "1"}}) for key in items[first : first + 25]]
        answer = world("BatchWriteItem", RequestItems={"hash": mixed})
        assert answer == {"UnprocessedItems": {}}
    request = {"hash": keys(*items[:99], ProjectionExpression="n"), "number": keys({"pk": {"N": "404"}})}
    answer = world("BatchGetItem", RequestItems=request, ReturnConsumedCapacity="TOTAL")
    assert answer["Responses"] == {"hash": [{"n": {"N": "1"}}] * 99, "number": []}
    assert answer["UnprocessedKeys"] == {}
    units = {one["TableName"]: one["CapacityUnits"] for one in answer["ConsumedCapacity"]}
    assert units == {"hash": 49.5, "number": 0.5}
    several = {"hash": [delete(items[0]), put({"pk": {"S": "new"}})], "number": [put({"pk": {"N": "7"}})]}
    world("BatchWriteItem", RequestItems=several)
    answer = world("BatchGetItem", RequestItems={"hash": keys(items[0], {"pk": {"S": "new"}}, AttributesToGet=["pk"])})
    assert answer["Responses"]["hash"] == [{"pk": {"S": "new"}}]


def test_a_batch_of_reads_ends_at_16_megabytes(world):
    for number in range(60):
        world("PutItem", TableName="hash", Item={"pk": {"S": f"large {number}"}, "b": {"S": "x" * 300_000}})
    wanted = keys(*({"pk": {"S": f"large {number}"}} for number in range(60)), ProjectionExpression="pk")
    answer = world("BatchGetItem", RequestItems={"hash": wanted})
    rest = answer["UnprocessedKeys"]["hash"]
    assert rest["ProjectionExpression"] == "pk"
    assert len(answer["Responses"]["hash"]) + len(rest["Keys"]) == 60
    assert 50 <= len(answer["Responses"]["hash"]) <= 56
    for number in range(60):
        world("DeleteItem", TableName="hash", Key={"pk": {"S": f"large {number}"}})


# ---- transactions


ENTRY = "Invalid Request: TransactWriteRequest should contain Delete or Put or Update request"
TWO = "TransactItems can only contain one of Check, Put, Update or Delete"
TWICE = "Transaction request cannot include multiple operations on one item"
ON_FAILURE = f"{FAILED} satisfy enum value set: [ALL_OLD, NONE]"
NAME_3 = f"{FAILED} have length greater than or equal to 3"
PATTERN = f"{FAILED} satisfy regular expression pattern: [a-zA-Z0-9_.-]+"


def t_put(item=KEY, name="hash", **more):
    return {"Put": {"TableName": name, "Item": item, **more}}


def t_update(text, key=KEY, name="hash", **more):
    return {"Update": {"TableName": name, "Key": key, "UpdateExpression": text, **more}}


def t_delete(key=KEY, name="hash", **more):
    return {"Delete": {"TableName": name, "Key": key, **more}}


def t_check(text, key=KEY, name="hash", **more):
    return {"ConditionCheck": {"TableName": name, "Key": key, "ConditionExpression": text, **more}}


V = {"ExpressionAttributeValues": {":v": {"S": "v"}}}
WRITES = [
    ({"TransactItems": []}, env(f"Value '[]' at 'transactItems' {AT_LEAST_1}")),
    (
        {
            "TransactItems": [
                t_put(ReturnValuesOnConditionCheckFailure="x"),
                {"Delete": {"TableName": "a!", "Key": KEY, "ReturnValuesOnConditionCheckFailure": "y"}},
            ],
            "ClientRequestToken": "t" * 37,
            "ReturnConsumedCapacity": "x",
            "ReturnItemCollectionMetrics": "x",
        },
        env(
            f"Value 'x' at 'transactItems.1.member.put.returnValuesOnConditionCheckFailure' {ON_FAILURE}",
            f"Value 'y' at 'transactItems.2.member.delete.returnValuesOnConditionCheckFailure' {ON_FAILURE}",
            f"Value '{'t' * 37}' at 'clientRequestToken' {FAILED} have length less than or equal to 36",
            CAPACITY,
            METRICS,
        ),
    ),
    ({"TransactItems": [t_put(name="a!"), {}]}, ENTRY),
    ({"TransactItems": [{**t_put(), **t_delete()}]}, TWO),
    (
        {"TransactItems": [t_put(name="a!"), t_update("x", name="ab")]},
        env(
            f"Value 'a!' at 'transactItems.1.member.put.tableName' {NAME_3}",
            f"Value 'a!' at 'transactItems.1.member.put.tableName' {PATTERN}",
            f"Value 'ab' at 'transactItems.2.member.update.tableName' {NAME_3}",
        ),
    ),
    ({"TransactItems": [t_put({"": {"S": "a"}})]}, "Empty attribute name"),
    ({"TransactItems": [t_put(name="absent")]}, NOT_FOUND),
    ({"TransactItems": [t_put(), t_put({**KEY, "a": {"S": "a"}})]}, TWICE),
    ({"TransactItems": [t_put(), t_delete()]}, TWICE),
    ({"TransactItems": [t_check("attribute_exists(pk)"), t_update("REMOVE a")]}, TWICE),
    ({"TransactItems": [t_put(), t_put(), t_put(name="absent")]}, TWICE),
    ({"TransactItems": [t_put(BIG)]}, "Item size has exceeded the maximum allowed size"),
    ({"TransactItems": [t_put({**KEY, "d": deep(32)})]}, NESTED),
    ({"TransactItems": [t_delete({"pk": deep(32)})]}, NESTED),
    (
        {"TransactItems": [t_put(ConditionExpression="a <> :v", ExpressionAttributeValues={})]},
        "ExpressionAttributeValues must not be empty",
    ),
    (
        {
            "TransactItems": [
                t_delete({"zz": {"S": "a"}}, ConditionExpression="a <> :v", ExpressionAttributeNames={"#x": "x"}, **V)
            ]
        },
        UNUSED_NAME,
    ),
    (
        {"TransactItems": [t_put({"pk": {"S": str(number)}, "b": {"S": "x" * 400_000}}) for number in range(11)]},
        "Collection size of items exceeded, which can also be caused by the aggregate size of the items in the "
        "transaction exceeding the 4MB limit",
    ),
    (
        {"TransactItems": [t_put({"pk": {"S": ""}})]},
        "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string "
        "value. Key: pk",
    ),
]


@pytest.mark.parametrize(("request_", "text"), WRITES)
def test_a_transaction_is_refused(world, request_, text):
    expected = text if isinstance(text, tuple) else ("ValidationException", text)
    assert world.refused("TransactWriteItems", request_) == expected


@pytest.mark.parametrize(
    ("operation", "entry", "start"),
    [
        ("TransactWriteItems", t_delete, "[TransactWriteItem(conditionCheck=null, put=null, delete=Delete(key={pk="),
        (
            "TransactGetItems",
            lambda key: {"Get": {"TableName": "hash", "Key": key}},
            "[TransactGetItem(get=Get(key={pk=",
        ),
    ],
)
def test_over_100_actions_are_echoed(world, operation, entry, start):
    code, text = world.refused(operation, {"TransactItems": [entry(key) for key in many(101)]})
    assert code == "ValidationException"
    assert text.startswith(f"1 validation error detected: Value '{start}")
    assert text.endswith(f"' at 'transactItems' {FAILED} have length less than or equal to 100")


def cancelled(world, *actions):
    before = world.service.database.last_sequence
    with pytest.raises(world.client.exceptions.TransactionCanceledException) as caught:
        world("TransactWriteItems", TransactItems=list(actions))
    assert world.service.database.last_sequence == before
    response = caught.value.response
    codes = ", ".join(reason["Code"] for reason in response["CancellationReasons"])
    begin = "Transaction cancelled, please refer cancellation reasons for specific reasons"
    assert response["Error"]["Message"] == f"{begin} [{codes}]"
    return response["CancellationReasons"]


FAILED_CONDITION = {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"}


def test_every_failing_action_has_its_reason(world):
    world("PutItem", TableName="hash", Item={"pk": {"S": "there"}, "n": {"S": "text"}})
    there, absent = {"pk": {"S": "there"}}, {"pk": {"S": "nowhere"}}
    reasons = cancelled(
        world,
        t_put({"pk": {"S": "survivor"}}),
        t_put(there, ConditionExpression="attribute_not_exists(pk)", ReturnValuesOnConditionCheckFailure="ALL_OLD"),
        t_check("attribute_exists(pk)", absent, ReturnValuesOnConditionCheckFailure="ALL_OLD"),
        t_update("SET n = n + :o", {"pk": {"S": "x1"}}, ExpressionAttributeValues={":o": {"N": "1"}}),
        t_delete({"zz": {"S": "a"}}),
        t_put({"pk": {"N": "1"}}),
    )
    assert reasons == [
        {"Code": "None"},
        {**FAILED_CONDITION, "Item": {"pk": {"S": "there"}, "n": {"S": "text"}}},
        FAILED_CONDITION,
        {
            "Code": "ValidationError",
            "Message": "The provided expression refers to an attribute that does not exist in the item",
        },
        {"Code": "ValidationError", "Message": MISMATCH},
        {"Code": "ValidationError", "Message": f"{INVALID}Type mismatch for key pk expected: S actual: N"},
    ]
    assert "Item" not in world("GetItem", TableName="hash", Key={"pk": {"S": "survivor"}})


def test_an_update_whose_condition_fails_leaves_no_ghost(world):
    ghost = {"pk": {"S": "ghost"}}
    for condition in ("attribute_exists(pk)", "n > :v", "attribute_exists(pk) AND n = :v"):
        values = V if ":v" in condition else {}
        request = {
            "TableName": "hash",
            "Key": ghost,
            "UpdateExpression": "SET a = pk",
            "ConditionExpression": condition,
        }
        assert world.refused("UpdateItem", {**request, **values})[0] == "ConditionalCheckFailedException"
        (reason,) = cancelled(world, {"Update": {**request, **values}})
        assert reason == FAILED_CONDITION
    assert "Item" not in world("GetItem", TableName="hash", Key=ghost)
    created = t_update("SET a = :v", ghost, ConditionExpression="attribute_not_exists(pk)", **V)
    assert world("TransactWriteItems", TransactItems=[created]) == {}
    assert world("GetItem", TableName="hash", Key=ghost)["Item"] == {**ghost, "a": {"S": "v"}}


def test_put_update_delete_and_check_in_one(world):
    for name in ("t1", "t2", "t3"):
        world("PutItem", TableName="hash", Item={"pk": {"S": name}, "n": {"N": "1"}})
    one = {":o": {"N": "1"}}
    answer = world(
        "TransactWriteItems",
        TransactItems=[
            t_put(
                {"pk": {"N": "1"}, "x": {"S": "x"}},
                "number",
                ConditionExpression="(attribute_not_exists(zz)) AND (pk <> :o)",
                ExpressionAttributeValues={":o": {"N": "5"}},
            ),
            t_update(
                "ADD n :o",
                {"pk": {"S": "t1"}},
                ConditionExpression="(n = :o AND attribute_exists(pk))",
                ExpressionAttributeValues=one,
            ),
            t_delete(
                {"pk": {"S": "t2"}},
                ConditionExpression="(n = :o AND (attribute_exists(pk)))",
                ExpressionAttributeValues=one,
            ),
            t_check("(n = :o) AND (attribute_exists(pk))", {"pk": {"S": "t3"}}, ExpressionAttributeValues=one),
        ],
        ReturnConsumedCapacity="INDEXES",
    )
    assert answer == {
        "ConsumedCapacity": [
            {
                "TableName": name,
                "CapacityUnits": units,
                "WriteCapacityUnits": units,
                "Table": {"CapacityUnits": units, "WriteCapacityUnits": units},
            }
            for name, units in (("number", 2.0), ("hash", 6.0))
        ]
    }
    items = world(
        "TransactGetItems",
        TransactItems=[
            {"Get": {"TableName": "hash", "Key": {"pk": {"S": name}}, "ProjectionExpression": "n"}}
            for name in ("t1", "t2")
        ]
        + [{"Get": {"TableName": "number", "Key": {"pk": {"N": "1.0"}}}}],
        ReturnConsumedCapacity="TOTAL",
    )
    assert items["Responses"] == [{"Item": {"n": {"N": "2"}}}, {}, {"Item": {"pk": {"N": "1"}, "x": {"S": "x"}}}]
    assert items["ConsumedCapacity"] == [
        {"TableName": "hash", "CapacityUnits": 4.0, "ReadCapacityUnits": 4.0},
        {"TableName": "number", "CapacityUnits": 2.0, "ReadCapacityUnits": 2.0},
    ]


def test_a_token_stands_for_one_payload(world):
    key = {"pk": {"S": "token"}}
    add = t_update("ADD n :o", key, ExpressionAttributeValues={":o": {"N": "1"}})
    first = world("TransactWriteItems", TransactItems=[add], ClientRequestToken="one", ReturnConsumedCapacity="TOTAL")
    assert first["ConsumedCapacity"][0] == {"TableName": "hash", "CapacityUnits": 2.0, "WriteCapacityUnits": 2.0}
    again = world("TransactWriteItems", TransactItems=[add], ClientRequestToken="one", ReturnConsumedCapacity="TOTAL")
    assert again["ConsumedCapacity"][0] == {"TableName": "hash", "CapacityUnits": 2.0, "ReadCapacityUnits": 2.0}
    assert world("TransactWriteItems", TransactItems=[add], ClientRequestToken="one") == {}
    assert world("GetItem", TableName="hash", Key=key)["Item"]["n"] == {"N": "1"}
    other = {"TransactItems": [t_delete(key)], "ClientRequestToken": "one"}
    assert world.refused("TransactWriteItems", other)[0] == "IdempotentParameterMismatchException"


@pytest.mark.parametrize(("size", "first", "replayed"), [(1500, 4.0, 2.0), (9 * 1024 - 20, 18.0, 6.0)])
def test_a_replay_is_charged_as_reads(world, size, first, replayed):
    item = {"pk": {"S": "replayed"}, "b": {"S": "x" * size}}
    request = {"TransactItems": [t_put(item)], "ClientRequestToken": f"size {size}", "ReturnConsumedCapacity": "TOTAL"}
    assert world("TransactWriteItems", **request)["ConsumedCapacity"][0]["WriteCapacityUnits"] == first
    assert world("TransactWriteItems", **request)["ConsumedCapacity"][0]["ReadCapacityUnits"] == replayed
    world("DeleteItem", TableName="hash", Key={"pk": {"S": "replayed"}})


def t_get(key=KEY, name="hash", **more):
    return {"Get": {"TableName": name, "Key": key, **more}}


GETS = [
    ({"TransactItems": []}, env(f"Value '[]' at 'transactItems' {AT_LEAST_1}")),
    (
        {"TransactItems": [{}, t_get(), {}], "ReturnConsumedCapacity": "x"},
        env(
            f"Value null at 'transactItems.1.member.get' {FAILED} not be null",
            f"Value null at 'transactItems.3.member.get' {FAILED} not be null",
            CAPACITY,
        ),
    ),
    ({"TransactItems": [t_get(name="a!")], "ReturnConsumedCapacity": "x"}, env(CAPACITY)),
    (
        {"TransactItems": [t_get(), t_get(name="a!")]},
        env(
            f"Value 'a!' at 'transactItems.2.member.get.tableName' {NAME_3}",
            f"Value 'a!' at 'transactItems.2.member.get.tableName' {PATTERN}",
        ),
    ),
    ({"TransactItems": [t_get({"": {"S": "a"}})]}, "Empty attribute name"),
    ({"TransactItems": [t_get({"pk": deep(32)})]}, NESTED),
    (
        {"TransactItems": [t_get(name="absent", ProjectionExpression=" ")]},
        'Invalid ProjectionExpression: Syntax error; token: "<EOF>", near: " "',
    ),
    (
        {"TransactItems": [t_get(name="absent", ProjectionExpression="a", ExpressionAttributeNames={"#x": "x"})]},
        UNUSED_NAME,
    ),
    ({"TransactItems": [t_get(name="absent")]}, NOT_FOUND),
    ({"TransactItems": [t_get(), t_get()]}, TWICE),
]


@pytest.mark.parametrize(("request_", "text"), GETS)
def test_reads_in_a_transaction_are_refused(world, request_, text):
    expected = text if isinstance(text, tuple) else ("ValidationException", text)
    assert world.refused("TransactGetItems", request_) == expected


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ({}, MISMATCH),
        ({"zz": {"S": "a"}}, MISMATCH),
        ({"pk": {"N": "1"}}, MISMATCH),
        (
            {"pk": {"S": ""}},
            "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty "
            "string value. Key: pk",
        ),
    ],
)
def test_a_read_whose_key_does_not_fit_cancels(world, key, text):
    with pytest.raises(world.client.exceptions.TransactionCanceledException) as caught:
        world("TransactGetItems", TransactItems=[t_get(), t_get(key)])
    reasons = caught.value.response["CancellationReasons"]
    assert reasons == [{"Code": "None"}, {"Code": "ValidationError", "Message": text}]


# ---- what writes cost


def pair(**more):
    return {"pk": {"S": "cost"}, "sk": {"N": "1"}, **more}


def costs(world, operation, **request):
    if operation == "TransactWriteItems":
        (found,) = world(operation, **request, ReturnConsumedCapacity="INDEXES")["ConsumedCapacity"]
    else:
        found = world(operation, TableName="pair", **request, ReturnConsumedCapacity="INDEXES")["ConsumedCapacity"]
    arms = {}
    for member in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes"):
        arms.update({name: arm["CapacityUnits"] for name, arm in found.get(member, {}).items()})
    assert found["CapacityUnits"] == found["Table"]["CapacityUnits"] + sum(arms.values())
    return found["Table"]["CapacityUnits"], arms


G, R = {"S": "g"}, {"N": "1"}


def test_index_charges_follow_what_the_index_stores(world):
    key = {"pk": {"S": "cost"}, "sk": {"N": "1"}}
    all_ = {"g-all": 1.0, "g-inc": 1.0, "g-keys": 1.0}
    assert costs(world, "PutItem", Item=pair()) == (1.0, {})
    assert costs(world, "PutItem", Item=pair(gh=G, gr=R)) == (1.0, all_)
    assert costs(world, "PutItem", Item=pair(gh=G, gr=R)) == (1.0, {})
    assert costs(world, "PutItem", Item=pair(gh=G, gr=R, x={"S": "x"})) == (1.0, {"g-all": 1.0, "g-inc": 1.0})
    assert costs(world, "PutItem", Item=pair(gh=G, gr=R, x={"S": "x"}, y={"SS": ["a", "b"]})) == (1.0, {"g-all": 1.0})
    assert costs(world, "PutItem", Item=pair(gh=G, gr=R, x={"S": "x"}, y={"SS": ["b", "a"]})) == (1.0, {})
    moved = {":g": {"S": "h"}}
    update = {"Key": key, "UpdateExpression": "SET gh = :g", "ExpressionAttributeValues": moved}
    assert costs(world, "UpdateItem", **update) == (1.0, {"g-all": 2.0, "g-inc": 2.0, "g-keys": 2.0})
    assert costs(world, "DeleteItem", Key=key) == (1.0, all_)
    assert costs(world, "DeleteItem", Key=key) == (1.0, {})
    big = pair(gh=G, l1={"S": "l"}, z={"S": "z" * 3000})
    assert costs(world, "PutItem", Item=big) == (3.0, {"g-inc": 1.0, "l-all": 3.0})
    assert costs(world, "PutItem", Item=pair()) == (3.0, {"g-inc": 1.0, "l-all": 3.0})
    world("DeleteItem", TableName="pair", Key=key)


def test_a_transaction_doubles_the_tables_arm_alone(world):
    key = {"pk": {"S": "cost"}, "sk": {"N": "1"}}

    def write(action):
        return costs(world, "TransactWriteItems", TransactItems=[action])

    assert write(t_put(pair(), "pair")) == (2.0, {})
    assert write(t_put(pair(l1={"S": "l"}), "pair")) == (2.0, {"l-all": 1.0})
    assert write(t_put(pair(l1={"S": "l"}), "pair")) == (2.0, {})
    assert write(t_delete(key, "pair")) == (2.0, {"l-all": 1.0})
    assert write(t_delete(key, "pair")) == (2.0, {})
    assert write(t_check("attribute_not_exists(pk)", key, "pair")) == (2.0, {})
    world("PutItem", TableName="pair", Item=pair(gh=G, z={"S": "z" * 3000}))
    assert write(t_check("attribute_exists(pk)", key, "pair")) == (6.0, {})
    assert write(t_delete(key, "pair")) == (6.0, {"g-inc": 1.0})


@pytest.mark.parametrize("consistent", [False, True])
def test_reads_are_charged_for_the_whole_item(world, consistent):
    item = {"pk": {"S": "read"}, "a": {"S": "a"}, "b": {"S": "x" * 9000}}
    world("PutItem", TableName="hash", Item=item)
    request = {"TableName": "hash", "Key": {"pk": {"S": "read"}}, "ConsistentRead": consistent}
    request["ReturnConsumedCapacity"] = "INDEXES"
    units = 3.0 if consistent else 1.5
    answer = world("GetItem", **request, ProjectionExpression="a")
    assert answer["ConsumedCapacity"] == {
        "TableName": "hash",
        "CapacityUnits": units,
        "Table": {"CapacityUnits": units},
    }
    request["Key"] = {"pk": {"S": "not read"}}
    assert world("GetItem", **request)["ConsumedCapacity"]["CapacityUnits"] == (1.0 if consistent else 0.5)
    world("DeleteItem", TableName="hash", Key={"pk": {"S": "read"}})


def test_updates_and_shrinking_puts_are_charged_on_the_larger_image(world):
    key = {"pk": {"S": "shrink"}}
    world("PutItem", TableName="hash", Item={**key, "b": {"S": "x" * 3000}})
    request = {"TableName": "hash", "ReturnConsumedCapacity": "TOTAL"}
    assert world("PutItem", **request, Item=key)["ConsumedCapacity"] == {"TableName": "hash", "CapacityUnits": 3.0}
    grow = {"UpdateExpression": "SET b = :b", "ExpressionAttributeValues": {":b": {"S": "x" * 1500}}}
    assert world("UpdateItem", **request, Key=key, **grow)["ConsumedCapacity"]["CapacityUnits"] == 2.0
    answer = world("UpdateItem", **request, Key=key, UpdateExpression="REMOVE b")
    assert answer["ConsumedCapacity"]["CapacityUnits"] == 2.0
    assert world("DeleteItem", **request, Key=key)["ConsumedCapacity"]["CapacityUnits"] == 1.0
    batch = world("BatchWriteItem", RequestItems={"hash": [put(KEY), put(OTHER)]}, ReturnConsumedCapacity="TOTAL")
    assert batch["ConsumedCapacity"] == [{"TableName": "hash", "CapacityUnits": 2.0}]


# ---- item collections


def test_item_collection_metrics(world):
    small = {"ItemCollectionKey": {"pk": {"S": "coll"}}, "SizeEstimateRangeGB": [0.0, 1.0]}
    item, wanted = {"pk": {"S": "coll"}, "sk": {"N": "1"}}, {"ReturnItemCollectionMetrics": "SIZE"}
    assert world("PutItem", TableName="pair", Item=item, **wanted) == {"ItemCollectionMetrics": small}
    assert world("UpdateItem", TableName="pair", Key=item, **wanted) == {"ItemCollectionMetrics": small}
    assert world("DeleteItem", TableName="pair", Key=item, **wanted) == {"ItemCollectionMetrics": small}
    assert world("PutItem", TableName="pair", Item=item, ReturnItemCollectionMetrics="NONE") == {}
    assert world("PutItem", TableName="hash", Item=KEY, **wanted) == {}
    several = [put({**item, "sk": {"N": str(number)}}) for number in range(3)]
    batch = world("BatchWriteItem", RequestItems={"pair": several, "hash": [put(KEY)]}, **wanted)
    assert batch["ItemCollectionMetrics"] == {"pair": [small]}
    answer = world("TransactWriteItems", TransactItems=[t_put(item, "pair")], **wanted)
    assert answer == {"ItemCollectionMetrics": {"pair": [small]}}


# ---- sizes


LIMIT = 409_600
SIZES = [
    ({"b": {"S": "x"}}, 2),
    ({"é": {"S": "é"}}, 4),
    ({"b": {"B": b"123"}}, 4),
    ({"n": {"N": "1"}}, 3),
    ({"n": {"N": "100"}}, 3),
    ({"n": {"N": "123"}}, 4),
    ({"n": {"N": "-1"}}, 4),
    ({"n": {"N": "12.5"}}, 4),
    ({"n": {"N": "0.0000001"}}, 3),
    ({"n": {"N": "1" * 38}}, 21),
    ({"t": {"BOOL": False}, "u": {"NULL": True}}, 4),
    ({"s": {"SS": ["a", "bc"]}}, 4),
    ({"s": {"NS": ["1", "123"]}}, 6),
    ({"s": {"BS": [b"a", b"bc"]}}, 4),
    ({"l": {"L": []}}, 4),
    ({"l": {"L": [{"S": "a"}, {"N": "1"}]}}, 4 + 2 + 3),
    ({"m": {"M": {}}}, 4),
    ({"m": {"M": {"key": {"S": "a"}}}}, 4 + 1 + 3 + 1),
]


@pytest.mark.parametrize(("attributes", "size"), SIZES)
def test_an_item_is_measured_to_the_byte(world, attributes, size):
    rest = LIMIT - size - 3 - 1
    for more, taken in ((0, True), (1, False)):
        item = {"pk": {"S": "m"}, **attributes, "p": {"S": "x" * (rest + more)}}
        if taken:
            world("PutItem", TableName="hash", Item=item)
        else:
            text = "Item size has exceeded the maximum allowed size"
            assert world.refused("PutItem", {"TableName": "hash", "Item": item}) == ("ValidationException", text)
    world("DeleteItem", TableName="hash", Key={"pk": {"S": "m"}})
