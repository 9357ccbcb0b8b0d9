"""Items as bytes: DynamoDB's typed values in a compact, canonical, versioned form (docs/format/item.md).

Guarantees: equal items have equal bytes; numbers, sets and names are in their stored form; no bytes crash a reader. No
engine, no locks; any thread that holds the GIL.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_Next, PyDict_SetItem
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE, PyList_Sort
from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcmp, memcpy

from lsm.decimal_text cimport (
    NUMBER_OK,
    number_key,
    number_read,
    number_size,
    number_t,
    number_text,
)
from lsm.types cimport u8, u32, u64

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* n) except NULL

cdef enum:
    VERSION = 1
    TAG_NULL = 0
    TAG_FALSE = 1
    TAG_TRUE = 2
    TAG_S = 3
    TAG_N = 4
    TAG_B = 5
    TAG_SS = 6
    TAG_NS = 7
    TAG_BS = 8
    TAG_L = 9
    TAG_M = 10
    DEEPEST = 31                      # lists and maps around a value

# what docs/format/item.md says, for tests of it
FORMAT = {"version": VERSION, "deepest": DEEPEST, "NULL": TAG_NULL, "false": TAG_FALSE, "true": TAG_TRUE, "S": TAG_S,
          "N": TAG_N, "B": TAG_B, "SS": TAG_SS, "NS": TAG_NS, "BS": TAG_BS, "L": TAG_L, "M": TAG_M}

cdef str S = "S"
cdef str N = "N"
cdef str B = "B"
cdef str SS = "SS"
cdef str NS = "NS"
cdef str BS = "BS"
cdef str L = "L"
cdef str M = "M"
cdef str BOOL = "BOOL"
cdef str NULL_ = "NULL"


class Unusual(ValueError):
    """A typed value that the codec does not take as it is; lsm/dynamodb/values.py says what is wrong with it."""


class Malformed(ValueError):
    """Bytes that are no item."""


# ---- writing

cdef class Writer:
    """A growing buffer, and the DynamoDB size of what was written."""

    cdef u8* p
    cdef size_t n
    cdef size_t room
    cdef u64 size

    def __cinit__(self):
        self.room = 256
        self.p = <u8*>malloc(self.room)
        if self.p == NULL:
            raise MemoryError()

    def __dealloc__(self):
        free(self.p)

    cdef int need(self, size_t more) except -1:
        cdef size_t room = self.room
        cdef u8* p
        if self.n + more <= room:
            return 0
        while room < self.n + more:
            room *= 2
        p = <u8*>realloc(self.p, room)
        if p == NULL:
            raise MemoryError()
        self.p = p
        self.room = room
        return 0

    cdef int put(self, const void* data, size_t n) except -1:
        self.need(n)
        memcpy(self.p + self.n, data, n)
        self.n += n
        return 0

    cdef int byte(self, u8 value) except -1:
        self.need(1)
        self.p[self.n] = value
        self.n += 1
        return 0

    cdef int varint(self, u64 value) except -1:
        self.need(10)
        while value >= 128:
            self.p[self.n] = <u8>(value | 128)
            self.n += 1
            value >>= 7
        self.p[self.n] = <u8>value
        self.n += 1
        return 0

    cdef int text(self, object value, bint name) except -1:
        """Length and UTF-8; a name may not be empty."""
        cdef Py_ssize_t n
        cdef const char* p
        if type(value) is not str:
            raise Unusual("text")
        try:
            p = PyUnicode_AsUTF8AndSize(value, &n)
        except UnicodeEncodeError:
            raise Unusual("text") from None
        if name and n == 0:
            raise Unusual("name")
        self.varint(n)
        self.put(p, n)
        self.size += n
        return 0

    cdef int raw(self, object value) except -1:
        cdef bytes data
        if type(value) is not bytes:
            raise Unusual("binary")
        data = value
        self.varint(PyBytes_GET_SIZE(data))
        self.put(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
        self.size += PyBytes_GET_SIZE(data)
        return 0

    cdef int number(self, object value) except -1:
        cdef number_t number
        cdef u8 out[176]
        cdef u32 n
        read(value, &number)
        n = number_text(&number, out)
        self.varint(n)
        self.put(out, n)
        self.size += number_size(&number)
        return 0

    cdef size_t begin(self) except? 0:
        """Room for the length of what follows; where it stands."""
        self.need(4)
        self.n += 4
        return self.n

    cdef void end(self, size_t at) noexcept:
        cdef u32 n = <u32>(self.n - at)
        memcpy(self.p + at - 4, &n, 4)

    cdef int value(self, object typed, u32 depth) except -1:
        cdef Py_ssize_t at = 0
        cdef PyObject* key
        cdef PyObject* held
        cdef str tag
        cdef object inner
        if type(typed) is not dict or len(<dict>typed) != 1 or not PyDict_Next(typed, &at, &key, &held):
            raise Unusual("value")
        if type(<object>key) is not str:
            raise Unusual("value")
        tag = <str>key
        inner = <object>held
        if tag == S:
            self.byte(TAG_S)
            self.text(inner, False)
        elif tag == N:
            self.byte(TAG_N)
            self.number(inner)
        elif tag == M:
            self.container(TAG_M, depth)
            self.map(inner, depth)
        elif tag == L:
            self.container(TAG_L, depth)
            self.list(inner, depth)
        elif tag == BOOL:
            if type(inner) is not bool:
                raise Unusual("bool")
            self.byte(TAG_TRUE if inner else TAG_FALSE)
            self.size += 1
        elif tag == NULL_:
            if inner is not True:
                raise Unusual("null")
            self.byte(TAG_NULL)
            self.size += 1
        elif tag == B:
            self.byte(TAG_B)
            self.raw(inner)
        elif tag == SS or tag == NS or tag == BS:
            self.set(tag, inner)
        else:
            raise Unusual("type")
        return 0

    cdef int container(self, u8 tag, u32 depth) except -1:
        if depth >= DEEPEST:
            raise Unusual("depth")
        self.byte(tag)
        self.size += 3
        return 0

    cdef int attributes(self, dict typed, u32 depth, bint counted) except -1:
        """Count, then names and values by the names' UTF-8; `counted` adds a byte of size for each."""
        cdef list names = list(typed)
        cdef Py_ssize_t i
        cdef object name
        for name in names:
            if type(name) is not str:
                raise Unusual("name")
        PyList_Sort(names)
        self.varint(PyList_GET_SIZE(names))
        for i in range(PyList_GET_SIZE(names)):
            name = <object>PyList_GET_ITEM(names, i)
            self.text(name, True)
            self.value(typed[name], depth)
        if counted:
            self.size += PyList_GET_SIZE(names)
        return 0

    cdef int map(self, object inner, u32 depth) except -1:
        cdef size_t at
        if type(inner) is not dict:
            raise Unusual("map")
        at = self.begin()
        self.attributes(inner, depth + 1, True)
        self.end(at)
        return 0

    cdef int list(self, object inner, u32 depth) except -1:
        cdef size_t at
        cdef object element
        if type(inner) is not list:
            raise Unusual("list")
        at = self.begin()
        self.varint(len(<list>inner))
        for element in <list>inner:
            self.value(element, depth + 1)
        self.size += len(<list>inner)
        self.end(at)
        return 0

    cdef int set(self, str tag, object inner) except -1:
        """Members by their bytes, numbers by their value; none twice, at least one."""
        cdef size_t at
        cdef list members
        cdef Py_ssize_t i
        if type(inner) is not list or not inner:
            raise Unusual("set")
        if tag == SS:
            members = sorted_members(inner, str)
            self.byte(TAG_SS)
        elif tag == BS:
            members = sorted_members(inner, bytes)
            self.byte(TAG_BS)
        else:
            members = sorted([(key_of(member), member) for member in <list>inner])
            for i in range(1, len(members)):
                if members[i - 1][0] == members[i][0]:
                    raise Unusual("duplicate")
            self.byte(TAG_NS)
        at = self.begin()
        self.varint(len(members))
        for member in members:
            if tag == SS:
                self.text(member, False)
            elif tag == BS:
                self.raw(member)
            else:
                self.number(member[1])
        self.end(at)
        return 0


