"""Every message of an exception that a user can see says what to do.

Messages are found in the code (``raise X("...")`` and whatever else makes an exception), so a new
one is held to it too.  What to do is a word that tells somebody to do something, after what
happened.
"""

import ast
import inspect
import pickle
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from plib_cache import Cache, ConfigurationError, cache, configure
from plib_cache._core import failures
from plib_cache.integrations import dask, diskcache, joblib
from plib_cache.remote.cache import RemoteCache
from plib_cache.testing import temporary_cache

ROOT = Path(__file__).parents[2]
FOLDERS = ("plib_cache", "integrations")
TOLD_TO = re.compile(
    r"(?<!be )\b(ask|call|check|choose|chmod|clear|convert|copy|decorate|derive|end|free|give|hold"
    r"|install|keep|leave|let|make|open|pass|pip install|put|raise|read|register|remove|report"
    r"|reserve|return|run|say|see|seal|send|set|start|store|take|try|unregister|upgrade|use|wait|write)\b(?!=)"
)
# Exceptions that no user sees: another layer catches them, or a protocol has their text.
INSIDE = {
    "AssertionError", "BadFlagError", "UnstableValueError", "_DefinedInMainError",
    "MarkedValueError", "HandOverError", "LookupError", "ConnectionError", "TimeoutError",
}  # fmt: skip
# A mapping's KeyError is its key, and an OSError's text goes into another message.
BARE = {"KeyError", "OSError"}
# Messages that are put into another one, which says what to do, or that others have written.
WITHIN = {
    ("plib_cache/remote/memcached.py", "ValueError"),
    ("plib_cache/remote/redis.py", "ValueError"),
    ("plib_cache/remote/options.py", "ValueError"),
    ("plib_cache/serve/numbers.py", "ValueError"),
    ("plib_cache/serve/tls.py", "ValueError"),
    ("plib_cache/serve/listeners.py", "PlibCacheError"),
    ("plib_cache/cli/serving.py", "ConfigurationError"),
    ("plib_cache/cli/kinds.py", "SerializationError"),
    ("plib_cache/cli/diskcache_rows.py", "DamagedRowError"),
    ("plib_cache/cli/diskcache_rows.py", "ValueError"),
    ("plib_cache/cli/diskcache_targets.py", "NeedsCodeError"),
    ("plib_cache/cli/diskcache_targets.py", "UnfitKeyError"),
    ("integrations/diskcache/_keys.py", "ValueError"),
    ("integrations/diskcache/_base.py", "AttributeError"),  # as every class says it
    ("plib_cache/__init__.py", "AttributeError"),  # as every module says it
    ("plib_cache/_plain.py", "AttributeError"),
    ("integrations/dask/_memory.py", "RuntimeError"),
    ("integrations/django.py", "UnpicklableError"),
    ("integrations/django.py", "ValueError"),  # as Django says it
    ("integrations/pymemcache.py", "MemcacheClientError"),  # as memcached says it
    ("integrations/pymemcache.py", "MemcacheIllegalInputError"),  # as pymemcache says it
    ("integrations/pymemcache.py", "MemcacheServerError"),
    ("integrations/joblib/_backend.py", "ValueError"),  # as joblib says it
    ("integrations/joblib/_memory.py", "ValueError"),
    ("integrations/joblib/_functions.py", "FileNotFoundError"),
}


class Message(NamedTuple):
    """Where it is, what raises it, and how it reads; what is put into it stands in braces."""

    file: str
    line: int
    kind: str
    text: str


def text_of(node: ast.expr) -> str:
    """A string as it stands in the code."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        parts = (text_of(v) if isinstance(v, ast.Constant) else "{}" for v in node.values)
        return "".join(parts)
    if isinstance(node, ast.BinOp):
        return text_of(node.left) + text_of(node.right)
    return "{}"


def name_of(node: ast.expr) -> str:
    """What is called."""
    return node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")


def messages() -> Iterator[Message]:
    """All that are written in the code."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            file = path.relative_to(ROOT).as_posix()
            if file.startswith("plib_cache/integrations/"):
                continue  # seen as integrations/
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and node.args and name_of(node.func)[-5:] == "Error":
                    kind = name_of(node.func)
                    yield Message(file, node.lineno, kind, text_of(node.args[0]))


def seen(message: Message) -> bool:
    """Whether a user sees it as it is; what only passes another's text on is held there."""
    if message.text == "{}":
        return False
    if message.kind in INSIDE | BARE:
        return False
    return (message.file, message.kind) not in WITHIN


LISTED = list(messages())


def test_there_are_messages() -> None:
    """The list is that of the code: many, of both folders, and no exemption is left over."""
    assert len(SEEN) > 120
    assert {one.file.partition("/")[0] for one in LISTED} == set(FOLDERS)
    kinds = {one.kind for one in LISTED}
    assert not (INSIDE | BARE) - kinds
    assert not WITHIN - {(one.file, one.kind) for one in LISTED}


SEEN = [one for one in LISTED if seen(one)]


@pytest.mark.parametrize("message", SEEN, ids=[f"{m.file}:{m.line}" for m in SEEN])
def test_it_says_what_to_do(message: Message) -> None:
    """A verb for who reads it; and it is more than that verb."""
    assert TOLD_TO.search(message.text), message.text
    assert len(message.text.split()) >= 5, message.text


@pytest.mark.parametrize("status", sorted(failures._TABLE))
def test_the_core_says_what_to_do(status: str) -> None:
    """What the core refuses: each status, with the facts that it comes with."""
    for errno in (0, 11, 5):
        facts = failures.Facts(path="/x/y", key=b"k", nbytes=9, value_max=8, a=1, b=2, errno=errno)
        text = str(failures.failure(status, facts))
        assert TOLD_TO.search(text), text


