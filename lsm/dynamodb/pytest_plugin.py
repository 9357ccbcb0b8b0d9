"""Fixtures for tests of code that uses DynamoDB: an empty database each, in milliseconds.

dynamodb: a boto3 client. dynamodb_resource: a boto3 resource. dynamodb_client: the client without boto3.
dynamodb_on_disk: a boto3 client on a database in a directory of its own. dynamodb_everywhere: every dynamodb client of
boto3 or botocore that the code under test makes is answered by the test's own database. dynamodb_connection is the
database behind all but dynamodb_on_disk. Imports of this package wait until a fixture is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from lsm.dynamodb import Client, Connection


@pytest.fixture
def dynamodb_connection() -> Iterator[Connection]:
    """An empty database in memory."""
    from lsm.dynamodb import connect

    with connect(":memory:") as connection:
        yield connection


@pytest.fixture
def dynamodb_client(dynamodb_connection: Connection) -> Client:
    """The client that needs no boto3."""
    return dynamodb_connection.client()


def _session(connection: Connection) -> Any:
    import boto3

    from lsm.dynamodb.boto import CREDENTIALS, answer_clients_of

    session = boto3.session.Session(region_name=connection.service.region, **CREDENTIALS)
    answer_clients_of(session, connection.service)
    return session


@pytest.fixture
def dynamodb(dynamodb_connection: Connection) -> Any:
    """A boto3 client."""
    return _session(dynamodb_connection).client("dynamodb")


@pytest.fixture
def dynamodb_resource(dynamodb_connection: Connection) -> Any:
    """A boto3 resource."""
    return _session(dynamodb_connection).resource("dynamodb")


@pytest.fixture
def dynamodb_on_disk(tmp_path: Path) -> Iterator[Any]:
    """A boto3 client on a database in tmp_path / "dynamodb"."""
    from lsm.dynamodb import connect

    with connect(tmp_path / "dynamodb") as connection:
        yield _session(connection).client("dynamodb")


@pytest.fixture
def dynamodb_everywhere(dynamodb_connection: Connection) -> Iterator[Connection]:
    """Redirects every boto3 and botocore dynamodb client of the process while the test runs."""
    from lsm.dynamodb.boto import redirected

    with redirected(dynamodb_connection):
        yield dynamodb_connection
