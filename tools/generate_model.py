"""Writes lsm/dynamodb/model_data.py: what botocore's service model says of the operations' requests and answers.

`python tools/generate_model.py` needs botocore installed; building and running this project does not. Shapes keep their
members, required ones, lengths, ranges, patterns and enums; documentation and examples are left out.
"""

from __future__ import annotations

import gzip
import json
import pprint
import sys
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parent.parent / "lsm" / "dynamodb" / "model_data.py"
CONSTRAINTS = ("min", "max", "pattern", "enum")
HEAD = '''\
"""The operations and shapes of DynamoDB, as botocore {version}'s service model {api} describes them.

Written by tools/generate_model.py; not to be edited. Source: botocore (Apache-2.0), data/dynamodb/2012-08-10.
"""

# ruff: noqa: E501
# fmt: off

from __future__ import annotations

from typing import Any

'''


def model() -> dict[str, Any]:
    """The service model."""
    packed = files("botocore").joinpath("data/dynamodb/2012-08-10/service-2.json.gz").read_bytes()
    read: dict[str, Any] = json.loads(gzip.decompress(packed))
    return read


def operations(source: dict[str, Any]) -> dict[str, Any]:
    """Input shape, output shape and errors of every operation."""
    return {
        name: {
            "input": operation.get("input", {}).get("shape"),
            "output": operation.get("output", {}).get("shape"),
            "errors": [error["shape"] for error in operation.get("errors", ())],
        }
        for name, operation in sorted(source["operations"].items())
    }


def shape(source: dict[str, Any]) -> dict[str, Any]:
    """What is kept of a shape; member shapes by their names."""
    kept: dict[str, Any] = {"type": source["type"]}
    kept.update({key: source[key] for key in CONSTRAINTS if key in source})
    if source["type"] == "structure":
        kept["members"] = {name: member["shape"] for name, member in source.get("members", {}).items()}
        if source.get("required"):
            kept["required"] = source["required"]
        if source.get("exception"):
            kept["exception"] = True
    elif source["type"] == "list":
        kept["member"] = source["member"]["shape"]
    elif source["type"] == "map":
        kept["key"], kept["value"] = source["key"]["shape"], source["value"]["shape"]
    return kept


def main() -> int:
    source = model()
    text = HEAD.format(version=version("botocore"), api=source["metadata"]["apiVersion"])
    for name, value in (
        ("OPERATIONS", operations(source)),
        ("SHAPES", {name: shape(one) for name, one in sorted(source["shapes"].items())}),
    ):
        text += f"{name}: dict[str, Any] = {pprint.pformat(value, width=116, sort_dicts=False)}\n\n"
    TARGET.write_text(text.rstrip() + "\n")
    print(f"{TARGET}: {len(text):,} characters")
    return 0


if __name__ == "__main__":
    sys.exit(main())
