"""boto3 against a server of its own process: clients and resources as programs use them, threads, TLS, signatures."""

from __future__ import annotations

import gzip
import http.client
import json
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("httptools")
pytest.importorskip("boto3")

import boto3
import botocore.exceptions
from boto3.dynamodb.conditions import Attr, Key
from boto3.dynamodb.types import Binary
from botocore import UNSIGNED
from botocore.awsrequest import AWSResponse
from botocore.config import Config

from server.certificates import self_signed
from server.serving import CLIENT, HUNG_SECONDS, Server, served
from server.signing import signed

AUTHOR, TITLE = "author", "title"
BOOKS: dict[str, Any] = {
    "TableName": "Books",
    "KeySchema": [{"AttributeName": AUTHOR, "KeyType": "HASH"}, {"AttributeName": TITLE, "KeyType": "RANGE"}],
    "AttributeDefinitions": [
        {"AttributeName": AUTHOR, "AttributeType": "S"},
        {"AttributeName": TITLE, "AttributeType": "S"},
        {"AttributeName": "year", "AttributeType": "N"},
    ],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "by-year",
            "KeySchema": [{"AttributeName": "year", "KeyType": "HASH"}, {"AttributeName": TITLE, "KeyType": "RANGE"}],
            "Projection": {"ProjectionType": "ALL"},
        }
    ],
    "BillingMode": "PAY_PER_REQUEST",
}


@pytest.fixture(scope="module")
def server():
    with served("--in-memory") as running:
        yield running
        assert running.stop() == 0
        assert running.stderr == ""


@pytest.fixture
def client(server):
    made = server.client()
    yield made
    for name in made.list_tables()["TableNames"]:
        made.delete_table(TableName=name)
    made.close()


@pytest.fixture
def books(server, client):
    """The resource's Table, empty."""
    resource = boto3.resource("dynamodb", **_settings(server))
    table = resource.create_table(**BOOKS)
    table.wait_until_exists()
    yield table
    resource.meta.client.close()


def _settings(server: Server, key: str = "test", secret: str = "test", **more: Any) -> dict[str, Any]:
    return {
        "endpoint_url": server.address,
        "region_name": "us-east-1",
        "aws_access_key_id": key,
        "aws_secret_access_key": secret,
        "config": Config(**CLIENT),
        **more,
    }


# ---- clients


def test_a_table_lives_from_create_to_delete(client):
    client.create_table(**BOOKS, Tags=[{"Key": "team", "Value": "shop"}])
    client.get_waiter("table_exists").wait(TableName="Books", WaiterConfig={"Delay": 1, "MaxAttempts": 100})
    described = client.describe_table(TableName="Books")["Table"]
    assert described["TableStatus"] == "ACTIVE"
    assert described["TableArn"] == "arn:aws:dynamodb:us-east-1:000000000000:table/Books"
    assert client.list_tags_of_resource(ResourceArn=described["TableArn"])["Tags"] == [{"Key": "team", "Value": "shop"}]
    client.update_table(TableName="Books", DeletionProtectionEnabled=True)
    with pytest.raises(client.exceptions.ClientError, match="protection"):
        client.delete_table(TableName="Books")
    client.update_table(TableName="Books", DeletionProtectionEnabled=False)
    client.delete_table(TableName="Books")
    client.get_waiter("table_not_exists").wait(TableName="Books", WaiterConfig={"Delay": 1, "MaxAttempts": 100})
    assert client.list_tables()["TableNames"] == []


def test_every_type_comes_back_as_it_was(client):
    client.create_table(**BOOKS)
    item = {
        AUTHOR: {"S": "ключ \U0001f600 \u0000"},
        TITLE: {"S": "x"},
        "number": {"N": "-1234567890123456789012345678901234567.8"},
        "binary": {"B": bytes(range(256))},
        "flags": {"L": [{"BOOL": True}, {"NULL": True}, {"M": {"in it": {"S": ""}}}]},
        "strings": {"SS": ["a", "b"]},
        "numbers": {"NS": ["1E+3"]},
        "binaries": {"BS": [b"", b"\xff"]},
    }
    client.put_item(TableName="Books", Item=item)
    got = client.get_item(TableName="Books", Key={AUTHOR: item[AUTHOR], TITLE: item[TITLE]})["Item"]
    assert got == item | {"numbers": {"NS": ["1000"]}, "binaries": {"BS": got["binaries"]["BS"]}}
    assert sorted(got["binaries"]["BS"]) == [b"", b"\xff"]


