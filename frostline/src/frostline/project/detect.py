"""A folder, a zip or a single file without a template: which function is it?

Asked only for what the user did not say. Every refusal names what was looked for.
"""

from __future__ import annotations

import ast
import hashlib
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from . import archive
from .model import ProjectError, Source
from .runtimes import nodejs

_PYTHON_FILES = ("lambda_function", "app", "main", "handler", "index", "function")
_PYTHON_HANDLERS = ("lambda_handler", "handler", "main")
_NODE_FILES = ("index", "app", "handler", "main")
_NODE_EXTENSIONS = (".js", ".mjs", ".cjs")

LOOKED_FOR = (
    "an executable `bootstrap`; lambda_function.py or app.py with a function `lambda_handler` or `handler`; "
    "index.js, index.mjs or index.cjs; a template"
)


class Found(Struct, frozen=True, kw_only=True):
    """What was decided about a folder."""

    code: Path
    runtime: str
    handler: str
    notes: tuple[str, ...] = ()


def is_archive(path: Path) -> bool:
    """Whether a file is a deployment package, by its first bytes."""
    try:
        with path.open("rb") as file:
            return file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")
    except OSError:
        return False


def folder(code: Path, shown: Path, source: Source) -> Found:
    """The function in a folder; `shown` is what the user named. Raises `ProjectError` when that cannot be told."""
    runtime, handler = source.runtime, source.handler
    if runtime is None and handler is None:
        runtime, handler = _guess(code, shown)
    elif runtime is None:
        assert handler is not None
        runtime = _runtime_of(code, handler, shown)
    elif handler is None:
        handler = _handler_for(code, runtime, shown)
    return Found(code=code, runtime=runtime, handler=handler or "bootstrap", notes=tuple(_doubts(code, runtime, handler or "bootstrap")))


def single_file(file: Path, source: Source) -> Found:
    """The function in one file: a copy of it, alone in a folder. Its neighbours are not part of it, as in the console's editor."""
    suffix = file.suffix
    name = file.name if suffix == ".py" or suffix in _NODE_EXTENSIONS else "bootstrap"
    if name == "bootstrap" and not os.access(file, os.X_OK):
        raise ProjectError(
            f"{file}: is neither a template (.yaml, .yml, .json), a zip, a Python or JavaScript file, nor executable. "
            f"If it is a program that speaks the Runtime API: chmod +x {file}"
        )
    if suffix == ".py" and "." in file.stem:
        raise ProjectError(f"{file}: Python cannot import a file with a dot in its name. Rename it.")
    try:
        with file.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()[:32]
    except OSError as error:
        raise ProjectError(f"{file}: cannot be read ({error.strerror}).") from None

    def copy(target: Path) -> None:
        shutil.copyfile(file, target / name)
        (target / name).chmod(0o555 if name == "bootstrap" else 0o444)

    code = archive.made(source.cache / "code" / f"file-{digest}-{hashlib.sha256(name.encode()).hexdigest()[:8]}", copy)
    if name == "bootstrap":
        return Found(code=code, runtime=source.runtime or "provided.al2023", handler=source.handler or "bootstrap")
    if suffix == ".py":
        handler = source.handler or f"{file.stem}.{_python_handler(file, strict=False)}"
        return Found(code=code, runtime=source.runtime or this_python(), handler=handler)
    return Found(code=code, runtime=source.runtime or this_node(), handler=source.handler or f"{file.stem}.handler")


def this_python() -> str:
    """The runtime of the Python that Frostline runs under."""
    return f"python3.{sys.version_info.minor}"


def this_node() -> str:
    """The runtime of the Node.js on PATH; the current one of AWS where there is none (its absence is reported when it is needed)."""
    return f"nodejs{next(iter(nodejs.majors()), 24)}.x"


