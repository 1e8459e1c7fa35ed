"""The few rtnetlink requests that the lab needs, sent in batches: rtnetlink(7), and `linux/rtnetlink.h` for the numbers.

Written here and not taken from pyroute2, which costs 0.25 s and 20 MB to import and 1.5 ms and more per request (0.9.7, measured):
time that everybody would wait for at start and at every cold start. A batch of these takes a tenth of a millisecond.

Constants are spelled as in the kernel's headers.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Sequence
from typing import NamedTuple

NLM_F_REQUEST, NLM_F_ACK = 0x1, 0x4
NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE = 0x100, 0x200, 0x400
NLMSG_ERROR = 2

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK, RTM_SETLINK = 16, 17, 18, 19
RTM_NEWADDR, RTM_NEWROUTE, RTM_NEWNEIGH, RTM_NEWRULE = 20, 24, 28, 32

IFF_UP = 0x1
IF_OPER_UP = 6
IFF_NOARP = 0x80
IFLA_ADDRESS, IFLA_IFNAME, IFLA_OPERSTATE, IFLA_LINKINFO, IFLA_AF_SPEC, IFLA_GROUP, IFLA_NET_NS_FD = 1, 3, 16, 18, 26, 27, 28
IFLA_INFO_KIND, IFLA_INFO_DATA, VETH_INFO_PEER = 1, 2, 1
IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE = 8, 1
IFA_ADDRESS, IFA_LOCAL = 1, 2
RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PREFSRC, RTA_TABLE = 1, 4, 5, 7, 15
RTN_UNICAST, RTN_LOCAL = 1, 2
RT_SCOPE_UNIVERSE, RT_SCOPE_LINK, RT_SCOPE_HOST = 0, 253, 254
RT_TABLE_MAIN = 254
RTPROT_STATIC = 4
RTNH_F_ONLINK = 4
NDA_DST, NDA_LLADDR = 1, 2
NUD_PERMANENT = 0x80
FRA_PRIORITY, FRA_FWMARK = 6, 10
FR_ACT_TO_TBL = 1

_HEADER = struct.Struct("=IHHII")
LOOPBACK_INDEX = 1


class NetlinkError(Exception):
    """The kernel refused a request. The text says which one, in words, and the kernel's reason."""


class Request(NamedTuple):
    """One request; `what` names it for a person ("create the veth env1"), `tolerate` are errors that are as good as success."""

    what: str
    kind: int
    flags: int
    body: bytes
    tolerate: frozenset[int] = frozenset()


def attribute(kind: int, value: bytes) -> bytes:
    """A netlink attribute: length, kind, value, padded to four bytes."""
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def nested(kind: int, *attributes: bytes) -> bytes:
    """An attribute that consists of attributes."""
    return attribute(kind, b"".join(attributes))


def u32(value: int) -> bytes:
    return struct.pack("=I", value)


def ipv4(address: str) -> bytes:
    return socket.inet_aton(address)


def _link_header(index: int, flags: int = 0, change: int = 0) -> bytes:
    return struct.pack("=BxHiII", socket.AF_UNSPEC, 0, index, flags, change)


def new_veth(name: str, index: int, mac: bytes, peer_name: str, peer_index: int, peer_mac: bytes, peer_netns: int) -> Request:
    """Create a veth whose other end appears in another network namespace (a descriptor) at once. Both ends without ARP, both down."""
    peer = _link_header(peer_index, IFF_NOARP, IFF_NOARP) + b"".join(
        (attribute(IFLA_IFNAME, peer_name.encode() + b"\0"), attribute(IFLA_ADDRESS, peer_mac), attribute(IFLA_NET_NS_FD, u32(peer_netns)))
    )
    body = _link_header(index, IFF_NOARP, IFF_NOARP) + b"".join(
        (
            attribute(IFLA_IFNAME, name.encode() + b"\0"),
            attribute(IFLA_ADDRESS, mac),
            nested(IFLA_LINKINFO, attribute(IFLA_INFO_KIND, b"veth"), nested(IFLA_INFO_DATA, attribute(VETH_INFO_PEER, peer))),
        )
    )
    return Request(f"create the veth {name}", RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body)


def no_ipv6_address(index: int) -> Request:
    """Keep an interface from giving itself an IPv6 address. Kernels without IPv6 need not be told."""
    spec = nested(IFLA_AF_SPEC, nested(socket.AF_INET6, attribute(IFLA_INET6_ADDR_GEN_MODE, bytes([IN6_ADDR_GEN_MODE_NONE]))))
    what = f"switch off IPv6 addresses on interface {index}"
    return Request(what, RTM_SETLINK, 0, _link_header(index) + spec, frozenset({errno.EAFNOSUPPORT, errno.EINVAL, errno.EOPNOTSUPP}))


def link_up(index: int) -> Request:
    return Request(f"bring interface {index} up", RTM_SETLINK, 0, _link_header(index, IFF_UP, IFF_UP))


def set_group(index: int, group: int) -> Request:
    """Put a link into a group; no error when it is gone already."""
    body = _link_header(index) + attribute(IFLA_GROUP, u32(group))
    return Request(f"put interface {index} into group {group}", RTM_SETLINK, 0, body, frozenset({errno.ENODEV}))


def delete_group(group: int) -> Request:
    """Delete all links of a group in one go: the kernel's grace periods (10 ms and more) are paid once, not once per link."""
    body = _link_header(0) + attribute(IFLA_GROUP, u32(group))
    return Request(f"delete the interfaces of group {group}", RTM_DELLINK, 0, body, frozenset({errno.ENODEV}))


