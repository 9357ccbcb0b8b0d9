"""`lsm.dynamodb.connect`: a database, the service on it, and clients."""

from __future__ import annotations

import os
from typing import Any

import lsm
from lsm.dynamodb.client import Client
from lsm.dynamodb.clock import Clock
from lsm.dynamodb.service import Durability, Service

__all__ = ["Connection", "connect"]


def connect(
    path: str | os.PathLike[str],
    *,
    durability: Durability = "power",
    region: str = "us-east-1",
    account: str = "000000000000",
    clock: Clock | None = None,
    **options: Any,
) -> Connection:
    """Opens, or creates, the database at `path` (":memory:" keeps nothing) with DynamoDB's operations on it.

    durability: "power", an answer is given when it survives a power failure; "process", when it survives the process
    being killed. region and account: part of the ARNs. clock: time and randomness, for tests. options: of lsm.open,
    which also says what is raised.
    """
    database = lsm.open(path, **options)
    try:
        service = Service(database, region=region, account=account, clock=clock, durability=durability)
    except BaseException:
        database.close()
        raise
    return Connection(service)


class Connection:
    """An open database with DynamoDB's operations; a context manager. Any thread."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def client(self) -> Client:
        """A client with boto3's methods; as many as one likes."""
        return Client(self.service)

    def close(self) -> None:
        """Closes the database; clients are of no use afterwards. Harmless when repeated."""
        self.service.close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
