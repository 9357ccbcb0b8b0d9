# What Python holds of an open database.
from lsm.core cimport core_t
from lsm.filesystem cimport FileSystem
from lsm.memtable cimport memtable_t
from lsm.table cimport table_t
from lsm.wal cimport Wal


cdef class Engine:
    cdef core_t* c
    cdef FileSystem files
    cdef readonly Wal log
    cdef readonly bytes database_id
    cdef readonly object path
    cdef public object exempt         # Exclusive sections: commits of threads inside do not wait for the room they make
    cdef public object spare          # gives back the disk space held in reserve; True where there was some
    cdef public object failure        # exception that poisoned the database, or None
    cdef object __weakref__


cdef class Table:
    """An open table; holds one reference."""
    cdef Engine engine
    cdef table_t* t
    cdef readonly unsigned long long number
    cdef readonly str path


cdef class Memtable:
    """A frozen memtable; holds one reference."""
    cdef Engine engine
    cdef memtable_t* m
