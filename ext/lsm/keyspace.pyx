"""The public handles of the compiled core: Keyspace, Batch and Snapshot.

Guarantees: each call is atomic, from any thread. No Python code runs, and nothing that could run some is allocated,
while the database's lock is held: keys and values are turned into plain memory before, results into bytes only.
"""
from cpython.buffer cimport PyBUF_SIMPLE, Py_buffer, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_CheckExact, PyTuple_GET_ITEM, PyTuple_GET_SIZE
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memchr, memcpy
cimport cython

import operator

from lsm import errors

from lsm.bloom cimport bloom_line
from lsm.commits cimport commit_many, commit_one
from lsm.core cimport STATE_OPEN, core_lock, core_t, core_unlock, partition_of, raise_state, superversion_t
from lsm.memtable cimport memtable_prefetch
from lsm.reads cimport (LOOKUP_FOUND, LOOKUP_NEEDS_BLOCK, lookup_done, lookup_fetch, lookup_step, lookup_t)
from lsm.scan cimport open_scan
from lsm.table cimport table_t
from lsm.types cimport (KIND_DELETE, KIND_PUT, MAX_KEY_BYTES, MAX_VALUE_BYTES, get64_be, prefetch, put64_be, u8, u32,
                        u64)
from lsm.wal cimport FRAME_HEADER
from lsm.wal_changes cimport wal_change_size, wal_put_change
from lsm.xxh64 cimport xxh64

cdef extern from "Python.h":
    void PyList_SET_ITEM(object list, Py_ssize_t i, object o)

cdef enum:
    FIRST_FRAME = 512
    MAX_BATCH_BYTES = 1 << 30
    AT_ONCE = 32                       # keys of a get_many whose memory is asked for together

cdef object MISSING = object()
cdef object VALUE_OF = operator.itemgetter(1)
cdef bint making = False               # set while open_keyspace makes a handle: no other way leads to one


# ---- keys and values

cdef int bad_key(object key, bint composite) except -1:
    if composite:
        raise TypeError("a key of a composite keyspace is a tuple (partition key, sort key) of bytes, "
                        f"not {type(key).__name__}")
    raise TypeError(f"a key is bytes or supports the buffer protocol, not {type(key).__name__}")


cdef int bad_size(size_t n) except -1:
    if n == 0:
        raise errors.InvalidArgumentError("a key has at least 1 byte")
    raise errors.InvalidArgumentError(f"a key has at most {MAX_KEY_BYTES} bytes, this one has {n}")


cdef inline size_t escaped(const u8* p, size_t n, u8* out) noexcept nogil:
    """00 becomes 00 FF, and 00 01 ends it: the order of the bytes is kept, and no key is the beginning of another."""
    cdef size_t i
    cdef size_t o = 0
    if n == 0 or memchr(p, 0, n) == NULL:
        memcpy(out, p, n)
        o = n
    else:
        for i in range(n):
            out[o] = p[i]
            o += 1
            if p[i] == 0:
                out[o] = 0xFF
                o += 1
    out[o] = 0
    out[o + 1] = 1
    return o + 2


cdef int take_pair(u64 seed, const u8* pk, size_t pn, const u8* sk, size_t sn, key_t* out) except -1:
    cdef size_t room = 8 + 2 * pn + 2 + sn
    cdef u8* p = out.inline_bytes
    cdef size_t n
    if pn == 0:
        raise errors.InvalidArgumentError("a partition key has at least 1 byte")
    if pn + sn > MAX_KEY_BYTES:
        raise errors.InvalidArgumentError(
            f"partition key and sort key have at most {MAX_KEY_BYTES} bytes together, these have {pn + sn}")
    if room > INLINE_KEY:
        p = out.heap = <u8*>malloc(room)
        if p == NULL:
            raise MemoryError()
    out.partition_hash = xxh64(pk, pn, seed)
    put64_be(p, out.partition_hash)
    n = 8 + escaped(pk, pn, p + 8)
    memcpy(p + n, sk, sn)
    out.p = p
    out.n = <u32>(n + sn)
    out.hash = xxh64(p, out.n, seed)
    return 0


