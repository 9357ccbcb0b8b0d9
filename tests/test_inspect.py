"""`lsm inspect`: every byte of a file is shown with its name and value, damaged files too, and the tree is drawn."""

from __future__ import annotations

import json
import shutil
import xml.etree.ElementTree as ElementTree
from itertools import pairwise
from pathlib import Path

import pytest
from filled_databases import flip, make_closed, make_killed
from model import TINY

import lsm
from lsm.cli import main
from lsm_tools.format_bytes import Faults
from lsm_tools.format_table import TableFile
from lsm_tools.format_wal import SegmentFile
from lsm_tools.inspect_command import file_rows
from lsm_tools.inspect_rows import Shown

SVG = "{http://www.w3.org/2000/svg}"
ALL = Shown(limit=1 << 30)


@pytest.fixture(scope="module")
def closed(tmp_path_factory):
    path = tmp_path_factory.mktemp("closed") / "data"
    make_closed(path, {**TINY, "compression": "lz4"}, operations=500)
    return path


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    path = tmp_path_factory.mktemp("killed") / "data"
    make_killed(path, TINY, operations=300)
    return path


@pytest.fixture
def copy(closed, tmp_path):
    return Path(shutil.copytree(closed, tmp_path / "copy"))


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = main(["inspect", *map(str, arguments)])
    out, err = capsys.readouterr()
    return status, out, err


def covered(what: str, path: Path) -> list[tuple[int, int]]:
    """(offset, end) of all fields of a dump, in order; each must show the file's own bytes."""
    content = path.read_bytes()
    places = []
    for row in file_rows(what, str(path), ALL):
        if row.kind == "field" and row.space == "file":
            assert row.offset is not None
            assert content[row.offset : row.offset + len(row.data)] == row.data
            places.append((row.offset, row.offset + len(row.data)))
    return sorted(places)


def assert_gapless(places: list[tuple[int, int]], start: int, end: int) -> None:
    for (_, before), (after, _) in pairwise(places):
        assert before == after
    assert (places[0][0], places[-1][1]) == (start, end)


# every byte


def test_a_segment_is_shown_to_the_last_byte(closed):
    for path in closed.glob("wal-*.log"):
        assert_gapless(covered("wal", path), 0, path.stat().st_size)


def test_a_manifest_is_shown_to_the_last_byte(closed):
    path = next(closed.glob("MANIFEST-*"))
    assert_gapless(covered("manifest", path), 0, path.stat().st_size)


def test_current_is_shown_to_the_last_byte(closed):
    assert_gapless(covered("manifest", closed / "CURRENT"), 0, (closed / "CURRENT").stat().st_size)


def test_a_table_is_shown_to_the_last_byte_but_for_the_blocks_in_a_line(closed):
    path = max(closed.glob("*.table"), key=lambda p: p.stat().st_size)
    table = TableFile(str(path), Faults())
    assert table.footer is not None
    first, index = table.blocks[0], table.footer["index offset"]
    places = covered("table", path)
    before = [p for p in places if p[1] <= first.offset + first.size]
    after = [p for p in places if p[0] >= table.footer["filter offset"]]
    assert_gapless(before, 0, first.offset + first.size)
    behind_index = [p for p in after if p[0] >= index]
    # of the index the stored bytes stand in the raw rows; its trailer and everything behind is shown
    assert_gapless(behind_index, index + table.footer["index bytes"] - 9, table.size)


@pytest.mark.parametrize("number", [0, 1])
def test_the_columns_of_a_block_are_shown_to_the_last_byte(closed, number):
    path = max(closed.glob("*.table"), key=lambda p: p.stat().st_size)
    table = TableFile(str(path), Faults())
    block = table.read_block(table.blocks[number])
    assert block is not None
    rows = [r for r in file_rows("table", str(path), Shown(block=number)) if r.space == "raw"]
    assert b"".join(row.data for row in rows) == block.raw


def test_the_entries_of_a_block_are_shown(closed, capsys):
    path = max(closed.glob("*.table"), key=lambda p: p.stat().st_size)
    entries = list(TableFile(str(path), Faults()).entries())
    status, out, _ = run(capsys, "table", path, "--keys", "--limit", 10**6)
    assert status == 0
    assert len(out.splitlines()) == 1 + len(entries)


