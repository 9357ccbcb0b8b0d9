"""Fixtures shared by all tests: databases that are closed when the test ends, however it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from model import OPTION_SETS, TINY

import lsm


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database of this test lies; nothing is there yet."""
    return tmp_path / "data"


@pytest.fixture
def open_db(path: Path) -> Iterator[Callable[..., Any]]:
    """Opens a database, by default at `path`; it is closed when the test ends."""
    opened = []

    def opener(where: Path | str | None = None, **options: Any) -> Any:
        database = lsm.open(path if where is None else where, **options)
        opened.append(database)
        return database

    yield opener
    for database in reversed(opened):
        database.close()


@pytest.fixture
def db(open_db: Callable[..., Any]) -> Any:
    """A database with the default options."""
    return open_db()


@pytest.fixture
def tiny(open_db: Callable[..., Any]) -> Any:
    """A database so small that a few hundred records freeze memtables, flush and compact."""
    return open_db(**TINY)


@pytest.fixture(params=["default", "tiny", "memory-tiny"])
def any_db(request: pytest.FixtureRequest, open_db: Callable[..., Any]) -> Any:
    """A database on disk with default and with tiny options, and a tiny one in memory."""
    options = TINY if request.param.endswith("tiny") else {}
    return open_db(":memory:" if request.param.startswith("memory") else None, **options)


@pytest.fixture(params=list(OPTION_SETS))
def options(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Every option set of the model tests."""
    return OPTION_SETS[request.param]
