"""Parsed JSON of typed values, looked at once: whether it can be taken as it is.

Guarantees: True only where every value has one member, of the type that its name promises. Binaries, which JSON has in
base64, are never taken as they are. No state; any thread that holds the GIL.
"""
from cpython.dict cimport PyDict_Next
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.object cimport PyObject

cdef enum:
    DEEPEST = 64                      # what is nested deeper is left to who can say what is wrong with it

cdef str S = "S"
cdef str N = "N"
cdef str SS = "SS"
cdef str NS = "NS"
cdef str L = "L"
cdef str M = "M"
cdef str BOOL = "BOOL"
cdef str NULL_ = "NULL"


cdef bint strings(object held):
    cdef Py_ssize_t i
    if type(held) is not list:
        return False
    for i in range(PyList_GET_SIZE(held)):
        if type(<object>PyList_GET_ITEM(held, i)) is not str:
            return False
    return True


cdef bint value_is_plain(object value, int depth):
    cdef Py_ssize_t i = 0
    cdef PyObject* kind = NULL
    cdef PyObject* held = NULL
    cdef str name
    if type(value) is not dict or len(<dict>value) != 1 or depth > DEEPEST:
        return False
    PyDict_Next(value, &i, &kind, &held)
    if type(<object>kind) is not str:
        return False
    name = <str>kind
    if name == S or name == N:
        return type(<object>held) is str
    if name == BOOL or name == NULL_:
        return type(<object>held) is bool
    if name == M:
        return values_are_plain(<object>held, depth + 1)
    if name == SS or name == NS:
        return strings(<object>held)
    if name != L or type(<object>held) is not list:
        return False
    for i in range(PyList_GET_SIZE(<object>held)):
        if not value_is_plain(<object>PyList_GET_ITEM(<object>held, i), depth + 1):
            return False
    return True


cdef bint values_are_plain(object values, int depth):
    cdef Py_ssize_t i = 0
    cdef PyObject* name = NULL
    cdef PyObject* value = NULL
    if type(values) is not dict:
        return False
    while PyDict_Next(values, &i, &name, &value):
        if not value_is_plain(<object>value, depth):
            return False
    return True


def is_plain(values):
    """Whether this is a map of names to typed values without binaries, each as the service model has it."""
    return values_are_plain(values, 0)
