"""A story's connections as packets, for Wireshark and its kin: the pcapng format of draft-ietf-opsawg-pcapng (2025).

The router does not keep packets: it keeps when a connection was opened, how many bytes went each way and when, and how it ended. From these, packets are
*reconstructed*: one interface for each environment, raw IPv4, TCP with sequence numbers that count the recorded bytes. Payloads were never recorded, so every
packet is cut after its headers and says how long it was; checksums of TCP are 0 (unknown). What was not recorded is not made up: there are no bare
acknowledgements, and where only an answer was seen, only the answer is here. Request ids and freezes are comments: on packets, on the interfaces, and on the
file's section, which says that this is no capture.

Addresses of environments are not recorded either; each has one of 198.18.0.0/16, in the order of their start (RFC 2544 keeps these off real networks).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from heapq import merge
from ipaddress import AddressValueError, IPv4Address

from msgspec import Struct

from ..core.events import ConnectionClosed, ConnectionTraffic, FirstWriteAnswered
from ..story.timeline import Connection, EnvironmentLife
from .view import Lane, View, thaw_after
from .words import clean, duration, number

SECTION, INTERFACE, PACKET = 0x0A0D0D0A, 1, 6
BYTE_ORDER = 0x1A2B3C4D
LINKTYPE_RAW = 101
"""Packets begin with an IP header (tcpdump.org/linktypes.html)."""

OPT_END, OPT_COMMENT = 0, 1
SHB_USERAPPL = 4
IF_NAME, IF_DESCRIPTION, IF_TSRESOL = 2, 3, 9
NANOSECONDS = 9
"""`if_tsresol`: timestamps count parts of 10^-9 seconds."""

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
HEADERS = 40
"""An IPv4 and a TCP header without options: what is in the file of every packet."""

LARGEST = 65_535 - HEADERS
"""Most payload of one packet: what segmentation offload hands to a capture (tcp(7)), too. A burst of more is several packets."""

COMMENT_MOST = 60_000
"""Bytes of one comment: an option's length is a 16-bit number."""

WINDOW = 65_535


class Packet(Struct, frozen=True):
    """A packet of one connection; numbers of bytes are as seen from the environment."""

    at: float
    outward: bool
    """From the environment to the peer."""
    flags: int
    sequence: int
    acknowledged: int
    payload: int
    comments: tuple[str, ...] = ()


def pcapng(view: View) -> Iterator[bytes]:
    """The file, block by block."""
    yield _section(view)
    flows = []
    for index, lane in enumerate(view.lanes):
        yield _interface(lane)
        address = IPv4Address(0xC6120000 + index + 1)
        flows += [_flow(index, address, connection, lane.life) for connection in lane.connections if _is_ipv4(connection.opened.address)]
    for at, interface, data, payload, comments in merge(*flows, key=lambda packet: packet[0]):
        if view.begin <= at <= view.end:
            yield _packet(at, interface, data, payload, comments)


def _is_ipv4(address: str) -> bool:
    try:
        IPv4Address(address)
    except AddressValueError:
        return False
    return True


# Packets of one connection -----------------------------------------------------------------------------------------------------------------


def packets(connection: Connection, life: EnvironmentLife) -> list[Packet]:
    """A connection's packets, in order."""
    opened = connection.opened
    told = Sequencer()
    said = (f"connection {connection.number} to {connection.name}, fate {opened.fate}", *_request(opened.request_id))
    told.add(opened.at - opened.dialed_s, SYN, outward=True, comments=said)
    told.add(opened.at, SYN | ACK, outward=False)
    told.add(opened.at, ACK, outward=True)
    events: list[ConnectionTraffic | ConnectionClosed | FirstWriteAnswered] = [
        *connection.traffic,
        *connection.closed,
        *connection.first_writes,
    ]
    reset = False
    for event in sorted(events, key=lambda one: one.at):
        thawed = _thawed(event.at, told.last, life)
        match event:
            case ConnectionTraffic():
                _burst(told, event, thawed)
            case ConnectionClosed(by=by, how=how):
                reset = reset or how == "rst"
                flags = ACK | (RST if how == "rst" else FIN)
                told.add(event.at, flags, outward=by == "environment", comments=(*_closing(event, life), *thawed))
            case FirstWriteAnswered():
                _first_write(told, event, thawed, reset=event.answer == "rst" and not reset)
                reset = reset or event.answer == "rst"
            case _:
                pass
    return told.packets


