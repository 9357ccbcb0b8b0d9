"""Imports only go down: every module of the package stands in one layer of the table below, Python and Cython alike."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# From the ground up. A module may import from its own layer and from those below. Layers on one line do not know each
# other. docs/architecture.md says what each module is for.
LAYERS: tuple[dict[str, str], ...] = (
    {"ground": "types pthreads errors waiting failure exclusive uninterrupted"},
    {
        "bytes": "large_memory keys xxh64 crc32c checksum lz4 bloom separator zstd decimal_text item_codec typed_json",
        "names": "directory",
    },
    {
        "files": "filesystem no_files posix_files memory_content memory_names memory_files short_files faulty_files "
        "simulated_disk simulated_survivors simulated_calls simulated_files"
    },
    {
        "log": "wal_state wal_changes wal_format wal_signals wal_spares wal_segments wal_sync wal_commit wal_opening "
        "wal wal_reader wal_found wal_evidence wal_recovery",
        "tables": "table_format columns block block_builder stored packed zstd_pack zstd_unpack table_writer table "
        "table_load table_openings table_doors cache",
        "memtable": "memtable order",
        "state": "options keyspace_record version_edit version picker manifest files",
    },
    {"core": "core superversions engine commits reads cursors compaction sample replay"},
    {"handles": "keyspace scan", "background": "store births recovery compression dictionaries scheduler"},
    {"face": "database __init__"},
    {
        "doors": "cli command_line data_commands commands demo demo_table loading records byteforms report progress "
        "unicode __main__ dump_parts dump_binary dump_lines restoring serve_command top"
    },
)
RANK = {module: rank for rank, layers in enumerate(LAYERS) for names in layers.values() for module in names.split()}
LAYER = {module: layer for layers in LAYERS for layer, names in layers.items() for module in names.split()}

# What compiled modules may import of the package's Python: exceptions, and the names of files.
PYTHON_FOR_COMPILED = {"errors", "directory"}

# What the front doors may import from below: the public face alone.
FACE_FOR_DOORS = {"__init__", "errors", "dynamodb", "server"}

OUTSIDE = {"tests", "bench", "tools"}
CYTHON_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+(?P<source>lsm(?:\.\w+)*)[ \t]+c?import[ \t]+(?P<names>\([^)]*\)|[^#\n]*)"
    r"|c?import[ \t]+(?P<whole>lsm(?:\.\w+)*))",
    re.MULTILINE,
)


# The DynamoDB layer is a package of its own: what it may import of the engine, and what its parts may of each other.
DYNAMODB = {"lsm", "lsm.errors", "lsm.waiting", "lsm.item_codec", "lsm.decimal_text", "lsm.typed_json", "lsm.dynamodb"}
# The server stands on it.
SERVER = {"lsm", "lsm.errors", "lsm.item_codec", "lsm.dynamodb", "lsm.server"}
PACKAGES = {"lsm.dynamodb", "lsm.dynamodb.expressions", "lsm.dynamodb.requests", "lsm.server"}
DYNAMODB_PARTS = {
    "expressions": {
        "lsm.item_codec",
        "lsm.decimal_text",
        "lsm.dynamodb.errors",
        "lsm.dynamodb.limits",
        "lsm.dynamodb.expressions",
    },
    "requests": {
        "lsm.item_codec",
        "lsm.dynamodb.errors",
        "lsm.dynamodb.limits",
        "lsm.dynamodb.values",
        "lsm.dynamodb.model_data",
        "lsm.dynamodb.expressions",
        "lsm.dynamodb.requests",
    },
}


def python_sources() -> list[Path]:
    return sorted((ROOT / "lsm").glob("*.py"))


def dynamodb_sources() -> list[Path]:
    return sorted((ROOT / "lsm" / "dynamodb").glob("**/*.py"))


def server_sources() -> list[Path]:
    return sorted((ROOT / "lsm" / "server").glob("*.py"))


def cython_sources() -> list[Path]:
    return sorted(
        path for suffix in ("*.pyx", "*.pxd") for path in (ROOT / "ext/lsm").glob(suffix) if path.stat().st_size
    )


def compiled_modules() -> set[str]:
    return {path.stem for path in cython_sources()}


def module_of(name: str) -> str:
    """`block` of `lsm.block`, `__init__` of `lsm`."""
    return name.split(".")[1] if "." in name else "__init__"


def named(source: str, names: list[str]) -> Iterator[str]:
    """The modules of the package that `from source import names` reads."""
    if source == "lsm":
        for name in names:
            yield name if name in RANK else "__init__"
    else:
        yield module_of(source)


def python_imports(path: Path) -> Iterator[str]:
    """Full names for what is not of the package, names without `lsm.` for what is."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            if (node.module or "").split(".")[0] == "lsm":
                yield from named(str(node.module), [alias.name for alias in node.names])
            else:
                yield f"{node.module}."
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "lsm":
                    yield module_of(alias.name)
                else:
                    yield f"{alias.name}."


def cython_imports(path: Path) -> Iterator[str]:
    for found in CYTHON_IMPORT.finditer(path.read_text()):
        if found["whole"]:
            yield module_of(found["whole"])
        else:
            names = re.sub(r"[()\n]", " ", found["names"]).split(",")
            yield from named(found["source"], [name.split()[0] for name in names if name.strip()])