# ---- what newcomers do wrong ---------------------------------------------------------------------

decorate: Any = cache
opened: Any = Cache
WRONG: list[tuple[Callable[[Any], object], type[Exception], str]] = [
    (lambda c: c.set(5, 1), TypeError, r"not int: pass str\(key\), or bytes$"),
    (lambda c: c.append("a", "x"), TypeError, "^'x' is a str: give bytes"),
    (lambda c: c.set("a", 1, tags="abcde"), TypeError, "^tags='abcde' is one name: give a list"),
    (lambda c: c.set("a", 1, tags=list("abcde")), ValueError, r"5 tags, \['a', 'b', .*at most 4"),
    (lambda c: c.get_or_compute("a", 5), TypeError, "^fn is a int: give a function"),
    (lambda c: opened(path=f"{c.path}/x"), ConfigurationError, "is no folder: choose another path"),
    (lambda c: opened("a", write="sync"), ConfigurationError, "write='sync' is for remote=: give"),
    (lambda c: opened("a", serializer=5), ConfigurationError, "^serializer=5: give .* loads"),
    (lambda c: decorate(key=5), TypeError, "^key=5 .*: give a function"),
    (lambda c: decorate(ignore=5), TypeError, "^ignore=5 .*: give the names"),
    (lambda c: decorate(depends_on=len), TypeError, "^depends_on=.*: give a list"),
    (lambda c: decorate(min_duration="1s"), TypeError, "^min_duration='1s' .*: give seconds"),
    (lambda c: decorate(min_duration=None), TypeError, "^min_duration=None .*: give seconds"),
    (lambda c: decorate(max_bytes="1MiB"), TypeError, "^max_bytes='1MiB' .*: give a number"),
    (lambda c: decorate(maxsize="1"), TypeError, "^maxsize='1' .*: give an int"),
    (lambda c: decorate(observer=5), TypeError, "^observer=5 .*: give an object with the methods"),
    (lambda c: decorate("name"), TypeError, "got a str: decorate a function, .* by name"),
]


@pytest.mark.parametrize(("does", "kind", "says"), WRONG, ids=[one[2] for one in WRONG])
def test_what_newcomers_do_wrong(
    does: Callable[[Any], object], kind: type[Exception], says: str
) -> None:
    """It is refused at once, by a message about what was given and not about parts of ours."""
    with temporary_cache() as there, pytest.raises(kind, match=says):
        does(there)


# ---- options that there are not, and names that nobody has to know -------------------------------

OPTIONS: dict[str, tuple[Callable[..., Any], str, str]] = {
    "Cache": (Cache, "siez", "size"),
    "cache": (cache, "expires", "expire"),
    "configure": (configure, "trsut", "trust"),
    "Memory": (joblib.Memory, "locaton", "location"),
    "PlibCachePlugin": (dask.PlibCachePlugin, "nmae", "name"),
}


@pytest.mark.parametrize(
    ("wrong", "right"), [("size", "cache=plib_cache.Cache("), ("ttl", "'expire'")]
)
def test_an_option_that_is_elsewhere(wrong: str, right: str) -> None:
    """The nearest word would lead astray: ``size`` is like ``maxsize``, which bounds nothing."""
    with pytest.raises(
        TypeError, match=re.escape(f"has no option {wrong!r} (did you mean {right}")
    ):
        cache(**{wrong: 1})


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_that_there_is_not(name: str) -> None:
    """The message has the name that was called, the nearest option, and all that there are."""
    called, wrong, right = OPTIONS[name]
    with pytest.raises(TypeError) as caught:
        called(**{wrong: 1})
    said = str(caught.value)
    begin = f"{name}() has no option '{wrong}' (did you mean '{right}'?): use one of "
    assert said.startswith(begin)
    wanted = list(inspect.signature(called).parameters)
    if name == "cache":  # it has several signatures, and one text
        wanted = re.findall(r"^    (\w+): ", str(inspect.getdoc(cache)), re.M)
        wanted.remove("UnhashableArgumentError")
    assert sorted(said.removeprefix(begin).split(", ")) == sorted(wanted)


def test_an_option_unlike_any_other() -> None:
    """Then no name is guessed."""
    with pytest.raises(TypeError, match=r"^cache\(\) has no option 'qqq': use one of expire, "):
        cache(qqq=1)  # type: ignore[call-overload]


def test_options_by_place() -> None:
    """The message says how many may be given so, not counting what Python puts before them."""
    with pytest.raises(TypeError, match=r"^Cache\(\) got 2 .*: give at most 1, .* size, path,"):
        Cache("name", "1GiB")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"^configure\(\) got 2 .*: give at most 1, .* size, path,"):
        configure("name", "1GiB")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    "kind", [Cache, RemoteCache, joblib.PlibStoreBackend, diskcache.Cache, diskcache.JSONDisk]
)
def test_methods_have_public_names(kind: type[object]) -> None:
    """A TypeError of Python's names a method by its class, never by a part that it is made of."""
    methods = inspect.getmembers(kind, inspect.isfunction)
    ours = [one for name, one in methods if name[0] != "_" and one.__module__[:11] == "plib_cache."]
    assert ours
    public = {"Cache", "RemoteCache", "PlibStoreBackend", "JSONDisk", "Disk"}
    assert not {one.__qualname__ for one in ours if one.__qualname__.split(".")[0] not in public}
    for one in ours:
        if one.__qualname__.startswith(f"{kind.__name__}."):
            assert pickle.loads(pickle.dumps(one)) is one  # the name leads there
