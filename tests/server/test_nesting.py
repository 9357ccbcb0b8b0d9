"""Values nested to any depth get an answer, whatever the operation."""

from __future__ import annotations

import pytest

from server.serving import served

BODIES = {
    "PutItem": '{"TableName":"Nest","Item":{"a":{"S":"k"},"b":%s}}',
    "GetItem": '{"TableName":"Nest","Key":{"a":%s}}',
    "UpdateItem": '{"TableName":"Nest","Key":{"a":{"S":"k"}},"UpdateExpression":"SET b = :v",'
    '"ExpressionAttributeValues":{":v":%s}}',
    "DeleteItem": '{"TableName":"Nest","Key":{"a":{"S":"k"}},"Expected":{"b":{"Value":%s}}}',
    "Query": '{"TableName":"Nest","KeyConditionExpression":"a = :v","ExpressionAttributeValues":{":v":%s}}',
    "Scan": '{"TableName":"Nest","FilterExpression":"b = :v","ExpressionAttributeValues":{":v":%s}}',
    "BatchGetItem": '{"RequestItems":{"Nest":{"Keys":[{"a":%s}]}}}',
    "BatchWriteItem": '{"RequestItems":{"Nest":[{"PutRequest":{"Item":{"a":{"S":"k"},"b":%s}}}]}}',
    "TransactWriteItems": '{"TransactItems":[{"Put":{"TableName":"Nest","Item":{"a":{"S":"k"},"b":%s}}}]}',
}
TABLE = {
    "TableName": "Nest",
    "KeySchema": [{"AttributeName": "a", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "a", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}


@pytest.fixture(scope="module")
def server():
    with served() as running:
        assert running.call("CreateTable", TABLE)[0] == 200
        yield running
        assert running.stderr == ""


def nested(levels: int, kind: str) -> str:
    before, after = ('{"L":[', "]}") if kind == "L" else ('{"M":{"a":', "}}")
    return before * levels + '{"S":"x"}' + after * levels


@pytest.mark.parametrize("levels", [32, 33, 63, 200, 400, 500, 1000, 50_000])
@pytest.mark.parametrize("operation", BODIES)
def test_a_deep_value_is_refused_in_words_or_none(server, operation, levels) -> None:
    for kind in "LM":
        status, answer = server.call(operation, (BODIES[operation] % nested(levels, kind)).encode())
        assert status == 400
        if levels >= 1000:
            assert answer == {"__type": "com.amazon.coral.service#SerializationException"}
        elif levels >= 400:
            # what is not compiled ends at Python's recursion limit before
            assert answer["__type"].endswith(("#ValidationException", "#SerializationException"))
        else:
            assert answer["__type"] == "com.amazon.coral.validate#ValidationException"


def test_a_million_brackets_are_no_json(server) -> None:
    for operation in BODIES:
        for text in ("[" * 1_000_000, '{"a":' * 1_000_000):
            status, answer = server.call(operation, text.encode())
            assert (status, answer) == (400, {"__type": "com.amazon.coral.service#SerializationException"})
