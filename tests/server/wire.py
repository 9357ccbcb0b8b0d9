"""Bytes to a server and answers from it, with nothing between: what a client library would not send or not show."""

from __future__ import annotations

import contextlib
import fcntl
import json
import socket
import struct
import sys
import termios
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from server.serving import HEADERS, HUNG_SECONDS, Server, until

TARGET = "DynamoDB_20120810."
LINGERS = 2.0
"""Seconds for which a server certainly reads on behind its last answer."""
TABLE = {
    "TableName": "Things",
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}


@dataclass
class Answer:
    """One HTTP answer; headers by name in lower case, body as sent."""

    status: int
    headers: dict[str, str]
    body: bytes
    version: str = "HTTP/1.1"

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """Of an error: what stands behind the prefix."""
        return str(self.json()["__type"]).partition("#")[2]

    @property
    def text(self) -> str | None:
        """Of an error, under either name."""
        body = self.json()
        text: str | None = body.get("Message", body.get("message"))
        return text


class Closed(Exception):
    """The server ended the connection where an answer was due."""


def _unacknowledged(connection: socket.socket) -> int:
    """Bytes that were sent and have not reached the other side."""
    found: int = struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)))[0]
    return found


class Wire:
    """A connection. `answer` reads exactly one answer. window: bytes that the client's side takes without reading."""

    def __init__(self, server: Server, seconds: float = HUNG_SECONDS, window: int = 0) -> None:
        self._server = server
        self.socket = socket.socket()
        self.socket.settimeout(seconds)
        if window:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        try:
            self.socket.connect((server.host, server.port))
        except OSError:
            self.socket.close()
            raise
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def _more(self) -> None:
        data = self.socket.recv(1 << 16)
        if not data:
            raise Closed
        self._received += data

    def answer(self, *, head_only: bool = False) -> Answer:
        while b"\r\n\r\n" not in self._received:
            self._more()
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        version, status = first.split(" ")[:2]
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        size = 0 if head_only or status == "100" else int(headers["content-length"])
        while len(self._received) < size:
            self._more()
        body, self._received = self._received[:size], self._received[size:]
        if status != "100" and not head_only:
            assert int(headers["x-amz-crc32"]) == zlib.crc32(body)
        return Answer(int(status), headers, body, version)

    def ask(self, data: bytes) -> Answer:
        self.send(data)
        return self.answer()

    def see_it_arrive(self) -> None:
        """Returns when what was sent is acknowledged by the other side's kernel: it lies in the server's socket."""
        if sys.platform == "linux":
            until(lambda: _unacknowledged(self.socket) == 0)

    def send_and_see_it_read(self, data: bytes) -> None:
        """Returns when the server has read it: when it has answered others who came later."""
        self.send(data)
        self.see_it_arrive()
        assert ask(self._server, b"GET / HTTP/1.1\r\n\r\n").status == 200

    def is_ended(self) -> bool:
        """Whether nothing follows but the end."""
        with contextlib.suppress(ConnectionResetError):
            self._received += self.socket.recv(1 << 16)
        return not self._received

    def reset(self) -> None:
        """Ends it without the usual goodbye."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        self.socket.close()


@contextlib.contextmanager
def connected(server: Server, seconds: float = HUNG_SECONDS) -> Iterator[Wire]:
    wire = Wire(server, seconds)
    try:
        yield wire
    finally:
        wire.close()


def message(
    operation: str = "ListTables",
    body: bytes | Any = b"{}",
    headers: Mapping[str, str | None] | None = None,
    *,
    line: str = "POST / HTTP/1.1",
    more: tuple[str, ...] = (),
    length: bool = True,
) -> bytes:
    """A request. headers: replace those of a usual one; None leaves one out."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    named: dict[str, str | None] = {"Host": "localhost", **HEADERS, "X-Amz-Target": TARGET + operation}
    if length:
        named["Content-Length"] = str(len(data))
    lines = [line, *(f"{name}: {value}" for name, value in {**named, **(headers or {})}.items() if value is not None)]
    return "\r\n".join([*lines, *more, "", ""]).encode("latin-1") + data


def chunked(body: bytes, size: int = 7, extension: bytes = b"", trailers: bytes = b"") -> bytes:
    """A body in chunks."""
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    chunks = b"".join(b"%x%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces)
    return chunks + b"0" + extension + b"\r\n" + trailers + b"\r\n"


def ask(server: Server, data: bytes) -> Answer:
    """One request on a connection of its own."""
    with connected(server) as wire:
        return wire.ask(data)


def put(key: str, **attributes: Any) -> bytes:
    return message("PutItem", {"TableName": "Things", "Item": {"id": {"S": key}, **attributes}})


def get(key: str) -> bytes:
    return message("GetItem", {"TableName": "Things", "Key": {"id": {"S": key}}})


def told(
    server: Server, data: bytes, connect: Callable[[Server], Any] = connected, *, and_ended: bool = True
) -> Answer:
    """The answer to more than a server takes, with which it ends the connection.

    It reads and drops what follows for a few seconds: where this process was held up for as long while it sent, the
    server has gone, and that says nothing. Then it is sent again.
    """
    while True:
        began = time.monotonic()
        try:
            with connect(server) as wire:
                answer: Answer = wire.ask(data)
                assert not and_ended or wire.is_ended()
                return answer
        except TimeoutError:
            raise
        except OSError:
            if time.monotonic() - began < LINGERS:
                raise
