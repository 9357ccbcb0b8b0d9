"""`lsm inspect`: annotated dumps of the files of a database, and the picture of its tree.

Guarantees: changes nothing; shows damaged files too. A single file may belong to a database that is open; a directory
must not. One thread.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from typing import Any, Final

from lsm.command_line import Failure, one_line
from lsm.errors import LockedError, NotADatabaseError
from lsm_tools.format_bytes import Faults, Source
from lsm_tools.format_directory import Directory, kind_of, offline
from lsm_tools.inspect_manifest import manifest_rows
from lsm_tools.inspect_rows import Row, Shown, as_json, as_lines
from lsm_tools.inspect_svg import tree_svg
from lsm_tools.inspect_table import table_rows
from lsm_tools.inspect_tree import TABLES_SHOWN, read_tree, tree_json, tree_lines
from lsm_tools.inspect_wal import wal_rows

__all__ = ["add_inspect", "file_rows"]

HELP = """\
Show what is in the files of a database, byte by byte, or draw its tree.

WHAT is wal, manifest, table or tree; without it, a directory is drawn as a tree, and a file is recognised. PATH is a
file, or a database directory: then all files of that kind are shown.

A dump has a line for each field: where it stands, its bytes, its name, its value, what it means. Offsets count in the
file, those with a plus in the decoded bytes of a block. A fault is marked with !! and the dump goes on behind it.
docs/format/ has the same fields as tables.
"""
EXAMPLES = """\
examples:
  lsm inspect shop.db                          the tree: keyspaces, partitions, levels, tables
  lsm inspect tree shop.db --svg shop.svg
  lsm inspect manifest shop.db                 which tables and keyspaces there are, edit by edit
  lsm inspect wal shop.db/wal-000001.log       header, frames, changes
  lsm inspect wal shop.db --keys --limit 100   a line for each change
  lsm inspect table shop.db/000007.table       header, first block, a line for each other one, filter, index, footer
  lsm inspect table shop.db/000007.table --block 3 --full
"""
ROWS: Final = {"wal": wal_rows, "manifest": manifest_rows, "table": table_rows}
KINDS: Final = {
    "wal": ("segment", "ring"),
    "manifest": ("current", "manifest"),
    "table": ("table",),
}
MAGICS: Final = {b"lsmwal\r\n": "wal", b"lsmrng\r\n": "wal", b"LSMMANIF": "manifest", b"LSMTABLE": "table"}


def add_inspect(subparsers: Any) -> None:
    """The subcommand."""
    summary, _, more = HELP.partition("\n\n")
    command = subparsers.add_parser(
        "inspect", help=summary, description=f"{summary}\n\n{more.strip()}", epilog=EXAMPLES
    )
    command.add_argument(
        "what", metavar="WHAT", nargs="?", choices=(*ROWS, "tree"), help="wal, manifest, table or tree"
    )
    command.add_argument("path", metavar="PATH", help="a file, or the database directory")
    command.add_argument(
        "--limit",
        type=_positive,
        metavar="N",
        help="frames, records, blocks, entries (default: 10), or tables of a level (50)",
    )
    command.add_argument("--offset", type=_natural, default=0, metavar="BYTE", help="begin at this byte of the file")
    command.add_argument("--block", type=_natural, metavar="N", help="only this block of a table, in full")
    command.add_argument("--keys", action="store_true", help="a line for each key, change or edit, and nothing else")
    command.add_argument("--full", action="store_true", help="all bytes of every field, keys and values unabridged")
    command.add_argument("--svg", metavar="FILE", help="of tree: write the picture there too")
    command.add_argument("--json", action="store_true", help="a JSON object in a line for each row; of tree one in all")
    command.set_defaults(run=run)


def _positive(text: str) -> int:
    return _at_least(text, 1)


def _natural(text: str) -> int:
    return _at_least(text, 0)


def _at_least(text: str, least: int) -> int:
    number = int(text)
    if number < least:
        raise argparse.ArgumentTypeError(f"{text} is less than {least}")
    return number


def run(options: argparse.Namespace) -> int:
    """The command; its exit status."""
    try:
        with contextlib.ExitStack() as held:
            if os.path.isdir(options.path):
                held.enter_context(offline(options.path))
            return _run(options)
    except (NotADatabaseError, LockedError) as error:
        raise Failure(one_line(error)) from error


def _run(options: argparse.Namespace) -> int:
    what = options.what or _recognised(options.path)
    if options.svg is not None and what != "tree":
        raise Failure("--svg is of `lsm inspect tree`", 2)
    if what == "tree":
        return _tree(options)
    shown = Shown(options.limit or Shown().limit, options.offset, options.block, options.keys, options.full)
    _print(as_json(_all(what, options.path, shown)) if options.json else _lines(what, options, shown))
    return 0


def _lines(what: str, options: argparse.Namespace, shown: Shown) -> Iterator[str]:
    return as_lines(_all(what, options.path, shown), options.full)


def _print(lines: Iterable[str]) -> None:
    begun = False
    for line in lines:
        if begun or line:
            print(line)
        begun = True


def _recognised(path: str) -> str:
    """What kind of file this is, by its first bytes or, where they are damaged, by its name."""
    if os.path.isdir(path):
        return "tree"
    with Source(path, Faults()) as source:
        if not source.is_open:
            raise Failure(f"{path} cannot be opened")
        front = source.read(0, 8)
    kind = kind_of(os.path.basename(path))
    for what, kinds in KINDS.items():
        if kind is not None and kind[0] in kinds:
            return what
    if front in MAGICS:
        return MAGICS[front]
    raise Failure(f"{path} is no file of a database; say what it should be: wal, manifest or table")


def file_rows(what: str, path: str, shown: Shown | None = None) -> Iterator[Row]:
    """The rows of one file; `what` is wal, manifest or table."""
    return ROWS[what](path, shown or Shown())


def _all(what: str, path: str, shown: Shown) -> Iterator[Row]:
    """The rows of a file, or of all files of that kind in a directory."""
    if not os.path.isdir(path):
        if not os.path.exists(path):
            raise Failure(f"there is no {path}")
        yield from file_rows(what, path, shown)
        return
    directory = Directory(path, Faults())
    for kind in KINDS[what]:
        for file in directory.of_kind(kind):
            yield from file_rows(what, file.path, shown)


def _tree(options: argparse.Namespace) -> int:
    tree = read_tree(options.path)
    if options.json:
        print(json.dumps(tree_json(tree)))
    else:
        print("\n".join(tree_lines(tree, options.limit or TABLES_SHOWN)))
    if options.svg is not None:
        with open(options.svg, "w", encoding="utf-8") as file:
            file.write(tree_svg(tree))
    return 0
