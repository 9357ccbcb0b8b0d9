"""`lsm load` and the reading of records: JSON Lines, CSV, TSV; bad lines; what is kept when a load ends early."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from interrupting import interrupted_when

import lsm
from lsm.byteforms import Form
from lsm.cli import main
from lsm.loading import Loader, Target, Verdict
from lsm.records import BadLine, Fields, Format, HeaderError, Lines, Record, read_records


def read(text: bytes | str, text_format: Format = Format.JSONL, fields: Fields | None = None) -> list[Record | BadLine]:
    data = text.encode() if isinstance(text, str) else text
    return list(read_records(Lines(io.BytesIO(data)), text_format, fields or Fields()))


# JSON Lines


def test_a_record_is_key_and_value() -> None:
    assert read('{"key": "a", "value": "b"}\n') == [Record(1, b"a", None, b"b")]


def test_a_record_may_have_a_sort_key() -> None:
    assert read('{"key": "a", "sort_key": "s", "value": "b"}') == [Record(1, b"a", b"s", b"b")]


def test_blank_lines_are_counted_and_skipped() -> None:
    assert read('\n  \n{"key": "a", "value": ""}\r\n\n') == [Record(3, b"a", None, b"")]


def test_a_byte_order_mark_is_no_part_of_the_first_line() -> None:
    assert read('\ufeff{"key": "a", "value": "b"}') == [Record(1, b"a", None, b"b")]


def test_a_whole_number_is_its_digits_as_a_key() -> None:
    assert read('{"key": 12345678901234567890, "value": "b"}') == [Record(1, b"12345678901234567890", None, b"b")]


def test_a_value_that_is_no_string_is_kept_as_json() -> None:
    assert read('{"key": "a", "value": {"x": [1, null, "é"]}}') == [
        Record(1, b"a", None, '{"x":[1,null,"é"]}'.encode())
    ]


def test_base64_stands_for_bytes() -> None:
    assert read('{"key": {"base64": "AP8="}, "value": {"base64": "/w=="}}') == [Record(1, b"\x00\xff", None, b"\xff")]


def test_strings_may_be_hexadecimal() -> None:
    fields = Fields(key_form=Form.HEX, value_form=Form.BASE64)
    assert read('{"key": "00ff", "value": "/w=="}', fields=fields) == [Record(1, b"\x00\xff", None, b"\xff")]


def test_with_a_key_field_the_value_is_the_line_itself() -> None:
    line = '{"id": "a", "price": 1.10, "big": 1e400}'
    assert read(f" {line}\n", fields=Fields(key="id")) == [Record(1, b"a", None, line.encode())]


def test_with_a_value_field_the_value_is_that_member() -> None:
    fields = Fields(key="id", sort_key="n", value="v")
    assert read('{"id": "a", "n": 7, "v": "x"}', fields=fields) == [Record(1, b"a", b"7", b"x")]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"key": "a"', "not JSON: Expecting ',' delimiter at column 12"),
        ("[1]", "a record is a JSON object, this line is none"),
        ('{"value": "b"}', "there is no 'key'"),
        ('{"key": "a"}', "there is no 'value'"),
        ('{"key": 1.5, "value": "b"}', "'key' is neither a string nor a whole number"),
        ('{"key": true, "value": "b"}', "'key' is neither a string nor a whole number"),
        ('{"key": null, "value": "b"}', "'key' is neither a string nor a whole number"),
        ('{"key": {"base64": "*"}, "value": "b"}', "'key' is not base64"),
        ('{"key": "a", "value": NaN}', "NaN is not JSON"),
        (r'{"key": "\ud800", "value": "b"}', "'key' is not text: it holds half of a surrogate pair"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_bad_line_says_why(line: str, reason: str) -> None:
    assert read(f'{{"key": "a", "value": "b"}}\n{line}\n{{"key": "c", "value": "d"}}') == [
        Record(1, b"a", None, b"b"),
        BadLine(2, reason),
        Record(3, b"c", None, b"d"),
    ]


def test_bytes_that_are_not_utf8_are_a_bad_line() -> None:
    assert read(b'{"key": "\xff", "value": "b"}\n') == [BadLine(1, "not UTF-8")]


# CSV and TSV


def test_a_row_is_a_json_object_under_its_key() -> None:
    assert read("id,name\n7,Ann\n", Format.CSV, Fields(key="id")) == [Record(2, b"7", None, b'{"id":"7","name":"Ann"}')]


def test_columns_named_key_and_value_need_no_options() -> None:
    assert read("value,key\nv,k\n", Format.CSV) == [Record(2, b"k", None, b"v")]
    assert read("key,sort_key,value\nk,s,v\n", Format.CSV) == [Record(2, b"k", b"s", b"v")]


def test_a_quoted_field_may_hold_commas_quotes_and_line_ends() -> None:
    text = 'key,value\r\n"a,b","say ""hi""\nthere"\r\nc,d\r\n'
    assert read(text, Format.CSV) == [Record(2, b"a,b", None, b'say "hi"\nthere'), Record(4, b"c", None, b"d")]


def test_a_quotation_mark_means_nothing_in_tsv() -> None:
    assert read('key\tvalue\n"a\tb"\n', Format.TSV) == [Record(2, b'"a', None, b'b"')]


def test_blank_rows_are_skipped() -> None:
    assert read("key,value\n\na,b\n", Format.CSV) == [Record(3, b"a", None, b"b")]


def test_a_row_of_another_length_is_a_bad_line() -> None:
    assert read("key,value\na\nb,c\nd,e,f\n", Format.CSV) == [
        BadLine(2, "1 fields, where the header line names 2 columns"),
        Record(3, b"b", None, b"c"),
        BadLine(4, "3 fields, where the header line names 2 columns"),
    ]


def test_a_row_that_is_not_utf8_is_a_bad_line() -> None:
    assert read(b"key,value\n\xff,b\nc,d\n", Format.CSV) == [BadLine(2, "not UTF-8"), Record(3, b"c", None, b"d")]


def test_a_quotation_mark_that_never_closes_is_a_bad_line() -> None:
    assert read('key,value\na,"b\nc,d\n', Format.CSV) == [BadLine(2, "unexpected end of data")]


@pytest.mark.parametrize(
    ("text", "fields", "reason"),
    [
        ("", Fields(), "there is no header line"),
        ("a,b\n", Fields(), "there is no column 'key'; the header line names a, b"),
        ("a,b\n", Fields(key="a", sort_key="c"), "there is no column 'c'; the header line names a, b"),
        ("a,b\n", Fields(key="a", value="v"), "there is no column 'v'; the header line names a, b"),
        ("a,b,a\n", Fields(key="a"), "the header line names column 'a' twice"),
    ],
)
def test_a_header_that_does_not_fit_is_an_error(text: str, fields: Fields, reason: str) -> None:
    with pytest.raises(HeaderError) as caught:
        read(text, Format.CSV, fields)
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("name", "text_format"),
    [("a.csv", Format.CSV), ("a.CSV", Format.CSV), ("a.tsv", Format.TSV), ("a.tab", Format.TSV),
     ("a.jsonl", Format.JSONL), ("a.ndjson", Format.JSONL), ("-", Format.JSONL), ("csv", Format.JSONL)],
)  # fmt: skip
def test_the_name_of_a_file_tells_its_format(name: str, text_format: Format) -> None:
    assert Format.of_name(name) is text_format


# the command


Load = Callable[..., tuple[int, str, str]]


@pytest.fixture
def load(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Writes `text` to a file of that name in `tmp_path` and loads it into the database `db` there."""
    monkeypatch.chdir(tmp_path)

    def load(name: str, text: str, *options: str) -> tuple[int, str, str]:
        Path(name).write_text(text)
        return main(["load", "db", name, *options]), *capsys.readouterr()

    return load


