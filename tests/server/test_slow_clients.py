"""Clients that stop in the middle, never read, or go away: they cost little, are ended, and harm nobody else."""

from __future__ import annotations

import asyncio
import contextlib
import json
import select
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from lsm.dynamodb import connect
from lsm.server.authentication import Authentication
from lsm.server.dispatch import Dispatcher
from lsm.server.limits import Limits
from lsm.server.protocol import Connection
from server.serving import PATIENT, Server, served, until
from server.wire import TABLE, Closed, Wire, ask, connected, get, message, put

REQUEST = message(body=b'{"Limit": 5}')
BODY_AT = REQUEST.index(b"\r\n\r\n") + 4
CHUNKED = message(
    body=b"5\r\n{   }\r\n", headers={"Transfer-Encoding": "chunked", "Content-Length": None}, length=False
)
HALVES = {
    "a byte": REQUEST[:1],
    "half a request line": REQUEST[:8],
    "half a head": REQUEST[: BODY_AT // 2],
    "a head without its body": REQUEST[:BODY_AT],
    "half a body": REQUEST[: BODY_AT + 6],
    "half a long body": message(body=b"{", headers={"Content-Length": "10000000"}),
    "some chunks": CHUNKED,
}
ITEM = "x" * 390_000


def facts(server: Server) -> dict[str, Any]:
    answer = ask(server, b"GET /stats HTTP/1.1\r\n\r\n")
    found: dict[str, Any] = json.loads(answer.body)["server"]
    return found


def is_stored(server: Server) -> bool:
    """Whether the long item arrived in time."""
    with contextlib.suppress(Closed, OSError):
        return ask(server, put("big", s={"S": ITEM})).status == 200
    return False


@contextlib.contextmanager
def serving(*arguments: str) -> Iterator[Server]:
    """A server with a table and an item."""
    with served("--in-memory", "--unsent-mb", "4", "--threads", "2", *PATIENT, *arguments) as running:
        assert ask(running, message("CreateTable", TABLE)).status == 200
        # whoever is given little time may need more than one try
        until(lambda: is_stored(running))
        yield running
        assert running.stderr == ""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One that is as patient as can be."""
    with serving() as running:
        yield running


@pytest.fixture(scope="module")
def hurried() -> Iterator[Server]:
    """One that waits two seconds for a request to arrive or an answer to be read, and for ever for one to begin."""
    with serving("--request-seconds", "2") as running:
        yield running


@pytest.fixture(scope="module")
def silent(hurried: Server) -> Iterator[dict[str, Wire]]:
    """Connections that have sent something and then nothing, all at once: each waits its time."""
    wires = {name: Wire(hurried) for name in (*HALVES, "a last one")}
    for name, data in HALVES.items():
        wires[name].send(data)
    wires["a last one"].send(message(headers={"Connection": "close"}))
    yield wires
    for wire in wires.values():
        wire.close()


# ---- silence


@pytest.mark.parametrize("name", HALVES)
def test_a_request_that_does_not_arrive_in_time_is_told_so(silent, name) -> None:
    answer = silent[name].answer()
    assert (answer.status, answer.headers["connection"]) == (408, "close")
    assert silent[name].is_ended()


def test_a_client_that_says_nothing_or_asks_nothing_more_is_sent_away_without_a_word() -> None:
    with served("--in-memory", *PATIENT, "--idle-seconds", "2") as server:
        with connected(server) as wire:
            assert wire.is_ended()
        while True:
            with connected(server) as wire:
                try:
                    answer = wire.ask(message())
                except (Closed, ConnectionError):
                    # sent away before it had asked: this process was held up
                    continue
                assert answer.status == 200
                assert wire.is_ended()
                return


def test_a_client_that_does_not_end_its_side_is_ended_soon_after_its_last_answer(silent) -> None:
    wire = silent["a last one"]
    assert wire.answer().status == 200
    assert wire.is_ended()

    def is_reset() -> bool:
        try:
            wire.send(b"x")
        except OSError:
            return True
        return False

    until(is_reset)


def test_what_an_unfinished_body_had_reserved_is_free_again(hurried, silent) -> None:
    until(lambda: facts(hurried)["body_bytes"] == 0)


def test_a_request_that_trickles_in_is_ended_as_well(hurried) -> None:
    with connected(hurried) as wire:
        for at in range(BODY_AT):
            if select.select([wire.socket], [], [], 0.1)[0]:
                break
            try:
                wire.send(REQUEST[at : at + 1])
            except ConnectionError:
                # it has gone already; what it said is here
                break
        assert wire.answer().status == 408


# ---- gone


@pytest.mark.parametrize("data", [*HALVES.values(), get("big") * 30, get("big") * 200, put("big", s={"S": ITEM})[:-9]])
def test_a_client_that_goes_away_leaves_nothing_behind(server, data) -> None:
    for way in (Wire.close, Wire.reset):
        for _ in range(5):
            wire = Wire(server)
            wire.send(data)
            way(wire)
    nothing = {"connections": 1, "unsent_bytes": 0, "body_bytes": 0, "answers_waiting_for_readers": 0}
    until(lambda: facts(server).items() >= nothing.items())
    assert ask(server, get("big")).status == 200


# ---- readers


def test_a_client_that_does_not_read_is_served_no_further(server) -> None:
    with connected(server) as wire:
        wire.send(get("big") * 100)
        until(lambda: facts(server)["unsent_bytes"] > 0)
        assert facts(server)["unsent_bytes"] < 2 * len(ITEM)
        for _ in range(100):
            assert len(wire.answer().body) > len(ITEM)
    until(lambda: facts(server)["unsent_bytes"] == 0)


def test_a_client_that_does_not_read_is_ended(hurried, silent) -> None:
    with connected(hurried) as wire:
        wire.send(get("big") * 100)
        # beside those that have been ended by now, there is the one that asks
        until(lambda: facts(hurried)["connections"] == 1)
        with pytest.raises((Closed, ConnectionResetError)):
            [wire.answer() for _ in range(100)]


def test_others_are_served_while_clients_do_not_read(server) -> None:
    stuck = [Wire(server) for _ in range(20)]
    for wire in stuck:
        wire.send(get("big") * 60)
    until(lambda: facts(server)["unsent_bytes"] > 4 << 20)
    with connected(server) as wire:
        for _ in range(50):
            assert wire.ask(message()).status == 200
            assert wire.ask(put("small")).status == 200
    assert facts(server)["unsent_bytes"] < 8 << 20
    for one in stuck:
        one.reset()
    until(lambda: facts(server)["unsent_bytes"] == 0)


def test_a_slow_reader_that_goes_on_reading_gets_everything() -> None:
    """What is sent, however slowly, counts; the clock is the test's own."""
    asyncio.run(reads_slowly())


async def reads_slowly() -> None:
    loop = asyncio.get_running_loop()
    made: list[Connection] = []

    def fresh() -> Any:
        made.append(Connection(dispatcher))
        return made[-1]

    with connect(":memory:") as opened, socket.socket() as ours:
        limits = Limits(request_seconds=2.0)
        dispatcher = Dispatcher(opened.service, limits=limits, authentication=Authentication(), durable=False)
        listening = await loop.create_server(fresh, "127.0.0.1", 0)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        ours.setblocking(False)
        await loop.sock_connect(ours, listening.sockets[0].getsockname())
        for request in (message("CreateTable", TABLE), put("big", s={"S": ITEM})):
            await loop.sock_sendall(ours, request)
            assert b" 200 OK" in await loop.sock_recv(ours, 1 << 16)
        # so little that every answer waits
        transport = made[0].transport
        assert transport is not None
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
        began = dispatcher.now
        await loop.sock_sendall(ours, get("big") * 30)
        left = 30 * len(ITEM)
        while left > 0:
            part = await loop.sock_recv(ours, 1 << 15)
            assert part, "the server ended it"
            left -= len(part)
            if made[0].heard == dispatcher.now:
                # just within the time that a request may take without any progress
                dispatcher.now += 1.9
            dispatcher.sweep()
        assert dispatcher.now - began > 10
        transport.abort()
        listening.close()
        await asyncio.sleep(0)
        dispatcher.close()


def test_an_answer_that_waits_for_other_readers_comes_when_they_have_gone(server) -> None:
    stuck = [Wire(server) for _ in range(20)]
    for wire in stuck:
        wire.send(get("big") * 60)
    until(lambda: facts(server)["unsent_bytes"] > 4 << 20)
    with connected(server) as patient:
        patient.send(get("big"))
        for one in stuck:
            one.reset()
        assert len(patient.answer().body) > len(ITEM)
