# SPDX-License-Identifier: BSD-3-Clause
"""What the library tells a program to do, in words for somebody at a shell.

The library's messages name arguments of Python.  Here each such phrase, and nothing of the rest,
has the option, the variable or the command that does it; a test holds that none is left.
"""

from __future__ import annotations

import re

_MAKE_LARGER = "make a larger one with --size, and `plib-cache export` and `import` what is here"
_TRUST = "set PLIB_CACHE_TRUST=code"
_PHRASES = {
    r"\bsize='([^']*)'": r"the size \1",
    r"as an int, or a str like '512MiB' or '2GB'": "as a number, or with a unit: 512MiB or 2GB",
    r"for a file elsewhere use path=": "a file elsewhere is named by its path, with a slash",
    r"by path= or PLIB_CACHE_DIR": "by its path or PLIB_CACHE_DIR",
    r"open a region with a larger size=": _MAKE_LARGER,
    r"let go of views .* reservations, or use a larger region": (
        f"end the programs that hold them, or {_MAKE_LARGER}"
    ),
    r"use a larger region": _MAKE_LARGER,
    r"a smaller size=": "a smaller --size",
    r"leave size= out": "leave --size out",
    r"check the name, or open it with create=True": "`plib-cache ls` shows what is",
    r"protection='auto' or 'none' does without \(.*?\)": (
        "PLIB_CACHE_PROTECTION=none does without"
    ),
    r"trust \(or PLIB_CACHE_TRUST\) is": "PLIB_CACHE_TRUST is",
    r", or 'network' for a cache with remote=": ", or unset it",
    r"this cache was opened with trust='data': .*": (
        f"PLIB_CACHE_TRUST is data: {_TRUST} if you trust who wrote it"
    ),
    r"\band trust='data'": "and PLIB_CACHE_TRUST=data",
    r"open the cache with trust='code'": _TRUST,
    r"Install or import what defines it": (
        "Install what defines it, or set PYTHONPATH to the folder of its module"
    ),
    r"such as hashlib\.blake2b\(\w+\)\.hexdigest\(\)": "such as `b2sum` gives",
    r"pass bytes, such as os\.fsencode\(key\)": "give it in hexadecimal, with --key-hex",
    r"\bexpire=(\S+) is no usable time: use None": r"--expire \1 is no usable time: leave it out",
    r"give a name, or None for none": "give a name, or leave it out",
}
_COMPILED = [(re.compile(phrase, re.S), words) for phrase, words in _PHRASES.items()]


def for_shell(message: object) -> str:
    """A message of the library, or an exception with one, as the command says it."""
    text = str(message)
    for phrase, words in _COMPILED:
        text = phrase.sub(words, text)
    return text
