"""The one entry of all front doors: the name of an operation and a request in, an answer or an ApiError out.

Guarantees: an answer, also a read's or a failed condition's, is given only when the commits it depends on are durable
(durability "power"), or survive the process being killed ("process"). Any thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from lsm import Database, KeyspaceDroppedError
from lsm.dynamodb.capacity import READS, Consumption, Meter
from lsm.dynamodb.catalog import Catalog
from lsm.dynamodb.clock import Clock
from lsm.dynamodb.control import CONTROL
from lsm.dynamodb.door import TYPED, Door
from lsm.dynamodb.errors import ApiError, resource_not_found
from lsm.dynamodb.locks import ItemLocks
from lsm.dynamodb.operations import batches, items, pages, transactions
from lsm.dynamodb.requests import batches as read_batches
from lsm.dynamodb.requests import items as read_items
from lsm.dynamodb.requests import pages as read_pages
from lsm.dynamodb.requests import transactions as read_transactions
from lsm.dynamodb.requests.forms import Capacity
from lsm.dynamodb.tables import OpenTable
from lsm.dynamodb.tokens import TOKENS, Tokens

__all__ = ["DATA", "Durability", "Service"]

Durability = Literal["power", "process"]
Request = dict[str, Any]
Reader = Callable[[Request], Any]
Operation = Callable[["Service", Any, Door], dict[str, Any]]

ATTEMPTS = 4

DATA: dict[str, tuple[Reader, Operation]] = {
    "PutItem": (read_items.read_put_item, items.put_item),
    "GetItem": (read_items.read_get_item, items.get_item),
    "UpdateItem": (read_items.read_update_item, items.update_item),
    "DeleteItem": (read_items.read_delete_item, items.delete_item),
    "BatchGetItem": (read_batches.read_batch_get_item, batches.batch_get_item),
    "BatchWriteItem": (read_batches.read_batch_write_item, batches.batch_write_item),
    "Query": (read_pages.read_query, pages.query),
    "Scan": (read_pages.read_scan, pages.scan),
    "TransactWriteItems": (read_transactions.read_transact_write_items, transactions.transact_write_items),
    "TransactGetItems": (read_transactions.read_transact_get_items, transactions.transact_get_items),
}
"""Operation name to what reads its request and what carries it out."""


class Service:
    """DynamoDB's operations on one open database, which the service closes."""

    def __init__(
        self,
        database: Database,
        *,
        region: str = "us-east-1",
        account: str = "000000000000",
        clock: Clock | None = None,
        durability: Durability = "power",
    ) -> None:
        if durability not in ("power", "process"):
            raise ValueError(f'durability is "power" or "process", not {durability!r}')
        self.database = database
        self.region = region
        self.account = account
        self.clock = clock or Clock()
        self.locks = ItemLocks()
        self.consumption: Consumption | None = None
        """Set by who wants to know."""
        self._durable = durability == "power"
        self.catalog = Catalog(database, self.clock, self.locks, region=region, account=account)
        self.tokens = Tokens(database.keyspace(TOKENS), self.clock)

    def call(self, operation: str, request: Request, door: Door = TYPED) -> dict[str, Any]:
        """The operation's answer, once it is durable. Raises ApiError as DynamoDB answers, and the engine's errors."""
        try:
            return self.run(operation, request, door)
        finally:
            self.wait()

    def run(self, operation: str, request: Request, door: Door = TYPED) -> dict[str, Any]:
        """As `call`, without waiting: the caller must not show the answer before `database.last_sequence` as it is
        after the return, or after the error, is durable."""
        data = DATA.get(operation)
        if data is not None:
            read, carry_out = data
            form = read(request)
            for _ in range(ATTEMPTS):
                try:
                    return carry_out(self, form, door)
                except KeyspaceDroppedError:
                    continue  # a table or an index went away meanwhile: looking again says which
            raise resource_not_found()
        control = CONTROL.get(operation)
        if control is None:
            raise ApiError("UnknownOperationException", None)
        return control(self, request)

    def wait(self) -> None:
        """Returns when all that this thread may have seen is durable."""
        database = self.database
        if self._durable:
            last = database.last_sequence
            if database.durable_sequence < last:
                database.wait_durable(last)

    def meter(self, detail: Capacity, arm: int = READS, transacted: str = "") -> Meter:
        """Of one request."""
        return Meter(detail, transacted, consumption=self.consumption, arm=arm)

    def is_current(self, table: OpenTable) -> bool:
        """Whether the table still is as it was looked up; for those who hold a lock of its items."""
        return self.catalog.find(table.name) is table

    def table(self, name: str) -> OpenTable:
        """By name or ARN; ApiError where there is none."""
        return self.catalog.table(name)

    def close(self) -> None:
        """Ends background work and closes the database. Harmless when repeated."""
        self.catalog.close()
        self.database.close()

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
