/* CRC-32C (Castagnoli), by the processor's CRC instruction where there is one, else from tables.
 * Guarantees: the same value on every path (tests/test_checksum.py compares them), unaligned input, no allocation.
 * Any thread, no lock. docs/format/checksums-and-codecs.md has the definition. */
#ifndef LSM_CRC32C_H
#define LSM_CRC32C_H
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include "native.h"

/* Slicing by 8: row 0 is the byte-wise table, row i advances row i - 1 by one more zero byte. */
static uint32_t lsm_crc32c_rows[8][256];
static pthread_once_t lsm_crc32c_once = PTHREAD_ONCE_INIT;

static void lsm_crc32c_fill_rows(void) {
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (0x82f63b78u & (0u - (crc & 1)));
        lsm_crc32c_rows[0][byte] = crc;
    }
    for (int row = 1; row < 8; row++)
        for (int byte = 0; byte < 256; byte++) {
            uint32_t crc = lsm_crc32c_rows[row - 1][byte];
            lsm_crc32c_rows[row][byte] = (crc >> 8) ^ lsm_crc32c_rows[0][crc & 255];
        }
}

static uint32_t lsm_crc32c_portable(uint32_t crc, const void *data, size_t n) {
    const uint8_t *p = (const uint8_t *)data;
    const uint32_t (*rows)[256] = (const uint32_t (*)[256])lsm_crc32c_rows;
    pthread_once(&lsm_crc32c_once, lsm_crc32c_fill_rows);
    crc = ~crc;
    for (; n >= 8; n -= 8, p += 8) {
        uint64_t v = lsm_get64(p) ^ crc;
        crc = rows[7][v & 255] ^ rows[6][(v >> 8) & 255] ^ rows[5][(v >> 16) & 255] ^ rows[4][(v >> 24) & 255]
            ^ rows[3][(v >> 32) & 255] ^ rows[2][(v >> 40) & 255] ^ rows[1][(v >> 48) & 255] ^ rows[0][v >> 56];
    }
    for (; n; n--)
        crc = (crc >> 8) ^ rows[0][(crc ^ *p++) & 255];
    return ~crc;
}

#if defined(__x86_64__)
#include <immintrin.h>
#define LSM_CRC32C_STREAM_WORDS 192

/* [m] is x^(64 m - 33) modulo the polynomial, bits reflected: a carry-less product with it, reduced by one more CRC
 * instruction (which multiplies by x^32; reflection adds one x), advances a checksum over m words of zeros. */
static const uint32_t lsm_crc32c_over_words[] = {
    0x00000000, 0x00000001, 0x493c7d27, 0xf20c0dfe, 0xba4fc28e, 0x3da6d0cb, 0xddc0152b, 0x1c291d04,
    0x9e4addf8, 0x740eef02, 0x39d3b296, 0x083a6eec, 0x0715ce53, 0xc49f4f67, 0x47db8317, 0x2ad91c30,
    0x0d3b6092, 0x6992cea2, 0xc96cfdc0, 0x7e908048, 0x878a92a7, 0x1b3d8f29, 0xdaece73e, 0xf1d0f55e,
    0xab7aff2a, 0xa87ab8a8, 0x2162d385, 0x8462d800, 0x83348832, 0x71d111a8, 0x299847d5, 0xffd852c6,
    0xb9e02b86, 0xdcb17aa4, 0x18b33a4e, 0xf37c5aee, 0xb6dd949b, 0x6051d5a2, 0x78d9ccb7, 0x18b0d4ff,
    0xbac2fd7b, 0x21f3d99c, 0xa60ce07b, 0x8f158014, 0xce7f39f4, 0xa00457f7, 0x61d82e56, 0x8d6d2c43,
    0xd270f1a2, 0x00ac29cf, 0xc619809d, 0xe9adf796, 0x2b3cac5d, 0x96638b34, 0x65863b64, 0xe0e9f351,
    0x1b03397f, 0x9af01f2d, 0xebb883bd, 0x2cff42cf, 0xb3e32c28, 0x88f25a3a, 0x064f7f26, 0x4e36f0b0,
    0xdd7e3b0c, 0xbd6f81f8, 0xf285651c, 0x91c9bd4b, 0x10746f3c, 0x885f087b, 0xc7a68855, 0x4c144932,
    0x271d9844, 0x52148f02, 0x8e766a0c, 0xa3c6f37a, 0x93a5f730, 0xd7c0557f, 0x6cb08e5c, 0x63ded06a,
    0x6b749fb2, 0x4d56973c, 0x1393e203, 0x9669c9df, 0xcec3662e, 0xe417f38a, 0x96c515bb, 0x4b9e0f71,
    0xe6fc4e6a, 0xd104b8fc, 0x8227bb8a, 0x5b397730, 0xb0cd4768, 0xe78eb416, 0x39c7ff35, 0x61ff0e01,
    0xd7a4825c, 0x8d96551c, 0x0ab3844b, 0x0bf80dd2, 0x0167d312, 0x8821abed, 0xf6076544, 0x6a45d2b2,
    0x26f6a60a, 0xd8d26619, 0xa741c1bf, 0xde87806c, 0x98d8d9cb, 0x14338754, 0x49c3cc9c, 0x5bd2011f,
    0x68bce87a, 0xdd07448e, 0x57a3d037, 0xdde8f5b9, 0x6956fc3b, 0xa3e3e02c, 0x42d98888, 0xd73c7bea,
    0x3771e98f, 0x80ff0093, 0xb42ae3d9, 0x8fe4c34d, 0x2178513a, 0xdf99fc11, 0xe0ac139e, 0x6c23e841,
    0x170076fa, 0xfe314258, 0x444dd413
};

