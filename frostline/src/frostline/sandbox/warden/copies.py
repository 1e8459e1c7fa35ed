"""Copies of directories, for what cannot be shown in place."""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def readable_by_all(path: str) -> bool:
    """Whether any user may read everything in a directory."""
    if os.stat(path).st_mode & 0o005 != 0o005 and os.path.isdir(path):
        return False
    for directory, names, files in os.walk(path):
        for name in (*names, *files):
            mode = os.lstat(f"{directory}/{name}").st_mode
            needed = 0o005 if stat.S_ISDIR(mode) else 0o001 if stat.S_ISLNK(mode) else 0o004
            if mode & needed != needed:
                return False
    return True


def copy_merged(sources: Sequence[str], target: str) -> str:
    """Copy directories over each other, the last on top, readable by everybody; `target` for convenience."""
    import shutil  # late: each environment would carry it for a case that hardly occurs

    os.makedirs(target, exist_ok=True)
    for source in sources:
        for directory, names, files in os.walk(source):
            place = os.path.normpath(f"{target}/{os.path.relpath(directory, source)}")
            os.makedirs(place, exist_ok=True)
            for name in (*(name for name in names if os.path.islink(f"{directory}/{name}")), *files):
                copied = f"{place}/{name}"
                if os.path.lexists(copied):
                    os.unlink(copied)
                shutil.copy2(f"{directory}/{name}", copied, follow_symlinks=False)
                if not os.path.islink(copied):
                    os.chmod(copied, os.stat(copied).st_mode | 0o444 | (0o111 if os.stat(copied).st_mode & 0o100 else 0))
            os.chmod(place, 0o755)  # noqa: S103 - readable by everybody is the point
    os.chmod(target, 0o755)  # noqa: S103
    return target
