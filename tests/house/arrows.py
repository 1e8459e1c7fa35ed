"""The arrows of the house, and a checker that holds source code to them.

A *room* is the first folder (or module) inside a distribution's package: `core`, `wire`, ... The checker reads source with `ast` and
runs nothing, so imports under `TYPE_CHECKING` and inside functions count like any other: an arrow is about who knows whom, not about when.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT_MODULE = ""
"""The room of `frostline/__init__.py` itself."""

_CONTROL_AND_BELOW = frozenset({"control", "sandbox", "wire", "project", "story", "core"})
_RENDER_AND_BELOW = frozenset({"render", "diagnose", "story", "core"})

ARROWS: dict[str, dict[str, frozenset[str]]] = {
    "frostline": {
        ROOT_MODULE: frozenset(),
        "__main__": frozenset({"cli"}),
        "core": frozenset(),
        "wire": frozenset({"core"}),
        "sandbox": frozenset({"core"}),
        "project": frozenset({"core"}),
        "story": frozenset({"core"}),
        "upstreams": frozenset({"core"}),
        "control": _CONTROL_AND_BELOW - {"control"},
        "diagnose": frozenset({"story", "core"}),
        "render": _RENDER_AND_BELOW - {"render"},
        "trials": _CONTROL_AND_BELOW | _RENDER_AND_BELOW | {"upstreams"},
        "cli": _CONTROL_AND_BELOW | _RENDER_AND_BELOW | {"trials", "upstreams"},
        # A face, like `cli`, as far as the pytest plugin goes; its fakes stand at the sandbox's port.
        "testing": _RENDER_AND_BELOW | {"sandbox.port", "project", "control", "trials", "upstreams"},
    },
    "thawsafe": {
        ROOT_MODULE: frozenset({"_core", "_runtime", "_install"}),
        "__main__": frozenset({"_runtime"}),
        "wrapped": frozenset({"_install", "_runtime"}),
        "_install": frozenset({"adapters", "_runtime", "_core"}),
        "adapters": frozenset({"_runtime", "_core"}),
        "_runtime": frozenset({"_core"}),
        "_core": frozenset(),
    },
}
"""Who may import whom: package -> room -> rooms (or single modules) that it may import beside itself. No other room may exist."""

PURE = {"frostline": frozenset({"core", "wire", "diagnose", "render"}), "thawsafe": frozenset({"_core"})}
"""Rooms without I/O, clock, chance or concurrency: what they need of the world is an argument."""

IMPURE_MODULES = frozenset(
    """
    asyncio anyio trio uvloop selectors select socket socketserver ssl threading _thread multiprocessing concurrent queue sched contextvars
    subprocess signal pty tty termios fcntl resource mmap ctypes
    os io pathlib tempfile shutil glob fileinput linecache logging sys platform getpass pwd grp webbrowser
    zipfile tarfile sqlite3 dbm shelve
    http urllib.request ftplib smtplib imaplib poplib xmlrpc requests httpx aiohttp urllib3 boto3 botocore pyroute2 dnslib
    time random secrets uuid
    importlib runpy
    """.split()
)
"""Modules that read or change the world, the clock or chance. `urllib.parse`, `datetime` and `struct` only compute."""

PURE_NAMES = frozenset({"random.Random", "http.HTTPStatus"})
"""Names from such modules that compute only: a `Random` that was handed in is an argument like any other."""

IMPURE_CALLS = frozenset({"open", "print", "input", "breakpoint", "__import__", "exec", "eval"})
IMPURE_METHODS = frozenset({"datetime.now", "datetime.utcnow", "datetime.today", "date.today", "Random"})
"""Calls that read the clock or make their own chance. `Random` is one when nothing seeds it."""


@dataclass(frozen=True)
class Module:
    """One module's source and its place."""

    name: str
    """Dotted: `frostline.core.events`; a package's own module carries the package's name."""
    source: str
    is_package: bool = False
    path: str = ""

    @property
    def package(self) -> str:
        """The distribution's package: `frostline`."""
        return self.name.partition(".")[0]

    @property
    def room(self) -> str:
        """The room that it lies in: `core`."""
        return room_of(self.name)