def test_exceptions_have_classes_and_what_the_service_adds(client):
    client.create_table(**BOOKS)
    item = {AUTHOR: {"S": "a"}, TITLE: {"S": "t"}, "year": {"N": "1999"}}
    client.put_item(TableName="Books", Item=item)
    with pytest.raises(client.exceptions.ResourceInUseException):
        client.create_table(**BOOKS)
    with pytest.raises(client.exceptions.ResourceNotFoundException, match="Requested resource not found"):
        client.get_item(TableName="Nowhere", Key={AUTHOR: {"S": "a"}})
    with pytest.raises(client.exceptions.ConditionalCheckFailedException) as failed:
        client.put_item(
            TableName="Books",
            Item=item,
            ConditionExpression="attribute_not_exists(title)",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    assert failed.value.response["Item"] == item
    assert len(failed.value.response["ResponseMetadata"]["RequestId"]) == 52
    put = {"Put": {"TableName": "Books", "Item": item, "ConditionExpression": "attribute_not_exists(title)"}}
    with pytest.raises(client.exceptions.TransactionCanceledException) as cancelled:
        client.transact_write_items(TransactItems=[put])
    assert [reason["Code"] for reason in cancelled.value.response["CancellationReasons"]] == ["ConditionalCheckFailed"]


def test_transactions_write_and_read_several_items(client):
    client.create_table(**BOOKS)
    puts = [{"Put": {"TableName": "Books", "Item": {AUTHOR: {"S": "a"}, TITLE: {"S": str(n)}}}} for n in range(5)]
    client.transact_write_items(TransactItems=puts, ClientRequestToken="once")
    client.transact_write_items(TransactItems=puts, ClientRequestToken="once")
    with pytest.raises(client.exceptions.IdempotentParameterMismatchException):
        client.transact_write_items(TransactItems=puts[:1], ClientRequestToken="once")
    gets = [{"Get": {"TableName": "Books", "Key": {AUTHOR: {"S": "a"}, TITLE: {"S": str(n)}}}} for n in (4, 9)]
    answers = client.transact_get_items(TransactItems=gets)["Responses"]
    assert answers == [{"Item": {AUTHOR: {"S": "a"}, TITLE: {"S": "4"}}}, {}]


def test_paginators_go_through_all_pages(client):
    client.create_table(**BOOKS)
    for number in range(60):
        text = {"S": "x" * 40_000}
        item = {AUTHOR: {"S": "a"}, TITLE: {"S": f"{number:03}"}, "text": text}
        client.put_item(TableName="Books", Item=item)
    query = client.get_paginator("query").paginate(
        TableName="Books",
        KeyConditionExpression="author = :a",
        ExpressionAttributeValues={":a": {"S": "a"}},
    )
    pages = [[item[TITLE]["S"] for item in page["Items"]] for page in query]
    assert len(pages) == 3
    assert [title for page in pages for title in page] == [f"{number:03}" for number in range(60)]
    scan = client.get_paginator("scan").paginate(
        TableName="Books", ProjectionExpression="title", PaginationConfig={"PageSize": 7, "MaxItems": 30}
    )
    assert sum(len(page["Items"]) for page in scan) == 30
    for number in range(11):
        client.create_table(**BOOKS | {"TableName": f"t{number:02}"})
    names = client.get_paginator("list_tables").paginate(PaginationConfig={"PageSize": 4})
    assert [len(page["TableNames"]) for page in names] == [4, 4, 4]


# ---- resources


def test_a_table_takes_python_values(books):
    item = {AUTHOR: "a", TITLE: "t", "price": Decimal("12.50"), "tags": {"x", "y"}, "data": b"\x00\xff", "none": None}
    books.put_item(Item=item)
    got = books.get_item(Key={AUTHOR: "a", TITLE: "t"})["Item"]
    assert got == item | {"data": Binary(b"\x00\xff")}
    answer = books.update_item(
        Key={AUTHOR: "a", TITLE: "t"},
        UpdateExpression="SET #p = #p + :two REMOVE tags",
        ConditionExpression=Attr("price").gt(10) & Attr("tags").contains("x"),
        ExpressionAttributeNames={"#p": "price"},
        ExpressionAttributeValues={":two": 2},
        ReturnValues="UPDATED_NEW",
    )
    assert answer["Attributes"] == {"price": Decimal("14.5")}
    assert books.delete_item(Key={AUTHOR: "a", TITLE: "t"}, ReturnValues="ALL_OLD")["Attributes"]["none"] is None


def test_a_batch_writer_writes_and_deletes_and_queries_find_it(books):
    with books.batch_writer(overwrite_by_pkeys=[AUTHOR, TITLE]) as batch:
        for number in range(130):
            batch.put_item(Item={AUTHOR: "ab"[number % 2], TITLE: f"{number:03}", "year": 2000 + number % 10})
        batch.put_item(Item={AUTHOR: "a", TITLE: "000", "year": 1900})
        batch.delete_item(Key={AUTHOR: "a", TITLE: "002"})
    of_a = books.query(KeyConditionExpression=Key(AUTHOR).eq("a") & Key(TITLE).between("000", "009"))
    assert [item[TITLE] for item in of_a["Items"]] == ["000", "004", "006", "008"]
    backwards = books.query(KeyConditionExpression=Key(AUTHOR).eq("b"), ScanIndexForward=False, Limit=2)
    assert [item[TITLE] for item in backwards["Items"]] == ["129", "127"]
    by_year = books.query(IndexName="by-year", KeyConditionExpression=Key("year").eq(2003), Select="COUNT")
    assert by_year["Count"] == 13
    filtered = books.scan(FilterExpression=Attr("year").is_in([1900]) | Attr(TITLE).begins_with("12"))
    assert {item[TITLE] for item in filtered["Items"]} == {"000", *(f"{number}" for number in range(120, 130))}
    assert filtered["ScannedCount"] == 129


def test_a_resource_lists_tables_and_gets_batches(server, books):
    resource = boto3.resource("dynamodb", **_settings(server))
    assert [table.name for table in resource.tables.all()] == ["Books"]
    with books.batch_writer() as batch:
        for number in range(30):
            batch.put_item(Item={AUTHOR: "a", TITLE: str(number)})
    keys = [{AUTHOR: "a", TITLE: str(number)} for number in range(40)]
    answer = resource.batch_get_item(RequestItems={"Books": {"Keys": keys}})
    assert len(answer["Responses"]["Books"]) == 30
    assert answer["UnprocessedKeys"] == {}
    assert resource.Table("Books").item_count >= 0
    resource.meta.client.close()


# ---- many at once


def test_threads_share_a_client_and_count_exactly(client):
    client.create_table(**BOOKS)
    key = {AUTHOR: {"S": "counter"}, TITLE: {"S": "c"}}

    def add(_: int) -> None:
        client.update_item(
            TableName="Books",
            Key=key,
            UpdateExpression="ADD n :one",
            ExpressionAttributeValues={":one": {"N": "1"}},
        )

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(add, range(300)))
    assert client.get_item(TableName="Books", Key=key)["Item"]["n"] == {"N": "300"}


