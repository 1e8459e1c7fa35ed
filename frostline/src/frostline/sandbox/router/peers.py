"""Tells when a peer closes a connection that nobody reads."""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable
from contextlib import suppress

from .relay import How


class PeerEvents:
    """An event loop asks whether a socket can be read, which it can while data waits. Here a private epoll asks for the end alone."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watched: dict[int, Callable[[How], None]] = {}
        asyncio.get_running_loop().add_reader(self._epoll.fileno(), self._ready)

    def watch(self, fd: int, ended: Callable[[How], None]) -> None:
        """Call `ended` once; at once, if it has ended already."""
        self._watched[fd] = ended
        self._epoll.register(fd, select.EPOLLRDHUP | select.EPOLLONESHOT)

    def forget(self, fd: int) -> None:
        """To be called before a descriptor is watched again, and right after it was closed."""
        if self._watched.pop(fd, None) is not None:
            with suppress(OSError):  # closed, so the epoll has forgotten it already
                self._epoll.unregister(fd)

    def _ready(self) -> None:
        for fd, mask in self._epoll.poll(0, 256):
            if (ended := self._watched.get(fd)) is not None:
                ended("rst" if mask & select.EPOLLERR else "fin")
