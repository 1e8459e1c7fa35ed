"""Questions to an idle connection of psycopg 3: is its end there, and does the server answer an empty query? For pools of several libraries."""

from __future__ import annotations

import asyncio
import functools
import inspect
import select
import time
from typing import TYPE_CHECKING, Any

from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus

from .._core.configurations import Configuration, NoKeepalive
from .._core.limits import Unlimited
from .._runtime.sockets import is_readable

if TYPE_CHECKING:
    from psycopg.pq.abc import PGconn


def has_ended(pgconn: PGconn) -> bool:
    """The free check. What can be read of an idle connection is its end, or a notification: who wants those keeps a connection for them."""
    return pgconn.transaction_status in (TransactionStatus.UNKNOWN, TransactionStatus.ACTIVE) or is_readable(pgconn.socket)


def answers(pgconn: PGconn, timeout: float) -> bool:
    """Send an empty query, and wait so long for its end. After False the connection is out of step: close it.

    `Connection.execute("")` would begin a transaction, wait for ever, and on an interrupt open another connection to cancel the query.
    """
    until = time.monotonic() + timeout
    pgconn.send_query(b"")
    pgconn.flush()
    poller = select.poll() if hasattr(select, "poll") else None
    if poller is not None:
        poller.register(pgconn.socket, select.POLLIN)
    while True:
        if _finished(pgconn):
            return True
        left = until - time.monotonic()
        if left <= 0:
            return False
        if poller is not None:
            poller.poll(left * 1000)
        else:
            select.select([pgconn.socket], [], [], left)  # Windows
        pgconn.consume_input()


async def answers_async(pgconn: PGconn) -> bool:
    """As `answers`, for as long as the caller waits."""
    pgconn.send_query(b"")
    pgconn.flush()
    loop = asyncio.get_running_loop()
    while not _finished(pgconn):
        readable = asyncio.Event()
        loop.add_reader(pgconn.socket, readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(pgconn.socket)
        pgconn.consume_input()
    return True


def _finished(pgconn: PGconn) -> bool:
    """Have all results of the query been read?"""
    while not pgconn.is_busy():
        result = pgconn.get_result()
        if result is None:
            return True
    return False


def limits(configuration: Configuration) -> dict[str, Any]:
    """A configuration as libpq's connection parameters.

    libpq takes whole seconds, at least 2, for connecting, TLS and authentication together, and 0 for no limit. It has no limit for a query:
    that is the server's `statement_timeout`. `tcp_user_timeout` ends a connection whose peer acknowledges nothing, so that a query into
    a black hole fails, while one that takes long does not.
    """
    parameters: dict[str, Any] = {"connect_timeout": _whole_seconds(configuration.connect_timeout + configuration.tls_timeout)}
    if not isinstance(configuration.request_timeout, Unlimited):
        parameters["tcp_user_timeout"] = round(configuration.request_timeout * 1000)
    keepalive = configuration.keepalive
    if isinstance(keepalive, NoKeepalive) or not keepalive.while_idle:
        return parameters | {"keepalives": 0}
    return parameters | {
        "keepalives": 1,
        "keepalives_idle": _whole_seconds(keepalive.interval),
        "keepalives_interval": _whole_seconds(keepalive.timeout),
        "keepalives_count": 1,
    }


def _whole_seconds(seconds: float) -> int:
    return 0 if seconds == float("inf") else max(2, round(seconds))


def with_limits(configuration: Configuration, given: Any) -> Any:
    """A conninfo, or a function that returns one, with the configuration's limits where it names none."""

    def limited(text: str) -> str:
        return make_conninfo("", **(limits(configuration) | conninfo_to_dict(text)))

    if not callable(given):
        return limited(given)

    @functools.wraps(given)
    async def limited_later() -> str:
        made = given()
        return limited(await made if inspect.isawaitable(made) else made)

    return limited_later if inspect.iscoroutinefunction(given) else functools.wraps(given)(lambda: limited(given()))
