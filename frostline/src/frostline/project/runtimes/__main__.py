"""`python -m frostline.project.runtimes prepare python3.11 ...`: install runtime clients now, rather than with the first function that needs them."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from ..model import ProjectError, default_cache
from . import nodejs, python
from .interpreters import versions

USAGE = "usage: python -m frostline.project.runtimes (list | prepare python3.N ...)"


def prepare(*runtimes: str) -> None:
    """Install what these runtimes need into the user's cache. Raises `ProjectError`."""
    for runtime in runtimes:
        if version := re.fullmatch(r"python3\.(\d+)", runtime):
            directory = python.ensure((3, int(version[1])), default_cache(), lambda message: print(message, flush=True))
            print(f"{runtime}: {directory}")
        elif version := re.fullmatch(r"nodejs(\d+)\.x", runtime):
            launch = nodejs.launch(int(version[1]), "", Path(), ())
            print(f"{runtime}: {launch.argv[0]}", *launch.notes, sep="\n  ")
        else:
            raise ProjectError(f"Nothing needs to be prepared for {runtime!r}. {USAGE}")


def main(arguments: list[str]) -> int:
    """The command line; returns the exit status."""
    try:
        if arguments == ["list"]:
            print(*(f"python{version}" for version in versions()), *(f"nodejs{major}.x" for major in nodejs.majors()), sep="\n")
        elif arguments[:1] == ["prepare"] and len(arguments) > 1:
            prepare(*arguments[1:])
        else:
            print(USAGE, file=sys.stderr)
            return 2
    except ProjectError as error:
        print(error.message, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
