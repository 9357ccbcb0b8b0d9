"""HTTP/1.1 as such: connections that go on or end, bodies of known and unknown length, and what is no request."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from server.serving import PATIENT, Server, served
from server.wire import TABLE, Wire, ask, chunked, connected, get, message, put, told

NAMES = {"TableNames": ["Things"]}
LENGTH = {"Content-Length": None}
CHUNKED = {**LENGTH, "Transfer-Encoding": "chunked"}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with served("--in-memory", "--max-body-mb", "1", *PATIENT) as running:
        assert running.call("CreateTable", TABLE)[0] == 200
        yield running
        assert running.stderr == ""


def still_answers(wire: Wire) -> bool:
    answer = wire.ask(message())
    return (answer.status, answer.json()) == (200, NAMES)


# ---- one connection, several requests


def test_a_connection_serves_many_requests(server) -> None:
    with connected(server) as wire:
        for _ in range(100):
            assert still_answers(wire)


def test_an_answer_of_http_1_1_says_nothing_of_the_connection_where_nothing_was_said(server) -> None:
    assert "connection" not in ask(server, message()).headers


def test_an_error_does_not_end_the_connection(server) -> None:
    with connected(server) as wire:
        for data in (message("Nothing"), message(body=b"{"), message(line="PUT / HTTP/1.1"), message(body=b"")):
            assert wire.ask(data).status >= 400
            assert still_answers(wire)


def test_two_thousand_requests_in_one_write_are_answered_in_their_order(server) -> None:
    with connected(server) as wire:
        asked = b"".join(put(str(n), n={"N": str(n)}) + get(str(n)) for n in range(1000))
        import threading

        sending = threading.Thread(target=wire.send, args=(asked,))
        sending.start()
        for n in range(1000):
            assert wire.answer().json() == {}
            assert wire.answer().json() == {"Item": {"id": {"S": str(n)}, "n": {"N": str(n)}}}
        sending.join()


def test_requests_of_all_kinds_behind_each_other_keep_their_order(server) -> None:
    with connected(server) as wire:
        big = put("big", text={"S": "x" * 100_000})
        wire.send(
            big + get("big") + message("DescribeTable", {"TableName": "Things"}) + message("Nothing") + get("big")
        )
        assert wire.answer().json() == {}
        assert len(wire.answer().body) > 100_000
        assert "Table" in wire.answer().json()
        assert wire.answer().code == "UnknownOperationException"
        assert len(wire.answer().body) > 100_000


def test_the_smallest_requests_by_the_thousand_are_answered(server) -> None:
    with connected(server) as wire:
        wire.send(b"GET / HTTP/1.1\r\n\r\n" * 5000)
        for _ in range(5000):
            assert wire.answer().status == 200


def test_requests_split_anywhere_are_the_same_requests(server) -> None:
    with connected(server) as wire:
        data = put("split", s={"S": "x"}) + message(body=chunked(b'{"Limit": 5}'), headers=CHUNKED, length=False)
        for size in (1, 2, 3, 7, 50):
            for at in range(0, len(data), size):
                wire.send(data[at : at + size])
            assert wire.answer().json() == {}
            assert wire.answer().json() == NAMES


def test_empty_lines_before_a_request_are_ignored(server) -> None:
    with connected(server) as wire:
        assert wire.ask(b"\r\n\r\n" + message()).status == 200
        assert wire.ask(b"\r\n" + message()).status == 200


def test_connection_close_ends_it_after_the_answer(server) -> None:
    for value in ("close", "Close", "keep-alive, close"):
        with connected(server) as wire:
            answer = wire.ask(message(headers={"Connection": value}))
            assert (answer.status, answer.headers["connection"]) == (200, "close")
            assert wire.is_ended()


def test_what_follows_connection_close_is_not_carried_out_and_costs_no_answer(server) -> None:
    assert told(server, message(headers={"Connection": "close"}) + put("after-close") + b"x" * 1_000_000).status == 200
    with connected(server) as wire:
        assert wire.ask(get("after-close")).json() == {}


def test_http_1_0_ends_after_the_answer(server) -> None:
    with connected(server) as wire:
        answer = wire.ask(message(line="POST / HTTP/1.0"))
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert wire.is_ended()


def test_http_1_0_with_keep_alive_goes_on(server) -> None:
    with connected(server) as wire:
        for _ in range(3):
            answer = wire.ask(message(line="POST / HTTP/1.0", headers={"Connection": "Keep-Alive"}))
            assert (answer.status, answer.headers["connection"].lower()) == (200, "keep-alive")
        assert still_answers(wire)


def test_a_client_that_has_ended_its_side_gets_its_answers(server) -> None:
    import socket

    with connected(server) as wire:
        wire.send(message() * 50 + put("half", s={"S": "x" * 90_000}) + get("half"))
        wire.socket.shutdown(socket.SHUT_WR)
        for _ in range(50):
            assert wire.answer().status == 200
        assert wire.answer().status == 200
        assert len(wire.answer().body) > 90_000
        assert wire.is_ended()


def test_half_a_request_and_then_the_end_ends_the_connection(server) -> None:
    import socket

    whole = message()
    for cut in (1, 20, len(whole) - 1):
        with connected(server) as wire:
            wire.send(whole + whole[:cut])
            wire.socket.shutdown(socket.SHUT_WR)
            assert wire.answer().status == 200
            assert wire.is_ended()


# ---- bodies


def test_a_chunked_body_is_read(server) -> None:
    with connected(server) as wire:
        for size in (1, 5, 1000):
            data = message(body=chunked(b'{"Limit": 5}', size), headers=CHUNKED, length=False)
            assert wire.ask(data).json() == NAMES


def test_extensions_of_chunks_are_ignored(server) -> None:
    body = chunked(b'{"Limit": 5}', extension=b';name=value;other="a b"')
    assert ask(server, message(body=body, headers=CHUNKED, length=False)).json() == NAMES


def test_trailers_are_ignored_and_are_no_headers(server) -> None:
    trailers = b"X-Amz-Target: DynamoDB_20120810.Nothing\r\nContent-Encoding: gzip\r\nConnection: close\r\n"
    with connected(server) as wire:
        data = message(body=chunked(b"{}", trailers=trailers), headers=CHUNKED, length=False)
        assert wire.ask(data).json() == NAMES


def test_a_chunked_body_without_bytes_is_an_empty_body(server) -> None:
    answer = ask(server, message(body=b"0\r\n\r\n", headers=CHUNKED, length=False))
    assert answer.code == "SerializationException"


@pytest.mark.parametrize("body", [b"x\r\n{}\r\n0\r\n\r\n", b"-2\r\n{}\r\n0\r\n\r\n", b"2\r\n{}xx0\r\n\r\n", b"\r\n{}"])
def test_broken_chunks_end_the_connection(server, body) -> None:
    with connected(server) as wire:
        answer = wire.ask(message(body=body, headers=CHUNKED, length=False))
        assert (answer.status, answer.headers["connection"]) == (400, "close")
        assert wire.is_ended()


def test_a_length_beside_chunks_is_refused(server) -> None:
    assert ask(server, message(body=chunked(b"{}"), headers={"Transfer-Encoding": "chunked"})).status == 400


@pytest.mark.parametrize("coding", ["gzip, chunked", "gzip", "identity"])
def test_other_transfer_codings_are_refused(server, coding) -> None:
    data = message(body=chunked(b"{}"), headers={**LENGTH, "Transfer-Encoding": coding})
    assert ask(server, data).status == 501


@pytest.mark.parametrize(
    "length", ["-1", "x", "1x", "0x2", "2,2", "9" * 30, "+2", str(2**64 - 1), str(2**63), str(2**32)]
)
def test_a_length_that_is_none_is_refused(server, length) -> None:
    assert ask(server, message(headers={"Content-Length": length})).status in (400, 413)


def test_two_lengths_are_refused(server) -> None:
    assert ask(server, message(more=("Content-Length: 2",))).status == 400


def test_expect_is_answered_before_the_body_comes(server) -> None:
    with connected(server) as wire:
        head = message(headers={"Expect": "100-continue", "Content-Length": "2"}, body=b"")
        assert wire.ask(head).status == 100
        wire.send(b"{}")
        assert wire.answer().status == 200
        assert still_answers(wire)


def test_expect_behind_another_request_is_answered_after_it(server) -> None:
    with connected(server) as wire:
        big = put("big", text={"S": "x" * 100_000})
        wire.send(big + message(headers={"Expect": "100-Continue", "Content-Length": "2"}, body=b""))
        assert wire.answer().json() == {}
        assert wire.answer().status == 100
        wire.send(b"{}")
        assert wire.answer().status == 200


def test_expect_with_the_body_needs_no_go_ahead(server) -> None:
    assert ask(server, message(headers={"Expect": "100-continue"})).status == 200


def test_expect_of_http_1_0_is_ignored(server) -> None:
    data = message(headers={"Expect": "100-continue", "Content-Length": "2"}, body=b"", line="POST / HTTP/1.0")
    with connected(server) as wire:
        wire.send(data)
        wire.send(b"{}")
        assert wire.answer().status == 200


@pytest.mark.parametrize("first", ["Expect", "Content-Length"])
def test_expect_with_too_long_a_body_is_refused_at_once(server, first) -> None:
    values = {"Expect": "100-continue", "Content-Length": str(2 << 20)}
    headers = {**LENGTH, first: values[first], **values}
    with connected(server) as wire:
        wire.send(message(headers=headers, body=b"", length=False))
        assert wire.answer().status == 413


def test_upgrades_are_ignored(server) -> None:
    headers = {"Upgrade": "h2c", "Connection": "Upgrade, HTTP2-Settings", "HTTP2-Settings": "AAMAAABkAAQAAP__"}
    with connected(server) as wire:
        assert wire.ask(message(headers=headers)).json() == NAMES
        wire.send(message(headers=headers) * 400)
        for _ in range(400):
            assert wire.answer().json() == NAMES
        assert still_answers(wire)


def test_an_upgrade_with_a_long_or_chunked_body_is_ignored_as_well(server) -> None:
    headers = {"Upgrade": "websocket", "Connection": "Upgrade"}
    body = b"{}" + b" " * 200_000
    with connected(server) as wire:
        wire.send(message(body=body, headers=headers))
        wire.send(message(body=chunked(body, 5000), headers={**CHUNKED, **headers}, length=False))
        wire.send(message(headers={**headers, "Connection": "Upgrade, close"}))
        assert wire.answer().json() == NAMES
        assert wire.answer().json() == NAMES
        assert wire.answer().json() == NAMES
        assert wire.is_ended()


def test_connect_is_not_found_and_opens_no_tunnel(server) -> None:
    with connected(server) as wire:
        wire.send(b"CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\n\r\n" * 300)
        for _ in range(300):
            assert wire.answer().status == 404
        assert still_answers(wire)


def test_the_preface_of_http_2_is_refused(server) -> None:
    answer = ask(server, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert answer.status in (400, 404)


# ---- headers


def test_names_of_headers_have_no_case(server) -> None:
    data = message(body=b'{"Limit":1}')
    head, _, body = data.partition(b"\r\n\r\n")
    line, *lines = head.split(b"\r\n")
    for change in (bytes.lower, bytes.upper):
        named = [b": ".join((change(name), value)) for name, value in (one.split(b": ", 1) for one in lines)]
        assert ask(server, b"\r\n".join((line, *named, b"", body))).json() == NAMES


def test_blanks_around_values_are_ignored(server) -> None:
    headers = {"X-Amz-Target": None, "Content-Type": None}
    more = ("X-Amz-Target:DynamoDB_20120810.ListTables", "Content-Type: \t application/json \t")
    answer = ask(server, message(headers=headers, more=more))
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")


def test_of_a_repeated_header_the_last_counts(server) -> None:
    more = ("X-Amz-Target: DynamoDB_20120810.Nothing", "x-amz-target: DynamoDB_20120810.ListTables")
    assert ask(server, message("Nothing", more=more)).json() == NAMES


def test_headers_with_bytes_beyond_ascii_are_passed_over(server) -> None:
    assert ask(server, message(more=("X-Name: caf\xe9",))).status == 200


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"POST /\r\n\r\n",
        b"POST / HTTP/3.7\r\n\r\n",
        b"POST / HTTX/1.1\r\n\r\n",
        b"NOSUCH / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST / HTTP/1.1\r\n: nothing\r\n\r\n",
        b"POST / HTTP/1.1\r\nname : x\r\n\r\n",
        b"POST / HTTP/1.1\r\nname\x00: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nname: x\x00y\r\n\r\n",
        b"POST / HTTP/1.1\r\nname: x\r\n folded\r\n\r\n",
        b"POST / HTTP/1.1\rname: x\r\r",
        b"POST \x00 HTTP/1.1\r\n\r\n",
        b'{"not": "http"}\n',
    ],
)
def test_what_is_no_http_is_refused_and_ends_the_connection(server, data) -> None:
    with connected(server) as wire:
        answer = wire.ask(data)
        assert (answer.status, answer.headers["connection"]) == (400, "close")
        assert wire.is_ended()


def test_bare_line_feeds_are_refused_or_read_as_line_ends(server) -> None:
    assert ask(server, message().replace(b"\r\n", b"\n")).status in (200, 400)


def test_requests_before_garbage_are_answered(server) -> None:
    with connected(server) as wire:
        wire.send(message() * 30 + put("big", text={"S": "x" * 100_000}) + b"garbage\r\n\r\n" + message())
        for _ in range(31):
            assert wire.answer().status == 200
        assert wire.answer().status == 400
        assert wire.is_ended()


# ---- too long


@pytest.mark.parametrize("size", [17 << 10, 70 << 10, 1 << 20])
def test_too_long_a_request_line_is_refused(server, size) -> None:
    answer = told(server, message(line=f"POST /{'x' * size} HTTP/1.1"))
    assert (answer.status, answer.headers["connection"]) == (414, "close")


@pytest.mark.parametrize(
    "more",
    [
        ("X-Long: " + "x" * (70 << 10),),
        ("X-Long: " + "x" * (1 << 20),),
        tuple(f"X-{n}: {'x' * 100}" for n in range(700)),
        tuple(f"X-{n}: x" for n in range(100_000)),
    ],
)
def test_too_long_headers_are_refused(server, more) -> None:
    answer = told(server, message(more=more))
    assert (answer.status, answer.headers["connection"]) == (431, "close")


def test_long_headers_within_the_limit_are_read(server) -> None:
    with connected(server) as wire:
        for _ in range(3):
            assert wire.ask(message(more=("X-Long: " + "x" * (60 << 10),))).status == 200


def test_headers_of_one_request_are_not_counted_for_the_next(server) -> None:
    with connected(server) as wire:
        wire.send(message(more=("X-Long: " + "x" * (9 << 10),)) * 50)
        for _ in range(50):
            assert wire.answer().status == 200


@pytest.mark.parametrize("end", [b"0;" + b"x" * (200 << 10), b"0\r\nX-Trailer: " + b"x" * (200 << 10)])
def test_endless_extensions_and_trailers_are_refused(server, end) -> None:
    assert told(server, message(body=b"2\r\n{}\r\n" + end, headers=CHUNKED, length=False)).status == 431


def test_too_long_a_body_is_refused_and_the_answer_can_be_read(server) -> None:
    body = json.dumps({"x": "y" * (3 << 20)}).encode()
    answer = told(server, message(body=body))
    assert (answer.status, answer.headers["connection"]) == (413, "close")


def test_too_long_a_chunked_body_is_refused_and_the_answer_can_be_read(server) -> None:
    body = chunked(b"y" * (3 << 20), 50_000)
    assert told(server, message(body=body, headers=CHUNKED, length=False)).status == 413


def test_a_body_of_just_the_limit_is_read(server) -> None:
    body = b"{}" + b" " * ((1 << 20) - 2)
    assert ask(server, message(body=body)).status == 200
    assert ask(server, message(body=chunked(body, 50_000), headers=CHUNKED, length=False)).status == 200
    assert told(server, message(body=body + b" ")).status == 413
    assert told(server, message(body=chunked(body + b" ", 50_000), headers=CHUNKED, length=False)).status == 413


def test_a_body_in_a_million_chunks_is_read(server) -> None:
    body = b"{}" + b" " * 300_000
    before = server.resident_bytes()
    assert ask(server, message(body=chunked(body, 1), headers=CHUNKED, length=False)).status == 200
    assert server.resident_bytes() - before < 32 << 20
