"""The house's rules for C that a machine can hold: layers, sizes, the window, the binding."""

import importlib
import re
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NATIVE = ROOT / "native"
SOURCE = NATIVE / "src"
BINDING = NATIVE / "ffi"

# ---- C: layers -----------------------------------------------------------------------------------

# A file may include what stands before it: in an earlier line, or earlier in its own line.
C_LAYERS = [
    ["plc_status", "plc_inplace", "plc"],
    ["sync", "layout", "words"],
    ["counters", "status", "hash"],
    ["os_errno", "os_linux", "os_map", "os_file", "os_proc", "os_space", "os_key", "crc32c"],
    ["domain"],
    ["holding"],
    ["seat", "registry", "process", "place", "forks", "part", "lock", "explain"],
    [
        "region",
        "region_parts",
        "geometry",
        "region_make",
        "region_attach",
        "region_grow",
        "region_sync",
        "region_open",
    ],
    ["pages"],
    ["queue", "spare", "names", "entry", "run", "index"],
    ["ghost", "pinned", "worth", "evict", "clean", "sweep", "policy", "hand", "space"],
    ["call"],
    ["gauge", "lease", "told", "find", "store", "read", "verbs", "walk", "flight"],
    ["check", "rebuild"],
    ["cache", "admin", "inplace", "reserve"],
]
C_ORDER = [name for layer in C_LAYERS for name in layer]
# The hot path from Python stands above the whole core, of which it knows the public header only.
FAST_ORDER = [
    "plc", "blake2b", "fast", "fast_port", "fast_general", "fast_value", "fast_read", "fast_set",
    "fast_store", "fast_answer", "fast_many", "fast_cache", "fast_lease", "fast_digest", "fast_key",
    "fast_lookup", "fast_module",
]  # fmt: skip

# Files whose functions run while the region is open to the thread: no libc but mem*, no errno.
IN_WINDOW = [
    "crc32c",
    "pages",
    "queue",
    "spare",
    "names",
    "entry",
    "run",
    "index",
    "ghost",
    "pinned",
    "worth",
    "evict",
    "clean",
    "sweep",
    "policy",
    "hand",
    "space",
    "read",
    "told",
    "store",
    "verbs",
    "walk",
    "gauge",
    "flight",
    "check",
    "cache",
    "admin",
]
HEADERS_IN_WINDOW = {
    "limits.h", "stdalign.h", "stdatomic.h", "stdbool.h", "stddef.h", "stdint.h", "string.h",
}  # fmt: skip
CALLS_IN_WINDOW = {"memcpy", "memmove", "memset", "memcmp", "memchr"}
LANGUAGE = {
    "if", "for", "while", "switch", "return", "sizeof", "_Alignof", "alignof", "offsetof",
    "static_assert", "_Static_assert", "_Atomic", "_Alignas", "alignas", "__attribute__", "defined",
    "typeof", "__typeof__", "UINT64_C", "INT64_C", "UINT32_C", "assert",
}  # fmt: skip

C_FILE_LINES = 400
C_FUNCTION_LINES = 60
C_FUNCTION_MEDIAN = 15
C_COLUMNS = 120


# ---- reading C -----------------------------------------------------------------------------------


def without_comments(text: str) -> str:
    """Blank out comments and the insides of strings; line breaks stay where they are."""

    def blank(match: re.Match[str]) -> str:
        found = match.group()
        if found[0] in "\"'":
            return found[0] * 2
        return " " + "\n" * found.count("\n")

    return re.sub(
        r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', blank, text, flags=re.S
    )


def without_directives(text: str) -> str:
    """Blank out preprocessor lines; line breaks stay where they are."""
    return re.sub(
        r"^[ \t]*#(?:[^\n\\]|\\.|\\\n)*", lambda m: "\n" * m.group().count("\n"), text, flags=re.M
    )


def c_code(path: Path) -> str:
    return without_directives(without_comments(path.read_text(encoding="utf-8")))


def c_files(*patterns: str) -> list[Path]:
    files = sorted(path for pattern in patterns or ("*.c", "*.h") for path in SOURCE.glob(pattern))
    assert files, f"{SOURCE} holds no {patterns or 'C file'}"
    return files


def all_c_files() -> list[Path]:
    """The core's, its public header and those of the binding."""
    binding = sorted(path for path in BINDING.glob("*.[ch]"))
    assert binding, f"{BINDING} holds no C file"
    return [*c_files(), *sorted((NATIVE / "include").glob("*.h")), *binding]


