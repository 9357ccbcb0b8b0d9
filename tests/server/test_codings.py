"""Content codings: of requests, as their header says; of answers, as the client prefers."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator

import pytest

from server.serving import Server, served
from server.wire import TABLE, ask, chunked, connected, get, message, put

BODY = b'{"Limit": 5}'
NAMES = {"TableNames": ["Things"]}
UNREADABLE = {"__type": "com.amazon.coral.service#SerializationException"}


def gzipped(data: bytes, level: int = 9) -> bytes:
    """Without the time of day, so that a test has one name in every worker."""
    return gzip.compress(data, level, mtime=0)


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with served("--in-memory", "--threads", "2") as running:
        assert running.call("CreateTable", TABLE)[0] == 200
        assert ask(running, put("long", s={"S": "long " * 20_000})).status == 200
        yield running
        assert running.stderr == ""


# ---- requests


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzipped(BODY)),
        ("x-gzip", gzipped(BODY)),
        ("GZIP", gzipped(BODY)),
        ("gzip", gzipped(BODY[:5]) + gzipped(b"") + gzipped(BODY[5:])),
        ("deflate", zlib.compress(BODY)),
        ("deflate", raw_deflate(BODY)),
        ("identity", BODY),
        ("", BODY),
        ("deflate, gzip", gzipped(zlib.compress(BODY))),
        ("gzip, gzip", gzipped(gzipped(BODY))),
    ],
)
def test_a_coded_body_is_read(server, coding, body) -> None:
    answer = ask(server, message(body=body, headers={"Content-Encoding": coding}))
    assert (answer.status, answer.json()) == (200, NAMES)


def test_codings_in_two_lines_count_as_one_list(server) -> None:
    body = gzipped(zlib.compress(BODY))
    assert ask(server, message(body=body, more=("Content-Encoding: deflate", "content-encoding: gzip"))).status == 200


def test_a_coded_body_may_come_in_chunks(server) -> None:
    headers = {"Content-Encoding": "gzip", "Transfer-Encoding": "chunked", "Content-Length": None}
    assert ask(server, message(body=chunked(gzipped(BODY)), headers=headers)).json() == NAMES


def test_a_coded_item_comes_back(server) -> None:
    data = put("coded", s={"S": "x" * 300_000})
    body = data.partition(b"\r\n\r\n")[2]
    with connected(server) as wire:
        answer = wire.ask(message("PutItem", gzipped(body), {"Content-Encoding": "gzip"}))
        assert answer.status == 200
        assert wire.ask(get("coded")).json()["Item"]["s"] == {"S": "x" * 300_000}


WHOLE = gzipped(BODY)


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", BODY),
        ("gzip", WHOLE[:-1]),
        ("gzip", WHOLE[:-9]),
        ("gzip", WHOLE[:10]),
        ("gzip", WHOLE[:2]),
        ("gzip", WHOLE[:-5] + b"x" + WHOLE[-4:]),
        ("gzip", WHOLE + b"garbage"),
        ("gzip", WHOLE + WHOLE[:12]),
        ("gzip", zlib.compress(BODY)),
        ("deflate", BODY),
        ("deflate", zlib.compress(BODY)[:-1]),
        ("deflate", zlib.compress(BODY) + b"garbage"),
        ("deflate", raw_deflate(BODY)[:-1]),
        ("deflate", gzipped(BODY)),
        ("gzip", gzipped(b"") * 50_000),
        ("gzip, deflate", WHOLE),
        (", ".join(["gzip"] * 5), gzipped(gzipped(gzipped(gzipped(WHOLE))))),
        (", ".join(["gzip"] * 5000), WHOLE),
        ("br", BODY),
        ("zstd", BODY),
        ("compress", BODY),
        ("gzip;q=1", WHOLE),
    ],
)
def test_a_body_that_is_not_what_its_coding_says_cannot_be_read(server, coding, body) -> None:
    answer = ask(server, message(body=body, headers={"Content-Encoding": coding}))
    assert (answer.status, answer.json()) == (400, UNREADABLE)


def test_a_body_that_is_too_long_once_decoded_is_refused(server) -> None:
    with connected(server) as wire:
        for body in (gzipped(b" " * ((16 << 20) + 1), 1), gzipped(gzipped(b" " * (1 << 26), 1))):
            coding = "gzip, gzip" if len(body) < 10_000 else "gzip"
            assert wire.ask(message(body=body, headers={"Content-Encoding": coding})).status == 413
        assert wire.ask(message()).status == 200


def test_a_body_of_just_the_limit_once_decoded_is_read(server) -> None:
    body = gzipped(b"{}" + b" " * ((16 << 20) - 2), 1)
    assert ask(server, message(body=body, headers={"Content-Encoding": "gzip"})).status == 200


def test_bombs_cost_no_memory_beyond_the_threads(server) -> None:
    bomb = message(body=gzipped(b" " * (1 << 26), 1), headers={"Content-Encoding": "gzip"})
    before = server.resident_bytes()
    with connected(server) as one, connected(server) as two:
        for _ in range(4):
            one.send(bomb)
            two.send(bomb)
        for _ in range(4):
            assert one.answer().status == 413
            assert two.answer().status == 413
    # two threads with 16 MB each, and twice that while it is joined
    assert server.resident_bytes() - before < 96 << 20


# ---- answers

DECODERS: dict[str | None, Callable[[bytes], bytes]] = {
    None: bytes,
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
}


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip", "gzip"),
        ("x-gzip", "gzip"),
        ("deflate", "deflate"),
        ("gzip, deflate", "gzip"),
        ("deflate, gzip", "gzip"),
        ("GZip", "gzip"),
        ("gzip;q=0.5, deflate;q=0.8", "deflate"),
        ("gzip ; q=0.8 , deflate; q=0.5", "gzip"),
        ("gzip;q=0, deflate", "deflate"),
        ("gzip;q=0", None),
        ("gzip;q=0.000", None),
        ("identity", None),
        ("identity;q=1, gzip;q=0.5", None),
        ("identity;q=0.5, gzip;q=1", "gzip"),
        ("identity;q=0", None),
        ("identity;q=0, gzip", "gzip"),
        ("*", "gzip"),
        ("*;q=0", None),
        ("*;q=0.1", "gzip"),
        ("gzip;q=0, *", "deflate"),
        ("br", None),
        ("br, zstd, gzip;q=0.001", "gzip"),
        ("br;q=1, *;q=0", None),
        ("", None),
        (",,gzip,,", "gzip"),
        ("gzip;q=x", None),
        ("gzip;q=", None),
        ("gzip;level=9", "gzip"),
        ("gzip;q=nan", None),
    ],
)
def test_a_long_answer_has_the_coding_that_the_client_prefers(server, accepted, coding) -> None:
    # Wire checks that the CRC32 is that of the bytes as sent
    with connected(server) as wire:
        plain = wire.ask(get("long"))
        answer = wire.ask(get("long").replace(b"\r\n", b"\r\nAccept-Encoding: %b\r\n" % accepted.encode(), 1))
    assert answer.headers.get("content-encoding") == coding
    assert answer.headers["vary"] == "Accept-Encoding"
    assert DECODERS[coding](answer.body) == plain.body
    assert "content-encoding" not in plain.headers


def test_several_lines_of_accepted_codings_count_as_one(server) -> None:
    data = get("long").replace(b"\r\n", b"\r\nAccept-Encoding: gzip;q=0.1\r\nAccept-Encoding: deflate\r\n", 1)
    assert ask(server, data).headers["content-encoding"] == "deflate"


def test_a_short_answer_is_not_coded(server) -> None:
    answer = ask(server, message(headers={"Accept-Encoding": "gzip"}))
    assert "content-encoding" not in answer.headers
    assert answer.json() == NAMES


@pytest.mark.parametrize("accepted", ["identity;q=0, gzip", "*;q=0, gzip", "gzip, *;q=0"])
def test_a_short_answer_is_coded_where_the_client_refuses_it_plain(server, accepted) -> None:
    answer = ask(server, message(headers={"Accept-Encoding": accepted}))
    assert answer.headers["content-encoding"] == "gzip"
    assert gzip.decompress(answer.body) == b'{"TableNames":["Things"]}'


def test_errors_are_coded_as_answers_are(server) -> None:
    name = "x" * 2000
    data = message("GetItem", {"TableName": name, "Key": {}}, {"Accept-Encoding": "gzip"})
    answer = ask(server, data)
    assert answer.status == 400
    assert answer.headers["content-encoding"] == "gzip"
    assert b"ValidationException" in gzip.decompress(answer.body)


def test_an_endless_list_of_codings_is_read_in_passing(server) -> None:
    accepted = ",".join(f"c{n};q=0.{n}" for n in range(4000)) + ",gzip"
    assert (
        ask(server, get("long").replace(b"\r\n", b"\r\nAccept-Encoding: %b\r\n" % accepted.encode(), 1)).status == 200
    )