# damage


def test_a_damaged_frame_is_marked_and_the_next_is_shown(copy, capsys):
    path = min(copy.glob("wal-*.log"))
    frames = list(SegmentFile(str(path), Faults()).frames())
    flip(path, frames[1].offset + 50)
    _, out, _ = run(capsys, "wal", path, "--limit", 4)
    assert f"!! FAULT at {frames[1].offset}: checksum of a frame" in out
    assert f"at {frames[0].offset}: sequence {frames[0].sequence}" in out
    assert f"at {frames[2].offset}: sequence {frames[2].sequence}" in out


def test_a_damaged_block_is_marked_and_the_next_is_shown(copy, capsys):
    path = max(copy.glob("*.table"), key=lambda p: p.stat().st_size)
    blocks = TableFile(str(path), Faults()).blocks
    flip(path, blocks[1].offset + 5)
    _, out, _ = run(capsys, path)
    assert f"!! FAULT at {blocks[1].offset}: checksum of block 1" in out
    assert f"block 2, at {blocks[2].offset}" in out
    _, out, _ = run(capsys, path, "--block", 1)
    assert "wrong: computed" in out


def test_blocks_of_a_table_without_an_index_are_shown(copy, capsys):
    path = max(copy.glob("*.table"), key=lambda p: p.stat().st_size)
    blocks = TableFile(str(path), Faults()).blocks
    path.write_bytes(path.read_bytes()[:-1])
    _, out, _ = run(capsys, "table", path, "--limit", 10**6)
    assert "!! FAULT" in out
    assert all(f"at {place.offset}" in out for place in blocks)


def test_a_damaged_record_of_the_manifest_is_marked(copy, capsys):
    path = next(copy.glob("MANIFEST-*"))
    flip(path, 150)
    _, out, _ = run(capsys, path, "--limit", 5)
    assert "!! FAULT at 128: checksum of a record" in out
    assert "KEYSPACE_CREATED" in out


