"""`lsm dump` and the loading of dumps: both forms give back what was there, exactly, or say what is damaged."""

from __future__ import annotations

import io
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from children import environment
from hypothesis import given, settings
from hypothesis import strategies as st
from interrupting import interrupted_when
from model import TINY

import lsm
from lsm import dump_binary, dump_lines, store
from lsm.cli import main
from lsm.dump_binary import BinaryWriter
from lsm.dump_lines import LinesReader, LinesWriter
from lsm.dump_parts import Chunk, Damage, DumpHeaderError, KeyspaceHead
from lsm.recovery import Recovered
from lsm.restoring import Existing, NotRestorable, Restorer, dump_reader, recognised
from lsm_tools.dump import DumpForm, dump_database
from lsm_tools.whole_file import BusyError, whole_file

FORMS = list(DumpForm)
GOLDEN = Path(__file__).parent / "golden"
DOC = Path(__file__).parent.parent / "docs/format/dump.md"

HEADS = [KeyspaceHead("empty", False, 1), KeyspaceHead("plain ü", False, 2), KeyspaceHead("pairs", True, 3)]
PLAIN: dict[Any, bytes] = {b"a": b"1", b"b\x00\xff": b"", b"c" * 40: b"\xfe" * 300}
PAIRS: dict[Any, bytes] = {(b"p", b""): b"x", (b"p", b"\xff"): "é".encode(), (b"q\x00", b"s"): b""}


def dumped(db: lsm.Database, form: DumpForm, names: list[str] | None = None) -> bytes:
    stream = io.BytesIO()
    dump_database(db, stream, form, names)
    return stream.getvalue()


def restore(db: lsm.Database, data: bytes, *, skip: bool = False, **settings: Any) -> tuple[Restorer, list[Damage]]:
    damages: list[Damage] = []

    def on_damage(damage: Damage) -> bool:
        damages.append(damage)
        return skip

    beginning, stream = recognised(io.BytesIO(data))
    restorer = Restorer(
        db,
        dump_reader(beginning, stream, records=settings.pop("records", 1000)),
        on_damage=on_damage,
        on_progress=lambda outcome: None,
        **settings,
    )
    restorer.prepare()
    restorer.run()
    return restorer, damages


def content(db: lsm.Database) -> dict[str, Any]:
    return {
        name: (keyspace.composite, keyspace.partitions, dict(keyspace.scan()))
        for name in db.keyspaces()
        for keyspace in [db.keyspace(name)]
    }


def fill(db: lsm.Database) -> dict[str, Any]:
    contents: list[dict[Any, bytes]] = [{}, PLAIN, PAIRS]
    for head, data in zip(HEADS, contents, strict=True):
        keyspace = db.keyspace(head.name, composite=head.composite, partitions=head.partitions)
        keyspace.put_many(data)
        if data:
            keyspace.put(next(iter(data)), b"older")
            keyspace.put(next(iter(data)), data[next(iter(data))])
    db.keyspace("plain ü").put(b"gone", b"")
    db.keyspace("plain ü").delete(b"gone")
    return {"empty": (False, 1, {}), "plain ü": (False, 2, PLAIN), "pairs": (True, 3, PAIRS)}


def written(writer: type[BinaryWriter] | type[LinesWriter], **settings: Any) -> bytes:
    """A dump that no database made, as the golden files have it."""
    stream = io.BytesIO()
    made = writer(stream, 17592186044420, HEADS, **settings)
    made.write(1, list(PLAIN), list(PLAIN.values()))
    made.write(2, list(PAIRS)[:2], list(PAIRS.values())[:2])
    made.write(2, list(PAIRS)[2:], list(PAIRS.values())[2:])
    made.finish()
    return stream.getvalue()


def parts(data: bytes) -> list[Chunk | Damage]:
    beginning, stream = recognised(io.BytesIO(data))
    return list(dump_reader(beginning, stream, records=2))