cdef int take_composite(u64 seed, object key, key_t* out) except -1:
    cdef Py_buffer a
    cdef Py_buffer b
    if not PyTuple_CheckExact(key) or PyTuple_GET_SIZE(key) != 2:
        if not isinstance(key, tuple) or len(key) != 2:
            bad_key(key, True)
    first, second = key
    if PyBytes_CheckExact(first) and PyBytes_CheckExact(second):
        return take_pair(seed, <const u8*>PyBytes_AS_STRING(first), PyBytes_GET_SIZE(first),
                         <const u8*>PyBytes_AS_STRING(second), PyBytes_GET_SIZE(second), out)
    view_key(first, &a)
    try:
        view_key(second, &b)
        try:
            return take_pair(seed, <const u8*>a.buf, a.len, <const u8*>b.buf, b.len, out)
        finally:
            PyBuffer_Release(&b)
    finally:
        PyBuffer_Release(&a)


cdef int view_key(object key, Py_buffer* view) except -1:
    try:
        PyObject_GetBuffer(key, view, PyBUF_SIMPLE)
    except TypeError:
        bad_key(key, False)
    return 0


cdef int take_key(const keyspace_t* k, u64 seed, object key, key_t* out) except -1:
    """Fills `out`; on an exception nothing needs releasing."""
    cdef size_t n
    out.heap = NULL
    out.viewed = False
    if k.composite:
        return take_composite(seed, key, out)
    if PyBytes_CheckExact(key):
        out.p = <const u8*>PyBytes_AS_STRING(key)
        n = PyBytes_GET_SIZE(key)
    else:
        # a copy: what others may write to must not change between hash, log and memtable
        view_key(key, &out.view)
        n = out.view.len
        out.p = out.inline_bytes
        if n > INLINE_KEY and n <= MAX_KEY_BYTES:
            out.p = out.heap = <u8*>malloc(n)
        if out.p != NULL and n <= MAX_KEY_BYTES:
            memcpy(<void*>out.p, out.view.buf, n)
        PyBuffer_Release(&out.view)
        if out.p == NULL:
            raise MemoryError()
    if n == 0 or n > MAX_KEY_BYTES:
        bad_size(n)
    out.n = <u32>n
    out.hash = xxh64(out.p, n, seed)
    out.partition_hash = out.hash
    return 0


cdef void release_key(key_t* k) noexcept:
    if k.viewed:
        PyBuffer_Release(&k.view)
        k.viewed = False
    if k.heap != NULL:
        free(k.heap)
        k.heap = NULL


cdef int take_value(object value, value_t* out) except -1:
    cdef size_t n
    out.viewed = False
    if PyBytes_CheckExact(value):
        out.p = <const u8*>PyBytes_AS_STRING(value)
        n = PyBytes_GET_SIZE(value)
    else:
        try:
            PyObject_GetBuffer(value, &out.view, PyBUF_SIMPLE)
        except TypeError:
            raise TypeError(
                f"a value is bytes or supports the buffer protocol, not {type(value).__name__}") from None
        out.p = <const u8*>out.view.buf
        n = out.view.len
        if n > MAX_VALUE_BYTES:
            PyBuffer_Release(&out.view)
        else:
            out.viewed = True
    if n > MAX_VALUE_BYTES:
        raise errors.InvalidArgumentError(f"a value has at most {MAX_VALUE_BYTES} bytes, this one has {n}")
    out.n = <u32>n
    return 0


cdef void release_value(value_t* v) noexcept:
    if v.viewed:
        PyBuffer_Release(&v.view)
        v.viewed = False


cdef bytes collection_prefix(u64 seed, object partition):
    cdef key_t k
    cdef bytes prefix
    k.heap = NULL
    k.viewed = False
    take_composite(seed, (partition, b""), &k)
    prefix = PyBytes_FromStringAndSize(<const char*>k.p, k.n)
    release_key(&k)
    return prefix


cdef object key_object(const u8* p, u32 n, bint composite):
    """Undoes the encoding of a composite key."""
    cdef u32 i = 8
    cdef bint plain = True
    if not composite:
        return PyBytes_FromStringAndSize(<const char*>p, n)
    while i + 1 < n and not (p[i] == 0 and p[i + 1] == 1):
        if p[i] == 0:
            if p[i + 1] != 0xFF:
                break
            plain = False
            i += 1
        i += 1
    if i + 1 >= n or p[i + 1] != 1:
        raise errors.CorruptionError(None, 0, "00 01 behind a partition key", p[:n if n < 64 else 64], "a composite key")
    # Both before anything that may run a finalizer: `p` is a scan's, which could be stepped by it.
    partition = PyBytes_FromStringAndSize(<const char*>p + 8, i - 8)
    sort = PyBytes_FromStringAndSize(<const char*>p + i + 2, n - i - 2)
    if not plain:
        partition = partition.replace(b"\x00\xff", b"\x00")
    return partition, sort