def imports(path: Path) -> set[str]:
    """Modules of the package that a source names, itself left out."""
    found = python_imports(path) if path.suffix == ".py" else cython_imports(path)
    return {name for name in found if not name.endswith(".")} - {path.stem}


def cycle(graph: Mapping[str, set[str]]) -> list[str]:
    """One cycle of the graph, or nothing."""
    done: set[str] = set()

    def visit(name: str, way: list[str]) -> list[str]:
        if name in way:
            return [*way[way.index(name) :], name]
        if name not in done:
            for other in sorted(graph.get(name, ())):
                if found := visit(other, [*way, name]):
                    return found
            done.add(name)
        return []

    return next((found for name in sorted(graph) if (found := visit(name, []))), [])


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_every_module_has_one_place_in_the_table() -> None:
    modules = {path.stem for path in python_sources()} | compiled_modules()
    listed = [module for layers in LAYERS for names in layers.values() for module in names.split()]
    assert sorted(modules) == sorted(listed)


@pytest.mark.parametrize("path", [*python_sources(), *cython_sources()], ids=name_of)
def test_imports_only_go_down(path: Path) -> None:
    module = path.stem
    wrong = {
        other: LAYER.get(other, "nowhere")
        for other in imports(path)
        if (other not in ("dynamodb", "server") or LAYER[module] != "doors")
        and (other not in RANK or (RANK[other] >= RANK[module] and LAYER[other] != LAYER[module]))
    }
    assert wrong == {}, f"{module} is in layer {LAYER[module]}"


@pytest.mark.parametrize("path", cython_sources(), ids=name_of)
def test_compiled_modules_import_no_decisions(path: Path) -> None:
    assert imports(path) - compiled_modules() <= PYTHON_FOR_COMPILED


@pytest.mark.parametrize("path", [path for path in python_sources() if LAYER.get(path.stem) == "doors"], ids=name_of)
def test_front_doors_use_the_public_face_alone(path: Path) -> None:
    assert {other for other in imports(path) if LAYER.get(other) != "doors"} <= FACE_FOR_DOORS


@pytest.mark.parametrize("path", python_sources(), ids=name_of)
def test_nothing_imports_what_stands_around_the_package(path: Path) -> None:
    outside = {name.split(".")[0] for name in python_imports(path) if name.endswith(".")}
    assert outside & (OUTSIDE | {other.stem for other in (ROOT / "tests").glob("*.py")}) == set()


def test_contracts_do_not_need_each_other() -> None:
    assert cycle({path.stem: imports(path) for path in cython_sources() if path.suffix == ".pxd"}) == []


def test_python_modules_do_not_need_each_other() -> None:
    graph = {path.stem: imports_at_run_time(path) for path in python_sources()}
    assert cycle(graph) == []


def imports_at_run_time(path: Path) -> set[str]:
    """Without those under `if TYPE_CHECKING:`."""
    tree = ast.parse(path.read_text(), str(path))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = [ast.Pass()]
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "lsm":
            found |= set(named(str(node.module), [alias.name for alias in node.names]))
    return found - {path.stem}


def test_a_cython_import_is_seen_in_every_spelling(tmp_path: Path) -> None:
    source = tmp_path / "engine.pyx"
    source.write_text(
        "from lsm.types cimport u8\n"
        "from lsm.keys cimport (first8,\n    key_compare)\n"
        "from lsm import errors, directory as names\n"
        "cimport lsm.block\n"
        "def late():\n    from lsm.scan import approximate_bytes\n"
    )
    assert imports(source) == {"types", "keys", "errors", "directory", "block", "scan"}


def test_a_cycle_is_found() -> None:
    assert cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert cycle({"a": {"b", "c"}, "b": {"c"}}) == []


def whole_names(path: Path) -> set[str]:
    """Every module of the package that a source imports, by its full name."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "lsm":
            names.add(str(node.module))
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names if alias.name.split(".")[0] == "lsm"}
    return names


def allowed(name: str, among: set[str]) -> bool:
    """A package stands for its modules, the engine's own for itself alone."""
    return name in among or any(name.startswith(f"{part}.") for part in among if part in PACKAGES)


@pytest.mark.parametrize("path", dynamodb_sources(), ids=name_of)
def test_the_dynamodb_layer_uses_the_public_database_alone(path: Path) -> None:
    assert {name for name in whole_names(path) if not allowed(name, DYNAMODB)} == set()


@pytest.mark.parametrize("path", server_sources(), ids=name_of)
def test_the_server_uses_the_dynamodb_layer_and_the_public_database(path: Path) -> None:
    assert {name for name in whole_names(path) if not allowed(name, SERVER)} == set()


@pytest.mark.parametrize("path", [*dynamodb_sources(), *python_sources()], ids=name_of)
def test_nothing_but_its_command_knows_the_server(path: Path) -> None:
    assert path.stem == "serve_command" or not any(name.startswith("lsm.server") for name in whole_names(path))


@pytest.mark.parametrize("path", dynamodb_sources(), ids=name_of)
def test_expressions_and_requests_know_no_storage(path: Path) -> None:
    part = path.relative_to(ROOT / "lsm" / "dynamodb").parts[0]
    if part in DYNAMODB_PARTS:
        assert {name for name in whole_names(path) if not allowed(name, DYNAMODB_PARTS[part])} == set()
