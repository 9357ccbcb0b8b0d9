"""The changes of a commit as tools and tests read and write them: one tuple each.

The commit path and recovery use the inline functions of wal_changes.pxd; both speak the bytes of docs/format/wal.md.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize

from lsm.failure cimport fail, set_corruption
from lsm.types cimport error_t

KINDS = {
    1: "put",
    2: "delete",
    3: "delete range",
    4: "merge operand",
    5: "blob reference",
    6: "ingest",
    7: "keyspace created",
    8: "keyspace dropped",
    9: "keyspace options",
    10: "split",
}


def encode(changes):
    """The payload of `changes`: (kind, keyspace id, key, value[, old value or None[, metadata or None]]) each."""
    parts = bytearray()
    for change in changes:
        parts += encode_one(change)
    return bytes(parts)


cdef bytes encode_one(change):
    cdef bytes key, value, old, metadata
    cdef int kind
    cdef u32 keyspace
    kind, keyspace, key, value, old, metadata = (*change, None, None)[:6]
    cdef u32 key_bytes = <u32>len(key)
    cdef u32 value_bytes = <u32>len(value)
    cdef size_t n = wal_change_size(keyspace, key_bytes, value_bytes)
    cdef u8* p
    if old is not None:
        kind |= CHANGE_OLD_VALUE
        n += wal_blob_size(<u32>len(old))
    if metadata is not None:
        kind |= CHANGE_METADATA
        n += wal_blob_size(<u32>len(metadata))
    out = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>n)
    p = wal_put_change(<u8*>PyBytes_AS_STRING(out), <u8>kind, keyspace, key, key_bytes, value, value_bytes)
    if old is not None:
        p = wal_put_blob(p, old, <u32>len(old))
    if metadata is not None:
        wal_put_blob(p, metadata, <u32>len(metadata))
    return out


def decode(bytes payload):
    """The changes of a payload as `encode` takes them, six items each. CorruptionError where it is malformed."""
    cdef const u8* start = payload
    cdef const u8* end = start + len(payload)
    cdef const u8* p = start
    cdef const u8* after
    cdef change_view_t c
    cdef error_t error
    changes = []
    while p < end:
        after = wal_next_change(p, end, &c)
        if after == NULL:
            set_corruption(&error, "malformed change", NULL, <u64>(p - start), <u64>(end - p), p[0])
            fail(&error)
        changes.append((c.kind, c.keyspace, c.key[:c.key_bytes], c.value[:c.value_bytes],
                        c.old[:c.old_bytes] if c.has_old else None,
                        c.metadata[:c.metadata_bytes] if c.has_metadata else None))
        p = after
    return changes
