"""The clock of a Go program. Go asks no libc for the time but the vDSO, code that the kernel maps into every process.

A process has a copy of its own as soon as somebody writes to it, as debuggers do. So while it is frozen, the vDSO's `clock_gettime` gets a detour: its
first instructions, copied into the room that is left at the vDSO's end, then the rest of it, then the offset is added. Where its first instructions are
not among those that mean the same in another place, the detour asks the kernel instead, which is slower.

Go's scheduler waits for durations only (futex and epoll_wait), and reckons them anew when a wait is interrupted: runtime/lock_futex.go,
runtime/netpoll_epoll.go. Prior art: Chaos Mesh's TimeChaos also replaces this function in running processes.
"""

from __future__ import annotations

import io
import struct

from .elf import Elf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .programs import Process

FUNCTION = b"__vdso_clock_gettime"
_SECOND = 1_000_000_000
_JUMP = struct.Struct("<Bi")
_JUMP_CODE = 0xE9

_HEAD = struct.Struct("<QQ")
"""Marks a detour, right before its code, and holds its offset in nanoseconds: one number, so that no thread is frozen between two halves of it."""
_HEAD_MAGIC = 0x4F53445654534F52
_AHEAD_AT = 8

# What may be copied elsewhere: endbr64; push of any register; mov rbp, rsp; and rsp, -16; sub rsp, a byte.
_MOVABLE = (
    (b"\xf3\x0f\x1e\xfa", 4),
    *((bytes([0x50 + number]), 1) for number in range(8)),
    *((bytes([0x41, 0x50 + number]), 2) for number in range(8)),
    (b"\x48\x89\xe5", 3),
    (b"\x48\x83\xe4", 4),
    (b"\x48\x83\xec", 4),
)

_MOVING_CLOCKS = 0xBF3
"""A bit for each of CLOCK_REALTIME, MONOTONIC, MONOTONIC_RAW, both COARSE, BOOTTIME, both ALARM, TAI."""


class VdsoError(Exception):
    """The vDSO cannot be changed; the text says why."""


def move(process: Process, gap_ns: int) -> None:
    """Move a frozen process's clock on, from wherever it was. Raises VdsoError, OSError."""
    start, end = process.vdso
    image = process.read(start, end - start)
    try:
        elf = Elf(io.BytesIO(image))
        symbol = elf.symbol(FUNCTION)
        room = -(-elf.end // 16) * 16
    except ValueError:
        raise VdsoError("it has no vDSO") from None
    if symbol is None or not symbol[0] < room < len(image):
        raise VdsoError("its vDSO has no clock_gettime, or no room at its end")
    entry = symbol[0]
    head = image[room : room + _HEAD.size]
    if len(head) == _HEAD.size and _HEAD.unpack(head)[0] == _HEAD_MAGIC:
        process.write(start + room, _HEAD.pack(_HEAD_MAGIC, _HEAD.unpack(head)[1] + gap_ns))
        return
    code = detour(image, entry, room + _HEAD.size, room)
    if any(image[room:]) or room + _HEAD.size + len(code) > len(image):
        raise VdsoError("its vDSO has no room at its end")
    if _is_being_entered(process, start + entry):
        raise VdsoError("it was frozen in the first instructions of the function that would be changed")
    process.write(start + room, _HEAD.pack(_HEAD_MAGIC, gap_ns) + code)
    process.write(start + entry, _JUMP.pack(_JUMP_CODE, room + _HEAD.size - (entry + _JUMP.size)))


def detour(image: bytes, entry: int, place: int, head: int) -> bytes:
    """The code that takes over from the function at `entry`, to lie at `place`, with its offset at `head`. All relative to the image.

    int clock_gettime(edi = clock, rsi = result)
    """
    size = _movable(image, entry)
    if size is None:
        read = b"\xb8\xe4\x00\x00\x00" + b"\x0f\x05"  # mov eax, SYS_clock_gettime; syscall
        original = b""
    else:
        read = b"\x57\x56" + b"\xe8\0\0\0\0" + b"\x5e\x5f"  # push rdi; push rsi; call original; pop rsi; pop rdi
        original = image[entry : entry + size] + b"\xe9\0\0\0\0"  # its first instructions; jmp to the rest

    def tail(at: int) -> bytes:
        code = b"\x85\xc0\x75\x34"  # test eax, eax; jne end
        code += b"\x83\xff\x0b\x77\x2f"  # cmp edi, 11; ja end
        code += b"\xba" + struct.pack("<I", _MOVING_CLOCKS)  # mov edx, clocks
        code += b"\x0f\xa3\xfa\x73\x25"  # bt edx, edi; jnc end
        code += b"\x48\x69\x06" + struct.pack("<i", _SECOND)  # imul rax, [rsi], 1e9
        code += b"\x48\x03\x46\x08"  # add rax, [rsi + 8]
        code += b"\x48\x03\x05" + struct.pack("<i", head + _AHEAD_AT - (at + len(code) + 7))  # add rax, [ahead]
        code += b"\x31\xd2\xb9" + struct.pack("<i", _SECOND)  # xor edx, edx; mov ecx, 1e9
        code += b"\x48\xf7\xf1"  # div rcx
        code += b"\x48\x89\x06\x48\x89\x56\x08"  # mov [rsi], rax; mov [rsi + 8], rdx
        code += b"\x31\xc0"  # xor eax, eax
        return code + b"\xc3"  # end: ret

    whole = read + tail(place + len(read))
    if size is not None:
        call = 2
        whole = whole[: call + 1] + struct.pack("<i", len(whole) - (call + 5)) + whole[call + 5 :]
        jump_end = place + len(whole) + len(original)
        whole += original[:-4] + struct.pack("<i", entry + size - jump_end)
    return whole


def _movable(image: bytes, entry: int) -> int | None:
    """How many bytes of whole instructions make room for the jump; None when one of them means something else in another place."""
    size = 0
    while size < _JUMP.size:
        for prefix, length in _MOVABLE:
            if image.startswith(prefix, entry + size):
                size += length
                break
        else:
            return None
    return size


def _is_being_entered(process: Process, entry: int) -> bool:
    """Whether a thread stands between the instructions that the jump replaces."""
    return any(entry < thread.place < entry + _JUMP.size for thread in process.threads())