# ---- keyspaces

cdef class Keyspace:
    """A keyspace of an open database: a mapping from keys to values, both bytes.

    Keys have 1 to 65,536 bytes, values 0 to 67,108,864. In a composite keyspace a key is a tuple (partition key, sort
    key), 1 to 65,536 bytes together. Arguments may be anything with the buffer protocol; bytes come back.
    Writes survive the process being killed when they return; with `sync=True` also a power failure.
    """

    def __cinit__(self):
        if not making:
            raise TypeError("keyspaces are opened with db.keyspace(name)")

    @property
    def composite(self):
        """Whether keys are (partition key, sort key) tuples."""
        return bool(self.k.composite)

    @property
    def partitions(self):
        """How many hash partitions the keyspace has."""
        return self.k.partition_count

    @property
    def id(self):
        """The number of the keyspace in log and manifest; never reused."""
        return self.k.id

    def __repr__(self):
        kind = "composite" if self.k.composite else "plain"
        return f"<lsm.Keyspace {self.name!r}, {kind}, {self.k.partition_count} partitions>"

    cdef object get_at(self, object key, object default, u64 seq):
        """The newest value at `seq` or `default`."""
        cdef core_t* c = self.engine.c
        cdef key_t k
        cdef lookup_t s
        cdef superversion_t* sv
        cdef int status
        cdef object value
        take_key(self.k, c.seed, key, &k)
        try:
            core_lock(c)
        except BaseException:
            release_key(&k)
            raise
        if self.k.dropped:
            core_unlock(c)
            release_key(&k)
            raise errors.KeyspaceDroppedError(f"keyspace {self.name!r} was dropped")
        sv = partition_of(self.k, k.partition_hash).sv
        if seq > c.sequence:
            seq = c.sequence
        clear(&s)
        while True:
            status = lookup_step(c, sv, k.p, k.n, k.hash, seq, &s)
            if status != LOOKUP_NEEDS_BLOCK:
                break
            try:
                lookup_fetch(c, sv, &s)
            except BaseException:
                release_key(&k)
                raise
        try:
            if status == LOOKUP_FOUND:
                value = PyBytes_FromStringAndSize(<const char*>s.value, s.value_bytes)
            else:
                value = default
        finally:
            lookup_done(c, &s)
            core_unlock(c)
            if k.viewed or k.heap != NULL:
                release_key(&k)
        return value

    def get(self, key, default=None):
        """The value of `key`, or `default`."""
        return self.get_at(key, default, <u64>-1)

    def __getitem__(self, key):
        value = self.get_at(key, MISSING, <u64>-1)
        if value is MISSING:
            raise KeyError(key)
        return value

    def __contains__(self, key):
        return self.get_at(key, MISSING, <u64>-1) is not MISSING

    cdef u64 write(self, u8 kind, object key, object value, bint sync) except 0:
        cdef key_t k
        cdef value_t v
        take_key(self.k, self.engine.c.seed, key, &k)
        v.p = NULL
        v.n = 0
        v.viewed = False
        try:
            if kind == KIND_PUT:
                take_value(value, &v)
            return commit_one(self.engine, self.k, kind, k.p, k.n, k.hash, k.partition_hash, v.p, v.n, sync)
        finally:
            if v.viewed:
                release_value(&v)
            if k.viewed or k.heap != NULL:
                release_key(&k)

    def put(self, key, value, bint sync=False):
        """Sets `key` to `value`; returns the commit's sequence number."""
        return self.write(KIND_PUT, key, value, sync)

    def delete(self, key, bint sync=False):
        """Removes `key`, present or not; returns the commit's sequence number."""
        return self.write(KIND_DELETE, key, None, sync)

    def __setitem__(self, key, value):
        self.write(KIND_PUT, key, value, False)

    def __delitem__(self, key):
        if self.get_at(key, MISSING, <u64>-1) is MISSING:
            raise KeyError(key)
        self.write(KIND_DELETE, key, None, False)

    def put_many(self, items, bint sync=False):
        """Sets all (key, value) pairs in one atomic commit; returns its sequence number (the last one, if none)."""
        cdef Batch batch = Batch.__new__(Batch, self.engine, sync)
        if isinstance(items, dict):
            items = items.items()
        for item in items:
            if PyTuple_CheckExact(item) and PyTuple_GET_SIZE(item) == 2:
                batch.add(self, KIND_PUT, <object>PyTuple_GET_ITEM(item, 0), <object>PyTuple_GET_ITEM(item, 1))
            else:
                key, value = item
                batch.add(self, KIND_PUT, key, value)
        return batch.commit()

    def get_many(self, keys, default=None):
        """Values of all keys, in their order, `default` for those absent; each read as by `get`."""
        return many(self, list(keys), default, <u64>-1)

    def scan(self, start=None, stop=None, prefix=None, bint reverse=False, limit=None, bint values=True, *,
             partition=None, segment=None):
        """An iterator of (key, value), or of keys with `values=False`, as they stand at this moment.

        `start` is included, `stop` is not, also in reverse. `prefix` and bounds may be combined. In a composite
        keyspace `partition` chooses one item collection, and start, stop and prefix are of sort keys; without it the
        scan is in hash order and start and stop are (partition key, sort key), and `segment=(index, count)` chooses one
        of `count` equal ranges of the hash. `limit` counts entries.
        """
        return open_scan(self, start, stop, prefix, reverse, limit, values, partition, <u64>-1, segment)

    def keys(self):
        """An iterator of all keys, in scan order."""
        return open_scan(self, None, None, None, False, None, False, None, <u64>-1)

    def items(self):
        """An iterator of all (key, value), in scan order."""
        return open_scan(self, None, None, None, False, None, True, None, <u64>-1)

    def values(self):
        """An iterator of all values, in scan order."""
        # no generator: an exception, WouldWaitError say, would end it for good
        return map(VALUE_OF, self.items())

    def __iter__(self):
        return self.keys()

    def __reversed__(self):
        return open_scan(self, None, None, None, True, None, False, None, <u64>-1)

    def __len__(self):
        """Counts by scanning every key: its cost grows with the keyspace. `approximate_count` is cheap."""
        cdef Py_ssize_t n = 0
        for _ in self.keys():
            n += 1
        return n

    def __bool__(self):
        """Whether there is any key: costs one short scan."""
        for _ in open_scan(self, None, None, None, False, 1, False, None, <u64>-1):
            return True
        return False

    def approximate_count(self):
        """About how many keys there are, without reading them: overwritten and deleted ones may still count."""
        cdef core_t* c = self.engine.c
        cdef superversion_t* sv
        cdef long long n = 0
        cdef u32 i, j
        core_lock(c)
        for i in range(self.k.partition_count):
            sv = self.k.partitions[i].sv
            n += <long long>sv.mem.nodes - 2 * <long long>sv.mem.tombstones
            for j in range(sv.frozen_count):
                n += <long long>sv.frozen[j].nodes - 2 * <long long>sv.frozen[j].tombstones
            for j in range(sv.table_count):
                n += <long long>sv.tables[j].info.entries - 2 * <long long>sv.tables[j].info.tombstones
        core_unlock(c)
        return n if n > 0 else 0

    def approximate_bytes(self, start=None, stop=None):
        """About how many bytes the keys from `start` to before `stop` take, in tables (stored) and in memory."""
        from lsm.scan import approximate_bytes

        return approximate_bytes(self, start, stop)


