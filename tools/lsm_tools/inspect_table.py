"""Table files as annotated rows: header, blocks with their columns and entries, filter, index, footer, tail.

Guarantees: shows what is sound and marks what is not, then goes on behind it; where the index is lost, blocks are
searched for. Pure readers; one thread.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from typing import Any

from lsm.report import count
from lsm_tools.format_block import CODEC_NAMES, STORED, Entry
from lsm_tools.format_bytes import Faults, placed_crc
from lsm_tools.format_frame import KINDS
from lsm_tools.format_salvage import find_blocks
from lsm_tools.format_table import FOOTER, HEADER, INDEX, TAIL, Block, BlockPlace, TableFile
from lsm_tools.inspect_block import column_rows
from lsm_tools.inspect_rows import Row, Shown, fault_row, field, layout_rows, note, section, text_of

__all__ = ["table_rows"]


def table_rows(path: str, shown: Shown) -> Iterator[Row]:
    """The rows of one table."""
    faults = Faults()
    table = TableFile(path, faults)
    footer = table.footer
    about = f"{table.size:,} bytes"
    if footer is not None:
        about += f", {count(footer['entries'], 'entry', 'entries')} in {count(footer['blocks'], 'block')}"
    meaning = "sorted records, written once: header, blocks, filter, index, footer, tail"
    yield section(0, None, f"table {os.path.basename(path)}", about, meaning)
    yield from (fault_row(1, fault) for fault in faults)
    seen = len(faults)
    whole = shown.block is None and not shown.offset and not shown.keys
    if whole:
        yield from _header_rows(table)
    if shown.keys:
        yield from _key_rows(table, shown)
    else:
        yield from _block_rows(table, shown)
    if whole:
        yield from _filter_rows(table)
        yield from _index_rows(table, shown)
        yield from _dictionary_rows(table)
        yield from _footer_rows(table)
    yield from (fault_row(1, fault) for fault in faults[seen:])
    table.close()


def _header_rows(table: TableFile) -> Iterator[Row]:
    yield section(1, 0, "header", f"{HEADER.size} bytes", "a reader of the table does not need it")
    yield from layout_rows(HEADER, table.source.read(0, HEADER.size), 0, 2, {"checksum": _verdict(table.header)})


def _verdict(sound: object) -> str:
    return "wrong" if sound is None else "right"


# ---- blocks


def _places(table: TableFile, shown: Shown) -> Iterator[BlockPlace]:
    """Blocks that were asked for; searched for where the index is lost."""
    places = iter(table.blocks) if table.blocks else (block.place for block in find_blocks(table))
    for place in places:
        if shown.block is not None and place.number != shown.block:
            continue
        if place.offset + place.size > shown.offset:
            yield place


def _block_rows(table: TableFile, shown: Shown) -> Iterator[Row]:
    """One block in full, where none was asked for the first; of the others a line each."""
    in_full = shown.block is not None or shown.offset > 0
    place = None
    for listed, place in enumerate(_places(table, shown)):
        if listed == shown.limit:
            yield note(1, f"... more blocks follow: --block {place.number} shows that one, --limit N lists more")
            return
        if listed == 0 or in_full:
            yield from _block_in_full(table, place, shown)
            if in_full:
                return
        else:
            yield _block_line(table, place)
    if place is None:
        yield note(1, "no such block" if shown.block is not None else "no block")


def _read(table: TableFile, place: BlockPlace) -> Block | str:
    """The block, or what is wrong with it."""
    before = len(table.faults)
    block = table.read_block(place)
    if block is not None:
        return block
    what = "; ".join(str(f.what) for f in table.faults[before:]) or "no salt is known"
    del table.faults[before:]
    return what


def _block_line(table: TableFile, place: BlockPlace) -> Row:
    block = _read(table, place)
    if isinstance(block, str):
        return Row("fault", 1, place.offset, b"", "", block, "")
    what = f"{place.size} bytes, {CODEC_NAMES[block.codec]}, {len(block.raw)} raw, {len(block.entries)} entries"
    first, last = text_of(block.entries[0].key), text_of(block.entries[-1].key)
    return section(1, place.offset, f"block {place.number}", f"{what}, {first} to {last}")


def _block_in_full(table: TableFile, place: BlockPlace, shown: Shown) -> Iterator[Row]:
    stored = table.stored(place)
    meaning = "the unit of reading, checking and compression; --block N shows another one"
    yield section(1, place.offset, f"block {place.number}", f"{place.size} bytes as stored", meaning)
    body = max(0, len(stored) - STORED.size)
    yield field(
        2, place.offset, stored[:body], "stored bytes", f"{body:,} bytes", "what the codec made of the raw bytes"
    )
    verdict = "right"
    if table.salt is not None and len(stored) > STORED.size:
        computed = placed_crc(table.salt, place.offset, stored[:-4])
        if computed != int.from_bytes(stored[-4:], "little"):
            verdict = f"wrong: computed {computed:#010x}"
    yield from layout_rows(STORED, stored[body:], place.offset + body, 2, {"checksum": verdict})
    block = _read(table, place)
    if isinstance(block, str):
        yield Row("fault", 2, place.offset, b"", "", block, "")
        return
    yield section(2, None, "raw bytes", f"{len(block.raw):,} after decoding", "offsets with + count in them")
    yield from column_rows(block.raw, 3, shown)
    yield section(2, None, "entries", str(len(block.entries)), "what the columns say, row by row")
    yield from _entry_notes(block.entries, shown, 3)


def _entry_notes(entries: list[Entry], shown: Shown, depth: int) -> Iterator[Row]:
    for i, entry in enumerate(entries):
        if i == shown.limit:
            yield note(depth, f"... and {len(entries) - i} more: --limit N shows more")
            return
        yield note(depth, f"{i:>3}  {_entry(entry, shown)}")


def _entry(entry: Entry, shown: Shown) -> str:
    sequence = f"{entry.sequence >> 44}:{entry.sequence & ((1 << 44) - 1)}" if entry.sequence else "0"
    value = f" = {text_of(entry.value, shown.full)}" if entry.kind == 1 else ""
    return f"{KINDS.get(entry.kind, entry.kind)} {text_of(entry.key, shown.full)} at {sequence}{value}"


def _key_rows(table: TableFile, shown: Shown) -> Iterator[Row]:
    """One line for each entry, from the block on that was asked for."""
    listed = 0
    asked = shown._replace(block=None)
    for place in _places(table, asked):
        if shown.block is not None and place.number < shown.block:
            continue
        block = _read(table, place)
        if isinstance(block, str):
            yield Row("fault", 1, place.offset, b"", "", block, "")
            continue
        for entry in block.entries:
            if listed == shown.limit:
                yield note(1, f"... more follow: --block {place.number} goes on there, --limit N shows more")
                return
            listed += 1
            yield note(1, _entry(entry, shown))


# ---- the other sections


def _filter_rows(table: TableFile) -> Iterator[Row]:
    footer = table.footer
    if footer is None:
        return
    at, n = footer["filter offset"], footer["filter bytes"]
    if n == 0:
        yield section(1, at, "filter", "none", "every read looks into a block")
        return
    bits = sum(byte.bit_count() for byte in table.filter)
    meaning = "a key whose six bits are not all set is not in the table"
    yield section(1, at, "filter", f"{n:,} bytes", meaning)
    yield field(2, at, table.source.read(at, n), "lines", f"{n // 64} of 64 bytes, {bits / max(1, 8 * n):.0%} set", "")
    crc = table.source.read(at + n, 4)
    yield field(
        2, at + n, crc, "checksum", f"{int.from_bytes(crc, 'little'):#010x}, {_verdict(table.filter or None)}", ""
    )


def _index_rows(table: TableFile, shown: Shown) -> Iterator[Row]:
    footer = table.footer
    if footer is None:
        return
    at, n = footer["index offset"], footer["index bytes"]
    meaning = "size and separator of each block; stored as a block is"
    yield section(1, at, "index", f"{n:,} bytes as stored, {len(table.index_raw):,} raw", meaning)
    trailer = table.source.read(at + n - STORED.size, STORED.size)
    yield from layout_rows(STORED, trailer, at + n - STORED.size, 2, {"checksum": _verdict(table.index)})
    if table.index is None:
        return
    for row in layout_rows(INDEX, table.index_raw, 0, 2):
        yield row._replace(space="raw")
    yield from _index_columns(table.index_raw, table.index)
    for place in itertools.islice(table.blocks, shown.limit):
        yield note(2, f"block {place.number} at {place.offset}, {place.size} bytes, keys to {text_of(place.separator)}")
    if len(table.blocks) > shown.limit:
        yield note(2, f"... and {len(table.blocks) - shown.limit} more: --limit N shows more")


def _index_columns(raw: bytes, index: dict[str, Any]) -> Iterator[Row]:
    at = INDEX.size
    columns = (
        ("sizes", index["size width"] * index["blocks"], "stored bytes of each block, trailer included"),
        ("suffix lengths", index["length width"] * index["blocks"], "of each separator, behind what all share"),
        ("suffixes", len(raw), "one after the other"),
    )
    for name, n, meaning in columns:
        part = raw[at : at + n]
        yield field(2, at, part, name, f"{len(part)} bytes", meaning, "raw")
        at += n


def _dictionary_rows(table: TableFile) -> Iterator[Row]:
    footer = table.footer
    if footer is None or not footer["dictionary bytes"]:
        return
    at, n = footer["dictionary offset"], footer["dictionary bytes"]
    yield section(1, at, "dictionary", f"{n:,} bytes", "what frames of codec 3 may refer back to")
    yield field(2, at, table.source.read(at, n), "content", f"{n:,} bytes", "a zstd dictionary")
    crc = table.source.read(at + n, 4)
    verdict = _verdict(table.dictionary or None)
    yield field(2, at + n, crc, "checksum", f"{int.from_bytes(crc, 'little'):#010x}, {verdict}", "")


def _footer_rows(table: TableFile) -> Iterator[Row]:
    tail_at = max(0, table.size - TAIL.size)
    tail = table.source.read(tail_at, TAIL.size)
    if table.tail is not None:
        at, n = table.tail["footer offset"], table.tail["footer bytes"]
        data = table.source.read(at, n)
        yield section(1, at, "footer", f"{n} bytes", "read first: what the table holds, and where everything is")
        yield from layout_rows(FOOTER, data, at, 2)
        if table.footer is not None:
            first, last = table.smallest, table.largest
            yield field(2, at + FOOTER.size, first, "smallest key", text_of(first), "")
            yield field(2, at + FOOTER.size + len(first), last, "largest key", text_of(last), "")
        crc = f"{int.from_bytes(data[-4:], 'little'):#010x}, {_verdict(table.footer)}"
        yield field(2, at + n - 4, data[-4:], "checksum", crc, "placed, of all of the footer before it")
    yield section(1, tail_at, "tail", f"{TAIL.size} bytes", "where a reader begins: it leads to the footer")
    yield from layout_rows(TAIL, tail, tail_at, 2, {"checksum": _verdict(table.tail)})
