"""A disk that fails or is full under a server: nobody is told that a write is durable, everybody is told something."""

from __future__ import annotations

import signal
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import lsm

pytest.importorskip("httptools")

from server.failing_server import turn
from server.serving import Server, served, until

PROGRAM = (str(Path(__file__).with_name("failing_server.py")),)
TABLE = {
    "TableName": "Music",
    "KeySchema": [{"AttributeName": "a", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "a", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}


def put(server: Server, name: str) -> tuple[int, dict[str, Any]]:
    return server.call("PutItem", {"TableName": "Music", "Item": {"a": {"S": name}}})


def names(server: Server) -> set[str]:
    return {item["a"]["S"] for item in server.call("Scan", {"TableName": "Music"})[1]["Items"]}


def refuses(server: Server, name: str, words: str) -> None:
    status, answer = put(server, name)
    assert (status, answer["__type"].rpartition("#")[2]) == (500, "InternalServerError")
    assert words in answer["message"]


def test_after_a_failed_sync_requests_are_refused_until_a_restart(tmp_path):
    place = str(tmp_path / "db")
    with served(place, program=PROGRAM) as server:
        assert server.call("CreateTable", TABLE)[0] == 200
        assert put(server, "before") == (200, {})
        turn(server, signal.SIGUSR1)
        for name in ("one", "two", "three"):
            refuses(server, name, "reopen the database: cannot sync: Input/output error")
        # what is read might be gone after a restart
        assert server.call("GetItem", {"TableName": "Music", "Key": {"a": {"S": "one"}}})[0] == 500
        assert server.get("/")[0] == 200
        assert "lsm_refuses_writes 1.0" in server.get("/metrics")[2]
        server.stop()
        assert server.stderr.count("lsm: requests are refused: ") == 1
        assert "Traceback" not in server.stderr
    with served(place) as server:
        assert "before" in names(server)
        assert put(server, "after") == (200, {})


def test_on_a_full_disk_requests_are_refused_until_there_is_room(tmp_path):
    place = str(tmp_path / "db")
    with served(place, program=PROGRAM) as server:
        assert server.call("CreateTable", TABLE)[0] == 200
        assert put(server, "before") == (200, {})
        turn(server, signal.SIGUSR2)
        for name in ("one", "two", "three"):
            refuses(server, name, "No space left on device; free some and try again")
        turn(server, signal.SIGURG)
        until(lambda: put(server, "after") == (200, {}))
        assert names(server) >= {"before", "after"}
        assert server.stop() == 0
        assert "Traceback" not in server.stderr
    with served(place) as server:
        assert names(server) >= {"before", "after"}


def test_a_server_that_cannot_write_at_its_end_says_so(tmp_path):
    with served(str(tmp_path / "db"), program=PROGRAM) as server:
        assert server.call("CreateTable", TABLE)[0] == 200
        turn(server, signal.SIGUSR2)
        refuses(server, "one", "No space left on device")
        assert server.stop() == 1
        last = server.stderr.splitlines()[-1]
        assert last.startswith("lsm: ")
        assert "No space left on device" in last
        assert "access log" not in last


def test_what_has_to_be_read_from_the_disk_is_answered_all_the_same(tmp_path):
    place = str(tmp_path / "db")
    words = {f"{n:04}": f"{n} " * 300 for n in range(2000)}
    with served(place, "--durability", "process") as server:
        assert server.call("CreateTable", TABLE)[0] == 200
        with closing(server.client()) as client:
            for name, text in words.items():
                client.put_item(TableName="Music", Item={"a": {"S": name}, "text": {"S": text}})
        assert server.stop() == 0
    with lsm.open(place) as db:
        db.flush()
    with served(place, "--cache-mb", "1", program=PROGRAM) as server, closing(server.client()) as client:
        turn(server, signal.SIGWINCH)
        for name in ("0000", "0777", "1999"):
            found = client.get_item(TableName="Music", Key={"a": {"S": name}})
            assert found["Item"]["text"]["S"] == words[name]
        changed = client.update_item(
            TableName="Music",
            Key={"a": {"S": "0555"}},
            UpdateExpression="SET n = :n",
            ConditionExpression="begins_with(#t, :t)",
            ExpressionAttributeNames={"#t": "text"},
            ExpressionAttributeValues={":n": {"N": "1"}, ":t": {"S": "555 "}},
            ReturnValues="UPDATED_NEW",
        )
        assert changed["Attributes"] == {"n": {"N": "1"}}
        pages = client.get_paginator("scan").paginate(TableName="Music")
        assert {item["a"]["S"]: item["text"]["S"] for page in pages for item in page["Items"]} == words
        assert server.stop() == 0
        assert server.stderr == ""
