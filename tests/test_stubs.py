"""What type checkers read (lsm/*.pyi) is what the compiled modules are: names, arguments, docstrings.

And what a checker infers of a program that uses the package: `assert_type` where it should agree, mistakes it must see.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import lsm

ROOT = Path(__file__).parent.parent
STUBS = sorted((ROOT / "lsm").glob("*.pyi"))
PROTOCOLS = {
    *("__len__", "__bool__", "__iter__", "__next__", "__reversed__", "__contains__"),
    *("__getitem__", "__setitem__", "__delitem__", "__enter__", "__exit__"),
}

Function = ast.FunctionDef


def compiled() -> list[str]:
    return [path.stem for path in sorted((ROOT / "ext/lsm").glob("*.pyx"))]


def module(name: str) -> ModuleType:
    return importlib.import_module(f"lsm.{name}")


def imported_constants(name: str) -> set[str]:
    """Names of upper case that a module has from another one."""
    found: set[str] = set()
    for line in (ROOT / f"ext/lsm/{name}.pyx").read_text().splitlines():
        if line.startswith("from ") and " import " in line:
            found |= {word.strip() for word in line.split(" import ")[1].split(",")}
    return found


def own_names(name: str) -> dict[str, Any]:
    """What a compiled module shows to Python, without what it has from elsewhere."""
    found = module(name)
    return {
        key: value
        for key, value in vars(found).items()
        if not key.startswith("_")
        and not inspect.ismodule(value)
        and getattr(value, "__module__", found.__name__) == found.__name__
        and key not in imported_constants(name)
    }


def own_members(kind: type) -> dict[str, Any]:
    # a class that is iterable and not a buffer has slots of its own; what object has too is no part of the interface
    return {
        key: value
        for key, value in vars(kind).items()
        if not key.startswith("_") or (key in PROTOCOLS and value is not getattr(object, key, None))
    }


def is_for_checkers_only(node: ast.stmt) -> bool:
    """Aliases, type variables, typed dictionaries: the compiled module has no such name."""
    if isinstance(node, ast.AnnAssign):
        return ast.unparse(node.annotation) == "TypeAlias"
    if isinstance(node, ast.ClassDef):
        return any(ast.unparse(base) == "TypedDict" for base in node.bases)
    return isinstance(node, ast.Assign)


def stub_names(body: list[ast.stmt]) -> dict[str, list[ast.stmt]]:
    """Name to its definitions: several where a function is overloaded."""
    found: dict[str, list[ast.stmt]] = {}
    for node in body:
        if is_for_checkers_only(node):
            continue
        if isinstance(node, Function | ast.ClassDef):
            found.setdefault(node.name, []).append(node)
        elif isinstance(node, ast.AnnAssign):
            found.setdefault(ast.unparse(node.target), []).append(node)
    return found


def tree(name: str) -> ast.Module:
    return ast.parse((ROOT / f"lsm/{name}.pyi").read_text())


def classes(name: str) -> Iterator[tuple[ast.ClassDef, type]]:
    for definitions in stub_names(tree(name).body).values():
        for node in definitions:
            if isinstance(node, ast.ClassDef):
                yield node, getattr(module(name), node.name)


def functions(name: str) -> Iterator[tuple[str, ast.FunctionDef, Any]]:
    """(dotted name, stub, compiled object) of every function and method that Python can look into."""
    bodies: list[tuple[str, list[ast.stmt], Mapping[str, Any]]] = [("", tree(name).body, vars(module(name)))]
    bodies += [(f"{node.name}.", node.body, vars(kind)) for node, kind in classes(name)]
    for prefix, body, members in bodies:
        for key, definitions in stub_names(body).items():
            for node in definitions:
                if isinstance(node, Function) and key in members:
                    yield prefix + key, node, members[key]


def arguments(node: ast.FunctionDef) -> list[tuple[str, Any]]:
    a = node.args
    kinds = inspect.Parameter
    listed: list[tuple[str, Any]] = [(arg.arg, kinds.POSITIONAL_ONLY) for arg in a.posonlyargs]
    listed += [(arg.arg, kinds.POSITIONAL_OR_KEYWORD) for arg in a.args]
    return listed + [(arg.arg, kinds.KEYWORD_ONLY) for arg in a.kwonlyargs]


def is_overload(node: ast.FunctionDef) -> bool:
    return any(ast.unparse(decorator) == "overload" for decorator in node.decorator_list)


def is_property(node: ast.FunctionDef) -> bool:
    return any(ast.unparse(decorator) == "property" for decorator in node.decorator_list)


@pytest.mark.parametrize("name", compiled())
def test_a_stub_names_what_its_module_has(name: str) -> None:
    if not own_names(name) and not (ROOT / f"lsm/{name}.pyi").exists():
        return
    assert sorted(stub_names(tree(name).body)) == sorted(own_names(name))


def test_every_stub_stands_beside_a_compiled_module() -> None:
    assert {path.stem for path in STUBS} <= set(compiled())


@pytest.mark.parametrize("name", [path.stem for path in STUBS])
def test_a_stub_class_has_the_members_of_the_compiled_one(name: str) -> None:
    for node, kind in classes(name):
        members = {key for key in stub_names(node.body) if key not in ("__init__", "__new__", "__buffer__")}
        assert sorted(members) == sorted(own_members(kind)), node.name


@pytest.mark.parametrize("name", [path.stem for path in STUBS])
def test_properties_are_properties(name: str) -> None:
    for label, node, value in functions(name):
        assert is_property(node) == inspect.isdatadescriptor(value), label


@pytest.mark.parametrize("name", [path.stem for path in STUBS])
def test_arguments_have_the_names_and_kinds_of_the_compiled_ones(name: str) -> None:
    for label, node, value in functions(name):
        function = value.__func__ if isinstance(value, staticmethod) else value
        if type(function).__name__ != "cython_function_or_method":
            continue
        parameters = inspect.signature(function).parameters.values()
        expected = [(p.name, p.kind) for p in parameters]
        if label.endswith("__exit__"):
            assert len(arguments(node)) == len(expected), label
        elif is_overload(node):
            # an overload may say that an argument comes by name only
            assert {arg for arg, _ in arguments(node)} == {arg for arg, _ in expected}, label
        else:
            assert arguments(node) == expected, label
            optional = {p.name for p in parameters if p.default is not p.empty}
            assert optional_arguments(node) == optional, label


def optional_arguments(node: ast.FunctionDef) -> set[str]:
    a = node.args
    positional = [*a.posonlyargs, *a.args]
    optional = {arg.arg for arg in positional[len(positional) - len(a.defaults) :]}
    return optional | {arg.arg for arg, default in zip(a.kwonlyargs, a.kw_defaults, strict=True) if default is not None}


@pytest.mark.parametrize("name", [path.stem for path in STUBS])
def test_a_docstring_in_a_stub_is_the_compiled_one(name: str) -> None:
    documented: list[tuple[str, ast.ClassDef | ast.FunctionDef, Any]] = [*functions(name)]
    documented += [(node.name, node, kind) for node, kind in classes(name)]
    for label, node, value in documented:
        shown = ast.get_docstring(node)
        # slots have docstrings of the interpreter's
        if shown is not None and not label.endswith("__"):
            assert shown == inspect.getdoc(value), label


PROGRAM = """
from typing import Any, assert_type
import lsm

