# Types for the compiler; outbox.py says what these are.
from lsm.server.lookout cimport Lookout

cdef class Outbox:
    cdef public object _loop, _clock
    cdef public Lookout _lookout
    cdef public list _held
    cdef public Py_ssize_t _seen
    cdef public double _since
    cdef public bint _looking
