# SPDX-License-Identifier: BSD-3-Clause
"""Keys by content: what is equal has one, whatever memory it is in; what differs has another."""

from __future__ import annotations

import array
import copy
import itertools
import pathlib
import pickle
import random
import subprocess
import sys
import threading
from typing import Any, ClassVar

import pytest

from plib_cache.exceptions import UnhashableArgumentError
from plib_cache.keys import args_digest, content_args_digest, fingerprint, value_digest

from .test_fingerprint_arrays import frames

np = pytest.importorskip("numpy")
pytest.importorskip("xxhash")

from plib_cache._describe_text import describe_cells, describe_texts  # noqa: E402 - needs xxhash

LARGE = 1 << 16


# ---- arrays --------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [2, 1000, 70_000])
def test_memory_order_strides_and_who_holds_it_do_not_matter(
    tmp_path: pathlib.Path, rows: int
) -> None:
    """Small ones, and ones that are hashed in blocks and by several threads."""
    base = np.random.default_rng(1).random((rows, 3, 6))
    expected = value_digest(base)
    mapped = np.memmap(tmp_path / "m", "f8", "w+", shape=base.shape)
    mapped[:] = base
    read_only = base.copy()
    read_only.setflags(write=False)
    wide = np.zeros((rows, 3, 12))
    wide[:, :, ::2] = base
    backwards = base[::-1].copy()[::-1]
    for equal in (np.asfortranarray(base), wide[:, :, ::2], mapped, read_only, backwards):
        assert value_digest(equal) == expected
    assert value_digest(base.transpose(0, 2, 1)) != expected


def test_arrays_that_differ() -> None:
    """In type, shape, order of bytes, unit or one element, at either end."""
    numbers = np.arange(1 << 17)
    changed = [numbers.copy() for _ in range(3)]
    for place, other in zip([0, 1 << 16, -1], changed, strict=True):
        other[place] ^= 1
    different = [
        numbers, *changed, numbers[:-1], numbers[1:], numbers.reshape(2, -1),
        numbers.reshape(-1, 2), numbers.astype("f8"), numbers.astype(">i8"), numbers.view("u8"),
        numbers.view("M8[s]"), numbers.view("M8[ms]"), numbers.view("m8[s]"), numbers.view("V8"),
        numbers.astype("U6"), numbers.astype("S6"), numbers.astype(object), numbers.tolist(),
        np.empty(0), np.empty((0, 3)), np.empty(0, "i4"), np.array(0.0), np.array(-0.0), 0.0,
        np.float64(0.0), numbers.dtype, np.ma.masked_array(numbers, numbers < 5),
        np.rec.fromarrays([numbers]), np.array(["a", "b"]), np.array(["ab"]),
    ]  # fmt: skip
    assert len(set(map(value_digest, different))) == len(different)
    assert value_digest(numbers.copy()) == value_digest(numbers)


def test_the_bits_of_a_nan_in_an_array_count() -> None:
    """Elements are bytes: a NaN is that NaN, and -0.0 is not 0.0."""
    bits = np.array([0x7FF8 << 48, (0x7FF8 << 48) + 1, 0xFFF8 << 48, 0, 1 << 63], "u8")
    singles = [bits[n : n + 1].view("f8") for n in range(len(bits))]
    assert len(set(map(value_digest, singles))) == len(bits)


def test_padding_is_no_content() -> None:
    """Bytes between the fields of a record may be anything."""
    padded = np.dtype([("a", "i1"), ("b", "f8")], align=True)
    zeros, ones = (np.frombuffer(bytes([n]) * 32, "u1").view(padded).copy() for n in (0, 1))
    ones["a"], ones["b"] = zeros["a"], zeros["b"]
    assert value_digest(zeros) == value_digest(ones)


class Known(np.ndarray):  # type: ignore[misc]
    """An array that may know its digest."""

    digest: object = None

    def __plib_digest__(self) -> Any:
        return self.digest


def test_a_digest_that_is_known_is_not_made_again() -> None:
    """It stands for the value, alone or inside of others; None is as if there were no method."""
    plain = np.arange(1000.0)
    view = plain.view(Known)
    for wrap in (lambda x: x, lambda x: [1, x], lambda x: {"k": (x,)}):
        view.digest = None
        assert value_digest(wrap(view)) == value_digest(wrap(plain))
        view.digest = value_digest(plain + 1)
        assert value_digest(wrap(view)) == value_digest(wrap(plain + 1))
        assert content_args_digest((wrap(view),)) == content_args_digest((wrap(plain + 1),))
    assert fingerprint(view) == fingerprint(plain)


