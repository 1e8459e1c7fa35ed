"""Which packages a function's code asks for: enough to tell which client libraries it uses.

Its own files are looked into, and not those of the packages that lie beside them. Nothing is run. A name that is not found proves nothing: code may be
bundled into one file, or ask for a module by a name that it makes up.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from ..core.function import Function

MOST_FILES, MOST_BYTES = 500, 2_000_000
"""A function's own code is small. What is more is not looked into."""

MOST_BINARY_BYTES = 200_000_000

MOST_PACKAGES = 200

_PYTHON = re.compile(r"^[ \t]*(?:from[ \t]+(\w[\w.]*)[ \t]+import\b|import[ \t]+(\w+(?:[\w. ,\t]*\w)?))", re.MULTILINE)
_PYTHONS_OWN = frozenset({"http.client", "urllib.request"})
"""Clients in Python's own library."""
_NODE = re.compile(r"""(?:\brequire\s*\(\s*|\bfrom\s*|\bimport\s*\(?\s*)['"]([^'"./\s][^'"\s]*)['"]""")
_NODE_FETCH = re.compile(r"(?<![\w.$])fetch\s*\(")
_GO_BUILD = b"\xff Go buildinf:"
"""How a Go program's build information begins (Go's package debug/buildinfo)."""
_GO_MODULE = re.compile(rb"\n(?:dep|mod|=>)\t([\w./~-]+)\t")

_SUFFIXES = {"python": (".py",), "nodejs": (".js", ".mjs", ".cjs", ".ts", ".mts")}


def packages(function: Function, code: Path) -> tuple[str, ...]:
    """Names of packages, sorted: what is imported (Python), required or imported (Node), or linked (Go: modules). Files that cannot be read are passed over."""
    if function.runtime.startswith("python"):
        found = _from_texts(code, _SUFFIXES["python"], _python, _installed(code))
    elif function.runtime.startswith("nodejs"):
        found = _from_texts(code, _SUFFIXES["nodejs"], _node, frozenset({"node_modules"}))
    else:
        found = set(_go(code / "bootstrap")) | set(_go(code / function.handler))
    return tuple(sorted(found)[:MOST_PACKAGES])


def _from_texts(code: Path, suffixes: tuple[str, ...], read: Callable[[str], Iterator[str]], others: frozenset[str]) -> set[str]:
    found: set[str] = set()
    for number, file in enumerate(_files(code, suffixes, others)):
        if number >= MOST_FILES:
            break
        try:
            with file.open(encoding="utf-8", errors="replace") as opened:
                found.update(read(opened.read(MOST_BYTES)))
        except OSError:
            continue
    return found


def _files(code: Path, suffixes: tuple[str, ...], others: frozenset[str]) -> Iterator[Path]:
    """The function's own files, in the order of their names. `others`: names in the top folder that are packages'."""
    for folder, folders, files in os.walk(code):
        is_top = Path(folder) == code
        folders[:] = sorted(name for name in folders if name not in ("node_modules", "__pycache__") and not (is_top and name in others))
        for name in sorted(files):
            if name.endswith(suffixes) and not (is_top and name in others):
                yield Path(folder, name)


def _installed(code: Path) -> frozenset[str]:
    """What pip has put into a folder: the first parts of the paths in each package's RECORD (PEP 376), which is CSV."""
    names: set[str] = set()
    for record in code.glob("*.dist-info/RECORD"):
        try:
            lines = record.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        names.update(line.partition(",")[0].partition("/")[0] for line in lines)
    return frozenset(names)


def _python(text: str) -> Iterator[str]:
    for found in _PYTHON.finditer(text):
        for name in (found[1] or found[2]).split(","):
            module = name.split()[0] if name.strip() else ""
            package = module.partition(".")[0]
            if package not in sys.stdlib_module_names:
                yield package
            elif module in _PYTHONS_OWN:
                yield module


def _node(text: str) -> Iterator[str]:
    for found in _NODE.finditer(text):
        parts = found[1].split("/")
        yield "/".join(parts[:2]) if found[1].startswith("@") else parts[0]
    if _NODE_FETCH.search(text):
        yield "fetch"


def _go(program: Path) -> Iterator[str]:
    """The modules that a Go program was built from, as `go version -m` prints them, and `go` itself; nothing for any other program."""
    try:
        if not program.is_file() or program.stat().st_size > MOST_BINARY_BYTES:
            return
        content = program.read_bytes()
    except OSError:
        return
    if content.startswith(b"\x7fELF") and _GO_BUILD in content:
        yield "go"
        yield from (found[1].decode() for found in _GO_MODULE.finditer(content))
