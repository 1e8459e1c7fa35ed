"""requests: an adapter whose connections are judged when they are taken out of its pools.

    from thawsafe.adapters import requests
    session = requests.Session()                      # or with a session of your own:
    session.mount("https://", requests.HTTPAdapter())

What requests does itself is urllib3's (see there), without its retries and without any timeout. A request here that names no timeout has the
configuration's; one that says `timeout=None` has it too, because requests does not tell the two apart.
"""

from __future__ import annotations

from typing import Any

import requests
import requests.adapters

from .._core.configurations import Configuration
from .._core.limits import finite, whole
from .._runtime.detection import detect
from .._runtime.guard import Guard
from .._runtime.sockets import keepalive_options
from .urllib3 import hosts, judged_pools, retries

__all__ = ["HTTPAdapter", "Session"]


class HTTPAdapter(requests.adapters.HTTPAdapter):
    """requests' HTTPAdapter with judged connections, through proxies too.

    configuration: the limits; None for `thawsafe.detect()`. Everything else is requests', and goes before the configuration. It can be
    pickled, as requests' own can.
    """

    __attrs__ = [*requests.adapters.HTTPAdapter.__attrs__, "configuration"]  # noqa: RUF012 - requests' way to say what is pickled

    def __init__(self, configuration: Configuration | None = None, **options: Any) -> None:
        self.configuration = configuration or detect()
        per_host = whole(self.configuration.connections_per_host)
        ours: dict[str, Any] = {"pool_connections": hosts(self.configuration), "max_retries": retries(self.configuration)}
        if per_host is not None:
            ours |= {"pool_maxsize": per_host, "pool_block": True}
        super().__init__(**(ours | options))

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any) -> None:
        """Requests' own, with pools that judge."""
        super().init_poolmanager(connections, maxsize, block, **self._with_keepalive(pool_kwargs))
        chosen = self.configuration
        self._timeout = finite(chosen.connect_timeout + chosen.tls_timeout), finite(chosen.request_timeout)
        self.guard = Guard("requests", chosen)
        self.poolmanager.pool_classes_by_scheme = judged_pools(self.guard, finite(self.configuration.request_timeout))

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> Any:
        """Requests' own, with pools that judge."""
        manager = super().proxy_manager_for(proxy, **self._with_keepalive(proxy_kwargs))
        manager.pool_classes_by_scheme = self.poolmanager.pool_classes_by_scheme
        return manager

    def _with_keepalive(self, pool_kwargs: dict[str, Any]) -> dict[str, Any]:
        from urllib3.connection import HTTPConnection

        options = keepalive_options(self.configuration.keepalive)
        return {"socket_options": [*HTTPConnection.default_socket_options, *options], **pool_kwargs} if options else pool_kwargs

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        """Requests' own, with the configuration's timeouts where none are named."""
        if timeout is None:
            timeout = self._timeout
        return super().send(request, stream, timeout, verify, cert, proxies)


class Session(requests.Session):
    """requests' Session with judged connections: `HTTPAdapter` for both schemes."""

    def __init__(self, configuration: Configuration | None = None) -> None:
        super().__init__()
        for scheme in ("https://", "http://"):
            self.mount(scheme, HTTPAdapter(configuration))
