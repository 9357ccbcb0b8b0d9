"""DynamoDB's operations through our client and through boto3, under pytest-benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.dynamodb.doors import DOORS, MissingError
from bench.dynamodb.items import small, table_request
from bench.dynamodb.workloads import WORKLOADS, Workload

LOADED = 200


@pytest.mark.parametrize("door", ["lsm", "boto3"])
@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_operation(benchmark: Any, tmp_path: Path, workload: Workload, door: str) -> None:
    benchmark.group = workload.name
    try:
        with DOORS[door][1](tmp_path) as client:
            client.create_table(**table_request(indexed=False))
            for number in range(LOADED):
                client.put_item(TableName="bench", Item=small(number))
            benchmark(workload.run, client, small, 0)
    except MissingError as error:
        pytest.skip(str(error))
