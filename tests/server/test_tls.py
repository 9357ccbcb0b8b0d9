"""HTTP inside TLS: the same answers, and the same bounds."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import pytest

from server.certificates import self_signed
from server.serving import HUNG_SECONDS, PATIENT, Server, served, until
from server.wire import TABLE, Closed, Wire, ask, get, message, put, told

NAMES = {"TableNames": ["Things"]}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> str:
    return self_signed(tmp_path_factory.mktemp("tls"))


@contextlib.contextmanager
def serving(certificate: str, *arguments: str) -> Iterator[Server]:
    with served("--in-memory", "--certificate", certificate, *PATIENT, "--stop-seconds", "1", *arguments) as running:
        with secured(running) as wire:
            assert wire.ask(message("CreateTable", TABLE)).status == 200
        # whoever is given little time may need more than one try
        until(lambda: is_stored(running))
        yield running
        assert running.stop() == 0
        assert running.stderr == ""


@pytest.fixture(scope="module")
def server(certificate) -> Iterator[Server]:
    """One that is as patient as can be."""
    with serving(certificate, "--max-body-mb", "1") as running:
        yield running


@pytest.fixture(scope="module")
def hurried(certificate) -> Iterator[Server]:
    """One that waits a second for a request to arrive or an answer to be read, and for ever for one to begin."""
    with serving(certificate, "--request-seconds", "1") as running:
        yield running


class secured:
    """A connection inside TLS; the certificate is not looked at."""

    def __init__(self, server: Server) -> None:
        self.wire = Wire(server)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.wire.socket = context.wrap_socket(self.wire.socket, suppress_ragged_eofs=False)

    def __enter__(self) -> Wire:
        return self.wire

    def __exit__(self, *_: object) -> None:
        self.wire.close()


def facts(wire: Wire) -> dict[str, Any]:
    found: dict[str, Any] = wire.ask(b"GET /stats HTTP/1.1\r\n\r\n").json()["server"]
    return found


def is_stored(server: Server) -> bool:
    """Whether a long item arrived in time."""
    with contextlib.suppress(Closed, OSError), secured(server) as wire:
        return wire.ask(put("big", s={"S": "x" * 390_000})).status == 200
    return False


def test_requests_behind_each_other_are_answered_in_their_order(server) -> None:
    with secured(server) as wire:
        wire.send(message() * 200 + put("big", s={"S": "x" * 300_000}) + get("big") + message())
        for _ in range(200):
            assert wire.answer().json() == NAMES
        assert wire.answer().json() == {}
        assert len(wire.answer().body) > 300_000
        assert wire.answer().json() == NAMES


def test_connection_close_ends_it_with_a_goodbye(server) -> None:
    with secured(server) as wire:
        assert wire.ask(message(headers={"Connection": "close"})).headers["connection"] == "close"
        assert wire.is_ended()


def test_the_answer_to_too_long_a_body_can_be_read(server) -> None:
    answer = told(server, message(body=b" " * (3 << 20)), secured, and_ended=False)
    assert (answer.status, answer.headers["connection"]) == (413, "close")


def test_half_a_request_is_told_that_it_is_late(hurried) -> None:
    with secured(hurried) as wire:
        wire.send(message()[:50])
        assert wire.answer().status == 408


def test_a_client_that_says_nothing_is_sent_away(certificate) -> None:
    with served("--in-memory", "--certificate", certificate, *PATIENT, "--idle-seconds", "0.5") as server:
        with secured(server) as wire:
            assert wire.is_ended()
        assert server.stop() == 0
        assert server.stderr == ""


def test_answers_that_are_not_read_are_counted(server) -> None:
    with secured(server) as other:
        with secured(server) as wire:
            wire.send(get("big") * 60)
            until(lambda: facts(other)["unsent_bytes"] > 0)
        until(lambda: facts(other)["unsent_bytes"] == 0)


def test_a_client_that_does_not_read_is_ended(hurried) -> None:
    with secured(hurried) as wire, secured(hurried) as other:
        wire.send(get("big") * 60)
        until(lambda: facts(other)["connections"] == 1)
        with pytest.raises((Closed, OSError)):
            [wire.answer() for _ in range(60)]


def test_what_is_no_tls_is_sent_away_and_harms_nobody(server) -> None:
    with socket.create_connection((server.host, server.port), timeout=HUNG_SECONDS) as one:
        one.sendall(message())
        with contextlib.suppress(ConnectionResetError):
            assert b" 200 OK" not in one.recv(1 << 16)
    with secured(server) as wire:
        assert wire.ask(message()).json() == NAMES


def test_clients_that_go_away_leave_nothing_behind(server) -> None:
    for _ in range(20):
        with secured(server) as wire:
            wire.send(get("big") * 50)
            wire.reset()
    with secured(server) as wire:
        until(lambda: (facts(wire)["connections"], facts(wire)["unsent_bytes"]) == (1, 0))


def test_without_tls_nothing_of_it_is_spoken() -> None:
    with served("--in-memory") as plain, pytest.raises((ssl.SSLError, OSError)), secured(plain):
        pass
    with served("--in-memory") as plain:
        assert ask(plain, message()).status == 200