def _guess(code: Path, shown: Path) -> tuple[str, str]:
    bootstrap = code / "bootstrap"
    if bootstrap.is_file():
        if not os.access(bootstrap, os.X_OK):
            raise ProjectError(f"{shown / 'bootstrap'}: is not executable. Make it so: chmod +x {shown / 'bootstrap'}")
        return "provided.al2023", "bootstrap"
    python = _python_in(code)
    if python:
        return this_python(), python
    node = _node_in(code)
    if node:
        return this_node(), node
    here = sorted(path.name for path in code.iterdir())[:8]
    raise ProjectError(
        f"{shown}: cannot tell which function this is. Looked for: {LOOKED_FOR}. Found: {', '.join(here) or 'nothing'}. "
        "Say it with --handler and --runtime, for example --handler src/app.handler --runtime python3.12"
    )


def _handler_for(code: Path, runtime: str, shown: Path) -> str:
    if runtime.startswith("provided"):
        return "bootstrap"
    found = _python_in(code) if runtime.startswith("python") else _node_in(code) if runtime.startswith("nodejs") else None
    if runtime == "go1.x":
        executables = [path.name for path in sorted(code.iterdir()) if path.is_file() and os.access(path, os.X_OK)]
        found = executables[0] if len(executables) == 1 else None
    if found is None:
        raise ProjectError(
            f"{shown}: no handler found for {runtime}. Looked for: {LOOKED_FOR}. Say it with --handler, for example --handler app.handler"
        )
    return found


def _runtime_of(code: Path, handler: str, shown: Path) -> str:
    module = handler.rpartition(".")[0]
    first = module.partition(".")[0]
    if any((code / f"{name}.py").is_file() or (code / name).is_dir() for name in {module.replace(".", "/"), first} if name):
        return this_python()
    if any((code / f"{first}{extension}").is_file() for extension in _NODE_EXTENSIONS):
        return this_node()
    if (code / "bootstrap").is_file():
        return "provided.al2023"
    raise ProjectError(
        f"{shown}: the handler {handler!r} names no file here (looked for {module or handler}.py, .js, .mjs, .cjs and bootstrap). "
        "Check --handler, or say --runtime."
    )


def _python_in(code: Path) -> str | None:
    for name in _PYTHON_FILES:
        file = code / f"{name}.py"
        if file.is_file() and (handler := _python_handler(file, strict=True)):
            return f"{name}.{handler}"
    return None


def _python_handler(file: Path, *, strict: bool) -> str | None:
    """The name of the handler in a Python file; when it cannot be told, None if `strict`, else the likeliest."""
    try:
        defined = set(_names(ast.parse(file.read_bytes())))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        # The runtime reports broken code in AWS's words; here it is enough to know the name.
        defined = set(re.findall(r"^(?:async )?def (\w+)", file.read_text(errors="replace"), re.MULTILINE))
    except OSError as error:
        raise ProjectError(f"{file}: cannot be read ({error.strerror}).") from None
    found = next((name for name in _PYTHON_HANDLERS if name in defined), None)
    return found or (None if strict else _PYTHON_HANDLERS[0])


def _names(module: ast.Module) -> Iterator[str]:
    """What a module defines at its top level."""
    for statement in module.body:
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield statement.name
        elif isinstance(statement, ast.Assign):
            yield from (target.id for target in statement.targets if isinstance(target, ast.Name))
        elif isinstance(statement, (ast.Import, ast.ImportFrom)):
            yield from (alias.asname or alias.name for alias in statement.names)


def _node_in(code: Path) -> str | None:
    for name in _NODE_FILES:
        if any((code / f"{name}{extension}").is_file() for extension in _NODE_EXTENSIONS):
            return f"{name}.handler"
    return None


def _doubts(code: Path, runtime: str, handler: str) -> Iterator[str]:
    """Whether the handler's file is missing: no error, because only the runtime knows, and AWS finds out at the first invocation, too."""
    module = handler.rpartition(".")[0]
    if runtime.startswith("python") and module:
        path = module.replace(".", "/")
        if not ((code / f"{path}.py").is_file() or (code / path).is_dir()):
            yield f"The handler {handler!r} needs a file {path}.py, and there is none in {code}."
    elif runtime.startswith("nodejs") and module:
        path = handler[: handler.rfind("/") + 1] + handler[handler.rfind("/") + 1 :].partition(".")[0]
        if not any((code / f"{path}{extension}").is_file() for extension in ("", *_NODE_EXTENSIONS)):
            yield f"The handler {handler!r} needs a file {path}.js, .mjs or .cjs, and there is none in {code}."
