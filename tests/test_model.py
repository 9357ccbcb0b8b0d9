"""The engine against a dict: random calls in random order, across option sets so small that everything happens.

Run longer with LSM_TEST_SCALE=20. A failure prints the calls that lead to it.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from model import OPTION_SETS, TINY, KeyspaceModel, hash_rank, scaled, value_of

import lsm
from lsm.errors import ClosedError, KeyspaceDroppedError

PARTITION_KEYS = [
    b"\x00",
    b"\x00\xff",
    b"\x00\x01",
    b"a",
    b"ab",
    b"a\x00",
    b"\xff",
    b"\xff\xff",
    b"user-1",
    b"user-2",
    b"x" * 200,
]
COMMON = [b"k%03d" % n for n in range(0, 400, 7)]

keys = (
    st.sampled_from(COMMON)
    | st.binary(min_size=1, max_size=6)
    | st.sampled_from([b"\x00", b"\xff" * 3, b"k", b"y" * 700])
)
stamps = st.integers(0, 1 << 20)
lengths = st.sampled_from([0, 1, 10, 10, 100, 100, 300, 1000, 5000])
slots = st.integers(0, 100)
maybe_key = st.none() | keys
maybe_prefix = st.none() | st.none() | st.sampled_from([b"", b"k", b"k0", b"k12", b"\x00", b"\xff", b"y"])
limits = st.none() | st.sampled_from([0, 1, 2, 10, 1000])


class Engine(RuleBasedStateMachine):
    """Rules act on the database and on the models alike; a slot number picks the keyspace, snapshot or iterator."""

    options: ClassVar[dict[str, Any]] = {}
    on_disk = True

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.mkdtemp(prefix="lsm-model-")
        self.db: Any = None
        self.models: dict[str, KeyspaceModel] = {}
        self.handles: dict[str, Any] = {}
        self.snapshots: list[tuple[Any, dict[str, tuple[Any, KeyspaceModel]]]] = []
        self.iterators: list[tuple[str, Any, list[Any]]] = []
        self.last = 0
        self.made = 0
        self.open()
        self.rank = hash_rank(self.db, PARTITION_KEYS)
        self.drop_reference()
        for composite, partitions in [(False, 1), (True, 1), (False, 4), (True, 3)]:
            self.make(composite, partitions)

    def open(self) -> None:
        self.db = lsm.open(self.directory if self.on_disk else ":memory:", **self.options)

    def drop_reference(self) -> None:
        (name,) = self.db.keyspaces()
        self.db.drop_keyspace(name)

    def make(self, composite: bool, partitions: int) -> None:
        name = f"keyspace {self.made}"
        self.made += 1
        self.handles[name] = self.db.keyspace(name, composite=composite, partitions=partitions)
        self.models[name] = KeyspaceModel(self.rank if composite else None)

    def pick(self, slot: int) -> tuple[Any, KeyspaceModel]:
        name = sorted(self.models)[slot % len(self.models)]
        return self.handles[name], self.models[name]

    @staticmethod
    def key_in(model: KeyspaceModel, raw: bytes) -> Any:
        """The raw key itself, or as a pair whose partition key has a known rank."""
        return raw if model.rank is None else (PARTITION_KEYS[raw[-1] % len(PARTITION_KEYS)], raw[:-1])

    def committed(self, sequence: int) -> None:
        assert sequence > self.last
        self.last = sequence

    # Writes

    @rule(slot=slots, raw=keys, stamp=stamps, length=lengths)
    def put(self, slot: int, raw: bytes, stamp: int, length: int) -> None:
        ks, model = self.pick(slot)
        key = self.key_in(model, raw)
        self.committed(ks.put(key, value_of(stamp, length)))
        model.data[key] = value_of(stamp, length)

    @rule(slot=slots, raw=keys)
    def delete(self, slot: int, raw: bytes) -> None:
        ks, model = self.pick(slot)
        key = self.key_in(model, raw)
        self.committed(ks.delete(key))
        model.data.pop(key, None)

    @rule(slot=slots, first=st.integers(0, 300), count=st.integers(1, 150), length=lengths, stamp=stamps)
    def put_many(self, slot: int, first: int, count: int, length: int, stamp: int) -> None:
        ks, model = self.pick(slot)
        pairs = [
            (self.key_in(model, b"k%03d" % n), value_of(stamp + n, min(length, 300)))
            for n in range(first, first + count)
        ]
        self.committed(ks.put_many(pairs))
        model.data.update(pairs)

    @rule(slot=slots, first=st.integers(0, 300), count=st.integers(1, 150))
    def delete_run(self, slot: int, first: int, count: int) -> None:
        ks, model = self.pick(slot)
        for n in range(first, first + count):
            key = self.key_in(model, b"k%03d" % n)
            ks.delete(key)
            model.data.pop(key, None)

    @rule(
        changes=st.lists(st.tuples(slots, keys, st.none() | stamps, lengths), max_size=12),
        sync=st.sampled_from([False, False, False, True]),
        discard=st.sampled_from([False, False, False, True]),
    )
    def batch(self, changes: list[tuple[int, bytes, int | None, int]], sync: bool, discard: bool) -> None:
        with contextlib.suppress(ZeroDivisionError), self.db.batch(sync=sync) as b:
            for slot, raw, stamp, length in changes:
                ks, model = self.pick(slot)
                key = self.key_in(model, raw)
                if stamp is None:
                    b.delete(ks, key)
                else:
                    b.put(ks, key, value_of(stamp, length))
            if discard:
                raise ZeroDivisionError
        if discard or not changes:
            return
        self.committed(b.sequence)
        for slot, raw, stamp, length in changes:
            model = self.pick(slot)[1]
            key = self.key_in(model, raw)
            if stamp is None:
                model.data.pop(key, None)
            else:
                model.data[key] = value_of(stamp, length)

    # Reads

    @rule(slot=slots, raw=keys)
    def get(self, slot: int, raw: bytes) -> None:
        ks, model = self.pick(slot)
        key = self.key_in(model, raw)
        assert ks.get(key) == model.data.get(key)
        assert (key in ks) == (key in model.data)

    @rule(slot=slots, raws=st.lists(keys, max_size=20))
    def get_many(self, slot: int, raws: list[bytes]) -> None:
        ks, model = self.pick(slot)
        wanted = [self.key_in(model, raw) for raw in raws]
        assert ks.get_many(wanted) == [model.data.get(key) for key in wanted]

    @rule(
        slot=slots,
        start=maybe_key,
        stop=maybe_key,
        prefix=maybe_prefix,
        reverse=st.booleans(),
        limit=limits,
        part=slots,
    )
    def scan(self, slot: int, **bounds: Any) -> None:
        ks, model = self.pick(slot)
        bounds = self.bounds(model, **bounds)
        assert list(ks.scan(**bounds)) == model.scan(**bounds)

    @rule(slot=slots)
    def scan_whole(self, slot: int) -> None:
        ks, model = self.pick(slot)
        assert list(ks.items()) == model.scan()
        assert list(ks.scan(values=False, reverse=True)) == [key for key, _ in model.scan(reverse=True)]

    @staticmethod
    def bounds(model: KeyspaceModel, part: int, **bounds: Any) -> dict[str, Any]:
        """Bounds as drawn; of a composite keyspace within one partition, or without bounds over the whole."""
        if model.rank is not None and part % 4:
            return {**bounds, "partition": PARTITION_KEYS[part % len(PARTITION_KEYS)]}
        if model.rank is not None:
            return {"reverse": bounds["reverse"], "limit": bounds["limit"]}
        return bounds

    # Snapshots and iterators

    @precondition(lambda self: len(self.snapshots) < 5)
    @rule()
    def take_snapshot(self) -> None:
        moment = {name: (self.handles[name], model.copy()) for name, model in self.models.items()}
        self.snapshots.append((self.db.snapshot(), moment))

    @precondition(lambda self: self.snapshots)
    @rule(which=slots, slot=slots, raw=keys)
    def get_from_snapshot(self, which: int, slot: int, raw: bytes) -> None:
        snapshot, moment = self.snapshots[which % len(self.snapshots)]
        name = sorted(moment)[slot % len(moment)]
        ks, model = moment[name]
        key = self.key_in(model, raw)
        with self.dropped_is_fine(name):
            assert snapshot.get(ks, key) == model.data.get(key)

    @precondition(lambda self: self.snapshots)
    @rule(
        which=slots,
        slot=slots,
        start=maybe_key,
        stop=maybe_key,
        prefix=maybe_prefix,
        reverse=st.booleans(),
        limit=limits,
        part=slots,
    )
    def scan_snapshot(self, which: int, slot: int, **bounds: Any) -> None:
        snapshot, moment = self.snapshots[which % len(self.snapshots)]
        name = sorted(moment)[slot % len(moment)]
        ks, model = moment[name]
        bounds = self.bounds(model, **bounds)
        with self.dropped_is_fine(name):
            assert list(snapshot.scan(ks, **bounds)) == model.scan(**bounds)

    @precondition(lambda self: self.snapshots)
    @rule(which=slots)
    def close_snapshot(self, which: int) -> None:
        self.snapshots.pop(which % len(self.snapshots))[0].close()

    @precondition(lambda self: len(self.iterators) < 5)
    @rule(
        slot=slots,
        start=maybe_key,
        stop=maybe_key,
        prefix=maybe_prefix,
        reverse=st.booleans(),
        limit=limits,
        part=slots,
    )
    def start_iterator(self, slot: int, **bounds: Any) -> None:
        name = sorted(self.models)[slot % len(self.models)]
        bounds = self.bounds(self.models[name], **bounds)
        self.iterators.append((name, self.handles[name].scan(**bounds), self.models[name].scan(**bounds)))

    @precondition(lambda self: self.iterators)
    @rule(which=slots, count=st.integers(1, 50))
    def advance_iterator(self, which: int, count: int) -> None:
        name, iterator, expected = self.iterators[which % len(self.iterators)]
        with self.dropped_is_fine(name):
            for _ in range(count):
                assert next(iterator, "end") == (expected.pop(0) if expected else "end")

    @precondition(lambda self: self.iterators)
    @rule(which=slots)
    def close_iterator(self, which: int) -> None:
        self.iterators.pop(which % len(self.iterators))[1].close()

    def dropped_is_fine(self, name: str) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext() if name in self.models else contextlib.suppress(KeyspaceDroppedError)

    # The database

    @rule()
    def flush(self) -> None:
        self.db.flush()

    @rule()
    def compact(self) -> None:
        self.db.compact()

    @rule()
    def settle(self) -> None:
        self.db.settle()

    @precondition(lambda self: len(self.models) < 7)
    @rule(composite=st.booleans(), partitions=st.sampled_from([1, 1, 2, 9]))
    def make_keyspace(self, composite: bool, partitions: int) -> None:
        self.make(composite, partitions)

    @precondition(lambda self: len(self.models) > 2)
    @rule(slot=slots)
    def drop_keyspace(self, slot: int) -> None:
        name = sorted(self.models)[slot % len(self.models)]
        self.db.drop_keyspace(name)
        del self.models[name], self.handles[name]

    @precondition(lambda self: self.on_disk)
    @rule()
    def close_and_reopen(self) -> None:
        self.db.close()
        for _, iterator, _ in self.iterators:
            with pytest.raises(ClosedError):
                next(iterator)
        for snapshot, moment in self.snapshots:
            ks, model = next(iter(moment.values()))
            with pytest.raises(ClosedError):
                snapshot.get(ks, self.key_in(model, b"k"))
        self.iterators, self.snapshots = [], []
        self.open()
        self.handles = {name: self.db.keyspace(name) for name in self.models}

    @invariant()
    def sequence_and_names_agree(self) -> None:
        assert self.db.last_sequence >= self.last
        assert self.db.durable_sequence <= self.db.last_sequence
        assert sorted(self.db.keyspaces()) == sorted(self.models)

    def teardown(self) -> None:
        try:
            for name, model in self.models.items():
                assert list(self.handles[name].scan()) == model.scan()
        finally:
            self.db.close()
            shutil.rmtree(self.directory)


def machine(name: str, on_disk: bool, options: dict[str, Any]) -> Any:
    """The machine with one option set, as a test case."""
    made: Any = type(f"Engine_{name}", (Engine,), {"options": options, "on_disk": on_disk})
    case = made.TestCase
    case.settings = settings(
        max_examples=scaled(15),
        stateful_step_count=50,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    return case


TestTiny = machine("tiny", True, OPTION_SETS["tiny"])
TestTinyBudgets = machine("tiny_budgets", True, OPTION_SETS["tiny-budgets"])
TestSmallUnfiltered = machine("small_unfiltered", True, OPTION_SETS["small-unfiltered"])
TestZstdSlowed = machine("zstd_slowed", True, OPTION_SETS["zstd-slowed"])
TestMemtable64K = machine("memtable_64k", True, OPTION_SETS["memtable-64k"])
TestDefault = machine("default", True, OPTION_SETS["default"])
TestMemory = machine("memory", False, OPTION_SETS["default"])
TestMemoryTiny = machine("memory_tiny", False, TINY)
