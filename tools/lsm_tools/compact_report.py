"""How much space the levels of keyspaces take, and a table that sets two such moments side by side.

Guarantees: reads only the version; nothing of a file. Pure but for `space`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from lsm.compression import Codec
from lsm.database import Database
from lsm.report import amount, columns, ratio, table_text
from lsm.version import KeyspaceVersion, TableMeta

__all__ = ["space", "table_of_changes", "totals"]

HEAD = ["keyspace", "level", "tables", "entries", "raw", "stored", "ratio", "codec"]


def space(db: Database, keyspaces: Mapping[int, str]) -> dict[str, Any]:
    """Bytes and tables, of all the keyspaces and of each one by level."""
    version = db._store.version
    found = {name: _keyspace(version.keyspaces[id]) for id, name in keyspaces.items() if id in version.keyspaces}
    return {
        "bytes": sum(facts["bytes"] for facts in found.values()),
        "tables": sum(facts["tables"] for facts in found.values()),
        "keyspaces": found,
    }


def _keyspace(keyspace: KeyspaceVersion) -> dict[str, Any]:
    depth = max((len(p.levels) for p in keyspace.partitions), default=0)
    levels = []
    for level in range(depth):
        tables = [table for p in keyspace.partitions for table in p.tables(level)]
        if tables:
            levels.append({"level": level} | _sums(tables))
    return _sums([table for p in keyspace.partitions for table in p.all_tables()]) | {"levels": levels}


def _sums(tables: list[TableMeta]) -> dict[str, Any]:
    return {
        "tables": len(tables),
        "entries": sum(t.entries for t in tables),
        "tombstones": sum(t.tombstones for t in tables),
        "raw_bytes": sum(t.raw_bytes for t in tables),
        "bytes": sum(t.file_bytes for t in tables),
        "codecs": dict(sorted(Counter(codec_name(t.codec) for t in tables).items())),
    }


def codec_name(codec: int) -> str:
    try:
        return Codec(codec).name.lower().replace("_", "+")
    except ValueError:
        return f"codec {codec}"


def totals(facts: Mapping[str, Any]) -> str:
    """`14.2 MiB in 3 tables`."""
    return table_text({"bytes": facts["bytes"], "tables": facts["tables"]})


def table_of_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """For each keyspace its levels before, and below them its levels after."""
    rows = [["", *HEAD]]
    for name in after["keyspaces"]:
        for label, facts in (("before", before), ("after", after)):
            rows += [[label, name, *row] for row in _rows(facts["keyspaces"].get(name, {}))]
    return columns(rows, left=3, indent="")


def _rows(facts: Mapping[str, Any]) -> list[list[str]]:
    levels = facts.get("levels", [])
    if not levels:
        return [["-", "0", "0", "0 B", "0 B", "-", "-"]]
    rows = [[str(level["level"]), *_cells(level)] for level in levels]
    return rows if len(rows) == 1 else [*rows, ["all", *_cells(facts)]]


def _cells(facts: Mapping[str, Any]) -> list[str]:
    return [
        f"{facts['tables']:,}",
        f"{facts['entries']:,}",
        amount(facts["raw_bytes"]),
        amount(facts["bytes"]),
        ratio(facts["raw_bytes"], facts["bytes"]),
        " ".join(facts["codecs"]),
    ]
