"""Read and write units, and the ConsumedCapacity members of answers. Rules 6.2 to 6.4; sizes in bytes.

One Meter per request; no thread but the request's own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lsm.dynamodb.limits import READ_UNIT_BYTES, WRITE_UNIT_BYTES
from lsm.dynamodb.requests.forms import Capacity
from lsm.dynamodb.tables import OpenIndex

__all__ = ["READS", "WRITES", "Consumption", "Meter", "TableMeter", "read_units", "write_units"]

READS, WRITES = 0, 1
"""The arms of a Consumption."""


def read_units(size: int, *, consistent: bool) -> float:
    """Of one read of `size` bytes, at least the minimum."""
    units = max(1, -(-size // READ_UNIT_BYTES))
    return float(units) if consistent else units / 2


def write_units(size: int) -> float:
    """Of one write of `size` bytes."""
    return float(max(1, -(-size // WRITE_UNIT_BYTES)))


@dataclass(slots=True)
class TableMeter:
    """Units of one table within a request. transacted: "", Read or Write, for the members of transactions."""

    name: str
    table: float = 0.0
    global_indexes: dict[str, float] = field(default_factory=dict)
    local_indexes: dict[str, float] = field(default_factory=dict)
    transacted: str = ""

    def add_index(self, index: OpenIndex, units: float) -> None:
        arm = self.global_indexes if index.schema.is_global else self.local_indexes
        arm[index.name] = arm.get(index.name, 0.0) + units

    @property
    def total(self) -> float:
        return self.table + sum(self.global_indexes.values()) + sum(self.local_indexes.values())

    def answer(self, detail: Capacity) -> dict[str, Any]:
        """The ConsumedCapacity structure; `detail` is not NONE."""
        answer = {"TableName": self.name, **self._units(self.total)}
        if detail is Capacity.INDEXES:
            answer["Table"] = self._units(self.table)
            for member, arm in (
                ("GlobalSecondaryIndexes", self.global_indexes),
                ("LocalSecondaryIndexes", self.local_indexes),
            ):
                if arm:
                    answer[member] = {name: self._units(units) for name, units in arm.items()}
        return answer

    def _units(self, units: float) -> dict[str, Any]:
        members: dict[str, Any] = {"CapacityUnits": units}
        if self.transacted:
            members[f"{self.transacted}CapacityUnits"] = units
        return members


class Consumption:
    """Units consumed since the service was opened, for who watches it: (table, index or "") to [read, written].

    A put that need not look at the item it replaces is charged by its own size alone. Any thread; counts that two
    threads add to at once may lose one.
    """

    def __init__(self) -> None:
        self.units: dict[tuple[str, str], list[float]] = {}

    def add(self, table: str, index: str, arm: int, units: float) -> None:
        """`table` as a request names it."""
        held = self.units.get((table, index))
        if held is None:
            name = table.rpartition("/")[2] if table.startswith("arn:") else table
            held = self.units.setdefault((name, index), [0.0, 0.0])
        held[arm] += units


class Meter:
    """Units of a request over one or more tables, by the name the request used for each.

    consumption: where they are added up beside the answer, on `arm`. Nothing need be measured where not `counts`.
    """

    def __init__(
        self, detail: Capacity, transacted: str = "", *, consumption: Consumption | None = None, arm: int = READS
    ) -> None:
        self.detail = detail
        self.counts = detail is not Capacity.NONE or consumption is not None
        self._transacted = transacted
        self._tables: dict[str, TableMeter] = {}
        self._consumption = consumption
        self._arm = arm

    def table(self, name: str) -> TableMeter:
        """The part of one table; `name` as the request has it, a name or an ARN."""
        meter = self._tables.get(name)
        if meter is None:
            meter = self._tables[name] = TableMeter(name, transacted=self._transacted)
        return meter

    def single(self) -> dict[str, Any]:
        """At the end: `{"ConsumedCapacity": {...}}` of a request on one table, or nothing."""
        self._add_up()
        if self.detail is Capacity.NONE:
            return {}
        return {"ConsumedCapacity": next(iter(self._tables.values())).answer(self.detail)}

    def several(self) -> dict[str, Any]:
        """At the end: `{"ConsumedCapacity": [...]}` of a batch or a transaction, or nothing."""
        self._add_up()
        if self.detail is Capacity.NONE:
            return {}
        return {"ConsumedCapacity": [meter.answer(self.detail) for meter in self._tables.values()]}

    def _add_up(self) -> None:
        if self._consumption is None:
            return
        for name, part in self._tables.items():
            if part.table:
                self._consumption.add(name, "", self._arm, part.table)
            for arm in (part.global_indexes, part.local_indexes):
                for index, units in arm.items():
                    self._consumption.add(name, index, self._arm, units)
