"""`python -m bench.server.floors`: requests a second, CPU time and idle memory of servers that answer one thing.

Needs orjson, httptools, uvloop, granian and uvicorn; those that do not start are left out.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from bench.report import figure, table
from bench.server.engines import ROOT, Engine
from bench.server.load import compile_client, run_client
from bench.server.operations import OPERATIONS
from bench.server.processes import cpu_seconds, resident_bytes
from bench.server.serving import ServerFailedError, serving
from bench.server.wire import write_requests

CONNECTIONS = (1, 8, 64)
PROTOCOL = [sys.executable, "-m", "bench.server.floors.protocol"]
GRANIAN = [
    "--interface",
    "rsgi",
    "--workers",
    "1",
    "--loop",
    "uvloop",
    "--http",
    "1",
    "--no-ws",
    "--log-level",
    "error",
]
UVICORN = ["--loop", "uvloop", "--http", "httptools", "--no-access-log"]
SERVERS = {
    "asyncio.Protocol, httptools": lambda port: [*PROTOCOL, "asyncio", port],
    "uvloop, Protocol, httptools": lambda port: [*PROTOCOL, "uvloop", port],
    "granian, RSGI": lambda port: [
        sys.executable, "-m", "granian", *GRANIAN, "--port", port, "bench.server.floors.rsgi:app"
    ],
    "uvicorn, ASGI": lambda port: [
        sys.executable, "-m", "uvicorn", *UVICORN, "--port", port, "bench.server.floors.asgi:app"
    ],
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser("python -m bench.server.floors", description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, metavar="S", help="of load in a cell (2)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="medians over so many (3)")
    parser.add_argument("--one-processor", action="store_true", help="servers and client share one")
    options = parser.parse_args()
    if options.one_processor:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    os.environ["PYTHONPATH"] = str(ROOT)
    samples: defaultdict[str, list[list[float]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as scratch:
        client, requests = compile_client(Path(scratch)), Path(scratch) / "requests"
        write_requests(requests, OPERATIONS["get"].requests(10_000))
        for _ in range(options.rounds):
            for name in SERVERS:
                try:
                    samples[name].append(_measure(name, client, requests, options.seconds))
                except ServerFailedError as error:
                    print(f"left out: {error}", file=sys.stderr)
    print(_report(samples))


def _measure(name: str, client: Path, requests: Path, seconds: float) -> list[float]:
    """Requests a second and microseconds of CPU for each number of connections, and megabytes before."""
    figures = []
    with serving(Engine(name, "nothing", lambda port, directory: SERVERS[name](str(port)))) as server:
        idle = resident_bytes(server.pid) / 1e6
        for connections in CONNECTIONS:
            run_client(client, server.port, connections, 0.3, requests)
            before = cpu_seconds(server.pid)
            load = run_client(client, server.port, connections, seconds, requests)
            if load.fault():
                raise ServerFailedError(f"{name}: {load.fault()}")
            figures += [load.rate, (cpu_seconds(server.pid) - before) / load.answers * 1e6]
    return [*figures, idle]


def _report(samples: dict[str, list[list[float]]]) -> str:
    lines = [
        [name, *(figure(statistics.median(column)) for column in zip(*rounds, strict=True))]
        for name, rounds in samples.items()
        if rounds
    ]
    header = [f"{what}, {connections}" for connections in CONNECTIONS for what in ("requests/s", "CPU us")]
    return table(["", *header, "idle MB"], lines)


if __name__ == "__main__":
    main()
