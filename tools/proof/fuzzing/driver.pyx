# cython: language_level=3
"""libFuzzer inside a Python process: calls a Python function with each input, on an instrumented core.

Guarantees: an exception of the function is a crash, with its trace printed; lines of chosen Python files count as
coverage beside the edges of compiled code. Built by `proof.fuzzing.engine`, never shipped. One thread.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from cpython.ref cimport Py_XDECREF
from libc.stdint cimport uint8_t
from libc.stdlib cimport abort, calloc
from libc.string cimport strdup

cdef extern from *:
    """
    #include <stdint.h>
    extern int LLVMFuzzerRunDriver(int *argc, char ***argv, int (*one)(const uint8_t *, size_t));
    extern void __asan_poison_memory_region(void const volatile *p, size_t n);
    enum { LSM_LINES = 1 << 14 };
    extern uint8_t lsm_lines[LSM_LINES];   /* of the runtime library, where libFuzzer finds it */
    """
    int LLVMFuzzerRunDriver(int* argc, char*** argv, int (*one)(const uint8_t*, size_t) noexcept nogil) nogil
    void __asan_poison_memory_region(const void* p, size_t n) nogil
    int LSM_LINES
    uint8_t[1] lsm_lines

cdef extern from "Python.h":
    ctypedef struct PyFrameObject:
        pass
    ctypedef struct PyCodeObject:
        pass
    ctypedef int (*Py_tracefunc)(PyObject*, PyFrameObject*, int, PyObject*) noexcept
    void PyEval_SetTrace(Py_tracefunc f, PyObject* held)
    PyCodeObject* PyFrame_GetCode(PyFrameObject* frame)
    int PyFrame_GetLineNumber(PyFrameObject* frame)
    int PyTrace_LINE

cdef enum:
    FILES = 256                        # file names seen, as objects: one per module

cdef object target = None
cdef frozenset traced = frozenset()
cdef PyObject* known[FILES]            # borrowed: code objects of loaded modules keep them
cdef int numbers[FILES]                # of each: 0 where it is not traced
cdef int known_count = 0
cdef list kept = []                    # the names themselves
cdef unsigned int last_place = 0


cdef int file_number(PyObject* code) noexcept:
    """Which traced file a code object is of; its name is mostly the same object for all code of a module."""
    global known_count
    cdef object name = (<object>code).co_filename
    cdef int i
    for i in range(known_count):
        if known[i] == <PyObject*>name:
            return numbers[i]
    i = 1 + sorted(traced).index(name) if name in traced else 0
    if known_count < FILES:
        known[known_count] = <PyObject*>name
        numbers[known_count] = i
        known_count += 1
        kept.append(name)
    return i


cdef int on_event(PyObject* held, PyFrameObject* frame, int what, PyObject* argument) noexcept:
    """Counts pairs of lines that follow each other, as libFuzzer counts edges."""
    global last_place
    cdef PyObject* code
    cdef int number
    cdef unsigned int place
    if what != PyTrace_LINE:
        return 0
    code = <PyObject*>PyFrame_GetCode(frame)
    number = file_number(code)
    Py_XDECREF(code)
    if number:
        place = <unsigned int>(number * 1021 + PyFrame_GetLineNumber(frame)) * 2654435761u
        lsm_lines[((place >> 16) ^ last_place) % LSM_LINES] += 1
        last_place = (place >> 17)
    return 0


cdef int one(const uint8_t* data, size_t n) noexcept nogil:
    with gil:
        run_one(data, n)
    return 0


cdef void run_one(const uint8_t* data, size_t n) noexcept:
    global last_place
    cdef object held
    last_place = 0
    held = PyBytes_FromStringAndSize(<const char*>data, n)
    if traced:
        PyEval_SetTrace(on_event, NULL)
    try:
        target(held)
    except BaseException as error:
        PyEval_SetTrace(NULL, NULL)
        import traceback
        traceback.print_exception(error)
        abort()
    PyEval_SetTrace(NULL, NULL)


def exact(bytes data not None):
    """The same bytes, behind which nothing may be read: Python's own zero is out of bounds."""
    cdef bytes copy = PyBytes_FromStringAndSize(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
    if PyBytes_GET_SIZE(copy) > 1:     # shorter ones are shared by the whole process
        __asan_poison_memory_region(PyBytes_AS_STRING(copy) + PyBytes_GET_SIZE(copy), 1)
    return copy


def run(list arguments, function, files=()):
    """libFuzzer's main with its arguments; calls `function(bytes)`. Lines of `files` count. Does not return."""
    global target, traced
    cdef int count = len(arguments)
    cdef char** argv = <char**>calloc(count + 1, sizeof(char*))
    cdef int i
    target = function
    traced = frozenset(files)
    for i in range(count):
        argv[i] = strdup(arguments[i].encode())
    with nogil:
        i = LLVMFuzzerRunDriver(&count, &argv, one)
    return i
