/* What Cython cannot say: prefetch, bit counts, byte order, atomics. */
#ifndef LSM_NATIVE_H
#define LSM_NATIVE_H
#include <stdint.h>
#include <string.h>

static inline void lsm_prefetch(const void *p) { __builtin_prefetch(p, 0, 3); }
static inline void lsm_prefetch_write(const void *p) { __builtin_prefetch(p, 1, 3); }
static inline int lsm_ctz32(uint32_t x) { return __builtin_ctz(x); }
static inline int lsm_ctz64(uint64_t x) { return __builtin_ctzll(x); }
static inline int lsm_clz64(uint64_t x) { return __builtin_clzll(x); }

/* Every format is little-endian; on a big-endian machine these swap. */
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define LSM_LE16(x) __builtin_bswap16(x)
#define LSM_LE32(x) __builtin_bswap32(x)
#define LSM_LE64(x) __builtin_bswap64(x)
#define LSM_BE64(x) (x)
#else
#define LSM_LE16(x) (x)
#define LSM_LE32(x) (x)
#define LSM_LE64(x) (x)
#define LSM_BE64(x) __builtin_bswap64(x)
#endif
static inline uint16_t lsm_get16(const void *p) { uint16_t v; memcpy(&v, p, 2); return LSM_LE16(v); }
static inline uint32_t lsm_get32(const void *p) { uint32_t v; memcpy(&v, p, 4); return LSM_LE32(v); }
static inline uint64_t lsm_get64(const void *p) { uint64_t v; memcpy(&v, p, 8); return LSM_LE64(v); }
static inline uint64_t lsm_get64_be(const void *p) { uint64_t v; memcpy(&v, p, 8); return LSM_BE64(v); }
static inline void lsm_put16(void *p, uint16_t v) { v = LSM_LE16(v); memcpy(p, &v, 2); }
static inline void lsm_put32(void *p, uint32_t v) { v = LSM_LE32(v); memcpy(p, &v, 4); }
static inline void lsm_put64(void *p, uint64_t v) { v = LSM_LE64(v); memcpy(p, &v, 8); }
static inline void lsm_put64_be(void *p, uint64_t v) { v = LSM_BE64(v); memcpy(p, &v, 8); }

static inline uint64_t lsm_load64(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
static inline void lsm_store64(uint64_t *p, uint64_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
static inline int lsm_load_int(const int *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
static inline void lsm_store_int(int *p, int v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
#endif
