"""Hears what environments send while a trial waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal

from ..control.plane import OpenSandbox
from ..core.events import ConnectionTraffic, SandboxEvent
from ..sandbox.port import Sandbox


class Listening:
    """Between a sandbox and its control plane: everything passes, and is heard on the way."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[float, asyncio.Future[None]]] = {}

    def through(self, open_sandbox: OpenSandbox) -> OpenSandbox:
        """Opens the same sandbox, heard."""

        async def open_it(
            report: Callable[[SandboxEvent], None], on_output: Callable[[str, str, Literal["text", "frames"], bytes], None]
        ) -> Sandbox:
            def heard(event: SandboxEvent) -> None:
                report(event)
                if isinstance(event, ConnectionTraffic) and event.sent:
                    self._sent(event)

            return await open_sandbox(heard, on_output)

        return open_it

    async def sends(self, environment: str, since: float, up_to_s: float) -> bool:
        """Wait until it sends something that it began to send after `since` (epoch seconds); False where it does not within so many seconds."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[environment] = since, future
        try:
            await asyncio.wait_for(future, up_to_s)
        except TimeoutError:
            return False
        finally:
            del self._waiting[environment]
        return True

    def _sent(self, event: ConnectionTraffic) -> None:
        since, future = self._waiting.get(event.environment, (0.0, None))
        if future is not None and event.kind != "ping_ack" and event.at > since and not future.done():
            future.set_result(None)
