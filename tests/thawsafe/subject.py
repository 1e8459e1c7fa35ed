"""What the contract suite wants of an adapter's tests: a server that counts, and a client under test."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from thawsafe import Configuration


class Server(Protocol):
    """A server of the client's protocol on 127.0.0.1, in this process."""

    port: int
    seen: Counter[str]
    """How often each tag was seen."""


class Client(ABC):
    """A client under test, with judged connections. For asyncio: `call` runs a loop of the client's own until the answer is there."""

    @abstractmethod
    def call(self, tag: str, *, idempotent: bool) -> None:
        """One request that carries `tag` to the server. Raises when it fails; never tries again by itself."""

    @abstractmethod
    def call_many(self, tags: list[str], *, idempotent: bool) -> None:
        """One request for each tag, all at the same time: by threads, or by tasks. Raises when one fails."""

    @abstractmethod
    def close(self) -> None: ...


class Subject(ABC):
    """One adapter, in one of its forms (sync or async, HTTP/1.1 or HTTP/2)."""

    name: str
    """Its name in the tests' names."""
    probes: bool = False
    """Its protocol has a harmless question, so that a connection can be kept after a freeze."""
    multiplexes: bool = False
    """Many requests share one connection at the same time."""
    forks: bool = True
    """The client may be used in a child process after a fork: not with asyncio, whose loop is the parent's."""
    crowds: bool = True
    """The client bears fifty requests at the same time."""
    non_idempotent: bool = True
    """The protocol tells requests that must not be sent twice."""

    @abstractmethod
    def serve(self) -> AbstractContextManager[Server]:
        """A server, until the context ends."""

    @abstractmethod
    def connect(self, host: str, port: int, configuration: Configuration) -> Client:
        """A client of the server (or of a proxy before it)."""


def in_threads(tags: list[str], call: Callable[[str], None]) -> None:
    """`Client.call_many` for sync clients: a thread for each tag. Raises the first failure."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(len(tags)) as pool:
        for future in [pool.submit(call, tag) for tag in tags]:
            future.result()
