"""The command `lsm`, run in this process on real databases; in a process of its own where signals and pipes matter."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

import lsm
from lsm.byteforms import Form, decode, display, encode, from_json, to_json
from lsm.cli import main

PACKAGE_PARENT = str(Path(lsm.__file__).parent.parent)


class Result(NamedTuple):
    status: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs one command in `tmp_path`, with `stdin` as its input."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, stdin: bytes = b"") -> Result:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        try:
            status = main(arguments)
        except SystemExit as exit:
            status = int(exit.code or 0)
        return Result(status, *capfd.readouterr())

    return run


@pytest.fixture
def shop(run: Run) -> Run:
    """`run`, beside a database `shop` with a composite keyspace `orders` and a plain one."""
    for customer, date, total in (("alice", "01", "7"), ("alice", "02", "9"), ("alice", "03", "4"), ("bob", "01", "1")):
        assert run("put", "shop", "-k", "orders", customer, "--sort-key", date, total).status == 0
    assert run("put", "shop", "greeting", "hello").status == 0
    return run


def process(*arguments: str, cwd: Path, **settings: object) -> subprocess.Popen[bytes]:
    environment = os.environ | {"PYTHONPATH": PACKAGE_PARENT}
    return subprocess.Popen([sys.executable, "-m", "lsm", *arguments], cwd=cwd, env=environment, **settings)  # type: ignore[call-overload, no-any-return]


# put, get, delete


def test_get_prints_what_put_wrote(run: Run) -> None:
    assert run("put", "db", "monday", "buy milk") == (0, "", "")
    assert run("get", "db", "monday") == (0, "buy milk\n", "")


def test_put_overwrites(run: Run) -> None:
    run("put", "db", "k", "one")
    run("put", "db", "k", "two", "--sync")
    assert run("get", "db", "k").out == "two\n"


def test_get_of_an_absent_key_fails_in_one_line(run: Run) -> None:
    run("put", "db", "k", "v")
    assert run("get", "db", "missing") == (1, "", "lsm: no key 'missing' in keyspace 'default'\n")


def test_delete_removes_the_key(run: Run) -> None:
    run("put", "db", "k", "v")
    assert run("delete", "db", "k") == (0, "", "")
    assert run("get", "db", "k").status == 1


def test_delete_of_an_absent_key_is_no_error(run: Run) -> None:
    run("put", "db", "k", "v")
    assert run("delete", "db", "other") == (0, "", "")


def test_keyspaces_are_apart(run: Run) -> None:
    run("put", "db", "k", "one", "-k", "first")
    run("put", "db", "k", "two", "--keyspace", "second")
    assert run("get", "db", "k", "-k", "first").out == "one\n"
    assert run("get", "db", "k", "-k", "second").out == "two\n"


def test_options_may_stand_between_the_arguments(run: Run) -> None:
    assert run("put", "db", "-k", "x", "k", "--sync", "v").status == 0
    assert run("get", "-k", "x", "db", "--json", "k").out == '{"key": "k", "value": "v"}\n'


def test_a_key_may_begin_with_a_dash_after_two_dashes(run: Run) -> None:
    assert run("put", "db", "--", "-x", "-y").status == 0
    assert run("get", "db", "--", "-x").out == "-y\n"


def test_an_empty_value_is_a_value(run: Run) -> None:
    run("put", "db", "k", "")
    assert run("get", "db", "k") == (0, "\n", "")


def test_a_value_may_come_from_a_file_as_it_is(run: Run, tmp_path: Path) -> None:
    (tmp_path / "logo").write_bytes(b"\x00\xff\n")
    run("put", "db", "logo", "logo", "--file")
    assert run("get", "db", "logo", "--hex").status == 1
    assert run("get", "db", "logo", "--values-as", "hex").out == "00ff0a\n"


def test_a_value_may_come_from_standard_input(run: Run) -> None:
    run("put", "db", "k", "-", "--file", stdin=b"from a pipe")
    assert run("get", "db", "k").out == "from a pipe\n"


def test_raw_prints_the_bytes_alone(capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\x00\xff\r\n\x80")
    main(["put", str(tmp_path / "db"), "k", str(tmp_path / "file"), "--file"])
    assert main(["get", str(tmp_path / "db"), "k", "--raw"]) == 0
    assert capfdbinary.readouterr().out == b"\x00\xff\r\n\x80"


# how bytes are written


@pytest.mark.parametrize("form", list(Form))
def test_every_form_gives_the_bytes_back(form: Form) -> None:
    data = "a\u00e9\u6f22\x00".encode()
    assert encode(decode(data, form), form) == data
    assert from_json(to_json(data, form), form) == data


def test_bytes_that_are_no_text_are_base64_in_json() -> None:
    assert to_json(b"\xff", Form.TEXT) == {"base64": "/w=="}
    assert from_json({"base64": "/w=="}, Form.TEXT) == b"\xff"


def test_bytes_that_cannot_be_read_are_shown_as_a_literal() -> None:
    assert display(b"\x00\xff", Form.TEXT) == r"b'\x00\xff'"
    assert display(b"a\tb", Form.TEXT) == r"b'a\tb'"
    assert display(b"a\tb\n", Form.TEXT, lines=True) == "a\tb\n"
    assert display("漢".encode(), Form.TEXT) == "漢"


def test_hex_is_for_keys_and_values(run: Run) -> None:
    assert run("put", "db", "--hex", "00ff", "0a0b").status == 0
    assert run("get", "db", "--hex", "00ff").out == "0a0b\n"
    assert run("get", "db", "--hex", "00ff", "--values-as", "base64").out == "Cgs=\n"
    assert run("scan", "db").out == "b'\\x00\\xff'\tb'\\n\\x0b'\n"


def test_base64_is_for_keys_and_values(run: Run) -> None:
    run("put", "db", "--base64", "AP8=", "Cgs=")
    assert run("scan", "db", "--base64").out == "AP8=\tCgs=\n"


@pytest.mark.parametrize(("form", "text"), [("hex", "0g"), ("hex", "0"), ("base64", "A"), ("base64", "*")])
def test_an_argument_that_is_not_of_its_form_is_refused(run: Run, form: str, text: str) -> None:
    assert run("put", "db", f"--{form}", text, text) == (1, "", f"lsm: {text!r} is not {form}\n")


# composite keyspaces


def test_a_sort_key_makes_the_keyspace_composite(shop: Run) -> None:
    assert shop("get", "shop", "-k", "orders", "alice", "--sort-key", "02").out == "9\n"
    assert shop("get", "shop", "-k", "orders", "alice", "-s", "02", "--json").out == (
        '{"key": "alice", "sort_key": "02", "value": "9"}\n'
    )


def test_a_composite_keyspace_wants_a_sort_key(shop: Run) -> None:
    wanted = (1, "", "lsm: keyspace 'orders' is composite: give --sort-key too\n")
    assert shop("get", "shop", "-k", "orders", "alice") == wanted
    assert shop("put", "shop", "-k", "orders", "alice", "v") == wanted
    assert shop("delete", "shop", "-k", "orders", "alice") == wanted


def test_a_plain_keyspace_wants_none(shop: Run) -> None:
    result = shop("get", "shop", "greeting", "--sort-key", "x")
    assert result == (1, "", "lsm: keyspace 'default' is plain: leave --sort-key out\n")


def test_put_with_a_sort_key_into_a_plain_keyspace_fails(shop: Run) -> None:
    result = shop("put", "shop", "greeting", "--sort-key", "x", "v")
    assert result.status == 1
    assert result.err.startswith("lsm: ")
    assert result.err.count("\n") == 1


# scan


@pytest.fixture
def letters(run: Run) -> Run:
    lines = "".join(f'{{"key": "{key}", "value": "{key.upper()}"}}\n' for key in ("a1", "a2", "b1", "b2", "c1"))
    assert run("load", "db", "-", "--partitions", "3", stdin=lines.encode()).status == 0
    return run


@pytest.mark.parametrize(
    ("arguments", "keys"),
    [
        ((), "a1 a2 b1 b2 c1"),
        (("--start", "a2"), "a2 b1 b2 c1"),
        (("--stop", "b1"), "a1 a2"),
        (("--start", "a2", "--stop", "b2"), "a2 b1"),
        (("--prefix", "b"), "b1 b2"),
        (("--reverse",), "c1 b2 b1 a2 a1"),
        (("--reverse", "--limit", "2"), "c1 b2"),
        (("--prefix", "b", "--reverse", "--limit", "1"), "b2"),
        (("--start", "a2", "--stop", "b2", "--reverse"), "b1 a2"),
        (("--prefix", "x"), ""),
    ],
)
def test_scan_prints_the_keys_within_its_bounds_in_order(letters: Run, arguments: tuple[str, ...], keys: str) -> None:
    assert letters("scan", "db", "--keys-only", *arguments).out.split() == keys.split()


def test_scan_prints_key_tab_value(letters: Run) -> None:
    assert letters("scan", "db", "--limit", "2").out == "a1\tA1\na2\tA2\n"


def test_scan_json_leaves_values_out_on_demand(letters: Run) -> None:
    assert letters("scan", "db", "--limit", "1", "--json", "--keys-only").out == '{"key": "a1"}\n'


def test_scan_of_a_composite_keyspace_prints_both_keys(shop: Run) -> None:
    lines = shop("scan", "shop", "-k", "orders").out.splitlines()
    assert sorted(lines) == ["alice\t01\t7", "alice\t02\t9", "alice\t03\t4", "bob\t01\t1"]


@pytest.mark.parametrize(
    ("arguments", "sort_keys"),
    [
        ((), "01 02 03"),
        (("--reverse", "--limit", "1"), "03"),
        (("--start", "02"), "02 03"),
        (("--start", "02", "--stop", "03"), "02"),
        (("--prefix", "03"), "03"),
    ],
)
def test_scan_of_one_partition_bounds_the_sort_keys(shop: Run, arguments: tuple[str, ...], sort_keys: str) -> None:
    result = shop("scan", "shop", "-k", "orders", "--partition", "alice", "--json", *arguments)
    entries = [json.loads(line) for line in result.out.splitlines()]
    assert [entry["sort_key"] for entry in entries] == sort_keys.split()
    assert {entry["key"] for entry in entries} == {"alice"}


def test_scan_bounds_in_a_composite_keyspace_need_a_partition(shop: Run) -> None:
    result = shop("scan", "shop", "-k", "orders", "--start", "a")
    assert result == (1, "", "lsm: keyspace 'orders' is composite: --start, --stop and --prefix need --partition\n")


def test_scan_of_a_partition_needs_a_composite_keyspace(shop: Run) -> None:
    assert shop("scan", "shop", "--partition", "a").err == "lsm: keyspace 'default' is plain: leave --partition out\n"


def test_what_scan_writes_as_json_load_reads_back_exactly(run: Run) -> None:
    for key, value in (("00ff", "80"), ("6b", "7b7d"), ("6c", ""), ("c3a9", "0a")):
        assert run("put", "db", "--hex", "--", key, value).status == 0
    dump = run("scan", "db", "--json").out
    assert run("load", "copy", "-", stdin=dump.encode()).status == 0
    assert run("scan", "copy", "--hex").out == run("scan", "db", "--hex").out
    assert run("scan", "copy", "--hex", "--limit", "1").out == "00ff\t80\n"


def test_a_composite_keyspace_survives_scan_and_load(shop: Run) -> None:
    dump = shop("scan", "shop", "-k", "orders", "--json").out
    assert shop("load", "copy", "-k", "orders", "-", stdin=dump.encode()).status == 0
    assert sorted(shop("scan", "copy", "-k", "orders").out.split("\n")) == sorted(
        shop("scan", "shop", "-k", "orders").out.split("\n")
    )


# keyspaces, drop, compact, stats


def test_keyspaces_lists_kind_and_partitions(shop: Run) -> None:
    heading, *rows = [line.split() for line in shop("keyspaces", "shop").out.splitlines()]
    assert heading[:4] == ["keyspace", "kind", "partitions", "entries"]
    assert [row[:3] for row in rows] == [["default", "plain", "1"], ["orders", "composite", "1"]]


def test_keyspaces_as_json(shop: Run) -> None:
    facts = json.loads(shop("keyspaces", "shop", "--json").out)
    assert facts.keys() == {"default", "orders"}
    assert facts["orders"]["composite"] is True


def test_the_partition_count_is_chosen_at_creation(run: Run) -> None:
    run("put", "db", "k", "v", "--partitions", "4")
    assert json.loads(run("keyspaces", "db", "--json").out)["default"]["partitions"] == 4
    result = run("put", "db", "k", "v", "--partitions", "5")
    assert result.status == 1
    assert "default" in result.err


def test_drop_removes_the_keyspace(shop: Run) -> None:
    assert shop("drop", "shop", "orders") == (0, "", "")
    assert shop("get", "shop", "-k", "orders", "alice", "-s", "01").status == 1
    assert shop("get", "shop", "greeting").out == "hello\n"


def test_drop_of_an_absent_keyspace_fails(shop: Run) -> None:
    assert shop("drop", "shop", "order").err == "lsm: no keyspace 'order': there is 'default', 'orders'\n"


def test_compact_says_what_came_of_it(letters: Run) -> None:
    result = letters("compact", "db")
    assert result.status == 0
    assert " -> " in result.out
    assert letters("scan", "db", "--keys-only").out.split() == ["a1", "a2", "b1", "b2", "c1"]


def test_compact_as_json(letters: Run) -> None:
    facts = json.loads(letters("compact", "db", "--json").out)
    assert facts.keys() >= {"before", "after", "seconds"}
    assert facts["after"].keys() >= {"bytes", "tables"}


def test_stats_shows_the_keyspaces(shop: Run) -> None:
    result = shop("stats", "shop")
    assert result.status == 0
    assert "composite, 1 partition" in result.out


def test_stats_as_json_are_those_of_the_engine(shop: Run, tmp_path: Path) -> None:
    facts = json.loads(shop("stats", "shop", "--json").out)
    with lsm.open(tmp_path / "shop", read_only=True) as db:
        assert facts.keys() == db.stats().keys()
        assert facts["keyspaces"].keys() == db.stats()["keyspaces"].keys()


# what is not there is not made


READERS = [
    ("get", "db", "k"),
    ("delete", "db", "k"),
    ("scan", "db"),
    ("keyspaces", "db"),
    ("drop", "db", "x"),
    ("compact", "db"),
    ("stats", "db"),
]


@pytest.mark.parametrize("arguments", READERS, ids=lambda arguments: arguments[0])
def test_only_put_and_load_create_a_database(run: Run, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result == (1, "", "lsm: db: there is no database; `lsm put` and `lsm load` create one\n")
    assert not (tmp_path / "db").exists()


@pytest.mark.parametrize("arguments", READERS, ids=lambda arguments: arguments[0])
def test_a_directory_of_other_things_is_left_alone(run: Run, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / "letter.txt").write_text("dear")
    result = run(*arguments)
    assert result.status == 1
    assert result.err.startswith("lsm: ")
    assert os.listdir(tmp_path / "db") == ["letter.txt"]


@pytest.mark.parametrize("command", ["put", "load"])
def test_no_database_is_made_among_other_things(run: Run, tmp_path: Path, command: str) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    result = run("put", ".", "k", "v") if command == "put" else run("load", ".", "-", stdin=b"")
    assert result.status == 1
    assert result.err.startswith("lsm: ")
    assert os.listdir(tmp_path) == ["letter.txt"]


@pytest.mark.parametrize("arguments", [("get", "db", "k"), ("delete", "db", "k"), ("scan", "db")], ids=str)
def test_reading_never_creates_a_keyspace(run: Run, arguments: tuple[str, ...]) -> None:
    run("put", "db", "k", "v", "-k", "other")
    assert run(*arguments) == (1, "", "lsm: no keyspace 'default': there is 'other'\n")
    assert json.loads(run("keyspaces", "db", "--json").out).keys() == {"other"}


def test_memory_is_refused(run: Run) -> None:
    result = run("put", ":memory:", "k", "v")
    assert result == (1, "", "lsm: ':memory:' would keep nothing after this command; name a directory\n")


# errors, help, processes


def test_an_empty_key_fails_in_one_line(run: Run) -> None:
    result = run("put", "db", "", "v")
    assert result.status == 1
    assert result.err.startswith("lsm: ")
    assert result.err.count("\n") == 1


def test_a_database_in_use_is_named_as_such(run: Run, tmp_path: Path) -> None:
    with lsm.open(tmp_path / "db"):
        result = run("put", "db", "k", "v")
    assert result.status == 1
    assert str(os.getpid()) in result.err
    assert result.err.count("\n") == 1


def test_a_missing_value_file_is_named(run: Run) -> None:
    assert run("put", "db", "k", "nothing.png", "--file").err == "lsm: nothing.png: No such file or directory\n"


@pytest.mark.parametrize(
    "arguments",
    [(), ("fly",), ("get", "db"), ("put", "db", "k"), ("scan", "db", "--limit", "0"), ("scan", "db", "--limit", "x"),
     ("get", "db", "k", "--hex", "--base64"), ("get", "db", "k", "--raw", "--json"), ("scan", "db", "--rev"),
     ("load", "db", "-", "--format", "xml"), ("get", "db", "k", "--values-as", "octal")],
    ids=str,
)  # fmt: skip
def test_wrong_usage_has_exit_status_2(run: Run, arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.status == 2
    assert result.err.startswith("usage: lsm")


COMMANDS = ["demo", "serve", "top", "put", "get", "delete", "scan", "load", "keyspaces", "drop", "stats"]
TOOLS = {"compact", "dump", "inspect", "repair", "simulate", "verify"}


@pytest.mark.parametrize("command", [*COMMANDS, *sorted(TOOLS)])
def test_every_command_has_help_with_examples(run: Run, command: str) -> None:
    result = run(command, "--help")
    assert result.status == 0
    assert f"examples:\n  lsm {command}" in result.out


def test_the_help_names_every_command(run: Run) -> None:
    out = run("--help").out
    named = [line.split()[0] for line in out.splitlines() if line.startswith("    ") and not line.startswith("     ")]
    assert named[: len(COMMANDS)] == COMMANDS
    assert set(named[len(COMMANDS) :]) >= TOOLS


def test_version_is_printed(run: Run) -> None:
    result = run("--version")
    assert result.status == 0
    assert result.out.startswith("lsm ")


def test_a_reader_that_leaves_early_is_no_error(letters: Run, tmp_path: Path) -> None:
    lines = "".join(f'{{"key": "{number:06}", "value": "{"x" * 100}"}}\n' for number in range(20_000))
    assert letters("load", "db", "-", stdin=lines.encode()).status == 0
    scan = process("scan", "db", cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert scan.stdout is not None
    assert scan.stderr is not None
    assert scan.stdout.readline() == b"000000\t" + b"x" * 100 + b"\n"
    scan.stdout.close()
    assert scan.stderr.read() == b""
    scan.stderr.close()
    assert scan.wait() == 141
    assert letters("get", "db", "a1").out == "A1\n"


def test_the_module_runs_as_the_command(run: Run, tmp_path: Path) -> None:
    run("put", "db", "k", "v")
    get = process("get", "db", "k", cwd=tmp_path, stdout=subprocess.PIPE)
    assert get.communicate()[0] == b"v\n"
    assert get.returncode == 0
