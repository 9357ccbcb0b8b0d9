# The changes inside a frame's payload, as docs/format/wal.md has them. The commit path writes them in place; the parser
# trusts nothing: every length is checked against what is left before it is used.
from libc.string cimport memcpy
from lsm.types cimport (KIND_DELETE, KIND_PUT, KIND_SPLIT, get_varint, put_varint, u8, u32, u64, varint_size)

cdef enum:                            # bits of a change's first byte beside its kind; persisted, never renumber
    CHANGE_KIND = 0x3F
    CHANGE_OLD_VALUE = 0x40
    CHANGE_METADATA = 0x80

cdef struct change_view_t:
    u8 kind
    bint has_old
    bint has_metadata
    u32 keyspace
    u32 key_bytes
    u32 value_bytes
    u32 old_bytes
    u32 metadata_bytes
    const u8* key
    const u8* value
    const u8* old
    const u8* metadata


cdef inline size_t wal_change_size(u32 keyspace, u32 key_bytes, u32 value_bytes) noexcept nogil:
    return (<size_t>1 + varint_size(keyspace) + varint_size(key_bytes) + varint_size(value_bytes)
            + key_bytes + value_bytes)


cdef inline size_t wal_blob_size(u32 n) noexcept nogil:
    """What an old value or metadata of n bytes adds to a change."""
    return <size_t>varint_size(n) + n


cdef inline u8* wal_put_change_front(u8* p, u8 kind, u32 keyspace, u32 key_bytes, u32 value_bytes) noexcept nogil:
    """All but the bytes of key and value, which the caller puts behind it. `kind` may carry the CHANGE_ bits."""
    p[0] = kind
    return put_varint(put_varint(put_varint(p + 1, keyspace), key_bytes), value_bytes)


cdef inline u8* wal_put_change(u8* p, u8 kind, u32 keyspace, const u8* key, u32 key_bytes, const u8* value,
                               u32 value_bytes) noexcept nogil:
    """Returns the byte after it: the value stands right before that, the key right before the value."""
    p = wal_put_change_front(p, kind, keyspace, key_bytes, value_bytes)
    memcpy(p, key, key_bytes)
    if value_bytes:
        memcpy(p + key_bytes, value, value_bytes)
    return p + key_bytes + value_bytes


cdef inline u8* wal_put_blob(u8* p, const u8* bytes, u32 n) noexcept nogil:
    """An old value, then metadata, behind a change whose CHANGE_ bits announce them."""
    p = put_varint(p, n)
    if n:
        memcpy(p, bytes, n)
    return p + n


cdef inline const u8* wal_next_length(const u8* p, const u8* end, u32* n) noexcept nogil:
    """A varint that fits 32 bits, or NULL."""
    cdef u64 v
    p = get_varint(p, end, &v)
    if p == NULL or v > <u64>0xFFFFFFFFu:
        return NULL
    n[0] = <u32>v
    return p


cdef inline const u8* wal_next_blob(const u8* p, const u8* end, const u8** bytes, u32* n) noexcept nogil:
    p = wal_next_length(p, end, n)
    if p == NULL or n[0] > <u64>(end - p):
        return NULL
    bytes[0] = p
    return p + n[0]


cdef inline const u8* wal_next_change(const u8* p, const u8* end, change_view_t* out) noexcept nogil:
    """Parses the change at p, p < end; returns the byte after it, or NULL where it is malformed."""
    if p >= end:
        return NULL
    out.kind = p[0] & CHANGE_KIND
    out.has_old = (p[0] & CHANGE_OLD_VALUE) != 0
    out.has_metadata = (p[0] & CHANGE_METADATA) != 0
    if out.kind < KIND_PUT or out.kind > KIND_SPLIT:
        return NULL
    p = wal_next_length(p + 1, end, &out.keyspace)
    if p != NULL:
        p = wal_next_length(p, end, &out.key_bytes)
    if p != NULL:
        p = wal_next_length(p, end, &out.value_bytes)
    if p == NULL or <u64>out.key_bytes + out.value_bytes > <u64>(end - p):
        return NULL
    if out.kind == KIND_DELETE and out.value_bytes != 0:
        return NULL
    out.key = p
    out.value = p + out.key_bytes
    p = out.value + out.value_bytes
    out.old = out.metadata = NULL
    out.old_bytes = out.metadata_bytes = 0
    if out.has_old:
        p = wal_next_blob(p, end, &out.old, &out.old_bytes)
    if p != NULL and out.has_metadata:
        p = wal_next_blob(p, end, &out.metadata, &out.metadata_bytes)
    return p
