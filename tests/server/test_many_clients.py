"""Many clients at once: memory stays bounded, everybody is answered, nobody waits for another's bytes."""

from __future__ import annotations

import contextlib
import json
import resource
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from model import scaled

from server.serving import HUNG_SECONDS, PATIENT, Server, served, until
from server.wire import TABLE, Wire, ask, chunked, connected, get, message, put

MIB = 1 << 20
NOTHING = {"connections": 1, "body_bytes": 0, "bodies_waiting": 0}
"""Facts of a server that only the one who asks is connected to."""


def facts(server: Server) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ask(server, b"GET /stats HTTP/1.1\r\n\r\n").body)["server"]
    return found


class Watched:
    """The most memory that a server had while the block ran, above what it had before; bytes."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.before = server.resident_bytes()
        self.most = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def _watch(self) -> None:
        while not self._ended.wait(0.005):
            self.most = max(self.most, self.server.resident_bytes() - self.before)

    def __enter__(self) -> Watched:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()


@contextlib.contextmanager
def many(server: Server, count: int) -> Iterator[list[Wire]]:
    wires = [Wire(server) for _ in range(count)]
    try:
        yield wires
    finally:
        for wire in wires:
            wire.close()


# ---- bodies


def long_request(size: int, way: str) -> bytes:
    body = b"{}" + b" " * (size - 2)
    if way == "by length":
        return message(body=body)
    headers = {"Transfer-Encoding": "chunked", "Content-Length": None}
    return message(body=chunked(body, 1 << 20), headers=headers, length=False)


@pytest.mark.parametrize("way", ["by length", "chunked"])
def test_long_bodies_from_200_connections_at_once_take_turns(way) -> None:
    data = long_request(min(16, scaled(1)) * MIB, way)
    with (
        served("--in-memory", "--bodies-mb", "32", "--max-body-mb", "16", "--threads", "2", *PATIENT) as server,
        many(server, 200) as wires,
    ):
        with Watched(server) as watched, ThreadPoolExecutor(200) as pool:
            for answer in pool.map(lambda wire: wire.ask(data), wires):
                assert answer.status == 200
        # the room, two bodies in work, and what the sockets gave at one time
        assert watched.most < 160 * MIB
        now = facts(server)
        assert (now["body_bytes"], now["bodies_waiting"]) == (0, 0)
        assert server.stderr == ""


def test_short_requests_are_answered_while_long_bodies_wait() -> None:
    with served("--in-memory", "--bodies-mb", "1", *PATIENT) as server, many(server, 20) as wires:
        data = message(body=b"{}" + b" " * 3_000_000)
        for wire in wires:
            # each takes all the room, and does not go on
            wire.send(data[:200_000])
        until(lambda: facts(server)["bodies_waiting"] == 19)
        with connected(server) as other:
            for _ in range(100):
                assert other.ask(message()).status == 200
        for wire in wires[:10]:
            wire.reset()
        with ThreadPoolExecutor(10) as pool:
            rest = list(pool.map(lambda wire: wire.ask(data[200_000:]).status, wires[10:]))
        assert rest == [200] * 10
        until(lambda: facts(server).items() >= {"body_bytes": 0, "bodies_waiting": 0}.items())


def test_room_for_bodies_is_given_back_whatever_becomes_of_them() -> None:
    headers = {"Transfer-Encoding": "chunked", "Content-Length": None}
    part = b"%x\r\n%b\r\n" % (70_000, b" " * 70_000)
    kinds = [
        message(body=b"{}" + b" " * 100_000),
        message(body=b"{" + b" " * 100_000),
        message(body=chunked(b"{}" + b" " * 66_000, 3000), headers=headers, length=False),
        message(body=part * 3 + b"garbage", headers=headers, length=False),
        message(body=part * 40, headers=headers, length=False),
        message(body=b" " * 100_000, headers={"Content-Length": "3000000"}),
        message(body=b"{}" + b" " * 100_000, headers={"Connection": "close"}) * 2,
        message(body=b"{}" + b" " * 100_000) * 3 + b"garbage\r\n\r\n",
        message(body=b"{}" + b" " * 100_000, headers={"Content-Type": "text/plain"}),
        message(body=b"{}" + b" " * 100_000, headers={"Connection": "Upgrade", "Upgrade": "x"}),
    ]
    with served("--in-memory", "--bodies-mb", "1", "--max-body-mb", "2", *PATIENT) as server:
        for _ in range(3):
            with many(server, 40) as wires:
                for n, wire in enumerate(wires):
                    with contextlib.suppress(OSError):
                        wire.socket.settimeout(0.05)
                        wire.send(kinds[n % len(kinds)])
                time.sleep(0.05)
        # a connection may be gone before the thread that works on its request
        until(lambda: facts(server).items() >= NOTHING.items())
        assert ask(server, kinds[0]).status == 200
        assert server.stderr == ""


# ---- answers


@pytest.fixture(scope="module")
def stocked() -> Iterator[Server]:
    """A server with more than a megabyte to scan."""
    with served("--in-memory", "--unsent-mb", "16", "--threads", "2", "--cache-mb", "8", *PATIENT) as server:
        assert server.call("CreateTable", TABLE)[0] == 200
        for n in range(4):
            assert ask(server, put(str(n), s={"S": "x" * 350_000})).status == 200
        yield server
        assert server.stderr == ""


SCAN = message("Scan", {"TableName": "Things"})


def test_slow_readers_of_long_answers_leave_memory_bounded_and_all_are_served(stocked) -> None:
    # a small window, so that it is the server's side that has to keep what is not read
    count = min(200, scaled(60))
    wires = [Wire(stocked, HUNG_SECONDS, 1 << 14) for _ in range(count)]
    with Watched(stocked) as watched:
        for wire in wires:
            wire.send(SCAN * 5)
        until(lambda: facts(stocked)["answers_waiting_for_readers"] > 0)
        with connected(stocked) as other:
            for _ in range(100):
                assert other.ask(get("none")).json() == {}
        with ThreadPoolExecutor(count) as pool:
            for lengths in pool.map(lambda wire: [len(wire.answer().body) for _ in range(5)], wires):
                assert min(lengths) > MIB
    for wire in wires:
        wire.close()
    assert watched.most < 120 * MIB
    until(lambda: facts(stocked)["unsent_bytes"] == 0)


# ---- connections


def test_connections_beyond_the_limit_are_told_so() -> None:
    with served("--in-memory", "--max-connections", "5", *PATIENT) as server:
        with many(server, 5) as wires:
            for wire in wires:
                assert wire.ask(message()).status == 200
            for data in (b"", message()):
                with connected(server) as wire:
                    wire.send(data)
                    answer = wire.answer()
                    assert (answer.status, answer.headers["connection"]) == (503, "close")
                    assert wire.is_ended()
            for wire in wires:
                assert wire.ask(message()).status == 200
        # those that have gone make room
        until(lambda: ask(server, message()).status == 200)
        assert server.stderr == ""


def descriptors(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"{wanted} connections need as many file descriptors; the limit is {hard}")
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@pytest.mark.slow
def test_10_000_idle_connections_cost_little_and_hold_up_nobody() -> None:
    count = 10_000
    descriptors(count + 1000)
    with served("--in-memory", *PATIENT) as server:
        before = server.resident_bytes()
        selector = selectors.DefaultSelector()
        idle = []
        try:
            for n in range(count):
                # loopback has more addresses than one, and each has its own ports
                one = socket.create_connection((server.host, server.port), source_address=(f"127.0.0.{n % 4 + 1}", 0))
                idle.append(one)
                if n % 10 == 0:
                    one.sendall(message())
                    selector.register(one, selectors.EVENT_READ)
            answered = 0
            while answered < count // 10:
                for key, _ in selector.select():
                    assert b" 200 OK" in key.fileobj.recv(4096)  # type: ignore[union-attr]
                    selector.unregister(key.fileobj)
                    answered += 1
            until(lambda: facts(server)["connections"] == count + 1)
            assert server.resident_bytes() - before < count * (16 << 10)
            with connected(server) as wire:
                for _ in range(500):
                    assert wire.ask(message()).status == 200
        finally:
            selector.close()
            for one in idle:
                one.close()
        until(lambda: facts(server)["connections"] == 1)
        assert server.stop() == 0
        assert server.stderr == ""
