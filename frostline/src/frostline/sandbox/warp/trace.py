"""ptrace(2), as much of it as it takes to end a frozen thread's wait. For x86-64.

A thread that is frozen by a v2 cgroup or stopped by SIGSTOP sleeps inside the kernel's signal code, on its way back from an interrupted call.
It can be seized there, and what the call returns be changed, without its executing anything.
"""

from __future__ import annotations

import ctypes
import errno
import os
import time

from ..warden import syscalls as sc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

PTRACE_DETACH = 17
PTRACE_GETREGSET, PTRACE_SETREGSET = 0x4204, 0x4205
PTRACE_SEIZE, PTRACE_INTERRUPT = 0x4206, 0x4207
NT_PRSTATUS = 1
WALL = 0x40000000

STOP_LIMIT_S = 0.5
"""How long a thread may take to stop; a frozen one takes microseconds. Only one that hangs in the kernel does not."""

RESTARTS = {-512, -513, -514, -516}
"""ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND, ERESTART_RESTARTBLOCK: the kernel will repeat the call (include/linux/errno.h)."""

NR_RESTART_SYSCALL = 219

# Their places in `struct user_regs_struct`.
_RAX, _ORIG_RAX, _RIP = 10, 15, 16

_SYSCALL = b"\x0f\x05"
"""The instruction."""

_Registers = ctypes.c_int64 * 27


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def _ptrace(request: int, thread: int, address: int, data: object) -> None:
    argument = data if data is not None else ctypes.c_void_p(None)
    if sc.libc.ptrace(ctypes.c_long(request), ctypes.c_long(thread), ctypes.c_void_p(address), argument) < 0:
        raise sc.oserror("ptrace", f"thread {thread}")


def interrupt_call(thread: int, read: Callable[[int, int], bytes]) -> bool:
    """Have the call that a frozen thread was in return EINTR at the thaw; False when it was going to return by itself.

    `read`: its memory, by address and size. Raises OSError when the thread may not be traced, or does not stop.
    """
    _ptrace(PTRACE_SEIZE, thread, 0, None)
    try:
        _ptrace(PTRACE_INTERRUPT, thread, 0, None)
        _wait_for_stop(thread)
        registers = _Registers()
        vector = _Iovec(ctypes.addressof(registers), ctypes.sizeof(registers))
        _ptrace(PTRACE_GETREGSET, thread, NT_PRSTATUS, ctypes.byref(vector))
        if _is_about_to_repeat(registers, read):
            registers[_RIP] += len(_SYSCALL)
        elif registers[_RAX] not in RESTARTS:
            return False
        registers[_RAX] = -errno.EINTR
        _ptrace(PTRACE_SETREGSET, thread, NT_PRSTATUS, ctypes.byref(vector))
        return True
    finally:
        # Fails for a thread that did not stop; it is let go of when this process ends.
        sc.libc.ptrace(ctypes.c_long(PTRACE_DETACH), ctypes.c_long(thread), ctypes.c_void_p(0), ctypes.c_void_p(0))


def _is_about_to_repeat(registers: ctypes.Array[ctypes.c_int64], read: Callable[[int, int], bytes]) -> bool:
    """Whether the thread was let go on and frozen again so soon that it stands before the repetition of the call that the earlier freeze interrupted.

    Between two calls of its own the kernel remembers none (ORIG_RAX is -1), so what is at the instruction with one remembered is a repetition.
    """
    call = registers[_ORIG_RAX]
    return call >= 0 and registers[_RAX] in (call, NR_RESTART_SYSCALL) and read(registers[_RIP], len(_SYSCALL)) == _SYSCALL


def _wait_for_stop(thread: int) -> None:
    limit = time.monotonic() + STOP_LIMIT_S
    while os.waitpid(thread, WALL | os.WNOHANG)[0] == 0:
        if time.monotonic() > limit:
            raise OSError(errno.ETIMEDOUT, f"it did not stop within {STOP_LIMIT_S:g} s")
        time.sleep(0.0001)
