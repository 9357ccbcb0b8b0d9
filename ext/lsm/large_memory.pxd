# Memory for what is large and short-lived. docs/decisions/0023-pages-for-large-memory.md says why not malloc's.
#
# From PAGED_FROM bytes on it is pages of its own, which go back to the system when it is freed; below it is malloc's.
# As malloc, realloc and free: aligned to 16 bytes, NULL where there is no memory; large_free takes NULL.
cdef enum:
    LARGE_HEAD = 16                    # bytes that each takes beside what it holds

cdef void* large_new(size_t n) noexcept nogil
# As large_new, but zeros, and in huge pages where the system has them: for tables that are probed at random.
cdef void* large_zeros(size_t n) noexcept nogil
cdef void* large_grow(void* p, size_t n) noexcept nogil
cdef void large_free(void* p) noexcept nogil
