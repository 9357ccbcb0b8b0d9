"""Requests as bytes, and a caller that sends single ones and reads what comes back.

The bytes are those of an SDK: signed in form, with a signature that nobody checks. They are the same for all servers.
"""

from __future__ import annotations

import http.client
import json
import struct
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.server.items import TABLE, TABLE_REQUEST, Item, item

BATCH = 25
ACTIVE_SECONDS = 30.0
IDLE_SECONDS = 1.0
HEADERS = {
    "Host": "localhost",
    "Accept-Encoding": "identity",
    "User-Agent": "Boto3/1.35 md/Botocore#1.35 lang/python#3.11",
    "Content-Type": "application/x-amz-json-1.0",
    "X-Amz-Date": "20260101T000000Z",
    "Authorization": (
        "AWS4-HMAC-SHA256 Credential=bench/20260101/us-east-1/dynamodb/aws4_request, "
        f"SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature={'0' * 64}"
    ),
}


class WrongAnswerError(Exception):
    """A server said something other than DynamoDB would; the message quotes it."""


def request_bytes(target: str, body: dict[str, Any]) -> bytes:
    payload = json.dumps(body, separators=(",", ":")).encode()
    headers = {**HEADERS, "X-Amz-Target": f"DynamoDB_20120810.{target}", "Content-Length": str(len(payload))}
    lines = ["POST / HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode() + payload


def write_requests(path: Path, requests: Iterable[bytes]) -> None:
    """The file that the client reads."""
    path.write_bytes(b"".join(struct.pack("<I", len(request)) + request for request in requests))


class Caller:
    """Sends requests one at a time, on a new connection where the last one may have been idle for too long."""

    def __init__(self, port: int, timeout: float = 60.0) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
        self._used = time.monotonic()

    def __call__(self, target: str, body: dict[str, Any]) -> dict[str, Any]:
        """The answer to a request. Raises WrongAnswerError for any but 200 with JSON whose CRC, if given, is right."""
        status, answer = self.send(target, body)
        if status != 200:
            raise WrongAnswerError(f"{target} was answered with {status}: {str(answer)[:300]}")
        return answer

    def send(self, target: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and body of an answer, whichever."""
        payload = json.dumps(body, separators=(",", ":")).encode()
        headers = {**HEADERS, "X-Amz-Target": f"DynamoDB_20120810.{target}"}
        if time.monotonic() - self._used > IDLE_SECONDS:
            self._connection.close()
        try:
            self._connection.request("POST", "/", payload, headers)
            response = self._connection.getresponse()
            content = response.read()
            self._used = time.monotonic()
        except http.client.HTTPException as error:
            raise WrongAnswerError(f"{target} was answered with what is no HTTP: {error}") from error
        sum_given = response.getheader("x-amz-crc32")
        if sum_given is not None and int(sum_given) != zlib.crc32(content):
            raise WrongAnswerError(f"{target} was answered with a wrong x-amz-crc32")
        try:
            answer = json.loads(content)
        except ValueError as error:
            raise WrongAnswerError(f"{target} was answered with what is no JSON: {content[:300]!r}") from error
        return response.status, answer

    def close(self) -> None:
        self._connection.close()


@contextmanager
def members_expected(target: str) -> Iterator[None]:
    """Raises WrongAnswerError where what an answer lacks, or has another type than it should, stops the code inside."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise WrongAnswerError(f"{target}: the answer is not of its form ({type(error).__name__}: {error})") from error


def create_and_load(call: Caller, count: int) -> None:
    """The table with `count` items."""
    call("CreateTable", TABLE_REQUEST)
    with members_expected("DescribeTable"):
        _await_table(call)
    for begin in range(0, count, BATCH):
        puts = [{"PutRequest": {"Item": item(number)}} for number in range(begin, min(begin + BATCH, count))]
        left = call("BatchWriteItem", {"RequestItems": {TABLE: puts}}).get("UnprocessedItems")
        if left:
            raise WrongAnswerError(f"BatchWriteItem left items: {str(left)[:300]}")


def _await_table(call: Caller) -> None:
    begun = time.monotonic()
    while call("DescribeTable", {"TableName": TABLE})["Table"]["TableStatus"] != "ACTIVE":
        if time.monotonic() - begun > ACTIVE_SECONDS:
            raise WrongAnswerError("the table does not become ACTIVE")
        time.sleep(0.05)


def counted(call: Caller) -> tuple[int, int]:
    """How many items the table has, and the sum of their counters."""
    request: Item = {"TableName": TABLE, "ProjectionExpression": "#c", "ExpressionAttributeNames": {"#c": "count"}}
    items = total = 0
    while True:
        answer = call("Scan", request)
        with members_expected("Scan"):
            items += len(answer["Items"])
            total += sum(int(one["count"]["N"]) for one in answer["Items"])
        if not answer.get("LastEvaluatedKey"):
            return items, total
        request = {**request, "ExclusiveStartKey": answer["LastEvaluatedKey"]}
