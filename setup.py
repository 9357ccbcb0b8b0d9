"""Builds the compiled core: every ext/lsm/*.pyx becomes module lsm.*; and the Python modules that every request passes.

The latter (COMPILED) are Python as they stand, and run as Python where they were not built: after a change to one of
them build again, or remove its .so, which Python prefers.

Switches, as environment variables: LSM_ANNOTATE=1 writes cython's HTML beside the C in build/cython,
LSM_DEBUG=1 builds with -O1 -g, LSM_SANITIZE=address,undefined adds -fsanitize, LSM_ONLY="lsm.lz4 ..." builds these
modules alone, LSM_BUILD_THREADS=2 builds on two processors instead of all.
"""

import os
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

ROOT = Path(__file__).parent
DEBUG = os.environ.get("LSM_DEBUG") == "1"
SANITIZE = os.environ.get("LSM_SANITIZE", "")
THREADS = int(os.environ.get("LSM_BUILD_THREADS", os.cpu_count() or 1))
ONLY = os.environ.get("LSM_ONLY", "").split()

compile_args = ["-O1", "-g"] if DEBUG else ["-O3", "-g0"]
compile_args += ["-std=c11", "-D_GNU_SOURCE", "-fno-strict-aliasing", "-Wall", "-Wno-unused-function"]
link_args = ["-pthread"]
if SANITIZE:
    compile_args += [f"-fsanitize={SANITIZE}", "-fno-omit-frame-pointer", "-g"]
    link_args += [f"-fsanitize={SANITIZE}"]

SERVER = "protocol requests answers dispatch lookout metrics outbox authentication"
DYNAMODB = "service wire keys writes locks capacity"
OPERATIONS = "items pages batches transactions"
REQUESTS = "items common pages batches transactions"
EXPRESSIONS = "checked conditions updates key_conditions values projections"
COMPILED = {
    "lsm/server": SERVER,
    "lsm/dynamodb": DYNAMODB,
    "lsm/dynamodb/operations": OPERATIONS,
    "lsm/dynamodb/requests": REQUESTS,
    "lsm/dynamodb/expressions": EXPRESSIONS,
}

os.chdir(ROOT)
sources = sorted(Path("ext/lsm").glob("*.pyx"))
extensions = [
    Extension(
        f"lsm.{source.stem}",
        [str(source)],
        include_dirs=["ext/lsm"],
        depends=[str(p) for p in sorted(Path("ext/lsm").glob("*.h"))],
        extra_compile_args=compile_args,
        extra_link_args=link_args,
    )
    for source in sources
    if not ONLY or f"lsm.{source.stem}" in ONLY
]

modules = [
    Extension(
        f"{folder}/{name}".replace("/", "."),
        [f"{folder}/{name}.py"],
        # gcc takes Cython's shortcuts for numbers to be meant for None, where None is known to be
        extra_compile_args=[*("-O2" if flag == "-O3" else flag for flag in compile_args), "-Wno-array-bounds"],
        extra_link_args=link_args,
    )
    for folder, names in COMPILED.items()
    for name in names.split()
    if not ONLY or f"{folder}/{name}".replace("/", ".") in ONLY
]


def python_modules() -> list[Extension]:
    """C of the Python modules: as Python means it, with types where a .pxd beside the module has them."""
    typed = {"language_level": 3, "binding": True}
    found = []
    for annotated in (True, False):
        some = [one for one in modules if one.name.startswith("lsm.server.") == annotated]
        found += cythonize(
            some,
            include_path=["."],
            build_dir="build/cython",
            nthreads=THREADS if sys.platform == "linux" else 0,
            compiler_directives={**typed, "annotation_typing": annotated},
        )
    return found


setup(
    options={"build_ext": {"parallel": THREADS}},
    ext_modules=python_modules()
    + cythonize(
        extensions,
        include_path=["ext"],
        build_dir="build/cython",
        annotate=os.environ.get("LSM_ANNOTATE") == "1",
        # cython starts processes that import this file anew, which only a fork makes cheap and safe
        nthreads=THREADS if sys.platform == "linux" else 0,
        compiler_directives={
            "language_level": 3,
            "boundscheck": False,
            "wraparound": False,
            "cdivision": True,
            "initializedcheck": False,
            "nonecheck": False,
            "embedsignature": False,
        },
    ),
)
