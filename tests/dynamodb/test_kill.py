"""Processes killed under load: what was acknowledged is there, items and index entries agree, tokens still replay, and
a backfill goes on where it was interrupted."""

from __future__ import annotations

from pathlib import Path

import children
import pytest

from dynamodb import killed_writer
from dynamodb.asking import Asker, until_built
from dynamodb.killed_writer import ACK, HALFWAY, ITEMS, WRITERS, call, item, key, transaction
from lsm.dynamodb import connect

SCRIPT = Path(killed_writer.__file__)
ACKNOWLEDGED = 160


def killed_after(count, *arguments):
    """The acknowledgements of a writer that was killed when `count` of them had come."""
    process = children.start(SCRIPT, *arguments)
    try:
        data = process.stdout.read(count * ACK.size)
    finally:
        process.kill()
        data += process.stdout.read()
        process.wait()
        process.stdin.close()
        process.stdout.close()
    assert len(data) >= count * ACK.size, "the writer ended by itself"
    return [ACK.unpack_from(data, at) for at in range(0, len(data) - ACK.size + 1, ACK.size)]


def scanned(ask, **source):
    items, start = [], {}
    while True:
        page = ask("Scan", TableName="items", **source, **start)
        items += page["Items"]
        if "LastEvaluatedKey" not in page:
            return sorted(items, key=str)
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def stored(ask, pk, sk):
    return ask("GetItem", TableName="items", Key=key(pk, sk)).get("Item")


def counted(ask, name, writer):
    return int((stored(ask, f"{name}{writer}", 0) or {"n": {"N": "0"}})["n"]["N"])


def effect(ask, writer, number):
    """Whether a call has had its effect; what it did is not undone by a later one, except a put by its fourth."""
    operation, _ = call(writer, number)
    if operation == "TransactWriteItems":
        parts = [
            stored(ask, f"w{writer}", number) == item(writer, number),
            "Item" in ask("GetItem", TableName="other", Key={"pk": {"S": f"{writer}-{number}"}}),
            counted(ask, "transacted", writer) > number // 4,
        ]
        assert len(set(parts)) == 1, f"half of transaction {number} of writer {writer}"
        return parts[0]
    if operation == "PutItem":
        return stored(ask, f"w{writer}", number) == item(writer, number)
    if operation == "DeleteItem":
        return stored(ask, f"w{writer}", number - 3) is None
    if number % 4 == 1:
        return counted(ask, "single", writer) > number // 4
    moved = stored(ask, f"w{writer}", number - 3)
    return moved is not None and moved["group"] == {"S": "moved"} and "title" not in moved


def verify_writer(ask, writer, last):
    """Calls up to `last` were acknowledged; the next may have happened, the one after it not."""
    next_one = effect(ask, writer, last + 1)
    for number in range(last + 1):
        undone = number % 4 == 0 and number + 3 <= last + next_one
        assert undone or effect(ask, writer, number), f"call {number} of writer {writer} is lost"
    assert not effect(ask, writer, last + 2) or (last + 2) % 4 == 3
    done = last + 1 + next_one
    assert counted(ask, "single", writer) == (done + 2) // 4
    assert counted(ask, "transacted", writer) == (done + 1) // 4
    return done


def verify_tokens(ask, writer, done):
    before = counted(ask, "transacted", writer)
    for number in [n for n in range(done) if n % 4 == 2][-3:]:
        answer = ask("TransactWriteItems", **transaction(writer, number), ReturnConsumedCapacity="TOTAL")
        units = {one["TableName"]: one["ReadCapacityUnits"] for one in answer["ConsumedCapacity"]}
        assert units == {"items": 4.0, "other": 2.0}
    assert counted(ask, "transacted", writer) == before


def verify_indexes(ask):
    items = scanned(ask)
    for name, attribute in ("by-group", "group"), ("by-title", "title"):
        assert scanned(ask, IndexName=name) == [item for item in items if attribute in item]


@pytest.mark.parametrize("durability", ["power", "process"])
def test_what_was_acknowledged_survives_kills(tmp_path, durability):
    last = {}
    for round_ in range(2):
        acknowledged = killed_after(ACKNOWLEDGED, "write", tmp_path, durability, round_)
        for writer, number in acknowledged:
            assert number == last.get(writer, -1) + 1
            last[writer] = number
        with connect(tmp_path, durability=durability) as connection:
            ask = Asker(connection.service)
            for writer in last:
                done = verify_writer(ask, writer, last[writer])
                if writer // WRITERS == round_:
                    verify_tokens(ask, writer, done)
                    last[writer] = done - 1
            verify_indexes(ask)


def test_a_killed_backfill_goes_on_after_reopening(tmp_path):
    killed_after(1, "backfill", tmp_path)
    with connect(tmp_path) as connection:
        ask = Asker(connection.service)
        shown = ask("DescribeTable", TableName="items")["Table"]["GlobalSecondaryIndexes"][0]
        assert (shown["IndexStatus"], shown.get("Backfilling")) in [("CREATING", True), ("ACTIVE", None)]
        changed = [0, 1, HALFWAY, ITEMS - 2, ITEMS - 1]
        for number in changed[:-1]:
            ask("PutItem", TableName="items", Item={**item(0, number), "group": {"S": "late"}})
        ask("DeleteItem", TableName="items", Key=key("w0", changed[-1]))
        until_built(ask, "items")
        items = scanned(ask)
        assert len(items) == ITEMS - 1
        assert scanned(ask, IndexName="by-group") == items
