"""Tables from Python, for tools, `lsm verify` and tests; the engine itself calls the kernels.

Guarantees: the kernels' own: what is read was verified. One object belongs to one thread at a time.
"""
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from lsm.block cimport (CODEC_LZ4, CODEC_NONE, CODEC_ZSTD, CODEC_ZSTD_DICTIONARY, block_find, block_free, block_key,
                        block_lower_bound, block_seq, block_t, block_value)
from lsm.bloom cimport bloom_may_contain
from lsm.columns cimport BLOCK_MAX_ENTRIES, FLAG_KINDS, FLAG_UNIQUE
from lsm.failure cimport fail
from lsm.filesystem cimport FileSystem
from lsm.keys cimport ENGINE_KEY_MAX
from lsm.separator cimport separator_between
from lsm.stored cimport STORED_CODEC, STORED_CRC, STORED_RAW_BYTES, STORED_TRAILER
from lsm.table cimport (table_find_block, table_free, table_info_t, table_open, table_options_t, table_read_block,
                        table_t)
from lsm.table_format cimport *
from lsm.table_writer cimport (table_writer_add, table_writer_bytes, table_writer_finish, table_writer_free,
                               table_writer_new, table_writer_set_times, table_writer_t)
from lsm.types cimport KIND_PUT, MAX_VALUE_BYTES, error_t, u8, u32, u64
from lsm.xxh64 cimport xxh64

import os

from lsm import errors

CODECS = {"none": CODEC_NONE, "lz4": CODEC_LZ4, "zstd": CODEC_ZSTD, "zstd-dictionary": CODEC_ZSTD_DICTIONARY}

LAYOUT = {
    "header": {
        "magic": (HEADER_MAGIC, 8), "format version": (HEADER_VERSION, 4), "header bytes": (HEADER_BYTES, 4),
        "database id": (HEADER_DATABASE_ID, 16), "table number": (HEADER_NUMBER, 8), "salt": (HEADER_SALT, 8),
        "epoch": (HEADER_EPOCH, 8), "cipher": (HEADER_CIPHER, 4), "key id": (HEADER_KEY_ID, 4),
        "tag bytes": (HEADER_TAG_BYTES, 2), "reserved": (HEADER_RESERVED, HEADER_CRC - HEADER_RESERVED),
        "checksum": (HEADER_CRC, 4), "": (HEADER_SIZE, 0),
    },
    "trailer": {
        "codec": (STORED_CODEC, 1), "raw bytes": (STORED_RAW_BYTES, 4), "checksum": (STORED_CRC, 4),
        "": (STORED_TRAILER, 0),
    },
    "index": {
        "blocks": (INDEX_BLOCKS, 4), "size width": (INDEX_SIZE_WIDTH, 1), "length width": (INDEX_LENGTH_WIDTH, 1),
        "reserved": (INDEX_RESERVED, INDEX_COLUMNS - INDEX_RESERVED), "": (INDEX_COLUMNS, 0),
    },
    "footer": {
        "database id": (FOOTER_DATABASE_ID, 16), "table number": (FOOTER_NUMBER, 8), "salt": (FOOTER_SALT, 8),
        "file bytes": (FOOTER_FILE_BYTES, 8), "entries": (FOOTER_ENTRIES, 8), "tombstones": (FOOTER_TOMBSTONES, 8),
        "lowest sequence": (FOOTER_MIN_SEQ, 8), "highest sequence": (FOOTER_MAX_SEQ, 8),
        "lowest time": (FOOTER_MIN_TIME, 8), "highest time": (FOOTER_MAX_TIME, 8), "raw bytes": (FOOTER_RAW_BYTES, 8),
        "lowest hash": (FOOTER_MIN_HASH, 8), "highest hash": (FOOTER_MAX_HASH, 8), "blocks": (FOOTER_BLOCKS, 4),
        "flags": (FOOTER_FLAGS, 4), "filter offset": (FOOTER_FILTER_OFFSET, 8),
        "filter bytes": (FOOTER_FILTER_BYTES, 8), "filter kind": (FOOTER_FILTER_KIND, 4),
        "smallest key bytes": (FOOTER_SMALLEST_BYTES, 4), "largest key bytes": (FOOTER_LARGEST_BYTES, 4),
        "cipher": (FOOTER_CIPHER, 4), "key id": (FOOTER_KEY_ID, 4), "tag bytes": (FOOTER_TAG_BYTES, 4),
        "index offset": (FOOTER_INDEX_OFFSET, 8), "index bytes": (FOOTER_INDEX_BYTES, 8),
        "dictionary offset": (FOOTER_DICTIONARY_OFFSET, 8), "dictionary bytes": (FOOTER_DICTIONARY_BYTES, 8),
        "reserved": (FOOTER_RESERVED, FOOTER_SIZE - FOOTER_RESERVED), "": (FOOTER_SIZE, 0),
    },
    "tail": {
        "footer offset": (TAIL_FOOTER_OFFSET, 8), "footer bytes": (TAIL_FOOTER_BYTES, 4),
        "format version": (TAIL_VERSION, 4), "reserved": (TAIL_RESERVED, TAIL_CRC - TAIL_RESERVED),
        "checksum": (TAIL_CRC, 4), "magic": (TAIL_MAGIC, 8), "": (TAIL_SIZE, 0),
    },
}

