"""Fixtures of the server's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from server.surroundings import undisturbed


@pytest.fixture(scope="module", autouse=True)
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Without what the account that runs the tests has set for AWS."""
    with undisturbed(tmp_path_factory.mktemp("home")):
        yield
