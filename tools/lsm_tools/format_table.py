"""Table files read in Python, by docs/format/table.md alone: header to tail, and entries.

Guarantees: what is sound is given, what is not becomes a Fault; no length is trusted. Uses crc32c, xxhash, zstandard.
One thread per object; the file must not change meanwhile.

    table = TableFile(path, faults, number=7, database_id=None)     both optional: checked where given
    table.header / footer / tail / index                            {"field": value}, or None where damaged
    table.smallest, table.largest                                   bytes
    table.filter, table.dictionary                                  bytes; b"" where there is none
    table.blocks                                                    [BlockPlace(number, offset, size, separator)]
    for block in table.read_blocks(): block.entries                 Block(place, codec, raw, entries)
    for entry in table.entries(): ...                               format_block.Entry(key, sequence, kind, value)
    table.read_block(table.blocks[3]) -> Block | None               check_block(place) -> bool: its checksum alone
    format_salvage.find_blocks(table)                               without index: every sound block, searched for
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import zstandard

from lsm_tools.format_block import MOST_RAW, STORED, STORED_FIELDS, Entry, column, decode_block, decode_stored
from lsm_tools.format_bytes import Faults, Layout, Source, common_prefix, placed_crc
from lsm_tools.format_filter import FILTER_LINE

__all__ = [
    "FOOTER",
    "HEADER",
    "INDEX",
    "TAIL",
    "Block",
    "BlockPlace",
    "TableFile",
]

MAGIC: Final = b"LSMTABLE"
VERSIONS: Final = (1, 2)
"""2 of tables that have a dictionary."""
SECTION_CRC: Final = 4
TABLE_UNIQUE: Final = 1
TABLE_ZSTD: Final = 2
FILTER_BLOCKED_BLOOM: Final = 1

HEADER: Final = Layout(
    "header",
    (-8, "magic", "says that this is a table"),
    (4, "format version", "a newer one than a reader knows is refused"),
    (4, "header bytes", "where the first block begins"),
    (-16, "database id", "of the database that wrote the file"),
    (8, "table number", "as in the file's name; never reused"),
    (8, "salt", "random; in every checksum of this file, so that bytes of other files never pass"),
    (8, "epoch", "0: see the upper 20 bits of the footer's highest sequence"),
    (4, "cipher", "0: not encrypted"),
    (4, "key id", "of the cipher's key"),
    (2, "tag bytes", "authentication tag behind each stored block; 0: none"),
    (-58, "reserved", "zeros"),
    (4, "checksum", "CRC-32C of salt, offset 0 and the 124 bytes before it"),
)
INDEX: Final = Layout(
    "index",
    (4, "blocks", "how many there are"),
    (1, "size width", "bytes of each block size below"),
    (1, "length width", "bytes of each separator length below"),
    (-2, "reserved", "zeros"),
)
FOOTER: Final = Layout(
    "footer",
    (-16, "database id", "as in the header"),
    (8, "table number", "as in the header"),
    (8, "salt", "as in the header"),
    (8, "file bytes", "of the whole file: a cut is noticed"),
    (8, "entries", "records, tombstones included"),
    (8, "tombstones", "records that delete"),
    (8, "lowest sequence", "ever put in, before any was zeroed"),
    (8, "highest sequence", "ever put in"),
    (8, "lowest time", "of commit, in microseconds since 1970; 0: not known"),
    (8, "highest time", "of commit"),
    (8, "raw bytes", "keys and values before compression"),
    (8, "lowest hash", "XXH64 of a key, with the database's seed"),
    (8, "highest hash", "XXH64 of a key"),
    (4, "blocks", "how many"),
    (4, "flags", "1: no key stands twice; 2: blocks may be compressed with zstd"),
    (8, "filter offset", "where the blocks end"),
    (8, "filter bytes", "without its checksum; 0: no filter"),
    (4, "filter kind", "0: none, 1: blocked Bloom filter"),
    (4, "smallest key bytes", "length of the smallest key, which stands behind the footer"),
    (4, "largest key bytes", "length of the largest key, which stands behind that"),
    (4, "cipher", "as in the header"),
    (4, "key id", "as in the header"),
    (4, "tag bytes", "as in the header"),
    (8, "index offset", "where the index begins"),
    (8, "index bytes", "its trailer included"),
    (8, "dictionary offset", "behind the index; format version 2"),
    (8, "dictionary bytes", "without its checksum; 0: no dictionary"),
    (-64, "reserved", "zeros"),
)
TAIL: Final = Layout(
    "tail",
    (8, "footer offset", "where the footer begins"),
    (4, "footer bytes", "the two keys and its checksum included"),
    (4, "format version", "as in the header"),
    (-4, "reserved", "zeros"),
    (4, "checksum", "CRC-32C of salt 0, the tail's offset and the 20 bytes before it"),
    (-8, "magic", "the file ends with the bytes it begins with"),
)


class BlockPlace(NamedTuple):
    """Where a block stands: its number, offset and size as stored, and its separator (at or above its last key)."""

    number: int
    offset: int
    size: int
    separator: bytes


class Block(NamedTuple):
    place: BlockPlace
    codec: int
    raw: bytes
    entries: list[Entry]


class TableFile:
    """One table file. Opening it reads all but the blocks; `faults` tells what is wrong."""

    def __init__(
        self, path: str, faults: Faults, *, number: int | None = None, database_id: bytes | None = None
    ) -> None:
        self.path = path
        self.faults = faults
        self.source = Source(path, faults)
        self.size = self.source.size
        self.header: dict[str, Any] | None = None
        self.footer: dict[str, Any] | None = None
        self.tail: dict[str, Any] | None = None
        self.index: dict[str, Any] | None = None
        self.smallest = self.largest = b""
        self.filter = self.dictionary = b""
        self._zstd: zstandard.ZstdDecompressor | None = None
        self.index_raw = b""
        self.blocks: list[BlockPlace] = []
        if not self.source.is_open:
            return
        self._read_header()
        self._read_tail()
        if self.tail is not None:
            self._read_footer(number, database_id)
        if self.footer is not None and self._sections_fit(self.footer):
            self._read_dictionary(self.footer)
            self.filter = self._section(self.footer, "filter")
            self._read_index(self.footer)

    @property
    def salt(self) -> int | None:
        """Without it no checksum can be told; None where header and footer are both damaged."""
        known = self.footer or self.header
        return None if known is None else int(known["salt"])

    @property
    def blocks_end(self) -> int:
        """Where the blocks end, as far as that is known."""
        return int(self.footer["filter offset"]) if self.footer is not None else self.size

    def close(self) -> None:
        self.source.close()

    def stored(self, place: BlockPlace) -> bytes:
        """A block's bytes as they stand in the file, trailer included."""
        return self.source.read(place.offset, place.size)

    def read_block(self, place: BlockPlace) -> Block | None:
        """One block, checked and decoded; None, and a fault, where it is damaged."""
        salt = self.salt
        if salt is None:
            return None
        raw = self._unpack(place, self.stored(place), salt, "block")
        if raw is None:
            return None
        try:
            entries = decode_block(raw[1])
        except ValueError as error:
            self.faults.add(self.path, place.offset, f"block {place.number}: {error}")
            return None
        return Block(place, raw[0], raw[1], entries)

    def check_block(self, place: BlockPlace) -> bool:
        """Whether the block's checksum holds; decodes nothing."""
        salt = self.salt
        return salt is not None and self._checked(place, self.stored(place), salt, "block") is not None

    def read_blocks(self) -> Iterator[Block]:
        """Every sound block that the index names, in order."""
        for place in self.blocks:
            block = self.read_block(place)
            if block is not None:
                yield block

    def entries(self) -> Iterator[Entry]:
        """Every entry of every sound block."""
        for block in self.read_blocks():
            yield from block.entries

    def _checked(self, place: BlockPlace, stored: bytes, salt: int, what: str) -> tuple[int, int] | None:
        """Codec and raw size of stored bytes whose checksum and trailer hold."""
        name = f"{what} {place.number}" if place.number >= 0 else what
        if len(stored) < max(place.size, STORED.size):
            self.faults.add(self.path, place.offset, f"{name} is cut off", max(place.size, STORED.size), len(stored))
            return None
        codec, raw_bytes, expected = STORED_FIELDS.unpack_from(stored, len(stored) - STORED.size)
        got = placed_crc(salt, place.offset, memoryview(stored)[:-4])
        if got != expected:
            self.faults.add(self.path, place.offset, f"checksum of {name}", expected, got)
            return None
        if codec not in MOST_RAW:
            self.faults.add(self.path, place.offset, f"codec of {name}", "0 to 3", codec)
            return None
        return codec, raw_bytes

    def _unpack(self, place: BlockPlace, stored: bytes, salt: int, what: str) -> tuple[int, bytes] | None:
        checked = self._checked(place, stored, salt, what)
        if checked is None:
            return None
        try:
            return checked[0], decode_stored(stored, self._zstd)
        except ValueError as error:
            self.faults.add(self.path, place.offset, f"{what} {max(place.number, 0)}: {error}")
            return None

    def _read_header(self) -> None:
        data = self.source.read(0, HEADER.size)
        if len(data) < HEADER.size:
            self.faults.add(self.path, 0, "header is cut off", HEADER.size, len(data))
            return
        header = HEADER.decode(data)
        got = placed_crc(header["salt"], 0, data[: HEADER.offset_of("checksum")])
        if header["magic"] != MAGIC:
            self.faults.add(self.path, 0, "magic of the header", MAGIC, header["magic"])
        elif got != header["checksum"]:
            self.faults.add(self.path, 0, "checksum of the header", header["checksum"], got)
        elif header["format version"] not in VERSIONS:
            self.faults.add(self.path, 8, "format version of the header", VERSIONS[-1], header["format version"])
        else:
            self.header = header

    def _read_tail(self) -> None:
        at = self.size - TAIL.size
        data = self.source.read(at, TAIL.size) if at >= 0 else b""
        if len(data) < TAIL.size or at < HEADER.size:
            self.faults.add(self.path, self.size, "table is cut off: no room for its tail", None, self.size)
            return
        tail = TAIL.decode(data)
        got = placed_crc(0, at, data[: TAIL.offset_of("checksum")])
        if tail["magic"] != MAGIC:
            self.faults.add(self.path, at + TAIL.offset_of("magic"), "last bytes of a table", MAGIC, tail["magic"])
        elif got != tail["checksum"]:
            self.faults.add(self.path, at, "checksum of the tail", tail["checksum"], got)
        elif tail["format version"] not in VERSIONS:
            self.faults.add(self.path, at + 12, "format version of the tail", VERSIONS[-1], tail["format version"])
        elif tail["footer offset"] < HEADER.size or tail["footer offset"] + tail["footer bytes"] != at:
            end = tail["footer offset"] + tail["footer bytes"]
            self.faults.add(self.path, at, "footer does not end where the tail begins", at, end)
        else:
            self.tail = tail

    def _read_footer(self, number: int | None, database_id: bytes | None) -> None:
        assert self.tail is not None
        at, n = self.tail["footer offset"], self.tail["footer bytes"] - SECTION_CRC
        data = self.source.read(at, n + SECTION_CRC)
        if n < FOOTER.size or len(data) < n + SECTION_CRC:
            self.faults.add(self.path, at, "footer is cut off", FOOTER.size, len(data))
            return
        footer = FOOTER.decode(data)
        expected, got = int.from_bytes(data[n:], "little"), placed_crc(footer["salt"], at, data[:n])
        if expected != got:
            self.faults.add(self.path, at, "checksum of the footer", expected, got)
            return
        keys = footer["smallest key bytes"] + footer["largest key bytes"]
        if keys != n - FOOTER.size:
            self.faults.add(
                self.path, at + FOOTER.offset_of("smallest key bytes"), "keys behind the footer", n - FOOTER.size, keys
            )
            return
        split = FOOTER.size + footer["smallest key bytes"]
        self.smallest, self.largest = data[FOOTER.size : split], data[split:n]
        self.footer = footer
        self._check_identity(at, footer, number, database_id)

    def _check_identity(self, at: int, footer: dict[str, Any], number: int | None, database_id: bytes | None) -> None:
        wanted = {"file bytes": self.size, "table number": number, "database id": database_id}
        if self.header is not None:
            wanted["salt"] = self.header["salt"]
            wanted["table number"] = number if number is not None else self.header["table number"]
            wanted["database id"] = database_id if database_id is not None else self.header["database id"]
        for name, expected in wanted.items():
            if expected is not None and footer[name] != expected:
                self.faults.add(self.path, at + FOOTER.offset_of(name), f"{name} in the footer", expected, footer[name])
        if self.header is not None:
            for name in ("table number", "database id"):
                if self.header[name] != footer[name]:
                    place = HEADER.offset_of(name)
                    self.faults.add(self.path, place, f"{name} in the header", footer[name], self.header[name])

    def _sections_fit(self, footer: dict[str, Any]) -> bool:
        assert self.tail is not None
        filter_end = footer["filter offset"]
        if footer["filter bytes"]:
            filter_end += footer["filter bytes"] + SECTION_CRC
        end = footer["index offset"] + footer["index bytes"]
        fits = footer["filter offset"] >= HEADER.size and footer["index offset"] == filter_end
        if footer["dictionary bytes"]:
            fits = fits and footer["dictionary offset"] == end
            end += footer["dictionary bytes"] + SECTION_CRC
        if fits and end == self.tail["footer offset"] and footer["filter bytes"] % FILTER_LINE == 0:
            return True
        at = self.tail["footer offset"] + FOOTER.offset_of("filter offset")
        self.faults.add(
            self.path, at, "blocks, filter, index and dictionary do not fill the file", self.tail["footer offset"], end
        )
        return False

    def _section(self, footer: dict[str, Any], name: str) -> bytes:
        """Bytes of the filter or the dictionary; none where there is none, or a fault."""
        at, n = footer[f"{name} offset"], footer[f"{name} bytes"]
        if n == 0:
            return b""
        data = self.source.read(at, n + SECTION_CRC)
        expected = int.from_bytes(data[n:], "little")
        got = placed_crc(footer["salt"], at, memoryview(data)[:n])
        if len(data) < n + SECTION_CRC or expected != got:
            self.faults.add(self.path, at, f"checksum of the {name}", expected, got)
            return b""
        return data[:n]

    def _read_dictionary(self, footer: dict[str, Any]) -> None:
        self.dictionary = self._section(footer, "dictionary")
        if self.dictionary:
            try:
                known = zstandard.ZstdCompressionDict(self.dictionary)
                self._zstd = zstandard.ZstdDecompressor(dict_data=known)
            except (zstandard.ZstdError, ValueError) as error:
                self.faults.add(self.path, footer["dictionary offset"], f"dictionary: {error}")

    def _read_index(self, footer: dict[str, Any]) -> None:
        at = footer["index offset"]
        place = BlockPlace(-1, at, footer["index bytes"], b"")
        unpacked = self._unpack(place, self.source.read(at, place.size), footer["salt"], "index")
        if unpacked is None:
            return
        self.index_raw = unpacked[1]
        try:
            self.index, self.blocks = self._parse_index(unpacked[1], footer)
        except ValueError as error:
            self.faults.add(self.path, at, str(error))

    def _parse_index(self, raw: bytes, footer: dict[str, Any]) -> tuple[dict[str, Any], list[BlockPlace]]:
        if len(raw) < INDEX.size:
            raise ValueError("index is too short")
        index = INDEX.decode(raw)
        count = index["blocks"]
        if count != footer["blocks"]:
            raise ValueError(f"index counts {count} blocks, footer {footer['blocks']}")
        sizes, lengths, at = _index_columns(raw, index)
        if at + sum(lengths) != len(raw):
            raise ValueError("separators do not fill the index")
        prefix = common_prefix(self.smallest, self.largest)
        places, offset = [], HEADER.size
        for number, (size, length) in enumerate(zip(sizes, lengths, strict=True)):
            places.append(BlockPlace(number, offset, size, prefix + raw[at : at + length]))
            at += length
            offset += size
        if offset != footer["filter offset"]:
            raise ValueError(f"blocks of the index end at {offset}, those of the footer at {footer['filter offset']}")
        return index, places


def _index_columns(raw: bytes, index: dict[str, Any]) -> tuple[list[int], list[int], int]:
    """Sizes, lengths of separators, and where the separators begin."""
    columns, at = [], INDEX.size
    for name in ("size width", "length width"):
        width = index[name]
        if width not in (1, 2, 4) or at + width * index["blocks"] > len(raw):
            raise ValueError(f"columns of the index: {name} {width}")
        columns.append(column(raw, at, width, index["blocks"]))
        at += width * index["blocks"]
    return columns[0], columns[1], at