NUMBERS = {
    "format version": TABLE_VERSION, "format version with a dictionary": TABLE_VERSION_DICTIONARY,
    "magic": <bytes>(table_magic()[:8]), "entries of a block": BLOCK_MAX_ENTRIES,
    "key bytes": ENGINE_KEY_MAX, "value bytes": MAX_VALUE_BYTES, "filter: blocked Bloom": FILTER_BLOCKED_BLOOM,
    "codec: none": CODEC_NONE, "codec: lz4": CODEC_LZ4, "codec: zstd": CODEC_ZSTD,
    "codec: zstd with the dictionary": CODEC_ZSTD_DICTIONARY, "block flag: kinds": FLAG_KINDS,
    "block flag: unique": FLAG_UNIQUE, "table flag: unique": TABLE_UNIQUE,
    "table flag: zstd": TABLE_ZSTD, "section checksum bytes": SECTION_CRC,
}


cdef dict info_dict(const table_info_t* info):
    return {
        "number": info.number, "file_bytes": info.file_bytes, "entries": info.entries, "tombstones": info.tombstones,
        "min_seq": info.min_seq, "max_seq": info.max_seq, "min_time": info.min_time, "max_time": info.max_time,
        "raw_bytes": info.raw_bytes, "salt": info.salt, "min_hash": info.min_hash, "max_hash": info.max_hash,
        "smallest": <bytes>info.smallest[:info.smallest_bytes], "largest": <bytes>info.largest[:info.largest_bytes],
    }


cdef bytes identity(database_id):
    result = bytes(database_id)
    if len(result) != 16:
        raise errors.InvalidArgumentError(f"a database id has 16 bytes, not {len(result)}")
    return result


def separator(bytes a not None, bytes b not None):
    """The shortest bytes s with a <= s < b; a itself where a >= b."""
    cdef bytearray out = bytearray(len(a) + 1)
    cdef u8* p = out
    return bytes(out[:separator_between(a, len(a), b, len(b), p)])


cdef class TableWriter:
    """Writes one table file: `add` in order, then `finish`. Dropped without finish, the half file stays.

    Raises what the file system raises, and CorruptionError where entries are not in order (key ascending, sequence
    of equal keys descending). `block_bytes` counts a block before compression; `codec` is "none", "lz4", "zstd", or
    "zstd-dictionary" where a `dictionary` is given.
    """
    cdef table_writer_t* w
    cdef bytes dictionary
    cdef FileSystem fs

    def __init__(self, FileSystem fs not None, path, *, database_id, u64 seed=0, u64 number=1, u64 salt=0,
                 u32 block_bytes=4096, int bits_per_key=10, codec="lz4",
                 int zstd_level=3, bytes dictionary not None=b""):
        cdef table_options_t options
        cdef error_t error
        cdef bytes name = os.fsencode(path)
        cdef bytes owner = identity(database_id)
        if self.w != NULL:
            raise errors.InvalidArgumentError("a writer is initialized once")
        if codec not in CODECS:
            raise errors.InvalidArgumentError(f"codec {codec!r} is none of {', '.join(CODECS)}")
        options.database_id = <const u8*><const char*>owner
        options.seed = seed
        options.number = number
        options.salt = salt
        options.block_bytes = block_bytes
        options.bits_per_key = bits_per_key
        options.codec = CODECS[codec]
        if (codec == "zstd-dictionary") != bool(dictionary):
            raise errors.InvalidArgumentError(f"codec {codec!r} and a dictionary of {len(dictionary)} bytes")
        self.dictionary = dictionary
        options.zstd_level = zstd_level
        options.dictionary = <const u8*><const char*>dictionary
        options.dictionary_bytes = len(dictionary)
        self.fs = fs
        self.w = table_writer_new(&fs.ops, name, &options, &error)
        if self.w == NULL:
            fail(&error)

    def __dealloc__(self):
        table_writer_free(self.w)

    def add(self, bytes key not None, u64 seq, int kind, bytes value not None):
        """Appends one record."""
        cdef error_t error
        if len(value) > MAX_VALUE_BYTES or len(key) > ENGINE_KEY_MAX:
            raise errors.InvalidArgumentError(f"a key of {len(key)} or a value of {len(value)} bytes is too long")
        if table_writer_add(self.w, key, <u32>len(key), seq, seq, <u8>kind, value, <u32>len(value), &error) < 0:
            fail(&error)

    @property
    def file_bytes(self):
        """Bytes of the file so far, about."""
        return table_writer_bytes(self.w)

    def finish(self, u64 min_time=0, u64 max_time=0):
        """Completes the file, makes its bytes durable and returns the table's info."""
        cdef error_t error
        cdef table_info_t info
        cdef int status
        table_writer_set_times(self.w, min_time, max_time)
        with nogil:
            status = table_writer_finish(self.w, &info, &error)
        if status < 0:
            fail(&error)
        try:
            return info_dict(&info)
        finally:
            free(info.smallest)
            free(info.largest)