cdef list sorted_members(list members, type kind):
    cdef object member
    for member in members:
        if type(member) is not kind:
            raise Unusual("member")
    if len(set(members)) != len(members):
        raise Unusual("duplicate")
    return sorted(members)


cdef int read(object value, number_t* number) except -1:
    cdef Py_ssize_t n
    cdef const char* p
    if type(value) is not str:
        raise Unusual("number")
    try:
        p = PyUnicode_AsUTF8AndSize(value, &n)
    except UnicodeEncodeError:
        raise Unusual("number") from None
    if number_read(<const u8*>p, n, number) != NUMBER_OK:
        raise Unusual("number")
    return 0


cdef bytes key_of(object text):
    cdef number_t number
    cdef u8 out[24]
    read(text, &number)
    return PyBytes_FromStringAndSize(<const char*>out, number_key(&number, out))


# ---- reading

cdef struct reader_t:
    const u8* p
    const u8* end


cdef int malformed() except -1:
    raise Malformed("these bytes are no item")


cdef int take_varint(reader_t* r, u64* out) except -1:
    cdef u64 value = 0
    cdef u32 shift = 0
    cdef u8 c
    out[0] = 0
    while True:
        if r.p >= r.end or shift > 56:
            return malformed()
        c = r.p[0]
        r.p += 1
        value |= <u64>(c & 127) << shift
        if c < 128:
            break
        shift += 7
    out[0] = value
    return 0


