"""PynamoDB, unmodified: every feature its documentation shows, on models of our own."""

from __future__ import annotations

import datetime

import pytest
from pynamodb.attributes import (
    BinaryAttribute,
    BinarySetAttribute,
    BooleanAttribute,
    DiscriminatorAttribute,
    JSONAttribute,
    ListAttribute,
    MapAttribute,
    NullAttribute,
    NumberAttribute,
    NumberSetAttribute,
    TTLAttribute,
    UnicodeAttribute,
    UnicodeSetAttribute,
    UTCDateTimeAttribute,
    VersionAttribute,
)
from pynamodb.connection import Connection, TableConnection
from pynamodb.exceptions import DeleteError, DoesNotExist, PutError, TransactWriteError, UpdateError
from pynamodb.indexes import (
    AllProjection,
    GlobalSecondaryIndex,
    IncludeProjection,
    KeysOnlyProjection,
    LocalSecondaryIndex,
)
from pynamodb.models import Model
from pynamodb.transactions import TransactGet, TransactWrite

from lsm.dynamodb import connect
from lsm.dynamodb.boto import redirected

ON_DEMAND = "PAY_PER_REQUEST"
DAWN = datetime.datetime(2026, 3, 1, 5, 30, tzinfo=datetime.UTC)


class ByYear(GlobalSecondaryIndex):
    class Meta:
        index_name = "by-year"
        projection = AllProjection()

    year = NumberAttribute(hash_key=True)
    title = UnicodeAttribute(range_key=True)


class ByShelf(GlobalSecondaryIndex):
    class Meta:
        projection = IncludeProjection(["pages"])

    shelf = UnicodeAttribute(hash_key=True)


class ByPages(LocalSecondaryIndex):
    class Meta:
        projection = KeysOnlyProjection()

    author = UnicodeAttribute(hash_key=True)
    pages = NumberAttribute(range_key=True)


class Book(Model):
    class Meta:
        table_name = "books"
        region = "us-east-1"
        billing_mode = ON_DEMAND

    author = UnicodeAttribute(hash_key=True)
    title = UnicodeAttribute(range_key=True)
    year = NumberAttribute(null=True)
    shelf = UnicodeAttribute(null=True)
    pages = NumberAttribute(default=0)
    tags = UnicodeSetAttribute(null=True, attr_name="t")
    read_at = UTCDateTimeAttribute(null=True)
    by_year = ByYear()
    by_shelf = ByShelf()
    by_pages = ByPages()


class Name(MapAttribute):
    first = UnicodeAttribute()
    last = UnicodeAttribute(attr_name="l")


class Person(Model):
    class Meta:
        table_name = "people"
        region = "us-east-1"
        billing_mode = ON_DEMAND

    number = NumberAttribute(hash_key=True)
    name = Name(null=True)
    friends = ListAttribute(of=Name, default=list)
    anything = ListAttribute(default=list)
    notes = MapAttribute(default=dict)
    settings = JSONAttribute(null=True)
    photo = BinaryAttribute(null=True, legacy_encoding=False)
    keys = BinarySetAttribute(null=True, legacy_encoding=False)
    scores = NumberSetAttribute(null=True)
    active = BooleanAttribute(default=True)
    gone = NullAttribute(null=True)
    until = TTLAttribute(null=True)


class Account(Model):
    class Meta:
        table_name = "accounts"
        region = "us-east-1"
        billing_mode = ON_DEMAND

    owner = UnicodeAttribute(hash_key=True)
    balance = NumberAttribute(default=0)
    version = VersionAttribute()


class Shape(Model):
    class Meta:
        table_name = "shapes"
        region = "us-east-1"
        billing_mode = ON_DEMAND

    label = UnicodeAttribute(hash_key=True)
    kind = DiscriminatorAttribute()


class Circle(Shape, discriminator="circle"):
    radius = NumberAttribute()


class Square(Shape, discriminator="square"):
    side = NumberAttribute()