def new_address(index: int, address: str) -> Request:
    """Give an interface one address, /32."""
    body = struct.pack("=BBBBi", socket.AF_INET, 32, 0, RT_SCOPE_UNIVERSE, index)
    body += attribute(IFA_LOCAL, ipv4(address)) + attribute(IFA_ADDRESS, ipv4(address))
    return Request(f"give interface {index} the address {address}", RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, body)


def _route(length: int, table: int, scope: int, kind: int, flags: int, *attributes: bytes) -> bytes:
    header = struct.pack("=BBBBBBBBI", socket.AF_INET, length, 0, 0, table, RTPROT_STATIC, scope, kind, flags)
    return header + b"".join(attributes)


def host_route(address: str, index: int, source: str) -> Request:
    """Route one address to an interface, with the source address that our own packets get."""
    attributes = (attribute(RTA_DST, ipv4(address)), attribute(RTA_OIF, u32(index)), attribute(RTA_PREFSRC, ipv4(source)))
    body = _route(32, RT_TABLE_MAIN, RT_SCOPE_LINK, RTN_UNICAST, 0, *attributes)
    return Request(f"route {address} to interface {index}", RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, body)


def default_route(gateway: str, index: int) -> Request:
    """Everything goes to the gateway, which is on this link although no prefix says so."""
    attributes = (attribute(RTA_GATEWAY, ipv4(gateway)), attribute(RTA_OIF, u32(index)))
    body = _route(0, RT_TABLE_MAIN, RT_SCOPE_UNIVERSE, RTN_UNICAST, RTNH_F_ONLINK, *attributes)
    return Request(f"set the default route to {gateway}", RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, body)


def everything_is_local(table: int) -> Request:
    """In this table every address is our own, so that packets to anywhere are delivered to sockets here."""
    body = _route(0, table, RT_SCOPE_HOST, RTN_LOCAL, 0, attribute(RTA_OIF, u32(LOOPBACK_INDEX)))
    return Request(f"make every address local in table {table}", RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, body)


def mark_rule(mark: int, table: int) -> Request:
    """Packets with this mark are routed by this table."""
    body = struct.pack("=BBBBBBBBI", socket.AF_INET, 0, 0, 0, table, 0, 0, FR_ACT_TO_TBL, 0)
    body += attribute(FRA_PRIORITY, u32(100)) + attribute(FRA_FWMARK, u32(mark))
    return Request(f"route packets with mark {mark} by table {table}", RTM_NEWRULE, NLM_F_CREATE, body)


def permanent_neighbour(index: int, address: str, mac: bytes) -> Request:
    """A neighbour that needs no ARP and is never lost (without it a cut loses packets for a second: measured)."""
    body = struct.pack("=BxxxiHBB", socket.AF_INET, index, NUD_PERMANENT, 0, 0)
    body += attribute(NDA_DST, ipv4(address)) + attribute(NDA_LLADDR, mac)
    return Request(f"enter the neighbour {address} on interface {index}", RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, body)


class Netlink:
    """A NETLINK_ROUTE socket. It belongs to the network namespace in which it was made, whatever namespace its user is in later."""

    def __init__(self) -> None:
        self._sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._sock.bind((0, 0))
        self._sequence = 0

    def __enter__(self) -> Netlink:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._sock.close()

    def run(self, requests: Sequence[Request]) -> None:
        """Carry out a batch in order; a failure does not stop those after it. Raises NetlinkError for the first that failed."""
        first = self._sequence + 1
        self._sequence += len(requests)
        batch = bytearray()
        for sequence, request in enumerate(requests, first):
            flags = NLM_F_REQUEST | NLM_F_ACK | request.flags
            batch += _HEADER.pack(_HEADER.size + len(request.body), request.kind, flags, sequence, 0) + request.body
        self._sock.send(batch)
        codes = self._acknowledgements(len(requests))
        for sequence, request in enumerate(requests, first):
            code = codes[sequence]
            if code and code not in request.tolerate:
                raise NetlinkError(f"could not {request.what}: {os.strerror(code)}")

    def is_operational(self, index: int) -> bool:
        """Whether a link carries packets (RFC 2863's ifOperStatus), which it may not yet when both its ends are up."""
        self._sequence += 1
        body = _link_header(index)
        self._sock.send(_HEADER.pack(_HEADER.size + len(body), RTM_GETLINK, NLM_F_REQUEST, self._sequence, 0) + body)
        data = self._sock.recv(65_536)
        length, kind, *_ = _HEADER.unpack_from(data)
        if kind != RTM_NEWLINK:
            return False
        offset = _HEADER.size + len(body)
        while offset + 4 <= length:
            size, name = struct.unpack_from("=HH", data, offset)
            if name == IFLA_OPERSTATE:
                return data[offset + 4] == IF_OPER_UP
            offset += (size + 3) & ~3
        return False

    def _acknowledgements(self, expected: int) -> dict[int, int]:
        """Error numbers (0: success) by sequence number."""
        codes: dict[int, int] = {}
        while len(codes) < expected:
            data = self._sock.recv(65_536)
            offset = 0
            while offset < len(data):
                length, kind, _, sequence, _ = _HEADER.unpack_from(data, offset)
                if kind == NLMSG_ERROR:
                    codes[sequence] = -struct.unpack_from("=i", data, offset + _HEADER.size)[0]
                offset += (length + 3) & ~3
        return codes
