"""Functions that freeze, for coroutines: the same as `frozen`, with `await`, under asyncio.

What is a property there and takes time is a method here: `await fn.findings()`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from ..core.fates import Fate
from ..core.middlebox import Middlebox
from ..diagnose.finding import Finding
from ..story.timeline import Connection, Timeline
from .asked import Level, Upstreams
from .errors import hidden
from .gap import Gap
from .invocation import Invocation
from .life import Life
from .lives import Lives

if TYPE_CHECKING:
    from .portal import Portal
    from .session import Session


class AsyncFrostline:
    """`Frostline` for coroutines."""

    def __init__(
        self,
        *,
        level: Level = "network",
        upstreams: Upstreams = (),
        allow_network: bool = False,
        folders: tuple[Path, ...] = (Path(),),
        session: Session | None = None,
    ) -> None:
        """See `Frostline`."""
        __tracebackhide__ = hidden
        self.lives = Lives(session, level=level, upstreams=upstreams, allow_network=allow_network, folders=folders)

    async def __aenter__(self) -> AsyncFrostline:
        self.lives.begin()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await asyncio.to_thread(self.lives.close)

    async def function(
        self,
        path: str | os.PathLike[str],
        name: str | None = None,
        *,
        handler: str | None = None,
        runtime: str | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the function's, as Lambda calls it
        memory: int | None = None,
        parameters: Mapping[str, str] | None = None,
        upstreams: Upstreams | None = None,
        allow_network: bool | None = None,
        level: Level | None = None,
    ) -> AsyncFunction:
        """See `Frostline.function`."""
        __tracebackhide__ = hidden
        portal = self.lives.session.portal
        life = self.lives.new(
            path,
            name,
            handler=handler,
            runtime=runtime,
            env=env,
            timeout_s=timeout,
            memory_mb=memory,
            parameters=parameters,
            upstreams=upstreams,
            allow_network=allow_network,
            level=level,
        )
        return AsyncFunction(await portal.wait(life), portal)


class AsyncFunction:
    """`Function` for coroutines."""

    def __init__(self, life: Life, portal: Portal) -> None:
        """Made by `AsyncFrostline.function`."""
        self._life = life
        self._portal = portal

    def __repr__(self) -> str:
        return f"<AsyncFunction {self.name}>"

    @property
    def name(self) -> str:
        """As the function itself sees it."""
        return self._life.name

    async def invoke(self, event: object = None) -> Invocation:
        """See `Function.invoke`."""
        __tracebackhide__ = hidden
        return await self._portal.wait(self._life.invoke(event))

    async def idle(
        self,
        gap: Gap | None = None,
        *,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
        fate: Fate | None = None,
        middlebox: str | Middlebox | None = None,
        to: str | None = None,
        real: bool = False,
    ) -> None:
        """See `Function.idle`."""
        __tracebackhide__ = hidden
        length = gap, hours, minutes, seconds
        await self._portal.wait(self._life.idle(*length, fate=fate, middlebox=middlebox, to=to, real=real))

    async def findings(self) -> list[Finding]:
        """See `Function.findings`."""
        __tracebackhide__ = hidden
        return await self._portal.wait(self._life.findings())

    async def costs(self) -> list[Finding]:
        """See `Function.costs`."""
        __tracebackhide__ = hidden
        return await self._portal.wait(self._life.costs())

    async def connections(self) -> list[Connection]:
        """See `Function.connections`."""
        __tracebackhide__ = hidden
        return await self._portal.wait(self._life.connections())

    async def story(self) -> Timeline:
        """See `Function.story`."""
        __tracebackhide__ = hidden
        return await self._portal.wait(self._life.story())

    async def write(self, page: str | os.PathLike[str], story: str | os.PathLike[str] | None = None) -> None:
        """See `Function.write`."""
        __tracebackhide__ = hidden
        await self._portal.wait(self._life.write(Path(page), None if story is None else Path(story)))
