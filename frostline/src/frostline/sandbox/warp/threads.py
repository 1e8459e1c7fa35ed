"""Waits that are under way in an environment whose clocks are moved.

The kernel reckons the end of a wait on its own clock when the wait begins. So a wait with a limit is ended with EINTR, and the shim (or Go's
scheduler), which sees the new time, goes on with what is left; and a deadline that lies in a `struct deadline` of the shim's is moved where it lies,
as libc reads it again. epoll_wait needs neither: a freeze ends it with EINTR by itself. Measured, and read in kernel/futex, fs/select.c, nptl.
"""

from __future__ import annotations

import struct

from . import trace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .programs import Process, Thread

# The calls of x86-64 that wait for a time, and which argument is their limit; -1: all of them.
_LIMITED_BY = {7: 2, 271: 2, 23: 4, 270: 4, 35: -1, 230: -1}  # poll, ppoll, select, pselect6, nanosleep, clock_nanosleep
_FUTEX, _RESTART = 202, trace.NR_RESTART_SYSCALL
_POLL = 7

_FUTEX_WAIT = 0
_ABSOLUTE = {6, 9, 11, 13}
"""FUTEX_LOCK_PI, FUTEX_WAIT_BITSET, FUTEX_WAIT_REQUEUE_PI, FUTEX_LOCK_PI2: their limit is a deadline."""
_RESTARTED_ANEW = {6, 11, 13}
"""These are repeated from the start, and read their deadline again."""
_COMMAND = 0x7F

_DEADLINE = struct.Struct("<qqQ")
_DEADLINE_MAGIC = 0x454E494C44414544
_SECOND = 1_000_000_000


def move_waits(process: Process, gap_ns: int) -> int:
    """Have the waits of a frozen process be reckoned anew; how many. Raises OSError when one could not be, with the others done all the same."""
    moved, failed = 0, None
    for thread in process.threads():
        try:
            moved += _move(process, thread, gap_ns)
        except ProcessLookupError:  # it is dead
            continue
        except OSError as error:
            failed = error
    if failed is not None:
        raise failed
    return moved


def _move(process: Process, thread: Thread, gap_ns: int) -> bool:
    call, arguments = thread.call, thread.arguments
    if call == _FUTEX:
        command = arguments[1] & _COMMAND
        if arguments[3] == 0 or (command != _FUTEX_WAIT and command not in _ABSOLUTE):
            return False
        if command in _ABSOLUTE and not _move_deadline(process, arguments[3], gap_ns):
            return False  # libc's own, on the machine's clock
        return command in _RESTARTED_ANEW or trace.interrupt_call(thread.number, process.read)
    if call == _RESTART:
        # A wait that an earlier freeze interrupted: which one it was is not told. If a futex, its deadline is where it was.
        _move_deadline(process, arguments[3], gap_ns)
        return trace.interrupt_call(thread.number, process.read)
    limit = _LIMITED_BY.get(call)
    if limit is None or (limit >= 0 and arguments[limit] == 0) or (call == _POLL and arguments[2] >> 31 & 1):
        return False
    return trace.interrupt_call(thread.number, process.read)


def _move_deadline(process: Process, address: int, gap_ns: int) -> bool:
    """Move a deadline of the shim's; False when there is none at this address."""
    data = process.read(address, _DEADLINE.size)
    if len(data) != _DEADLINE.size:
        return False
    seconds, nanoseconds, magic = _DEADLINE.unpack(data)
    if magic != _DEADLINE_MAGIC:
        return False
    at = max(0, seconds * _SECOND + nanoseconds - gap_ns)
    process.write(address, struct.pack("<qq", *divmod(at, _SECOND)))
    return True