cdef inline void clear(lookup_t* s) noexcept nogil:
    s.level = 0
    s.at = 0
    s.started = False
    s.table = NULL
    s.number = 0
    s.block = NULL
    s.held = NULL


cdef void ask_ahead(superversion_t* sv, u64 h) noexcept nogil:
    """Starts the memory reads of a lookup: its slot in the memtable, its lines in the first filters."""
    cdef u32 i
    cdef table_t* t
    memtable_prefetch(sv.mem, h)
    for i in range(sv.table_count if sv.table_count < 4 else 4):
        t = sv.tables[i]
        if t.filter != NULL:
            prefetch(t.filter + (bloom_line(h, t.filter_lines) << 6))


cdef list many(Keyspace self, list keys, object default, u64 seq):
    """get for a list; `keys` is the caller's own copy. Keys are hashed in groups whose memory is then asked for."""
    cdef core_t* c = self.engine.c
    cdef Py_ssize_t n = PyList_GET_SIZE(keys)
    cdef list results = [default] * n
    cdef key_t* group = <key_t*>malloc(AT_ONCE * sizeof(key_t))
    cdef Py_ssize_t i = 0
    cdef int count, j
    if group == NULL:
        raise MemoryError()
    try:
        while i < n:
            count = 0
            try:
                while count < AT_ONCE and i + count < n:
                    take_key(self.k, c.seed, <object>PyList_GET_ITEM(keys, i + count), &group[count])
                    count += 1
                many_group(self, group, count, results, i, seq)
            finally:
                for j in range(count):
                    release_key(&group[j])
            i += count
    finally:
        free(group)
    return results


