"""Requests that nobody would write: the server answers or ends the connection, and goes on as if nothing had been.

LSM_TEST_SCALE=20 makes it the long version.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from model import scaled

from server.serving import HUNG_SECONDS, PATIENT, Server, served, until
from server.wire import TABLE, ask, chunked, get, message, put

SEED = int(os.environ.get("LSM_TEST_SEED", "1"))
LIMITS = ("--max-body-mb", "1", "--bodies-mb", "2", "--threads", "2", "--cache-mb", "8", *PATIENT)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with served("--in-memory", *LIMITS) as running:
        assert running.call("CreateTable", TABLE)[0] == 200
        yield running
        assert ask(running, message()).status == 200
        assert running.stop() == 0
        assert running.stderr == ""


KEY = {"id": {"S": "x"}}
NAME = {"TableName": "Things"}
VALUES = {":v": {"N": "1"}, ":s": {"SS": ["a", "b"]}, ":m": {"M": {"a": {"L": [{"BOOL": True}, {"NULL": True}]}}}}
BODIES: list[tuple[str, dict[str, Any]]] = [
    ("PutItem", {**NAME, "Item": {**KEY, "b": {"B": "AAEC"}, "m": VALUES[":m"]}, "ReturnValues": "ALL_OLD"}),
    (
        "PutItem",
        {
            **NAME,
            "Item": KEY,
            "Expected": {"a": {"Exists": False}, "b": {"Value": {"S": "x"}}},
            "ConditionalOperator": "OR",
        },
    ),
    ("GetItem", {**NAME, "Key": KEY, "ConsistentRead": True, "ProjectionExpression": "a.b[0], #n"}),
    ("GetItem", {**NAME, "Key": KEY, "AttributesToGet": ["id"], "ReturnConsumedCapacity": "INDEXES"}),
    (
        "UpdateItem",
        {
            **NAME,
            "Key": KEY,
            "UpdateExpression": "SET a = if_not_exists(a, :v) + :v, #n = :m REMOVE c[1] ADD n :v DELETE s :s",
            "ConditionExpression": "attribute_exists(id) AND (NOT size(a) > :v OR begins_with(id, :s))",
            "ExpressionAttributeNames": {"#n": "m"},
            "ExpressionAttributeValues": VALUES,
            "ReturnValues": "UPDATED_NEW",
        },
    ),
    ("UpdateItem", {**NAME, "Key": KEY, "AttributeUpdates": {"n": {"Action": "ADD", "Value": {"N": "1"}}}}),
    ("DeleteItem", {**NAME, "Key": {"id": {"S": "gone"}}, "ReturnItemCollectionMetrics": "SIZE"}),
    (
        "Query",
        {
            **NAME,
            "KeyConditionExpression": "id = :k",
            "FilterExpression": "contains(s, :k)",
            "ExpressionAttributeValues": {":k": {"S": "x"}},
            "Limit": 5,
            "ScanIndexForward": False,
            "ExclusiveStartKey": KEY,
            "Select": "COUNT",
        },
    ),
    ("Query", {**NAME, "KeyConditions": {"id": {"ComparisonOperator": "EQ", "AttributeValueList": [{"S": "x"}]}}}),
    ("Scan", {**NAME, "Segment": 0, "TotalSegments": 3, "ScanFilter": {"a": {"ComparisonOperator": "NULL"}}}),
    ("BatchGetItem", {"RequestItems": {"Things": {"Keys": [KEY, {"id": {"S": "y"}}], "ConsistentRead": True}}}),
    ("BatchWriteItem", {"RequestItems": {"Things": [{"PutRequest": {"Item": KEY}}]}}),
    ("TransactGetItems", {"TransactItems": [{"Get": {**NAME, "Key": KEY}}]}),
    (
        "TransactWriteItems",
        {
            "ClientRequestToken": "t",
            "TransactItems": [
                {"Put": {**NAME, "Item": KEY, "ConditionExpression": "attribute_not_exists(zz)"}},
                {"ConditionCheck": {**NAME, "Key": {"id": {"S": "y"}}, "ConditionExpression": "attribute_exists(id)"}},
            ],
        },
    ),
    ("CreateTable", {**TABLE, "Tags": [{"Key": "a", "Value": "b"}], "StreamSpecification": {"StreamEnabled": False}}),
    ("UpdateTable", {**NAME, "BillingMode": "PAY_PER_REQUEST", "DeletionProtectionEnabled": False}),
    ("DescribeTable", NAME),
    ("DeleteTable", {"TableName": "Nothing"}),
    ("ListTables", {"Limit": 3, "ExclusiveStartTableName": "A"}),
    ("DescribeLimits", {}),
    ("DescribeEndpoints", {}),
    ("DescribeTimeToLive", NAME),
    ("UpdateTimeToLive", {**NAME, "TimeToLiveSpecification": {"AttributeName": "t", "Enabled": True}}),
    ("TagResource", {"ResourceArn": "arn:aws:dynamodb:us-east-1:000000000000:table/Things", "Tags": []}),
    ("ListTagsOfResource", {"ResourceArn": "arn:aws:dynamodb:us-east-1:000000000000:table/Things"}),
    ("UntagResource", {"ResourceArn": "arn:aws:dynamodb:us-east-1:000000000000:table/Things", "TagKeys": ["a"]}),
]

# ---- one try


def tried(server: Server, data: bytes, cuts: tuple[int, ...] = (), *, halved: bool = True) -> bytes:
    """What the server sends until it ends the connection; the client ends its side first, unless it is to wait."""
    with socket.create_connection((server.host, server.port), timeout=HUNG_SECONDS) as one:
        received = []
        try:
            last = 0
            for cut in (*cuts, len(data)):
                one.sendall(data[last:cut])
                last = cut
            if halved:
                one.shutdown(socket.SHUT_WR)
            while part := one.recv(1 << 16):
                received.append(part)
        except TimeoutError:
            raise
        except OSError:
            # ended by the server, in the midst of what was sent to it or before we ended our side
            pass
        return b"".join(received)


STATUS = re.compile(rb"(?:\A|(?<=[\n}>. ]))HTTP/1\.1 (\d{3}) [A-Z][A-Za-z -]+\r\n")


def check(answers: bytes, data: object) -> None:
    """Nothing, or whole answers, none of which is a fault of the server."""
    left = answers
    while left:
        found = STATUS.match(left)
        assert found, (left[:300], data)
        head, end, left = left.partition(b"\r\n\r\n")
        assert end, (head, data)
        assert found[1] != b"500", (head, left[:500], data)
        length = re.search(rb"Content-Length: (\d+)", head)
        if found[1] == b"100" or length is None:
            continue
        size = int(length[1])
        if left.startswith(b"HTTP/1.1 ") and found[1] == b"404":
            continue  # of a HEAD
        assert len(left) >= size or found[1] == b"404", (head, left, data)
        left = left[size:]


def mutated(data: bytes, chance: random.Random) -> bytes:
    """A few pieces of it changed, cut out, repeated, swapped or replaced by what parsers dislike."""
    text = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        if not text:
            break
        at, end = sorted(chance.randrange(len(text) + 1) for _ in range(2))
        end = min(end, at + chance.choice((1, 2, 8, 64, 4096)))
        kind = chance.randrange(7)
        if kind == 0:
            text[at % len(text)] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del text[at:end]
        elif kind == 2:
            text[at:at] = text[at:end] * chance.choice((1, 2, 50))
        elif kind == 3:
            del text[at:]
        elif kind == 4:
            text[at:at] = chance.randbytes(chance.choice((1, 4, 40)))
        elif kind == 5:
            text[at:end] = chance.choice(UNLIKED)
        else:
            text[at % len(text)] = chance.choice(b'\x00\r\n\t "{}[]:,0\x7f\x80\xff')
    return bytes(text)


UNLIKED = (
    b"\r\n",
    b"\n",
    b"\r\n\r\n",
    b"\x00",
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Encoding: gzip\r\n",
    b"Connection: Upgrade\r\nUpgrade: x\r\n",
    b"Expect: 100-continue\r\n",
    b"Connection: close\r\n",
    b"HTTP/1.0",
    b"0\r\n\r\n",
    b"ffffffffffffffff\r\n",
    b"99999999999999999999",
    b"-1",
    b"1e999",
    b"null",
    b"[[[[",
    b'{"a":' * 30,
    b"\\ud800",
    b"\xed\xa0\x80",
    b"GET / HTTP/1.1\r\n\r\n",
    b"CONNECT x:1 HTTP/1.1\r\n\r\n",
    b"HEAD / HTTP/1.1\r\n\r\n",
)


def requests() -> list[bytes]:
    headers = {"Transfer-Encoding": "chunked", "Content-Length": None}
    usual = [message(operation, body) for operation, body in BODIES]
    return [
        *usual,
        message(body=chunked(b'{"Limit": 5}', 4, b";a=b", b"X-T: y\r\n"), headers=headers, length=False),
        message(body=b"", headers={"Expect": "100-continue"}),
        message(headers={"Connection": "Upgrade", "Upgrade": "h2c"}),
        message(line="OPTIONS / HTTP/1.1", body=b"", headers={"Origin": "x", "Access-Control-Request-Method": "POST"}),
        message(line="POST http://here/?X-Amz-Algorithm=AWS4-HMAC-SHA256 HTTP/1.1", headers={"Authorization": None}),
        message(line="POST / HTTP/1.0", headers={"Connection": "keep-alive"}),
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\n\r\n",
        b"HEAD / HTTP/1.1\r\n\r\n",
        usual[0] + usual[2] + usual[7],
    ]


# ---- tries


def test_random_bytes(server) -> None:
    chance = random.Random(SEED)
    for _ in range(scaled(300)):
        data = chance.randbytes(chance.choice((1, 10, 100, 3000)))
        check(tried(server, data), data)


def test_lines_that_look_like_http(server) -> None:
    chance = random.Random(SEED)
    words = [*UNLIKED, b"POST", b"GET", b" ", b"/", b"*", b"HTTP/1.1", b":", b"Host", b"x", b"?", b"a" * 200, b"\xff"]
    for _ in range(scaled(500)):
        data = b"".join(chance.choice(words) for _ in range(chance.randrange(1, 30)))
        check(tried(server, data), data)


def test_requests_with_pieces_changed(server) -> None:
    chance = random.Random(SEED)
    whole = requests()
    for _ in range(scaled(1500)):
        data = mutated(chance.choice(whole), chance)
        check(tried(server, data), data)


def test_bodies_with_pieces_changed(server) -> None:
    chance = random.Random(SEED)
    for _ in range(scaled(1500)):
        operation, body = chance.choice(BODIES)
        data = mutated(json.dumps(body).encode(), chance)
        check(tried(server, message(operation, data)), (operation, data))


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container of a JSON value, with each of its keys."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield value, key
        yield from places(inner)


def replacements(chance: random.Random) -> list[Any]:
    return [
        None,
        True,
        0,
        -1,
        1.5,
        2**70,
        "",
        "x",
        "x" * 300,
        [],
        {},
        [[]],
        [None],
        {"": None},
        {"S": "x"},
        {"N": "1"},
        {"S": "a", "N": "1"},
        [{"S": None}],
        "\u0000",
        chr(chance.randrange(0x20, 0xD800)),
    ]


def test_bodies_with_members_of_other_types(server) -> None:
    chance = random.Random(SEED)
    for _ in range(scaled(2500)):
        operation, body = chance.choice(BODIES)
        changed = json.loads(json.dumps(body))
        for _ in range(chance.choice((1, 1, 2, 3))):
            if found := list(places(changed)):
                container, key = chance.choice(found)
                if isinstance(container, dict) and chance.random() < 0.2:
                    container[chance.choice(("", "S", "M", "L", "x", "#n"))] = container.pop(key)
                elif chance.random() < 0.1:
                    del container[key]
                else:
                    container[key] = chance.choice(replacements(chance))
        check(tried(server, message(operation, changed)), (operation, changed))


def test_a_session_split_at_every_byte(server) -> None:
    headers = {"Transfer-Encoding": "chunked", "Content-Length": None}
    data = (
        get("none")
        + message(body=chunked(b'{"Limit": 5}', 4, b";a=b", b"X-T: y\r\n"), headers=headers, length=False)
        + message(headers={"Connection": "close"})
    )
    expected = re.sub(rb"(RequestId|Date): [^\r]+", b"", tried(server, data))
    assert expected.count(b" 200 OK\r\n") == 3
    for cut in range(1, len(data), max(1, 3 // scaled(1))):
        answers = re.sub(rb"(RequestId|Date): [^\r]+", b"", tried(server, data, (cut,), halved=False))
        assert answers == expected, cut


def test_sessions_cut_off_at_every_byte(server) -> None:
    data = put("cut", s={"S": "y"}) + get("cut")
    for cut in range(0, len(data), max(1, 3 // scaled(1))):
        check(tried(server, data[:cut]), cut)


# ---- after many


def descriptors(server: Server) -> int:
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")
def test_many_tries_leave_neither_memory_nor_descriptors_behind(server) -> None:
    chance = random.Random(SEED)
    whole = requests()
    kinds: list[Callable[[], bytes]] = [
        lambda: mutated(chance.choice(whole), chance),
        lambda: chance.choice(whole)[: chance.randrange(400)],
        lambda: message(body=b"{" + b" " * 100_000, headers={"Content-Length": str(chance.randrange(3 << 20))}),
        lambda: get("x") * chance.randrange(1, 20),
    ]

    def batch(count: int) -> None:
        for n in range(count):
            if n % 20 == 0:
                # so that it has never more to do at once, however late it comes to it
                until(lambda: descriptors(server) <= before + 2)
            one = socket.create_connection((server.host, server.port), timeout=HUNG_SECONDS)
            with contextlib.suppress(OSError):
                one.sendall(chance.choice(kinds)())
                if chance.random() < 0.3:
                    one.settimeout(0.002)
                    one.recv(1000)
            one.close()
        until(lambda: descriptors(server) <= before + 2)

    until(lambda: json.loads(server.get("/stats")[2])["server"]["connections"] == 1)
    before = descriptors(server)
    # what grows to its size at first
    batch(1000)
    memory = server.resident_bytes()
    batch(scaled(3000))
    assert server.resident_bytes() - memory < 16 << 20
