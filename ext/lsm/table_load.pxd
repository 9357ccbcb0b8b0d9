# Filling a table from its file; table_open's own.
from lsm.table cimport table_t
from lsm.types cimport error_t, u8, u64

# Reads and checks footer, filter and index of the file at t.handle; on failure the caller frees what was filled.
cdef int table_load(table_t* t, u64 number, const u8* database_id, error_t* error) noexcept nogil
