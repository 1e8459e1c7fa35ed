"""`python -m thawsafe`: `run` a program with safe clients, or build the Lambda `layer`."""

from __future__ import annotations

import os
import py_compile
import sys
import zipfile
from importlib.util import cache_from_source
from pathlib import Path
from py_compile import PycInvalidationMode
from tempfile import TemporaryDirectory

USAGE = """usage: python -m thawsafe run PROGRAM [ARGUMENT]...   run a program, and the Python programs that it starts, with safe clients
       python -m thawsafe layer FILE.zip              build the Lambda layer; then AWS_LAMBDA_EXEC_WRAPPER=/opt/thawsafe-exec
       python -m thawsafe detect                      which environment this is, and its limits
"""

HERE = Path(__file__).parent
SITE = HERE / "_install" / "site"
WRAPPER = HERE / "_install" / "thawsafe-exec"


def main(arguments: list[str]) -> int:
    """Do what the arguments say. Returns the exit status."""
    match arguments:
        case ["run", program, *rest]:
            return run([program, *rest])
        case ["layer", path]:
            return layer(Path(path))
        case ["detect"]:
            return show()
        case ["-h" | "--help" | "help"]:
            sys.stdout.write(USAGE)
            return 0
    sys.stderr.write(USAGE)
    return 2


def run(command: list[str]) -> int:
    """Become a program whose Python processes install thawsafe when they start. Returns only when it cannot be started."""
    environment = dict(os.environ, THAWSAFE="install")
    # Beside the folder, the package itself: it may be installed for this Python only.
    paths = [str(SITE), str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    try:
        os.execvpe(command[0], command, environment)  # noqa: S606 - what this command is for
    except OSError as error:
        return _cannot(f"{command[0]} cannot be started: {error.strerror}", 127)


def layer(path: Path) -> int:
    """Write the layer: the package where Lambda's Python looks for it, and the wrapper.

    /opt is read-only, so without compiled modules every cold start would compile them. They are compiled for the Python that runs this: build
    the layer with the function's. Another one takes the sources.
    """
    try:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for source in sorted(HERE.rglob("*")):
                if source.is_file() and "__pycache__" not in source.parts:
                    name = f"python/thawsafe/{source.relative_to(HERE).as_posix()}"
                    _add(archive, name, source.read_bytes(), 0o644)
                    if source.suffix == ".py":
                        _add(archive, cache_from_source(name), _compiled(source, f"/opt/{name}"), 0o644)
            _add(archive, "thawsafe-exec", WRAPPER.read_bytes(), 0o755)
    except OSError as error:
        return _cannot(f"{path} cannot be written: {error.strerror}", 1)
    return 0


def _cannot(sentence: str, status: int) -> int:
    sys.stderr.write(f"thawsafe: {sentence}\n")
    return status


def _compiled(source: Path, name: str) -> bytes:
    """A module's bytecode, which is taken without a look at the source's date: a layer has none."""
    with TemporaryDirectory() as folder:
        made = py_compile.compile(
            str(source), f"{folder}/compiled", name, doraise=True, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH
        )
        assert made is not None  # it raises instead
        return Path(made).read_bytes()


def _add(archive: zipfile.ZipFile, name: str, content: bytes, mode: int) -> None:
    entry = zipfile.ZipInfo(name)  # dated 1980, as zip files begin
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = (0o100000 | mode) << 16
    archive.writestr(entry, content)


def show() -> int:
    """Print the configuration for this environment."""
    from dataclasses import fields

    from ._runtime.detection import detect

    try:
        configuration = detect()
    except ValueError as error:
        return _cannot(str(error), 1)
    for each in fields(configuration):
        sys.stdout.write(f"{each.name} = {getattr(configuration, each.name)!r}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
