"""Clients that stop in the middle, never read, or go away: they cost little, are ended, and harm nobody else."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from server.serving import Server, served, until
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


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    arguments = ("--request-seconds", "2", "--idle-seconds", "4", "--unsent-mb", "4", "--threads", "2")
    with served("--in-memory", *arguments) as running:
        assert running.call("CreateTable", TABLE)[0] == 200
        assert ask(running, put("big", s={"S": ITEM})).status == 200
        yield running
        assert running.stderr == ""


@pytest.fixture(scope="module")
def silent(server: Server) -> Iterator[dict[str, Wire]]:
    """Connections that have sent something and then nothing, all at once: each waits its time."""
    wires = {name: Wire(server) for name in (*HALVES, "nothing", "a whole request", "a last one")}
    for name, data in HALVES.items():
        wires[name].send(data)
    wires["a whole request"].send(REQUEST)
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


def test_a_client_that_says_nothing_is_sent_away_without_a_word(silent) -> None:
    assert silent["nothing"].is_ended()


def test_a_client_that_asks_nothing_more_is_sent_away_after_its_answer(silent) -> None:
    assert silent["a whole request"].answer().status == 200
    assert silent["a whole request"].is_ended()


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


def test_what_an_unfinished_body_had_reserved_is_free_again(server, silent) -> None:
    until(lambda: facts(server)["body_bytes"] == 0)


def test_a_request_that_trickles_in_is_ended_as_well(server) -> None:
    with connected(server) as wire:
        wire.socket.settimeout(0.1)
        answered = False
        for at in range(BODY_AT):
            wire.send(REQUEST[at : at + 1])
            try:
                answered = wire.answer().status == 408
                break
            except TimeoutError:
                continue
        assert answered


# ---- gone


@pytest.mark.parametrize("data", [*HALVES.values(), get("big") * 30, get("big") * 200, put("big", s={"S": ITEM})[:-9]])
def test_a_client_that_goes_away_leaves_nothing_behind(server, data) -> None:
    before = facts(server)["connections"]
    for way in (Wire.close, Wire.reset):
        for _ in range(5):
            wire = Wire(server)
            wire.send(data)
            way(wire)
    until(lambda: facts(server)["connections"] <= before)
    now = facts(server)
    assert (now["unsent_bytes"], now["body_bytes"], now["answers_waiting_for_readers"]) == (0, 0, 0)
    assert ask(server, get("big")).status == 200


# ---- readers


def test_a_client_that_does_not_read_is_served_no_further_and_then_ended(server) -> None:
    with connected(server) as wire:
        wire.send(get("big") * 100)
        until(lambda: facts(server)["unsent_bytes"] > 0)
        assert facts(server)["unsent_bytes"] < 2 * len(ITEM)
        until(lambda: facts(server)["unsent_bytes"] == 0)
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


def test_a_slow_reader_that_goes_on_reading_gets_everything(server) -> None:
    with connected(server) as wire:
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        sending = threading.Thread(target=wire.send, args=(get("big") * 40,))
        sending.start()
        end = time.monotonic() + 5
        for _ in range(40):
            assert len(wire.answer().body) > len(ITEM)
            # longer in all than a request may take
            time.sleep(max(0.0, (end - time.monotonic()) / 40))
        sending.join()


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
