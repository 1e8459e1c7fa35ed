"""Runs a program as an ordinary user who can reach this Python and this repository, wherever root keeps them.

`python as_user.py UID PROGRAM ARGUMENT...`, as root. In mounts of its own, directories on the way that only root may enter are replaced by
empty ones that show just what is needed.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from frostline.sandbox.warden import syscalls as sc

NEEDED = (Path(sys.base_prefix), Path(sys.prefix), Path(__file__).resolve().parents[2])


def closed_ancestor(path: Path) -> Path | None:
    """The first directory above `path` that others may not enter."""
    return next((parent for parent in reversed(path.parents) if not parent.stat().st_mode & 0o001), None)


def open_the_way() -> None:
    """Replace closed directories on the way to what is needed."""
    trees = {path: sc.open_tree(str(path)) for path in dict.fromkeys(NEEDED)}
    replaced: set[Path] = set()
    for path, tree in trees.items():
        closed = closed_ancestor(path)
        if closed is not None and closed not in replaced:
            replaced.add(closed)
            sc.mount("tmpfs", str(closed), "tmpfs", 0, "mode=755")
        if any(parent in replaced for parent in path.parents):
            path.mkdir(parents=True, exist_ok=True)
            sc.move_mount(tree, str(path))
        os.close(tree)


def main() -> None:
    uid = int(sys.argv[1])
    sc.unshare(sc.CLONE_NEWNS)
    sc.mount("none", "/", None, sc.MS_REC | sc.MS_PRIVATE)
    open_the_way()
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    os.chdir(NEEDED[-1])
    os.execv(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
