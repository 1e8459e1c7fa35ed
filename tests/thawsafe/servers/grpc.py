"""grpcio's own server with one method of each kind; each counts the tags it sees, and answers them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc  # type: ignore[import-untyped]

SERVICE = "thawsafe.Tags"


class GrpcServer:
    """Requests and answers are tags, in UTF-8."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.lock = threading.Lock()
        self.release = threading.Event()
        """Lets go of the streams of the method `Held`."""
        self._server = grpc.server(ThreadPoolExecutor(60), options=[("grpc.so_reuseport", 0)])
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, self._handlers()),))
        self.port: int = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def _handlers(self) -> dict[str, Any]:
        return {
            "One": grpc.unary_unary_rpc_method_handler(lambda request, context: self._saw(request)),
            "Many": grpc.unary_stream_rpc_method_handler(lambda request, context: iter([self._saw(request)] * 2)),
            "Collect": grpc.stream_unary_rpc_method_handler(lambda requests, context: b",".join(map(self._saw, requests))),
            "Echo": grpc.stream_stream_rpc_method_handler(lambda requests, context: map(self._saw, requests)),
            "Held": grpc.unary_stream_rpc_method_handler(self._held),
            "Never": grpc.unary_unary_rpc_method_handler(self._never),
        }

    def _saw(self, tag: bytes) -> bytes:
        with self.lock:
            self.seen[tag.decode()] += 1
        return tag

    def _held(self, tag: bytes, _: grpc.ServicerContext) -> Iterator[bytes]:
        yield self._saw(tag)
        self.release.wait(10)
        yield b"last"

    def _never(self, tag: bytes, _: grpc.ServicerContext) -> bytes:
        self._saw(tag)
        self.release.wait(10)
        return tag

    def close(self) -> None:
        self.release.set()
        self._server.stop(None).wait(5)


@contextmanager
def grpc_server() -> Iterator[GrpcServer]:
    """The server, until the context ends."""
    server = GrpcServer()
    try:
        yield server
    finally:
        server.close()
