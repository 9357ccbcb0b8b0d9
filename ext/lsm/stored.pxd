# A block (or index) as it stands in a file: the codec's output, then which codec, how many raw bytes, and a checksum
# that also covers the table's salt and the place, so that bytes from another file or offset never verify.
from lsm.block cimport CODEC_ZSTD, CODEC_ZSTD_DICTIONARY
from lsm.crc32c cimport crc32c_extend
from lsm.types cimport put64, u8, u32, u64
from lsm.zstd cimport zstd_dictionary_t

cdef enum:                            # the trailer, at the end of the stored bytes; persisted
    STORED_CODEC = 0                  # u8
    STORED_RAW_BYTES = 1              # u32
    STORED_CRC = 5                    # u32
    STORED_TRAILER = 9

cdef enum:
    UNPACK_MALFORMED = -1             # the numbers of ZSTD_*
    UNPACK_UNAVAILABLE = -2
    UNPACK_NO_MEMORY = -3


cdef inline u32 placed_crc(u64 salt, u64 offset, const u8* p, size_t n) noexcept nogil:
    """CRC-32C of salt, offset (both little-endian) and n bytes."""
    cdef u8[16] place
    put64(place, salt)
    put64(place + 8, offset)
    return crc32c_extend(crc32c_extend(0, place, 16), p, n)


cdef inline size_t stored_worth(size_t n) noexcept nogil:
    """The largest size at which a compressed form of n bytes is stored."""
    return n - (n >> 4) - 1 if n > 0 else 0


# Which codec the n stored bytes say they have; only a hint before they are verified.
cdef inline int stored_codec(const u8* stored, size_t n) noexcept nogil:
    return stored[n - STORED_TRAILER + STORED_CODEC]


# Whether a codec's output is decoded with the GIL.
cdef inline bint codec_is_zstd(int codec) noexcept nogil:
    return codec == CODEC_ZSTD or codec == CODEC_ZSTD_DICTIONARY


# Stores n raw bytes, n < 2**32, at `target`, which has room for n + STORED_TRAILER; with `codec` (none or LZ4) where
# that saves a sixteenth, else as they are. Returns the stored size.
cdef size_t stored_encode(int codec, const u8* raw, size_t n, u64 salt, u64 offset, u8* target) noexcept nogil
# Writes the trailer behind `size` bytes at `target`, which `codec` made of n raw ones. Returns the stored size.
cdef size_t stored_seal(u8* target, size_t size, int codec, size_t n, u64 salt, u64 offset) noexcept nogil
# Whether the n bytes are what was stored there; then also codec and raw size. The checksums in any case.
cdef bint stored_verify(const u8* stored, size_t n, u64 salt, u64 offset, int* codec, u32* raw_bytes, u32* expected, u32* got) noexcept nogil

cdef enum:
    BLOCK_RAW_MOST = 134217728        # a value of 64 MiB with its key has a block of its own; no other is as large


cdef inline bint stored_verify_block(const u8* stored, size_t n, u64 salt, u64 offset, int* codec, u32* raw_bytes, u32* expected, u32* got) noexcept nogil:
    """As stored_verify; also whether a block of entries can have so many raw bytes, which then may be asked for."""
    return stored_verify(stored, n, salt, offset, codec, raw_bytes, expected, got) and raw_bytes[0] <= BLOCK_RAW_MOST


# Decodes verified bytes that are compressed into exactly raw_bytes: 0 or UNPACK_*. `dictionary` is the table's, NULL: it has
# none. Takes the GIL for zstd.
cdef int stored_unpack(const u8* stored, size_t n, int codec, const zstd_dictionary_t* dictionary, u8* target, u32 raw_bytes) noexcept nogil
