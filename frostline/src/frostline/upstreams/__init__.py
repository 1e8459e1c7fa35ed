"""Upstreams: servers that behave as servers do, for functions to talk to.

::

    client ---- Connection ------------------------------------ Conversation
                delay (the path), TLS, idle clock, closing      http1, http2, echo, gRPC front -- grpcio's server

A `server.Server` accepts connections. A `connection.Connection` is what all protocols have in common: the path's latency, TLS, when it was
idle and how it is closed. What is said on it is a `Conversation`: `http1`, `http2`, `echo`, or `grpc_front`, which lets the frames of
grpcio's server through and looks at them. Another protocol is another conversation.

Everything runs in one process (`program`), in a network namespace that has no network: its listening sockets were made in the lab's router
and handed to it. `frostline.testing.upstreams` runs the same servers on the loopback.

Importing this package brings what is needed to start that process only.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from pathlib import Path

import msgspec

from ..core.upstream import Upstream

PROGRAM = str(Path(__file__).with_name("__main__.py"))
"""The process, by its path: it works wherever this package was found, installed or not."""

EXTRA = "pip install 'frostline[upstreams]'"


class Unservable(Exception):
    """An upstream cannot be served as it is asked for: packages are not installed, or what it is to answer is not there. The text says which."""


def servable(upstreams: Iterable[Upstream]) -> tuple[Upstream, ...]:
    """Upstreams as a user wrote them, ready to be served from any folder. Imports nothing that they need. Raises Unservable."""
    found = tuple(upstreams)
    _check_packages(found)
    return tuple(_with_answers(upstream) for upstream in found)


def _with_answers(upstream: Upstream) -> Upstream:
    if upstream.answers is None:
        return upstream
    path = Path(upstream.answers).expanduser().resolve()
    if not path.exists():
        raise Unservable(
            f"{upstream.name} is to answer with {upstream.answers}, and there is no {path}. Give a file, or a folder of files."
        )
    return msgspec.structs.replace(upstream, answers=str(path))


def _check_packages(upstreams: Iterable[Upstream]) -> None:
    wanted: dict[str, str] = {}
    for upstream in upstreams:
        wanted |= {package: upstream.name for package in packages(upstream) if importlib.util.find_spec(package) is None}
    if wanted:
        names = ", ".join(f"{package} (for {name})" for package, name in wanted.items())
        raise Unservable(f"upstreams need packages that are not installed: {names}. They come with: {EXTRA}")


def packages(upstream: Upstream) -> list[str]:
    """The packages of the extra `upstreams` that this one takes, by the names they are imported by."""
    protocols = {"http2": ["h2"], "grpc": ["grpc"]}
    return protocols.get(upstream.protocol, []) + (["cryptography"] if upstream.tls else [])
