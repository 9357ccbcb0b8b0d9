# Types for the compiler; answers.py says what these are.

cdef class Heads:
    cdef public object _clock, _numbers
    cdef public bytes _prefix, date
    cdef public dict _begins
