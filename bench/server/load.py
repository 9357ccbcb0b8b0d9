"""The client (client.c): compiled when it is needed, run as a process of its own, its figures read back."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_name("client.c")
OPTIONS = ("-O2", "-std=gnu11", "-Wall", "-Wextra")
LATE_SECONDS = 30.0  # beyond what the client itself allows for what is in flight


class NoClientError(Exception):
    """The client could not be compiled or run; the message says why."""


@dataclass(frozen=True)
class Load:
    """What one run of the client saw; latencies in microseconds, bodies in bytes.

    answers: all that came; in_time: those before the time was over. dropped: requests whose connection the server
    closed, or that it never answered. excerpt: from the first body that did not come with 200.
    """

    seconds: float
    answers: int
    in_time: int
    dropped: int
    reconnects: int
    p50: float
    p90: float
    p99: float
    most: float
    body_bytes: int
    body_least: int
    body_most: int
    statuses: dict[str, int]
    excerpt: str

    @property
    def rate(self) -> float:
        """Answers in a second."""
        return self.in_time / self.seconds

    def fault(self) -> str | None:
        """Why these figures are worth nothing, if they are: any answer but 200, any request without an answer."""
        wrong = [f"{count:,} x {status}" for status, count in self.statuses.items() if status != "200"]
        if self.dropped:
            wrong.append(f"{self.dropped:,} x no answer")
        if not self.answers:
            wrong.append("no answers")
        return ", ".join(wrong) + (f": {self.excerpt[:160]}" if self.excerpt else "") if wrong else None


def compile_client(directory: Path) -> Path:
    """The compiled client, in this directory. Raises NoClientError."""
    compiler = shlex.split(os.environ.get("CC", "cc"))
    if shutil.which(compiler[0]) is None:
        raise NoClientError(f"the client needs a C compiler; there is no {compiler[0]} (set CC, or apt install gcc)")
    program = directory / "client"
    command = [*compiler, *OPTIONS, "-o", str(program), str(SOURCE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoClientError(f"{shlex.join(command)} failed:\n{done.stderr}")
    return program


def run_client(program: Path, port: int, connections: int, seconds: float, requests: Path) -> Load:
    """Sends the requests of a file, over and over. Raises NoClientError where it cannot even connect."""
    command = [str(program), str(port), str(connections), str(seconds), str(requests)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + LATE_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise NoClientError("the client does not come to an end") from error
    if done.returncode:
        raise NoClientError(done.stderr.strip() or f"the client ended with status {done.returncode}")
    return Load(**json.loads(done.stdout))
