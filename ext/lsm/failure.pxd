from lsm.types cimport error_t

cdef int set_io_error(error_t* error, int os_error, const char* what, const char* path) noexcept nogil
cdef int set_corruption(error_t* error, const char* what, const char* path,
                        unsigned long long offset, unsigned long long expected, unsigned long long got) noexcept nogil
cdef int set_newer_format(error_t* error, const char* path, unsigned long long found,
                          unsigned long long supported) noexcept nogil
cdef int set_no_memory(error_t* error) noexcept nogil
cdef int fail(const error_t* error) except -1
# with this path (or None) in place of the record's
cdef int fail_at(const error_t* error, bytes path) except -1
