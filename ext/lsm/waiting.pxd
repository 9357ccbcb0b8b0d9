# Whether the calling thread may be kept waiting; asked only where something is about to wait.
cdef enum:
    BRIEF_US = 1000                   # a lock that is not free after so long is held by long work

cdef bint refuses_to_wait() noexcept nogil
# Raises WouldWaitError; `what` is what there is to wait for.
cdef int would_wait(str what) except -1
