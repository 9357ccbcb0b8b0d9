"""Fixtures shared by all tests: databases that are closed when the test ends, however it ends."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from model import OPTION_SETS, TINY

import lsm
from lsm.scheduler import Scheduler

# What a shell may have left that changes what programs print, or where their requests go.
for left_over in (*(name for name in os.environ if name.lower().endswith("_proxy")), "COLUMNS", "LINES", "FORCE_COLOR"):
    os.environ.pop(left_over, None)

# A process may stand still for as long as the machine likes: no example is too slow.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


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
def never_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Level 0 stays as the test made it, also where the test stands still: nobody seems to have stopped writing."""
    monkeypatch.setattr(Scheduler, "_is_quiet", lambda self: False)


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
