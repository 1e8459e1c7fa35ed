"""Packets for Wireshark: read back by a strict parser of its own, with numbers that add up and comments that say what this is.

What is written was also read with tshark 4.0 when this was made: it finds no malformed block, and its TCP analysis nothing to complain of.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace

from frostline.core.events import ConnectionTraffic
from frostline.render.pcapng import LARGEST, packets, pcapng
from frostline.render.view import select
from frostline.story.timeline import Timeline
from tests.render import stories
from tests.render.stories import BEGAN

FIN, SYN, RST, ACK = 1, 2, 4, 16


class Read(Struct):
    """One packet, as it was read."""

    interface: int
    at: float
    source: tuple[str, int]
    destination: tuple[str, int]
    sequence: int
    acknowledged: int
    flags: int
    payload: int
    comments: list[str]


class File(Struct):
    comment: str
    interfaces: list[dict[int, bytes]]
    packets: list[Read]


def parse(data: bytes) -> File:
    """Read a file, and hold it to the format: lengths, order of blocks, paddings, ends of options."""
    found = File("", [], [])
    position = 0
    while position < len(data):
        kind, length = struct.unpack_from("<II", data, position)
        assert length % 4 == 0 and length >= 12
        (again,) = struct.unpack_from("<I", data, position + length - 4)
        assert again == length
        body = data[position + 8 : position + length - 4]
        if kind == 0x0A0D0D0A:
            assert position == 0
            assert struct.unpack_from("<IHHq", body) == (0x1A2B3C4D, 1, 0, -1)
            found.comment = options(body[16:])[1][0].decode()
        elif kind == 1:
            assert not found.packets, "interfaces come before what was seen on them"
            linktype, reserved, _ = struct.unpack_from("<HHI", body)
            assert (linktype, reserved) == (101, 0)
            found.interfaces.append({code: values[0] for code, values in options(body[8:]).items()})
        else:
            assert kind == 6
            found.packets.append(packet(body))
            assert found.packets[-1].interface < len(found.interfaces)
        position += length
    assert position == len(data)
    return found


def options(data: bytes) -> dict[int, list[bytes]]:
    found: dict[int, list[bytes]] = {}
    while data:
        code, length = struct.unpack_from("<HH", data)
        if code == 0:
            assert data == b"\0\0\0\0"
            return found
        value, padding = data[4 : 4 + length], data[4 + length : 4 + length + -length % 4]
        assert len(value) == length and not padding.strip(b"\0")
        found.setdefault(code, []).append(value)
        data = data[4 + length + -length % 4 :]
    return found


def packet(body: bytes) -> Read:
    interface, high, low, captured, original = struct.unpack_from("<IIIII", body)
    data = body[20 : 20 + captured]
    version, _, whole, _, _, ttl, protocol, _, source, destination = struct.unpack_from("!BBHHHBBH4s4s", data)
    assert (version, protocol) == (0x45, 6) and ttl > 0
    assert whole == original and captured == 40, "payloads are not in the file, and their length is"
    total = sum(struct.unpack("!10H", data[:20]))
    assert (total & 0xFFFF) + (total >> 16) == 0xFFFF, "the IP header's checksum"
    source_port, destination_port, sequence, acknowledged, offset, flags = struct.unpack_from("!HHIIBB", data, 20)
    assert offset == 5 << 4
    rest = body[20 + captured + -captured % 4 :]
    return Read(
        interface,
        ((high << 32) + low) / 1e9,
        (str(IPv4Address(source)), source_port),
        (str(IPv4Address(destination)), destination_port),
        sequence,
        acknowledged,
        flags,
        original - captured,
        [value.decode() for value in options(rest).get(1, [])] if rest else [],
    )


def written(timeline: Timeline) -> File:
    return parse(b"".join(pcapng(select(timeline))))


def test_the_first_incident_in_packets() -> None:
    file = written(stories.keepalive_timeline())
    assert file.comment.startswith("Not a capture: reconstructed from a Frostline story.")
    (interface,) = file.interfaces
    assert interface[2] == b"a41c7d" and interface[9] == b"\x09"
    assert interface[1].decode().count("\nfrozen ") == 3
    assert f"after request {stories.K2}, until request {stories.K3}" in interface[1].decode()
    assert [(one.flags & ~8, one.payload) for one in file.packets] == [
        (SYN, 0),
        (SYN | ACK, 0),
        (ACK, 0),
        (ACK, 412),
        (ACK, 268),
        (ACK, 17),
        (ACK, 17),
        (RST | ACK, 0),
    ]
    ping, pong, reset = file.packets[5:]
    assert ping.source == ("198.18.0.1", 40001) and ping.destination == ("198.19.64.1", 8080)
    assert f"request {stories.K2}" in ping.comments[0] and "HTTP/2 PING" in ping.comments[0]
    assert "before this the environment was frozen" in ping.comments[0]
    assert pong.at == pytest.approx(BEGAN + 8.9464, abs=1e-6)
    assert "it got this 3.35 s later, after the thaw" in pong.comments[0]
    assert f"request {stories.K3}" in reset.comments[0]


def test_the_second_incident_in_packets() -> None:
    file = written(stories.pool().timeline())
    fin, reset = (one for one in file.packets if one.flags & (FIN | RST))
    assert "this was lost: it was never told" in fin.comments[0] and fin.source[0] == "198.19.64.2"
    assert "answer to the first write after the thaw" in reset.comments[0] and f"request {stories.P2}" in reset.comments[0]
    [write] = [one for one in file.packets if fin.at < one.at <= reset.at and one is not reset]
    assert (write.source, write.payload) == (("198.18.0.1", 40001), 1874), "nothing else is made up in between"
    assert "which nobody took" in write.comments[0] and f"request {stories.P2}" in write.comments[0]


def test_a_write_that_was_not_recorded_is_not_made_up() -> None:
    timeline = stories.pool().timeline()
    connection = timeline.connections[1]
    connection.first_writes = [replace(first, sent=None) for first in connection.first_writes]
    *_, before, reset = packets(connection, timeline.environments[stories.POOL])
    assert before.flags & FIN and reset.flags & RST
    assert "the write itself was not recorded" in reset.comments[0]


def test_numbers_add_up_on_every_connection_of_a_crowd() -> None:
    timeline = stories.crowd(800, 8, 40).timeline()
    file = written(timeline)
    assert len(file.interfaces) == 8
    assert all(before.at <= after.at for before, after in zip(file.packets, file.packets[1:], strict=False))
    flows: dict[frozenset[tuple[str, int]], list[Read]] = {}
    for one in file.packets:
        flows.setdefault(frozenset((one.source, one.destination)), []).append(one)
    assert len(flows) == len(timeline.connections)
    for flow in flows.values():
        following: dict[tuple[str, int], int] = {}
        for one in flow:
            assert one.sequence == following.get(one.source, 0)
            assert not one.flags & ACK or one.acknowledged == following.get(one.destination, 0)
            following[one.source] = one.sequence + one.payload + (1 if one.flags & (SYN | FIN) else 0)


@given(st.integers(0, 5_000_000_000), st.integers(0, 300_000))
def test_bytes_are_neither_lost_nor_made(sent: int, received: int) -> None:
    timeline = stories.pool().timeline()
    connection = timeline.connections[2]
    burst = connection.traffic[0]
    connection.traffic = [replace(burst, sent=min(sent, 50_000_000), received=received)]
    made = packets(connection, timeline.environments[stories.POOL])
    assert sum(one.payload for one in made if one.outward) == min(sent, 50_000_000)
    assert sum(one.payload for one in made if not one.outward) == received
    assert all(one.payload <= LARGEST for one in made)
    assert all(burst.at <= one.at <= burst.until for one in made if one.payload)


def test_a_burst_without_bytes_is_no_packet() -> None:
    timeline = stories.pool().timeline()
    connection = timeline.connections[2]
    quiet = ConnectionTraffic(stories.POOL, at=BEGAN + 6.3, until=BEGAN + 6.3, connection=2, sent=0, received=0)
    connection.traffic = [quiet]
    assert len(packets(connection, timeline.environments[stories.POOL])) == 3


def test_thousands_of_freezes_do_not_overflow_a_comment() -> None:
    told = stories.Teller()
    told.deploy("f")
    told.init("e" * 32, "f", 0.1, 0.2)
    for turn in range(1500):
        told.serves("e" * 32, "f", f"{turn:036}", 0.2 + turn, 0.3 + turn, thawed=turn > 0, frozen_at=0.31 + turn)
    comment = written(told.timeline()).interfaces[0][1].decode()
    assert len(comment.encode()) < 65_536 and comment.endswith(" more freezes")


def test_an_empty_and_a_cut_off_story() -> None:
    assert written(stories.Teller().timeline()).packets == []
    assert "cut off in the middle" in written(stories.keepalive().timeline(cut=900)).comment


@given(st.text(max_size=30))
def test_names_may_be_anything(text: str) -> None:
    told = stories.pool()
    told.opens(stories.POOL, 3, 6.3, f"r{text}", host=text)
    written(told.timeline())
