"""What README.md and docs/*.md show really works: every block of code runs, file by file, in an empty directory.

`python` blocks of a file share their names; `sh` blocks run whole; `console` blocks run line by line and must print
what they show, where `...` stands for anything. A block tagged `install` is only checked: its syntax, and what it
names; one tagged `needs-PROGRAM` runs where that program is there. Blocks in other languages, or in none, are text.

A `console` block tagged `server` starts a server, which must print what the block shows, and runs until the end of the
file: then it is stopped, and must end well. Ports 8000 to 8009 stand for free ones.
"""

from __future__ import annotations

import contextlib
import functools
import os
import random
import re
import shlex
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import lsm

ROOT = Path(__file__).parent.parent
FILES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs/examples").glob("*.md"))]
FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")


class Block(NamedTuple):
    path: Path
    line: int
    language: str
    tags: tuple[str, ...]
    text: str

    @property
    def place(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}"


def blocks(path: Path) -> Iterator[Block]:
    text = path.read_text()
    for match in FENCE.finditer(text):
        language, *tags = match["info"].split() or [""]
        yield Block(path, text.count("\n", 0, match.start()) + 1, language, tuple(tags), match["text"])


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory; `lsm` on the path of its shell is the package under test."""
    directory, programs = tmp_path / "work", tmp_path / "bin"
    directory.mkdir()
    programs.mkdir()
    (programs / "lsm").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m lsm "$@"\n')
    (programs / "lsm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(Path(lsm.__file__).parent.parent))
    monkeypatch.setenv("PYTHONIOENCODING", "utf-8")
    monkeypatch.chdir(directory)
    return directory


@pytest.mark.parametrize("path", FILES, ids=name)
def test_every_block_runs(path: Path, shell: Path) -> None:
    names: dict[str, object] = {"__name__": "__main__"}
    with contextlib.ExitStack() as servers:
        for block in with_free_ports(blocks(path)):
            if "install" in block.tags or not all(is_there(tag[6:]) for tag in block.tags if tag.startswith("needs-")):
                continue
            if "server" in block.tags:
                servers.enter_context(server(block))
            elif block.language == "python":
                run_python(block, names)
            elif block.language == "sh":
                run_shell(block)
            elif block.language == "console":
                run_console(block)


@functools.cache
def is_there(program: str) -> bool:
    """Whether it runs: something that only stands for it may lie on the path."""
    asked = [program, "version" if program == "openssl" else "--version"]
    try:
        return subprocess.run(asked, stdin=subprocess.DEVNULL, capture_output=True, timeout=600).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def with_free_ports(found: Iterator[Block]) -> Iterator[Block]:
    """In files that start a server; others keep their numbers."""
    all_blocks = list(found)
    if not any("server" in block.tags for block in all_blocks):
        yield from all_blocks
        return
    # from below those that the system gives to whoever asks for any: nobody else gets them before the server does
    chosen = (port for port in random.SystemRandom().sample(range(12_000, 32_000), 2000) if is_free(port))
    ports = {f"800{digit}": str(next(chosen)) for digit in range(10)}
    for block in all_blocks:
        text = re.sub(r"\b800\d\b", lambda match: ports[match[0]], block.text)
        if "server" in block.tags and " --port " not in text:
            text = text.replace("\n", f" --port {ports['8000']}\n", 1)
        yield block._replace(text=text)


def is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


@contextlib.contextmanager
def server(block: Block) -> Iterator[None]:
    """Runs the block's one command, and stops it."""
    command, _, expected = block.text.removeprefix("$ ").partition("\n")
    shell = ["sh", "-c", f"exec {command}"]
    with (
        open("server.log", "w+") as log,
        subprocess.Popen(shell, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True) as running,
    ):
        try:
            assert running.stdout is not None
            printed = "".join(running.stdout.readline() for _ in expected.splitlines())
            assert shows(expected, printed), f"{block.place}: `{command}` prints {printed}{said()}"
            yield
            running.terminate()
            assert running.wait(600) == 0, f"{block.place}: {said()}"
        finally:
            running.kill()


def said() -> str:
    """What the last server wrote on stderr."""
    return Path("server.log").read_text()


def run_python(block: Block, names: dict[str, object]) -> None:
    # as many empty lines before it as in the file: a traceback then shows the line of the file
    source = "\n" * block.line + block.text
    exec(compile(source, str(block.path), "exec"), names)


def run_shell(block: Block) -> None:
    done = subprocess.run(["sh", "-eu", "-c", block.text], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, f"{block.place} fails: {done.stdout}{done.stderr}"


def run_console(block: Block) -> None:
    assert block.text.startswith("$ "), f"{block.place} does not begin with a command"
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        done = subprocess.run(
            ["sh", "-c", command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert shows(expected, done.stdout), f"{block.place}: `{command}` prints\n{done.stdout}and not\n{expected}"
        fails = expected.splitlines()[-1:] and expected.splitlines()[-1].startswith("lsm: ")
        assert done.returncode == (1 if fails else 0), f"{block.place}: `{command}` ends with {done.returncode}"


def shows(expected: str, printed: str) -> bool:
    """Whether `printed` is `expected`, with anything in the place of each `...`."""
    first, *rest = expected.split("...")
    if not rest:
        return printed == expected
    *middle, last = rest
    at, end = len(first), len(printed) - len(last)
    if not printed.startswith(first) or not printed.endswith(last):
        return False
    for piece in middle:
        # the leftmost place leaves the most room; a regular expression would try all of them, for hours
        at = printed.find(piece, at, max(at, end))
        if at < 0:
            return False
        at += len(piece)
    return at <= end


INSTALLS = [block for path in FILES for block in blocks(path) if "install" in block.tags]


@pytest.mark.parametrize("block", INSTALLS, ids=lambda block: block.place)
def test_what_install_commands_name_exists(block: Block) -> None:
    checked = subprocess.run(["sh", "-n", "-c", block.text], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for word in shlex.split(block.text):
        if match := re.fullmatch(r"\.\[(.*)\]", word):
            assert set(match[1].split(",")) <= extras.keys()
        elif "/" in word and not word.startswith(".venv/"):
            assert (ROOT / word).exists(), f"{block.place} names {word}"


def test_the_readme_begins_with_two_commands() -> None:
    first, second = [block.text for block in blocks(ROOT / "README.md") if "install" in block.tags][:2]
    assert "pip install '.[serve]'" in first
    assert "lsm demo" in first
    assert "pytest" in second


@pytest.mark.parametrize("path", FILES, ids=name)
def test_every_link_leads_to_a_file(path: Path) -> None:
    assert [link for link in LINK.findall(path.read_text()) if not (path.parent / link).exists()] == []


def test_output_is_compared_with_room_for_anything() -> None:
    assert shows("2 records in ...\n", "2 records in 0.1 s (20/s)\n")
    assert not shows("2 records in ...\n", "3 records in 0.1 s\n")
    assert not shows("a\n", "a\nb\n")