def functions(code: str) -> Iterator[tuple[str, int]]:
    """Yield name and number of lines of each function defined in code without comments."""
    depth, statement, opened = 0, 0, None
    for at, char in enumerate(code):
        if char == "{":
            head = code[statement:at]
            if depth == 0 and re.search(r"\)\s*$", head) and "=" not in head:
                name = re.search(r"(\w+)\s*\(", re.sub(r"__attribute__\s*\(\(.*?\)\)", "", head))
                opened = (
                    name.group(1) if name else "?",
                    statement + len(head) - len(head.lstrip()),
                )
            depth += 1
        elif char == "}":
            depth -= 1
            if depth == 0:
                if opened:
                    yield opened[0], code.count("\n", opened[1], at) + 1
                opened, statement = None, at + 1
        elif char == ";" and depth == 0:
            statement = at + 1


def own_names() -> set[str]:
    """Every function and macro that the core itself defines or declares."""
    names: set[str] = set()
    for path in [*c_files(), *(NATIVE / "include").glob("*.h")]:
        text = without_comments(path.read_text(encoding="utf-8"))
        names.update(re.findall(r"^[ \t]*#[ \t]*define[ \t]+(\w+)\(", text, flags=re.M))
        outside = re.sub(r"\{[^{}]*\}", "", without_directives(text))
        while (shorter := re.sub(r"\{[^{}]*\}", "", outside)) != outside:
            outside = shorter
        names.update(re.findall(r"[\w*]\s+\**(\w+)\s*\(", outside))
    return names


def test_the_readers_of_c_see_what_is_there() -> None:
    """The small C reader of these tests finds functions, and only functions."""
    code = without_comments(
        "struct a { int b; };\n"
        'static int\nf(int x) { /* { */\n    if (x) {\n        g("}");\n    }\n}\n'
        'int t[] = { 1, 2 };\nstatic_assert(1, "x");\nvoid h(void) {\n}\n'
    )
    assert list(functions(code)) == [("f", 6), ("h", 2)]


def test_c_files_have_their_place() -> None:
    """Each file of the core is in the table of layers."""
    unknown = {path.stem for path in c_files()} - set(C_ORDER)
    assert not unknown, f"not in C_LAYERS of {Path(__file__).name}: {sorted(unknown)}"


def test_c_includes_point_downwards() -> None:
    """A file of the core includes only what stands before it in the order of layers."""
    wrong = []
    for path in c_files():
        text = without_comments(path.read_text(encoding="utf-8").replace('"', "|"))
        for included in re.findall(r"^\s*#\s*include\s*\|([^|]+)\|", text, flags=re.M):
            below, name = Path(included).stem, path.stem
            if below not in C_ORDER or name not in C_ORDER:
                wrong.append(f"{path.name}: {included} has no place in the order")
            elif not (
                C_ORDER.index(below) < C_ORDER.index(name)
                or (below == name and path.suffix == ".c")
            ):
                wrong.append(f"{path.name} must not include {included}, which stands above it")
    assert not wrong, "\n".join(wrong)


def test_fast_path_knows_the_public_header_only() -> None:
    """A file of the hot path includes plc.h and what stands before it, nothing of the core."""
    wrong = []
    for path in sorted(BINDING.glob("*.[ch]")):
        text = without_comments(path.read_text(encoding="utf-8").replace('"', "|"))
        order = FAST_ORDER[: FAST_ORDER.index(path.stem) + 1] if path.name != "nogil.c" else []
        for included in re.findall(r"^\s*#\s*include\s*\|([^|]+)\|", text, flags=re.M):
            if Path(included).stem not in order:
                wrong.append(f"{path.name} must not include {included}")
    assert not wrong, "\n".join(wrong)


def test_c_core_knows_nothing_of_python() -> None:
    """The core can be used without Python."""
    guilty = [path.name for path in c_files() if re.search(r"\bPy\w+|Python\.h", c_code(path))]
    assert not guilty


def test_c_files_are_short() -> None:
    """No C file has more than 400 lines, or lines of more than 120 columns."""
    wrong = []
    for path in all_c_files():
        lines = path.read_text(encoding="utf-8").splitlines()
        if len(lines) > C_FILE_LINES:
            wrong.append(f"{path.name} has {len(lines)} lines")
        wrong += [
            f"{path.name}:{n} is too wide"
            for n, line in enumerate(lines, 1)
            if len(line) > C_COLUMNS
        ]
    assert not wrong, "\n".join(wrong)


