"""The house's rules for Python that a machine can hold: layers, sizes, names; and for papers."""

import ast
import graphlib
import importlib
import re
import subprocess
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "plib_cache"
INTEGRATIONS = ROOT / "integrations"
BENCHMARKS = ROOT / "benchmarks"


# ---- Python: layers ------------------------------------------------------------------------------

# A module may use, directly or through others, what stands in an earlier line, or earlier in its
# own.  Modules with an underscore that are not named here are parts of those that use them.
PYTHON_LAYERS = [
    ["exceptions", "signatures", "_native"],
    ["stats", "_core"],
    ["serialize", "keys"],
    ["config"],
    ["cache"],
    ["tiers", "remote", "decorator", "serve"],
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
        for name in dir(package)
        if not name.startswith("_") and not isinstance(getattr(package, name), types.ModuleType)
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
