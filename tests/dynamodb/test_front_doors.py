"""The three front doors: our client, boto3 without a socket, the pytest fixtures."""

from __future__ import annotations

from decimal import Decimal

import boto3
import pytest
from boto3.dynamodb.conditions import Attr, Key
from pynamodb.attributes import NumberAttribute, UnicodeAttribute, UnicodeSetAttribute
from pynamodb.models import Model

from lsm.dynamodb import ParamValidationError, boto3_session, connect
from lsm.dynamodb.boto import redirected

MUSIC = {
    "TableName": "Music",
    "KeySchema": [
        {"AttributeName": "Artist", "KeyType": "HASH"},
        {"AttributeName": "Song", "KeyType": "RANGE"},
    ],
    "AttributeDefinitions": [
        {"AttributeName": "Artist", "AttributeType": "S"},
        {"AttributeName": "Song", "AttributeType": "S"},
    ],
    "BillingMode": "PAY_PER_REQUEST",
}


@pytest.fixture
def session():
    made = boto3_session(":memory:")
    yield made
    made.lsm.close()


def test_a_boto3_resource_works_without_a_socket(session):
    table = session.resource("dynamodb").create_table(**MUSIC)
    table.wait_until_exists()
    with table.batch_writer() as batch:
        for number in range(60):
            batch.put_item(Item={"Artist": "a", "Song": f"s{number:02}", "n": number, "set": {1, 2}})
    page = table.query(
        KeyConditionExpression=Key("Artist").eq("a") & Key("Song").begins_with("s1"),
        FilterExpression=Attr("n").gt(15),
    )
    assert [item["n"] for item in page["Items"]] == [Decimal(n) for n in range(16, 20)]
    assert page["Items"][0]["set"] == {Decimal(1), Decimal(2)}


def test_a_boto3_client_raises_its_own_exceptions_and_pages(session):
    client = session.client("dynamodb")
    client.create_table(**MUSIC)
    item = {"Artist": {"S": "a"}, "Song": {"S": "s"}, "b": {"B": b"\x00\xff"}}
    client.put_item(TableName="Music", Item=item)
    with pytest.raises(client.exceptions.ConditionalCheckFailedException) as caught:
        client.put_item(
            TableName="Music",
            Item=item,
            ConditionExpression="attribute_not_exists(Artist)",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    assert caught.value.response["Item"] == item
    for number in range(20):
        client.put_item(TableName="Music", Item={"Artist": {"S": "b"}, "Song": {"S": str(number)}})
    pages = client.get_paginator("scan").paginate(TableName="Music", PaginationConfig={"PageSize": 6})
    assert sum(page["Count"] for page in pages) == 21
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.describe_table(TableName="gone")


def test_pynamodb_runs_unmodified(session):
    class Thread(Model):
        class Meta:
            table_name = "Thread"
            region = "us-east-1"

        forum = UnicodeAttribute(hash_key=True)
        subject = UnicodeAttribute(range_key=True)
        views = NumberAttribute(default=0)
        tags = UnicodeSetAttribute(null=True)

    with redirected(session.lsm):
        Thread.create_table(read_capacity_units=1, write_capacity_units=1, wait=True)
        Thread("f", "s", views=1, tags={"a", "b"}).save()
        thread = Thread.get("f", "s")
        thread.update(actions=[Thread.views.add(3)])
        thread.refresh()
        assert (thread.views, thread.tags) == (4, {"a", "b"})
        assert [found.subject for found in Thread.query("f", Thread.subject.startswith("s"))] == ["s"]


@pytest.fixture
def client():
    with connect(":memory:") as connection:
        made = connection.client()
        made.create_table(**MUSIC)
        yield made


def test_our_client_has_boto3s_answers_and_errors(client):
    client.get_waiter("table_exists").wait(TableName="Music")
    client.put_item(TableName="Music", Item={"Artist": {"S": "a"}, "Song": {"S": "s"}, "b": {"B": bytearray(b"x")}})
    answer = client.get_item(TableName="Music", Key={"Artist": {"S": "a"}, "Song": {"S": "s"}})
    assert answer["Item"]["b"] == {"B": b"x"}
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert client.describe_table(TableName="Music")["Table"]["CreationDateTime"].tzinfo is not None
    with pytest.raises(client.exceptions.ResourceNotFoundException) as caught:
        client.get_item(TableName="Gone", Key={"Artist": {"S": "a"}})
    assert caught.value.response["Error"]["Code"] == "ResourceNotFoundException"


def test_our_client_pages_and_stops_at_max_items(client):
    for number in range(25):
        client.put_item(TableName="Music", Item={"Artist": {"S": "a"}, "Song": {"S": f"{number:02}"}})
    request = {
        "TableName": "Music",
        "KeyConditionExpression": "Artist = :a",
        "ExpressionAttributeValues": {":a": {"S": "a"}},
    }
    paginator = client.get_paginator("query")
    first = paginator.paginate(**request, PaginationConfig={"MaxItems": 10, "PageSize": 4}).build_full_result()
    assert [item["Song"]["S"] for item in first["Items"]] == [f"{n:02}" for n in range(10)]
    rest = paginator.paginate(**request, PaginationConfig={"StartingToken": first["NextToken"]}).build_full_result()
    assert [item["Song"]["S"] for item in rest["Items"]] == [f"{n:02}" for n in range(10, 25)]


@pytest.mark.parametrize(
    ("request_", "report"),
    [
        ({"TableName": "Music"}, 'Missing required parameter in input: "Item"'),
        (
            {"TableName": "Music", "Item": {"Artist": {"S": 5}, "Song": {"S": "s"}}},
            "Invalid type for parameter Item.Artist.S, value: 5, type: <class 'int'>, valid types: <class 'str'>",
        ),
    ],
)
def test_wrong_parameters_are_reported_as_botocore_does(client, request_, report):
    with pytest.raises(ParamValidationError, match="Parameter validation failed") as caught:
        client.put_item(**request_)
    assert report in str(caught.value)


def test_the_fixtures_give_an_empty_database_each(dynamodb, dynamodb_resource, dynamodb_client):
    assert dynamodb.list_tables()["TableNames"] == []
    dynamodb.create_table(**MUSIC)
    assert [table.name for table in dynamodb_resource.tables.all()] == ["Music"]
    assert dynamodb_client.list_tables()["TableNames"] == ["Music"]


def test_the_fixture_on_disk(dynamodb_on_disk, tmp_path):
    dynamodb_on_disk.create_table(**MUSIC)
    assert (tmp_path / "dynamodb" / "CURRENT").exists()


def test_every_client_of_the_code_under_test_is_redirected(dynamodb_everywhere):
    boto3.client("dynamodb", region_name="eu-west-1").create_table(**MUSIC)
    assert dynamodb_everywhere.client().list_tables()["TableNames"] == ["Music"]