db = lsm.open(":memory:")
plain = db.keyspace("plain", composite=False)
pairs = db.keyspace("pairs", composite=True, partitions=4)
assert_type(db, lsm.Database)
assert_type(plain, lsm.Keyspace[bytes])
assert_type(pairs, lsm.Keyspace[tuple[bytes, bytes]])
assert_type(db.keyspace("either"), lsm.Keyspace[Any])

assert_type(plain.put(b"k", b"v"), int)
assert_type(plain.put(bytearray(b"k"), memoryview(b"v"), sync=True), int)
assert_type(plain.get(b"k"), bytes | None)
assert_type(plain.get(b"k", b""), bytes)
assert_type(plain.get(b"k", 0), bytes | int)
assert_type(plain[b"k"], bytes)
assert_type(b"k" in plain, bool)
assert_type(plain.get_many([b"k"]), list[bytes | None])
assert_type(plain.get_many([b"k"], b""), list[bytes])
assert_type(plain.put_many([(b"k", b"v")]), int)
assert_type(plain.put_many({b"k": b"v"}), int)
assert_type(next(plain.scan(b"a", b"z")), tuple[bytes, bytes])
assert_type(next(plain.scan(prefix=b"k", values=False)), bytes)
assert_type(list(plain), list[bytes])
assert_type(dict(plain.items()), dict[bytes, bytes])
assert_type(list(plain.values()), list[bytes])

pairs[b"p", b"s"] = b"v"
assert_type(next(pairs.scan(partition=b"p")), tuple[tuple[bytes, bytes], bytes])
assert_type(next(pairs.keys()), tuple[bytes, bytes])
with pairs.scan() as scan:
    assert_type([value for _, value in scan], list[bytes])

with db.batch() as batch:
    batch.put(plain, b"k", b"v")
    batch.delete(pairs, (b"p", b"s"))
assert_type(batch.sequence, int | None)
assert_type(batch, lsm.Batch)

with db.snapshot() as snapshot:
    assert_type(snapshot.get(plain, b"k"), bytes | None)
    assert_type(snapshot.get_many(pairs, [(b"p", b"s")], None), list[bytes | None])
    assert_type(next(snapshot.scan(pairs, values=False)), tuple[bytes, bytes])
    assert_type(snapshot.sequence, int)
"""

MISTAKES = [
    'plain.put("text", b"v")',
    "plain.put(b'k', 'text')",
    "plain.put(b'k', b'v', durable=True)",
    "plain.get(1)",
    "plain.scan(prefix='text')",
    "batch.put(b'k', b'v')",
    "snapshot.put(plain, b'k', b'v')",
    "plain.get(b'k').decode()",
]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mypy")


def check(program: str, cache: Path) -> list[str]:
    """What mypy --strict says of a program, one line per error."""
    pytest.importorskip("mypy")
    source = cache / "program.py"
    source.write_text(program)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={cache}/cache", str(source)],
        capture_output=True,
        text=True,
        env=os.environ | {"MYPYPATH": str(Path(lsm.__file__).parent.parent)},
    )
    assert done.returncode < 2, done.stdout + done.stderr
    return [line for line in done.stdout.splitlines() if ": error: " in line]


def test_a_checker_infers_what_comes_back(cache: Path) -> None:
    assert check(PROGRAM, cache) == []


def test_a_checker_sees_every_mistake(cache: Path) -> None:
    first = PROGRAM.count("\n") + 1
    lines = {int(error.split(":")[1]) for error in check(PROGRAM + "\n".join(MISTAKES) + "\n", cache)}
    assert lines == set(range(first, first + len(MISTAKES)))
