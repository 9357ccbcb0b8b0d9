"""`lsm demo`: loads the Unicode character database into a new database, reads it back, shows how it lies on disk.

Every step checks what it read against what was written and raises Error where they differ. Uses the public API alone;
one thread.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import lsm
from lsm import report
from lsm.demo_table import tour_of_table
from lsm.errors import Error
from lsm.progress import Progress
from lsm.unicode import assigned, character_of, point_key

__all__ = ["run_demo"]

OPTIONS: dict[str, Any] = {"memtable_bytes": 1 << 20, "memtables_bytes": 32 << 20}
"""Small memtables, so that a data set of this size spreads over several tables and levels."""

PARTITIONS = 4
BATCH_CHARACTERS = 500
KNOWN = "A", "é", "Ω", "½", "€", "→", "漢", "😀"
INVENTED = 0x10FFFD
INVENTED_NAME = b"LOG-STRUCTURED MERGE TREE"


@dataclass
class Step:
    """One thing that the demo did: `lines` for people, `facts` for programs."""

    name: str
    title: str
    lines: list[str]
    facts: dict[str, Any] = field(default_factory=dict)


class Stopwatch:
    """Adds up the time spent inside `running`."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - begun


def run_demo(
    path: str | None,
    *,
    keep: bool = False,
    as_json: bool = False,
    progress: bool | None = None,
    last: int = sys.maxunicode,
    reads: int = 100_000,
) -> None:
    """Loads the characters up to code point `last`, makes `reads` random reads, prints all of it on stdout.

    Without `path` in a temporary directory, removed at the end unless `keep`. Raises Error where `path` exists and is
    not an empty directory.
    """
    with _directory(path, keep) as directory:
        tour = Tour(directory, None if as_json else sys.stdout, progress, last, reads)
        tour.run()
        kept = keep or path is not None
        if as_json:
            facts = {step.name: step.facts for step in tour.steps}
            print(json.dumps({"path": directory, "kept": kept} | facts, indent=2, ensure_ascii=False))
        else:
            print("\n".join(_farewell(directory, kept)))


@contextmanager
def _directory(path: str | None, keep: bool) -> Iterator[str]:
    if path is None and keep:
        yield tempfile.mkdtemp(prefix="lsm-demo-")
    elif path is None:
        with tempfile.TemporaryDirectory(prefix="lsm-demo-") as directory:
            yield directory
    elif path == ":memory:":
        raise Error("the demo opens its database twice, and ':memory:' keeps nothing in between; name a directory")
    elif Path(path).exists() and (not Path(path).is_dir() or any(Path(path).iterdir())):
        raise Error(f"{path} exists already; name a directory that does not, the demo makes it")
    else:
        yield path


def _farewell(directory: str, kept: bool) -> list[str]:
    if not kept:
        return ["", "The database was temporary; `lsm demo PATH` keeps it, for lsm get, scan and stats to look into."]
    return [
        "",
        f"The database stays in {directory}. To look into it:",
        f"  lsm get {directory} -k characters 01F600",
        f"  lsm scan {directory} -k names --prefix 'GREEK SMALL' --limit 5",
        f"  lsm scan {directory} -k by-category --partition Sc --limit 5",
        f"  lsm stats {directory}",
        f"  python -c 'import lsm.dynamodb; print(lsm.dynamodb.connect({directory!r}).client().list_tables())'",
    ]


