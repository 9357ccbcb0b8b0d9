"""Fixtures of the DynamoDB tests: a service in memory, and one table of each shape."""

from __future__ import annotations

import pytest
from server.surroundings import undisturbed

from dynamodb.asking import Asker, index
from lsm.dynamodb import connect


@pytest.fixture(scope="module", autouse=True)
def surroundings(tmp_path_factory):
    """Without what the account that runs the tests has set for AWS."""
    with undisturbed(tmp_path_factory.mktemp("home")):
        yield


@pytest.fixture
def ask():
    """A service in memory."""
    with connect(":memory:") as connection:
        yield Asker(connection.service)


@pytest.fixture
def table(ask):
    """Table `items`: pk S, sk N; global index `by-group` (group, sk), local index `by-title` (pk, title)."""
    ask.create(
        "items",
        "pk sk",
        "pk:S sk:N group:S title:S",
        GlobalSecondaryIndexes=[index("by-group", "group sk", "KEYS_ONLY")],
        LocalSecondaryIndexes=[index("by-title", "pk title", "INCLUDE", NonKeyAttributes=["x"])],
    )
    return ask


@pytest.fixture
def hashes(ask):
    """Table `hashes`: pk S alone."""
    ask.create("hashes", "pk", "pk:S")
    return ask


@pytest.fixture(scope="module", params=["in-process", "http"])
def world(request):
    """One database for the tests of a module, behind boto3 without its own validation; see behaviours.py."""
    from dynamodb.behaviours import make_tables, make_world

    if request.param == "in-process":
        made = make_world()
        yield made
        made.session.lsm.close()
        return
    pytest.importorskip("httptools")
    from server.served_world import ServedWorld
    from server.serving import served

    with served("--in-memory", "--idle-seconds", "100000") as server:
        world = ServedWorld(server)
        make_tables(world)
        yield world
        world.close()
        assert server.stop() == 0
        assert server.stderr == ""