def records(items: list[Chunk | Damage]) -> list[tuple[int, Any, bytes]]:
    found = []
    for item in items:
        if isinstance(item, Chunk):
            found += [(item.keyspace, k, v) for k, v in zip(item.keys, item.values, strict=True)]
    return found


ALL = [(1, k, v) for k, v in PLAIN.items()] + [(2, k, v) for k, v in PAIRS.items()]
WRITERS: list[tuple[type[BinaryWriter] | type[LinesWriter], dict[str, int]]] = [
    (BinaryWriter, {"level": 0}), (BinaryWriter, {"level": 3}), (LinesWriter, {})
]  # fmt: skip


# there and back


@pytest.mark.parametrize("form", FORMS)
def test_a_dump_gives_back_all_keyspaces_options_and_records(form: DumpForm, db: lsm.Database, open_db: Any) -> None:
    expected = fill(db)
    with lsm.open(":memory:") as copy:
        restorer, damages = restore(copy, dumped(db, form))
        assert damages == []
        assert content(copy) == expected == content(db)
        assert (restorer.outcome.loaded, restorer.outcome.keyspaces) == (6, 3)


NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=12)
KEYS = st.binary(min_size=1, max_size=20) | st.text(min_size=1, max_size=8).map(lambda t: t.encode("utf-8", "replace"))
VALUES = st.binary(max_size=60) | st.builds(lambda piece, n: piece * n, st.binary(max_size=9), st.integers(0, 3000))
KEYSPACES = st.one_of(
    st.tuples(st.just(False), st.integers(1, 5), st.dictionaries(KEYS, VALUES, max_size=12)),
    st.tuples(
        st.just(True), st.integers(1, 5), st.dictionaries(st.tuples(KEYS, KEYS | st.just(b"")), VALUES, max_size=12)
    ),
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(NAMES, KEYSPACES, max_size=4), st.sampled_from(FORMS), st.integers(1, 5))
def test_dump_and_load_give_an_equal_database(wanted: dict[str, Any], form: DumpForm, batch: int) -> None:
    with lsm.open(":memory:", **TINY) as one, lsm.open(":memory:") as other:
        for name, (composite, partitions, data) in wanted.items():
            one.keyspace(name, composite=composite, partitions=partitions).put_many(data)
        _, damages = restore(other, dumped(one, form), records=batch)
        assert damages == []
        assert content(other) == wanted


@pytest.mark.parametrize("form", FORMS)
def test_records_of_a_plain_keyspace_stand_in_key_order(form: DumpForm, db: lsm.Database) -> None:
    keyspace = db.keyspace("a", partitions=4)
    keyspace.put_many([(b"%d" % number, b"") for number in range(300)])
    keys = [key for _, key, _ in records(parts(dumped(db, form)))]
    assert keys == sorted(keys)
    assert len(keys) == 300


@pytest.mark.parametrize("form", FORMS)
def test_the_largest_key_and_value_go_there_and_back(form: DumpForm, db: lsm.Database) -> None:
    value = random.Random(1).randbytes(1 << 20) * 64
    db.keyspace("a").put(b"\xff" * 65536, value)
    with lsm.open(":memory:", memtable_bytes=200 << 20) as copy:
        restore(copy, dumped(db, form))
        assert copy.keyspace("a").get(b"\xff" * 65536) == value


@pytest.mark.parametrize("form", FORMS)
def test_a_dump_is_of_one_moment(form: DumpForm, db: lsm.Database) -> None:
    keyspace = db.keyspace("a")
    keyspace.put_many([(b"%05d" % n, b"before") for n in range(100)])

    class Meddler(io.BytesIO):
        def write(self, data: Any) -> int:
            keyspace.put(b"%05d" % random.randrange(200), b"after")
            return super().write(data)

    stream = Meddler()
    dump_database(db, stream, form)
    assert {value for _, _, value in records(parts(stream.getvalue()))} == {b"before"}


