"""The subcommands of `lsm` that this package brings; lsm/cli.py calls `add` where the package is installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lsm_tools.compact import add_compact
from lsm_tools.dump import add_dump
from lsm_tools.inspect_command import add_inspect
from lsm_tools.repair import add_repair
from lsm_tools.simulate import add_simulate
from lsm_tools.verify import add_verify

__all__ = ["add"]

ADDERS: tuple[Callable[[Any], None], ...] = (add_compact, add_dump, add_repair, add_inspect, add_simulate, add_verify)
"""One per subcommand: takes argparse's subparsers, adds a parser whose `run` default takes the parsed options."""


def add(subparsers: Any) -> None:
    """Adds every offline tool to the parser of `lsm`."""
    for adder in ADDERS:
        adder(subparsers)