/* To clang from 14 on the instruction is a feature of its own, which SSE 4.2 need not bring along. */
#if defined(__clang__) && __clang_major__ >= 14
#define LSM_CRC32C_X86 __attribute__((target("sse4.2,crc32,pclmul")))
#else
#define LSM_CRC32C_X86 __attribute__((target("sse4.2,pclmul")))
#endif

/* The instruction takes 3 cycles but starts every cycle: three checksums run side by side, then join. Also for 170
 * bytes that is less than half the time of one. */
LSM_CRC32C_X86
static uint64_t lsm_crc32c_streams(uint64_t crc, const uint8_t *p, size_t words) {
    size_t each = words / 3, rest = words - 2 * each - 1;
    const uint8_t *q = p + 8 * each, *r = q + 8 * each;
    uint64_t second = 0, third = 0;
    size_t i = 0;
    for (; i < each - 1; i++) {
        crc = _mm_crc32_u64(crc, lsm_get64(p + 8 * i));
        second = _mm_crc32_u64(second, lsm_get64(q + 8 * i));
        third = _mm_crc32_u64(third, lsm_get64(r + 8 * i));
    }
    crc = _mm_crc32_u64(crc, lsm_get64(p + 8 * i));
    second = _mm_crc32_u64(second, lsm_get64(q + 8 * i));
    for (; i < rest; i++)
        third = _mm_crc32_u64(third, lsm_get64(r + 8 * i));
    __m128i a = _mm_clmulepi64_si128(_mm_cvtsi64_si128((int64_t)crc),
                                     _mm_cvtsi32_si128((int)lsm_crc32c_over_words[words - each]), 0);
    __m128i b = _mm_clmulepi64_si128(_mm_cvtsi64_si128((int64_t)second),
                                     _mm_cvtsi32_si128((int)lsm_crc32c_over_words[words - 2 * each]), 0);
    return _mm_crc32_u64(third, lsm_get64(r + 8 * i) ^ (uint64_t)_mm_cvtsi128_si64(_mm_xor_si128(a, b)));
}

LSM_CRC32C_X86
static uint32_t lsm_crc32c_instruction(uint32_t start, const void *data, size_t n) {
    const uint8_t *p = (const uint8_t *)data;
    uint64_t crc = ~start;
    while (n >= 64) {
        size_t words = n / 8 < LSM_CRC32C_STREAM_WORDS ? n / 8 : LSM_CRC32C_STREAM_WORDS;
        crc = lsm_crc32c_streams(crc, p, words);
        p += 8 * words;
        n -= 8 * words;
    }
    for (; n >= 8; n -= 8, p += 8)
        crc = _mm_crc32_u64(crc, lsm_get64(p));
    uint32_t last = (uint32_t)crc;
    if (n & 4) {
        last = _mm_crc32_u32(last, lsm_get32(p));
        p += 4;
    }
    if (n & 2) {
        last = _mm_crc32_u16(last, lsm_get16(p));
        p += 2;
    }
    if (n & 1)
        last = _mm_crc32_u8(last, *p);
    return ~last;
}

static inline int lsm_crc32c_has_instruction(void) {
    return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul");
}

/* Without the feature chosen at compile time only gcc's arm_acle.h declares the intrinsics. */
#elif defined(__aarch64__) && (defined(__ARM_FEATURE_CRC32) || (defined(__linux__) && !defined(__clang__)))
#include <arm_acle.h>
#if defined(__ARM_FEATURE_CRC32)
#define LSM_CRC32C_TARGET
static inline int lsm_crc32c_has_instruction(void) { return 1; }
#else
#include <sys/auxv.h>
#define LSM_CRC32C_TARGET __attribute__((target("+crc")))
/* Bit 7 of AT_HWCAP is HWCAP_CRC32. The C library answers from memory. */
static inline int lsm_crc32c_has_instruction(void) { return (getauxval(AT_HWCAP) >> 7) & 1; }
#endif

LSM_CRC32C_TARGET
static uint32_t lsm_crc32c_instruction(uint32_t crc, const void *data, size_t n) {
    const uint8_t *p = (const uint8_t *)data;
    crc = ~crc;
    for (; n >= 8; n -= 8, p += 8)
        crc = __crc32cd(crc, lsm_get64(p));
    for (; n; n--)
        crc = __crc32cb(crc, *p++);
    return ~crc;
}

#else
static inline int lsm_crc32c_has_instruction(void) { return 0; }
static inline uint32_t lsm_crc32c_instruction(uint32_t crc, const void *data, size_t n) {
    return lsm_crc32c_portable(crc, data, n);
}
#endif

static inline uint32_t lsm_crc32c_extend(uint32_t crc, const void *data, size_t n) {
    if (__builtin_expect(lsm_crc32c_has_instruction(), 1))
        return lsm_crc32c_instruction(crc, data, n);
    return lsm_crc32c_portable(crc, data, n);
}
#endif