def test_the_text_form_is_json_that_others_read(db: lsm.Database) -> None:
    fill(db)
    lines = [json.loads(line) for line in dumped(db, DumpForm.JSONL).decode().splitlines()]
    assert lines[0]["keyspaces"][0] == {"name": "empty", "composite": False, "partitions": 1}
    assert {"key": "a", "value": "1"} in lines
    assert {"key": {"base64": "YgD/"}, "value": ""} in lines
    assert {"key": "p", "sort_key": {"base64": "/w=="}, "value": "é"} in lines
    assert lines[-1]["end"]["records"] == 6


# the command


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `lsm` beside a database `one` with the content of `fill`."""
    monkeypatch.chdir(tmp_path)
    with lsm.open("one") as db:
        fill(db)

    def run(*arguments: str) -> tuple[int, str, str]:
        return main(list(arguments)), *capsys.readouterr()

    return run


def at(path: str) -> dict[str, Any]:
    with lsm.open(path, create=False) as db:
        return content(db)


@pytest.mark.parametrize("name", ["x.dump", "x.jsonl"])
def test_the_commands_copy_a_database(run: Run, name: str) -> None:
    status, out, err = run("dump", "one", "-o", name)
    assert (status, err) == (0, "")
    assert out.startswith(f"6 records of 3 keyspaces dumped to {name} in ")
    status, out, err = run("load", "two", name)
    assert (status, err) == (0, "")
    assert out.startswith("6 records of 3 keyspaces loaded in ")
    assert at("one") == at("two")


@pytest.mark.parametrize("form", FORMS)
def test_a_dump_goes_through_a_pipe(run: Run, form: DumpForm) -> None:
    program = f"{sys.executable} -m lsm"
    command = f"{program} dump one --format {form} | {program} load two - --json"
    done = subprocess.run(["sh", "-c", command], env=environment(), capture_output=True, text=True, check=True)
    facts = json.loads(done.stdout)
    assert (facts["loaded"], facts["keyspaces"], facts["complete"]) == (6, 3, True)
    assert at("one") == at("two")


def test_the_name_of_the_file_tells_the_form(run: Run) -> None:
    run("dump", "one", "-o", "x.dump")
    run("dump", "one", "-o", "x.txt")
    run("dump", "one", "-o", "y.txt", "--format", "binary", "--level", "0")
    assert Path("x.dump").read_bytes().startswith(dump_binary.MAGIC)
    assert Path("x.txt").read_bytes().startswith(dump_lines.BEGINNING)
    assert Path("y.txt").read_bytes().startswith(dump_binary.MAGIC)


def test_keyspaces_may_be_chosen_on_the_way_out_and_in(run: Run) -> None:
    assert json.loads(run("dump", "one", "-o", "x.dump", "-k", "pairs", "-k", "empty", "--json")[1])["keyspaces"] == 2
    run("load", "two", "x.dump")
    assert at("two") == {name: one for name, one in at("one").items() if name in ("pairs", "empty")}
    run("load", "three", "x.dump", "-k", "pairs")
    assert list(at("three")) == ["pairs"]
    assert run("load", "three", "x.dump", "-k", "none")[::2] == (
        1, "lsm: nothing was loaded: the dump holds no keyspace 'none'\n"
    )  # fmt: skip
    assert run("dump", "one", "-k", "none")[0] == 1


def test_partitions_may_be_chosen_anew(run: Run) -> None:
    run("dump", "one", "-o", "x.dump")
    assert run("load", "two", "x.dump", "--partitions", "4")[0] == 0
    assert {partitions for _, partitions, _ in at("two").values()} == {4}


def test_json_lines_with_a_key_field_are_records_whatever_they_look_like(run: Run) -> None:
    Path("x.jsonl").write_text('{"lsm_dump": 1, "id": "a"}\n')
    assert run("load", "two", "x.jsonl", "--key", "id")[0] == 0
    assert at("two")["default"][2] == {b"a": b'{"lsm_dump": 1, "id": "a"}'}


def test_there_is_no_dump_of_nothing(run: Run) -> None:
    assert run("dump", "nowhere", "-o", "x.dump")[::2] == (1, "lsm: nowhere: there is no database\n")
    assert not Path("x.dump").exists()


def test_json_beside_a_dump_on_standard_output_is_refused(run: Run) -> None:
    assert run("dump", "one", "--json")[0] == 2


# keyspaces that hold records


def test_a_keyspace_with_records_stops_the_load_before_anything(run: Run) -> None:
    run("dump", "one", "-o", "x.dump")
    run("put", "two", "-k", "plain ü", "a", "mine")
    before = at("two")
    status, _, err = run("load", "two", "x.dump")
    assert status == 1
    assert err.startswith("lsm: nothing was loaded: keyspace 'plain ü' holds records already; --existing overwrite ")
    assert at("two") == before


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("existing", "winner"), [("overwrite", b"1"), ("keep", b"mine")])
def test_existing_records_are_overwritten_or_kept_as_told(
    form: DumpForm, existing: str, winner: bytes, db: lsm.Database
) -> None:
    fill(db)
    with lsm.open(":memory:") as other:
        other.keyspace("plain ü").put_many({b"a": b"mine", b"other": b"stays"})
        restorer, _ = restore(other, dumped(db, form), existing=Existing(existing))
        assert dict(other.keyspace("plain ü").scan()) == PLAIN | {b"a": winner, b"other": b"stays"}
        assert other.keyspace("plain ü").partitions == 1
        assert restorer.outcome.kept == (existing == "keep")


def test_a_keyspace_of_another_kind_is_refused(db: lsm.Database) -> None:
    fill(db)
    with lsm.open(":memory:") as other:
        other.keyspace("pairs")
        with pytest.raises(NotRestorable, match="'pairs' is composite=False here, not in the dump"):
            restore(other, dumped(db, DumpForm.BINARY), existing=Existing.OVERWRITE)
        assert other.keyspaces() == ["pairs"]


# damage


@pytest.mark.parametrize(("writer", "how"), WRITERS)
def test_every_cut_is_found(writer: Any, how: dict[str, int]) -> None:
    data = written(writer, **how)
    assert records(parts(data)) == ALL
    for length in range(20, len(data) - 1):
        try:
            found = parts(data[:length])
        except DumpHeaderError:
            continue
        assert isinstance(found[-1], Damage)
        assert "incomplete" in found[-1].reason or "JSON" in found[-1].reason or isinstance(found[-2], Damage)
        good = records(found)
        assert good == ALL[: len(good)]


@pytest.mark.parametrize(("writer", "how"), WRITERS)
def test_every_changed_byte_is_found_and_no_wrong_record_comes_from_a_block(writer: Any, how: dict[str, int]) -> None:
    data = written(writer, **how)
    for place in range(len(dump_lines.BEGINNING), len(data)):
        changed = bytearray(data)
        changed[place] ^= 0x41
        try:
            found = parts(bytes(changed))
        except DumpHeaderError:
            continue
        harmless = place == len(data) - 1 and writer is LinesWriter  # the last line end
        assert harmless or any(isinstance(item, Damage) for item in found), f"byte {place}"
        if writer is BinaryWriter:
            assert set(records(found)) <= set(ALL)


def test_blocks_in_another_order_are_damage() -> None:
    data = written(BinaryWriter, level=0)
    sizes = [64]
    while sizes[-1] < len(data):
        stored = dump_binary.BLOCK.unpack_from(data, sizes[-1])[4]
        sizes.append(sizes[-1] + dump_binary.BLOCK.size + stored)
    blocks = [data[a:b] for a, b in pairwise(sizes)]
    swapped = data[:64] + blocks[0] + blocks[2] + blocks[1] + b"".join(blocks[3:])
    assert any(isinstance(item, Damage) for item in parts(swapped))
    missing = data[:64] + blocks[0] + b"".join(blocks[2:])
    assert any(isinstance(item, Damage) for item in parts(missing))


def test_bytes_after_the_end_are_damage() -> None:
    assert parts(written(BinaryWriter) + b"x")[-1].reason == "bytes follow the end of the dump"  # type: ignore[union-attr]
    assert isinstance(parts(written(LinesWriter) + b"{}\n")[-1], Damage)


def test_a_newer_format_is_refused_with_its_number() -> None:
    data = bytearray(written(BinaryWriter))
    data[8] = 2
    data[12:16] = dump_binary._header_checksum(bytes(data[:64])).to_bytes(4, "little")
    with pytest.raises(DumpHeaderError, match="version 2 is newer than 1"):
        parts(bytes(data))
    with pytest.raises(DumpHeaderError, match="version 2 is newer than 1"):
        parts(b'{"lsm_dump": 2, "keyspaces": []}\n')


def test_a_length_that_lies_costs_no_memory() -> None:
    data = bytearray(written(BinaryWriter, level=0))
    data[64 + 12 : 64 + 16] = (2**32 - 1).to_bytes(4, "little")
    with pytest.raises(DumpHeaderError):
        parts(bytes(data))


def test_a_truncated_dump_ends_the_load_with_what_was_loaded(run: Run) -> None:
    run("dump", "one", "-o", "x.dump", "--level", "0")
    data = Path("x.dump").read_bytes()
    Path("x.dump").write_bytes(data[:-10])
    status, out, err = run("load", "two", "x.dump")
    assert (status, out) == (1, "")
    assert err.splitlines()[0].endswith("the dump is incomplete: it ends here, without its end")
    assert "lsm: stopped: 6 records loaded, through offset" in err
    assert at("two") == at("one")


def test_sound_blocks_behind_a_damaged_one_are_loaded_on_demand(run: Run) -> None:
    data = bytearray(written(BinaryWriter, level=0))
    data[data.index(b"\xfe" * 300)] ^= 1
    Path("x.dump").write_bytes(data)
    status, _, err = run("load", "two", "x.dump")
    assert status == 1
    assert "fails its checksum" in err
    assert "lsm: stopped: nothing was loaded" in err
    status, out, _ = run("load", "three", "x.dump", "--on-error", "skip")
    assert status == 0
    assert "1 damaged part skipped" in out
    assert at("three")["pairs"][2] == PAIRS
    assert at("three")["plain ü"][2] == {}


def test_a_dump_changed_by_hand_is_loaded_without_its_checksum(db: lsm.Database) -> None:
    fill(db)
    text = dumped(db, DumpForm.JSONL).decode().replace('"value": "x"', '"value": "y"')
    with lsm.open(":memory:") as one:
        _, damages = restore(one, text.encode())
        assert [damage.reason for damage in damages] == [
            "the dump was changed: the checksum in its last line is another"
        ]
    with lsm.open(":memory:") as other:
        _, damages = restore(other, re.sub(r', "xxh64": "\w+"', "", text).encode())
        assert damages == []
        assert other.keyspace("pairs").get((b"p", b"")) == b"y"


def test_a_record_that_the_engine_refuses_is_damage_and_the_others_load() -> None:
    head = json.dumps({"lsm_dump": 1, "keyspaces": [HEADS[1]._asdict()]})
    lines = [head, '{"keyspace": "plain ü"}', '{"key": "a", "value": "1"}', '{"key": "", "value": "2"}',
             '{"key": "b", "value": "3"}', '{"end": {"records": 3}}', ""]  # fmt: skip
    with lsm.open(":memory:") as db:
        _, damages = restore(db, "\n".join(lines).encode(), skip=True)
        assert len(damages) == 1
        assert dict(db.keyspace("plain ü").scan()) == {b"a": b"1", b"b": b"3"}


# interruptions


def test_ctrl_c_reports_how_far_a_load_came(tmp_path: Path) -> None:
    data = written(LinesWriter).splitlines(keepends=True)

    def interrupted(stream: BinaryIO) -> Iterator[Chunk | Damage]:
        yield from list(LinesReader(stream, records=1))[:2]
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)

    class Interrupted(LinesReader):
        def __iter__(self) -> Iterator[Chunk | Damage]:
            return interrupted(io.BytesIO(b"".join(data)))

    with lsm.open(":memory:") as db:
        restorer = Restorer(
            db, Interrupted(io.BytesIO(b"".join(data))), on_damage=lambda _: False, on_progress=lambda _: None
        )
        restorer.prepare()
        outcome = restorer.run()
        assert (outcome.verdict.name, outcome.loaded, outcome.place) == ("INTERRUPTED", 2, "line 4")


def test_an_interrupted_load_command_ends_with_130(tmp_path: Path) -> None:
    data = written(LinesWriter)
    wanted = b"lsm: interrupted: 3 records loaded, through line 5 of standard input"
    path, status, out, err = interrupted_when(
        lambda err: wanted in err, tmp_path, data[: data.index(b'{"keyspace": "pairs"}')], "--batch-records", "1"
    )
    assert (status, out) == (130, b""), err
    with lsm.open(path) as db:
        assert dict(db.keyspace("plain ü").scan()) == PLAIN


def test_a_failed_dump_leaves_the_file_that_was_there(tmp_path: Path) -> None:
    name = tmp_path / "x"
    name.write_bytes(b"before")
    with pytest.raises(KeyboardInterrupt), whole_file(str(name)) as stream:  # noqa: PT012
        stream.write(b"half")
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == ["x"]
    assert name.read_bytes() == b"before"


def test_a_killed_dump_leaves_nothing_under_the_final_name_and_is_in_nobodys_way(tmp_path: Path) -> None:
    script = """
