# Names shared by every compiled module: integer types, record kinds, status codes, the error record.
# Kernels take pointers and lengths, hold no Python objects and return a status; `failure.fail` is the one place that raises.
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

ctypedef uint8_t u8
ctypedef uint16_t u16
ctypedef uint32_t u32
ctypedef uint64_t u64
ctypedef int64_t i64

cdef extern from "native.h" nogil:
    void prefetch "lsm_prefetch"(const void* p)
    void prefetch_write "lsm_prefetch_write"(const void* p)
    int ctz32 "lsm_ctz32"(u32 x)
    int ctz64 "lsm_ctz64"(u64 x)
    int clz64 "lsm_clz64"(u64 x)
    u16 get16 "lsm_get16"(const void* p)
    u32 get32 "lsm_get32"(const void* p)
    u64 get64 "lsm_get64"(const void* p)
    u64 get64_be "lsm_get64_be"(const void* p)
    void put16 "lsm_put16"(void* p, u16 v)
    void put32 "lsm_put32"(void* p, u32 v)
    void put64 "lsm_put64"(void* p, u64 v)
    void put64_be "lsm_put64_be"(void* p, u64 v)
    u64 load64 "lsm_load64"(const u64* p)
    void store64 "lsm_store64"(u64* p, u64 v)
    int load_int "lsm_load_int"(const int* p)
    void store_int "lsm_store_int"(int* p, int v)

# Record kinds stand in WAL frames and tables. Numbered for ever: never renumber, never reuse.
cdef enum:
    KIND_PUT = 1
    KIND_DELETE = 2
    KIND_DELETE_RANGE = 3
    KIND_MERGE = 4
    KIND_BLOB_REFERENCE = 5
    KIND_INGEST = 6
    KIND_KEYSPACE_CREATED = 7
    KIND_KEYSPACE_DROPPED = 8
    KIND_KEYSPACE_OPTIONS = 9
    KIND_SPLIT = 10

cdef enum:
    STATUS_OK = 0
    STATUS_NOT_FOUND = 1
    STATUS_IO = -1
    STATUS_CORRUPT = -2
    STATUS_NO_MEMORY = -3
    STATUS_DISK_FULL = -4
    STATUS_CANCELLED = -5
    STATUS_WOULD_BLOCK = -6
    STATUS_NEWER_FORMAT = -7
    STATUS_WOULD_READ = -8             # as WOULD_BLOCK, and it is a disk that would be waited for

# A sequence number is an epoch above and a counter below.
cdef enum:
    COUNTER_BITS = 44

cdef enum:
    MAX_KEY_BYTES = 65536
    MAX_VALUE_BYTES = 67108864

cdef struct error_t:
    int status
    int os_error
    u64 offset
    u64 expected
    u64 got
    char what[120]
    char path[1024]


cdef inline int varint_size(u64 v) noexcept nogil:
    cdef int n = 1
    while v >= 0x80:
        v >>= 7
        n += 1
    return n


cdef inline u8* put_varint(u8* p, u64 v) noexcept nogil:
    """Little-endian base 128; returns the byte after it."""
    while v >= 0x80:
        p[0] = <u8>(v | 0x80)
        p += 1
        v >>= 7
    p[0] = <u8>v
    return p + 1


cdef inline const u8* get_varint(const u8* p, const u8* end, u64* out) noexcept nogil:
    """Returns the byte after it, or NULL where it does not end before `end` or in ten bytes."""
    cdef u64 v = 0
    cdef int shift = 0
    while p < end and shift < 70:
        v |= <u64>(p[0] & 0x7F) << shift
        if p[0] < 0x80:
            out[0] = v
            return p + 1
        p += 1
        shift += 7
    return NULL
