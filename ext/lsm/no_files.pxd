from lsm.filesystem cimport fs_ops_t

cdef void no_operations(fs_ops_t* ops) noexcept nogil
