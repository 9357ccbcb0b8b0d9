"""Everything that the fuzzer found worth keeping, through the ordinary build: `tools/prove.py fuzz` runs the search."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import lsm
from lsm import lz4, wal_changes
from lsm.block import Block
from lsm.block_builder import encode_block
from lsm.errors import CorruptionError
from lsm.filesystem import FileSystem
from lsm.manifest import Manifest
from lsm.memory_files import MemoryFileSystem
from lsm.table_doors import TableReader
from lsm.version_edit import EditFormatError, KeyspaceCreated, TableAdded, TableMeta, VersionEdit
from lsm.wal_recovery import scan_log
from proof.forks import Send, fork, limit_memory, spare_time
from proof.fuzzing import seeds
from proof.fuzzing.examples import examples
from proof.fuzzing.forms import DATABASE, SALT, TABLE_NUMBER, bent, chunks, join, log_files, manifest_file, table_file
from proof.fuzzing.targets import TARGETS

MORE_BYTES = 512 << 20
"""Address space that a child may take for inputs of a few KiB; what trusts a length asks for more."""

HUNG_SECONDS = 600.0


def replay(name: str, inputs: list[bytes], more_bytes: int, send: Send) -> None:
    """Says the number of each input that was answered right, so that the one that killed the process is known."""
    limit_memory(more_bytes)
    spare_time(HUNG_SECONDS)
    for i, data in enumerate(inputs):
        TARGETS[name].run(data)
        send(i)


def answered(name: str, inputs: list[bytes], more_bytes: int = MORE_BYTES) -> tuple[int, int]:
    """How many inputs a child answered, and how it ended."""
    child = fork(lambda send: replay(name, inputs, more_bytes, send))
    try:
        count = sum(1 for _ in child.messages())
    finally:
        status = child.wait()
    return count, status


def mutations(inputs: list[bytes], count: int, seed: int) -> Iterator[bytes]:
    """A little of what the fuzzer does, without its guidance."""
    chance = random.Random(seed)
    for _ in range(count):
        data = bytearray(chance.choice(inputs))
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(data) + 1)
            what = chance.randrange(4)
            if what == 0:
                data[at:at] = chance.randbytes(chance.randint(1, 4))
            elif what == 1:
                del data[at : at + chance.randint(1, 8)]
            elif at < len(data):
                data[at] = chance.choice((0, 255, 127, data[at] ^ 1 << chance.randrange(8)))
        yield bytes(data)


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_seeds_are_answered_right_within_bounded_memory(name: str) -> None:
    inputs = [b"", *examples(name), *seeds.load(name)]
    assert answered(name, inputs) == (len(inputs), 0), name


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_mutated_seeds_are_answered_right_within_bounded_memory(name: str) -> None:
    slow = name in ("database", "replay")
    inputs = [*mutations([b"", *examples(name), *seeds.load(name)], 20 if slow else 200, 1)]
    count, status = answered(name, inputs)
    assert (count, status) == (len(inputs), 0), f"{name}: input {inputs[count]!r}"


# Lengths of gigabytes in files of a few bytes, all checksums right.
FORGED = {
    "table: index, LZ4": ("table", join([b"", b"", b"", b"\1" + b"\xff" * 4 + b"x", b"a", b"b"])),
    "table: index, zstd": ("table", join([b"", b"", b"", b"\2" + b"\xff" * 4 + b"x", b"a", b"b"])),
    "table: block, zstd": ("table", join([b"", b"", b"", b"", b"a", b"a", b"", b"", b"\2\xff\xff\xff\0" + b"x" * 600])),
    "table: footer bytes": ("table", join([b"", bytes([11, 127]), b"", b"", b"a", b"b"])),
    "table: filter bytes": ("table", join([bytes([132, 255]), b"", b"", b"", b"a", b"b"])),
    "table: key bytes": ("table", join([bytes([142, 255]), b"", b"", b"", b"a", b"b"])),
    "table: blocks": ("table", join([bytes([115, 255]), b"", b"", b"", b"a", b"b"])),
    "table: dictionary": ("table", join([bytes([190, 255]), b"", b"", b"", b"a", b"b", b"", b"dictionary"])),
    "log: payload bytes": ("log", join([b"\0", b"\1" + bytes([2, 7, 0x3F]) + b"payload"])),
    "log: ring bytes": ("log", join([b"\0", b"\4" + bytes(8) + bytes([84, 255])])),
    "log: changes": ("changes", b"\1\1" + b"\xff\xff\xff\xff\x0f" * 2),
    "manifest: payload bytes": ("manifest", join([b"", bytes([2, 7, 255]) + b"\1\0"])),
    "manifest: field": ("edit", b"\x4a" + b"\xff" * 9 + b"\1"),
    "manifest: partitions": ("edit", VersionEdit(created=(KeyspaceCreated(1, "k", False, 2**32 - 1),)).encode()),
    "item: text": ("item", b"\1\0\1\1a\3" + b"\xff" * 7 + b"\x7f"),
    "item: members": ("item", b"\1\0\1\1a\6\x08\0\0\0" + b"\xff" * 7 + b"\x7f"),
    "dump: stored bytes": ("dump", join([b"", bytes([4, 11, 7, 15, 7]) + b"\1\0\1name"])),
    "block: value bytes": ("block", b"\0\0" + b"\1\0\0\0" + b"\xff\xff\xff\x1f\0\0"),
}


@pytest.mark.parametrize("what", FORGED)
def test_forged_lengths_ask_for_no_memory(what: str) -> None:
    name, data = FORGED[what]
    assert answered(name, [data], 32 << 20) == (1, 0)


def test_seeds_are_read_as_they_were_kept(tmp_path: Path) -> None:
    kept = [b"", b"b", b"a" * 5000, b"b"]
    seeds.store("t", kept, tmp_path)
    assert seeds.load("t", tmp_path) == [b"", b"b", b"a" * 5000]
    assert seeds.load("absent", tmp_path) == []


def test_all_seeds_together_are_small() -> None:
    assert sum(path.stat().st_size for path in seeds.PLACE.glob("*")) < 2 << 20


def test_inputs_of_chunks_fall_apart_into_what_they_were_made_of() -> None:
    parts = [b"", b"a", b"\0" * 300]
    assert [*chunks(join(parts))] == parts
    assert bent(b"abc", bytes([1, 3, 9, 1])) == b"aac"


# A form that no longer fits its format would have every input refused by the first check.


def in_memory(content: dict[str, bytes]) -> MemoryFileSystem:
    fs = MemoryFileSystem()
    fs.mkdir("/d")
    for name, data in content.items():
        fs.write_file_atomically(f"/d/{name}", data)
    return fs


@pytest.mark.parametrize("data", examples("table"))
def test_tables_of_examples_are_tables(data: bytes) -> None:
    reader = TableReader(in_memory({"t": table_file(data)}), "/d/t", TABLE_NUMBER, DATABASE, 99)
    assert list(reader.entries())
    assert len(reader.separators()) == len([*chunks(data)]) - 8


@pytest.mark.parametrize("data", examples("log"))
def test_logs_of_examples_have_frames(data: bytes) -> None:
    assert len([*scan_log(in_memory(log_files(data)), "/d", DATABASE, live=True).frames()]) >= 2


def test_a_manifest_of_examples_is_one() -> None:
    content = {"MANIFEST-000001": manifest_file(examples("manifest")[1]), "CURRENT": examples("current")[0]}
    version, _ = Manifest.load(in_memory(content), "/d", read_only=True)
    assert [keyspace.name for keyspace in version.keyspaces.values()] == ["k"]


# ---- what the fuzzer found, as small as it gets


def opened(files: FileSystem, **options: Any) -> lsm.Database:
    return lsm.open("/d", files=files, wal_ring_bytes=4096, reserve_bytes=0, **options)


def database_with(log: bytes, *added: TableAdded, content: dict[str, bytes] | None = None, **kept: Any) -> FileSystem:
    """Keyspace k, with a table in it and a log."""
    files = in_memory({**log_files(log), **(content or {})})
    base = {"database_id": DATABASE, "hash_seed": 99, "epoch": 1, "next_file_number": 8, "next_keyspace_id": 2}
    base |= {"wal_start": 1, "last_sequence": 0, "created": (KeyspaceCreated(1, "k", **kept),), "added": added}
    Manifest.create(files, "/d", VersionEdit(**base)).close()  # type: ignore[arg-type]
    return files


def created(number: int, name: bytes, partitions: int) -> bytes:
    """A log of one keyspace record."""
    return join(
        [b"\0", b"\1\0" + wal_changes.encode([(7, number, name, struct.pack("<HHI", 1, 0, partitions))]), b"\2"]
    )


def test_two_columns_of_lengths_that_are_too_long_are_not_nothing_together() -> None:
    raw = bytes.fromhex("010f00000e00250301ffff3dff")
    with pytest.raises(CorruptionError, match="columns"):
        Block(raw)


@pytest.mark.parametrize("end", [b"", b"pk", b"pk\0", b"\0\5\0\1", b"\0\xff", None])
def test_a_composite_key_without_its_end_is_corruption(end: bytes | None) -> None:
    key = b"short" if end is None else b"hash8byt" + end
    put = b"\1\0" + wal_changes.encode([(1, 1, key, b"v")])
    files = database_with(join([b"\0", put, b"\2"]), composite=True)
    with opened(files) as db, pytest.raises(CorruptionError, match="composite key"):
        list(db.keyspace("k").scan())


def test_a_table_without_blocks_is_refused() -> None:
    data = table_file(b"")
    content = {"000007.table": data}
    meta = TableMeta(7, len(data), 1, 0, 0, 1, 9, 0, 0, b"", b"", SALT)
    files = database_with(join([b"\0", b"\2"]), TableAdded(1, 0, 0, meta), content=content)
    with pytest.raises(CorruptionError, match="blocks of a table"):
        opened(files)


@pytest.mark.parametrize("number", [1 << 24, 1 << 31, 2**32 - 1])
def test_an_id_of_a_keyspace_asks_for_no_memory(number: int) -> None:
    with pytest.raises(CorruptionError, match=f"keyspace {number} is beyond") as caught:
        opened(database_with(created(number, b"n", 1)))
    assert (caught.value.path, caught.value.offset) == ("/d/wal-000001.log", 128)


@pytest.mark.parametrize("partitions", [0, 4097, 2**32 - 1])
def test_a_count_of_partitions_asks_for_no_memory(partitions: int) -> None:
    with pytest.raises(CorruptionError, match=f"{partitions} partitions"):
        opened(database_with(created(2, b"n", partitions)))


def test_what_all_keys_share_is_held_once_however_many_blocks_there_are() -> None:
    shared = b"k" * 20_000
    block = encode_block([(shared + b"a", 1, 1, b"")])
    packed = lz4.compress(block)
    part = b"\1" + len(block).to_bytes(3, "little") + b"\1a" + packed
    data = table_file(join([b"", b"", b"", b"", shared + b"a", shared + b"b", b"", b"", *[part] * 400]))
    reader = TableReader(in_memory({"t": data}), "/d/t", TABLE_NUMBER, DATABASE, 99)
    assert len(reader.separators()) == 400
    assert reader.charge < len(data)


def test_a_keyspace_name_that_is_no_text_is_corruption() -> None:
    with pytest.raises(CorruptionError, match="name in a keyspace record") as caught:
        opened(database_with(created(2, b"\xff", 1)))
    assert caught.value.path == "/d/wal-000001.log"


def test_a_manifest_of_an_older_epoch_than_the_log_is_corruption() -> None:
    put = b"\1\0" + wal_changes.encode([(1, 1, b"key", b"v")])
    files = database_with(join([b"\0", put, b"\2", b"\5", put, b"\2"]))
    with pytest.raises(CorruptionError, match="old manifest") as caught:
        opened(files)
    assert caught.value.path == "/d/MANIFEST-000001"


def test_options_that_nest_too_deeply_are_corruption() -> None:
    options = b"[" * 100_000
    field = struct.pack("<QI", 1, len(options)) + options
    with pytest.raises(EditFormatError, match="recursion"):
        VersionEdit.decode(bytes([71]) + varint(len(field)) + field)


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])
