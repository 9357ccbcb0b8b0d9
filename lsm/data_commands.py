"""The commands on keys and values: their arguments and their help. What they do is in lsm/commands.py.

Every command opens the database, does one thing and closes it. No state.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from lsm import commands
from lsm.byteforms import Form
from lsm.command_line import positive
from lsm.records import Format
from lsm.restoring import Existing

__all__ = ["add", "add_demo"]

Subparsers = Any
"""What `add_subparsers` returns; argparse keeps the class to itself."""


def add(subparsers: Subparsers) -> None:
    """Adds all of them but `lsm demo`."""
    for add_one in (_put, _get, _delete, _scan, _load, _keyspaces, _drop, _stats):
        add_one(subparsers)


def _command(
    subparsers: Subparsers, name: str, run: Callable[[argparse.Namespace], int], summary: str, more: str, examples: str
) -> argparse.ArgumentParser:
    lines = "\n".join(f"  {line}" for line in examples.strip().splitlines())
    command: argparse.ArgumentParser = subparsers.add_parser(
        name, help=summary, description=f"{summary}\n\n{more.strip()}".strip(), epilog=f"examples:\n{lines}"
    )
    command.set_defaults(run=run)
    if run is not commands.demo:
        command.add_argument("path", metavar="PATH", help="the database directory")
    return command


def _add_keyspace(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "-k", "--keyspace", metavar="NAME", default="default", help='the keyspace (default: "default")'
    )


def _add_key(command: argparse.ArgumentParser) -> None:
    _add_keyspace(command)
    command.add_argument("key", metavar="KEY", help="the key; in a composite keyspace the partition key")
    command.add_argument("-s", "--sort-key", metavar="KEY", help="the sort key, in a composite keyspace")


def _add_forms(command: argparse.ArgumentParser) -> None:
    forms = command.add_argument_group("how bytes are written", "text is UTF-8, and what you get without these options")
    both = forms.add_mutually_exclusive_group()
    for form, name in ((Form.HEX, "hexadecimal"), (Form.BASE64, "base64")):
        both.add_argument(f"--{form}", dest="form", action="store_const", const=form, help=f"keys and values in {name}")
    for part in ("key", "value"):
        forms.add_argument(
            f"--{part}s-as", type=Form, choices=list(Form), metavar="FORM", help=f"{part}s alone: text, hex or base64"
        )


def _add_creation(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--partitions", type=positive, metavar="N", help="partitions of the keyspace when this creates it (default: 1)"
    )
    _add_sync(command)


def _add_sync(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--sync", action="store_true", help="wait for the disk with every write, not only when the database is closed"
    )


def _add_json(command: argparse.ArgumentParser, what: str) -> None:
    command.add_argument("--json", action="store_true", help=f"print {what}")


def _add_progress(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--progress", action="store_true", default=None, help="show a progress bar, also where stderr is no terminal"
    )


def add_demo(subparsers: Subparsers) -> None:
    """Adds `lsm demo`."""
    command = _command(
        subparsers,
        "demo",
        commands.demo,
        "Load real data, read it back, and show how it lies on disk.",
        """
The data is the Unicode character database that comes with Python: every assigned character with its name, category,
numeric value and more. Without PATH it goes into a temporary directory, which is removed at the end.""",
        """
lsm demo
lsm demo unicode.db       keep the database, to look into it with get, scan and stats
lsm demo --json           the same facts for a program""",
    )
    command.add_argument("path", metavar="PATH", nargs="?", help="a directory that does not exist yet")
    command.add_argument("--keep", action="store_true", help="do not remove the temporary directory")
    _add_progress(command)
    _add_json(command, "all facts as one JSON object")


def _put(subparsers: Subparsers) -> None:
    command = _command(
        subparsers,
        "put",
        commands.put,
        "Write one value.",
        "Creates the database and the keyspace where they do not exist. With --sort-key the keyspace is composite.",
        """
lsm put notes.db monday 'buy milk'
lsm put notes.db logo logo.png --file
lsm put shop.db -k orders alice --sort-key 2024-05-17 '{"total": 12}'
lsm put raw.db --hex 00ff 0a0b0c
lsm put notes.db -- -5 'a key that begins with a dash'""",
    )
    _add_key(command)
    command.add_argument("value", metavar="VALUE", help="the value")
    command.add_argument(
        "--file", action="store_true", help="VALUE names a file that holds the value; - is standard input"
    )
    _add_creation(command)
    _add_forms(command)


def _get(subparsers: Subparsers) -> None:
    command = _command(
        subparsers,
        "get",
        commands.get,
        "Print one value.",
        """
A value that is no readable text is printed as a Python literal, such as b'\\x00'; --raw prints any value as it is.
Exit status 1 where there is no such key.""",
        """
lsm get notes.db monday
lsm get notes.db logo --raw > logo.png
lsm get shop.db -k orders alice --sort-key 2024-05-17 --json""",
    )
    _add_key(command)
    output = command.add_mutually_exclusive_group()
    output.add_argument("--raw", action="store_true", help="print the bytes of the value and nothing else")
    output.add_argument("--json", action="store_true", help='print {"key": ..., "value": ...}')
    _add_forms(command)


def _delete(subparsers: Subparsers) -> None:
    command = _command(
        subparsers,
        "delete",
        commands.delete,
        "Delete one key.",
        "A key that is not there is no error: after this it is not there.",
        """
