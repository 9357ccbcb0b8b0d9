# Types for the compiler; requests.py says what these are.

cdef class Head:
    cdef public str method
    cdef public bytes path, query
    cdef public list headers

cdef class Request:
    cdef public Head head
    cdef public dict named
    cdef public bytes body
    cdef public bint keep_alive, extra
    cdef public Py_ssize_t reserved
    cdef public int refused

cdef class Call:
    cdef public str operation
    cdef public object data
