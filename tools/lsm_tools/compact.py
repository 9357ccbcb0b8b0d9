"""`lsm compact`: merges all or some tables of a database that nothing has open, with other compression if asked.

Guarantees: safe to kill at any time, see compact_run; says what the space was before and is after. One thread.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lsm.byteforms import Form, encode
from lsm.command_line import Failure
from lsm.database import Database
from lsm.options import COMPRESSIONS, ZSTD_DICTIONARIES, Options
from lsm.progress import Progress
from lsm.version import MAX_LEVELS
from lsm_tools.compact_plan import Request, scope
from lsm_tools.compact_report import space, table_of_changes, totals
from lsm_tools.compact_run import Outcome, compact, opened

__all__ = ["add_compact"]

INTERRUPTED = 130

SUMMARY = "Merge tables, dropping what was overwritten or deleted; with other compression if asked."

HELP = f"""\
{SUMMARY}

Without options everything goes into the deepest level of its keyspace, as the engine compresses it. --start and
--stop take only tables that hold keys of that range, level by level down to the deepest; --level writes the tables of
those levels anew where they are. Where --compression, --zstd-level or --dictionary is given, tables that need no
merging are written anew too.

What the tables are compressed with stays with them until they are merged again. Later compactions go by the options
of the program that has the database open then: open it with the same compression=, zstd_level= and zstd_dictionary=
to keep it that way.

It needs room for the new tables before the old ones go. It may be killed at any time: what was merged stays so, the
rest is as before. Ctrl-C gives up the step under way.
"""

EXAMPLES = """\
examples:
  lsm compact shop.db                                     everything
  lsm compact shop.db -k orders --start 2024- --stop 2025-
  lsm compact shop.db --compression zstd --zstd-level 19  an archive: small, slow to write, as fast to read
  lsm compact shop.db --compression lz4                   and back
  lsm compact shop.db --level 1 --level 2 --dictionary train
  lsm compact shop.db --json | jq .after.bytes
