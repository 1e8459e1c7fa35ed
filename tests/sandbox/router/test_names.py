"""DNS messages, without a network."""

from __future__ import annotations

import pytest
from dnslib import EDNS0, QTYPE, DNSHeader, DNSQuestion, DNSRecord
from hypothesis import given
from hypothesis import strategies as st

from frostline.sandbox.router import names
from frostline.sandbox.router.addresses import HOST_ADDRESS
from frostline.sandbox.router.names import BadQuery, Query


def query(name: str, kind: str = "A", edns: int | None = None) -> Query:
    record = DNSRecord.question(name, kind)
    if edns is not None:
        record.add_ar(EDNS0(udp_len=edns))
    return names.understand(bytes(record.pack()))


def addresses(reply: bytes) -> list[str]:
    return [str(record.rdata) for record in DNSRecord.parse(reply).rr]


def test_a_query_is_understood() -> None:
    found = query("Api.Example.COM", "SRV")
    assert (found.name, found.kind, found.limit, found.has_edns) == ("api.example.com", "SRV", 512, False)


def test_a_kind_without_a_name_is_understood() -> None:
    record = DNSRecord(DNSHeader(id=1), q=DNSQuestion("a.example", 65_280))
    assert names.understand(bytes(record.pack())).kind == "TYPE65280"


@pytest.mark.parametrize(("announced", "limit"), [(0, 512), (600, 600), (4096, 1232)])
def test_the_size_that_a_client_announces_is_kept_within_bounds(announced: int, limit: int) -> None:
    assert query("a.example", edns=announced).limit == limit


@pytest.mark.parametrize("data", [b"", b"\0" * 11, b"\xff" * 40])
def test_garbage_gets_no_answer(data: bytes) -> None:
    with pytest.raises(BadQuery) as caught:
        names.understand(data)
    assert caught.value.reply is None


def test_a_response_gets_no_answer() -> None:
    """Two name servers that answer each other's answers would never end."""
    with pytest.raises(BadQuery) as caught:
        names.understand(bytes(DNSRecord.question("a.example").reply().pack()))
    assert caught.value.reply is None


@pytest.mark.parametrize(
    ("record", "rcode"),
    [
        (DNSRecord(DNSHeader(id=7)), 1),
        (DNSRecord(DNSHeader(id=7, opcode=5), q=DNSQuestion("a.example")), 4),
        (DNSRecord(DNSHeader(id=7), q=DNSQuestion("version.bind", QTYPE.TXT, 3)), 4),
    ],
)
def test_what_is_no_ordinary_question_is_refused_by_its_number(record: DNSRecord, rcode: int) -> None:
    with pytest.raises(BadQuery) as caught:
        names.understand(bytes(record.pack()))
    reply = DNSRecord.parse(caught.value.reply)
    assert (reply.header.id, reply.header.rcode) == (7, rcode)


def put_through(data: bytes) -> None:
    """Everything that is done with a query."""
    try:
        found = names.understand(data)
    except BadQuery:
        return
    names.may_be_looked_up(found)
    for reply in (names.lab_answer(found), names.answer(found, ["192.0.2.1", "::2"]), names.failure(found, "SERVFAIL")):
        if reply is not None:
            assert len(names.fit(found, reply)) >= 12


@given(st.binary(max_size=600))
def test_no_bytes_from_an_environment_raise_anything_else(data: bytes) -> None:
    put_through(data)


@given(st.integers(0, 60), st.binary(min_size=1, max_size=3))
def test_a_damaged_query_raises_nothing_else(position: int, damage: bytes) -> None:
    data = bytearray(bytes(DNSRecord.question("host.frostline.internal", "AAAA").pack()))
    data[position : position + len(damage)] = damage
    put_through(bytes(data))


@pytest.mark.parametrize("name", ["host.frostline.internal", "HOST.docker.internal"])
def test_the_machine_has_its_reserved_address(name: str) -> None:
    reply = names.lab_answer(query(name))
    assert reply is not None
    assert addresses(reply) == [HOST_ADDRESS]


def test_other_names_of_the_lab_do_not_exist_and_are_not_asked_elsewhere() -> None:
    reply = names.lab_answer(query("db.frostline.internal"))
    assert reply is not None
    assert DNSRecord.parse(reply).header.rcode == 3


@pytest.mark.parametrize("name", ["example.com", "notfrostline.internal", "frostline.internal.example"])
def test_all_other_names_are_not_the_labs(name: str) -> None:
    assert names.lab_answer(query(name)) is None


@pytest.mark.parametrize("name", ["example.com", "db", "_sip._tcp.example.com", "1password.com", "a-b.example", "x.y2"])
def test_ordinary_names_are_looked_up(name: str) -> None:
    assert names.may_be_looked_up(query(name))


@pytest.mark.parametrize("name", ["127.1", "2130706433", "10.0.0.1", "a b.example", "a%eth0", ""])
def test_what_the_resolver_would_read_as_a_number_or_worse_is_not(name: str) -> None:
    found = query("placeholder")._replace(name=name)
    assert not names.may_be_looked_up(found)


def test_an_answer_holds_the_family_that_was_asked_for() -> None:
    both = ["192.0.2.1", "2001:db8::1"]
    assert addresses(names.answer(query("a.example"), both)) == ["192.0.2.1"]
    assert addresses(names.answer(query("a.example", "AAAA"), both)) == ["2001:db8::1"]


def test_an_answer_to_edns_has_edns() -> None:
    assert [extra.rtype for extra in DNSRecord.parse(names.answer(query("a.example", edns=1232), [])).ar] == [QTYPE.OPT]
    assert DNSRecord.parse(names.answer(query("a.example"), [])).ar == []


def test_an_answer_that_does_not_fit_is_truncated() -> None:
    found = query("a.example")
    reply = DNSRecord.parse(names.fit(found, names.answer(found, [f"192.0.2.{last}" for last in range(100)])))
    assert (reply.header.tc, reply.rr) == (1, [])


def test_names_for_the_machines_loopback_mean_the_machine() -> None:
    """`/etc/hosts` of many a developer: `127.0.0.1 api.local`; Debian: `127.0.1.1 hostname`."""
    assert names.seen_from_environment("api.local", ["127.0.0.1", "127.0.1.1", "192.0.2.1"]) == [HOST_ADDRESS, "192.0.2.1"]


def test_localhost_stays_the_environments_own() -> None:
    assert names.seen_from_environment("localhost", ["127.0.0.1"]) == ["127.0.0.1"]
    assert names.seen_from_environment("api.localhost", ["127.0.0.1"]) == ["127.0.0.1"]


def test_addresses_of_one_link_only_are_left_out() -> None:
    assert names.seen_from_environment("printer.local", ["::1", "fe80::1%eth0", "169.254.7.7", "2001:db8::1"]) == ["2001:db8::1"]


def test_the_labs_own_hosts_are_answered_also_below_its_domain_and_nothing_below_them() -> None:
    hosts = {**names.MACHINE, "api.example.com": "198.19.64.1", "cache.frostline.internal": "198.19.64.2"}
    for name, address in hosts.items():
        found = names.lab_answer(query(name), hosts)
        assert found is not None
        assert addresses(found) == [address]
    assert names.lab_answer(query("v2.api.example.com"), hosts) is None
