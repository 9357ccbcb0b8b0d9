# Types for the compiler; dispatch.py says what these are.
from lsm.server.answers cimport Heads
from lsm.server.lookout cimport Lookout
from lsm.server.metrics cimport Metrics
from lsm.server.outbox cimport Outbox
from lsm.server.protocol cimport Connection
from lsm.server.requests cimport Call, Head, Request

cdef class Answer:
    cdef public int status
    cdef public bytes kind, body, more
    cdef public str operation, table, code

cdef class Dispatcher:
    cdef public object service, limits, bodies, _authentication, _log, _database, _pool, _loop, _queue, _waiting, _parked
    cdef public object _extra, _refusal
    cdef public Heads heads
    cdef public Lookout _lookout
    cdef public Outbox _outbox
    cdef public Metrics metrics
    cdef public set connections
    cdef public double now, _extra_at
    cdef public Py_ssize_t unsent, _in_pool, _most_in_pool
    cdef public bint _durable, _ended
    cdef public int _fd