import os, signal, sys
from lsm_tools.whole_file import whole_file
with whole_file(sys.argv[1]) as stream:
    stream.write(b"half")
    stream.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    environ = environment()
    environ["PYTHONPATH"] += os.pathsep + str(Path(__file__).parent.parent / "tools")
    name = tmp_path / "x"
    killed = subprocess.run([sys.executable, "-c", script, str(name)], env=environ, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert os.listdir(tmp_path) == ["x.part"]
    with whole_file(str(name)) as stream:
        stream.write(b"all")
    assert os.listdir(tmp_path) == ["x"]
    assert name.read_bytes() == b"all"


def test_two_dumps_into_one_file_do_not_mix(tmp_path: Path) -> None:
    with whole_file(str(tmp_path / "x")) as stream:
        stream.write(b"first")
        with pytest.raises(BusyError), whole_file(str(tmp_path / "x")):
            pass
    assert (tmp_path / "x").read_bytes() == b"first"


def test_a_dump_into_a_device_does_not_replace_it() -> None:
    with whole_file(os.devnull) as stream:
        stream.write(b"gone")
    assert Path(os.devnull).is_char_device()


# beside a writer


def test_a_dump_beside_a_writer_is_a_prefix_of_its_commits(tmp_path: Path) -> None:
    with lsm.open(tmp_path / "db", **TINY) as db:
        keyspace = db.keyspace("a", partitions=2)
        for turn in range(12):
            for number in range(turn * 100, turn * 100 + 100):
                keyspace.put(b"%06d" % number, b"v" * 40)
            target = tmp_path / f"{turn}.dump"
            assert main(["dump", str(tmp_path / "db"), "-o", str(target)]) == 0
            keys = [key for _, key, _ in records(parts(target.read_bytes()))]
            assert keys == [b"%06d" % number for number in range(turn * 100 + 100)]


def test_a_read_only_open_sees_what_a_writer_flushes_in_the_middle_of_it(
    open_db: Callable[..., lsm.Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = open_db(**TINY)
    keyspace = writer.keyspace("a")
    wanted = {b"%06d" % number for number in range(600)}
    keyspace.put_many([(key, b"v" * 40) for key in sorted(wanted)])
    recover: Callable[[store.Store], Recovered] = vars(store)["recover"]
    turns: list[None] = []

    def recover_later(reader: store.Store) -> Recovered:
        """The manifest was read; now the writer moves everything from the log into tables, then the log is read."""
        if reader.options.read_only and not turns:
            turns.append(None)
            for number in range(600, 1200):
                keyspace.put(b"%06d" % number, b"v" * 40)
            writer.flush()
        return recover(reader)

    monkeypatch.setattr(store, "recover", recover_later)
    with open_db(read_only=True) as reader:
        assert wanted <= set(reader.keyspace("a").scan(values=False))
    assert turns


# the format


def test_golden_dumps_are_written_the_same() -> None:
    assert written(BinaryWriter, level=0).hex() == "".join((GOLDEN / "dump-none.hex").read_text().split())
    assert written(LinesWriter) == (GOLDEN / "dump.jsonl").read_bytes()


@pytest.mark.parametrize("name", ["dump-none.hex", "dump-zstd.hex", "dump.jsonl"])
def test_golden_dumps_are_read(name: str) -> None:
    data = (GOLDEN / name).read_bytes()
    data = bytes.fromhex(data.decode()) if name.endswith("hex") else data
    beginning, stream = recognised(io.BytesIO(data))
    reader = dump_reader(beginning, stream, records=2)
    assert reader.heads == HEADS
    items = list(reader)
    assert records(items) == ALL
    assert not any(isinstance(item, Damage) for item in items)


def test_the_page_has_the_numbers_of_the_code() -> None:
    text = DOC.read_text()
    for name, value in {
        "format version": dump_binary.FORMAT_VERSION, "block kind: keyspaces": dump_binary.KEYSPACES,
        "block kind: records": dump_binary.RECORDS, "block kind: end": dump_binary.END,
        "codec: none": dump_binary.CODEC_NONE, "codec: zstd": dump_binary.CODEC_ZSTD,
        "keyspace flag: composite": dump_binary.COMPOSITE, "largest raw bytes": dump_binary.MAX_RAW_BYTES,
    }.items():  # fmt: skip
        assert f"| {name} | {value} |" in text
    assert dump_binary.MAGIC == b"lsmdmp\r\n"
    assert "`lsmdmp\\r\\n`" in text


@pytest.mark.parametrize(
    ("section", "form"),
    [("header", dump_binary.HEADER), ("block", dump_binary.BLOCK), ("keyspaces, raw", dump_binary.HEAD),
     ("end, raw", dump_binary.TAIL)],
)  # fmt: skip
def test_the_page_has_the_offsets_of_the_code(section: str, form: Any) -> None:
    table = DOC.read_text().split(f"### {section}\n")[1].split("\n#")[0]
    rows = [(int(a), int(b)) for a, b in re.findall(r"^\| (\d+) \| (\d+) \|", table, re.MULTILINE)]
    for (offset, size), (following, _) in pairwise(rows):
        assert offset + size == following
    assert rows[-1] == (form.size, 0)
    sizes = {"s": 8, "I": 4, "Q": 8, "B": 1, "H": 2, "x": 40}
    assert [size for _, size in rows[:-1]] == [sizes[code] for code in re.sub(r"[<\d]", "", form.format)]


def test_the_whole_way_needs_no_more_than_a_few_blocks_of_memory() -> None:
    """In a process of its own: 200 MB of values are dumped within 100 MB."""
    directory = tempfile.mkdtemp()
    try:
        command = [sys.executable, "-c", MEMORY, directory]
        done = subprocess.run(command, env=environment(), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    finally:
        shutil.rmtree(directory)


MEMORY = """
import os, resource, sys
import lsm
from lsm.cli import main
os.chdir(sys.argv[1])
with lsm.open("one", memtable_bytes=4 << 20) as db:
    keyspace = db.keyspace("a")
    for number in range(800):
        keyspace.put(b"%06d" % number, os.urandom(1 << 18))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert main(["dump", "one", "-o", "x.dump"]) == 0
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
assert grown < 100_000 * (1 if sys.platform == "linux" else 1024), grown
"""