class Tour:
    """The steps in order; each is printed on `output` when it is done."""

    def __init__(self, path: str, output: TextIO | None, progress: bool | None, last: int, reads: int) -> None:
        self.steps: list[Step] = []
        self._path = path
        self._output = output
        self._progress = progress
        self._last = last
        self._reads = reads
        self._points = assigned(last)

    def run(self) -> None:
        self._say(f"Unicode {unicodedata.unidata_version}, every assigned character, in {self._path}")
        with lsm.open(self._path, **OPTIONS) as db:
            self._done(self._write(db))
            closing = Stopwatch()
            with closing.running():
                db.close()
        opening = Stopwatch()
        with opening.running():
            db = lsm.open(self._path, **OPTIONS)
        with db:
            self._done(self._reopened(db, closing, opening))
            self._look(db)
        self._done(self._table())

    def _look(self, db: lsm.Database) -> None:
        reads = self._known, self._random, self._scans, self._collection
        for step in (*reads, self._batch, self._snapshot, self._delete, self._layout, self._compact):
            self._done(step(db))

    def _done(self, step: Step) -> None:
        self.steps.append(step)
        self._say("", step.title, *step.lines)

    def _say(self, *lines: str) -> None:
        if self._output is not None:
            print("\n".join(lines), file=self._output, flush=True)

    def _write(self, db: lsm.Database) -> Step:
        points = db.keyspace("characters", partitions=PARTITIONS)
        names, categories = db.keyspace("names"), db.keyspace("by-category", composite=True)
        single, batched = Stopwatch(), Stopwatch()
        total = len(self._points)
        with Progress("loading", total=total, stream=sys.stderr, enabled=self._progress) as bar:
            for begin in range(0, total, BATCH_CHARACTERS):
                chunk = [character_of(point) for point in self._points[begin : begin + BATCH_CHARACTERS]]
                with single.running():
                    for character in chunk:
                        points.put(character.key, character.record)
                with batched.running(), db.batch() as batch:
                    for key, name, category, _ in chunk:
                        batch.put(names, name, key)
                        batch.put(categories, (category, key), name)
                done = begin + len(chunk)
                bar.update(done, 3 * done)
        return self._written(single, batched, db.stats())

    def _written(self, single: Stopwatch, batched: Stopwatch, stats: dict[str, Any]) -> Step:
        count = len(self._points)
        in_batches = f"{2 * count:,} puts in atomic batches of {2 * BATCH_CHARACTERS:,} over both"
        rows = [
            ("characters", f"{count:,} puts, one call each, {_timed(count, single)}"),
            ("names, by-category", f"{in_batches}, {_timed(2 * count, batched)}"),
            ("in the background", report.background(stats)),
        ]
        facts = {
            "unicode": unicodedata.unidata_version,
            "characters": count,
            "puts": _facts(count, single),
            "batched_puts": _facts(2 * count, batched),
        }
        return Step("write", "Written", _table(rows), facts)

    def _reopened(self, db: lsm.Database, closing: Stopwatch, opening: Stopwatch) -> Step:
        keyspaces = sorted(db.keyspaces())
        _expect("the keyspaces", keyspaces, ["by-category", "characters", "names"])
        rows = [
            ("close", f"{closing.seconds * 1e3:,.1f} ms, all of it durable"),
            ("open", f"{opening.seconds * 1e3:,.1f} ms, {len(keyspaces)} keyspaces: {', '.join(keyspaces)}"),
        ]
        facts = {"close_seconds": closing.seconds, "open_seconds": opening.seconds, "keyspaces": keyspaces}
        return Step("reopen", "Closed and opened again", _table(rows), facts)

    def _known(self, db: lsm.Database) -> Step:
        points = db.keyspace("characters")
        rows, facts = [], {}
        for character in KNOWN:
            if ord(character) > self._last:
                continue
            written = character_of(ord(character))
            record = points[written.key]
            _expect(f"the record of {character}", record, written.record)
            members = json.loads(record)
            numeric = "" if members["numeric"] is None else f", worth {members['numeric']:g}"
            rows.append((f"U+{ord(character):04X}  {character}", f"{members['name']} ({members['category']}{numeric})"))
            facts[character] = members
        return Step("known", "Point reads", _table(rows), facts)

    def _random(self, db: lsm.Database) -> Step:
        points, dice = db.keyspace("characters"), random.Random(1)
        keys = [point_key(point) for point in dice.choices(self._points, k=self._reads)]
        absent = [key + b"?" for key in keys]
        present_watch, absent_watch = Stopwatch(), Stopwatch()
        _expect("present keys", _count_present(points.get, keys, present_watch), self._reads)
        _expect("absent keys", _count_present(points.get, absent, absent_watch), 0)
        rows = [
            ("present", f"{self._reads:,} random gets, {_timed(self._reads, present_watch)}"),
            ("absent", f"{self._reads:,} gets, {_timed(self._reads, absent_watch)}"),
        ]
        facts = {"present": _facts(self._reads, present_watch), "absent": _facts(self._reads, absent_watch)}
        return Step("random", "Random reads from characters, in four partitions", _table(rows), facts)

    def _scans(self, db: lsm.Database) -> Step:
        points, names, watch = db.keyspace("characters"), db.keyspace("names"), Stopwatch()
        with watch.running():
            keys = [key for key, _ in points.scan()]
        _expect("the keys of a whole scan", keys, [point_key(point) for point in self._points])
        arrows = _text(points.scan(start=point_key(0x2190), stop=point_key(0x2200), values=False))
        snow = [f"{chr(int(key, 16))} {name.decode()}" for name, key in names.scan(prefix=b"SNOW")]
        final = [name.decode() for name in names.scan(reverse=True, limit=2, values=False)]
        rows = [
            ("characters, whole", f"{len(keys):,} records in key order over 4 partitions, {_timed(len(keys), watch)}"),
            ("characters, 002190 up to 002200", f"{len(arrows)} arrows: {' '.join(arrows[:16])} ..."),
            ("names that begin with SNOW", ", ".join(snow)),
            ("names, the last two, backwards", ", ".join(final)),
        ]
        facts = {"arrows": len(arrows), "snow": snow, "last": final}
        return Step("scans", "Scans", _table(rows), {"whole": _facts(len(keys), watch)} | facts)

    def _collection(self, db: lsm.Database) -> Step:
        categories = db.keyspace("by-category", composite=True)
        capitals = [sort_key for _, sort_key in categories.scan(partition=b"Lu", values=False)]
        _expect("the order of category Lu", capitals, sorted(capitals))
        lasts = [
            f"U+{int(key, 16):04X}" for _, key in categories.scan(partition=b"Lu", reverse=True, limit=3, values=False)
        ]
        some = categories.scan(partition=b"Lu", start=point_key(0x391), stop=point_key(0x3AA), values=False)
        greek = _text(key for _, key in some)
        rows = [
            ("capital letters", f"{len(capitals):,}, contiguous on disk and in code point order"),
            ("the Greek ones among them", " ".join(greek)),
            ("the last three, backwards", " ".join(lasts)),
        ]
        facts = {"capitals": len(capitals), "greek": greek, "last": lasts}
        return Step("collection", "One item collection: category Lu in by-category", _table(rows), facts)

    def _batch(self, db: lsm.Database) -> Step:
        points, names = db.keyspace("characters"), db.keyspace("names")
        record = json.dumps({"name": INVENTED_NAME.decode(), "category": "Co"}).encode()
        with db.batch(sync=True) as batch:
            batch.put(points, point_key(INVENTED), record)
            batch.put(names, INVENTED_NAME, point_key(INVENTED))
        _expect("the invented character", points[point_key(INVENTED)], record)
        _expect("its name", names[INVENTED_NAME], point_key(INVENTED))
        assert batch.sequence is not None
        epoch, counter = divmod(batch.sequence, 1 << report.COUNTER_BITS)
        rows = [
            (f"U+{INVENTED:X}", f"{INVENTED_NAME.decode()}, put into characters and names in one commit"),
            ("commit", f"number {counter:,} of epoch {epoch}, on disk"),
        ]
        return Step("batch", "An atomic batch over two keyspaces, synced", _table(rows), {"sequence": batch.sequence})

    def _snapshot(self, db: lsm.Database) -> Step:
        names = db.keyspace("names")
        with db.snapshot() as snapshot:
            names.put(INVENTED_NAME, b"overwritten")
            seen, current = snapshot.get(names, INVENTED_NAME, b"absent"), names[INVENTED_NAME]
        _expect("the snapshot's value", seen, point_key(INVENTED))
        _expect("the current value", current, b"overwritten")
        rows = [("in the snapshot", seen.decode()), ("outside, after a later put", current.decode())]
        facts = {"snapshot": seen.decode(), "current": current.decode()}
        return Step("snapshot", f"A snapshot: {INVENTED_NAME.decode()} in names", _table(rows), facts)

    def _delete(self, db: lsm.Database) -> Step:
        points, names = db.keyspace("characters"), db.keyspace("names")
        with db.batch() as batch:
            batch.delete(points, point_key(INVENTED))
            batch.delete(names, INVENTED_NAME)
        _expect("the deleted character", points.get(point_key(INVENTED)), None)
        _expect("its deleted name", INVENTED_NAME in names, False)
        rows = [(f"U+{INVENTED:X}", "gone from characters and names")]
        return Step("delete", "Deleted again", _table(rows), {"present": False})

    def _compact(self, db: lsm.Database) -> Step:
        watch, before = Stopwatch(), report.table_sizes(db.stats())
        with watch.running():
            db.compact()
        after = report.table_sizes(db.stats())
        rows = [(f"in {watch.seconds:.2f} s", f"{report.table_text(before)} -> {report.table_text(after)}")]
        facts = {"seconds": watch.seconds, "before": before, "after": after}
        return Step("compact", "Compacted", _table(rows), facts)

    def _table(self) -> Step:
        total = len(self._points)
        with Progress("building a table", total=total, stream=sys.stderr, enabled=self._progress) as bar:
            done = tour_of_table(self._path, self._points, lambda count: bar.update(count, count))
        return Step("dynamodb", "A DynamoDB table in the same database", _table(done.rows), done.facts)

    def _layout(self, db: lsm.Database) -> Step:
        stats = db.stats()
        return Step("stats", "How it lies on disk", ["", *report.describe(stats)], stats)


def _count_present(get: Callable[[bytes], bytes | None], keys: list[bytes], watch: Stopwatch) -> int:
    present = 0
    with watch.running():
        for key in keys:
            if get(key) is not None:
                present += 1
    return present


def _table(rows: list[tuple[str, str]]) -> list[str]:
    return report.columns(rows, left=2)


def _text(keys: Iterable[bytes]) -> list[str]:
    return [chr(int(key, 16)) for key in keys]


def _timed(count: int, watch: Stopwatch) -> str:
    return f"{watch.seconds:.2f} s, {count / watch.seconds:,.0f}/s"


def _facts(count: int, watch: Stopwatch) -> dict[str, float]:
    return {"count": count, "seconds": watch.seconds, "per_second": count / watch.seconds}


def _expect(what: str, got: object, expected: object) -> None:
    if got != expected:
        raise Error(f"the demo read something else than it wrote: {what} is {got!r:.80}, not {expected!r:.80}")