@pytest.fixture(autouse=True)
def database():
    with connect(":memory:") as connection, redirected(connection):
        for model in (Book, Person, Account, Shape):
            model.create_table(wait=True)
        yield connection


def novels(count, author="woolf"):
    return [Book(author, f"novel {n:03d}", year=1900 + n % 3, pages=n) for n in range(count)]


# ---- tables


def test_a_model_makes_describes_and_removes_its_table():
    assert Book.exists()
    described = Book.describe_table()
    assert {index["IndexName"] for index in described["GlobalSecondaryIndexes"]} == {"by-year", "by_shelf"}
    Book.delete_table()
    assert not Book.exists()
    Account.delete_table()
    Account.create_table(read_capacity_units=2, write_capacity_units=3, wait=True, billing_mode="PROVISIONED")
    assert Account.describe_table()["ProvisionedThroughput"]["WriteCapacityUnits"] == 3


def test_a_model_with_an_expiry_sets_time_to_live_on_its_table():
    described = Connection(region="us-east-1").client.describe_time_to_live(TableName="people")
    assert described["TimeToLiveDescription"] == {"TimeToLiveStatus": "ENABLED", "AttributeName": "until"}


# ---- items


def test_an_item_is_saved_read_refreshed_and_deleted():
    Book("woolf", "orlando", pages=300, tags={"novel", "time"}, read_at=DAWN).save()
    book = Book.get("woolf", "orlando", consistent_read=True)
    assert (book.pages, book.tags, book.read_at) == (300, {"novel", "time"}, DAWN)
    Book("woolf", "orlando", pages=301).save()
    book.refresh()
    assert book.pages == 301
    book.delete()
    with pytest.raises(Book.DoesNotExist):
        Book.get("woolf", "orlando")
    with pytest.raises(DoesNotExist):
        book.refresh()


def test_every_attribute_comes_back():
    person = Person(
        1,
        name=Name(first="Ada", last="Lovelace"),
        friends=[Name(first="Mary", last="Somerville")],
        anything=["text", 1.5, True, None, {"deep": ["er"]}],
        notes={"address": {"city": "London"}, "n": 2},
        settings={"theme": ["dark", 3]},
        photo=b"\x00\xff",
        keys={b"a", b"\x00"},
        scores={1, 2.5},
        active=False,
        until=DAWN,
    )
    person.save()
    found = Person.get(1)
    assert (found.name.first, found.name.last) == ("Ada", "Lovelace")
    assert found.friends[0].last == "Somerville"
    assert found.anything[:4] == ["text", 1.5, True, None]
    assert found.notes["address"]["city"] == "London"
    assert found.settings == {"theme": ["dark", 3]}
    assert (found.photo, found.keys, found.scores) == (b"\x00\xff", {b"a", b"\x00"}, {1, 2.5})
    assert (found.active, found.gone, found.until) == (False, None, DAWN)
    assert found.serialize()["name"] == {"M": {"first": {"S": "Ada"}, "l": {"S": "Lovelace"}}}


def test_attributes_to_get_leave_the_others_out():
    Book("woolf", "orlando", pages=300, shelf="a").save()
    book = Book.get("woolf", "orlando", attributes_to_get=["author", "title", "shelf"])
    assert (book.shelf, book.pages) == ("a", 0)


# ---- batches


def test_batches_of_any_size_are_written_and_read():
    with Book.batch_write() as batch:
        for book in novels(60):
            batch.save(book)
    keys = [("woolf", f"novel {n:03d}") for n in range(70)]
    assert len(list(Book.batch_get(keys))) == 60
    with Book.batch_write() as batch:
        for book in novels(30):
            batch.delete(book)
    assert Book.count() == 30


# ---- queries and scans


