"""Many connections at once: nothing acknowledged is lost by `kill -9`, counters are exact, memory is bounded, nobody
waits for another's long work.

A few seconds each; LSM_SERVER_SECONDS=60 has 200 connections at work for a minute.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

pytest.importorskip("httptools")

from server.keepalive import Ended, KeptConnection, connections
from server.serving import HUNG_SECONDS, PATIENT, Server, served

SECONDS = float(os.environ.get("LSM_SERVER_SECONDS", "2.5"))
CONNECTIONS = 200
COUNTERS = 8
MIB = 1 << 20
USUAL = ("--cache-mb", "16", *PATIENT)

TABLE: dict[str, Any] = {
    "TableName": "Work",
    "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}, {"AttributeName": "s", "KeyType": "RANGE"}],
    "AttributeDefinitions": [
        {"AttributeName": "p", "AttributeType": "S"},
        {"AttributeName": "s", "AttributeType": "N"},
    ],
    "BillingMode": "PAY_PER_REQUEST",
}


@dataclass
class Acknowledged:
    """What the server has said that it did. asked: additions sent, answered or not."""

    items: dict[str, int] = field(default_factory=dict)
    added: Counter[int] = field(default_factory=Counter)
    asked: Counter[int] = field(default_factory=Counter)
    reads: int = 0


def _key(p: str, s: int) -> dict[str, Any]:
    return {"p": {"S": p}, "s": {"N": str(s)}}


async def _works(connection: KeptConnection, name: str, done: Acknowledged, goes_on: Callable[[], bool]) -> None:
    """Writes items 0, 1, 2, ... of its own partition key, counts on shared counters, reads what it wrote."""
    chance = random.Random(name)
    written = 0
    while goes_on():
        item = {**_key(name, written), "text": {"S": "x" * chance.randrange(400)}}
        status, answer = await connection.ask("PutItem", {"TableName": "Work", "Item": item})
        assert status == 200, answer
        done.items[name] = written
        counter = chance.randrange(COUNTERS)
        done.asked[counter] += 1
        status, answer = await connection.ask("UpdateItem", _addition(counter))
        assert status == 200, answer
        done.added[counter] += 1
        number = chance.randrange(written + 1)
        status, answer = await connection.ask("GetItem", {"TableName": "Work", "Key": _key(name, number)})
        assert status == 200
        assert answer["Item"]["s"] == {"N": str(number)}
        done.reads += 1
        written += 1


def _addition(counter: int) -> dict[str, Any]:
    return {
        "TableName": "Work",
        "Key": _key("counter", counter),
        "UpdateExpression": "ADD n :one",
        "ExpressionAttributeValues": {":one": {"N": "1"}},
    }


async def _all_work(server: Server, seconds: float, done: Acknowledged, number: int | None = None) -> None:
    """All connections for so many seconds and until all have done something; then the server is sent the signal, which
    ends them, or they end by themselves."""
    open_ones = await connections(server, CONNECTIONS)
    clock = asyncio.get_running_loop().time
    end = clock() + seconds

    def goes_on() -> bool:
        return number is not None or clock() < end or done.reads <= CONNECTIONS

    work = [
        asyncio.ensure_future(_works(connection, f"c{which}", done, goes_on))
        for which, connection in enumerate(open_ones)
    ]
    while number is not None and (clock() < end or done.reads <= CONNECTIONS) and not any(one.done() for one in work):
        await asyncio.sleep(0.01)
    if number is not None:
        server.process.send_signal(number)
    results = await asyncio.gather(*work, return_exceptions=True)
    expected = type(None) if number is None else Ended
    assert [result for result in results if not isinstance(result, expected)] == []
    for connection in open_ones:
        await connection.close()


def _counted(server: Server) -> Counter[int]:
    query = {
        "TableName": "Work",
        "KeyConditionExpression": "p = :p",
        "ExpressionAttributeValues": {":p": {"S": "counter"}},
    }
    items = server.call("Query", query)[1]["Items"]
    return Counter({int(item["s"]["N"]): int(item["n"]["N"]) for item in items})


def _stored(server: Server, name: str) -> list[int]:
    numbers: list[int] = []
    query: dict[str, Any] = {
        "TableName": "Work",
        "KeyConditionExpression": "p = :p",
        "ExpressionAttributeValues": {":p": {"S": name}},
        "ProjectionExpression": "s",
    }
    while True:
        answer = server.call("Query", query)[1]
        numbers += [int(item["s"]["N"]) for item in answer["Items"]]
        if "LastEvaluatedKey" not in answer:
            return numbers
        query["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


@pytest.mark.parametrize("durability", ["power", "process"])
def test_a_killed_server_comes_back_with_every_acknowledged_write(tmp_path, durability):
    place = str(tmp_path / "db")
    done = Acknowledged()
    with served(place, "--durability", durability, *USUAL) as server:
        assert server.call("CreateTable", TABLE)[0] == 200
        asyncio.run(_all_work(server, SECONDS, done, signal.SIGKILL))
        assert server.process.wait(HUNG_SECONDS) == -signal.SIGKILL
    assert done.reads > CONNECTIONS
    with served(place, *USUAL) as server:
        counted = _counted(server)
        for counter in range(COUNTERS):
            assert done.added[counter] <= counted[counter] <= done.asked[counter]
        for name, last in done.items.items():
            stored = _stored(server, name)
            # the one that was on its way may be there too
            assert stored in (list(range(last + 1)), list(range(last + 2))), name
        assert server.stop() == 0


def test_a_stopped_server_has_answered_all_that_it_has_done(tmp_path):
    place = str(tmp_path / "db")
    done = Acknowledged()
    with served(place, *USUAL) as server:
        assert server.call("CreateTable", TABLE)[0] == 200
        asyncio.run(_all_work(server, 1.0, done, signal.SIGTERM))
        assert server.process.wait(HUNG_SECONDS) == 0
        assert server.stderr == ""
    with served(place, *USUAL) as server:
        assert _counted(server) == done.added
        for name, last in done.items.items():
            assert _stored(server, name) == list(range(last + 1)), name


def test_counters_are_exact_and_memory_is_bounded(tmp_path):
    done = Acknowledged()
    with served(str(tmp_path / "db"), *USUAL) as server:
        assert server.call("CreateTable", TABLE)[0] == 200
        asyncio.run(_all_work(server, SECONDS, done))
        assert _counted(server) == done.added == done.asked
        assert server.resident_bytes() < 400 * MIB
        assert server.stop() == 0
        assert server.stderr == ""


# ---- nobody waits for another's long work


async def _scans(connection: KeptConnection, stop: asyncio.Event, seen: list[tuple[int, int]], gets: list[int]) -> None:
    """Scans pages of 1 MB of which nothing is left; how many gets were answered while each was under way."""
    request: dict[str, Any] = {
        "TableName": "Work",
        "FilterExpression": "contains(#t, :y)",
        "ExpressionAttributeNames": {"#t": "text"},
        "ExpressionAttributeValues": {":y": {"S": "y"}},
    }
    while not stop.is_set():
        before = gets[0]
        status, answer = await connection.ask("Scan", request)
        assert (status, answer["Count"]) == (200, 0)
        seen.append((answer["ScannedCount"], gets[0] - before))


async def _gets(connection: KeptConnection, scans: list[tuple[int, int]], gets: list[int]) -> None:
    # a scan on the thread of the event loop would let in the one that was sent with it, and one more
    while max((meanwhile for _, meanwhile in scans), default=0) <= 4:
        status, answer = await connection.ask("GetItem", {"TableName": "Work", "Key": _key("big", gets[0] % 100)})
        assert (status, "Item" in answer) == (200, True)
        gets[0] += 1


def test_small_reads_go_on_while_others_scan(tmp_path):
    async def work() -> list[tuple[int, int]]:
        scanning, getting = await connections(server, 2)
        seen: list[tuple[int, int]] = []
        gets = [0]
        stop = asyncio.Event()
        scans = asyncio.ensure_future(_scans(scanning, stop, seen, gets))
        await asyncio.wait_for(_gets(getting, seen, gets), HUNG_SECONDS)
        stop.set()
        await scans
        await scanning.close()
        await getting.close()
        return seen

    with served(str(tmp_path / "db"), *USUAL) as server:
        assert server.call("CreateTable", TABLE)[0] == 200
        for begin in range(0, 8000, 25):
            puts = [
                {"PutRequest": {"Item": {**_key("big", number), "text": {"S": "x" * 110}}}}
                for number in range(begin, begin + 25)
            ]
            assert server.call("BatchWriteItem", {"RequestItems": {"Work": puts}})[0] == 200
        seen = asyncio.run(work())
        assert server.stop() == 0
    assert {scanned for scanned, _ in seen} == {8000}


def test_health_and_reads_are_answered_beside_many_who_wait_for_the_disk(tmp_path):
    async def work() -> None:
        writing = await connections(server, 50)
        other = await KeptConnection.to(server)
        done = Acknowledged()
        answered = 0
        writers = [_works(one, f"w{number}", done, lambda: answered < 50) for number, one in enumerate(writing)]
        busy = asyncio.gather(*writers)
        while not busy.done():
            status, body = await other.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (status, body[:8]) == (200, b"healthy:")
            status, _ = await other.ask("GetItem", {"TableName": "Work", "Key": _key("w0", 0)})
            assert status == 200
            answered += 1
        await busy
        for one in [*writing, other]:
            await one.close()

    with served(str(tmp_path / "db"), *USUAL) as server:
        assert server.call("CreateTable", TABLE)[0] == 200
        asyncio.run(asyncio.wait_for(work(), HUNG_SECONDS))
        assert server.stop() == 0
