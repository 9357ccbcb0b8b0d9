"""Memory for what is large and short-lived: memtables, buffers of flushes, compactions and long scans.

Guarantees: freed, it goes back to the system, whichever thread used it. Any thread, with or without the GIL.
"""
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memset
from posix.mman cimport MAP_ANONYMOUS, MAP_FAILED, MAP_PRIVATE, PROT_READ, PROT_WRITE, mmap, munmap

from lsm.types cimport u8

cdef extern from *:
    """
    #include <stddef.h>
    #include <sys/mman.h>
    /* NULL: not to be had, or not on this system */
    static inline void* lsm_remap(void* p, size_t n, size_t grown) {
    #ifdef __linux__
        void* q = mremap(p, n, grown, MREMAP_MAYMOVE);
        return q == MAP_FAILED ? NULL : q;
    #else
        (void)p; (void)n; (void)grown;
        return NULL;
    #endif
    }
    static inline void lsm_advise_huge(void* p, size_t n) {
    #ifdef MADV_HUGEPAGE
        madvise(p, n, MADV_HUGEPAGE);
    #endif
        (void)p; (void)n;
    }
    """
    void advise_huge "lsm_advise_huge"(void* p, size_t n) nogil
    void* remap "lsm_remap"(void* p, size_t n, size_t grown) nogil

cdef enum:
    PAGED_FROM = 1 << 16
    HUGE_PAGE = 1 << 21


# In front of what the caller gets, LARGE_HEAD bytes begin with the size of the whole.
cdef inline void* begin(void* whole, size_t size) noexcept nogil:
    (<size_t*>whole)[0] = size
    return <char*>whole + LARGE_HEAD


cdef void* large_new(size_t n) noexcept nogil:
    cdef size_t size = n + LARGE_HEAD
    cdef void* whole
    if size < n:
        return NULL
    if size < PAGED_FROM:
        whole = malloc(size)
        return NULL if whole == NULL else begin(whole, size)
    whole = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    return NULL if whole == <void*>MAP_FAILED else begin(whole, size)


cdef void* large_zeros(size_t n) noexcept nogil:
    cdef void* p
    if n < HUGE_PAGE:
        p = large_new(n)
        if p != NULL and n + LARGE_HEAD < PAGED_FROM:
            memset(p, 0, n)
        return p
    # The kernel aligns to huge pages what is a whole number of them; the last one's addresses are hardly used.
    p = NULL if n + HUGE_PAGE < n else large_new(n + HUGE_PAGE - LARGE_HEAD)
    if p != NULL:
        advise_huge(<char*>p - LARGE_HEAD, n)
    return p


cdef void* large_grow(void* p, size_t n) noexcept nogil:
    """At least n bytes that begin with those of `p`, which stays as it is where this is NULL."""
    cdef size_t size = n + LARGE_HEAD
    cdef size_t before
    cdef void* whole
    if p == NULL:
        return large_new(n)
    whole = <char*>p - LARGE_HEAD
    before = (<size_t*>whole)[0]
    if size < n:
        return NULL
    if size < PAGED_FROM and before < PAGED_FROM:
        whole = realloc(whole, size)
        return NULL if whole == NULL else begin(whole, size)
    if size <= before:
        return p
    if before >= PAGED_FROM:
        whole = remap(whole, before, size)
        if whole != NULL:
            return begin(whole, size)
    whole = large_new(n)
    if whole != NULL:
        memcpy(whole, p, before - LARGE_HEAD)
        large_free(p)
    return whole


cdef void large_free(void* p) noexcept nogil:
    cdef void* whole
    if p == NULL:
        return
    whole = <char*>p - LARGE_HEAD
    if (<size_t*>whole)[0] < PAGED_FROM:
        free(whole)
    else:
        munmap(whole, (<size_t*>whole)[0])


def grown(sizes):
    """For tests: what a region holds that is grown to each size in turn, the k-th addition filled with k."""
    cdef u8* p = NULL
    cdef u8* q
    cdef size_t n = 0
    cdef size_t size
    cdef int k
    try:
        for k, size in enumerate(sizes):
            q = <u8*>large_grow(p, size)
            if q == NULL:
                raise MemoryError
            p = q
            if size > n:
                memset(p + n, k & 0xFF, size - n)
            n = size
        return p[:n] if p != NULL else b""
    finally:
        large_free(p)
