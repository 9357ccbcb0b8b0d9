"""A real `lsm serve` for a test: its process, its address, and raw requests to it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import children

HUNG_SECONDS = children.HUNG_SECONDS
"""After which what has not come never will."""
PATIENT = ("--request-seconds", "10000", "--idle-seconds", "10000", "--stop-seconds", "10000")
"""For a server that is to end no connection because a client, or the server itself, was held up."""

HEADERS = {
    "Content-Type": "application/x-amz-json-1.0",
    "X-Amz-Date": "20260101T000000Z",
    "Authorization": (
        "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/dynamodb/aws4_request, "
        f"SignedHeaders=host;x-amz-date;x-amz-target, Signature={'0' * 64}"
    ),
}
CLIENT: dict[str, Any] = {
    "connect_timeout": HUNG_SECONDS,
    "read_timeout": HUNG_SECONDS,
    "retries": {"max_attempts": 0},
}
"""What a client of botocore is configured with."""


class Server:
    """A running server. address: http://127.0.0.1:PORT. program: what Python runs in the place of `lsm`."""

    def __init__(
        self, *arguments: str, seconds: float = HUNG_SECONDS, program: tuple[str, ...] = ("-m", "lsm")
    ) -> None:
        environment = {**children.environment(), "PYTHONUNBUFFERED": "1"}
        command = [sys.executable, *program, "serve", "--port", "0", *arguments]
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        self.errors: list[str] = []
        self._reading = threading.Thread(target=self._read_errors, daemon=True)
        self._reading.start()
        if " listening on " not in line:
            self.process.wait(seconds)
            self._reading.join(seconds)
            raise AssertionError(f"the server did not start: {line!r} {''.join(self.errors)}")
        self.address = line.rsplit(" ", 1)[1].strip()
        parts = urllib.parse.urlsplit(self.address)
        assert parts.hostname is not None
        assert parts.port is not None
        self.host, self.port = parts.hostname, parts.port

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.errors.append(line)

    @property
    def stderr(self) -> str:
        return "".join(self.errors)

    def call(self, operation: str, body: Any, **headers: str) -> tuple[int, dict[str, Any]]:
        """Status and parsed JSON of one request on a connection of its own; the CRC must be right."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=HUNG_SECONDS)
        with contextlib.closing(connection):
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            named = {**HEADERS, "X-Amz-Target": f"DynamoDB_20120810.{operation}", **headers}
            connection.request("POST", "/", data, named)
            answer = connection.getresponse()
            text = answer.read()
            assert int(answer.headers["x-amz-crc32"]) == zlib.crc32(text)
            return answer.status, json.loads(text)

    def get(self, path: str, host: str | None = None) -> tuple[int, str, str]:
        """Status, content type and text of a GET, by another address of this machine where one is given."""
        connection = http.client.HTTPConnection(host or self.host, self.port, timeout=HUNG_SECONDS)
        with contextlib.closing(connection):
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.headers.get("content-type", ""), answer.read().decode()

    def client(self, **settings: Any) -> Any:
        """A boto3 client."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "dynamodb",
            endpoint_url=self.address,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(**{**CLIENT, **settings.pop("config", {})}),
            **settings,
        )

    def socket(self) -> socket.socket:
        """A raw connection."""
        connection = socket.create_connection((self.host, self.port), timeout=HUNG_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def resident_bytes(self) -> int:
        """Of the server's process; Linux."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def stop(self, number: int = signal.SIGTERM, seconds: float = HUNG_SECONDS) -> int:
        """Sends the signal, once; the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(seconds)
        finally:
            self.kill()

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reading.join(HUNG_SECONDS)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


@contextlib.contextmanager
def served(*arguments: str, **settings: Any) -> Iterator[Server]:
    """A server, killed at the end where it has not ended."""
    server = Server(*(arguments or ("--in-memory",)), **settings)
    try:
        yield server
    finally:
        server.kill()


def raw_request(operation: str, body: bytes, *more: str) -> bytes:
    """The bytes of a POST."""
    head = [
        "POST / HTTP/1.1",
        "Host: localhost",
        *(f"{name}: {value}" for name, value in HEADERS.items()),
        f"X-Amz-Target: DynamoDB_20120810.{operation}",
        f"Content-Length: {len(body)}",
        *more,
    ]
    return "\r\n".join([*head, "", ""]).encode() + body


def until(condition: Any, seconds: float = HUNG_SECONDS) -> None:
    """Waits for it; AssertionError where it does not come."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.01)
