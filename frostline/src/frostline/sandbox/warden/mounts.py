"""What an environment's root directory is made of.

Three steps, because the first is the same for all environments of a run and the second can be done before it is known whose environment
it will be:

1. `make_base`, in the warden's own mount namespace: the host's programs and libraries, devices, and a small /etc, all read-only.
2. `make_root`, in the environment's: a root directory with the base, /proc, and places for the rest.
3. `furnish` and `enter`: code, layers, runtime, /tmp; then the host's directories are let go of.

Left out on purpose: /sys, terminals, and /dev/shm, which Lambda does not have either (so `multiprocessing.Queue` fails here as it does there).
"""

from __future__ import annotations

import errno
import os

from . import syscalls as sc
from .copies import copy_merged, readable_by_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .protocol import Message

UID, GID = 993, 990
"""Who function processes are: `sbx_user1051` on AWS."""

PROGRAMS = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "nix")
"""Top-level directories of the host that hold programs and libraries; symbolic links among them are copied as links."""

ETC_FILES = ("gai.conf", "host.conf", "ld.so.cache", "ld.so.conf", "lsb-release", "mime.types", "os-release", "protocols", "services")
ETC_DIRECTORIES = ("alternatives", "ca-certificates", "crypto-policies", "fonts", "ld.so.conf.d", "pki", "ssl")
ETC_PREFIXES = ("java", "python3")
DEVICES = ("null", "zero", "full", "random", "urandom")

# No host module of the name service may be asked for (sss, mdns, resolve): they talk to daemons that are not here.
ETC_OWN = {
    "passwd": f"root:x:0:0:root:/root:/sbin/nologin\nsbx_user1051:x:{UID}:{GID}::/home/sbx_user1051:/sbin/nologin\n",
    "group": f"root:x:0:\nsbx_user1051:x:{GID}:\n",
    "hosts": "127.0.0.1 localhost localhost.localdomain\n127.0.0.1 sandbox.localdomain sandbox\n",
    "hostname": "sandbox\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\nprotocols: files\n",
}

NO_IDMAP = -1

CODE, LAYERS, RUNTIME = "/var/task", "/opt", "/var/runtime"
READ_ONLY = sc.MOUNT_ATTR_RDONLY | sc.MOUNT_ATTR_NOSUID | sc.MOUNT_ATTR_NODEV


class BuildError(Exception):
    """An environment cannot be built as asked; the text is for the person who asked."""


def make_base(base: str) -> None:
    """Fill directory `base` of the calling process's mount namespace, which must be its own and private."""
    sc.mount("tmpfs", base, "tmpfs", sc.MS_NOSUID | sc.MS_NODEV, "mode=755,size=16m")
    for name in PROGRAMS:
        if os.path.islink(f"/{name}"):
            os.symlink(os.readlink(f"/{name}"), f"{base}/{name}")
        elif os.path.isdir(f"/{name}"):
            os.mkdir(f"{base}/{name}")
            bind(f"/{name}", f"{base}/{name}", sc.MOUNT_ATTR_RDONLY | sc.MOUNT_ATTR_NOSUID)
    _make_etc(f"{base}/etc")
    _make_dev(f"{base}/dev")


def _make_etc(etc: str) -> None:
    os.mkdir(etc)
    for name in ETC_FILES:
        if os.path.isfile(f"/etc/{name}"):
            with open(f"/etc/{name}", "rb") as theirs:
                write_file(f"{etc}/{name}", theirs.read())
    for name, text in ETC_OWN.items():
        write_file(f"{etc}/{name}", text.encode())
    for name in sorted(os.listdir("/etc")):
        if (name in ETC_DIRECTORIES or name.startswith(ETC_PREFIXES)) and os.path.isdir(f"/etc/{name}"):
            os.mkdir(f"{etc}/{name}")
            bind(f"/etc/{name}", f"{etc}/{name}", READ_ONLY)


