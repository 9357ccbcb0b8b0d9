"""Blocks and indexes as they stand in a table file: codec, trailer, checksum. docs/format/table.md has the bytes.

Guarantees: what verifies was written by stored_encode with the same salt and offset; no input is read past its end.
Pure functions: any thread, no lock, no GIL; but unpacking zstd takes the GIL.
"""
from libc.string cimport memcpy

from lsm.block cimport CODEC_LZ4, CODEC_NONE, CODEC_ZSTD_DICTIONARY
from lsm.lz4 cimport lz4_compress, lz4_decompress
from lsm.types cimport get32, put32, u8, u32, u64
from lsm.zstd cimport zstd_decode, zstd_dictionary_t


cdef size_t stored_encode(int codec, const u8* raw, size_t n, u64 salt, u64 offset, u8* target) noexcept nogil:
    cdef size_t size = 0
    if codec == CODEC_LZ4:
        size = lz4_compress(raw, n, target, stored_worth(n))
    if size == 0:
        codec = CODEC_NONE
        size = n
        memcpy(target, raw, n)
    return stored_seal(target, size, codec, n, salt, offset)


cdef size_t stored_seal(u8* target, size_t size, int codec, size_t n, u64 salt, u64 offset) noexcept nogil:
    target[size + STORED_CODEC] = <u8>codec
    put32(target + size + STORED_RAW_BYTES, <u32>n)
    put32(target + size + STORED_CRC, placed_crc(salt, offset, target, size + STORED_CRC))
    return size + STORED_TRAILER


cdef bint stored_verify(const u8* stored, size_t n, u64 salt, u64 offset, int* codec, u32* raw_bytes,
                        u32* expected, u32* got) noexcept nogil:
    expected[0] = got[0] = 0
    if n < STORED_TRAILER:
        return False
    expected[0] = get32(stored + n - STORED_TRAILER + STORED_CRC)
    got[0] = placed_crc(salt, offset, stored, n - STORED_TRAILER + STORED_CRC)
    if expected[0] != got[0]:
        return False
    codec[0] = stored[n - STORED_TRAILER + STORED_CODEC]
    raw_bytes[0] = get32(stored + n - STORED_TRAILER + STORED_RAW_BYTES)
    if codec[0] == CODEC_NONE:
        return raw_bytes[0] == n - STORED_TRAILER
    # more than a byte of LZ4 (255) or of zstd (128 KiB in four) can say: a forged size does not ask for much memory
    if codec[0] == CODEC_LZ4:
        return raw_bytes[0] <= 255 * n
    return codec_is_zstd(codec[0]) and raw_bytes[0] <= 32768 * n


cdef int stored_unpack(const u8* stored, size_t n, int codec, const zstd_dictionary_t* dictionary, u8* target,
                       u32 raw_bytes) noexcept nogil:
    cdef int result
    n -= STORED_TRAILER
    if codec == CODEC_LZ4:
        result = lz4_decompress(stored, n, target, raw_bytes)
    elif codec_is_zstd(codec):
        if (codec == CODEC_ZSTD_DICTIONARY) != (dictionary != NULL):
            return UNPACK_MALFORMED
        return zstd_decode(stored, n, dictionary, target, raw_bytes)
    else:
        if raw_bytes != n:
            return UNPACK_MALFORMED
        memcpy(target, stored, n)
        result = 0
    return UNPACK_MALFORMED if result < 0 else 0
