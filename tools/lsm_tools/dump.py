"""`lsm dump`: every record of a database, as one moment of it, into a stream.

Guarantees: what is dumped is the database at one moment, also beside a writer in another process; memory is bounded by
the largest record; a dump that did not end well never stands under its final name. One thread.
"""

from __future__ import annotations

import argparse
import contextlib
import enum
import json
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, BinaryIO

import lsm
from lsm.command_line import Failure
from lsm.dump_binary import DEFAULT_LEVEL, BinaryWriter
from lsm.dump_lines import LinesWriter
from lsm.dump_parts import DumpWriter, Key, KeyspaceHead
from lsm.progress import Progress
from lsm.report import count
from lsm_tools.whole_file import whole_file

__all__ = ["DumpForm", "add_dump", "dump_database"]

CHUNK_BYTES = 1 << 20
"""Keys and values of a block. A larger one compresses little better."""

CHUNK_RECORDS = 1 << 16
CACHE_BYTES = 16 << 20

HELP = """\
Write every record of a database to a file or a pipe.

The dump is the database at one moment. Another process may have it open and go on writing: what it commits after that
moment is not in the dump. `lsm load` brings keyspaces, their options and all records back, into any database.

Two forms: `jsonl`, JSON Lines, which other programs read (bytes that are not UTF-8 stand in base64), and `binary`,
several times smaller and faster, each block with a checksum. Both end with a mark that counts what they hold, so that
`lsm load` knows whether a dump is whole. FILE appears under its name only when it is, and replaces what was there.
"""

EXAMPLES = """\
examples:
  lsm dump notes.db -o notes.dump               binary, by the name
  lsm dump notes.db -o notes.jsonl              JSON Lines, by the name
  lsm dump notes.db | grep milk                 JSON Lines, to a pipe
  lsm dump shop.db -k orders -k users -o shop.dump
  lsm dump old.db --format binary | ssh there lsm load new.db -
"""


class DumpForm(enum.StrEnum):
    """How a dump is written."""

    JSONL = "jsonl"
    BINARY = "binary"

    @classmethod
    def of_name(cls, name: str) -> DumpForm:
        """What the name of a file tells; JSON Lines where it tells nothing."""
        return cls.BINARY if PurePath(name).suffix.lower() in (".dump", ".lsmdump", ".bin") else cls.JSONL


@dataclass
class Dumped:
    records: int = 0
    keyspaces: int = 0
    bytes: int = 0
    seconds: float = 0.0
    sequence: int = 0


def add_dump(subparsers: Any) -> None:
    command = subparsers.add_parser(
        "dump", help="Write every record of a database to a file or a pipe.", description=HELP, epilog=EXAMPLES
    )
    command.set_defaults(run=_dump)
    command.add_argument("path", metavar="PATH", help="the database directory")
    command.add_argument("-o", "--output", metavar="FILE", default="-", help="default: -, standard output")
    command.add_argument(
        "-k", "--keyspace", metavar="NAME", action="append", help="only this keyspace; may be repeated (default: all)"
    )
    command.add_argument(
        "--format",
        type=DumpForm,
        choices=list(DumpForm),
        metavar="FORMAT",
        help="jsonl or binary (default: binary where FILE ends with .dump, .lsmdump or .bin, otherwise jsonl)",
    )
    command.add_argument(
        "--level",
        type=int,
        choices=range(20),
        default=DEFAULT_LEVEL,
        metavar="N",
        help=f"of zstd in the binary form, 1 (fast) to 19 (small); 0 does not compress (default: {DEFAULT_LEVEL})",
    )
    command.add_argument(
        "--progress", action="store_true", default=None, help="show a progress bar, also where stderr is no terminal"
    )
    command.add_argument("--json", action="store_true", help="print what was dumped as JSON; needs -o FILE")


