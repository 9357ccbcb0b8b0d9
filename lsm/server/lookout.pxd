# Types for the compiler; lookout.py says what these are.

cdef class Lookout:
    cdef public object _loop, _clock
    cdef public double until, _awake
    cdef public int _score, _skipped
