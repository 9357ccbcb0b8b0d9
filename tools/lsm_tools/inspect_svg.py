"""The picture of a database's tree as SVG: a panel for each partition, a lane for each level, a box for each table.

Guarantees: well-formed XML whatever the keys are; needs no script and no font but the viewer's own. Pure; any thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from xml.sax.saxutils import escape

from lsm.report import amount, count
from lsm_tools.format_manifest import Keyspace, Partition
from lsm_tools.inspect_rows import key_text
from lsm_tools.inspect_tree import Axis, TableFacts, Tree

__all__ = ["tree_svg"]

WIDTH: Final = 1200
MARGIN: Final = 24
LABELS: Final = 180
SIZES: Final = 190
BOX: Final = 20
GAP: Final = 4
LANE: Final = 12
LEFT: Final = MARGIN + LABELS
SPAN: Final = WIDTH - LEFT - SIZES - MARGIN
COLD: Final = (86, 140, 196)
HOT: Final = (206, 72, 60)
MOST_BOXES_DEEP: Final = 40
"""Tables of level 0 overlap and so lie below each other; more than these are not drawn."""


class _Page:
    """Elements, and how far down the page they reach."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.y = MARGIN

    def text(self, x: float, y: float, text: str, size: int = 12, fill: str = "#333", more: str = "") -> None:
        clean = escape("".join(c if c.isprintable() else "?" for c in text))
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{fill}" {more}>{clean}</text>')

    def box(self, x: float, y: float, width: float, height: float, fill: str, title: str = "") -> None:
        inside = f"<title>{escape(title)}</title>" if title else ""
        place = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
        self.parts.append(f'<rect {place} rx="2" fill="{fill}">{inside}</rect>')


def tree_svg(tree: Tree) -> str:
    """The whole drawing."""
    page = _Page()
    every = list(tree.tables.values())
    stored = sum(facts.table.file_bytes for facts in every)
    page.y += 14
    page.text(MARGIN, page.y, tree.path, 18, "#111", 'font-weight="bold"')
    page.y += 20
    log = f"log: {count(tree.log_files, 'file')}, {amount(tree.log_bytes)}"
    page.text(MARGIN, page.y, f"{count(len(every), 'table')}, {amount(stored)}; {log}")
    _legend(page)
    for keyspace in tree.state.keyspaces.values():
        _keyspace(page, tree, keyspace)
    for fault in tree.faults:
        page.y += 18
        page.text(MARGIN, page.y, f"fault: {fault}", 12, "#b00")
    height = page.y + MARGIN
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
    style = ' font-family="system-ui, sans-serif">'
    return "\n".join([head + style, f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>', *page.parts, "</svg>\n"])


def _legend(page: _Page) -> None:
    page.y += 16
    x = LEFT
    page.text(MARGIN, page.y + 10, "share of tombstones", 11)
    for share in (0.0, 0.1, 0.25, 0.5, 1.0):
        page.box(x, page.y, 44, 14, _colour(share))
        page.text(x + 48, page.y + 11, f"{share:.0%}", 11)
        x += 92
    page.text(x, page.y + 11, "place and width: keys of the table; right: bytes of the level", 11)
    page.y += 22


def _keyspace(page: _Page, tree: Tree, keyspace: Keyspace) -> None:
    page.y += 26
    kind = "composite" if keyspace.composite else "plain"
    name = f"keyspace {keyspace.name} ({kind}, {count(len(keyspace.partitions), 'partition')})"
    page.text(MARGIN, page.y, name, 15, "#111", 'font-weight="bold"')
    most = max(
        (sum(f.table.file_bytes for f in level) for p in keyspace.partitions for level in tree.levels(p)), default=0
    )
    for partition in keyspace.partitions:
        _partition(page, tree, keyspace, partition, most)


def _partition(page: _Page, tree: Tree, keyspace: Keyspace, partition: Partition, most: int) -> None:
    low, high = keyspace.hash_range(partition.index)
    page.y += 22
    page.text(MARGIN, page.y, f"partition {partition.index}", 12, "#111")
    page.text(LEFT, page.y, f"hashes {low:016x} to {high - 1:016x}", 11, "#777")
    page.y += 8
    levels = tree.levels(partition)
    if not any(levels):
        page.y += 14
        page.text(LEFT, page.y, "no tables: what it holds is in the log alone", 11, "#777")
        return
    axis = Axis(facts for level in levels for facts in level)
    for number, level in enumerate(levels):
        if level:
            _level(page, number, level, axis, keyspace.composite, most)
    page.y += 12
    page.text(LEFT, page.y, _short(key_text(axis.low, keyspace.composite)), 11, "#777")
    page.text(LEFT + SPAN, page.y, _short(key_text(axis.high, keyspace.composite)), 11, "#777", 'text-anchor="end"')


def _level(page: _Page, number: int, level: list[TableFacts], axis: Axis, composite: bool, most: int) -> None:
    lanes = [[facts] for facts in level[:MOST_BOXES_DEEP]] if number == 0 else [level]
    top, stored = page.y, sum(facts.table.file_bytes for facts in level)
    height = len(lanes) * (BOX + GAP) - GAP
    page.box(LEFT - 4, top - 3, SPAN + 8, height + 6, "#f3f4f6")
    page.text(MARGIN, top + 14, f"level {number}: {count(len(level), 'table')}", 12)
    for lane in lanes:
        for facts in lane:
            _table(page, facts, axis, composite)
        page.y += BOX + GAP
    page.box(LEFT + SPAN + 16, top + 2, max(2.0, (SIZES - 100) * stored / most), BOX - 4, "#9aa5b1")
    page.text(WIDTH - MARGIN, top + 15, amount(stored), 11, "#333", 'text-anchor="end"')
    if number == 0 and len(level) > MOST_BOXES_DEEP:
        page.text(LEFT, page.y + 10, f"and {len(level) - MOST_BOXES_DEEP} more", 11)
        page.y += 14
    page.y += LANE - GAP


def _table(page: _Page, facts: TableFacts, axis: Axis, composite: bool) -> None:
    t = facts.table
    x = LEFT + axis.place(t.smallest) * SPAN
    width = max(2.0, (axis.place(t.largest) - axis.place(t.smallest)) * SPAN - 1)
    x = min(x, LEFT + SPAN - width)
    page.box(x, page.y, width, BOX, _colour(facts.tombstone_share), "\n".join(_title(facts, composite)))
    label = f"{t.number}: {amount(t.file_bytes)}, {t.entries:,} records"
    for text in (label, str(t.number)):
        if len(text) * 6.2 < width - 6:
            page.text(x + 5, page.y + 14, text, 11, "#fff")
            return


def _title(facts: TableFacts, composite: bool) -> Iterator[str]:
    t = facts.table
    yield f"table {t.number}, level {t.level}: {amount(t.file_bytes)}, {t.entries:,} records"
    yield f"keys {_clean(key_text(t.smallest, composite))} to {_clean(key_text(t.largest, composite))}"
    if facts.low_hash is not None and facts.high_hash is not None:
        yield f"hashes {facts.low_hash:016x} to {facts.high_hash:016x}"
    yield f"{facts.tombstone_share:.1%} tombstones, {t.shadowed:,} shadowed versions"


def _clean(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:39]}…"


def _colour(share: float) -> str:
    """From cold to hot; the root makes small shares visible."""
    weight = min(1.0, share) ** 0.5
    mixed = (round(a + (b - a) * weight) for a, b in zip(COLD, HOT, strict=True))
    return "#" + "".join(f"{value:02x}" for value in mixed)