# ---- on the wire


def test_answers_come_compressed_to_who_asks(client):
    """botocore decodes no answers, so this one is fetched for it."""
    codings = []

    def sent(request: Any, **_: Any) -> AWSResponse:
        place = request.url.split("/")[2]
        connection = http.client.HTTPConnection(place, timeout=HUNG_SECONDS)
        request.headers["Accept-Encoding"] = "gzip"
        connection.request(request.method, "/", request.body, dict(request.headers.items()))
        answer = connection.getresponse()
        body = answer.read()
        assert int(answer.headers["x-amz-crc32"]) == zlib.crc32(body)
        codings.append(answer.headers["Content-Encoding"])
        connection.close()
        plain = gzip.decompress(body) if codings[-1] else body
        return AWSResponse(request.url, answer.status, {"x-amzn-RequestId": "x"}, _Raw(plain))

    client.create_table(**BOOKS)
    client.meta.events.register("before-send.dynamodb", sent)
    key = {AUTHOR: {"S": "a"}, TITLE: {"S": "t"}}
    item = {**key, "text": {"S": "hello " * 10_000}}
    client.put_item(TableName="Books", Item=item)
    assert client.get_item(TableName="Books", Key=key)["Item"] == item
    assert codings == [None, "gzip"]


class _Raw:
    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self) -> Any:
        yield self._body


