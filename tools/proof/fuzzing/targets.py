"""All fuzz targets by name, with the Python files whose lines guide the fuzzer where no compiled code does.

A new decoder joins by one line here and one function in `examples`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from proof.fuzzing import files, native

__all__ = ["TARGETS", "Target"]


@dataclass(frozen=True)
class Target:
    """`run` takes an input and raises where the engine is wrong. `traced`: modules of `lsm` in Python."""

    name: str
    run: Callable[[bytes], None]
    traced: tuple[str, ...] = ()
    largest: int = 4096


TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target("block", native.block),
        Target("changes", native.changes),
        Target("checksums", native.checksums, largest=512),
        Target("current", files.current, ("manifest", "directory"), 64),
        Target("database", files.database),
        Target("dump", files.dump, ("dump_binary", "dump_lines", "dump_parts", "byteforms")),
        Target("edit", files.edit, ("version_edit",)),
        Target("item", native.item),
        Target("keyspace_record", files.keyspace_record, ("keyspace_record",), 256),
        Target("log", files.log),
        Target("lz4", native.lz4_block),
        Target("manifest", files.manifest, ("manifest", "version", "version_edit")),
        Target("number", native.number, largest=256),
        Target("replay", files.replay, ("recovery", "keyspace_record", "store")),
        Target("table", files.table),
        Target("zstd", native.zstd_frame),
    )
}
