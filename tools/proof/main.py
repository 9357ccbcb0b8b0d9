"""Arguments of `python tools/prove.py`: one subcommand per way of trying to lose data.

Exit status: 0 nothing broke; 1 something did, with a seed and a command that replays it; 2 wrong usage.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from proof.faults import add_faults
from proof.fuzzing.command import add_fuzz
from proof.histories import add_histories
from proof.kills import add_kills
from proof.rot import add_rot
from proof.sanitize import add_sanitize
from proof.sweep_command import add_sweep
from proof.sweep_replay import add_replay

__all__ = ["main"]

ADDERS: tuple[Callable[[Any], None], ...] = (
    add_faults,
    add_fuzz,
    add_histories,
    add_kills,
    add_rot,
    add_sanitize,
    add_sweep,
    add_replay,
)
"""One per subcommand: takes argparse's subparsers, adds a parser whose `run` default takes the parsed options."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; its exit status."""
    top = argparse.ArgumentParser(prog="prove.py", description="Try to break the durability contract.")
    subparsers = top.add_subparsers(metavar="COMMAND", required=True)
    for adder in ADDERS:
        adder(subparsers)
    options = top.parse_args(arguments)
    return int(options.run(options))