lsm delete notes.db monday
lsm delete shop.db -k orders alice --sort-key 2024-05-17""",
    )
    _add_key(command)
    _add_sync(command)
    _add_forms(command)


def _scan(subparsers: Subparsers) -> None:
    command = _command(
        subparsers,
        "scan",
        commands.scan,
        "Print keys and values in key order.",
        """
A line holds the key, a tab and the value; in a composite keyspace the partition key, a tab, the sort key, a tab and the
value, in hash order of the partition keys. There, bounds are for the sort keys of one --partition.
What is no printable text is written as a Python literal, such as b'\\x00'.""",
        """
lsm scan notes.db
lsm scan notes.db --prefix 2024- --limit 10
lsm scan notes.db --start m --stop n --keys-only
lsm scan shop.db -k orders --partition alice --reverse --limit 1
lsm scan notes.db --json | lsm load copy.db -""",
    )
    _add_keyspace(command)
    command.add_argument("--partition", metavar="KEY", help="only this partition key, in a composite keyspace")
    command.add_argument("--start", metavar="KEY", help="the lowest key, included")
    command.add_argument("--stop", metavar="KEY", help="the highest key, not included")
    command.add_argument("--prefix", metavar="KEY", help="only keys that begin so")
    command.add_argument("--reverse", action="store_true", help="highest key first")
    command.add_argument("--limit", type=positive, metavar="N", help="at most so many")
    command.add_argument("--keys-only", action="store_true", help="leave the values out")
    _add_json(command, 'a line {"key": ..., "value": ...} for each; lsm load reads them')
    _add_forms(command)


def _load(subparsers: Subparsers) -> None:
    command = _command(
        subparsers,
        "load",
        commands.load,
        "Load JSON Lines, CSV, TSV, or a dump.",
        """
Creates the database and the keyspace where they do not exist. Without --key a record is {"key": ..., "value": ...},
with "sort_key" too for a composite keyspace. With --key the value is the whole record as JSON, unless --value names one
field. Records are written in atomic batches. A bad line, or Ctrl-C, ends the load; what came before stays loaded.

What `lsm dump` wrote, in either form, is recognised by how it begins: all its keyspaces are made with their options and
filled, or only the one that -k names. Where one of them holds records already, nothing is loaded unless --existing says
what to do with them.""",
        """
lsm load people.db people.csv --key id
lsm load shop.db orders.jsonl -k orders --key customer --sort-key date
lsm load words.db words.tsv --key word --value count
zcat big.jsonl.gz | lsm load big.db - --key id --on-error skip
lsm scan notes.db --json | lsm load copy.db -
lsm dump notes.db --format binary | lsm load copy.db -""",
    )
    command.add_argument(
        "-k", "--keyspace", metavar="NAME", help='the keyspace (default: "default"; of a dump all that it holds)'
    )
    command.add_argument("file", metavar="FILE", help="the file; - is standard input")
    command.add_argument("--key", metavar="FIELD", help="the member or column that is the key")
    command.add_argument("--sort-key", metavar="FIELD", help="the one that is the sort key: the keyspace is composite")
    command.add_argument("--value", metavar="FIELD", help="the one that is the value")
    command.add_argument(
        "--format",
        type=Format,
        choices=list(Format),
        metavar="FORMAT",
        help="jsonl, csv or tsv (default: what the name of the file tells, otherwise jsonl)",
    )
    command.add_argument("--on-error", choices=("stop", "skip"), default="stop", help="at a bad line (default: stop)")
    command.add_argument(
        "--existing",
        type=Existing,
        choices=list(Existing),
        default=Existing.STOP,
        metavar="HOW",
        help="where a keyspace of a dump holds records: stop before anything is loaded (default), overwrite those that "
        "the dump has too, or keep them as they are",
    )
    command.add_argument(
        "--batch-records", type=positive, default=1000, metavar="N", help="records in an atomic batch (default: 1000)"
    )
    _add_progress(command)
    _add_creation(command)
    _add_json(command, "what was loaded as JSON")
    _add_forms(command)


def _keyspaces(subparsers: Subparsers) -> None:
    command = _command(
        subparsers,
        "keyspaces",
        commands.keyspaces,
        "List the keyspaces.",
        "Entries are counted where they lie: an overwritten or deleted one counts until compaction drops it.",
        """
lsm keyspaces shop.db
lsm keyspaces shop.db --json""",
    )
    _add_json(command, "one JSON object, a member for each keyspace")


def _drop(subparsers: Subparsers) -> None:
    command = _command(
        subparsers,
        "drop",
        commands.drop,
        "Drop one keyspace and all it holds.",
        "There is no way back.",
        """
lsm drop shop.db orders""",
    )
    command.add_argument("keyspace", metavar="NAME", help="the keyspace")


def _stats(subparsers: Subparsers) -> None:
    command = _command(
        subparsers,
        "stats",
        commands.stats,
        "Show how the data lies in memory and on disk.",
        "",
        """
lsm stats shop.db
lsm stats shop.db --json""",
    )
    _add_json(command, "everything the engine tells, as one JSON object")
