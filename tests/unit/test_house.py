"""The rules of the house that a machine can hold: layers, sizes, names, completeness."""

import ast
import graphlib
import importlib
import re
import statistics
import subprocess
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NATIVE = ROOT / "native"
SOURCE = NATIVE / "src"
BINDING = NATIVE / "ffi"
PACKAGE = ROOT / "plib_cache"
INTEGRATIONS = ROOT / "integrations"
BENCHMARKS = ROOT / "benchmarks"

# ---- C: layers -----------------------------------------------------------------------------------

# A file may include what stands before it: in an earlier line, or earlier in its own line.
C_LAYERS = [
    ["plc"],
    ["sync", "layout", "words"],
    ["counters", "status", "hash"],
    ["os_errno", "os_linux", "os_file", "os_proc", "os_space", "crc32c"],
    ["domain"],
    ["seat", "registry", "process", "lock"],
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
    ["ghost", "evict", "clean", "sweep", "policy", "hand", "space"],
    ["call"],
    ["find", "store", "read", "verbs", "walk", "lease", "flight"],
    ["check", "rebuild"],
    ["cache", "admin"],
]
C_ORDER = [name for layer in C_LAYERS for name in layer]
# The hot path from Python stands above the whole core, of which it knows the public header only.
FAST_ORDER = [
    "plc", "blake2b", "fast", "fast_port", "fast_general", "fast_value", "fast_read", "fast_set",
    "fast_many", "fast_cache", "fast_key", "fast_lookup", "fast_module",
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
    "evict",
    "clean",
    "sweep",
    "policy",
    "hand",
    "space",
    "read",
    "store",
    "verbs",
    "walk",
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

# ---- Python: layers ------------------------------------------------------------------------------

# A module may use, directly or through others, what stands in an earlier line, or earlier in its
# own.  Modules with an underscore that are not named here are parts of those that use them.
PYTHON_LAYERS = [
    ["exceptions", "_native"],
    ["stats", "_core"],
    ["serialize", "keys"],
    ["config"],
    ["cache"],
    ["decorator", "tiers", "remote"],
    ["__init__"],
    ["testing", "integrations", "cli", "__main__"],
]
PYTHON_ORDER = [name for layer in PYTHON_LAYERS for name in layer]
PYTHON_LINES = 300

# What is promised; `__all__` may hold more.
PUBLIC = {
    "Cache", "Info", "Stats", "cache", "configure", "get_cache",
    "BusyError", "ClosedError", "ConfigurationError", "CorruptRegionError", "LayoutMismatchError",
    "PlibCacheError", "ProtectionUnavailableError", "RegionFullError", "RemoteError",
    "SerializationError", "ValueTooLargeError",
}  # fmt: skip


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
    return [*c_files(), NATIVE / "include" / "plc.h", *binding]


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
    for path in [*c_files(), NATIVE / "include" / "plc.h"]:
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
    header = declarations(NATIVE / "include" / "plc.h")
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


# ---- Python --------------------------------------------------------------------------------------


def python_files() -> list[Path]:
    files = sorted(path for path in PACKAGE.rglob("*.py") if "integrations" not in path.parts)
    assert files, "plib_cache holds no module"
    return files


def concept(module: str) -> str:
    """Return the first name inside the package: plib_cache.cli.demo -> cli."""
    return module.removeprefix("plib_cache").removeprefix(".").partition(".")[0] or "__init__"


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def for_type_checkers(tree: ast.AST) -> set[int]:
    """Return the identities of all nodes under `if TYPE_CHECKING`."""
    return {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }


def imports(path: Path) -> Iterator[str]:
    """Yield the plib_cache modules that a file imports anywhere, not for type checkers only."""
    package = module_of(path).split(".")[:-1]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = for_type_checkers(tree)
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("plib_cache"))
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names if origin == "plib_cache" else []:
                inside = [PACKAGE / f"{alias.name}.py", PACKAGE / alias.name]
                is_module = alias.name.startswith("_") or any(path.exists() for path in inside)
                yield f"{origin}.{alias.name}" if is_module else origin
            if origin.startswith("plib_cache."):
                yield origin


def import_graph() -> dict[str, set[str]]:
    """Return concept -> concepts that it imports."""
    graph: dict[str, set[str]] = {}
    for path in python_files():
        name = concept(module_of(path))
        graph.setdefault(name, set()).update(map(concept, imports(path)))
        graph[name].discard(name)
    return graph


def test_python_modules_have_their_place() -> None:
    """Each module of the package that has no underscore is in the table of layers."""
    unknown = {name for name in import_graph() if not name.startswith("_")} - set(PYTHON_ORDER)
    assert not unknown, f"not in PYTHON_LAYERS of {Path(__file__).name}: {sorted(unknown)}"


