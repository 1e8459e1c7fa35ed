"""What the sandbox does for the router, in small: starts processes in namespaces, and offers sockets inside them.

A `Machine` is one helper process, as root or as an ordinary user inside a user namespace of its own, which forks what it is asked for.
Its program is this file (see the end).
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import fcntl
import functools
import json
import os
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

User = Literal["root", "user"]
NOBODY = 65534
CLONE_NEWNET = 0x40000000
SOURCES = str(Path(__file__).resolve().parents[3] / "frostline" / "src")


def send(sock: socket.socket, message: object, fds: list[int] | None = None) -> None:
    rights = array.array("i", fds or [])
    sock.sendmsg([json.dumps(message).encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if rights else [])


def receive(sock: socket.socket) -> tuple[Any, list[int]]:
    data, fds, _, _ = socket.recv_fds(sock, 65_536, 8)
    if not data:
        raise EOFError
    return json.loads(data), fds


@functools.cache
def prefix(user: User) -> list[str]:
    """How to become that user. An interpreter that lies in root's home is run by root, whose rights then end at the user namespace too."""
    if user == "root":
        return []
    unshare = ["unshare", "--user", "--map-root-user"]
    if os.geteuid() != 0:
        return unshare
    somebody = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *unshare]
    readable = subprocess.run([*somebody, sys.executable, "-c", "import dnslib, msgspec"], capture_output=True, check=False).returncode == 0
    return somebody if readable else unshare


class Namespace:
    """A network namespace with a process in it that makes sockets. `netns` is a descriptor of it."""

    def __init__(self, control: socket.socket, pid: int) -> None:
        self._control = control
        self.pid = pid
        _, (self.netns,) = receive(control)

    def socket(self, kind: socket.SocketKind = socket.SOCK_STREAM, family: socket.AddressFamily = socket.AF_INET) -> socket.socket:
        """A non-blocking socket inside."""
        send(self._control, ["socket", int(family), int(kind)])
        _, (fd,) = receive(self._control)
        sock = socket.socket(fileno=fd)
        sock.setblocking(False)
        return sock

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run a program inside."""
        send(self._control, ["run", list(argv)])
        (status, out, err), _ = receive(self._control)
        return subprocess.CompletedProcess(argv, status, out, err)

    def end(self) -> None:
        """End it, and the namespace with it."""
        os.close(self.netns)
        self._control.close()


class Machine:
    """Spawns for the router (`spawn`) and for tests (`namespace`)."""

    def __init__(self, user: User) -> None:
        self.user = user
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            os.set_inheritable(theirs.fileno(), True)
            self._process = subprocess.Popen(
                [*prefix(user), sys.executable, __file__, "spawn", str(theirs.fileno())], pass_fds=[theirs.fileno()], env=self._env()
            )
        self._namespaces: list[Namespace] = []

    @staticmethod
    def _env() -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}

    async def spawn(self, argv: list[str], fds: list[int], new_netns: bool) -> int:
        """The protocol of `frostline.sandbox.router.client.Spawn`."""
        return self._spawn(argv, fds, new_netns)

    def _spawn(self, argv: list[str], fds: list[int], new_netns: bool) -> int:
        send(self._control, [argv, new_netns], fds)
        pid, _ = receive(self._control)
        return int(pid)

    def namespace(self) -> Namespace:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            pid = self._spawn([sys.executable, __file__, "sockets", "3"], [theirs.fileno()], new_netns=True)
        self._namespaces.append(Namespace(ours, pid))
        return self._namespaces[-1]

    def end(self, namespace: Namespace) -> None:
        self._namespaces.remove(namespace)
        namespace.end()

    def close(self) -> None:
        for namespace in list(self._namespaces):
            self.end(namespace)
        self._control.close()
        self._process.wait()


# The helper process ----------------------------------------------------------------------------------------------------------------------


def serve_spawns(control: socket.socket) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    libc = ctypes.CDLL(None, use_errno=True)
    while True:
        (argv, new_netns), fds = receive(control)
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            if new_netns and libc.unshare(CLONE_NEWNET) < 0:
                os._exit(126)
            for number, fd in enumerate([fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in fds], 3):
                os.dup2(fd, number)
            os.closerange(3 + len(fds), 1000)
            os.execvp(argv[0], argv)
        for fd in fds:
            os.close(fd)
        send(control, pid)


def serve_sockets(control: socket.socket) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, 0x8914, struct.pack("16sH14x", b"lo", 1))
    netns = os.open("/proc/self/ns/net", os.O_RDONLY)
    send(control, "ready", [netns])
    os.close(netns)
    while True:
        request, _ = receive(control)
        match request:
            case ["socket", family, kind]:
                with socket.socket(family, kind) as sock:
                    send(control, "socket", [sock.fileno()])
            case ["run", argv]:
                done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
                send(control, [done.returncode, done.stdout, done.stderr])


if __name__ == "__main__":
    with contextlib.suppress(EOFError):
        {"spawn": serve_spawns, "sockets": serve_sockets}[sys.argv[1]](socket.socket(fileno=int(sys.argv[2])))
