"""What of the host an environment is shown: detached mounts of the function's directories, made by the warden, attached by the environment.

A detached mount needs no path, so the environment can have let go of the host's directories long before; and who owns what in it is settled
here, where the privileges for that are.
"""

from __future__ import annotations

import errno
import os

from ..warp import clockfile
from . import mounts
from . import syscalls as sc
from .copies import copy_merged, readable_by_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol, TypedDict

    from .protocol import Message

    class Trees(TypedDict):
        """Which descriptor is what: first the layers to be merged at /opt, then one for each target."""

        layers: int
        below_opt: list[str]
        """Directories that must exist in the merged /opt, for targets within it."""
        targets: list[tuple[str, bool]]
        """Path, and whether it is a directory."""

    class Idmaps(Protocol):
        """See `cage.Idmaps`."""

        def get(self, path: str) -> int | None:
            """The user namespace that makes a path's owner the environment's user; None when it is already. Raises OSError."""


_TAKEN = (mounts.CODE, mounts.RUNTIME, "/proc", "/dev", "/etc")


class SourceError(ValueError):
    """Something cannot be shown; the text is for the person who asked for it."""


class Sources:
    """Opens an environment's sources."""

    def __init__(self, idmaps: Idmaps | None, *, overlay: bool) -> None:
        self._idmaps = idmaps
        """None for an ordinary user, who shows what is readable to them anyway, as themselves."""
        self._overlay = overlay
        """Whether directories can be merged without copying."""

    def gather(self, request: Message, copies: str) -> tuple[Trees, list[int]]:
        """The mounts for a `start` request; the caller closes them. `copies`: a directory of the environment's own, made if need be.

        Raises SourceError.
        """
        extras = _extras(request["extra_read_only"])
        below_opt = [path[len(mounts.LAYERS) + 1 :] for path in extras if path.startswith(mounts.LAYERS + "/")]
        # The same directory twice is one layer, and overlayfs refuses it.
        layers = list(dict.fromkeys(request["layers"]))
        wanted = [(mounts.CODE, request["code"])]
        if request["runtime"] is not None:
            wanted.append((mounts.RUNTIME, request["runtime"]))
        merged: list[str] = []
        if len(layers) == 1 and not below_opt:
            wanted.append((mounts.LAYERS, layers[0]))
        elif layers and self._overlay:
            merged = layers
        elif layers:
            wanted.append((mounts.LAYERS, _merged_copy(layers, below_opt, f"{copies}/opt")))
        wanted += [(path, path) for path in extras]
        if "clock" in request:
            wanted.append((clockfile.PATH, request["clock"]))
        opened: list[int] = []
        try:
            for path in (*merged, *(source for _, source in wanted)):
                opened.append(self._open(path, f"{copies}/{len(opened)}"))
        except SourceError:
            for fd in opened:
                os.close(fd)
            raise
        targets = [(target, os.path.isdir(source)) for target, source in wanted]
        return {"layers": len(merged), "below_opt": below_opt, "targets": targets}, opened

    def _open(self, path: str, copy: str) -> int:
        try:
            idmap = None if self._idmaps is None else _try(self._idmaps, path)
            if idmap != _NONE:
                tree = sc.open_tree(path)
                try:
                    attributes = mounts.READ_ONLY | (0 if idmap is None else sc.MOUNT_ATTR_IDMAP)
                    sc.mount_setattr(tree, "", attributes=attributes, userns_fd=idmap or 0)
                except OSError as error:
                    os.close(tree)
                    # The file system does not take part (older overlayfs, NFS, FUSE), or the mount is an idmapped one already.
                    if idmap is None or error.errno not in (errno.EINVAL, errno.EPERM, errno.EOPNOTSUPP):
                        raise
                else:
                    return tree
            tree = sc.open_tree(path if readable_by_all(path) else copy_merged([path], copy))
            sc.mount_setattr(tree, "", attributes=mounts.READ_ONLY)
        except OSError as error:
            raise SourceError(f"cannot show {path} in the environment: {os.strerror(error.errno or errno.EIO)}") from error
        return tree


_NONE = -1


def _try(idmaps: Idmaps, path: str) -> int | None:
    """Like `get`, with _NONE where user namespaces are not to be had."""
    if not os.path.exists(path):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    try:
        return idmaps.get(path)
    except OSError:
        return _NONE


def _merged_copy(layers: Sequence[str], below_opt: Sequence[str], target: str) -> str:
    try:
        copy_merged(layers, target)
        for path in below_opt:
            os.makedirs(f"{target}/{path}", exist_ok=True)
    except OSError as error:
        raise SourceError(f"cannot merge the layers {', '.join(layers)}: {error.strerror} {error.filename or ''}") from error
    return target


def _extras(paths: Sequence[str]) -> list[str]:
    """The extra paths that are not visible already, outer ones before inner ones."""
    seen = [f"/{name}" for name in mounts.PROGRAMS if not os.path.islink(f"/{name}")]
    kept: list[str] = []
    for path in sorted({os.path.normpath(path) for path in paths}):
        if path == "/" or not path.startswith("/") or _within(path, _TAKEN):
            raise SourceError(f"cannot show {path} at its own path: that place is taken in an environment")
        if not os.path.exists(path):
            raise SourceError(f"cannot show {path} in the environment: there is no such file or directory")
        if not _within(path, (*seen, *kept)):
            kept.append(path)
    return kept


def _within(path: str, places: Sequence[str]) -> bool:
    return any((path + "/").startswith(place + "/") for place in places)