@pytest.mark.parametrize("content", [b"", b"x", b"lsmwal\r\n", b"LSMTABLE" + b"\xff" * 500, b"LSMMANIF" + b"\0" * 200])
@pytest.mark.parametrize("what", ["wal", "manifest", "table"])
def test_any_bytes_are_shown_as_what_they_should_be(tmp_path, capsys, what, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    status, out, err = run(capsys, what, path)
    assert (status, err) == (0, "")
    assert "!! FAULT" in out


# what to show


def test_limit_bounds_a_dump_and_offset_goes_on(closed, capsys):
    path = min(closed.glob("wal-*.log"))
    _, out, _ = run(capsys, "wal", path, "--limit", 2)
    assert out.count("frame of") == 2
    offset = out.split("--offset ")[1].split()[0]
    _, out, _ = run(capsys, "wal", path, "--limit", 1, "--offset", offset)
    assert f"at {offset}: sequence" in out
    assert out.count("frame of") == 1


def test_full_shows_all_bytes(tmp_path, capsys):
    with lsm.open(tmp_path / "data") as database:
        database.keyspace("k").put(b"key", b"0123456789" * 20)
    path = next((tmp_path / "data").glob("wal-*.log"))
    _, short, _ = run(capsys, path)
    _, out, _ = run(capsys, path, "--full")
    assert "0123456789" * 20 not in short
    assert "0123456789" * 20 in out
    assert out.count("30 31 32 33 34 35 36 37") >= 5


def test_a_directory_shows_all_files_of_a_kind(closed, capsys):
    _, out, _ = run(capsys, "table", closed, "--limit", 1)
    assert all(f"table {path.name}:" in out for path in closed.glob("*.table"))
    _, out, _ = run(capsys, "manifest", closed, "--limit", 1)
    assert out.startswith("CURRENT: ")
    assert "manifest MANIFEST-000001:" in out


def test_files_are_recognised(closed, capsys):
    for name, first in [("CURRENT", "CURRENT"), ("MANIFEST-000001", "manifest")]:
        _, out, _ = run(capsys, closed / name)
        assert out.startswith(first)


def test_the_ring_shows_marks_and_frames(killed, capsys):
    status, out, _ = run(capsys, killed / "wal.ring")
    assert status == 0
    assert "durable through, inverted" in out
    assert "frame of" in out


def test_rows_are_json_for_programs(closed, capsys):
    _, out, _ = run(capsys, "wal", min(closed.glob("wal-*.log")), "--json", "--limit", 1)
    rows = [json.loads(line) for line in out.splitlines()]
    magic = next(row for row in rows if row.get("name") == "magic")
    assert (magic["offset"], magic["size"], bytes.fromhex(magic["bytes"])) == (0, 8, b"lsmwal\r\n")


# the tree


def test_the_tree_names_every_table(closed, capsys):
    status, out, _ = run(capsys, closed)
    assert status == 0
    for path in closed.glob("*.table"):
        [line] = [line for line in out.splitlines() if line.strip().startswith(path.name.removesuffix(".table"))]
        assert "records" in line
        assert "hashes" in line
    assert "keyspace 'composite' (composite" in out


def test_the_tree_as_json_has_ranges_and_counts(closed, capsys):
    _, out, _ = run(capsys, "tree", closed, "--json")
    tree = json.loads(out)
    tables = [t for k in tree["keyspaces"] for p in k["partitions"] for level in p["levels"] for t in level]
    assert {f"{t['number']:06d}.table" for t in tables} == {p.name for p in closed.glob("*.table")}
    for table in tables:
        file = TableFile(str(closed / f"{table['number']:06d}.table"), Faults())
        assert file.footer is not None
        assert (table["entries"], table["tombstones"]) == (file.footer["entries"], file.footer["tombstones"])
        assert (table["lowest_hash"], table["highest_hash"]) == (
            file.footer["lowest hash"],
            file.footer["highest hash"],
        )


def test_the_svg_has_a_box_for_each_table_inside_its_page(closed, tmp_path, capsys):
    run(capsys, "tree", closed, "--svg", tmp_path / "tree.svg")
    root = ElementTree.parse(tmp_path / "tree.svg").getroot()
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    titles = [title.text or "" for title in root.iter(f"{SVG}title")]
    numbers = {int(path.name.removesuffix(".table")) for path in closed.glob("*.table")}
    assert {int(title.split()[1].rstrip(",")) for title in titles} == numbers
    for box in root.iter(f"{SVG}rect"):
        x, y = float(box.attrib.get("x", 0)), float(box.attrib.get("y", 0))
        assert 0 <= x <= x + float(box.attrib["width"]) <= width
        assert 0 <= y <= y + float(box.attrib["height"]) <= height


def test_the_svg_is_well_formed_whatever_names_and_keys_are(tmp_path, capsys):
    with lsm.open(tmp_path / "data") as database:
        keyspace = database.keyspace('<&>"]]>')
        for key in (b"\0", b"<", b"&amp;", bytes(range(256)), "\ud7ff\ufffe".encode()):
            keyspace.put(key, b"v")
        database.flush()
    run(capsys, "tree", tmp_path / "data", "--svg", tmp_path / "tree.svg")
    text = "".join(ElementTree.parse(tmp_path / "tree.svg").getroot().itertext())
    assert '<&>"]]>' in text


def test_the_tree_of_a_database_that_lacks_a_table_is_drawn(copy, capsys):
    path = next(copy.glob("*.table"))
    path.unlink()
    status, out, _ = run(capsys, copy)
    assert status == 0
    assert f"!! FAULT {path}: missing" in out


# refusals


def test_a_directory_that_is_open_is_refused(copy, capsys):
    with lsm.open(copy):
        status, out, err = run(capsys, copy)
    assert (status, out) == (1, "")
    assert "is open in process" in err


@pytest.mark.parametrize("arguments", [["tree"], ["wal"], []])
def test_what_is_not_there_is_refused_in_one_line(tmp_path, capsys, arguments):
    status, out, err = run(capsys, *arguments, tmp_path / "nothing")
    assert (status, out) == (1, "")
    assert err.count("\n") == 1
