"""DNS messages: what a query asks, and answers to it (RFC 1035, and RFC 6891 for the size a client can take). No I/O here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import NamedTuple

from dnslib import AAAA, CLASS, EDNS0, QR, QTYPE, RCODE, RR, A, DNSError, DNSRecord

from .addresses import HOST_ADDRESS, HOST_NAMES, LAB_DOMAIN

TTL_S = 5
"""How long an answer may be kept. getaddrinfo tells no TTL; short, because the machine's resolver keeps its own."""

PLAIN_UDP_BYTES = 512
MAX_UDP_BYTES = 1232
"""RFC 1035's limit, and the size that DNS software agreed on for answers with EDNS (DNS flag day 2020)."""

_NAME = re.compile(r"(?!.*\.\d+$)(?!\d+$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
"""What is handed to the machine's resolver: no escapes, no spaces, and nothing that it would take for a number."""


class Query(NamedTuple):
    """One question, understood."""

    record: DNSRecord
    name: str
    """Lower case, without the final dot."""
    kind: str
    """`A`, `AAAA`, `SRV`, ... or `TYPE65280`."""
    limit: int
    """Most bytes of an answer by UDP."""
    has_edns: bool


class BadQuery(Exception):
    """Not a query that can be answered by looking up a name; `reply` is the answer to send, or None where there is none to give."""

    def __init__(self, reply: bytes | None) -> None:
        super().__init__("malformed or unsupported DNS query")
        self.reply = reply


def understand(data: bytes) -> Query:
    """Parse a query. Raises BadQuery."""
    try:
        record = DNSRecord.parse(data)
    except (DNSError, ValueError, LookupError, TypeError):
        # dnslib lets some errors of its own parsing through.
        raise BadQuery(None) from None
    if record.header.qr == QR.RESPONSE:
        raise BadQuery(None)
    if len(record.questions) != 1:
        raise BadQuery(_bare(record, "FORMERR"))
    question = record.q
    if record.header.opcode != 0 or question.qclass != CLASS.IN:
        raise BadQuery(_bare(record, "NOTIMP"))
    options = next((extra for extra in record.ar if extra.rtype == QTYPE.OPT), None)
    limit = PLAIN_UDP_BYTES if options is None else min(max(options.edns_len, PLAIN_UDP_BYTES), MAX_UDP_BYTES)
    name = str(question.qname).rstrip(".").lower()
    kind = QTYPE.forward.get(question.qtype, f"TYPE{question.qtype}")
    return Query(record, name, kind, limit, options is not None)


MACHINE: Mapping[str, str] = dict.fromkeys(HOST_NAMES, HOST_ADDRESS)
"""Names that every lab knows, and their address."""


def lab_answer(query: Query, hosts: Mapping[str, str] = MACHINE) -> bytes | None:
    """The answer to names that the lab itself knows, or None for all others. `hosts`: names and addresses, which hide real ones."""
    if query.name in hosts:
        return answer(query, [hosts[query.name]])
    if query.name == LAB_DOMAIN or query.name.endswith("." + LAB_DOMAIN):
        return failure(query, "NXDOMAIN")
    return None


def may_be_looked_up(query: Query) -> bool:
    """Whether the name can be given to the machine's resolver."""
    return _NAME.fullmatch(query.name) is not None


def seen_from_environment(name: str, addresses: Sequence[str]) -> list[str]:
    """What the machine's addresses for a name are for an environment.

    A name for the machine's loopback (many have such names in `/etc/hosts`) means the machine, so it becomes `HOST_ADDRESS`; `localhost`
    stays what it is. Addresses that only mean something on one link of the machine are left out.
    """
    if name == "localhost" or name.endswith(".localhost"):
        return list(addresses)
    seen: list[str] = []
    for text in addresses:
        address = ip_address(text.partition("%")[0])
        if address.version == 4 and address.is_loopback:
            text = HOST_ADDRESS
        elif address.is_loopback or address.is_link_local or address.is_unspecified:
            continue
        if text not in seen:
            seen.append(text)
    return seen


def answer(query: Query, addresses: Sequence[str]) -> bytes:
    """An answer with the addresses of the family that was asked for; with none of them, an empty one: the name exists."""
    reply = query.record.reply(aa=0)
    for text in addresses:
        if query.kind == "A" and ":" not in text:
            reply.add_answer(RR(query.record.q.qname, QTYPE.A, ttl=TTL_S, rdata=A(text)))
        elif query.kind == "AAAA" and ":" in text:
            reply.add_answer(RR(query.record.q.qname, QTYPE.AAAA, ttl=TTL_S, rdata=AAAA(text)))
    return _pack(query, reply)


def failure(query: Query, rcode: str) -> bytes:
    """`NXDOMAIN`, `SERVFAIL`, `NOTIMP`, ..."""
    reply = query.record.reply(aa=0)
    reply.header.rcode = getattr(RCODE, rcode)
    return _pack(query, reply)


def fit(query: Query, reply: bytes) -> bytes:
    """A reply for UDP: cut to a truncated one, which the client repeats by TCP, when it is longer than the client can take."""
    if len(reply) <= query.limit:
        return reply
    short = query.record.reply(aa=0)
    short.header.tc = 1
    return _pack(query, short)


def _pack(query: Query, reply: DNSRecord) -> bytes:
    if query.has_edns:
        reply.add_ar(EDNS0(udp_len=MAX_UDP_BYTES))
    return bytes(reply.pack())


def _bare(record: DNSRecord, rcode: str) -> bytes:
    """The reply to a query whose question cannot be repeated: its number and a code."""
    reply = DNSRecord()
    reply.header.id = record.header.id
    reply.header.qr = QR.RESPONSE
    reply.header.rcode = getattr(RCODE, rcode)
    return bytes(reply.pack())
