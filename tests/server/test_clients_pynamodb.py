"""PynamoDB models whose `host` is a server of its own process."""

from __future__ import annotations

import datetime

import pytest

pytest.importorskip("httptools")
pytest.importorskip("pynamodb")

from pynamodb.attributes import (
    JSONAttribute,
    ListAttribute,
    MapAttribute,
    NumberAttribute,
    NumberSetAttribute,
    UnicodeAttribute,
    UTCDateTimeAttribute,
    VersionAttribute,
)
from pynamodb.connection import Connection
from pynamodb.exceptions import DoesNotExist, PutError, TransactWriteError, UpdateError
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex
from pynamodb.models import Model
from pynamodb.transactions import TransactGet, TransactWrite

from server.serving import HUNG_SECONDS, served

DAWN = datetime.datetime(2026, 3, 1, 5, 30, tzinfo=datetime.UTC)


class ByCity(GlobalSecondaryIndex):  # type: ignore[misc]
    class Meta:
        index_name = "by-city"
        projection = AllProjection()

    city = UnicodeAttribute(hash_key=True)
    age = NumberAttribute(range_key=True)


class Address(MapAttribute):  # type: ignore[misc]
    street = UnicodeAttribute()
    number = NumberAttribute(null=True)


class Person(Model):  # type: ignore[misc]
    class Meta:
        table_name = "People"
        region = "us-east-1"
        billing_mode = "PAY_PER_REQUEST"
        aws_access_key_id = "test"
        aws_secret_access_key = "test"
        max_retry_attempts = 0
        connect_timeout_seconds = HUNG_SECONDS
        read_timeout_seconds = HUNG_SECONDS
        host = ""

    family = UnicodeAttribute(hash_key=True)
    name = UnicodeAttribute(range_key=True)
    city = UnicodeAttribute(null=True)
    age = NumberAttribute(default=0)
    seen = UTCDateTimeAttribute(null=True)
    address = Address(null=True)
    notes = ListAttribute(default=list)
    lucky = NumberSetAttribute(null=True)
    more = JSONAttribute(null=True)
    version = VersionAttribute()
    by_city = ByCity()


@pytest.fixture(scope="module")
def server():
    with served("--in-memory") as running:
        Person.Meta.host = running.address
        # kept by the class from the server of an earlier run of this module
        Person._connection = None
        yield running
        assert running.stop() == 0
        assert running.stderr == ""


@pytest.fixture
def people(server):
    """The model, its table empty."""
    Person.create_table(wait=True)
    yield Person
    Person.delete_table()


def test_a_model_is_saved_read_and_deleted(people):
    ann = people("Smith", "Ann", seen=DAWN, notes=["a", 1, {"b": [None]}], more={"x": [1.5, "é"]}, lucky={3, -7, 0.25})
    ann.address = Address(street="Elm Road", number=3)
    ann.save()
    got = people.get("Smith", "Ann", consistent_read=True)
    assert got.to_dynamodb_dict() == ann.to_dynamodb_dict()
    assert (got.seen, got.address.street, got.lucky, got.version) == (DAWN, "Elm Road", {3, -7, 0.25}, 1)
    got.delete()
    with pytest.raises(DoesNotExist):
        people.get("Smith", "Ann")


def test_versions_keep_two_writers_apart(people):
    people("Smith", "Ann").save()
    mine, theirs = people.get("Smith", "Ann"), people.get("Smith", "Ann")
    mine.age = 40
    mine.save()
    theirs.age = 41
    with pytest.raises(PutError) as failed:
        theirs.save()
    assert failed.value.cause_response_code == "ConditionalCheckFailedException"
    theirs.refresh()
    assert (theirs.age, theirs.version) == (40, 2)


def test_updates_have_actions_and_conditions(people):
    ann = people("Smith", "Ann", age=1, notes=["a"])
    ann.save()
    ann.update(
        actions=[Person.age.add(4), Person.notes.set(Person.notes.append(["b"])), Person.city.set("Rome")],
        condition=(Person.age == 1) & Person.city.does_not_exist(),
    )
    assert (ann.age, ann.notes, ann.city) == (5, ["a", "b"], "Rome")
    with pytest.raises(UpdateError):
        ann.update(actions=[Person.city.remove()], condition=Person.city.startswith("P"))


def test_queries_scans_and_indexes_page_by_themselves(people):
    with people.batch_write() as batch:
        for number in range(70):
            city = "Rome" if number % 2 else "Oslo"
            batch.save(people("Smith" if number < 50 else "Jones", f"{number:02}", city=city, age=number))
    some = people.query("Smith", Person.name.between("07", "10"), page_size=2)
    assert [person.name for person in some] == ["07", "08", "09", "10"]
    assert [p.name for p in people.query("Jones", scan_index_forward=False, limit=2)] == ["69", "68"]
    assert people.count("Smith") == 50
    assert [p.age for p in people.by_city.query("Rome", Person.age > 64)] == [65, 67, 69]
    assert {p.name for p in people.scan(Person.age.is_in(3, 60), page_size=9)} == {"03", "60"}
    segments = [list(people.scan(segment=segment, total_segments=3)) for segment in range(3)]
    assert sum(map(len, segments)) == 70
    pages = people.query("Smith", limit=10)
    assert len(list(pages)) == 10
    assert next(iter(people.query("Smith", last_evaluated_key=pages.last_evaluated_key))).name == "10"
    assert len(list(people.batch_get([("Smith", f"{number:02}") for number in range(48, 53)]))) == 2


def test_transactions_are_whole_or_not_at_all(people):
    connection = Connection(
        host=people.Meta.host,
        region="us-east-1",
        connect_timeout_seconds=HUNG_SECONDS,
        read_timeout_seconds=HUNG_SECONDS,
    )
    connection.session.set_credentials("test", "test")
    with TransactWrite(connection=connection) as transaction:
        transaction.save(people("Smith", "Ann", age=1))
        transaction.save(people("Smith", "Ben", age=2))
    transaction = TransactWrite(connection=connection)
    transaction.update(people("Smith", "Ann", version=1), actions=[Person.age.add(1)])
    transaction.delete(people("Smith", "Ben", version=1), condition=Person.age == 9)
    with pytest.raises(TransactWriteError):
        transaction._commit()
    with TransactGet(connection=connection) as transaction:
        ann, ben = (transaction.get(people, "Smith", name) for name in ("Ann", "Ben"))
    assert (ann.get().age, ben.get().age) == (1, 2)