def _make_dev(dev: str) -> None:
    os.mkdir(dev)
    for name in DEVICES:
        write_file(f"{dev}/{name}", b"")
        # Bound, not made: only the host's root may make device nodes.
        bind(f"/dev/{name}", f"{dev}/{name}", sc.MOUNT_ATTR_NOSUID | sc.MOUNT_ATTR_NOEXEC)
    for name, target in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
        os.symlink(f"/proc/self/fd{target}", f"{dev}/{name}")


def make_root(stage: str, base: str) -> str:
    """The root directory of an environment in the making, below `stage`; its path."""
    sc.mount("tmpfs", stage, "tmpfs", sc.MS_NOSUID | sc.MS_NODEV, "mode=755,size=1m")
    root = f"{stage}/root"
    os.mkdir(root)
    # A mount of its own, because that is what `pivot_root` takes.
    sc.mount("tmpfs", root, "tmpfs", sc.MS_NOSUID | sc.MS_NODEV, "mode=755,size=1m")
    for entry in os.scandir(base):
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), f"{root}/{entry.name}")
        else:
            os.mkdir(f"{root}/{entry.name}")
            # The base is the warden's to write to, so a view of it is made read-only, except where that is done already.
            attributes = 0 if entry.name in PROGRAMS else sc.MOUNT_ATTR_RDONLY
            bind(entry.path, f"{root}/{entry.name}", attributes)
    for name in ("proc", "tmp", "opt", "var", "var/task", "var/runtime"):
        os.mkdir(f"{root}/{name}")
    sc.mount("proc", f"{root}/proc", "proc", sc.MS_NOSUID | sc.MS_NODEV | sc.MS_NOEXEC)
    return root


def furnish(root: str, blueprint: Message, idmaps: dict[str, int], copies: str) -> None:
    """Put in what makes this environment the function's own.

    `idmaps`: for a source path, the user namespace that makes its owner the environment's user (see `cage.Idmaps`), or NO_IDMAP where there
    should be one and is not; sources that are missing there are bound as they are. `copies`: a directory that does not exist yet, for
    copies of what cannot be shown otherwise.
    Raises BuildError.
    """
    shown = _Shown(idmaps, copies)
    extras = _extras(blueprint["extra_read_only"])
    sc.mount("tmpfs", f"{root}/tmp", "tmpfs", sc.MS_NOSUID | sc.MS_NODEV, f"mode=700,uid={UID},gid={GID},size={blueprint['tmp_mb']}m")
    shown.bind(blueprint["code"], root + CODE)
    if blueprint["runtime"] is not None:
        shown.bind(blueprint["runtime"], root + RUNTIME)
    below_opt = [path[len(LAYERS) + 1 :] for path in extras if path.startswith(LAYERS + "/")]
    # The same directory twice is one layer, and overlayfs refuses it.
    _merge_layers(root, list(dict.fromkeys(blueprint["layers"])), below_opt, shown)
    for path in extras:
        if os.path.isdir(path):
            os.makedirs(root + path, exist_ok=True)
        elif not os.path.exists(root + path):
            os.makedirs(os.path.dirname(root + path), exist_ok=True)
            write_file(root + path, b"")
        shown.bind(path, root + path)


def enter(root: str) -> None:
    """Make `root` the root directory, and let go of the host's."""
    os.chdir(root)
    # Both arguments the same: the old root comes to lie over the new one, and is then taken off. See pivot_root(2), "pivot_root(".", ".")".
    sc.pivot_root(".", ".")
    sc.umount2(".", sc.MNT_DETACH)
    os.chdir("/")
    sc.mount_setattr(sc.AT_FDCWD, "/", attributes=READ_ONLY, recursive=False)


def bind(source: str, target: str, attributes: int, idmap: int | None = None) -> None:
    """Show `source`, with what is mounted below it, at `target`."""
    tree = sc.open_tree(source)
    try:
        if idmap is not None:
            sc.mount_setattr(tree, "", attributes=attributes | sc.MOUNT_ATTR_IDMAP, userns_fd=idmap)
        elif attributes:
            sc.mount_setattr(tree, "", attributes=attributes)
        sc.move_mount(tree, target)
    finally:
        os.close(tree)


