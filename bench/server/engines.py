"""The servers that are measured: how each is started, and where it comes from when it is not here."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ENGINES", "Engine", "MissingEngineError"]

ROOT = Path(__file__).resolve().parent.parent.parent
# An installed lsm goes before the source tree, which has no compiled core unless it was built in place.
LSM = "import sys; sys.path.append(sys.argv.pop(1)); from lsm.cli import main; sys.exit(main())"
LOCAL_CLASS = "software.amazon.dynamodb.services.local.main.ServerRunner"


class MissingEngineError(Exception):
    """A server that cannot be measured here; the message says what is missing and how to install it."""


@dataclass(frozen=True)
class Engine:
    """command: starts the server on a port, its data in a directory; raises MissingEngineError.

    survives: what its acknowledged writes survive.
    """

    title: str
    survives: str
    command: Callable[[int, Path], list[str]]


def _lsm(*options: str) -> Callable[[int, Path], list[str]]:
    def command(port: int, directory: Path) -> list[str]:
        python = [sys.executable, "-P", "-c", LSM, str(ROOT), "serve"]
        probe = subprocess.run([*python, "--help"], capture_output=True, text=True, check=False)
        if probe.returncode:
            why = probe.stderr.strip().rpartition("\n")[2]
            raise MissingEngineError(f"`lsm serve` does not start ({why}); pip install -e '.[serve]'")
        where = [] if "--in-memory" in options else [str(directory / "database")]
        return [*python, *where, "--port", str(port), *options]

    return command


def _dynoxide(*files: str) -> Callable[[int, Path], list[str]]:
    def command(port: int, directory: Path) -> list[str]:
        program = _program("DYNOXIDE", "dynoxide", "cargo install dynoxide-rs")
        database = [word for file in files for word in ("--db-path", str(directory / file))]
        return [program, "--port", str(port), "--log", "quiet", *database]

    return command


def _dynamodb_local(port: int, directory: Path) -> list[str]:
    java = _program("JAVA", "java", "apt install default-jre-headless")
    home = os.environ.get("DYNAMODB_LOCAL_DIR")
    jars = list(Path(home).rglob("DynamoDBLocal*.jar")) if home else []
    if not jars:
        raise MissingEngineError(
            "DYNAMODB_LOCAL_DIR names no directory with DynamoDBLocal.jar; see bench/README.md for fetching it"
        )
    libraries = {file.parent for file in Path(str(home)).rglob("*sqlite4java*")} | {jars[0].parent}
    classes = os.pathsep.join(f"{library}/*" for library in sorted(libraries))
    natives = os.pathsep.join(str(library) for library in sorted(libraries))
    options = ["-port", str(port), "-inMemory", "-disableTelemetry"]
    return [java, f"-Djava.library.path={natives}", "-cp", classes, LOCAL_CLASS, *options]


def _dynalite(port: int, directory: Path) -> list[str]:
    program = _program("DYNALITE", "dynalite", "npm install --global dynalite")
    return [program, "--host", "127.0.0.1", "--port", str(port), "--createTableMs", "0"]


def _moto(port: int, directory: Path) -> list[str]:
    if importlib.util.find_spec("moto") is None or importlib.util.find_spec("flask") is None:
        raise MissingEngineError("moto's server is not installed; pip install 'moto[server,dynamodb]'")
    return [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)]


def _program(variable: str, name: str, install: str) -> str:
    wanted = os.environ.get(variable, name)
    found = shutil.which(wanted)
    if found is None:
        raise MissingEngineError(f"no {wanted} on PATH ({variable} may name it); {install}")
    return str(Path(found).absolute())


ENGINES = {
    "lsm-process": Engine("lsm", "a killed process", _lsm("--durability", "process")),
    "lsm-power": Engine("lsm, fsync", "power failure", _lsm("--durability", "power")),
    "lsm-memory": Engine("lsm, memory", "nothing", _lsm("--in-memory")),
    "dynoxide-memory": Engine("Dynoxide, memory", "nothing", _dynoxide()),
    "dynoxide-disk": Engine("Dynoxide, disk", "power failure", _dynoxide("dynoxide.db")),
    "dynamodb-local": Engine("DynamoDB Local, memory", "nothing", _dynamodb_local),
    "dynalite": Engine("dynalite, memory", "nothing", _dynalite),
    "moto": Engine("moto server, memory", "nothing", _moto),
}
"""By the name that `--engines` takes."""
