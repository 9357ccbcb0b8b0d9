"""The block cache keeps to its budget and evicts as SIEVE does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsm.cache import CacheModel
from lsm.errors import InvalidArgumentError

KB = 1024


class Sieve:
    """SIEVE in plain Python: a list from oldest to newest, a hand, a set of visited."""

    def __init__(self, budget):
        self.budget, self.pinned = budget, 0
        self.order, self.charge, self.visited, self.hand = [], {}, set(), None

    def room(self):
        least = min(self.budget, max(1 << 20, self.budget // 16))
        return max(self.budget - self.pinned, least)

    def remove(self, block):
        at = self.order.index(block)
        if self.hand == block:
            self.hand = self.order[at + 1] if at + 1 < len(self.order) else None
        self.order.remove(block)
        del self.charge[block]
        self.visited.discard(block)

    def evict_to(self, room):
        while sum(self.charge.values()) > room:
            at = self.order.index(self.hand) if self.hand else 0
            while self.order[at] in self.visited:
                self.visited.remove(self.order[at])
                at = (at + 1) % len(self.order)
            self.hand = self.order[at]
            self.remove(self.hand)

    def insert(self, block, charge, likely_again):
        if charge > self.budget // 4 or charge > self.room() or block in self.charge:
            return False
        self.evict_to(self.room() - charge)
        if likely_again or not self.order:
            self.order.append(block)
        else:
            at = self.order.index(self.hand) if self.hand else 0
            self.order.insert(at, block)
            self.hand = block
        self.charge[block] = charge
        return True

    def lookup(self, block):
        if block in self.charge:
            self.visited.add(block)
        return block in self.charge

    def drop_table(self, table):
        for block in sorted(b for b in self.order if b[0] == table):
            self.remove(block)

    def pin(self, charge):
        self.pinned += charge
        self.evict_to(self.room())


operations = st.lists(
    st.one_of(
        st.tuples(st.just("lookup"), st.integers(0, 3), st.integers(0, 15)),
        st.tuples(
            st.just("insert"), st.integers(0, 3), st.integers(0, 15), st.integers(100 * KB, 1300 * KB), st.booleans()
        ),
        st.tuples(st.just("drop"), st.integers(0, 3)),
        st.tuples(st.just("pin"), st.integers(0, 3000 * KB)),
    ),
    max_size=120,
)


@given(operations)
def test_it_holds_exactly_what_sieve_would(steps):
    cache, model = CacheModel(4 << 20, 16), Sieve(4 << 20)
    for name, table, *rest in steps:
        if name == "lookup":
            assert cache.lookup(table, *rest) == model.lookup((table, *rest))
        elif name == "insert":
            block, charge, likely = rest
            assert cache.insert(table, block, charge, likely) == model.insert((table, block), charge, likely)
        elif name == "drop":
            cache.drop_table(table)
            model.drop_table(table)
        else:
            cache.pin(table - model.pinned)
            model.pin(table - model.pinned)
        stats = cache.stats()
        assert (stats["used"], stats["blocks"]) == (sum(model.charge.values()), len(model.order))
        assert stats["used"] <= model.room()


def held(cache, table, blocks):
    return [i for i in blocks if cache.lookup(table, i)]


def test_a_block_that_was_read_again_outlives_one_that_was_not():
    cache = CacheModel(400 * KB)
    for i in range(4):
        cache.insert(1, i, 100 * KB)
    cache.lookup(1, 0)
    cache.insert(1, 4, 100 * KB)
    assert held(cache, 1, range(5)) == [0, 2, 3, 4]


def test_a_scan_through_a_full_cache_leaves_what_was_there():
    cache = CacheModel(10_000 * KB)
    for i in range(100):
        cache.insert(1, i, 100 * KB)
    for i in range(1000):
        cache.insert(2, i, 100 * KB, likely_again=False)
    assert len(held(cache, 1, range(100))) == 99


def test_a_block_above_a_quarter_of_the_budget_is_not_kept():
    cache = CacheModel(8 << 20)
    assert not cache.insert(1, 0, (2 << 20) + 1)
    assert cache.insert(1, 0, 2 << 20)


def test_a_place_that_is_taken_is_left_as_it_is():
    cache = CacheModel(8 << 20)
    assert cache.insert(1, 0, 10 * KB)
    assert not cache.insert(1, 0, 20 * KB)
    assert cache.stats()["used"] == 10 * KB


def test_tables_take_their_memory_from_the_blocks_but_leave_a_megabyte():
    cache = CacheModel(8 << 20)
    for i in range(80):
        cache.insert(1, i, 100 * KB)
    cache.pin(5 << 20)
    assert cache.stats()["used"] + (5 << 20) <= 8 << 20
    cache.pin(50 << 20)
    assert 900 * KB < cache.stats()["used"] <= 1 << 20
    assert cache.insert(1, 100, 100 * KB)


def test_a_budget_of_nothing_keeps_nothing():
    cache = CacheModel(0)
    assert not cache.insert(1, 0, 100)
    assert not cache.lookup(1, 0)


def test_dropping_a_table_forgets_its_blocks_alone():
    cache = CacheModel(8 << 20)
    for table in (1, 2):
        for i in range(10):
            cache.insert(table, i, 10 * KB)
    cache.drop_table(1)
    assert held(cache, 1, range(10)) == []
    assert held(cache, 2, range(10)) == list(range(10))
    assert cache.stats()["used"] == 100 * KB


def test_hits_misses_and_evictions_are_counted():
    cache = CacheModel(400 * KB)
    for i in range(6):
        cache.lookup(1, i)
        cache.insert(1, i, 100 * KB)
    cache.lookup(1, 5)
    stats = cache.stats()
    assert (stats["hits"], stats["misses"], stats["evictions"], stats["blocks"]) == (1, 6, 2, 4)


def test_packed_blocks_are_decoded_once_they_are_read_again_and_again_where_memory_does_for_all():
    cache = CacheModel(8 << 20)
    cache.expect(7 << 20)
    cache.insert(1, 0, 10 * KB, packed=True)
    wanted = []
    for _ in range(5):
        cache.lookup(1, 0)
        wanted.append(cache.prefers_decoded(1, 0))
    assert wanted == [False, False, False, True, True]


def test_where_memory_does_not_do_for_all_only_packed_blocks_far_above_the_average_are_decoded():
    cache = CacheModel(8 << 20)
    cache.expect(80 << 20)
    for i in range(20):
        cache.insert(1, i, 10 * KB, packed=True)
    for _ in range(10):
        for i in range(20):
            cache.lookup(1, i)
    assert not any(cache.prefers_decoded(1, i) for i in range(20))
    for _ in range(60):
        cache.lookup(1, 7)
    assert [i for i in range(20) if cache.prefers_decoded(1, i)] == [7]


def test_beside_packed_blocks_a_decoded_one_stays_only_while_it_is_hit_more_than_they_are():
    cache = CacheModel(400 * KB)
    cache.insert(1, 100, 40 * KB)
    cache.insert(1, 101, 40 * KB)
    for i in range(32):
        cache.insert(1, i, 10 * KB, packed=True)
        for _ in range(3):
            cache.lookup(1, i)
    cache.lookup(1, 100)
    for _ in range(20):
        cache.lookup(1, 101)
    cache.insert(1, 50, 10 * KB, packed=True)
    assert held(cache, 1, [100, 101]) == [101]
    assert held(cache, 1, range(32)) == list(range(32))


def test_packed_blocks_are_counted_until_they_go():
    cache = CacheModel(400 * KB)
    for i in range(10):
        cache.insert(1, i, 10 * KB, packed=i % 2 == 0)
        cache.lookup(1, i)
    assert cache.stats()["packed"] == 5
    cache.drop_table(1)
    assert cache.stats()["packed"] == 0
    cache.insert(1, 0, 10 * KB, packed=True)
    cache.lookup(1, 0)
    assert not cache.prefers_decoded(1, 0)


def test_a_block_number_outside_its_table_is_refused():
    with pytest.raises(InvalidArgumentError, match="block 16 of 16"):
        CacheModel(0, 16).lookup(1, 16)
