"""Loading many items: whether the last hundred thousand go in as fast as the first."""

from __future__ import annotations

import time
from pathlib import Path

from bench.dynamodb.items import small, table_request
from lsm.dynamodb import connect

__all__ = ["load"]

PARTS = 10


def load(directory: Path, count: int) -> list[float]:
    """Seconds of each tenth, through our client in batches of 25."""
    seconds = []
    with connect(directory / "load", durability="process") as connection:
        client = connection.client()
        client.create_table(**table_request(indexed=False))
        for part in range(PARTS):
            begun = time.perf_counter()
            for begin in range(part * count // PARTS, (part + 1) * count // PARTS, 25):
                requests = [{"PutRequest": {"Item": small(number)}} for number in range(begin, begin + 25)]
                client.batch_write_item(RequestItems={"bench": requests})
            seconds.append(time.perf_counter() - begun)
    return seconds
