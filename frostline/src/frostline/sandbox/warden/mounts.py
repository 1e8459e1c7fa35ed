"""What an environment's root directory is made of.

Three steps, because the first is the same for all environments of a run and the second can be done before it is known whose
environment it will be:

1. `make_base`, in the warden's own mount namespace: the host's programs and libraries, devices, and a small /etc, all read-only.
2. `make_root`, in the environment's: a root directory with the base, /proc, and places for the rest. The host's directories are let go of.
3. `furnish`: code, layers, runtime, which come from the warden as detached mounts (see `sources`), and /tmp.

The order matters for speed, too: letting go of the old root waits for an RCU grace period, 2 to 5 ms, and is done ahead of time.

Left out on purpose: /sys, terminals, and /dev/shm, which Lambda does not have either (so `multiprocessing.Queue` fails here as it does there).
"""

from __future__ import annotations

import os

from ..warp import clockfile, programs
from . import syscalls as sc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .sources import Trees

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

CODE, LAYERS, RUNTIME, TMP = "/var/task", "/opt", "/var/runtime", "/tmp"  # noqa: S108 - the environment's own
READ_ONLY = sc.MOUNT_ATTR_RDONLY | sc.MOUNT_ATTR_NOSUID | sc.MOUNT_ATTR_NODEV


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


def preload(etc: str, library: str) -> None:
    """Have programs of the base load the time warp's library before all others: ld.so(8). It finds its clock where each environment has its own.

    Not by LD_PRELOAD, which would be seen among a function's variables, and lost where a program is started with others.
    """
    with open(library, "rb") as file:
        content = file.read()
    os.mkdir(f"{etc}/frostline")
    write_file(f"{etc}{programs.SHIM.removeprefix('/etc')}", content)
    write_file(f"{etc}{clockfile.PATH.removeprefix('/etc')}", b"")
    write_file(f"{etc}/ld.so.preload", f"{programs.SHIM}\n".encode())


def make_root(stage: str, base: str) -> None:
    """Make the root directory of an environment, below `stage`, and enter it: afterwards the host's directories are out of reach."""
    sc.mount("tmpfs", stage, "tmpfs", sc.MS_NOSUID | sc.MS_NODEV, "mode=755,size=1m")
    for entry in os.scandir(base):
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), f"{stage}/{entry.name}")
        else:
            os.mkdir(f"{stage}/{entry.name}")
            # The base is the warden's to write to, so a view of it is made read-only, except where that is done already.
            attributes = 0 if entry.name in PROGRAMS else sc.MOUNT_ATTR_RDONLY
            bind(entry.path, f"{stage}/{entry.name}", attributes)
    for name in ("proc", "tmp", "opt", "var", "var/task", "var/runtime"):
        os.mkdir(f"{stage}/{name}")
    os.symlink("runtime/lang", f"{stage}/var/lang")  # where AWS has the language; here it is a part of the runtime
    sc.mount("proc", f"{stage}/proc", "proc", sc.MS_NOSUID | sc.MS_NODEV | sc.MS_NOEXEC)
    os.chdir(stage)
    # Both arguments the same: the old root comes to lie over the new one, and is then taken off. See pivot_root(2), "pivot_root(".", ".")".
    sc.pivot_root(".", ".")
    sc.umount2(".", sc.MNT_DETACH)
    os.chdir("/")


def furnish(trees: Trees, fds: Sequence[int], tmp_mb: int) -> None:
    """Put in what makes this environment the function's own, and make the root read-only. `fds`: as `sources.gather` gives them."""
    layers, others = fds[: trees["layers"]], fds[trees["layers"] :]
    if layers:
        _merge(layers, trees["below_opt"])
    sc.mount("tmpfs", TMP, "tmpfs", sc.MS_NOSUID | sc.MS_NODEV, f"mode=1777,uid={UID},gid={GID},size={tmp_mb}m")
    for (target, directory), fd in zip(trees["targets"], others, strict=True):
        if directory:
            os.makedirs(target, exist_ok=True)
        elif not os.path.exists(target):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            write_file(target, b"")
        sc.move_mount(fd, target)
    sc.mount_setattr(sc.AT_FDCWD, "/", attributes=READ_ONLY, recursive=False)


def _merge(layers: Sequence[int], below_opt: Sequence[str]) -> None:
    """Lay layers over each other at /opt, the last on top, with places for what will be mounted inside of it."""
    os.mkdir("/layers")
    # A mount to hold them, so that they go all at once: taking a mount off waits for an RCU grace period.
    sc.mount("tmpfs", "/layers", "tmpfs", sc.MS_NOSUID | sc.MS_NODEV, "mode=755,size=1m")
    names = []
    for number, fd in enumerate(layers):
        names.append(str(number))
        os.mkdir(f"/layers/{number}")
        sc.move_mount(fd, f"/layers/{number}")
    for path in below_opt:
        os.makedirs(f"/layers/below/{path}")
    os.chdir("/layers")
    merge(names[::-1] + (["below"] if below_opt else []), LAYERS)
    os.chdir("/")
    sc.umount2("/layers", sc.MNT_DETACH)  # the overlay has views of its own
    os.rmdir("/layers")


def merge(lower: Sequence[str], target: str) -> None:
    """Lay directories over each other, the first on top. Relative paths: the option's syntax has no room for a colon or comma in a name."""
    sc.mount("overlay", target, "overlay", sc.MS_RDONLY | sc.MS_NOSUID | sc.MS_NODEV, "lowerdir=" + ":".join(lower))


def bind(source: str, target: str, attributes: int) -> None:
    """Show `source`, with what is mounted below it, at `target`."""
    tree = sc.open_tree(source)
    try:
        if attributes:
            sc.mount_setattr(tree, "", attributes=attributes)
        sc.move_mount(tree, target)
    finally:
        os.close(tree)


def write_file(path: str, content: bytes) -> None:
    """A new file that everybody may read."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        os.write(fd, content)
    finally:
        os.close(fd)