def test_queries_take_ranges_filters_limits_and_either_direction():
    with Book.batch_write() as batch:
        for book in [*novels(40), *novels(3, "joyce")]:
            batch.save(book)
    assert Book.count("woolf") == 40
    assert Book.count("woolf", Book.title.startswith("novel 00")) == 10
    filtered = Book.query("woolf", Book.title < "novel 010", (Book.year == 1901) | (Book.pages == 0))
    assert [book.pages for book in filtered] == [0, 1, 4, 7]
    backwards = Book.query("woolf", Book.title.between("novel 010", "novel 020"), scan_index_forward=False, limit=3)
    assert [book.pages for book in backwards] == [20, 19, 18]


def test_a_query_goes_on_where_it_ended():
    with Book.batch_write() as batch:
        for book in novels(10):
            batch.save(book)
    first = Book.query("woolf", limit=4)
    assert [book.pages for book in first] == [0, 1, 2, 3]
    following = Book.query("woolf", last_evaluated_key=first.last_evaluated_key, page_size=2)
    assert [book.pages for book in following] == [4, 5, 6, 7, 8, 9]


def test_scans_filter_and_divide_a_table():
    with Book.batch_write() as batch:
        for book in novels(20):
            batch.save(book)
    tagged = Book("joyce", "ulysses", pages=730, tags={"day"})
    tagged.save()
    assert [book.title for book in Book.scan(Book.tags.contains("day"))] == ["ulysses"]
    assert {book.pages for book in Book.scan(Book.pages.is_in(3, 4) | Book.shelf.exists())} == {3, 4}
    assert Book.count(filter_condition=None) == 21
    parts = [list(Book.scan(segment=n, total_segments=3)) for n in range(3)]
    assert sum(map(len, parts)) == 21
    assert len(list(Book.scan(rate_limit=1000, page_size=5))) == 21


# ---- indexes


def test_indexes_are_queried_scanned_and_counted():
    with Book.batch_write() as batch:
        for book in novels(9):
            book.shelf = "a" if book.pages < 5 else None
            batch.save(book)
    assert [book.pages for book in Book.by_year.query(1901, Book.title > "novel 001")] == [4, 7]
    assert Book.by_year.count(1901) == 3
    assert sorted(book.pages for book in Book.by_shelf.query("a")) == [0, 1, 2, 3, 4]
    assert [book.title for book in Book.by_pages.query("woolf", Book.pages >= 7)] == ["novel 007", "novel 008"]
    assert len(list(Book.by_shelf.scan())) == 5


# ---- conditions


def test_conditions_guard_saves_updates_and_deletes():
    book = Book("woolf", "orlando", pages=300)
    book.save(Book.author.does_not_exist())
    with pytest.raises(PutError) as refused:
        book.save(condition=Book.author.does_not_exist() & Book.title.does_not_exist())
    assert refused.value.cause_response_code == "ConditionalCheckFailedException"
    book.save(condition=(Book.pages == 300) & ~Book.shelf.exists())
    with pytest.raises(UpdateError):
        book.update(actions=[Book.shelf.set("a")], condition=Book.pages > 300)
    with pytest.raises(DeleteError):
        book.delete(condition=Book.title.startswith("u"))
    book.delete(condition=Book.author.is_type() & (Book.pages.between(1, 300)))


# ---- updates


def test_updates_set_add_remove_and_append():
    book = Book("woolf", "orlando", pages=300, tags={"novel"})
    book.save()
    book.update(actions=[Book.pages.set(Book.pages + 1), Book.shelf.set(Book.shelf | "a"), Book.year.set(1928)])
    assert (book.pages, book.shelf, book.year) == (301, "a", 1928)
    book.update(actions=[Book.pages.add(9), Book.tags.add({"time"}), Book.year.remove()])
    assert (book.pages, book.tags, book.year) == (310, {"novel", "time"}, None)
    book.update(actions=[Book.tags.delete({"novel"})], condition=Book.tags.contains("novel"))
    assert book.tags == {"time"}
    person = Person(1, anything=["b"], notes={"n": 1}, name=Name(first="A", last="L"))
    person.save()
    person.update(
        actions=[
            Person.anything.set(Person.anything.prepend(["a"])),
            Person.notes["n"].set(2),
            Person.name.last.set("M"),
            Person.friends.set(Person.friends.append([Name(first="B", last="C")])),
        ]
    )
    assert (person.anything, person.notes["n"], person.name.last) == (["a", "b"], 2, "M")
    person.update(actions=[Person.anything[0].remove()])
    assert Person.get(1).anything == ["b"]