def _dump(options: argparse.Namespace) -> int:
    form = options.format or DumpForm.of_name(options.output)
    if options.output == "-":
        return _dump_to_stdout(options, form)
    with _opened(options.path) as db, whole_file(options.output) as stream:
        done = dump_database(db, stream, form, options.keyspace, level=options.level, progress=options.progress)
        done.bytes = stream.tell() if stream.seekable() else 0
    if options.json:
        print(json.dumps(vars(done)))
    else:
        rate = f" ({done.records / done.seconds:,.0f}/s)" if done.records and done.seconds > 0 else ""
        what = f"{count(done.records, 'record')} of {count(done.keyspaces, 'keyspace')}"
        print(f"{what} dumped to {options.output} in {done.seconds:.2f} s{rate}")
    return 0


def _dump_to_stdout(options: argparse.Namespace, form: DumpForm) -> int:
    if options.json:
        raise Failure("--json needs -o FILE: standard output holds the dump", 2)
    if form is DumpForm.BINARY and sys.stdout.isatty():
        raise Failure("a binary dump is not for a terminal: give -o FILE, or pipe it on", 2)
    sys.stdout.flush()
    with _opened(options.path) as db:
        dump_database(db, sys.stdout.buffer, form, options.keyspace, level=options.level, progress=options.progress)
    sys.stdout.buffer.flush()
    return 0


def _opened(path: str) -> lsm.Database:
    if not Path(path).exists():
        raise Failure(f"{path}: there is no database")
    # a table that a writer replaces stays readable as long as it is open here
    return lsm.open(path, read_only=True, cache_bytes=CACHE_BYTES, max_open_files=_files_to_open())


def _files_to_open() -> int:
    """As many as the system allows this process, but for a few."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 1 << 20 if hard == resource.RLIM_INFINITY else hard
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return max(16, min(allowed - 64, 1 << 20))


def dump_database(
    db: lsm.Database,
    stream: BinaryIO,
    form: DumpForm,
    names: list[str] | None = None,
    *,
    level: int = DEFAULT_LEVEL,
    progress: bool | None = False,
) -> Dumped:
    """Writes the keyspaces of these names, or all, to `stream`. Failure where there is none of a name."""
    begun = time.perf_counter()
    keyspaces = [db.keyspace(name) for name in _chosen(db, names)]
    heads = [KeyspaceHead(keyspace.name, keyspace.composite, keyspace.partitions) for keyspace in keyspaces]
    total = sum(keyspace.approximate_count() for keyspace in keyspaces)
    bar = Progress("dumping", total=total or None, stream=sys.stderr, enabled=progress)
    with db.snapshot() as snapshot, bar:
        writer: DumpWriter
        if form is DumpForm.BINARY:
            writer = BinaryWriter(stream, snapshot.sequence, heads, level=level)
        else:
            writer = LinesWriter(stream, snapshot.sequence, heads)
        for number, keyspace in enumerate(keyspaces):
            for keys, values in _chunks(snapshot, keyspace):
                writer.write(number, keys, values)
                bar.update(writer.totals.records, writer.totals.records)
        writer.finish()
        bar.update(total, writer.totals.records)
    return Dumped(writer.totals.records, len(heads), 0, time.perf_counter() - begun, snapshot.sequence)


def _chosen(db: lsm.Database, names: list[str] | None) -> list[str]:
    there = db.keyspaces()
    for name in names or ():
        if name not in there:
            raise Failure(f"no keyspace {name!r}: there is {', '.join(map(repr, there)) or 'none'}")
    return there if names is None else sorted(set(names))


def _chunks(snapshot: lsm.Snapshot, keyspace: lsm.Keyspace) -> Iterator[tuple[list[Key], list[bytes]]]:
    """All records of a keyspace, by about `CHUNK_BYTES`."""
    composite = keyspace.composite
    keys: list[Key] = []
    values: list[bytes] = []
    size = 0
    with snapshot.scan(keyspace) as entries:
        for key, value in entries:
            keys.append(key)
            values.append(value)
            size += len(value) + (len(key[0]) + len(key[1]) if composite else len(key))
            if size >= CHUNK_BYTES or len(keys) >= CHUNK_RECORDS:
                yield keys, values
                keys, values, size = [], [], 0
    if keys:
        yield keys, values
