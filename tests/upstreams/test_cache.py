"""What the cache keeps, and for how long."""

from __future__ import annotations

from frostline.upstreams.cache import MAX_CACHE_BYTES, Cache


class Time:
    """A clock that stands still unless it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_value_lives_as_long_as_it_is_to() -> None:
    time = Time()
    cache = Cache(time)
    cache.set("a", b"1", ttl_ms=1500)
    time.now = 1.499
    assert cache.get("a") == b"1"
    time.now = 1.5
    assert cache.get("a") is None
    assert not cache.delete("a")


def test_a_new_value_takes_the_place_of_the_old_one() -> None:
    time = Time()
    cache = Cache(time)
    cache.set("a", b"1", ttl_ms=1000)
    cache.set("a", b"2", ttl_ms=5000)
    time.now = 2
    assert cache.get("a") == b"2"
    assert cache.delete("a")
    assert not cache.delete("a")
    assert cache.get("a") is None


def test_it_is_bounded() -> None:
    cache = Cache(Time())
    size = MAX_CACHE_BYTES // 4
    for number in range(6):
        cache.set(str(number), bytes(size - 1), ttl_ms=1000)
    assert [cache.get(str(number)) is not None for number in range(6)] == [False, False, True, True, True, True]
    cache.set("giant", bytes(MAX_CACHE_BYTES + 1), ttl_ms=1000)
    assert cache.get("giant") is None
