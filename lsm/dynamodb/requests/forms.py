"""What the operations take once everything was said of a request that can be said without looking at its table.

Guarantees: names, values and expressions are checked and bound; numbers and sets are in their stored form. Made by the
`read_*` functions of this package's modules, carried out by lsm/dynamodb/operations. No state, any thread.

An Item is a dict of attribute name to typed value, a typed value a dict of one member: {"S": str}, {"N": str}, {"B":
bytes}, {"SS": [str]}, {"NS": [str]}, {"BS": [bytes]}, {"M": dict}, {"L": list}, {"BOOL": bool}, {"NULL": True}.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeAlias

from lsm.dynamodb.errors import ApiError
from lsm.dynamodb.expressions import Condition, KeyCondition, Projection, Update

__all__ = [
    "Action",
    "BatchGet",
    "BatchWrite",
    "Capacity",
    "ConditionCheck",
    "Delete",
    "Get",
    "Item",
    "KeysOfTable",
    "Metrics",
    "Page",
    "Put",
    "Query",
    "ReturnValues",
    "Scan",
    "TransactGet",
    "TransactWrite",
    "UpdateItem",
    "Value",
]

Value: TypeAlias = dict[str, Any]
Item: TypeAlias = dict[str, Value]


class Capacity(Enum):
    """ReturnConsumedCapacity."""

    NONE = "NONE"
    TOTAL = "TOTAL"
    INDEXES = "INDEXES"


class Metrics(Enum):
    """ReturnItemCollectionMetrics."""

    NONE = "NONE"
    SIZE = "SIZE"


class ReturnValues(Enum):
    """ReturnValues."""

    NONE = "NONE"
    ALL_OLD = "ALL_OLD"
    UPDATED_OLD = "UPDATED_OLD"
    ALL_NEW = "ALL_NEW"
    UPDATED_NEW = "UPDATED_NEW"


@dataclass(slots=True)
class Put:
    """table: as the request names it, a name or an ARN. item: the item's bytes (lsm.item_codec).

    return_old_on_failure: ReturnValuesOnConditionCheckFailure is ALL_OLD. Also of a batch and of a transaction.
    """

    table: str
    item: bytes
    condition: Condition | None = None
    return_values: ReturnValues = ReturnValues.NONE
    return_old_on_failure: bool = False
    capacity: Capacity = Capacity.NONE
    metrics: Metrics = Metrics.NONE


@dataclass(slots=True)
class Delete:
    """Of DeleteItem, of a batch, of a transaction. key: not yet compared with the table's schema."""

    table: str
    key: Item
    condition: Condition | None = None
    return_values: ReturnValues = ReturnValues.NONE
    return_old_on_failure: bool = False
    capacity: Capacity = Capacity.NONE
    metrics: Metrics = Metrics.NONE


@dataclass(slots=True)
class UpdateItem:
    """update: None where neither UpdateExpression nor AttributeUpdates is given. charge: request charge in bytes
    (rules 6.1), 0 where none applies. fault: to be raised when the update would be made; of a transaction alone."""

    table: str
    key: Item
    update: Update | None = None
    condition: Condition | None = None
    return_values: ReturnValues = ReturnValues.NONE
    return_old_on_failure: bool = False
    capacity: Capacity = Capacity.NONE
    metrics: Metrics = Metrics.NONE
    charge: int = 0
    fault: ApiError | None = None


@dataclass(slots=True)
class ConditionCheck:
    """Of a transaction alone."""

    table: str
    key: Item
    condition: Condition
    return_old_on_failure: bool = False


Action: TypeAlias = Put | Delete | UpdateItem | ConditionCheck


@dataclass(slots=True)
class Get:
    """Of GetItem and, with `consistent` true, of TransactGetItems."""

    table: str
    key: Item
    projection: Projection | None = None
    consistent: bool = False
    capacity: Capacity = Capacity.NONE


@dataclass(slots=True)
class KeysOfTable:
    """One table of a BatchGetItem. request: the table's block as it came, which UnprocessedKeys repeats."""

    table: str
    keys: list[Item]
    projection: Projection | None
    consistent: bool
    request: dict[str, Any]


@dataclass(slots=True)
class BatchGet:
    """Tables in the order of the request."""

    tables: list[KeysOfTable]
    capacity: Capacity = Capacity.NONE


@dataclass(slots=True)
class BatchWrite:
    """Writes by table as the request names it, in its order: Put or Delete without conditions."""

    tables: dict[str, list[Put | Delete]]
    capacity: Capacity = Capacity.NONE
    metrics: Metrics = Metrics.NONE


@dataclass(slots=True)
class TransactWrite:
    """read_actions: gives the actions; ApiError where anything is wrong with them, which is looked at after the token.

    fingerprint: of what the idempotency token stands for, equal for equal payloads; empty without a token.
    """

    read_actions: Callable[[], list[Action]]
    token: str | None = None
    fingerprint: bytes = b""
    capacity: Capacity = Capacity.NONE
    metrics: Metrics = Metrics.NONE


@dataclass(slots=True)
class TransactGet:
    gets: list[Get]
    capacity: Capacity = Capacity.NONE


@dataclass(slots=True)
class Page:
    """What Query and Scan share. select: None where the request gives none. start_key: values checked, not yet
    compared with the schema. names_of_filter: top-level attributes the filter reads (Query refuses key attributes)."""

    table: str
    index: str | None = None
    filter: Condition | None = None
    legacy_filter: bool = False
    projection: Projection | None = None
    select: str | None = None
    limit: int | None = None
    consistent: bool = False
    start_key: Item | None = None
    capacity: Capacity = Capacity.NONE
    unused: list[str] = field(default_factory=list)
    """Texts of faults that the service reports only after the table was looked up (unused names, then values)."""


@dataclass(slots=True)
class Query(Page):
    key_condition: KeyCondition | None = None
    """None: the request gives none, which is reported after the table was looked up."""
    forward: bool = True


@dataclass(slots=True)
class Scan(Page):
    segment: int | None = None
    total_segments: int | None = None
