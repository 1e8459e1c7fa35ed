"""Moves the clocks of one environment, all of whose processes stand still.

Done in a child process of the warden's: whatever it traces is let go of by the kernel when it ends, and a thread that does not answer holds up nobody.
"""

from __future__ import annotations

import json
import os
import select
import signal

from ..warden import syscalls as sc
from . import clockfile, programs, threads, timers, vdso

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..warden.protocol import Message

LIMIT_S = 10.0
"""After this long it is given up. A thousand threads take a tenth of a second."""

FLAG = b"frostline_clocks_move_outside"


def move(pids: Sequence[int], clock: str, gap_ns: int) -> list[Message]:
    """Move the clocks of these processes on. `clock`: their clock file, as this process sees it. Raises OSError.

    The answer has for each process its `pid`, `name`, whether its clocks have `moved`, and a `note` (why not, or what was not moved with them).
    """
    clockfile.move(clock, gap_ns)
    found = timers.Timers()
    answer: list[Message] = []
    for pid in pids:
        try:
            process = programs.Process(pid)
        except (FileNotFoundError, ProcessLookupError):  # it is dead
            continue
        except OSError as error:
            answer.append({"pid": pid, "name": "", "moved": False, "note": f"it may not be looked into: {error.strerror or error}"})
            continue
        try:
            moved, note = _move(process, gap_ns, found)
        finally:
            process.close()
        answer.append({"pid": pid, "name": process.name, "moved": moved, "note": note})
    return answer


def _move(process: programs.Process, gap_ns: int, found: timers.Timers) -> tuple[bool, str]:
    try:
        if process.is_go():
            vdso.move(process, gap_ns)
            if process.shim:
                _tell_shim(process)
        elif not process.shim:
            return False, process.why_without_shim()
    except (OSError, vdso.VdsoError, ValueError) as error:
        return False, f"it is a Go program, whose clock is in the kernel's vDSO: {_text(error)}"
    notes = []
    try:
        threads.move_waits(process, gap_ns)
    except OSError as error:
        notes.append(f"waits under way may last too long: {_text(error)}")
    try:
        found.move(process.pid, gap_ns)
    except OSError as error:
        notes.append(f"its timerfds may fire too late: {_text(error)}")
    return True, "; ".join(notes)


def _tell_shim(process: programs.Process) -> None:
    """A Go program with C in it: what its libc reads from the vDSO has moved already."""
    from .elf import Elf

    with open(f"/proc/{process.pid}/root{programs.SHIM}", "rb") as file:
        shim = Elf(file)
        symbol = shim.symbol(FLAG)
        if symbol is not None:
            process.write(process.shim - shim.first_load_address() + symbol[0], b"\x01\0\0\0")


def _text(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def in_child(pids: Sequence[int], clock: str, gap_ns: int) -> Message:
    """`move` in a process of its own. The answer's `error` says, in words, why it did not work at all; `ahead_ns` is what the clock file says now."""
    answer_read, answer_write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            sc.prctl(sc.PR_SET_PDEATHSIG, signal.SIGKILL)
            try:
                answer = {"processes": move(pids, clock, gap_ns), "error": ""}
            except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits for the reason
                answer = {"processes": [], "error": f"{_text(error)} {getattr(error, 'filename', None) or ''}".strip()}
            with open(answer_write, "w") as pipe:
                json.dump(answer, pipe)
        finally:
            os._exit(0)
    os.close(answer_write)
    try:
        text = _read(answer_read)
    finally:
        os.close(answer_read)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    try:
        answer = json.loads(text)
    except ValueError:
        answer = {"processes": [], "error": f"moving the clocks did not come to an end within {LIMIT_S:g} s"}
    return {**answer, "ahead_ns": clockfile.read(clock)[1]}


def _read(fd: int) -> bytes:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    text = b""
    while poll.poll(LIMIT_S * 1000):
        data = os.read(fd, 65536)
        if not data:
            break
        text += data
    return text
