"""The subcommands of `lsm` that this package brings; lsm/cli.py calls `add` where the package is installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["add"]

ADDERS: tuple[Callable[[Any], None], ...] = ()
"""One per subcommand: takes argparse's subparsers, adds a parser whose `run` default takes the parsed options."""


def add(subparsers: Any) -> None:
    """Adds every offline tool to the parser of `lsm`."""
    for adder in ADDERS:
        adder(subparsers)
