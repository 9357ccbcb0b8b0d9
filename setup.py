"""Builds the compiled core: every ext/lsm/*.pyx becomes module lsm.*.

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

setup(
    options={"build_ext": {"parallel": THREADS}},
    ext_modules=cythonize(
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