def content(path: Path, keyspace: str = "default") -> list[tuple[object, bytes]]:
    with lsm.open(path) as db:
        return list(db.keyspace(keyspace).scan())


def numbered(count: int) -> str:
    return "".join(f'{{"key": "{number:04}", "value": "v"}}\n' for number in range(count))


def test_load_reads_a_csv_file(load: Load, tmp_path: Path) -> None:
    status, out, err = load("people.csv", "id,name\n2,Ben\n1,Ann\n", "--key", "id", "--value", "name")
    assert (status, err) == (0, "")
    assert out.startswith("2 records loaded into 'default' in ")
    assert content(tmp_path / "db") == [(b"1", b"Ann"), (b"2", b"Ben")]


def test_load_reads_a_tsv_file_into_a_composite_keyspace(load: Load, tmp_path: Path) -> None:
    text = "who\twhen\twhat\nann\t2\tb\nann\t1\ta\n"
    status, _, err = load("log.tsv", text, "-k", "log", "--key", "who", "--sort-key", "when", "--value", "what")
    assert (status, err) == (0, "")
    assert content(tmp_path / "db", "log") == [((b"ann", b"1"), b"a"), ((b"ann", b"2"), b"b")]


def test_load_reads_standard_input(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"key,value\na,b\n")))
    assert main(["load", str(tmp_path / "db"), "-", "--format", "csv"]) == 0
    assert content(tmp_path / "db") == [(b"a", b"b")]


def test_load_reports_as_json(load: Load) -> None:
    status, out, _ = load("a.jsonl", numbered(3), "--json")
    facts = json.loads(out)
    assert status == 0
    assert facts.pop("seconds") >= 0
    assert facts == {"loaded": 3, "skipped": 0, "last_line": 3, "complete": True}


def test_a_bad_line_stops_the_load_and_keeps_what_came_before(load: Load, tmp_path: Path) -> None:
    status, out, err = load("a.jsonl", numbered(5) + "oops\n" + '{"key": "z", "value": "z"}\n', "--batch-records", "2")
    assert (status, out) == (1, "")
    assert err.splitlines() == [
        "lsm: a.jsonl:6: not JSON: Expecting value at column 1",
        "lsm: stopped: 5 records loaded, through line 5 of a.jsonl; --on-error skip goes on after a bad line",
    ]
    assert len(content(tmp_path / "db")) == 5