def room_of(dotted: str) -> str:
    """The room of a dotted name: `frostline.core.events` lies in `core`, `frostline` in the root module."""
    return dotted.split(".")[1] if "." in dotted else ROOT_MODULE


def modules_of(source_root: Path) -> list[Module]:
    """Every module under a `src` folder, in a stable order."""
    found = []
    for path in sorted(source_root.rglob("*.py")):
        parts = path.relative_to(source_root).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        found.append(Module(".".join(parts[:-1] if is_package else parts), path.read_text(encoding="utf-8"), is_package, str(path)))
    return found


def imports_of(module: Module) -> Iterator[tuple[int, str]]:
    """`(line, dotted name)` of everything a module imports; `from a.b import c` gives `a.b.c`, which may be a module or a name in one."""
    for node in ast.walk(ast.parse(module.source, module.path or module.name)):
        match node:
            case ast.Import(names=names):
                for alias in names:
                    yield node.lineno, alias.name
            case ast.ImportFrom(names=names):
                base = _absolute(module, node)
                for alias in names:
                    yield node.lineno, base if alias.name == "*" else f"{base}.{alias.name}"
            case ast.Call(func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module"), args=[first, *_]):
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    yield node.lineno, first.value


def _absolute(module: Module, node: ast.ImportFrom) -> str:
    """What the dots of a relative import stand for."""
    if node.level == 0:
        return node.module or ""
    parts = module.name.split(".")
    base = parts[: len(parts) - node.level + (1 if module.is_package else 0)]
    return ".".join([*base, node.module] if node.module else base)


def violations(module: Module, known: frozenset[str] = frozenset()) -> list[str]:
    """Sentences about everything in one module that the house does not allow; empty when all is well.

    `known`: the dotted names of all modules, which tells `from frostline import core` (a room) from `from frostline import __version__`
    (a name).
    """
    where = module.path or module.name
    arrows = ARROWS[module.package]
    if module.room not in arrows:
        return [f"{where}: `{module.room}` is no room of the house; the rooms of {module.package} are in {Path(__file__).name}"]
    found = []
    for line, target in imports_of(module):
        complaint = _complaint(module, target, arrows, known)
        if complaint:
            found.append(f"{where}:{line}: {complaint}")
    if module.room in PURE[module.package]:
        found += [f"{where}:{line}: `{module.room}` is pure, and {what}" for line, what in _impurities(module)]
    return found


def _complaint(module: Module, target: str, arrows: dict[str, frozenset[str]], known: frozenset[str]) -> str | None:
    package = target.partition(".")[0]
    if package not in ARROWS:
        return None
    if package != module.package:
        return f"{module.package} and {package} never import each other, and this imports {target}"
    if target == package:
        return f"`import {package}` opens every room at once: import what is used"
    room = room_of(target)
    if room == module.room:
        return None
    if room not in arrows and target not in known:
        room = ROOT_MODULE  # a name such as `__version__` in the package's own module
        if module.room != ROOT_MODULE:
            return None
    allowed = arrows[module.room]
    inside = target.removeprefix(f"{package}.")
    if any(inside == one or inside.startswith(f"{one}.") for one in allowed if one):
        return None
    return f"`{module.room or package}` may import {_listed(allowed)}, and this imports {target}"


def _listed(rooms: frozenset[str]) -> str:
    return ", ".join(f"`{room}`" for room in sorted(rooms) if room) or "none of the rooms"


def _impurities(module: Module) -> Iterator[tuple[int, str]]:
    for line, target in imports_of(module):
        if target not in PURE_NAMES and any(target == one or target.startswith(f"{one}.") for one in IMPURE_MODULES):
            yield line, f"{target} is not"
    for node in ast.walk(ast.parse(module.source)):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        if called in IMPURE_CALLS:
            yield node.lineno, f"`{called}()` is not"
        elif any(called == one or called.endswith(f".{one}") for one in IMPURE_METHODS) and not (called.endswith("Random") and node.args):
            yield node.lineno, f"`{called}()` reads the clock or makes its own chance"
