# Types for the compiler; protocol.py says what these are.
from lsm.server.requests cimport Head, Request

cdef class Connection:
    cdef public object _dispatcher, transport, parser, _pending, _body
    cdef public str peer
    cdef public bytes _unparsed, _url, _torn
    cdef public list _headers
    cdef public Py_ssize_t unsent, _at, _expected, _head_bytes, _left, _quiet_bytes, _refused, _reserved, _written
    cdef public double heard, began, _ended
    cdef public bint busy, gone, _continues, _eof, _in_head, _looping, _paused, _rests, _stopping, _stuck
    cdef public bint _waits_for_room
