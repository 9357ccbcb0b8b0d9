from lsm.types cimport u8, u32

cdef extern from "crc32c.h" nogil:
    # CRC-32C (Castagnoli), as the crc32c package computes it: crc32c_extend(0, p, n) is the checksum of n bytes.
    u32 crc32c_extend "lsm_crc32c_extend"(u32 crc, const void* p, size_t n)
    # The same value from tables, without the processor's instruction.
    u32 crc32c_portable "lsm_crc32c_portable"(u32 crc, const void* p, size_t n)
