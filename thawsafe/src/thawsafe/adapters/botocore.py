"""botocore and boto3: clients whose connections are judged when they are taken out of their pools.

    from thawsafe.adapters import botocore
    session = boto3.Session()
    botocore.protect(session)                                      # every client and resource that it makes from now on
    s3 = session.client("s3", config=botocore.config())

What botocore does itself is urllib3's (see there). It has no limit of idleness, and its retries repeat a request whose connection broke
whatever it does, up to four times, ten for DynamoDB: with judged connections there is no need to.

`thawsafe.install` makes its pools safe with urllib3's; here is added that no further attempt begins whose pause would outlast the invocation: in
botocore's default mode the pauses between attempts are 7 s together, and a function's default timeout is 3 s.

botocore has no public place for pool classes. Private and used: a client's `_endpoint.http_session`, and the session's
`_pool_classes_by_scheme`, which urllib3's pool managers share; `protect` looks at them before it changes anything.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import botocore.config  # type: ignore[import-untyped]
import botocore.retries.standard  # type: ignore[import-untyped]
import botocore.retryhandler  # type: ignore[import-untyped]
import botocore.session  # type: ignore[import-untyped]

from .._core.configurations import Configuration, NoKeepalive, NoRetries
from .._core.limits import whole
from .._runtime.deadline import seconds_left
from .._runtime.detection import detect
from .._runtime.errors import UnknownClient
from .._runtime.guard import Guard
from ._clients import Patches, known
from .urllib3 import judged_pool

__all__ = ["config", "protect"]

DISTRIBUTION = MODULE = "botocore"
VERSIONS = ("1.34", "2")

_PAUSES = ((botocore.retryhandler.RetryHandler, "__call__"), (botocore.retries.standard.RetryHandler, "needs_retry"))
"""The methods that say how long to wait before another attempt, in the mode `legacy`, which is the default, and in the others."""

known(DISTRIBUTION, botocore.__version__, VERSIONS, _PAUSES)


def config(configuration: Configuration | None = None, **options: Any) -> botocore.config.Config:
    """A configuration as botocore's `Config`. What is given as `options` goes before it.

    botocore has one connect timeout, TLS included, and one for reading. It limits the connections to a host only, and of keepalive it
    knows on and off: the kernel's 7200 s before the first probe stay (boto/botocore#2916).
    """
    chosen = configuration or detect()
    attempts = 1 if isinstance(chosen.retries, NoRetries) else 1 + (whole(chosen.retries.attempts) or 99)
    ours = {
        "connect_timeout": min(chosen.connect_timeout + chosen.tls_timeout, LONGEST),
        "read_timeout": min(chosen.request_timeout, LONGEST),
        "max_pool_connections": whole(chosen.connections_per_host) or whole(chosen.connections) or MOST,
        "retries": {"total_max_attempts": attempts, "mode": "standard"},
        "tcp_keepalive": not isinstance(chosen.keepalive, NoKeepalive),
    }
    return botocore.config.Config(**(ours | options))


LONGEST = 86400.0
"""Seconds. UNLIMITED for botocore, whose `None` means its default of 60 s."""
MOST = 1000
"""UNLIMITED for botocore's pools, which make a place for each connection beforehand."""


def protect(owner: Any, configuration: Configuration | None = None) -> None:
    """Judge the connections of `owner`: a client, a resource, or a session of botocore or boto3, whose later clients are meant.

    Raises UnknownClient, with nothing changed, when it is none of them or its parts are not where they were.
    """
    chosen = configuration or detect()
    session = getattr(owner, "_session", owner)  # boto3's session has botocore's
    if isinstance(session, botocore.session.Session):
        session.register("creating-client-class", _Protector(chosen), unique_id="thawsafe")
        return
    client = getattr(getattr(owner, "meta", None), "client", None) or owner  # a resource has a client
    http_session: Any = getattr(getattr(client, "_endpoint", None), "http_session", None)
    classes = getattr(http_session, "_pool_classes_by_scheme", None)
    if not isinstance(classes, dict) or not hasattr(http_session, "close"):
        raise UnknownClient(
            f"{owner!r} is not protected: thawsafe knows clients, resources and sessions of botocore and boto3 whose HTTP session keeps its "
            f"pool classes in `_pool_classes_by_scheme`. This is {type(owner).__module__}.{type(owner).__name__}, of botocore {botocore.__version__}."
        )
    guard = Guard("botocore", chosen)
    for scheme, pool_class in classes.items():
        if not hasattr(pool_class, "judged_by"):
            classes[scheme] = judged_pool(pool_class, guard)
    http_session.close()  # the pools that exist are of the old classes; botocore makes new ones


class _Protector:
    """Called when a session makes a client's class: the class protects its objects when they have been made."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration

    def __call__(self, base_classes: list[type], **_: Any) -> None:
        configuration = self._configuration

        class Protected:
            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__(*args, **kwargs)
                protect(self, configuration)

        base_classes.insert(0, Protected)


_patches = Patches()


def install(configuration: Configuration) -> list[str]:  # noqa: ARG001 - its connections are urllib3's, which has it
    """Let no client wait for another attempt until the invocation is over. Says what it did; twice is once."""
    if _patches:
        return []
    for owner, name in _PAUSES:
        _patches.replace(owner, name, _within_invocation(getattr(owner, name)))
    return ["botocore: an attempt that could begin only after the invocation is not waited for."]


def uninstall() -> None:
    """Undo `install`, for tests. Clients in another mode than `legacy` that were made meanwhile keep it."""
    _patches.undo()


def _within_invocation(pause: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(pause)
    def limited(*args: Any, **kwargs: Any) -> Any:
        seconds = pause(*args, **kwargs)  # None, and False, for no other attempt
        return seconds if seconds is None or seconds < seconds_left() else None

    return limited