def test_c_functions_are_short() -> None:
    """No function in C has more than 60 lines; half of them have at most 15."""
    found = [
        (path.name, name, lines)
        for path in all_c_files()
        for name, lines in functions(c_code(path))
    ]
    assert found, "no function found"
    long = [
        f"{file}: {name} has {lines} lines"
        for file, name, lines in found
        if lines > C_FUNCTION_LINES
    ]
    assert not long, "\n".join(long)
    assert statistics.median(lines for *_, lines in found) <= C_FUNCTION_MEDIAN


@pytest.mark.parametrize("name", IN_WINDOW)
def test_c_window_calls_no_libc(name: str) -> None:
    """What may run in the window calls the core's own functions and mem*, nothing else."""
    path = SOURCE / f"{name}.c"
    assert path.exists(), f"{path} does not exist (yet)"
    code = c_code(path)
    text = without_comments(path.read_text(encoding="utf-8"))
    local = set(re.findall(r"\(\s*\*\s*(\w+)\s*\)\s*\(", code))
    called = set(re.findall(r"(?<![\w.>])([A-Za-z_]\w*)\s*\((?!\s*\*\s*\w+\s*\)\s*\()", code))
    foreign = called - own_names() - local - LANGUAGE - CALLS_IN_WINDOW
    foreign = {
        word for word in foreign if not re.fullmatch(r"__builtin_\w+|atomic_\w+_explicit", word)
    }
    assert not foreign, f"{path.name} calls {sorted(foreign)}"
    assert not re.findall(r"\b(errno|__thread|_Thread_local|thread_local)\b", code)
    headers = set(re.findall(r"^\s*#\s*include\s*<([^>]+)>", text, flags=re.M))
    assert headers <= HEADERS_IN_WINDOW, (
        f"{path.name} includes {sorted(headers - HEADERS_IN_WINDOW)}"
    )


# ---- the binding ---------------------------------------------------------------------------------


def declarations(path: Path) -> dict[str, str]:
    """Return name -> normalised declaration of each function that a header or cdef declares."""
    assert path.exists(), f"{path} does not exist (yet)"
    code = c_code(path)
    code = re.sub(
        r'extern\s*""\s*\{|\bPLC_API\w*\b|\bextern\b|__attribute__\s*\(\(.*?\)\)', " ", code
    )
    while (outside := re.sub(r"\{[^{}]*\}", " ", code)) != code:
        code = outside
    found = {}
    for statement in code.split(";"):
        plain = re.sub(r"\s*([*(),\[\]])\s*", r"\1", " ".join(statement.split()))
        match = re.fullmatch(r"(?!typedef)(?:[\w*]+[ *])*?(\w+)\(.*\)", plain)
        if match:
            found[match.group(1)] = plain
    return found


def sized(declaration: str) -> str:
    """Spell array parameters the way a C compiler sees them."""
    return re.sub(r"\bPLC_TAGS_MAX\b", "4", declaration)


def test_cdef_is_the_header() -> None:
    """Python may call every function of plc.h, declared as there, and _nogil wrappers besides."""
    header: dict[str, str] = {}
    for path in sorted((NATIVE / "include").glob("*.h")):
        header |= declarations(path)
    cdef = declarations(NATIVE / "ffi" / "plc.cdef")
    assert header, "no function found in plc.h"
    wrappers = {name for name in cdef if name.endswith("_nogil")}
    assert set(cdef) - wrappers == set(header)
    different = [
        f"plc.h:    {header[name]}\nplc.cdef: {cdef[name]}"
        for name in header
        if sized(header[name]) != sized(cdef[name])
    ]
    assert not different, "\n".join(different)
    for name in wrappers & {f"{name}_nogil" for name in header}:
        plain = header[name.removesuffix("_nogil")]
        assert cdef[name].replace("_nogil(", "(") == plain


def test_calls_keep_the_gil() -> None:
    """A plain call of the core keeps the GIL; only what ends in _nogil gives it up."""
    native = importlib.import_module("plib_cache._native")
    assert native.lib.gil_is_held() == 1
    assert native.lib.gil_is_held_nogil() == 0


def test_every_source_names_its_licence() -> None:
    """C files open with one SPDX line."""
    without = [
        path.name
        for path in all_c_files()
        if "SPDX-License-Identifier: BSD-3-Clause" not in path.read_text(encoding="utf-8")[:100]
    ]
    assert not without