@pytest.mark.parametrize("wrong", [b"short", "0123456789abcdef", bytearray(16), 0])
def test_a_known_digest_that_is_none(wrong: object) -> None:
    """A class that gets it wrong is told so, and by name."""
    view = np.arange(3.0).view(Known)
    view.digest = wrong
    with pytest.raises(TypeError, match="__plib_digest__ of .*Known returned"):
        value_digest(view)


class Other(np.ndarray):  # type: ignore[misc]
    """A subclass that is more than memory."""


class Named(np.ndarray):  # type: ignore[misc]
    """A subclass that says itself what it is."""

    def __plib_key__(self) -> object:
        return "named"


def test_other_subclasses_are_not_the_plain_array() -> None:
    """Their type and attributes count, or what they say of themselves."""
    plain = np.arange(3.0)
    tagged = plain.view(Other)
    tagged.tag = 1
    digests = {value_digest(each) for each in (plain, plain.view(Other), tagged)}
    assert len(digests) == 3
    assert value_digest(plain.view(Named)) == value_digest((plain + 1).view(Named))


# ---- text and bytes ------------------------------------------------------------------------------


def test_large_text_and_bytes() -> None:
    """Each type is its own, each byte counts, and equal ones are equal."""
    raw = random.Random(3).randbytes(LARGE)
    text = "\u00e9" * LARGE
    memory = memoryview(raw)
    different = [
        raw, raw[:-1], raw[1:], raw + b"x", bytearray(raw), memory, memory.cast("i"),
        memory.cast("B", (2, LARGE // 2)), array.array("b", raw), array.array("i", raw), text,
        text[:-1], text + "x", text.encode(), text[1:] + "\ud800", text[1:] + "?",
        "a" * LARGE, [raw], (raw,), {"k": raw}, {raw: 1},
    ]  # fmt: skip
    digests = [value_digest(each) for each in different]
    assert len(set(digests)) == len(different)
    assert digests[:2] == [value_digest(bytes(bytearray(raw))), value_digest(raw[:-1])]
    assert value_digest(memoryview(raw * 2)[::2]) == value_digest(memoryview((raw * 2)[::2]))
    assert value_digest(memoryview(np.arange(LARGE, dtype=">i4"))) != value_digest(memory)


def test_what_is_small_has_the_keys_of_the_decorator() -> None:
    """So whoever makes those in C may go on doing so."""
    small: list[tuple[Any, ...]] = [
        (), (1, 2.5, "a", b"b", None, True), ("x" * 5000, [1, {"k": (2,)}]), (float("nan"),),
        (bytearray(5), memoryview(b"abc"), array.array("i", [1])), (int, len, {1, 2}, 3j),
    ]  # fmt: skip
    for bound in small:
        assert content_args_digest(bound) == args_digest(bound)
    for large in ("x" * LARGE, bytes(LARGE), np.arange(3)):
        assert content_args_digest((large,)) != args_digest((large,))
        assert content_args_digest((large,)) == content_args_digest((copy.deepcopy(large),))


def test_large_lists() -> None:
    """What has no buffer is written out, and its digest is made the same way."""
    numbers = [n / 3 for n in range(50_000)]
    digests = {content_args_digest((value,)) for value in (numbers, numbers[:-1], tuple(numbers))}
    assert len(digests) == 3
    assert content_args_digest((list(numbers),)) in digests
    assert (
        content_args_digest((list(map(float, range(9000))),)).hex()
        == "fb968f2476b19cb69fc5a7890e40deb2"
    )


def test_arguments_have_their_places() -> None:
    """Two large arguments that change places make another call."""
    one, two = np.arange(4), np.arange(5)
    assert content_args_digest((one, two)) != content_args_digest((two, one))


def test_the_argument_at_fault_is_named() -> None:
    """As for the decorator; and a default that has no key stands for itself."""
    lock = threading.Lock()
    with pytest.raises(UnhashableArgumentError, match=r"argument 'x' of f .*lock at \[1\]"):
        content_args_digest((np.arange(3), [1, lock]), names=("a", "x"), function="f")
    with pytest.raises(UnhashableArgumentError, match="cannot be hashed stably"):
        value_digest(lock)
    defaulted = content_args_digest((lock,), defaults=(lock,))
    assert defaulted == args_digest((lock,), defaults=(lock,))


# ---- frames and tables ---------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")
def test_frames_that_differ_have_different_digests() -> None:
    """All those of the test of fingerprints; and copies have equal ones."""
    values = frames()
    digests = [value_digest(value) for value in values]
    clashes = [
        (a, b) for (i, a), (j, b) in itertools.combinations(enumerate(values), 2)
        if digests[i] == digests[j]
    ]  # fmt: skip
    assert not clashes
    assert [value_digest(copy.deepcopy(value)) for value in values] == digests
    assert [value_digest(pickle.loads(pickle.dumps(value))) for value in values] == digests


def texts(count: int) -> list[str]:
    """Text of all lengths and widths."""
    chance = random.Random(count)
    words = [
        "",
        "a",
        "\0",
        "word",
        "\u00e9",
        "\u4e2d\u6587",
        "\U0001f600",
        "a longer piece of text",
    ]
    return ["".join(chance.choices(words, k=chance.randrange(4))) for _ in range(count)]


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("count", [0, 1, 5, 4096, 10_000])
def test_a_column_of_text_is_the_same_in_whatever_memory(count: int, missing: bool) -> None:
    """Python's strings or Arrow's buffers, in one piece or many, sliced or not."""
    pd, pa = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    cells: list[Any] = texts(count)
    if missing:
        cells[::3] = [None] * len(cells[::3])
    forms = [pd.StringDtype(storage, na_value=np.nan) for storage in ("python", "pyarrow")]
    made = [pd.Series(cells, dtype=form) for form in forms]
    arrow = pd.Series(["before", *cells, None, "behind"], dtype=forms[1])
    made.append(arrow.iloc[1:-2].reset_index(drop=True))
    pieces = [pd.Series(cells[n : n + 700], dtype=forms[1]) for n in range(0, count or 1, 700)]
    made.append(pd.concat(pieces, ignore_index=True))
    assert {type(each.array) for each in made[1:]} == {type(arrow.array)}
    assert len(set(map(value_digest, made))) == 1
    assert value_digest(made[0]) != value_digest(made[0].astype(pd.StringDtype("python")))
    buffers = [pa.py_buffer(b"\1"), pa.array([0, 1, 3]).buffers()[1], pa.py_buffer(b"abc")]
    garbage = pa.Array.from_buffers(pa.large_string(), 2, buffers)
    under_null = pd.Series(pd.arrays.ArrowStringArray(garbage, dtype=forms[1]))
    assert value_digest(under_null) == value_digest(pd.Series(["a", None], dtype=forms[0]))


def test_arrow_text_of_other_makes() -> None:
    """pandas 2 keeps it with short offsets; and an empty piece may have no offsets at all."""
    pd, pa = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    cells = ["a", None, "\u00e9", ""]

    class Column:
        dtype = pd.StringDtype("pyarrow")
        pieces: ClassVar[list[Any]] = []

        def __arrow_array__(self, type: Any = None) -> Any:  # noqa: A002 - as Arrow calls it
            return pa.chunked_array(self.pieces)

    described, empty = [], pa.py_buffer(b"")
    for kind in (pa.string(), pa.large_string()):
        nothing = pa.Array.from_buffers(kind, 0, [None, empty, empty])
        Column.pieces = [nothing, pa.array(cells, kind), nothing]
        described.append(describe_texts(Column()))
    assert described == [describe_cells(cells)] * 2


def test_cells_of_text_that_differ() -> None:
    """In one cell, at its border, in what is missing and how; and in their order."""
    nan = float("nan")
    columns: list[list[Any]] = [
        ["ab", "c"], ["a", "bc"], ["abc", ""], ["abc"], ["abc", None], ["abc", nan], [None, "abc"],
        ["c", "ab"], ["ab", "c", ""], ["ab", "d"], ["ab\0c"], ["ab", "\u00e9"], ["ab\u00e9"],
        ["ab", "\udce9"], ["ab", "\udcea"], ["", ""], [None, None], [nan, nan], [None, nan],
        [nan, None], [""], [None], [nan], [], [1.5, nan], ["ab", 1.5], ["ab", 1], ["ab", b"c"],
        ["None", "nan"], ["ab", np.str_("c")], ["ab", nan], ["ab", -0.0], ["\ud83d", "\ude00"],
        ["\U0001f600", ""],
    ]  # fmt: skip
    arrays = [np.array([*cells, None], object)[:-1] for cells in columns]
    assert len(set(map(value_digest, arrays))) == len(columns)
    long = np.array(texts(9000), object)
    for place in (0, 4095, 4096, 8999):
        other = long.copy()
        other[place] += "x"
        assert value_digest(other) != value_digest(long)
        other[place] = 5
        assert value_digest(other) == value_digest(other.copy()) != value_digest(long)
    with_nan = long.copy()
    with_nan[::7] = nan
    assert value_digest(with_nan) == value_digest(np.where(np.arange(9000) % 7, long, np.nan))


def test_the_chunks_and_slices_of_a_table_do_not_matter() -> None:
    """Large ones, of which Arrow hands over whole buffers."""
    pa = pytest.importorskip("pyarrow")
    table = pa.table({"a": range(300_000), "b": [f"x{n}" for n in range(300_000)]})
    parts = pa.concat_tables([table.slice(0, 1000), table.slice(1000)])
    assert value_digest(parts) == value_digest(table)
    different = [table, table.slice(1), table.select(["a"]), table.rename_columns(["a", "c"])]
    assert len(set(map(value_digest, different))) == len(different)


def test_sparse_matrices() -> None:
    """What was asked of one before does not matter; its format, shape and elements do."""
    sparse = pytest.importorskip("scipy.sparse")
    dense = np.arange(12.0).reshape(3, 4) % 5
    matrix = sparse.csr_matrix(dense)
    asked = sparse.csr_matrix(dense)
    assert asked.has_sorted_indices
    assert asked.has_canonical_format
    assert value_digest(asked) == value_digest(matrix)
    coordinates = [sparse.coo_array((dense[dense > 0], dense.nonzero())) for _ in range(2)]
    coordinates[0].sum_duplicates()
    assert coordinates[0].has_canonical_format != coordinates[1].has_canonical_format
    assert value_digest(coordinates[0]) == value_digest(coordinates[1])
    forms = ["csr", "csc", "bsr", "coo", "dia", "lil", "dok"]
    different = [matrix, matrix * 2, matrix.astype("f4"), sparse.csr_array(dense)]
    different += [sparse.csr_matrix(dense[:2]), sparse.csr_matrix(np.c_[dense, np.zeros(3)])]
    different += [matrix.asformat(form) for form in forms[1:]]
    different += [(sparse.csr_matrix((matrix.data, matrix.indices[::-1].copy(), matrix.indptr)))]
    assert len(set(map(value_digest, different))) == len(different)


# ---- what is stored ------------------------------------------------------------------------------


def test_golden_digests() -> None:
    """They are in keys that others have stored."""
    pd = pytest.importorskip("pandas")
    numbers = np.arange(6, dtype="<i4").reshape(2, 3)
    values = [
        1, list(map(float, range(9000))), [numbers], numbers, np.arange(1 << 20, dtype="<i8"),
        b"x" * LARGE, "x" * LARGE, pd.array(["x", None], "string"),
        np.array(["x", None, float("nan")], object),
    ]  # fmt: skip
    assert [value_digest(value).hex() for value in values] == [
        "af0b7a735228110df3247ebbbc6290c3",
        "fb968f2476b19cb69fc5a7890e40deb2",
        "07f44ff8a846933944e603f214699667",
        "ff8f63ff08dd56909e7b292afd99b79c",
        "67726ff9f3049b96b0d2761e2a179a03",
        "4c3b17126f07ea78067186648a6a4e75",
        "54e97a832bad660efc26216f30bdc4a4",
        "a4de04ff1cfcbd47c31e666ad4dd9e65",
        "68819dcf99bc28957fcb7f8c330ad122",
    ]


def test_without_xxhash() -> None:
    """Only digests of content need it, and say how it is had."""
    script = (
        "import sys\n"
        "sys.modules['xxhash'] = None\n"
        "from plib_cache import keys\n"
        "keys.args_digest((1, [2]))\n"
        "try:\n"
        "    keys.value_digest(1)\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "pip install 'plib-cache[joblib]'" in done.stdout, done.stderr
