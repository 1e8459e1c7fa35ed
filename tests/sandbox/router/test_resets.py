"""What the packet socket's filter lets through, and how it is read."""

from __future__ import annotations

import socket
import struct

import pytest

from frostline.sandbox.router.resets import (
    DROP,
    JEQ,
    JSET,
    LD_B,
    LD_B_X,
    LD_H_X,
    LDX_MSH,
    MAX_PORTS,
    PACKET_OUTGOING,
    RET,
    SKF_AD_PKTTYPE,
    Instruction,
    Reset,
    Sent,
    is_farewell,
    program,
    read,
)

HERE, THERE = ("198.19.0.7", 40_000), ("10.0.0.1", 443)
FIN, RST, ACK = 0x01, 0x04, 0x10


def segment(
    source: tuple[str, int], destination: tuple[str, int], flags: int, payload: bytes = b"", *, protocol: int = 6, options: int = 0
) -> bytes:
    """An IPv4 packet; `options`: words of them in its header."""
    tcp = struct.pack("!HHIIBBHHH", source[1], destination[1], 1, 1, 8 << 4, flags, 0, 0, 0) + bytes(12)
    size = 20 + 4 * options + len(tcp) + len(payload)
    addresses = socket.inet_aton(source[0]) + socket.inet_aton(destination[0])
    return struct.pack("!BBHHHBBH", 0x45 + options, 0, size, 0, 0, 64, protocol, 0) + addresses + bytes(4 * options) + tcp + payload


def passes(packet: bytes, instructions: list[Instruction], *, outgoing: bool) -> bool:
    """As the kernel would run it."""
    accumulator = index = at = 0
    while True:
        operation, true, false, value = instructions[at]
        at += 1
        match operation:
            case _ if operation == RET:
                return value > 0
            case _ if operation == LD_B and value == SKF_AD_PKTTYPE:
                accumulator = PACKET_OUTGOING if outgoing else 0
            case _ if operation == LD_B:
                accumulator = packet[value]
            case _ if operation == LD_B_X:
                accumulator = packet[index + value]
            case _ if operation == LD_H_X:
                accumulator = int.from_bytes(packet[index + value : index + value + 2])
            case _ if operation == LDX_MSH:
                index = (packet[value] & 15) * 4
            case _ if operation == JEQ:
                at += true if accumulator == value else false
            case _ if operation == JSET:
                at += true if accumulator & value else false
            case _:
                raise AssertionError(operation)


@pytest.mark.parametrize("options", [0, 3])
def test_the_filter_lets_resets_out_and_watched_ports_in(options: int) -> None:
    watching = program([50_000, HERE[1], 50_001])
    assert passes(segment(THERE, HERE, RST, options=options), watching, outgoing=True)
    assert not passes(segment(THERE, HERE, ACK, b"data", options=options), watching, outgoing=True)
    assert passes(segment(HERE, THERE, ACK, b"data", options=options), watching, outgoing=False)
    assert not passes(segment(("198.19.0.7", 40_001), THERE, ACK, b"data", options=options), watching, outgoing=False)
    assert not passes(segment(HERE, THERE, ACK, protocol=17), watching, outgoing=False)
    assert not passes(segment(HERE, THERE, ACK), program(), outgoing=False)


def test_of_very_many_ports_the_newest_are_watched() -> None:
    ports = list(range(10_000, 10_000 + 2 * MAX_PORTS))
    watching = program(ports)
    for port in (ports[-1], ports[-MAX_PORTS]):
        assert passes(segment((HERE[0], port), THERE, ACK), watching, outgoing=False)
    assert not passes(segment((HERE[0], ports[-MAX_PORTS - 1]), THERE, ACK), watching, outgoing=False)
    assert passes(segment(THERE, HERE, RST), watching, outgoing=True)
    assert all(jump < 256 for _, true, false, _ in watching for jump in (true, false))
    assert watching[-1] == DROP


@pytest.mark.parametrize("data", [b"", b"\x45", bytes(19), b"\x45" + bytes(22), b"\x4f" + bytes(30)])
def test_what_is_no_segment_is_not_read_as_one(data: bytes) -> None:
    assert read(data, 1.0, outgoing=True) is None
    assert read(data, 1.0, outgoing=False) is None


def test_both_kinds_name_the_flow_from_the_environments_side() -> None:
    flow = (*HERE, *THERE)
    assert read(segment(THERE, HERE, RST), 1.0, outgoing=True) == Reset(flow, 1.0)
    assert read(segment(HERE, THERE, ACK, bytes(100), options=2), 1.0, outgoing=False) == Sent(flow, 1.0, 100, ends=False, farewell=False)
    assert read(segment(HERE, THERE, FIN | ACK), 1.0, outgoing=False) == Sent(flow, 1.0, 0, ends=True, farewell=True)
    long = segment(HERE, THERE, ACK, bytes(1400))[:192]
    assert read(long, 1.0, outgoing=False) == Sent(flow, 1.0, 1400, ends=False, farewell=False)


@pytest.mark.parametrize(
    ("said", "farewell"),
    [
        (b"", True),
        (b"X\0\0\0\4", True),
        (b"\x15\x03\x03\x00\x1a" + bytes(26), True),
        (b"\0\0\x08\x07\0\0\0\0\0" + bytes(8), True),
        (b"*1\r\n$4\r\nPING\r\n", True),
        (b"*1\r\n$4\r\nquit\r\n", True),
        (b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", False),
        (b"POST /orders HTTP/1.1\r\nHost: orders.local:8080\r\nContent-Length: 2\r\n\r\n{}", False),
    ],
)
def test_a_farewell_is_no_request(said: bytes, farewell: bool) -> None:
    assert is_farewell(said, len(said)) is farewell