cdef int take_piece(reader_t* r, const u8** p, u64* n) except -1:
    """Length and bytes."""
    p[0] = r.p
    take_varint(r, n)
    if n[0] > <u64>(r.end - r.p):
        return malformed()
    p[0] = r.p
    r.p += n[0]
    return 0


cdef int take_header(object data, reader_t* r, u64* size, u64* count) except -1:
    if type(data) is not bytes:
        raise TypeError(f"an item's bytes are bytes, not {type(data).__name__}")
    r.p = <const u8*>PyBytes_AS_STRING(<bytes>data)
    r.end = r.p + PyBytes_GET_SIZE(<bytes>data)
    if r.p == r.end or r.p[0] != VERSION:
        return malformed()
    r.p += 1
    take_varint(r, size)
    return take_varint(r, count)


cdef int take_inner(reader_t* r, reader_t* inner) except -1:
    cdef u32 n
    inner.p = r.p
    inner.end = r.p
    if r.end - r.p < 4:
        return malformed()
    memcpy(&n, r.p, 4)
    r.p += 4
    if n > <u64>(r.end - r.p):
        return malformed()
    inner.p = r.p
    inner.end = r.p + n
    r.p += n
    return 0


cdef inline u8 take_tag(reader_t* r) except 255:
    cdef u8 tag
    if r.p >= r.end or r.p[0] > TAG_M:
        malformed()
    tag = r.p[0]
    r.p += 1
    return tag


cdef int skip_value(reader_t* r) except -1:
    cdef u8 tag = take_tag(r)
    cdef const u8* p = NULL
    cdef u64 n = 0
    cdef reader_t inner
    if tag <= TAG_TRUE:
        return 0
    if tag <= TAG_B:
        return take_piece(r, &p, &n)
    return take_inner(r, &inner)


cdef object take_text(reader_t* r):
    cdef const u8* p = NULL
    cdef u64 n = 0
    take_piece(r, &p, &n)
    return PyUnicode_DecodeUTF8(<const char*>p, n, NULL)


cdef object take_bytes(reader_t* r):
    cdef const u8* p = NULL
    cdef u64 n = 0
    take_piece(r, &p, &n)
    return PyBytes_FromStringAndSize(<const char*>p, n)