def test_python_imports_point_downwards() -> None:
    """A module uses only what stands before it in the order, and there are no circles."""
    graph = import_graph()
    reached: dict[str, set[str]] = {}
    for name in graphlib.TopologicalSorter(graph).static_order():  # raises CycleError
        below = graph.get(name, set())
        reached[name] = below.union(*(reached[other] for other in below))
    wrong = [
        f"{name} must not use {other}, which stands above it"
        for name in PYTHON_ORDER
        for other in sorted(reached.get(name, set()) & set(PYTHON_ORDER))
        if PYTHON_ORDER.index(other) >= PYTHON_ORDER.index(name)
    ]
    assert not wrong, "\n".join(wrong)


def test_only_core_uses_the_binding() -> None:
    """_core turns statuses into exceptions; nobody else touches _native or _fast."""
    guilty = [
        path.name
        for path in python_files()
        if concept(module_of(path)) != "_core"
        and {"plib_cache._native", "plib_cache._fast"} & set(imports(path))
    ]
    assert not guilty


def test_integrations_use_public_names_only() -> None:
    """An integration is written against the public surface, as a user's code would be."""
    public = set(importlib.import_module("plib_cache").__all__)
    wrong = []
    for path in sorted(INTEGRATIONS.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "plib_cache":
                wrong += [
                    f"{path.name}: {alias.name}"
                    for alias in node.names
                    if alias.name not in public and not (PACKAGE / f"{alias.name}.py").exists()
                ]
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("plib_cache._"):
                wrong.append(f"{path.name}: {node.module}")
            if isinstance(node, ast.Import):
                wrong += [
                    f"{path.name}: {alias.name}"
                    for alias in node.names
                    if alias.name.startswith("plib_cache._")
                ]
    assert not wrong, "\n".join(wrong)


def test_python_modules_are_short() -> None:
    """No module has more than 300 lines."""
    files = [*python_files(), *sorted(INTEGRATIONS.rglob("*.py")), *sorted(BENCHMARKS.glob("*.py"))]
    counted = {
        path.relative_to(ROOT): len(path.read_text(encoding="utf-8").splitlines()) for path in files
    }
    assert not {str(path): lines for path, lines in counted.items() if lines > PYTHON_LINES}


def test_all_is_the_public_surface() -> None:
    """`__all__` names every public name of the package, and only those."""
    package = importlib.import_module("plib_cache")
    seen = {
        name
        for name, value in vars(package).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    listed = [name for name in package.__all__ if not name.startswith("_")]
    assert len(listed) == len(set(listed))
    assert set(listed) == seen
    assert set(listed) >= PUBLIC, f"promised, but not public: {sorted(PUBLIC - set(listed))}"


def test_version_has_one_source() -> None:
    """The installed distribution has the package's own version."""
    metadata = importlib.import_module("importlib.metadata")
    assert importlib.import_module("plib_cache").__version__ == metadata.version("plib-cache")


# ---- the tree ------------------------------------------------------------------------------------


def tree() -> list[Path]:
    """Every file that git knows or would take; in a copy without git, every text file."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode == 0:
        names = listed.stdout.decode().split("\0")
        return [ROOT / name for name in names if name and (ROOT / name).is_file()]
    made = {".venv", "build", "dist", "__pycache__"}
    return [path for path in ROOT.rglob("*") if path.is_file() and not made & set(path.parts)]


def test_integrations_are_linked_in() -> None:
    """plib_cache/integrations is integrations/, which type checkers and wheels both follow."""
    link = PACKAGE / "integrations"
    assert link.is_symlink()
    assert link.readlink() == Path("../integrations")
    assert (link / "__init__.py").is_file()


def test_notes_to_oneself_have_an_issue() -> None:
    """What is left to do is an issue, which a note in the code names: TO-DO(#12), no dash."""
    words = "|".join(["TO" + "DO", "FIX" + "ME", "X" * 3])
    note = re.compile(rf"\b(?:{words})\b(?!\(#\d+\))")
    found = []
    for path in tree():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        found += [
            f"{path.relative_to(ROOT)}:{n}" for n, line in enumerate(lines, 1) if note.search(line)
        ]
    assert not found, "\n".join(found)


def test_every_source_names_its_licence() -> None:
    """C files open with one SPDX line."""
    without = [
        path.name
        for path in all_c_files()
        if "SPDX-License-Identifier: BSD-3-Clause" not in path.read_text(encoding="utf-8")[:100]
    ]
    assert not without


def test_readme_shows_code() -> None:
    """The README has Python to copy, and the two commands."""
    readme = ROOT / "README.md"
    assert readme.exists(), "README.md does not exist (yet)"
    text = readme.read_text(encoding="utf-8")
    assert re.search(r"^```python\n.+?^```$", text, flags=re.M | re.S)
    assert "make demo" in text
    assert "make test" in text


@pytest.mark.parametrize(
    "name",
    ["CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "SECURITY.md", "native/README.md", ".ci/run"],
)
def test_papers_are_there(name: str) -> None:
    """What a newcomer looks for exists and is not empty."""
    assert (ROOT / name).is_file()
    assert (ROOT / name).read_text(encoding="utf-8").strip()