# ---- versions


def test_a_version_keeps_late_writers_out():
    Account("ann", balance=1).save()
    first, second = Account.get("ann"), Account.get("ann")
    first.update(actions=[Account.balance.add(1)])
    assert (first.version, second.version) == (2, 1)
    with pytest.raises(PutError):
        second.save()
    with pytest.raises(UpdateError):
        second.update(actions=[Account.balance.add(1)])
    with pytest.raises(DeleteError):
        second.delete()
    second.refresh()
    second.save()
    assert second.version == 3
    second.save(add_version_condition=False)


# ---- transactions


def test_transactions_write_all_or_nothing():
    ann, bob = Account("ann", balance=10), Account("bob", balance=10)
    ann.save()
    bob.save()
    connection = Connection(region="us-east-1")
    with TransactWrite(connection=connection, client_request_token="first") as transaction:
        transaction.update(ann, [Account.balance.add(-5)], condition=Account.balance >= 5)
        transaction.update(bob, [Account.balance.add(5)])
        transaction.save(Book("woolf", "orlando"), condition=Book.author.does_not_exist())
        transaction.condition_check(Account, "carl", condition=Account.owner.does_not_exist())
    assert (Account.get("ann").balance, Account.get("bob").balance) == (5, 15)
    transaction = TransactWrite(connection=connection, return_consumed_capacity="TOTAL")
    transaction.update(ann, [Account.balance.add(-50)], condition=Account.balance >= 50)
    transaction.delete(Book("woolf", "orlando"))
    with pytest.raises(TransactWriteError) as refused:
        transaction._commit()
    assert refused.value.cause_response_code == "TransactionCanceledException"
    # deletes stand before updates in what is sent
    assert [reason and reason.code for reason in refused.value.cancellation_reasons] == [None, "ConditionalCheckFailed"]
    assert Book.count() == 1


def test_transactions_read_at_one_moment():
    Account("ann", balance=1).save()
    Book("woolf", "orlando", pages=7).save()
    with TransactGet(connection=Connection(region="us-east-1")) as transaction:
        account = transaction.get(Account, "ann")
        book = transaction.get(Book, "woolf", "orlando")
        nothing = transaction.get(Account, "none")
    assert (account.get().balance, book.get().pages) == (1, 7)
    with pytest.raises(Account.DoesNotExist):
        nothing.get()


# ---- kinds in one table


def test_models_of_several_kinds_share_a_table():
    Circle("wheel", radius=3).save()
    Square("chessboard", side=8).save()
    assert {type(shape) for shape in Shape.scan()} == {Circle, Square}
    assert [shape.label for shape in Circle.scan()] == ["wheel"]
    assert Square.get("chessboard").side == 8


# ---- connections


def test_a_connection_speaks_without_models():
    connection = Connection(region="us-east-1")
    assert connection.list_tables()["TableNames"] == ["accounts", "books", "people", "shapes"]
    assert connection.describe_table("books")["TableStatus"] == "ACTIVE"
    connection.put_item("books", "woolf", "orlando", attributes={"pages": {"N": "3"}})
    assert connection.get_item("books", "woolf", "orlando")["Item"]["pages"] == {"N": "3"}
    table = TableConnection("books", region="us-east-1")
    assert table.describe_table()["TableName"] == "books"
    assert table.query("woolf")["Count"] == 1
    table.update_item("woolf", "orlando", actions=[Book.pages.set(4)])
    assert table.get_item("woolf", "orlando")["Item"]["pages"] == {"N": "4"}
    table.delete_item("woolf", "orlando")
    assert table.scan()["Count"] == 0