cdef list take_members(reader_t* r, bint binary):
    cdef reader_t inner
    cdef u64 count = 0
    cdef u64 i
    cdef list members = []
    take_inner(r, &inner)
    take_varint(&inner, &count)
    for i in range(count):
        members.append(take_bytes(&inner) if binary else take_text(&inner))
    return members


cdef dict take_value(reader_t* r, u32 depth):
    cdef u8 tag = take_tag(r)
    cdef reader_t inner
    cdef u64 count = 0
    cdef u64 i
    cdef list elements
    if tag == TAG_S:
        return {S: take_text(r)}
    if tag == TAG_N:
        return {N: take_text(r)}
    if tag == TAG_M or tag == TAG_L:
        if depth > DEEPEST:
            malformed()
        take_inner(r, &inner)
        take_varint(&inner, &count)
        if tag == TAG_M:
            return {M: take_attributes(&inner, count, depth + 1)}
        elements = []
        for i in range(count):
            elements.append(take_value(&inner, depth + 1))
        return {L: elements}
    if tag == TAG_TRUE:
        return {BOOL: True}
    if tag == TAG_FALSE:
        return {BOOL: False}
    if tag == TAG_NULL:
        return {NULL_: True}
    if tag == TAG_B:
        return {B: take_bytes(r)}
    if tag == TAG_SS:
        return {SS: take_members(r, False)}
    if tag == TAG_NS:
        return {NS: take_members(r, False)}
    return {BS: take_members(r, True)}


cdef dict take_attributes(reader_t* r, u64 count, u32 depth):
    cdef dict result = {}
    cdef u64 i
    cdef object name
    for i in range(count):
        name = take_text(r)
        PyDict_SetItem(result, name, take_value(r, depth))
    return result


# ---- items

cdef bytes item_of(Writer body):
    """Version and size in front of what was written."""
    cdef Writer head = Writer.__new__(Writer)
    cdef bytes result
    head.byte(VERSION)
    head.varint(body.size)
    result = PyBytes_FromStringAndSize(NULL, head.n + body.n)
    memcpy(PyBytes_AS_STRING(result), head.p, head.n)
    memcpy(PyBytes_AS_STRING(result) + head.n, body.p, body.n)
    return result


def encode_item(dict item not None):
    """The bytes of an item of typed values; equal items, whatever the order of names and set members and however their
    numbers are written, have equal bytes. Raises Unusual for anything DynamoDB would not store as it is."""
    cdef Writer body = Writer.__new__(Writer)
    body.attributes(item, 0, False)
    return item_of(body)


def decode_item(data):
    """The item of such bytes, as a new dict of typed values; ValueError (Malformed) where they are none."""
    cdef reader_t r
    cdef u64 size = 0
    cdef u64 count = 0
    cdef dict item
    take_header(data, &r, &size, &count)
    item = take_attributes(&r, count, 0)
    if r.p != r.end:
        malformed()
    return item


def item_size(data):
    """DynamoDB's size of the item, in bytes."""
    cdef reader_t r
    cdef u64 size = 0
    cdef u64 count = 0
    take_header(data, &r, &size, &count)
    return size


def get_attributes(data, tuple names not None):
    """Values of top-level attributes, in the order of `names`, None for those that the item lacks."""
    cdef reader_t r
    cdef u64 size = 0
    cdef u64 count = 0
    cdef u64 i
    cdef u64 n = 0
    cdef Py_ssize_t j
    cdef const u8* p = NULL
    cdef Py_ssize_t length
    cdef const char* wanted
    cdef list values = [None] * len(names)
    cdef Py_ssize_t left = len(names)
    cdef bint taken
    take_header(data, &r, &size, &count)
    for i in range(count):
        if not left:
            break
        take_piece(&r, &p, &n)
        taken = False
        for j in range(len(names)):
            wanted = PyUnicode_AsUTF8AndSize(names[j], &length)
            if <u64>length == n and memcmp(wanted, p, n) == 0:
                if not taken:
                    values[j] = take_value(&r, 0)
                    taken = True
                    left -= 1
        if not taken:
            skip_value(&r)
    return values