class Sequencer:
    """Counts bytes each way as TCP does: SYN and FIN count for one (RFC 9293, 3.4)."""

    def __init__(self) -> None:
        self._next = {True: 0, False: 0}
        self.last = float("-inf")
        """When the last packet was."""
        self.packets: list[Packet] = []

    def add(self, at: float, flags: int, *, outward: bool, payload: int = 0, comments: Sequence[str] = ()) -> None:
        """One packet; never before the one before it."""
        self.last = max(at, self.last)
        acknowledged = self._next[not outward] if flags & ACK else 0
        self.packets.append(Packet(self.last, outward, flags, self._next[outward], acknowledged, payload, tuple(comments)))
        self._next[outward] += payload + (1 if flags & (SYN | FIN) else 0)

    def data(self, begin: float, end: float, count: int, *, outward: bool, comments: Sequence[str] = ()) -> None:
        """So many bytes within a time, in as few packets as may be."""
        pieces = -(-count // LARGEST)
        for piece in range(pieces):
            at = begin + (end - begin) * piece / max(pieces - 1, 1)
            payload = min(LARGEST, count - piece * LARGEST)
            self.add(at, PSH | ACK, outward=outward, payload=payload, comments=comments if piece == 0 else ())


def _burst(told: Sequencer, burst: ConnectionTraffic, thawed: Sequence[str]) -> None:
    comments = list(_request(burst.request_id))
    if burst.kind != "data":
        comments.append({"ping": "HTTP/2 PING", "ping_ack": "HTTP/2 PING, acknowledgement"}[burst.kind])
    if burst.while_frozen:
        comments.append(f"the environment was frozen: it got this {duration(burst.until - burst.at)} later, after the thaw")
        told.data(burst.at, burst.at, burst.received, outward=False, comments=comments)
        return
    comments += thawed
    # Within a burst it was not recorded who began; a client does.
    told.data(burst.at, burst.until if not burst.received else burst.at, burst.sent, outward=True, comments=comments)
    told.data(burst.until if burst.sent else burst.at, burst.until, burst.received, outward=False, comments=() if burst.sent else comments)


def _first_write(told: Sequencer, event: FirstWriteAnswered, thawed: Sequence[str], *, reset: bool) -> None:
    """What nobody took is in no burst."""
    said = _request(event.request_id)
    if event.sent:
        what = "the first write after the thaw, which nobody took"
        told.data(event.at, event.at, event.sent, outward=True, comments=(what, *said, *thawed))
    if reset:
        what = "answer to the first write after the thaw" + ("; the write itself was not recorded" if event.sent is None else "")
        told.add(event.at, RST | ACK, outward=False, comments=(what, *said, *(() if event.sent else thawed)))


def _request(request_id: str | None) -> tuple[str, ...]:
    return (f"request {request_id}",) if request_id is not None else ()


def _thawed(at: float, since: float, life: EnvironmentLife) -> tuple[str, ...]:
    """The last freeze that ended between the packet before and this one."""
    freeze = life.freeze_before(at)
    if freeze is None or not freeze.thawed or not since <= freeze.end <= at:
        return ()
    return (f"before this the environment was frozen, {freeze.begin:.6f} to {freeze.end:.6f} ({duration(freeze.gap_s)})",)


def _closing(event: ConnectionClosed, life: EnvironmentLife) -> tuple[str, ...]:
    said = {
        "at_once": "",
        "after_thaw": f"the environment was frozen: it got this {duration(thaw_after(life, event.at) - event.at)} later, after the thaw",
        "never": "the environment was frozen, and this was lost: it was never told"
        if event.by != "environment"
        else "the peer was never told",
    }[event.reached]
    by = "sent by a middlebox" if event.by == "middlebox" else ""
    return tuple(one for one in (by, said, *_request(event.request_id)) if one)


Framed = tuple[float, int, bytes, int, tuple[str, ...]]


def _flow(interface: int, address: IPv4Address, connection: Connection, life: EnvironmentLife) -> Iterator[Framed]:
    opened = connection.opened
    here = (address.packed, opened.local_port)
    there = (IPv4Address(opened.address).packed, opened.port)
    for packet in packets(connection, life):
        source, destination = (here, there) if packet.outward else (there, here)
        yield packet.at, interface, _headers(packet, source, destination), packet.payload, packet.comments


def _headers(packet: Packet, source: tuple[bytes, int], destination: tuple[bytes, int]) -> bytes:
    """The IPv4 and TCP headers (RFC 791, 3.1; RFC 9293, 3.1)."""
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, HEADERS + packet.payload, 0, 0x4000, 64, 6, 0, source[0], destination[0])
    ip = ip[:10] + struct.pack("!H", _checksum(ip)) + ip[12:]
    sequence, acknowledged = packet.sequence & 0xFFFFFFFF, packet.acknowledged & 0xFFFFFFFF
    return ip + struct.pack("!HHIIBBHHH", source[1], destination[1], sequence, acknowledged, 5 << 4, packet.flags, WINDOW, 0, 0)


