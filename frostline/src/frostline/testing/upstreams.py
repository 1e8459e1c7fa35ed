"""Servers with an idle timeout, for tests without a lab: the same that `frostline up --upstream` puts into it, on the loopback.

::

    with LocalUpstream("http1,idle=0.2") as server:
        ...                                     # a client that keeps its connection, and is idle for longer
        assert server.saw(UpstreamClosed)[0].why == "idle"
        assert server.seen_twice() == []        # no request was sent again

The servers run in a thread of their own, so that a test may block, freeze its own event loop, or have none. `async with` works, too.
"""

from __future__ import annotations

import asyncio
import socket
import tempfile
import threading
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from ..core.upstream import Upstream, UpstreamAccepted, UpstreamAsked, UpstreamClosed, UpstreamEvent, parse
from ..upstreams import servable
from ..upstreams.program import prepare

__all__ = ["LocalUpstream", "Upstream", "UpstreamAccepted", "UpstreamAsked", "UpstreamClosed", "UpstreamEvent"]

HOST = "127.0.0.1"
BACKLOG = 1024

E = TypeVar("E", bound=UpstreamEvent)


class LocalUpstream:
    """One server on this machine's loopback, and what it saw."""

    def __init__(self, server: str, port: int = 0) -> None:
        """`server`: a protocol and options, as behind `--upstream NAME=`: `http2,tls,idle=5s,rtt=50ms`. `port`: 0 for a free one.

        Raises ValueError for what is not a server, Unservable for one that lacks what it takes, and, when it starts, OSError for a port in use.
        """
        self.upstream = parse([f"upstream.test:1={server}"])[0]
        if self.upstream.protocol == "host":
            raise ValueError(
                f"{server!r} is a service of this machine, and nothing that could be started. There are http1, http2, grpc and echo."
            )
        (self.upstream,) = servable([self.upstream])
        self.host = HOST
        self.port = port
        self.ca_file = ""
        """Where the certificate is by which a TLS server is trusted (PEM), for `127.0.0.1`, `localhost` and `upstream.test`."""
        self._events: list[UpstreamEvent] = []
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    @property
    def address(self) -> str:
        """`HOST:PORT`."""
        return f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """`http://HOST:PORT`, or `https://`."""
        return f"http{'s' if self.upstream.tls else ''}://{self.address}"

    # What it saw -------------------------------------------------------------------------------------------------------------------------

    @property
    def events(self) -> list[UpstreamEvent]:
        """Everything so far, in order."""
        with self._changed:
            return list(self._events)

    def saw(self, kind: type[E]) -> list[E]:
        """The events of one kind so far."""
        return [event for event in self.events if isinstance(event, kind)]

    def until(self, kind: type[E], count: int = 1, limit_s: float = 10.0) -> list[E]:
        """Wait until there have been so many events of a kind; all of them. Raises TimeoutError. Blocks: in a coroutine, `await` `until_async`."""
        with self._changed:
            if not self._changed.wait_for(lambda: sum(isinstance(event, kind) for event in self._events) >= count, limit_s):
                raise TimeoutError(
                    f"{self.upstream.protocol} upstream: not {count} {kind.__name__} within {limit_s:g} s; there were {self._events}"
                )
        return self.saw(kind)

    async def until_async(self, kind: type[E], count: int = 1, limit_s: float = 10.0) -> list[E]:
        """`until`, while the event loop goes on."""
        return await asyncio.to_thread(self.until, kind, count, limit_s)

    @property
    def connections(self) -> int:
        """How many there have been."""
        return len(self.saw(UpstreamAccepted))

    @property
    def requests(self) -> list[UpstreamAsked]:
        """Every request."""
        return self.saw(UpstreamAsked)

    def seen_twice(self) -> list[str]:
        """The keys (`Idempotency-Key`, `X-Request-Id`) of requests that were sent more than once."""
        return list(dict.fromkeys(asked.key for asked in self.requests if asked.seen > 1 and asked.key is not None))

    # Its life ----------------------------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Listen. Raises OSError when the port cannot be had."""
        try:
            listener = socket.create_server((HOST, self.port), backlog=BACKLOG)
        except OSError as error:
            raise OSError(
                error.errno, f"an upstream cannot listen on {self.address}: {error.strerror}. Leave the port out for a free one"
            ) from error
        self.port = listener.getsockname()[1]
        started: Future[None] = Future()
        self._thread = threading.Thread(target=self._serve, args=(listener, started), name=f"upstream {self.address}", daemon=True)
        self._thread.start()
        started.result()

    def stop(self) -> None:
        """Close every connection, and end. Safe to call twice."""
        if self._thread is not None and self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()
            self._thread = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _serve(self, listener: socket.socket, started: Future[None]) -> None:
        try:
            asyncio.run(self._run(listener, started))
        except BaseException as error:
            if started.done():
                raise
            listener.close()
            started.set_exception(error)

    async def _run(self, listener: socket.socket, started: Future[None]) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        (server,), authority = prepare((self.upstream,), self._tell, names=("localhost", HOST))
        if authority:
            self._folder = tempfile.TemporaryDirectory(prefix="frostline-")
            path = Path(self._folder.name) / "ca.pem"
            path.write_text(authority)
            self.ca_file = str(path)
        server.start(listener)
        started.set_result(None)
        await self._stop.wait()
        await server.close()

    def _tell(self, event: UpstreamEvent) -> None:
        with self._changed:
            self._events.append(event)
            self._changed.notify_all()

    def __enter__(self) -> LocalUpstream:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    async def __aenter__(self) -> LocalUpstream:
        self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await asyncio.to_thread(self.stop)
