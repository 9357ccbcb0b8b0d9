"""The end of a server: what has begun to arrive is answered, what was acknowledged is there afterwards."""

from __future__ import annotations

import signal
import socket
import threading
from typing import Any

import pytest

from server.serving import HUNG_SECONDS, PATIENT, Server, served, until
from server.wire import TABLE, Closed, Wire, ask, connected, get, message, put


def stopping(server: Server, number: int = signal.SIGTERM) -> None:
    server.process.send_signal(number)


def ended(server: Server) -> int:
    return server.process.wait(HUNG_SECONDS)


@pytest.mark.parametrize("cut", [1, 30, 300, -1])
def test_a_request_that_has_begun_to_arrive_is_answered(cut) -> None:
    with served("--in-memory", *PATIENT) as server:
        whole = message()
        with connected(server) as wire, connected(server) as idle:
            assert wire.ask(whole).status == 200
            wire.send_and_see_it_read(whole[:cut])
            stopping(server)
            # the stop is under way, and those of whom nothing has arrived are sent away
            assert idle.is_ended()
            wire.send(whole[cut:])
            answer = wire.answer()
            assert (answer.status, answer.headers["connection"]) == (200, "close")
            assert wire.is_ended()
        assert ended(server) == 0
        assert server.stderr == ""


def test_requests_sent_just_before_the_signal_are_answered(tmp_path) -> None:
    place = str(tmp_path / "db")
    with served(place, *PATIENT) as server:
        assert ask(server, message("CreateTable", TABLE)).status == 200
        wires = [Wire(server) for _ in range(20)]
        for n, wire in enumerate(wires):
            # pipelined, one of them long enough for a thread
            wire.send(put(f"{n}-a") + put(f"{n}-b", s={"S": "x" * 100_000}) + put(f"{n}-c") * 20)
        # they have come as far as the server's sockets, and of each it has begun to read
        for wire in wires:
            wire.see_it_arrive()
        assert ask(server, message()).status == 200
        stopping(server)
        for wire in wires:
            for _ in range(22):
                assert wire.answer().status == 200
            assert wire.is_ended()
            wire.close()
        assert ended(server) == 0
        assert server.stderr == ""
    with served(place) as server:
        for n in range(20):
            for letter in "abc":
                assert "Item" in ask(server, get(f"{n}-{letter}")).json()


def test_requests_that_it_has_not_read_yet_are_answered() -> None:
    """While a request is in a thread nothing more is read: what lies in the socket is read at the stop."""
    with served("--in-memory", *PATIENT) as server:
        assert ask(server, message("CreateTable", TABLE)).status == 200
        wires = [Wire(server) for _ in range(20)]
        for n, wire in enumerate(wires):
            long = put(f"{n}-long", s={"S": "x" * 100_000})
            wire.send(long + put(f"{n}-short", s={"S": "x" * 1000}) * 40 + long + put(f"{n}-last"))
            wire.see_it_arrive()
        stopping(server)
        for wire in wires:
            for _ in range(43):
                assert wire.answer().status == 200
            assert wire.is_ended()
            wire.close()
        assert ended(server) == 0
        assert server.stderr == ""


def test_a_request_in_a_thread_is_answered() -> None:
    with served("--in-memory", *PATIENT) as server:
        with connected(server) as wire:
            wire.send(message("CreateTable", TABLE))
            wire.see_it_arrive()
            stopping(server)
            answer = wire.answer()
            assert (answer.status, answer.json()["TableDescription"]["TableName"]) == (200, "Things")
        assert ended(server) == 0


def test_idle_connections_are_ended_at_once() -> None:
    with served("--in-memory", *PATIENT) as server:
        wires = [Wire(server) for _ in range(50)]
        for wire in wires[:25]:
            assert wire.ask(message()).status == 200
        stopping(server)
        assert ended(server) == 0
        for wire in wires:
            assert wire.is_ended()
            wire.close()


def test_nobody_connects_any_more_while_it_stops() -> None:
    with served("--in-memory", *PATIENT) as server, connected(server) as wire, connected(server) as idle:
        wire.send_and_see_it_read(message()[:20])
        stopping(server)
        assert idle.is_ended()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((server.host, server.port)).close()
        wire.send(message()[20:])
        assert wire.answer().status == 200
        assert ended(server) == 0


def test_a_client_that_does_not_go_on_keeps_it_no_longer_than_was_said() -> None:
    with served("--in-memory", *PATIENT, "--stop-seconds", "0.5") as server, connected(server) as wire:
        wire.send_and_see_it_read(message()[:20])
        stopping(server)
        assert ended(server) == 0


def test_clients_that_do_not_read_keep_it_no_longer_than_was_said() -> None:
    with served("--in-memory", *PATIENT, "--stop-seconds", "0.5") as server, connected(server) as wire:
        assert ask(server, message("CreateTable", TABLE)).status == 200
        assert ask(server, put("big", s={"S": "x" * 390_000})).status == 200
        wire.send(get("big") * 50)
        until(lambda: ask(server, b"GET /stats HTTP/1.1\r\n\r\n").json()["server"]["unsent_bytes"] > 0)
        stopping(server)
        assert ended(server) == 0


def counted(server: Server) -> int:
    """Items of the table."""
    count = 0
    start: dict[str, Any] = {}
    while True:
        answer = ask(server, message("Scan", {"TableName": "Things", "Select": "COUNT", **start})).json()
        count += int(answer["Count"])
        if "LastEvaluatedKey" not in answer:
            return count
        start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}


class Writer(threading.Thread):
    """Puts one item after the other until the connection ends. acknowledged: how many were."""

    def __init__(self, server: Server, name: str) -> None:
        super().__init__()
        self.wire = Wire(server)
        self.letter = name
        self.acknowledged = 0
        self.faults: list[Any] = []

    def run(self) -> None:
        try:
            while True:
                answer = self.wire.ask(put(f"{self.letter}{self.acknowledged}"))
                if answer.status != 200:
                    self.faults.append(answer)
                    return
                self.acknowledged += 1
        except (Closed, ConnectionResetError, BrokenPipeError):
            pass
        finally:
            self.wire.close()


@pytest.mark.parametrize(
    ("signals", "status"), [((signal.SIGTERM,), 0), ((signal.SIGINT,), 0), ((signal.SIGINT, signal.SIGINT), 130)]
)
def test_what_was_acknowledged_is_there_afterwards(tmp_path, signals, status) -> None:
    place = str(tmp_path / "db")
    with served(place, *PATIENT) as server:
        assert ask(server, message("CreateTable", TABLE)).status == 200
        # the second signal must find the first one's stop under way
        held, idle = Wire(server), Wire(server)
        if len(signals) > 1:
            held.send_and_see_it_read(b"POST")
        writers = [Writer(server, letter) for letter in "abcdefgh"]
        for writer in writers:
            writer.start()
        until(lambda: all(writer.acknowledged > 10 or not writer.is_alive() for writer in writers))
        for number in signals:
            stopping(server, number)
            # two of a kind that wait for a process become one
            assert idle.is_ended()
        assert ended(server) == status
        held.close()
        idle.close()
        for writer in writers:
            writer.join()
            assert writer.faults == []
            assert writer.acknowledged > 0
    with served(place) as server:
        acknowledged = sum(writer.acknowledged for writer in writers)
        # one of each may have been carried out without its answer having arrived
        assert acknowledged <= counted(server) <= acknowledged + len(writers)
        for writer in writers:
            assert "Item" in ask(server, get(f"{writer.letter}{writer.acknowledged - 1}")).json()
