"""The cache service of `cache.proto`, on grpcio: what gRPC upstreams offer. Methods of every other service are answered with an empty message."""

from __future__ import annotations

import secrets
import sys
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc  # type: ignore[import-untyped]

from . import protobuf
from .ledger import Ledger, key_of
from .protobuf import Fields, Value

SERVICE = "frostline.cache.v1.Cache"

GET_REQUEST: Fields = {"key": (1, "string")}
GET_RESPONSE: Fields = {"found": (1, "bool"), "value": (2, "bytes")}
SET_REQUEST: Fields = {"key": (1, "string"), "value": (2, "bytes"), "ttl_ms": (3, "uint64")}
SET_RESPONSE: Fields = {}
DELETE_REQUEST: Fields = {"key": (1, "string")}
DELETE_RESPONSE: Fields = {"deleted": (1, "bool")}

MAX_CACHE_BYTES = 64 << 20
"""Keys and values of one cache; what was written first goes first."""

THREADS = 32
"""At most, made when needed; an open stream of a client keeps one."""

PING_INTERVAL_MS = 1
"""How often clients may ping where nobody minds: all the time. gRPC's own default is once in 5 minutes while nothing else is sent."""


class Cache:
    """Keys, values, and when they expire. For any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        self._bytes = 0

    def set(self, key: str, value: bytes, ttl_ms: int) -> None:
        """Store a value for so many milliseconds."""
        with self._lock:
            self._take(key)
            self._entries[key] = value, self._clock() + ttl_ms / 1000
            self._bytes += _size(key, value)
            while self._bytes > MAX_CACHE_BYTES:
                self._take(next(iter(self._entries)))

    def get(self, key: str) -> bytes | None:
        """The value, while it lives."""
        with self._lock:
            value, until = self._entries.get(key, (None, 0.0))
            if value is not None and until <= self._clock():
                self._take(key)
                return None
            return value

    def delete(self, key: str) -> bool:
        """Remove a key; whether there was one."""
        with self._lock:
            entry = self._take(key)
            return entry is not None and entry[1] > self._clock()

    def _take(self, key: str) -> tuple[bytes, float] | None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= _size(key, entry[0])
        return entry


def _size(key: str, value: bytes) -> int:
    return len(key) + len(value)


class CacheServer:
    """grpcio's server with the cache, at a Unix socket that only its front knows.

    A front's connection to it is bound to an address with a number, and that is the peer which gRPC tells a handler: so a call is known by its
    connection.
    """

    def __init__(self, ledger: Ledger, count: Callable[[int], int], *, strict_pings: bool) -> None:
        """`count(connection)` counts one more call of a connection, and says how many there have been."""
        self._ledger, self._count = ledger, count
        self._cache = Cache()
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        name = f"frostline-{secrets.token_hex(8)}"
        if sys.platform == "linux":  # an abstract name leaves nothing behind, whatever happens
            self._scheme, self._prefix, self._address = "unix-abstract", "\0", name
        else:
            self._folder = tempfile.TemporaryDirectory(prefix="frostline-")
            self._scheme, self._prefix, self._address = "unix", "", str(Path(self._folder.name) / name)
        options = (
            [] if strict_pings else [("grpc.http2.min_ping_interval_without_data_ms", PING_INTERVAL_MS), ("grpc.http2.max_ping_strikes", 0)]
        )
        self._server = grpc.server(ThreadPoolExecutor(THREADS, thread_name_prefix="cache"), options=options)
        calls = {
            "Get": self._method("Get", self._get, GET_REQUEST, GET_RESPONSE),
            "Set": self._method("Set", self._set, SET_REQUEST, SET_RESPONSE),
            "Delete": self._method("Delete", self._delete, DELETE_REQUEST, DELETE_RESPONSE),
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, calls), _Others(self._asked)))

    @property
    def address(self) -> str:
        """Where fronts connect to (AF_UNIX)."""
        return self._prefix + self._address

    def own_address(self, connection: int) -> str:
        """What the front of a connection binds its socket to."""
        return f"{self.address}-{connection}"

    def start(self) -> None:
        """Begin to serve. Raises RuntimeError when the socket cannot be made."""
        self._server.add_insecure_port(f"{self._scheme}:{self._address}")
        self._server.start()

    def stop(self) -> None:
        """End every call, and the threads."""
        self._server.stop(0).wait()
        if self._folder is not None:
            self._folder.cleanup()

    def _method(
        self, name: str, work: Callable[..., Mapping[str, Value]], request: Fields, response: Fields
    ) -> grpc.RpcMethodHandler[bytes, bytes]:
        def call(data: bytes, context: grpc.ServicerContext) -> bytes:
            self._asked(f"/{SERVICE}/{name}", context)
            try:
                values = protobuf.decode(request, data)
                return protobuf.encode(response, work(**values))
            except ValueError as error:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"{name}: {error}")
                raise AssertionError("abort raises") from error

        return grpc.unary_unary_rpc_method_handler(call)

    def _asked(self, method: str, context: grpc.ServicerContext) -> None:
        connection = int(context.peer().rpartition("-")[2])
        metadata = [(str(key), value if isinstance(value, str) else "") for key, value in context.invocation_metadata() or ()]
        self._ledger.asked(connection, self._count(connection), method, "", key_of(metadata))

    def _get(self, key: str) -> dict[str, Value]:
        value = self._cache.get(_checked(key))
        return {} if value is None else {"found": True, "value": value}

    def _set(self, key: str, value: bytes, ttl_ms: int) -> dict[str, Value]:
        if not ttl_ms:
            raise ValueError("ttl_ms has to be above zero: nothing is stored for ever")
        self._cache.set(_checked(key), value, ttl_ms)
        return {}

    def _delete(self, key: str) -> dict[str, Value]:
        return {"deleted": self._cache.delete(_checked(key))}


class _Others(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Services that are not ours: a stand-in has no description of them, and needs none to answer.

    No bytes at all are a valid message of every type in proto3, with each field at its default. One such message, once the client has sent everything,
    is a whole answer to a call that is not streamed and to either side's stream.
    """

    def __init__(self, asked: Callable[[str, grpc.ServicerContext], None]) -> None:
        self._asked = asked

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        method = str(handler_call_details.method)
        if method.startswith(f"/{SERVICE}/"):
            return None  # ours, and there is no such method

        def call(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
            self._asked(method, context)
            for _ in requests:
                pass
            yield b""

        return grpc.stream_stream_rpc_method_handler(call)


def _checked(key: str) -> str:
    if not key:
        raise ValueError("the key is empty")
    return key