def project_item(data, frozenset names not None):
    """The bytes of the item that has those top-level attributes alone: what an index stores of it."""
    cdef reader_t r
    cdef u64 size = 0
    cdef u64 count = 0
    cdef u64 i
    cdef u64 kept = 0
    cdef u64 n = 0
    cdef const u8* p = NULL
    cdef const u8* begin
    cdef reader_t value
    cdef Writer pieces = Writer.__new__(Writer)
    cdef Writer body = Writer.__new__(Writer)
    take_header(data, &r, &size, &count)
    for i in range(count):
        begin = r.p
        take_piece(&r, &p, &n)
        value.p = r.p
        value.end = r.end
        skip_value(&r)
        if PyUnicode_DecodeUTF8(<const char*>p, n, NULL) in names:
            pieces.put(begin, r.p - begin)
            pieces.size += n + size_at(&value, 0)
            kept += 1
    body.varint(kept)
    body.put(pieces.p, pieces.n)
    body.size = pieces.size
    return item_of(body)


cdef u64 size_at(reader_t* r, u32 depth) except? 0xFFFFFFFFFFFFFFFF:
    """DynamoDB's size of a stored value."""
    cdef u8 tag = take_tag(r)
    cdef reader_t inner
    cdef const u8* p = NULL
    cdef u64 n = 0
    cdef u64 count = 0
    cdef u64 i
    cdef u64 total = 0
    cdef number_t number
    if tag <= TAG_TRUE:
        return 1
    if tag == TAG_S or tag == TAG_B:
        take_piece(r, &p, &n)
        return n
    if tag == TAG_N:
        take_piece(r, &p, &n)
        number_read(p, n, &number)
        return number_size(&number)
    take_inner(r, &inner)
    take_varint(&inner, &count)
    if tag >= TAG_L:
        total = 3 + count
        if depth > DEEPEST:
            malformed()
    for i in range(count):
        if tag == TAG_L:
            total += size_at(&inner, depth + 1)
        elif tag == TAG_M:
            take_piece(&inner, &p, &n)
            total += n + size_at(&inner, depth + 1)
        else:
            take_piece(&inner, &p, &n)
            if tag == TAG_NS:
                number_read(p, n, &number)
                n = number_size(&number)
            total += n
    return total


# ---- single values

def store_value(value):
    """A typed value in its stored form: numbers as plain text, sets sorted. Raises Unusual as encode_item does."""
    cdef Writer body = Writer.__new__(Writer)
    cdef reader_t r
    body.value(value, 0)
    r.p = body.p
    r.end = body.p + body.n
    return take_value(&r, 0)


def store_attributes(attributes):
    """A map of typed values, such as a key, in stored form. Raises Unusual as encode_item does, for empty names too."""
    return stored_attributes(attributes)


def store_keys(list keys not None):
    """The same of many. Raises Unusual also where two are equal, TypeError for values that no key has."""
    cdef list stored = []
    cdef list flat
    cdef set seen = set()
    cdef dict one
    for key in keys:
        one = stored_attributes(key)
        flat = []
        for name, value in one.items():
            flat.append(name)
            for kind, held in (<dict>value).items():
                flat.append(kind)
                flat.append(held)
        seen.add(tuple(flat))
        stored.append(one)
    if len(seen) < len(stored):
        raise Unusual("twice")
    return stored


cdef dict stored_attributes(object attributes):
    cdef Py_ssize_t i = 0
    cdef PyObject* name = NULL
    cdef PyObject* value = NULL
    cdef dict stored = {}
    if type(attributes) is not dict:
        raise Unusual("attributes")
    while PyDict_Next(attributes, &i, &name, &value):
        if type(<object>name) is not str or len(<str>name) == 0:
            raise Unusual("name")
        PyDict_SetItem(stored, <object>name, store_value(<object>value))
    return stored


