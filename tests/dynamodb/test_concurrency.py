"""Many threads at once: conditional updates lose nothing, transactions over several tables are seen whole or not at
all, indexes that come and go meanwhile agree with their items."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from itertools import chain

import pytest
from children import HUNG_SECONDS

from dynamodb.asking import Asker, index, until_built
from lsm.dynamodb import ApiError, connect, writes
from lsm.dynamodb.operations import items as item_operations

ACCOUNTS = 12
START = 100
THREADS = 4
NO_INDEX = "The table does not have the specified index: by-tag"
BACKFILLING = "Cannot read from backfilling global secondary index: by-tag"


def together(*works):
    """Runs all at once; raises what the first that failed raised."""
    failures = []

    def guarded(work):
        try:
            work()
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HUNG_SECONDS)
    assert not any(thread.is_alive() for thread in threads), "somebody waits for ever"
    if failures:
        raise failures[0]


def unless(fault, code, codes=None):
    """Raises what was caught unless it is what may happen."""
    if fault.code != code:
        raise fault
    if codes is not None and {reason["Code"] for reason in fault.members["CancellationReasons"]} - codes:
        raise fault


def account(number):
    return {"TableName": f"bank-{number % 3}", "Key": {"pk": {"S": f"a{number}"}}}


def change(number, by, version=None):
    """An update of a balance and its version, on condition that the version is known and the balance suffices."""
    values = {":by": {"N": str(by)}, ":one": {"N": "1"}, ":low": {"N": str(max(0, -by))}}
    condition = "balance >= :low"
    if version is not None:
        values[":v"] = {"N": str(version)}
        condition += " AND version = :v"
    return {
        **account(number),
        "UpdateExpression": "SET balance = balance + :by ADD version :one",
        "ConditionExpression": condition,
        "ExpressionAttributeValues": values,
    }


@pytest.fixture(params=["memory", "disk"])
def bank(request, tmp_path):
    """Accounts over three tables, each with an index by owner; `owners` of one letter."""
    with connect(":memory:" if request.param == "memory" else tmp_path / "bank", durability="process") as connection:
        ask = Asker(connection.service)
        for number in range(3):
            ask.create(f"bank-{number}", "pk", "pk:S owner:S", GlobalSecondaryIndexes=[index("by-owner", "owner")])
        for number in range(ACCOUNTS):
            item = {**account(number)["Key"], "owner": {"S": "o"}, "balance": {"N": str(START)}, "version": {"N": "0"}}
            ask("PutItem", TableName=account(number)["TableName"], Item=item)
        yield ask


def balances(items):
    return [int(item["balance"]["N"]) for item in items]


def all_accounts(ask):
    gets = [{"Get": account(number)} for number in range(ACCOUNTS)]
    return [answer["Item"] for answer in ask("TransactGetItems", TransactItems=gets)["Responses"]]


def by_owner(ask, number):
    return ask(
        "Query",
        TableName=f"bank-{number}",
        IndexName="by-owner",
        KeyConditionExpression="#o = :o",
        ExpressionAttributeNames={"#o": "owner"},
        ExpressionAttributeValues={":o": {"S": "o"}},
    )["Items"]


def test_money_moves_between_tables_and_none_is_lost(bank):
    moved, given = [], []
    ended = threading.Event()

    def transfer(seed):
        dice = random.Random(seed)
        for _ in range(120):
            source, target = dice.sample(range(ACCOUNTS), 2)
            entries = [{"Update": change(source, -dice.randrange(1, 40))}]
            entries.append(
                {"Update": change(target, -int(entries[0]["Update"]["ExpressionAttributeValues"][":by"]["N"]))}
            )
            dice.shuffle(entries)
            try:
                bank("TransactWriteItems", TransactItems=entries)
                moved.append(seed)
            except ApiError as fault:
                unless(fault, "TransactionCanceledException", codes={"None", "ConditionalCheckFailed"})

    def move(seed):
        """By two updates, each on condition of the version that was read: what one does without transactions."""
        dice = random.Random(seed)
        for _ in range(60):
            source, target = dice.sample(range(ACCOUNTS), 2)
            for number, by in (source, -1), (target, 1):
                while not try_once(number, by):
                    pass

    def try_once(number, by):
        item = bank("GetItem", **account(number), ConsistentRead=True)["Item"]
        if by < 0 and int(item["balance"]["N"]) < 1:
            number_of = int(item["pk"]["S"][1:])
            bank("UpdateItem", **change(number_of, 1))
            given.append(number)
            return False
        try:
            bank("UpdateItem", **change(number, by, item["version"]["N"]))
        except ApiError as fault:
            unless(fault, "ConditionalCheckFailedException")
            return False
        return True

    def look():
        over = False
        while not over:
            # once more after the end: a look at all, however late this thread comes
            over = ended.is_set()
            assert all(balance >= 0 for balance in balances(all_accounts(bank)))
            for number in range(3):
                own = {item["pk"]["S"]: item for item in by_owner(bank, number)}
                assert len(own) == ACCOUNTS // 3

    def move_all():
        try:
            together(
                *[lambda seed=seed: transfer(seed) for seed in range(THREADS)], *[lambda s=s: move(s) for s in (7, 8)]
            )
        finally:
            ended.set()

    together(move_all, look)
    assert moved
    items = all_accounts(bank)
    assert sum(balances(items)) == ACCOUNTS * START + len(given)
    for number in range(3):
        expected = sorted((item for item in items if int(item["pk"]["S"][1:]) % 3 == number), key=str)
        assert sorted(by_owner(bank, number), key=str) == expected


def test_a_transacted_read_sees_transactions_whole(bank):
    """Transactions alone move money, and the sum that a transacted read sees is the same at every moment."""
    ended = threading.Event()
    looked = []

    def transfer(seed):
        dice = random.Random(seed)
        for _ in range(100):
            numbers = dice.sample(range(ACCOUNTS), 3)
            try:
                bank(
                    "TransactWriteItems",
                    TransactItems=[{"Update": change(n, by)} for n, by in zip(numbers, (-3, 1, 2), strict=True)],
                )
            except ApiError as fault:
                unless(fault, "TransactionCanceledException")

    def look():
        over = False
        while not over:
            over = ended.is_set()
            looked.append(sum(balances(all_accounts(bank))))

    def work():
        try:
            together(*[lambda seed=seed: transfer(seed) for seed in range(THREADS)])
        finally:
            ended.set()

    together(work, look, look)
    assert set(looked) == {ACCOUNTS * START}


def test_counters_lose_nothing_and_each_increment_is_returned_once(bank):
    key = account(0)

    def count(results):
        for _ in range(150):
            answer = bank(
                "UpdateItem",
                **key,
                UpdateExpression="ADD hits :one",
                ExpressionAttributeValues={":one": {"N": "1"}},
                ReturnValues="UPDATED_NEW",
            )
            results.append(int(answer["Attributes"]["hits"]["N"]))

    seen = [[] for _ in range(THREADS)]
    together(*[lambda results=results: count(results) for results in seen])
    assert sorted(chain(*seen)) == list(range(1, 150 * THREADS + 1))
    assert all(results == sorted(results) for results in seen)


def test_of_many_who_create_one_item_one_succeeds(bank):
    won = []

    def create(name):
        for number in range(60):
            item = {"pk": {"S": f"new-{number}"}, "by": {"S": name}}
            try:
                bank("PutItem", TableName="bank-0", Item=item, ConditionExpression="attribute_not_exists(pk)")
                won.append(number)
            except ApiError as fault:
                unless(fault, "ConditionalCheckFailedException")

    together(*[lambda name=name: create(name) for name in "abcd"])
    assert sorted(won) == list(range(60))


def test_calls_with_one_token_are_carried_out_once(bank):
    def add(number):
        for turn in range(30):
            entry = {"Update": {**change(0, 1), "ConditionExpression": "balance > :low"}}
            bank("TransactWriteItems", TransactItems=[entry], ClientRequestToken=f"turn-{turn}")

    together(*[lambda n=n: add(n) for n in range(THREADS)])
    assert balances(all_accounts(bank))[0] == START + 30


def test_indexes_made_and_dropped_beside_writes_agree_with_their_items(bank):
    """Writers never notice; a reader finds all that the index should hold, or is told that there is none."""
    ended = threading.Event()
    counted = Counter()

    def write(seed):
        dice = random.Random(seed)
        while not ended.is_set():
            number = dice.randrange(0, ACCOUNTS, 3)
            tag = {":t": {"S": dice.choice("xyz")}, ":one": {"N": "1"}}
            bank(
                "UpdateItem",
                **account(number),
                UpdateExpression="SET tag = :t ADD writes :one",
                ExpressionAttributeValues=tag,
            )
            counted[seed] += 1
            if dice.random() < 0.3:
                other = {"pk": {"S": f"n{seed}-{dice.randrange(40)}"}, "tag": {"S": "x"}}
                entry = {"Put": {"TableName": "bank-0", "Item": other}} if dice.random() < 0.6 else None
                bank(
                    "TransactWriteItems",
                    TransactItems=[entry or {"Delete": {"TableName": "bank-0", "Key": {"pk": other["pk"]}}}],
                )

    def read():
        while not ended.is_set():
            try:
                bank("Scan", TableName="bank-0", IndexName="by-tag")
                counted["read"] += 1
            except ApiError as fault:
                unless(fault, "ValidationException")
                if fault.message not in (NO_INDEX, BACKFILLING):
                    raise

    def make_and_drop():
        try:
            for turn in range(6):
                bank(
                    "UpdateTable",
                    TableName="bank-0",
                    AttributeDefinitions=[{"AttributeName": "tag", "AttributeType": "S"}],
                    GlobalSecondaryIndexUpdates=[{"Create": index("by-tag", "tag")}],
                )
                until_built(bank, "bank-0", "by-tag")
                time.sleep(0.05)
                if turn < 5:
                    bank(
                        "UpdateTable",
                        TableName="bank-0",
                        GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "by-tag"}}],
                    )
        finally:
            ended.set()

    together(make_and_drop, read, *[lambda seed=seed: write(seed) for seed in range(3)])
    items = bank("Scan", TableName="bank-0")["Items"]
    entries = bank("Scan", TableName="bank-0", IndexName="by-tag")["Items"]
    assert sorted(entries, key=str) == sorted((item for item in items if "tag" in item), key=str)
    written = sum(int(item.get("writes", {"N": "0"})["N"]) for item in items)
    assert written == sum(counted[seed] for seed in range(3))


@pytest.mark.parametrize("bank", ["memory"], indirect=True)
def test_an_index_is_dropped_when_writers_who_know_it_have_committed(bank, monkeypatch):
    planned = threading.Event()

    def commit(database, done):
        planned.set()
        time.sleep(0.2)
        writes.commit(database, done)

    monkeypatch.setattr(item_operations, "commit", commit)

    def drop():
        assert planned.wait(HUNG_SECONDS)
        updates = [{"Delete": {"IndexName": "by-owner"}}]
        bank("UpdateTable", TableName="bank-0", GlobalSecondaryIndexUpdates=updates)

    values = {":o": {"S": "other"}}
    request = {"UpdateExpression": "SET #o = :o", "ExpressionAttributeNames": {"#o": "owner"}}
    together(drop, lambda: bank("UpdateItem", **account(0), **request, ExpressionAttributeValues=values))
    assert bank("GetItem", **account(0))["Item"]["owner"] == {"S": "other"}


def test_a_table_dropped_under_its_writers_is_missing_and_nothing_else(bank):
    begun = threading.Event()
    refused = Counter()

    def write(seed):
        dice = random.Random(seed)
        for turn in range(400):
            try:
                bank("TransactWriteItems", TransactItems=[{"Update": change(dice.choice((0, 3, 6)), 1)}])
                bank(
                    "Query",
                    TableName="bank-0",
                    KeyConditionExpression="pk = :p",
                    ExpressionAttributeValues={":p": {"S": "a0"}},
                )
            except ApiError as fault:
                unless(fault, "ResourceNotFoundException")
                refused[seed] += 1
                if refused[seed] == 20:
                    return
            if turn == 20:
                begun.set()

    def drop():
        assert begun.wait(HUNG_SECONDS)
        bank("DeleteTable", TableName="bank-0")

    together(drop, *[lambda seed=seed: write(seed) for seed in range(3)])
    assert bank("ListTables")["TableNames"] == ["bank-1", "bank-2"]
