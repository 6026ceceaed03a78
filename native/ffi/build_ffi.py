# SPDX-License-Identifier: BSD-3-Clause
"""Builds plib_cache._native: the C core and its cffi binding (API mode), in one shared object.

In the same shared object is plib_cache._fast (`fast.h`): two objects would have two copies of the
core's state.  It is CPython's whole API (METH_FASTCALL), so it is no part of what cffi generates.

`setup.py` names `ffibuilder`.  `plc.cdef` beside this file declares what Python may call: every
function of plc.h as it stands there, then the functions of `nogil.c`, whose names end in `_nogil`.

A cffi call gives the GIL up by default, which makes short calls several times slower when threads
share a cache.  Here it is kept: cffi brackets each call with Py_BEGIN_ALLOW_THREADS and
Py_END_ALLOW_THREADS, which are redefined before the generated code begins.  What waits or copies
much is called by its `_nogil` wrapper instead, which gives the GIL up itself.  `keeps_gil` makes a
build fail if cffi ever does without those two macros.

Paths are relative to the project's root, where setup.py runs: a source distribution demands it.
"""

import contextlib
import io
import re
from pathlib import Path

import cffi

MODULE = "plib_cache._native"
NATIVE = Path("native")
PASTED = "nogil.c"  # into cffi's module
# The core's files are short and call each other: optimised together at linking, a read takes a
# fifth less time, a write a sixth.
FLAGS = ["-std=gnu11", "-O3", "-g", "-flto=auto", "-fvisibility=hidden", "-pthread"]
WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow"]

# `gil_is_held` is for the tests; it is no part of the core.
OWN_CDEF = """
int gil_is_held(void);
int gil_is_held_nogil(void);
"""

PREAMBLE = r"""
#include <Python.h>
#include "plc.h"

/* The cffi wrappers below keep the GIL. */
#undef Py_BEGIN_ALLOW_THREADS
#undef Py_END_ALLOW_THREADS
#define Py_BEGIN_ALLOW_THREADS {
#define Py_END_ALLOW_THREADS }

/* Gives the GIL up for one statement, which touches no Python object. */
#define WITHOUT_GIL(statement)                             \
    do {                                                   \
        PyThreadState *without_gil = PyEval_SaveThread();  \
        statement;                                         \
        PyEval_RestoreThread(without_gil);                 \
    } while (0)

static int gil_is_held(void) {
    return PyGILState_Check();
}

static int gil_is_held_nogil(void) {
    int held;
    WITHOUT_GIL(held = PyGILState_Check());
    return held;
}

"""

# What follows the preamble is cffi's, not ours to warn about.
AFTERWORD = """
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"
"""


def read(path: Path) -> str:
    """Return the text of a file that the build cannot do without."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SystemExit(
            f"{path} is missing: the binding cannot be built without it. "
            "Run the build in the project's root folder, in a complete checkout."
        ) from None


def c_sources() -> list[str]:
    """Return the C files of the core and of plib_cache._fast, in a stable order."""
    found = sorted(str(path) for path in (NATIVE / "src").glob("*.c"))
    if not found:
        raise SystemExit(f"{NATIVE / 'src'} holds no C file: there is no core to build.")
    fast = sorted(path for path in (NATIVE / "ffi").glob("*.c") if path.name != PASTED)
    if not fast:
        raise SystemExit(
            f"{NATIVE / 'ffi'} holds no C file: there is no plib_cache._fast to build."
        )
    return found + [str(path) for path in fast]


def watched_files() -> list[str]:
    """Return the files besides the C sources whose change makes a rebuild due."""
    headers = sorted(str(path) for path in NATIVE.glob("*/*.h"))
    parts = ("plc.cdef", PASTED, "build_ffi.py")
    return headers + [str(NATIVE / "ffi" / name) for name in parts]


def keeps_gil(ffi: cffi.FFI) -> None:
    """Raise unless each generated wrapper calls the core between the two macros, and only there."""
    emitted = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()):  # it would say where it writes
        ffi.emit_c_code(emitted)
    generated = emitted.getvalue().partition(AFTERWORD)[2]
    wrappers = re.split(r"^static PyObject \*\s*_cffi_f_(?=\w+\()", generated, flags=re.M)[1:]
    declared = len(re.findall(r"\b_cffi_d_\w+\s*\(", generated))
    bracketed = re.compile(
        r"^  Py_BEGIN_ALLOW_THREADS\n.*?\b(\w+)\([^\n]*\);.*?^  Py_END_ALLOW_THREADS\n", re.M | re.S
    )
    sound = bool(wrappers) and len(wrappers) == declared
    for wrapper in wrappers:
        body = wrapper.partition("\n}\n")[0]
        sound = sound and len(bracketed.findall(body)) == 1
    if not sound or "PyEval_SaveThread" in generated:
        raise SystemExit(
            f"cffi {cffi.__version__} no longer brackets its calls with Py_BEGIN_ALLOW_THREADS and "
            "Py_END_ALLOW_THREADS as this build expects, so the GIL would not be kept. "
            "Build with an earlier cffi (2.1.1 is known to work) and report this."
        )


def make_builder() -> cffi.FFI:
    """Describe the extension module to cffi."""
    nogil = NATIVE / "ffi" / PASTED
    builder = cffi.FFI()
    builder.cdef(read(NATIVE / "ffi" / "plc.cdef") + OWN_CDEF)
    builder.set_source(
        MODULE,
        f'{PREAMBLE}#line 1 "{nogil}"\n{read(nogil)}\n{AFTERWORD}',
        sources=c_sources(),
        depends=watched_files(),
        include_dirs=[str(NATIVE / "include"), str(NATIVE / "src")],
        extra_compile_args=FLAGS + WARNINGS,
        extra_link_args=[*FLAGS, "-Wl,-z,now"],  # the linker resolves nothing in an open window
        py_limited_api=False,
    )
    keeps_gil(builder)
    return builder


ffibuilder = make_builder()
