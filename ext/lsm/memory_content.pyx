"""The bytes of a file in memory.

Guarantees: bytes never written read as zeros; a write that runs out of memory changes nothing past what it took.
One thread at a time: the file system's mutex is held.
"""
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, memset

from lsm.types cimport u8, u32, u64

cdef enum:
    CHUNK_BITS = 16
    CHUNK = 1 << 16
    SMALLEST = 256                    # first size of chunk 0


cdef void content_resize(content_t* c, u64 size) noexcept nogil:
    """Chunks past the new size go; the rest of the one that it cuts becomes zeros."""
    cdef u64 i = (size + CHUNK - 1) >> CHUNK_BITS
    cdef u64 last = size >> CHUNK_BITS
    cdef size_t keep = <size_t>(size & (CHUNK - 1))
    cdef size_t room
    while i < c.chunk_room:
        free(c.chunks[i])
        c.chunks[i] = NULL
        if i == 0:
            c.first_room = 0
        i += 1
    if keep > 0 and last < c.chunk_room and c.chunks[last] != NULL:
        room = CHUNK if last > 0 else c.first_room
        if room > keep:
            memset(c.chunks[last] + keep, 0, room - keep)
    c.size = size


cdef u8* chunk_for(content_t* c, u64 i, size_t upto) noexcept nogil:
    """Chunk i with room for `upto` bytes, made or grown with zeros; NULL: out of memory."""
    cdef u64 room
    cdef void* moved
    if i >= c.chunk_room:
        room = i + 1 + i // 4
        moved = realloc(c.chunks, room * sizeof(u8*))
        if moved == NULL:
            return NULL
        c.chunks = <u8**>moved
        memset(c.chunks + c.chunk_room, 0, (room - c.chunk_room) * sizeof(u8*))
        c.chunk_room = room
    if i > 0:
        if c.chunks[i] == NULL:
            c.chunks[i] = <u8*>calloc(1, CHUNK)
        return c.chunks[i]
    if upto > c.first_room:
        room = c.first_room * 2 if c.first_room > 0 else SMALLEST
        if room < upto:
            room = upto
        if room > CHUNK:
            room = CHUNK
        moved = realloc(c.chunks[0], room)
        if moved == NULL:
            return NULL
        c.chunks[0] = <u8*>moved
        memset(c.chunks[0] + c.first_room, 0, room - c.first_room)
        c.first_room = <u32>room
    return c.chunks[0]


cdef void content_read(const content_t* c, u8* to, u64 offset, size_t n) noexcept nogil:
    cdef u64 i
    cdef size_t at, part, room, held
    while n > 0:
        i = offset >> CHUNK_BITS
        at = <size_t>(offset & (CHUNK - 1))
        part = n if n < CHUNK - at else CHUNK - at
        room = 0
        if i < c.chunk_room and c.chunks[i] != NULL:
            room = CHUNK if i > 0 else c.first_room
        held = 0 if room <= at else (part if part < room - at else room - at)
        if held > 0:
            memcpy(to, c.chunks[i] + at, held)
        memset(to + held, 0, part - held)
        to += part
        offset += part
        n -= part


cdef size_t content_write(content_t* c, const u8* source, u64 offset, size_t n) noexcept nogil:
    cdef size_t done = 0
    cdef size_t at, part
    cdef u8* chunk
    while done < n:
        at = <size_t>((offset + done) & (CHUNK - 1))
        part = n - done if n - done < CHUNK - at else CHUNK - at
        chunk = chunk_for(c, (offset + done) >> CHUNK_BITS, at + part)
        if chunk == NULL:
            break
        memcpy(chunk + at, source + done, part)
        done += part
    if done > 0 and offset + done > c.size:
        c.size = offset + done
    return done


cdef void content_free(content_t* c) noexcept nogil:
    content_resize(c, 0)
    free(c.chunks)
    c.chunks = NULL
    c.chunk_room = 0