def test_a_client_works_through_tls_and_refuses_another_certificate(tmp_path):
    certificate = self_signed(tmp_path)
    (tmp_path / "other").mkdir()
    with served("--in-memory", "--certificate", certificate) as server:
        assert server.address.startswith("https://")
        client = boto3.client("dynamodb", verify=certificate, **_settings(server))
        client.create_table(**BOOKS)
        text = {"S": "x" * 300_000}
        for number in range(4):
            client.put_item(TableName="Books", Item={AUTHOR: {"S": "a"}, TITLE: {"S": str(number)}, "text": text})
        pages = client.get_paginator("scan").paginate(TableName="Books")
        assert sum(page["Count"] for page in pages) == 4
        client.close()
        stranger = boto3.client("dynamodb", verify=self_signed(tmp_path / "other"), **_settings(server))
        with pytest.raises(botocore.exceptions.SSLError):
            stranger.list_tables()
        stranger.close()
        assert server.stop() == 0


# ---- signatures

KEYS = """\
[default]
aws_access_key_id = AKIDEXAMPLE
aws_secret_access_key = right

[temporary]
aws_access_key_id = ASIDEXAMPLE
aws_secret_access_key = short
aws_session_token = token/of+one=hour
"""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A server that verifies."""
    keys: Path = tmp_path_factory.mktemp("keys") / "keys.ini"
    keys.write_text(KEYS)
    keys.chmod(0o600)
    with served("--in-memory", "--credentials", str(keys)) as running:
        yield running
        assert running.stop() == 0
        assert running.stderr == ""


@pytest.mark.parametrize(
    ("key", "secret", "token"),
    [("AKIDEXAMPLE", "right", None), ("ASIDEXAMPLE", "short", "token/of+one=hour")],
    ids=["long-lived", "temporary"],
)
def test_a_right_key_passes(guarded, key, secret, token):
    client = boto3.client("dynamodb", **_settings(guarded, key, secret, aws_session_token=token))
    name = f"table.of-{key}"
    client.create_table(**BOOKS | {"TableName": name})
    client.put_item(TableName=name, Item={AUTHOR: {"S": "é"}, TITLE: {"S": "\n"}})
    assert client.scan(TableName=name)["Count"] == 1
    client.close()


@pytest.mark.parametrize(
    ("key", "secret", "token", "code"),
    [
        ("AKIDSTRANGER", "right", None, "UnrecognizedClientException"),
        ("AKIDEXAMPLE", "wrong", None, "InvalidSignatureException"),
        ("ASIDEXAMPLE", "short", None, "UnrecognizedClientException"),
        ("ASIDEXAMPLE", "short", "another", "UnrecognizedClientException"),
    ],
)
def test_a_wrong_key_is_refused(guarded, key, secret, token, code):
    client = boto3.client("dynamodb", **_settings(guarded, key, secret, aws_session_token=token))
    with pytest.raises(client.exceptions.ClientError) as refused:
        client.list_tables()
    assert refused.value.response["Error"]["Code"] == code
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    client.close()


def test_no_signature_is_refused(guarded):
    settings = _settings(guarded) | {"config": Config(**CLIENT, signature_version=UNSIGNED)}
    client = boto3.client("dynamodb", **settings)
    with pytest.raises(client.exceptions.ClientError) as refused:
        client.list_tables()
    assert refused.value.response["Error"]["Code"] == "MissingAuthenticationTokenException"
    client.close()


@pytest.mark.parametrize(("secret", "status"), [("right", 200), ("wrong", 400)])
def test_a_presigned_request_is_verified(guarded, secret, status):
    sent = signed(b"{}", kind="query", url=f"{guarded.address}/", key="AKIDEXAMPLE", secret=secret, at=time.time())
    connection = http.client.HTTPConnection(guarded.host, guarded.port, timeout=HUNG_SECONDS)
    headers = {name.decode(): value.decode() for name, value in sent.headers}
    connection.request("POST", f"/?{sent.query.decode()}", sent.body, headers)
    answer = connection.getresponse()
    body = json.loads(answer.read())
    connection.close()
    assert answer.status == status
    assert body.get("__type", "").rpartition("#")[2] == ("" if status == 200 else "InvalidSignatureException")
