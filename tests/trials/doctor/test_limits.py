"""What is known of a server."""

from __future__ import annotations

from frostline.core.upstream import parse
from frostline.trials.doctor.limits import server


def test_a_stand_in_says_what_it_speaks_and_how_long_it_waits() -> None:
    stand_ins = parse(["api.local:8080=http1,idle=20", "cache.local:443=grpc,idle=never", "any.local:9=echo"])
    api = server("api.local", 8080, stand_ins, http2=False)
    assert (api.protocol, api.idle_s, api.is_stand_in) == ("HTTP", 20.0, True)
    cache = server("cache.local", 443, stand_ins, http2=False)
    assert (cache.protocol, cache.idle_s) == ("gRPC", None)
    assert server("any.local", 9, stand_ins, http2=False).protocol == "TCP"


def test_a_real_server_has_the_shortest_limit_that_its_kind_has() -> None:
    assert server("db.example.com", 5432, (), http2=False).idle_s == 300.0
    assert server("api.example.com", 443, (), http2=False).idle_s == 5.0
    assert server("api.example.com", 9999, (), http2=False).protocol == "TCP"
    assert server("api.example.com", 9999, (), http2=True).protocol == "HTTP/2"


def test_a_service_of_this_machine_is_told_by_its_own_port() -> None:
    found = server("cache.local", 7000, parse(["cache.local:7000=host:6379"]), http2=False)
    assert (found.protocol, found.is_stand_in) == ("Redis", False)