class _Shown:
    """Binds the function's directories so that the environment's user can read them."""

    def __init__(self, idmaps: dict[str, int], copies: str) -> None:
        self._idmaps = idmaps
        self._copies = copies
        self._number = 0

    def bind(self, source: str, target: str) -> None:
        try:
            self._bind(source, target)
        except OSError as error:
            raise BuildError(f"cannot show {source} in the environment: {error.strerror}") from error

    def _bind(self, source: str, target: str) -> None:
        idmap = self._idmaps.get(source)
        if idmap is None:
            bind(source, target, READ_ONLY)
            return
        try:
            if idmap == NO_IDMAP:
                raise OSError(errno.EOPNOTSUPP, "no user namespace")
            bind(source, target, READ_ONLY, idmap)
        except OSError as error:
            # The file system does not take part (older overlayfs, NFS, FUSE), or the mount is an idmapped one already.
            if error.errno not in (errno.EINVAL, errno.EPERM, errno.EOPNOTSUPP):
                raise
            bind(source if readable_by_all(source) else self.copy([source]), target, READ_ONLY)

    def copy(self, sources: Sequence[str]) -> str:
        """A copy of directories on top of each other that everybody may read."""
        self._number += 1
        return copy_merged(sources, f"{self._copies}/{self._number}")


def _merge_layers(root: str, layers: Sequence[str], below_opt: Sequence[str], shown: _Shown) -> None:
    """/opt: nothing, one layer as it is, or several laid over each other, the last on top."""
    target = root + LAYERS
    if not layers:
        for path in below_opt:
            os.makedirs(f"{target}/{path}", exist_ok=True)
        return
    if len(layers) == 1 and not below_opt:
        shown.bind(layers[0], target)
        return
    stage = os.path.dirname(root)
    names = []
    for number, layer in enumerate(layers):
        names.append(f"layer{number}")
        os.mkdir(f"{stage}/layer{number}")
        shown.bind(layer, f"{stage}/layer{number}")
    # Places for what will be mounted inside of the read-only /opt.
    for path in below_opt:
        os.makedirs(f"{stage}/below/{path}", exist_ok=True)
    lower = [*reversed(names), *(["below"] if below_opt else [])]
    # Relative names, because the option's syntax has no room for a colon or a comma in a path.
    os.chdir(stage)
    try:
        sc.mount("overlay", target, "overlay", sc.MS_RDONLY | sc.MS_NOSUID | sc.MS_NODEV, "lowerdir=" + ":".join(lower))
    except OSError:  # the file system is not in this kernel, or not for us
        bind(shown.copy([f"{stage}/{name}" for name in reversed(lower)]), target, READ_ONLY)
    os.chdir("/")


def _extras(paths: Sequence[str]) -> list[str]:
    """The extra paths that are not visible already, outer ones before inner ones."""
    taken = (CODE, RUNTIME, "/proc", "/dev", "/etc")
    seen = [f"/{name}" for name in PROGRAMS if not os.path.islink(f"/{name}")]
    kept: list[str] = []
    for path in sorted({os.path.normpath(path) for path in paths}):
        if path == "/" or not path.startswith("/") or _within(path, taken):
            raise BuildError(f"cannot show {path} at its own path: that place is taken in an environment")
        if not os.path.exists(path):
            raise BuildError(f"cannot show {path} in the environment: there is no such file or directory")
        if not _within(path, (*seen, *kept)):
            kept.append(path)
    return kept


def _within(path: str, places: Sequence[str]) -> bool:
    return any((path + "/").startswith(place + "/") for place in places)


def write_file(path: str, content: bytes) -> None:
    """A new file that everybody may read."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        os.write(fd, content)
    finally:
        os.close(fd)