"""


def add_compact(subparsers: Any) -> None:
    command = subparsers.add_parser("compact", help=SUMMARY, description=HELP, epilog=EXAMPLES)
    command.set_defaults(run=_compact)
    command.add_argument("path", metavar="PATH", help="the database directory")
    command.add_argument(
        "-k",
        "--keyspace",
        metavar="NAME",
        action="append",
        help="only this keyspace; may be given again (default: all)",
    )
    part = command.add_argument_group("a part of it")
    part.add_argument("--start", metavar="KEY", help="the lowest key, included; needs one --keyspace")
    part.add_argument("--stop", metavar="KEY", help="the highest key, not included")
    part.add_argument(
        "--keys-as", type=Form, choices=list(Form), default=Form.TEXT, metavar="FORM", help="text, hex or base64"
    )
    part.add_argument(
        "--level",
        type=int,
        action="append",
        choices=range(MAX_LEVELS),
        metavar="N",
        help="only the tables of this level, where they are; may be given again",
    )
    _add_settings(command)
    command.add_argument(
        "--progress", action="store_true", default=None, help="show a progress bar, also where stderr is no terminal"
    )
    command.add_argument("--json", action="store_true", help="print space before and after, and what was done, as JSON")


def _add_settings(command: argparse.ArgumentParser) -> None:
    settings = command.add_argument_group("how tables are written")
    settings.add_argument(
        "--compression",
        choices=COMPRESSIONS,
        help="as the option of lsm.open (default: auto; zstd where --zstd-level or --dictionary is given)",
    )
    settings.add_argument("--zstd-level", type=int, choices=range(1, 23), metavar="N", help="1 to 22 (default: 3)")
    settings.add_argument(
        "--dictionary",
        choices=ZSTD_DICTIONARIES,
        help="of tables with zstd, for small records: train, none, or auto, one where it pays (default)",
    )
    for name, what in (("block-bytes", "a block"), ("table-bytes", "a table")):
        settings.add_argument(
            f"--{name}",
            type=int,
            metavar="N",
            help=f"size of {what} written, where the program does not use the default",
        )


def _compact(options: argparse.Namespace) -> int:
    settings = _settings(options)
    request = _request(options)
    if not Path(options.path).exists():
        raise Failure(f"{options.path}: there is no database; `lsm put` and `lsm load` create one")
    begun = time.perf_counter()
    with opened(options.path, settings) as db:
        chosen = _keyspaces(db, options)
        before = space(db, chosen)
        total = sum(
            t.entries for p in db._store.version.partitions() if p.keyspace in chosen for t in scope(p, request)
        )
        bar = Progress("compacting", total=total or None, stream=sys.stderr, enabled=options.progress)
        outcome = compact(db, request, frozenset(chosen), bar)
        after = space(db, chosen)
    _report(options, before, after, outcome, time.perf_counter() - begun)
    if not outcome.complete:
        raise Failure("interrupted: what was merged stays so, the rest is as before", INTERRUPTED)
    return 0


def _settings(options: argparse.Namespace) -> Options:
    wants_zstd = options.zstd_level is not None or options.dictionary is not None
    if wants_zstd and options.compression in ("none", "lz4"):
        raise Failure(f"--compression {options.compression} has neither level nor dictionary: leave them out", 2)
    if options.compression == "zstd" and options.level == [0]:
        raise Failure("level 0 is never zstd, it is rewritten soonest and read most: name a deeper level", 2)
    chosen = {
        "compression": options.compression or ("zstd" if wants_zstd else None),
        "zstd_level": options.zstd_level,
        "zstd_dictionary": options.dictionary,
        "block_bytes": options.block_bytes,
        "table_bytes": options.table_bytes,
    }
    return Options.from_keywords(
        {"create": False} | {name: value for name, value in chosen.items() if value is not None}
    )


def _request(options: argparse.Namespace) -> Request:
    ranged = options.start is not None or options.stop is not None
    if ranged and options.level:
        raise Failure("--level does not go with --start and --stop", 2)
    if ranged and len(options.keyspace or ()) != 1:
        raise Failure("--start and --stop are keys of one keyspace: name it with --keyspace", 2)
    named = (options.compression, options.zstd_level, options.dictionary)
    return Request(
        _key(options, options.start),
        _key(options, options.stop),
        frozenset(options.level or ()),
        rewrite=any(value is not None for value in named),
    )


def _key(options: argparse.Namespace, text: str | None) -> bytes | None:
    if text is None:
        return None
    if options.keys_as is Form.TEXT:
        return os.fsencode(text)
    try:
        return encode(text, options.keys_as)
    except ValueError as error:
        raise Failure(f"{text!r} is {error}", 2) from None


def _keyspaces(db: Database, options: argparse.Namespace) -> dict[int, str]:
    """Ids and names of those to be compacted."""
    known = {k.name: k for k in db._store.version.keyspaces.values()}
    for name in options.keyspace or ():
        if name not in known:
            there = f"there is {', '.join(map(repr, sorted(known)))}" if known else "the database has none yet"
            raise Failure(f"no keyspace {name!r}: {there}")
        if known[name].composite and (options.start is not None or options.stop is not None):
            raise Failure(
                f"keyspace {name!r} is composite: its keys lie in hash order, a range of them is no range of it"
            )
    return {known[name].id: name for name in options.keyspace or sorted(known)}


def _report(
    options: argparse.Namespace, before: dict[str, Any], after: dict[str, Any], outcome: Outcome, seconds: float
) -> None:
    if options.json:
        print(json.dumps({"before": before, "after": after, "seconds": seconds, **asdict(outcome)}))
        return
    print("\n".join(table_of_changes(before, after)))
    print(f"{totals(before)} -> {totals(after)} in {seconds:.2f} s")
