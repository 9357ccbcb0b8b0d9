"""The operations of DynamoDB over HTTP, one request after the other, under pytest-benchmark."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Iterator
from itertools import cycle
from typing import Any

import pytest

from bench.server.engines import ENGINES, MissingEngineError
from bench.server.operations import OPERATIONS, Operation
from bench.server.serving import serving
from bench.server.wire import Caller, create_and_load

COUNT = 1_000


@pytest.fixture(scope="module", params=list(ENGINES))
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    """Every server in turn, with items; skipped where it is not installed."""
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(serving(ENGINES[request.param]))
        except MissingEngineError as error:
            pytest.skip(str(error))
        with contextlib.closing(Caller(server.port)) as call:
            create_and_load(call, COUNT)
        yield server.port


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=lambda operation: operation.name)
def test_request(benchmark: Any, port: int, operation: Operation) -> None:
    benchmark.group = operation.title
    headers = dict(line.split(": ", 1) for line in _head(operation).splitlines()[1:])
    bodies = cycle([request.partition(b"\r\n\r\n")[2] for request in operation.requests(COUNT)])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def call() -> int:
        body = next(bodies)
        connection.request("POST", "/", body, {**headers, "Content-Length": str(len(body))})
        response = connection.getresponse()
        response.read()
        return response.status

    with contextlib.closing(connection):
        if call() == 400:
            pytest.skip("the server has no such operation")
        assert benchmark(call) == 200


def _head(operation: Operation) -> str:
    return operation.requests(COUNT)[0].partition(b"\r\n\r\n")[0].decode()