def request_keys(list requests not None, tuple names not None, tuple types not None):
    """`request_key` of many; None where anything about one is unusual."""
    cdef list keys = []
    cdef object key
    for request in requests:
        key = request_key(request, names, types)
        if key is None:
            return None
        keys.append(key)
    return keys


def value_size(value):
    """DynamoDB's size of a typed value, in bytes, without a name."""
    cdef Writer body = Writer.__new__(Writer)
    body.value(value, 0)
    return body.size


def number_order(text):
    """Bytes that compare as the numbers do; Unusual for text that DynamoDB would not store."""
    return key_of(text)


# ---- JSON

cdef const char* HEX = "0123456789abcdef"
cdef const char* BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


cdef class JsonWriter(Writer):
    """DynamoDB's JSON, straight from an item's bytes."""

    cdef int string(self, const u8* p, u64 n) except -1:
        cdef u64 i
        cdef u8 c
        cdef u8* out
        self.need(n * 6 + 2)
        out = self.p + self.n
        out[0] = 34
        out += 1
        for i in range(n):
            c = p[i]
            if c >= 32 and c != 34 and c != 92:
                out[0] = c
                out += 1
            elif c == 34 or c == 92:
                out[0] = 92
                out[1] = c
                out += 2
            else:
                memcpy(out, b"\\u00", 4)
                out[4] = HEX[c >> 4]
                out[5] = HEX[c & 15]
                out += 6
        out[0] = 34
        self.n = out + 1 - self.p
        return 0

    cdef int base64(self, const u8* p, u64 n) except -1:
        cdef u64 i = 0
        cdef u32 group
        cdef u8* out
        self.need(n * 4 // 3 + 8)
        out = self.p + self.n
        out[0] = 34
        out += 1
        while i < n:
            group = (<u32>p[i] << 16) | (<u32>p[i + 1] << 8 if i + 1 < n else 0) | (<u32>p[i + 2] if i + 2 < n else 0)
            out[0] = BASE64[group >> 18]
            out[1] = BASE64[(group >> 12) & 63]
            out[2] = BASE64[(group >> 6) & 63] if i + 1 < n else 61
            out[3] = BASE64[group & 63] if i + 2 < n else 61
            out += 4
            i += 3
        out[0] = 34
        self.n = out + 1 - self.p
        return 0

    cdef int members(self, reader_t* r, u8 tag, u32 depth) except -1:
        cdef reader_t inner
        cdef u64 count = 0
        cdef u64 i
        cdef u64 n = 0
        cdef const u8* p = NULL
        take_inner(r, &inner)
        take_varint(&inner, &count)
        self.byte(91)
        for i in range(count):
            if i:
                self.byte(44)
            if tag == TAG_L:
                self.json(&inner, depth + 1)
                continue
            take_piece(&inner, &p, &n)
            if tag == TAG_BS:
                self.base64(p, n)
            else:
                self.string(p, n)
        return self.byte(93)

    cdef int json(self, reader_t* r, u32 depth) except -1:
        cdef u8 tag = take_tag(r)
        cdef reader_t inner
        cdef u64 count = 0
        cdef u64 n = 0
        cdef const u8* p = NULL
        if depth > DEEPEST:
            malformed()
        if tag == TAG_S or tag == TAG_N:
            self.put(b'{"S":' if tag == TAG_S else b'{"N":', 5)
            take_piece(r, &p, &n)
            self.string(p, n)
        elif tag == TAG_B:
            self.put(b'{"B":', 5)
            take_piece(r, &p, &n)
            self.base64(p, n)
        elif tag == TAG_TRUE:
            self.put(b'{"BOOL":true', 12)
        elif tag == TAG_FALSE:
            self.put(b'{"BOOL":false', 13)
        elif tag == TAG_NULL:
            self.put(b'{"NULL":true', 12)
        elif tag == TAG_M:
            self.put(b'{"M":', 5)
            take_inner(r, &inner)
            take_varint(&inner, &count)
            self.attributes_json(&inner, count, depth + 1)
        else:
            self.put(b'{"L":' if tag == TAG_L else b'{"SS":' if tag == TAG_SS else b'{"NS":' if tag == TAG_NS
                     else b'{"BS":', 5 if tag == TAG_L else 6)
            self.members(r, tag, depth)
        return self.byte(125)

    cdef int attributes_json(self, reader_t* r, u64 count, u32 depth) except -1:
        cdef u64 i
        cdef u64 n = 0
        cdef const u8* p = NULL
        self.byte(123)
        for i in range(count):
            if i:
                self.byte(44)
            take_piece(r, &p, &n)
            self.string(p, n)
            self.byte(58)
            self.json(r, depth)
        return self.byte(125)


def item_json(data):
    """DynamoDB's JSON of the item, as bytes: {"name":{"S":"..."},...}, binaries in base64, no blanks."""
    cdef JsonWriter out = JsonWriter.__new__(JsonWriter)
    cdef reader_t r
    cdef u64 size = 0
    cdef u64 count = 0
    take_header(data, &r, &size, &count)
    out.attributes_json(&r, count, 0)
    return PyBytes_FromStringAndSize(<const char*>out.p, out.n)


def items_json(list items not None):
    """The same of a list of items, as a JSON array."""
    cdef JsonWriter out = JsonWriter.__new__(JsonWriter)
    cdef reader_t r
    cdef u64 size = 0
    cdef u64 count = 0
    cdef Py_ssize_t i
    out.byte(91)
    for i in range(len(items)):
        if i:
            out.byte(44)
        take_header(items[i], &r, &size, &count)
        out.attributes_json(&r, count, 0)
    out.byte(93)
    return PyBytes_FromStringAndSize(<const char*>out.p, out.n)


# ---- keys

cdef enum:
    PARTITION_KEY_BYTES = 2048
    SORT_KEY_BYTES = 1024
    MOST_PARTS = 8                    # attributes of an index's key


cdef struct part_t:
    const u8* p
    u64 n
    u8 number[24]                     # of a number its ordered key


cdef bint typed_part(object typed, str kind, part_t* part) except -1:
    """The ordered bytes of a typed value of that kind; False where it is another, or empty, or cannot be stored."""
    cdef object held
    cdef Py_ssize_t n
    cdef number_t number
    if type(typed) is not dict or len(<dict>typed) != 1:
        return False
    held = (<dict>typed).get(kind)
    if kind == B:
        if type(held) is not bytes:
            return False
        part.p = <const u8*>PyBytes_AS_STRING(<bytes>held)
        part.n = PyBytes_GET_SIZE(<bytes>held)
        return part.n > 0
    if type(held) is not str:
        return False
    try:
        part.p = <const u8*>PyUnicode_AsUTF8AndSize(held, &n)
    except UnicodeEncodeError:
        return False
    part.n = n
    if kind == N:
        if number_read(part.p, n, &number) != NUMBER_OK:
            return False
        part.n = number_key(&number, part.number)
        part.p = part.number
    return part.n > 0


def request_key(key, tuple names not None, tuple types not None):
    """(partition bytes, sort bytes) of a lookup's Key, its types being S, N or B by name; None where anything about it
    is unusual, which lsm/dynamodb/keys.py then puts into words."""
    cdef part_t parts[2]
    cdef Py_ssize_t i
    if type(key) is not dict or len(<dict>key) != len(names):
        return None
    for i in range(len(names)):
        if not typed_part((<dict>key).get(names[i]), <str>types[i], &parts[i]):
            return None
    return table_key(parts, len(names))


cdef object table_key(part_t* parts, Py_ssize_t count):
    if parts[0].n > PARTITION_KEY_BYTES or (count > 1 and parts[1].n > SORT_KEY_BYTES):
        return None
    partition = PyBytes_FromStringAndSize(<const char*>parts[0].p, parts[0].n)
    if count == 1:
        return partition, b""
    return partition, PyBytes_FromStringAndSize(<const char*>parts[1].p, parts[1].n)


cdef Py_ssize_t stored_parts(object data, tuple names, tuple types, part_t* parts) except -1:
    """Finds the key attributes in an item's bytes; how many are there, of their types and not empty."""
    cdef reader_t r
    cdef reader_t value
    cdef u64 size = 0
    cdef u64 count = 0
    cdef u64 i
    cdef u64 n = 0
    cdef const u8* p = NULL
    cdef Py_ssize_t j
    cdef Py_ssize_t length
    cdef const char* wanted
    cdef Py_ssize_t found = 0
    cdef u8 tag
    cdef number_t number
    take_header(data, &r, &size, &count)
    for i in range(count):
        take_piece(&r, &p, &n)
        value = r
        skip_value(&r)
        for j in range(len(names)):
            wanted = PyUnicode_AsUTF8AndSize(names[j], &length)
            if <u64>length != n or memcmp(wanted, p, n) != 0:
                continue
            tag = take_tag(&value)
            if tag != (TAG_S if types[j] == S else TAG_N if types[j] == N else TAG_B):
                return found
            take_piece(&value, &parts[j].p, &parts[j].n)
            if tag == TAG_N:
                if number_read(parts[j].p, parts[j].n, &number) != NUMBER_OK:
                    malformed()
                parts[j].n = number_key(&number, parts[j].number)
                parts[j].p = parts[j].number
            if parts[j].n == 0:
                return found
            found += 1
            break
        if found == len(names):
            break
    return found


def item_key(data, tuple names not None, tuple types not None):
    """(partition bytes, sort bytes) of an item in its table; None where the item does not fit the key."""
    cdef part_t parts[2]
    if stored_parts(data, names, types, parts) < len(names):
        return None
    return table_key(parts, len(names))


cdef u8* put_ended(u8* out, const u8* p, u64 n) noexcept:
    """A part with an end that keeps the order and lets no part begin with another."""
    cdef u64 i
    for i in range(n):
        out[0] = p[i]
        out += 1
        if p[i] == 0:
            out[0] = 255
            out += 1
    out[0] = 0
    out[1] = 1
    return out + 2


def index_key(data, tuple names not None, tuple types not None, Py_ssize_t hashes, tuple key not None):
    """(partition bytes, sort bytes) of an item's entry in an index whose first `hashes` attributes are its partition
    key; `key` is the item's in its table. None where the item is not in the index."""
    cdef part_t parts[8]
    cdef Py_ssize_t count = len(names)
    cdef Py_ssize_t i
    cdef u64 room = 0
    cdef bytes own = <bytes?>key[0]
    cdef bytes sort = <bytes?>key[1]
    cdef bytes buffer
    cdef u8* begin
    cdef u8* out
    cdef object partition
    if count > MOST_PARTS:
        raise ValueError("an index has at most eight key attributes")
    if stored_parts(data, names, types, parts) < count:
        return None
    for i in range(count):
        room += parts[i].n * 2 + 2
    room += PyBytes_GET_SIZE(own) * 2 + 2 + PyBytes_GET_SIZE(sort)
    buffer = PyBytes_FromStringAndSize(NULL, room)
    begin = <u8*>PyBytes_AS_STRING(buffer)
    if hashes == 1:
        partition = PyBytes_FromStringAndSize(<const char*>parts[0].p, parts[0].n)
    else:
        out = begin
        for i in range(hashes):
            out = put_ended(out, parts[i].p, parts[i].n)
        partition = PyBytes_FromStringAndSize(<const char*>begin, out - begin)
    out = begin
    for i in range(hashes, count):
        out = put_ended(out, parts[i].p, parts[i].n)
    out = put_ended(out, <const u8*>PyBytes_AS_STRING(own), PyBytes_GET_SIZE(own))
    memcpy(out, PyBytes_AS_STRING(sort), PyBytes_GET_SIZE(sort))
    out += PyBytes_GET_SIZE(sort)
    return partition, PyBytes_FromStringAndSize(<const char*>begin, out - begin)