cdef int many_group(Keyspace self, key_t* group, int count, list results, Py_ssize_t at, u64 seq) except -1:
    cdef core_t* c = self.engine.c
    cdef superversion_t* sv
    cdef lookup_t s
    cdef int i, status
    cdef object value
    core_lock(c)
    if self.k.dropped:
        core_unlock(c)
        raise errors.KeyspaceDroppedError(f"keyspace {self.name!r} was dropped")
    for i in range(count):
        ask_ahead(partition_of(self.k, group[i].partition_hash).sv, group[i].hash)
    for i in range(count):
        sv = partition_of(self.k, group[i].partition_hash).sv
        clear(&s)
        while True:
            status = lookup_step(c, sv, group[i].p, group[i].n, group[i].hash,
                                 seq if seq < c.sequence else c.sequence, &s)
            if status != LOOKUP_NEEDS_BLOCK:
                break
            lookup_fetch(c, sv, &s)
        if status == LOOKUP_FOUND:
            try:
                value = PyBytes_FromStringAndSize(<const char*>s.value, s.value_bytes)
            except BaseException:
                lookup_done(c, &s)
                core_unlock(c)
                raise
            # a bare store: the old item is `default`, and dropping a reference to it could run code under the lock
            results[at + i] = value
        lookup_done(c, &s)
    core_unlock(c)
    return 0


# ---- batches

cdef class Batch:
    """Collects writes to any keyspaces of one database and commits them as one: all or nothing, visible at once.

    Use as a context manager: leaving the block commits, an exception inside discards. `sequence` is the commit's
    number afterwards. Of several writes to one key the last wins. At most 1 GiB. Where this thread refuses to wait and
    leaving the block raises WouldWaitError, the batch is discarded; `commit` leaves it to be committed elsewhere.
    """

    def __cinit__(self, Engine engine not None, bint sync=False, owner=None):
        self.engine = engine
        self.owner = owner
        self.sync = sync
        self.sequence = None
        self.used = FRAME_HEADER

    def __dealloc__(self):
        free(self.frame)
        free(self.changes)

    def __len__(self):
        return self.count

    cdef int reserve(self, size_t more) except -1:
        cdef size_t room = self.room
        cdef u8* frame
        cdef change_t* changes
        if self.used + more > MAX_BATCH_BYTES:
            raise errors.InvalidArgumentError("a batch has at most 1 GiB; commit this one and go on with another")
        if self.used + more > room:
            room = room * 2 if room else FIRST_FRAME
            while self.used + more > room:
                room *= 2
            frame = <u8*>realloc(self.frame, room)
            if frame == NULL:
                raise MemoryError()
            self.frame = frame
            self.room = room
        if self.count == self.change_room:
            changes = <change_t*>realloc(self.changes, (self.change_room * 2 + 8) * sizeof(change_t))
            if changes == NULL:
                raise MemoryError()
            self.changes = changes
            self.change_room = self.change_room * 2 + 8
        return 0

    cdef int add(self, Keyspace keyspace, u8 kind, object key, object value) except -1:
        cdef key_t k
        cdef value_t v
        cdef change_t* x
        cdef u8* end
        if keyspace is None:
            raise TypeError("the first argument is a keyspace, not None")
        if keyspace.engine is not self.engine:
            raise errors.InvalidArgumentError("this keyspace belongs to another database than the batch")
        if self.engine.c.state != STATE_OPEN:
            raise_state(self.engine.c)
        take_key(keyspace.k, self.engine.c.seed, key, &k)
        v.p = NULL
        v.n = 0
        v.viewed = False
        try:
            if kind == KIND_PUT:
                take_value(value, &v)
            if self.done or self.busy:
                raise errors.ClosedError("this batch was committed or discarded; start a new one")
            self.reserve(wal_change_size(keyspace.k.id, k.n, v.n))
            end = wal_put_change(self.frame + self.used, kind, keyspace.k.id, k.p, k.n, v.p, v.n)
            x = &self.changes[self.count]
            self.used = end - self.frame
            x.keyspace = keyspace.k
            x.hash = k.hash
            x.partition_hash = k.partition_hash
            x.value = self.used - v.n
            x.key = x.value - k.n
            x.key_bytes = k.n
            x.value_bytes = v.n
            x.kind = kind
            self.count += 1
        finally:
            if v.viewed:
                release_value(&v)
            if k.viewed or k.heap != NULL:
                release_key(&k)
        return 0

    def put(self, Keyspace keyspace, key, value):
        """Adds a put."""
        self.add(keyspace, KIND_PUT, key, value)

    def delete(self, Keyspace keyspace, key):
        """Adds a delete."""
        self.add(keyspace, KIND_DELETE, key, None)

    def commit(self):
        """Commits what was added and returns the sequence number; the newest one where nothing was."""
        if self.done or self.busy:
            raise errors.ClosedError("this batch was committed or discarded; start a new one")
        if self.engine.c.state != STATE_OPEN:
            raise_state(self.engine.c)
        self.busy = True
        try:
            if self.count == 0:
                self.sequence = self.engine.c.sequence
            else:
                self.sequence = commit_many(self.engine, self.frame, self.used, self.changes, self.count, 0, self.sync)
        finally:
            self.busy = False
        self.done = True
        return self.sequence

    def discard(self):
        """Forgets what was added; the batch cannot be used any more."""
        self.done = True

    def __enter__(self):
        if self.done or self.busy:
            raise errors.ClosedError("this batch was committed or discarded; start a new one")
        return self

    def __exit__(self, kind, error, trace):
        if self.done:
            return
        if kind is not None:
            self.done = True
            return
        try:
            self.commit()
        except errors.WouldWaitError:
            self.done = True
            raise