def _checksum(header: bytes) -> int:
    """RFC 1071."""
    total: int = sum(struct.unpack(f"!{len(header) // 2}H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


# Blocks ------------------------------------------------------------------------------------------------------------------------------------


def _section(view: View) -> bytes:
    header = view.timeline.header
    said = (
        "Not a capture: reconstructed from a Frostline story. The router recorded connections, bytes and times; packet boundaries, "
        "acknowledgements, the environments' addresses and everything within packets are not the real ones. Payloads were not recorded."
    )
    if view.timeline.truncated:
        said += " The recording was cut off in the middle."
    body = struct.pack("<IHHq", BYTE_ORDER, 1, 0, -1)
    return _block(SECTION, body + _options((OPT_COMMENT, said), (SHB_USERAPPL, f"Frostline {header.version}")))


def _interface(lane: Lane) -> bytes:
    life = lane.life
    freezes = [
        f"frozen {freeze.begin:.6f} to {freeze.end:.6f} ({duration(freeze.gap_s)})"
        + (f", after request {freeze.before}" if freeze.before else "")
        + (f", until request {freeze.after}" if freeze.after else "")
        for freeze in life.freezes
    ]
    comments = [f"environment {life.id} of function {life.function}; times are epoch seconds", *freezes]
    options = (
        (OPT_COMMENT, _shortened(comments)),
        (IF_NAME, life.short),
        (IF_DESCRIPTION, f"{life.function}, environment {life.id}"),
        (IF_TSRESOL, bytes([NANOSECONDS])),
    )
    return _block(INTERFACE, struct.pack("<HHI", LINKTYPE_RAW, 0, 0) + _options(*options))


def _shortened(comments: list[str]) -> str:
    """Lines of a comment, as many as fit."""
    kept, left = [], COMMENT_MOST
    for index, comment in enumerate(comments):
        left -= len(comment.encode()) + 1
        if left < 0:
            kept.append(f"and {number(len(comments) - index, 'more freeze')}")
            break
        kept.append(comment)
    return "\n".join(kept)


def _packet(at: float, interface: int, data: bytes, payload: int, comments: tuple[str, ...]) -> bytes:
    nanoseconds = round(at * 1e6) * 1000  # a story's clock is not finer than a microsecond
    body = struct.pack("<IIIII", interface, nanoseconds >> 32, nanoseconds & 0xFFFFFFFF, len(data), len(data) + payload)
    options = _options((OPT_COMMENT, "\n".join(comments))) if comments else b""
    return _block(PACKET, body + _padded(data) + options)


def _options(*options: tuple[int, str | bytes]) -> bytes:
    encoded = b""
    for code, value in options:
        data = value if isinstance(value, bytes) else _utf8(value)
        encoded += struct.pack("<HH", code, len(data)) + _padded(data)
    return encoded + struct.pack("<HH", OPT_END, 0)


def _utf8(text: str) -> bytes:
    """Names and ids are somebody else's text; lines are ours."""
    return "\n".join(clean(line) for line in text.split("\n")).encode()[:COMMENT_MOST]


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)


def _block(kind: int, body: bytes) -> bytes:
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + length + body + length