def test_bad_lines_are_skipped_on_demand(load: Load, tmp_path: Path) -> None:
    status, out, err = load("a.jsonl", "oops\n" + numbered(2) + "oops\n", "--on-error", "skip")
    assert status == 0
    assert out.startswith("2 records loaded")
    assert out.endswith("; 2 bad lines skipped\n")
    assert [line.split(": ")[1] for line in err.splitlines()] == ["a.jsonl:1", "a.jsonl:4"]
    assert len(content(tmp_path / "db")) == 2


def test_a_key_that_the_engine_refuses_is_a_bad_line(load: Load, tmp_path: Path) -> None:
    text = numbered(1) + '{"key": "", "value": "v"}\n' + '{"key": "z", "value": "v"}\n'
    status, _, err = load("a.jsonl", text)
    assert status == 1
    assert err.startswith("lsm: a.jsonl:2: ")
    assert "1 record loaded, through line 1" in err
    assert content(tmp_path / "db") == [(b"0000", b"v")]


def test_a_refused_key_is_skipped_on_demand(load: Load, tmp_path: Path) -> None:
    text = '{"key": "", "value": "v"}\n' + numbered(2) + f'{{"key": "{"k" * 65537}", "value": "v"}}\n'
    status, _, err = load("a.jsonl", text, "--on-error", "skip")
    assert status == 0
    assert len(err.splitlines()) == 2
    assert content(tmp_path / "db") == [(b"0000", b"v"), (b"0001", b"v")]


def test_records_with_and_without_sort_keys_do_not_mix(load: Load) -> None:
    status, _, err = load("a.jsonl", numbered(1) + '{"key": "a", "sort_key": "s", "value": "v"}\n')
    assert status == 1
    assert err.startswith("lsm: a.jsonl:2: there is a sort key, and the keyspace is plain\n")


def test_a_missing_file_is_named(load: Load, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["load", "db", "nothing.csv"]) == 1
    assert capsys.readouterr().err == "lsm: nothing.csv: No such file or directory\n"
    assert not (tmp_path / "db").exists()


def test_a_header_that_does_not_fit_is_said_with_the_file(load: Load) -> None:
    status, _, err = load("a.csv", "id,name\n")
    assert (status, err) == (1, "lsm: a.csv: there is no column 'key'; the header line names id, name\n")


def test_an_empty_file_loads_nothing(load: Load) -> None:
    status, out, _ = load("a.jsonl", "")
    assert status == 0
    assert re.fullmatch(r"0 records loaded into 'default' in \d+\.\d\d s\n", out)


def test_a_progress_bar_is_drawn_on_demand(load: Load) -> None:
    _, _, err = load("a.jsonl", numbered(10), "--progress")
    assert "100%" in err
    assert "10 records" in err


def test_without_a_terminal_there_is_no_progress_bar(load: Load) -> None:
    assert load("a.jsonl", numbered(10))[2] == ""


def test_the_partition_count_is_taken_at_creation(load: Load, tmp_path: Path) -> None:
    load("a.jsonl", numbered(10), "--partitions", "3", "--sync")
    with lsm.open(tmp_path / "db") as db:
        assert db.stats()["keyspaces"]["default"]["partitions"] == 3


# Ctrl-C


def interrupted_after(count: int) -> Iterator[Record | BadLine]:
    for number in range(1, count + 1):
        yield Record(number, b"%04d" % number, None, b"v")
    os.kill(os.getpid(), signal.SIGINT)
    yield Record(count + 1, b"after", None, b"v")


def quiet_loader(target: Target) -> Loader:
    return Loader(target, on_bad=lambda bad: False, on_progress=lambda outcome: None)


def test_an_interrupted_load_keeps_every_record_before(tmp_path: Path) -> None:
    with lsm.open(tmp_path / "db") as db:
        outcome = quiet_loader(Target(db, "default", batch_records=4)).run(interrupted_after(10))
        assert outcome.verdict is Verdict.INTERRUPTED
        assert (outcome.loaded, outcome.last_line) == (10, 10)
        assert len(list(db.keyspace("default").scan())) == 10


def test_ctrl_c_belongs_to_the_caller_again_after_a_load(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    with lsm.open(tmp_path / "db") as db:
        quiet_loader(Target(db, "default")).run(iter([]))
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_ends_a_load_that_waits_for_its_input(tmp_path: Path) -> None:
    wanted = b"lsm: interrupted: 5 records loaded, through line 5 of standard input\n"
    path, status, out, err = interrupted_when(
        lambda err: wanted in err, tmp_path, numbered(5).encode(), "--batch-records", "2"
    )
    assert (status, out, err) == (130, b"", wanted)
    assert len(content(path)) == 5