cdef class TableReader:
    """One open table. Raises CorruptionError or UnsupportedVersionError where the file is not what it should be.

    `database_id` None: whichever it is of. `seed` must be the database's for `get` to find keys.
    """
    cdef table_t* t
    cdef FileSystem fs

    def __init__(self, FileSystem fs not None, path, u64 number, database_id=None, u64 seed=0):
        cdef error_t error
        cdef bytes name = os.fsencode(path)
        cdef bytes owner = identity(database_id) if database_id is not None else None
        cdef const u8* wanted = NULL
        if self.t != NULL:
            raise errors.InvalidArgumentError("a reader is initialized once")
        if owner is not None:
            wanted = <const u8*><const char*>owner
        self.fs = fs
        self.t = table_open(&fs.ops, name, number, wanted, seed, &error)
        if self.t == NULL:
            fail(&error)

    def __dealloc__(self):
        table_free(self.t)

    @property
    def info(self):
        """What the footer says, with the writer's names."""
        return info_dict(&self.t.info)

    @property
    def unique(self):
        """Whether no key stands twice."""
        return bool(self.t.unique)

    @property
    def dictionary(self):
        """What zstd blocks refer back to; empty where the table has none."""
        return <bytes>(<const char*>self.t.dictionary.p)[:self.t.dictionary.bytes] if self.t.dictionary.p else b""

    @property
    def charge(self):
        """Bytes of memory that the open table takes."""
        return self.t.charge

    cdef block_t* read(self, u32 i) except NULL:
        cdef error_t error
        cdef block_t* b = table_read_block(self.t, i, False, &error)
        if b == NULL:
            fail(&error)
        return b

    def may_contain(self, bytes key not None):
        """What the filter says of a key; True where there is none."""
        cdef const u8* k = key
        if self.t.filter == NULL:
            return True
        return bool(bloom_may_contain(self.t.filter, self.t.filter_lines, xxh64(k, len(key), self.t.seed)))

    def find_block(self, bytes key not None):
        """Number of the first block that may hold a key >= `key`; the number of blocks where none does."""
        return table_find_block(self.t, key, <u32>len(key))

    def separators(self):
        """Each block's separator, in order."""
        cdef const u32* ends = self.t.separator_ends
        cdef bytes shared = self.t.info.smallest[:self.t.skip]
        return [shared + <bytes>self.t.separators[ends[i]:ends[i + 1]] for i in range(self.t.block_count)]

    def get(self, bytes key not None, u64 seq=0xFFFFFFFFFFFFFFFF):
        """(sequence, kind, value) of the newest version at or before `seq`, tombstones included, or None."""
        cdef const u8* k = key
        cdef u64 h = xxh64(k, len(key), self.t.seed)
        cdef u32 block = table_find_block(self.t, k, <u32>len(key))
        cdef bint more = True
        cdef block_t* b
        cdef int i
        if self.t.filter != NULL and not bloom_may_contain(self.t.filter, self.t.filter_lines, h):
            return None
        while more and block < self.t.block_count:
            b = self.read(block)
            try:
                i = block_find(b, k, <u32>len(key), h, seq, &more)
                if i >= 0:
                    return entry(b, i)[1:]
            finally:
                block_free(b)
            block += 1
        return None

    def entries(self, bytes start=b""):
        """Iterates over (key, sequence, kind, value) in order, from the first key >= `start`."""
        cdef u32 first = table_find_block(self.t, start, <u32>len(start))
        for number in range(first, self.t.block_count):
            yield from self.block_entries(number, start if number == first else b"")

    def block_entries(self, u32 number, bytes start=b""):
        """The entries of one block, from the first key >= `start`."""
        cdef block_t* b
        if number >= self.t.block_count:
            raise IndexError(number)
        b = self.read(number)
        try:
            return [entry(b, i) for i in range(block_lower_bound(b, start, <u32>len(start)), b.count)]
        finally:
            block_free(b)

    def blocks(self):
        """(offset, stored bytes, entries, codec) of each block; reads them all."""
        rows = []
        for i in range(self.t.block_count):
            entries = len(self.block_entries(i))
            offset, end = self.t.offsets[i], self.t.offsets[i + 1]
            handle = self.fs.open(os.fsdecode(self.t.path))
            try:
                codec = self.fs.read(handle, 1, end - STORED_TRAILER + STORED_CODEC)[0]
            finally:
                self.fs.close(handle)
            name = next(name for name, number in CODECS.items() if number == codec)
            rows.append((offset, end - offset, entries, name))
        return rows


cdef tuple entry(const block_t* b, u32 i):
    cdef u32 kn, vn
    cdef const u8* k = block_key(b, i, &kn)
    cdef const u8* v = block_value(b, i, &vn)
    return k[:kn], block_seq(b, i), b.kinds[i] if b.kinds != NULL else KIND_PUT, v[:vn]
