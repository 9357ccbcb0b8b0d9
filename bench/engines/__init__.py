"""The engines by name. One is imported only when it is opened, so that a process holds no other engine's memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench.engines.protocol import Engine, Feature

OURS = "lsm"


class MissingEngineError(Exception):
    """The engine's package is not installed; the message names the command that installs it."""


@dataclass(frozen=True)
class EngineInfo:
    """What is known of an engine without importing it."""

    name: str
    title: str
    module: str  # under bench.engines
    adapter: str  # the class in it
    distribution: str | None  # what has to be installed
    features: frozenset[Feature]
    record_limit: int = 1 << 62  # run beyond it only when the engine is asked for by name

    @property
    def remedy(self) -> str:
        if self.name == OURS:
            return "pip install -e ."
        return "pip install '.[peers]'"

    def version(self) -> str:
        if self.name == "sqlite":
            return sqlite3.sqlite_version
        try:
            return version(self.distribution) if self.distribution else ""
        except PackageNotFoundError:
            return "(built in place)"

    def load(self) -> Callable[[Path], Engine]:
        """The adapter, which creates or reopens a database in the directory it is given; raises MissingEngineError."""
        try:
            adapter: Callable[[Path], Engine] = getattr(import_module(f"bench.engines.{self.module}"), self.adapter)
        except ImportError as error:
            raise MissingEngineError(f"{self.title} cannot be imported ({error}): {self.remedy}") from error
        return adapter

    def open(self, path: Path) -> Engine:
        return self.load()(path)


EVERYTHING = frozenset(Feature)

ENGINES = {
    info.name: info
    for info in (
        EngineInfo(OURS, "lsm", "ours", "Lsm", "lsm-store", EVERYTHING),
        EngineInfo("leveldb", "LevelDB", "leveldb", "LevelDB", "plyvel", EVERYTHING),
        EngineInfo("rocksdb", "RocksDB", "rocksdb", "RocksDB", "rocksdict", EVERYTHING),
        EngineInfo("lmdb", "LMDB", "lmdb", "Lmdb", "lmdb", EVERYTHING),
        EngineInfo("sqlite", "SQLite", "sqlite", "SQLite", None, EVERYTHING, record_limit=200_000),
        EngineInfo("dict", "dict", "dictionary", "Dictionary", None, frozenset(), record_limit=200_000),
    )
}
