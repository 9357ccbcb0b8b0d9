"""What each command of `lsm` does with a database; `lsm.cli` has its arguments.

Every function takes the parsed arguments, opens the database, closes it, and returns the exit status. Only `put` and
`load` create anything.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import lsm
from lsm import report
from lsm.byteforms import Form, display, encode, to_json
from lsm.command_line import Failure, one_line
from lsm.demo import run_demo
from lsm.dump_parts import Damage, DumpHeaderError, DumpReader
from lsm.errors import Error
from lsm.loading import Loader, Outcome, Target, Verdict
from lsm.progress import Progress
from lsm.records import BadLine, Fields, Format, HeaderError, Lines, read_records
from lsm.restoring import NotRestorable, Restored, Restorer, dump_reader, recognised

__all__ = [
    "delete",
    "demo",
    "drop",
    "get",
    "keyspaces",
    "load",
    "put",
    "scan",
    "stats",
]

INTERRUPTED = 130

# json.dumps makes a new one for every call that has settings
_ENCODER = json.JSONEncoder(ensure_ascii=False)

Key = bytes | tuple[bytes, bytes]


def demo(options: argparse.Namespace) -> int:
    run_demo(options.path, keep=options.keep, as_json=options.json, progress=options.progress)
    return 0


def put(options: argparse.Namespace) -> int:
    value = _file_value(options.value) if options.file else _argument(options.value, _form(options, "values"))
    with _created(options.path) as db:
        composite = None if options.sort_key is None else True
        keyspace = db.keyspace(options.keyspace, composite=composite, partitions=options.partitions)
        keyspace.put(_key(options, keyspace), value, sync=options.sync)
    return 0


def get(options: argparse.Namespace) -> int:
    with _reading(options.path) as db:
        keyspace = _keyspace(db, options.keyspace)
        key = _key(options, keyspace)
        value = keyspace.get(key)
    if value is None:
        raise Failure(f"no key {options.key!r} in keyspace {options.keyspace!r}")
    if options.raw:
        sys.stdout.flush()
        sys.stdout.buffer.write(value)
        sys.stdout.buffer.flush()
    elif options.json:
        _print_json(_json_entry(options, key, value))
    else:
        print(display(value, _form(options, "values"), lines=True))
    return 0


def delete(options: argparse.Namespace) -> int:
    with _writing(options.path) as db:
        keyspace = _keyspace(db, options.keyspace)
        keyspace.delete(_key(options, keyspace), sync=options.sync)
    return 0


def scan(options: argparse.Namespace) -> int:
    with _reading(options.path) as db:
        keyspace = _keyspace(db, options.keyspace)
        entries = keyspace.scan(**_scan_bounds(options, keyspace), values=not options.keys_only)
        for entry in entries:
            key, value = (entry, None) if options.keys_only else entry
            if options.json:
                _print_json(_json_entry(options, key, value))
            else:
                print(_text_entry(options, key, value))
    return 0


def load(options: argparse.Namespace) -> int:
    text_format = options.format or Format.of_name(options.file)
    with _input(options.file) as (stream, size):
        beginning = b""
        if text_format is Format.JSONL and not (options.key or options.sort_key or options.value):
            beginning, stream = recognised(stream)
        if beginning:
            try:
                return _load_dump(options, dump_reader(beginning, stream, records=options.batch_records), size)
            except DumpHeaderError as error:
                raise Failure(f"{_source(options)}: {error}") from None
        return _load_records(options, text_format, stream, size)


def _load_dump(options: argparse.Namespace, reader: DumpReader, size: int | None) -> int:
    bar = Progress("loading", total=size, stream=sys.stderr, enabled=options.progress)
    with _created(options.path) as db:
        restorer = Restorer(
            db,
            reader,
            on_damage=lambda damage: _report_damage(options, bar, damage),
            on_progress=lambda outcome: bar.update(reader.bytes, outcome.loaded + outcome.kept),
            existing=options.existing,
            only=options.keyspace,
            partitions=options.partitions,
            sync=options.sync,
        )
        try:
            held_some = restorer.prepare()
            with bar:
                outcome = restorer.run()
        except NotRestorable as error:
            raise Failure(f"nothing was loaded: {error}") from None
        except Error as error:
            raise Failure(f"{one_line(error)}; {_how_far_dump(options, restorer.outcome)}") from error
    return _report_dump(options, outcome, held_some)


def _load_records(options: argparse.Namespace, text_format: Format, stream: BinaryIO, size: int | None) -> int:
    options.keyspace = options.keyspace or "default"
    fields = Fields(options.key, options.sort_key, options.value, _form(options, "keys"), _form(options, "values"))
    with _created(options.path) as db:
        lines = Lines(stream)
        bar = Progress("loading", total=size, stream=sys.stderr, enabled=options.progress)
        target = Target(db, options.keyspace, options.partitions, options.sync, options.batch_records)
        loader = Loader(
            target,
            on_bad=lambda bad: _report_bad(options, bar, bad),
            on_progress=lambda outcome: bar.update(lines.bytes, outcome.loaded),
        )
        try:
            with bar:
                loader.run(read_records(lines, text_format, fields))
        except HeaderError as error:
            raise Failure(f"{_source(options)}: {error}") from None
        except Error as error:
            raise Failure(f"{one_line(error)}; {_how_far(options, loader.outcome)}") from error
    return _report_load(options, loader.outcome)


def keyspaces(options: argparse.Namespace) -> int:
    with _reading(options.path) as db:
        facts = db.stats()["keyspaces"]
    if options.json:
        _print_json(facts)
    else:
        print("\n".join(report.columns(report.keyspace_rows(facts), left=2, indent="")))
    return 0


def drop(options: argparse.Namespace) -> int:
    with _writing(options.path) as db:
        _keyspace(db, options.keyspace)
        db.drop_keyspace(options.keyspace)
    return 0


def stats(options: argparse.Namespace) -> int:
    with _reading(options.path) as db:
        facts = db.stats()
    if options.json:
        print(json.dumps(facts, indent=2, ensure_ascii=False))
    else:
        print("\n".join(report.describe(facts)))
    return 0


def _created(path: str) -> lsm.Database:
    """The database at `path`, made where there is none."""
    if path == ":memory:":
        raise Failure("':memory:' would keep nothing after this command; name a directory")
    return lsm.open(path)


def _writing(path: str) -> lsm.Database:
    """The database at `path`, for writing; Failure where there is none."""
    _check_exists(path)
    return lsm.open(path, create=False)


def _reading(path: str) -> lsm.Database:
    """The database at `path` as it is at this moment, also where another process has it open."""
    _check_exists(path)
    return lsm.open(path, read_only=True)


def _check_exists(path: str) -> None:
    if not Path(path).exists():
        raise Failure(f"{path}: there is no database; `lsm put` and `lsm load` create one")


def _keyspace(db: lsm.Database, name: str) -> lsm.Keyspace:
    """The keyspace of that name; Failure where there is none."""
    names = db.keyspaces()
    if name not in names:
        there = f"there is {', '.join(map(repr, sorted(names)))}" if names else "the database has none yet"
        raise Failure(f"no keyspace {name!r}: {there}")
    return db.keyspace(name)


def _key(options: argparse.Namespace, keyspace: lsm.Keyspace) -> Key:
    """KEY, with --sort-key exactly where the keyspace is composite."""
    composite = keyspace.composite
    if composite and options.sort_key is None:
        raise Failure(f"keyspace {options.keyspace!r} is composite: give --sort-key too")
    if not composite and options.sort_key is not None:
        raise Failure(f"keyspace {options.keyspace!r} is plain: leave --sort-key out")
    form = _form(options, "keys")
    key = _argument(options.key, form)
    return (key, _argument(options.sort_key, form)) if composite else key


def _scan_bounds(options: argparse.Namespace, keyspace: lsm.Keyspace) -> dict[str, Any]:
    form = _form(options, "keys")
    given = {name: getattr(options, name) for name in ("partition", "start", "stop", "prefix")}
    bounds: dict[str, Any] = {name: _argument(text, form) for name, text in given.items() if text is not None}
    if "partition" in bounds and not keyspace.composite:
        raise Failure(f"keyspace {options.keyspace!r} is plain: leave --partition out")
    if bounds and keyspace.composite and "partition" not in bounds:
        raise Failure(f"keyspace {options.keyspace!r} is composite: --start, --stop and --prefix need --partition")
    return bounds | {"reverse": options.reverse, "limit": options.limit}


def _form(options: argparse.Namespace, part: str) -> Form:
    return getattr(options, f"{part}_as") or options.form or Form.TEXT


def _argument(text: str, form: Form) -> bytes:
    """The bytes of an argument; as text, exactly those that the shell gave."""
    if form is Form.TEXT:
        return os.fsencode(text)
    try:
        return encode(text, form)
    except ValueError as error:
        raise Failure(f"{text!r} is {error}") from None


def _file_value(name: str) -> bytes:
    return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()


def _json_entry(options: argparse.Namespace, key: Key, value: bytes | None) -> dict[str, Any]:
    form = _form(options, "keys")
    entry: dict[str, Any] = {}
    if isinstance(key, tuple):
        entry["key"], entry["sort_key"] = (to_json(part, form) for part in key)
    else:
        entry["key"] = to_json(key, form)
    if value is not None:
        entry["value"] = to_json(value, _form(options, "values"))
    return entry


def _text_entry(options: argparse.Namespace, key: Key, value: bytes | None) -> str:
    form = _form(options, "keys")
    parts = key if isinstance(key, tuple) else (key,)
    cells = [display(part, form) for part in parts]
    if value is not None:
        cells.append(display(value, _form(options, "values")))
    return "\t".join(cells)


def _print_json(value: object) -> None:
    print(_ENCODER.encode(value))


@contextmanager
def _input(name: str) -> Iterator[tuple[BinaryIO, int | None]]:
    """The stream to load and its length in bytes, where it is known."""
    if name == "-":
        yield sys.stdin.buffer, None
        return
    with open(name, "rb") as stream:
        yield stream, os.fstat(stream.fileno()).st_size or None


def _source(options: argparse.Namespace) -> str:
    return "standard input" if options.file == "-" else str(options.file)


def _report_bad(options: argparse.Namespace, bar: Progress, bad: BadLine) -> bool:
    bar.clear()
    print(f"lsm: {_source(options)}:{bad.line}: {bad.reason}", file=sys.stderr)
    return bool(options.on_error == "skip")


def _how_far(options: argparse.Namespace, outcome: Outcome) -> str:
    if not outcome.loaded:
        return "nothing was loaded"
    return f"{report.count(outcome.loaded, 'record')} loaded, through line {outcome.last_line} of {_source(options)}"


def _report_load(options: argparse.Namespace, outcome: Outcome) -> int:
    if options.json:
        _print_json(
            {
                "loaded": outcome.loaded,
                "skipped": outcome.skipped,
                "last_line": outcome.last_line,
                "seconds": outcome.seconds,
                "complete": outcome.verdict is Verdict.COMPLETE,
            }
        )
    if outcome.verdict is Verdict.INTERRUPTED:
        raise Failure(f"interrupted: {_how_far(options, outcome)}", INTERRUPTED)
    if outcome.verdict is Verdict.BAD_LINE:
        raise Failure(f"stopped: {_how_far(options, outcome)}; --on-error skip goes on after a bad line")
    if not options.json:
        print(_loaded(options, outcome))
    return 0


def _report_damage(options: argparse.Namespace, bar: Progress, damage: Damage) -> bool:
    bar.clear()
    print(f"lsm: {_source(options)}: {damage.place}: {damage.reason}", file=sys.stderr)
    return bool(options.on_error == "skip")


def _how_far_dump(options: argparse.Namespace, outcome: Restored) -> str:
    if not outcome.place:
        return "nothing was loaded"
    done = report.count(outcome.loaded + outcome.kept, "record")
    return f"{done} loaded, through {outcome.place} of {_source(options)}"


def _report_dump(options: argparse.Namespace, outcome: Restored, held_some: list[str]) -> int:
    if options.json:
        facts = dataclasses.asdict(outcome) | {"complete": outcome.verdict is Verdict.COMPLETE}
        del facts["verdict"]
        _print_json(facts)
    again = "--existing overwrite begins anew"
    if outcome.verdict is Verdict.INTERRUPTED:
        raise Failure(f"interrupted: {_how_far_dump(options, outcome)}; {again}", INTERRUPTED)
    if outcome.verdict is Verdict.BAD_LINE:
        what = "--on-error skip loads what can be read of a damaged dump"
        raise Failure(f"stopped: {_how_far_dump(options, outcome)}; {what}")
    if not options.json:
        print(_loaded_dump(outcome, held_some))
    return 0


def _loaded_dump(outcome: Restored, held_some: list[str]) -> str:
    done = f"{report.count(outcome.loaded, 'record')} of {report.count(outcome.keyspaces, 'keyspace')} loaded"
    kept = f"; {report.count(outcome.kept, 'record')} there already and kept" if outcome.kept else ""
    added = f"; added to what {', '.join(map(repr, held_some))} held" if held_some else ""
    skipped = f"; {report.count(outcome.skipped, 'damaged part')} skipped" if outcome.skipped else ""
    return f"{done} in {outcome.seconds:.2f} s{_rate(outcome.loaded, outcome.seconds)}{kept}{added}{skipped}"


def _rate(records: int, seconds: float) -> str:
    return f" ({records / seconds:,.0f}/s)" if records and seconds > 0 else ""


def _loaded(options: argparse.Namespace, outcome: Outcome) -> str:
    rate = _rate(outcome.loaded, outcome.seconds)
    skipped = f"; {report.count(outcome.skipped, 'bad line')} skipped" if outcome.skipped else ""
    records = report.count(outcome.loaded, "record")
    return f"{records} loaded into {options.keyspace!r} in {outcome.seconds:.2f} s{rate}{skipped}"