# ---- snapshots

@cython.no_gc_clear                    # __dealloc__ needs the engine
cdef class Snapshot:
    """The database at one moment: reads see every commit up to `sequence` and none after it.

    Versions it sees are kept on disk until it is closed. A context manager.
    """

    def __cinit__(self, Engine engine not None, owner=None):
        self.engine = engine
        self.owner = owner
        self.sequence = engine.snapshot_add()
        self.open = True

    def __dealloc__(self):
        if self.open:
            self.open = False
            self.engine.snapshot_remove(self.sequence)

    cdef int check(self, Keyspace keyspace) except -1:
        if not self.open:
            raise errors.ClosedError("this snapshot was closed; take a new one with db.snapshot()")
        if keyspace is None:
            raise TypeError("the first argument is a keyspace, not None")
        if keyspace.engine is not self.engine:
            raise errors.InvalidArgumentError("this keyspace belongs to another database than the snapshot")
        return 0

    def get(self, Keyspace keyspace, key, default=None):
        """The value of `key` at the snapshot, or `default`."""
        self.check(keyspace)
        return keyspace.get_at(key, default, self.sequence)

    def get_many(self, Keyspace keyspace, keys, default=None):
        """Values of all keys at the snapshot, in their order."""
        self.check(keyspace)
        return many(keyspace, list(keys), default, self.sequence)

    def scan(self, Keyspace keyspace, start=None, stop=None, prefix=None, bint reverse=False, limit=None,
             bint values=True, *, partition=None, segment=None):
        """As Keyspace.scan, at the snapshot."""
        self.check(keyspace)
        return open_scan(keyspace, start, stop, prefix, reverse, limit, values, partition, self.sequence, segment)

    def close(self):
        """Lets go of the versions that only this snapshot needs."""
        if self.open:
            self.open = False
            self.engine.snapshot_remove(self.sequence)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.close()


def open_keyspace(Engine engine not None, str name not None, unsigned int id, owner):
    """A handle for a keyspace that the engine knows; keeps `owner`, the database, alive. For lsm/database.py."""
    global making
    cdef Keyspace k
    cdef bint before = making          # the collector may run a finalizer that makes another meanwhile
    making = True
    try:
        k = Keyspace.__new__(Keyspace)
    finally:
        making = before
    if id >= engine.c.keyspace_room or engine.c.keyspaces[id] == NULL:
        raise KeyError(name)
    k.engine = engine
    k.owner = owner
    k.name = name
    k.k = engine.c.keyspaces[id]
    return k
