"""`python -m thawsafe`: `run` a program with safe clients, or build the Lambda `layer`."""

from __future__ import annotations

import os
import sys
import zipfile
from pathlib import Path

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
            build_layer(Path(path))
            return 0
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
        sys.stderr.write(f"thawsafe: {command[0]} cannot be started: {error.strerror}\n")
        return 127


def build_layer(path: Path) -> None:
    """Write the layer: the package where Lambda's Python looks for it, and the wrapper. The same source gives the same bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for source in sorted(HERE.rglob("*")):
            if source.is_file() and "__pycache__" not in source.parts:
                _add(archive, source, f"python/thawsafe/{source.relative_to(HERE).as_posix()}", 0o644)
        _add(archive, WRAPPER, "thawsafe-exec", 0o755)


def _add(archive: zipfile.ZipFile, source: Path, name: str, mode: int) -> None:
    entry = zipfile.ZipInfo(name)  # dated 1980, as zip files begin
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = (0o100000 | mode) << 16
    archive.writestr(entry, source.read_bytes())


def show() -> int:
    """Print the configuration for this environment."""
    from dataclasses import fields

    from ._runtime.detection import detect

    configuration = detect()
    for each in fields(configuration):
        sys.stdout.write(f"{each.name} = {getattr(configuration, each.name)!r}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
