# Types for the compiler; metrics.py says what these are.

cdef class Cell:
    cdef public list classes
    cdef public double seconds

cdef class Metrics:
    cdef public object _service, capacity
    cdef public dict cells, errors
    cdef public Py_ssize_t accepted
