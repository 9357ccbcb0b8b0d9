"""The command `lsm`: which command is meant, and what errors look like.

Exit status: 0 done; 1 it could not be done, said in one line on stderr; 2 wrong usage; 130 interrupted by Ctrl-C.
One call of `main` per process; the database is closed on every way out.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lsm.command_line import Failure, Parser, one_line
from lsm.errors import Error

__all__ = ["main", "parser"]

INTERRUPTED = 130
BROKEN_PIPE = 141
"""As if SIGPIPE had ended the process; the database is closed first."""

OVERVIEW = """\
examples:
  lsm demo                                   see the engine work on the Unicode character database
  lsm serve tables.db                        be a DynamoDB endpoint, http://127.0.0.1:8000
  lsm put notes.db monday 'buy milk'         write, creating the database
  lsm get notes.db monday                    read
  lsm load people.db people.csv --key id     load JSON Lines, CSV or TSV
  lsm scan people.db --prefix 10 --limit 5   read in key order
  lsm stats people.db                        see how the data lies on disk

lsm COMMAND --help has more about each. Every command opens the database, does one thing and closes it.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; its exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    options = parser(_first(arguments)).parse_args(arguments)
    try:
        status: int = options.run(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _failed("interrupted", INTERRUPTED)
    except BrokenPipeError:
        # what is left in the buffer has no reader either; without this the interpreter complains at exit
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except Failure as failure:
        return _failed(str(failure), failure.status)
    except (Error, OSError) as error:
        return _failed(one_line(error))
    return status


def _failed(message: str, status: int = 1) -> int:
    print(f"lsm: {message}", file=sys.stderr)
    return status


def _first(arguments: Sequence[str] | None) -> str:
    given = sys.argv[1:] if arguments is None else arguments
    return given[0] if given else ""


def parser(command: str = "") -> argparse.ArgumentParser:
    """The parser of all commands; parsed options have `run`, the function of the command.

    command: where it is one of the server's, only those are added, so that no server starts with all the others.
    """
    top = Parser(prog="lsm", description="An embedded key-value store, from the shell.", epilog=OVERVIEW)
    top.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    subparsers = top.add_subparsers(metavar="COMMAND", required=True)
    serving = importlib.import_module("lsm.serve_command")
    if command in serving.COMMANDS:
        serving.add(subparsers)
        return top
    data = importlib.import_module("lsm.data_commands")
    data.add_demo(subparsers)
    serving.add(subparsers)
    data.add(subparsers)
    _add_tools(subparsers)
    return top


def _add_tools(subparsers: Any) -> None:
    """The offline tools are a package of their own, which nothing imports; in a source tree it lies in tools/."""
    try:
        tools = importlib.import_module("lsm_tools.commands")
    except ModuleNotFoundError:
        sys.path.append(str(Path(__file__).parent.parent / "tools"))
        try:
            tools = importlib.import_module("lsm_tools.commands")
        except ModuleNotFoundError:
            return
    tools.add(subparsers)


class _Version(argparse.Action):
    """Looks the version up when it is asked for: that takes longer than most commands."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib import metadata

        try:
            version = metadata.version("lsm-store")
        except metadata.PackageNotFoundError:
            version = "(not installed)"
        print(f"lsm {version}")
        parser.exit()


if __name__ == "__main__":
    sys.exit(main())
