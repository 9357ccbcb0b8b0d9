"""Counters of requests, by operation and table: how many, how long, which errors, what capacity.

Guarantees: the number of counters is bounded by operations times tables that exist or did, whatever clients send. The
event loop's thread writes; others may read what is a moment old.
"""

from __future__ import annotations

from bisect import bisect_left

from lsm.dynamodb.capacity import Consumption
from lsm.dynamodb.service import Service

__all__ = ["BOUNDS", "Cell", "Metrics"]

BOUNDS = (
    0.00005,
    0.0001,
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
)
"""Seconds: upper ends of the classes of latency; one more class is above all of them."""


class Cell:
    """Of one operation on one table: requests by class of latency, and all their seconds."""

    def __init__(self) -> None:
        self.classes = [0] * (len(BOUNDS) + 1)
        self.seconds = 0.0

    @property
    def requests(self) -> int:
        """All of them."""
        return sum(self.classes)


class Metrics:
    """Of one server."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.cells: dict[tuple[str, str], Cell] = {}
        self.errors: dict[tuple[str, str], int] = {}
        self.accepted = 0
        self.capacity = service.consumption = Consumption()

    def request(self, operation: str, table: str, code: str, seconds: float) -> None:
        """Counts one; operation is empty for what is none, code where there was no error."""
        cell = self.cells.get((operation, table))
        if cell is None:
            cell = self._new_cell(operation, table)
        cell.classes[bisect_left(BOUNDS, seconds)] += 1
        cell.seconds += seconds
        if code:
            self.errors[operation, code] = self.errors.get((operation, code), 0) + 1

    def _new_cell(self, operation: str, table: str) -> Cell:
        """Names of tables that are not there, or are there no longer, share one cell."""
        known = self._service.catalog.find(table) if table else None
        name = known.name if known is not None else ""
        cell = self.cells.get((operation, name))
        if cell is None:
            cell = self.cells[operation, name] = Cell()
        return cell
