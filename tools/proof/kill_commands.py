"""Kills in the middle of commands of `lsm`: `load`, and the offline tools. A new tool is one more entry of TOOLS.

Guarantees: what a killed command leaves is checked against what it may leave: a load a prefix of its records, every
other command the same contents, and a command that only reads the same bytes.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lsm
from lsm import cli
from proof.forks import Send, fork, spare_time

__all__ = ["TOOLS", "Loads", "Tool", "Tools"]

RECORDS = 3000
HUNG_SECONDS = 60.0


@dataclass(frozen=True)
class Tool:
    """A command, its arguments from (database, a path that does not exist), and whether it only reads the database."""

    name: str
    arguments: Callable[[str, str], list[str]]
    reads: bool = True


TOOLS = (
    Tool("compact", lambda path, new: ["compact", path], reads=False),
    Tool("dump", lambda path, new: ["dump", path, "-o", new + ".dump"]),
    Tool("verify", lambda path, new: ["verify", path]),
    Tool("repair", lambda path, new: ["repair", path, new]),
    Tool("stats", lambda path, new: ["stats", path]),
)


def command_known(name: str) -> bool:
    """Whether this `lsm` has the command."""
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            cli.parser().parse_args([name, "--help"])
    except SystemExit as end:
        return end.code == 0
    return False


def _command(arguments: list[str]) -> int:
    with (
        open(os.devnull, "w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        return cli.main(arguments)


def _killed_in(arguments: list[str], delay: float) -> bool:
    """Runs a command and kills it after a while; False where it had ended by then."""
    child = fork(lambda send: os._exit(_command(arguments)))
    time.sleep(delay)
    child.kill()
    for _ in child.messages():
        pass
    status = child.wait()
    assert status in (0, -9), f"{arguments} ended with status {status}"
    return status == -9


@dataclass
class Loads:
    """`lsm load` of one file after another into the same keyspace; each file gives every key a new value."""

    path: str
    rng: random.Random
    name: str = "lsm load"
    turn: int = 0
    expected: dict[bytes, bytes] = field(default_factory=dict)
    seconds: float = 0.05

    def kill(self, tally: Any) -> None:
        self.turn += 1
        file = f"{self.path}.jsonl"
        records = [(b"key %05d" % n, b"%d of load %d" % (n, self.turn)) for n in range(RECORDS)]
        lines = (json.dumps({"key": k.decode(), "value": v.decode()}) + "\n" for k, v in records)
        Path(file).write_text("".join(lines))
        begun = time.perf_counter()
        killed = _killed_in(["load", self.path, file], self.rng.random() * self.seconds)
        if not killed:
            self.seconds = (self.seconds + time.perf_counter() - begun) / 2  # aim at what it takes
        else:
            self.seconds *= 1.05
            tally.kills += 1
            tally.by_world[self.name] += 1
        found: dict[bytes, bytes] = fork(self._read).answer()
        for n in range(RECORDS + 1):
            if n:
                self.expected.update([records[n - 1]])
            if found == self.expected:
                assert killed or n == RECORDS, f"a load that ended left {n} of {RECORDS} records"
                return
        raise AssertionError(f"load {self.turn} left {len(found)} records that are no prefix of its file")

    def _read(self, send: Send) -> None:
        spare_time(HUNG_SECONDS)
        if not os.path.exists(self.path):
            return send({})
        with lsm.open(self.path) as db:
            send(dict(db.keyspace("default").scan()) if "default" in db.keyspaces() else {})


@dataclass
class Tools:
    """Every offline tool in turn, on one database whose contents no tool may change."""

    path: str
    rng: random.Random
    name: str = "tools"
    tools: tuple[Tool, ...] = ()
    expected: Any = None
    seconds: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tools = tuple(tool for tool in TOOLS if command_known(tool.name))
        fork(self._make).answer()
        self.expected = fork(self._read).answer()

    def _make(self, send: Send) -> None:
        options: dict[str, Any] = {"memtable_bytes": 16384, "table_bytes": 32768, "block_bytes": 512}
        with lsm.open(self.path, compression="lz4", flush_on_close_bytes=1 << 30, **options) as db:
            keyspace = db.keyspace("plain", partitions=2)
            for n in range(6000):
                keyspace.put(b"key %d" % (n % 3500), b"value %d" % n * 4)
            db.keyspace("pairs", composite=True).put_many([((b"a", b"%d" % n), b"x") for n in range(500)])
        send(None)

    def _read(self, send: Send) -> None:
        spare_time(HUNG_SECONDS)
        with lsm.open(self.path) as db:
            send({name: list(db.keyspace(name).scan()) for name in db.keyspaces()})

    def kill(self, tally: Any) -> None:
        tool = self.rng.choice(self.tools)
        new = f"{self.path}.new"
        before = self._bytes()
        begun = time.perf_counter()
        killed = _killed_in(tool.arguments(self.path, new), self.rng.random() * self.seconds.get(tool.name, 0.05))
        if killed:
            self.seconds[tool.name] = self.seconds.get(tool.name, 0.05) * 1.05
            tally.kills += 1
            tally.by_world[f"lsm {tool.name}"] += 1
        else:
            self.seconds[tool.name] = (self.seconds.get(tool.name, 0.05) + time.perf_counter() - begun) / 2
        if tool.reads:
            assert self._bytes() == before, f"lsm {tool.name} only reads, and changed the directory"
        self._check_new(new)
        assert fork(self._read).answer() == self.expected, f"lsm {tool.name} changed the contents"

    def _bytes(self) -> dict[str, bytes]:
        """All files but the lock, into which every holder writes its name."""
        return {p.name: p.read_bytes() for p in sorted(Path(self.path).iterdir()) if p.name != "LOCK"}

    def _check_new(self, new: str) -> None:
        """A dump that stands under its name is whole."""
        dump = f"{new}.dump"
        if os.path.exists(dump):
            copy = f"{new}.copy"
            status = fork(lambda send: send(_command(["load", copy, dump]))).answer()
            assert status == 0, "a dump under its final name is not whole"
            shutil.rmtree(copy)
            os.unlink(dump)
        for half in Path(self.path).parent.glob(Path(new).name + "*"):
            shutil.rmtree(half) if half.is_dir() else half.unlink()
