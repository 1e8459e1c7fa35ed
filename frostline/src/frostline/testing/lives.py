"""The functions of one test, or of one script: what is the same whether it waits or awaits."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..project import Source
from .asked import Level, Upstreams, setting
from .errors import FrostlineError, hidden
from .life import Life
from .session import Session


class Lives:
    """Begins lives, and ends them together."""

    def __init__(
        self,
        session: Session | None,
        *,
        level: Level,
        upstreams: Upstreams,
        allow_network: bool,
        folders: Sequence[Path],
    ) -> None:
        """What is given here is the default of every function. Without a session there will be one of its own, which ends with it.

        `folders`: where a relative path may begin. Raises FrostlineError.
        """
        __tracebackhide__ = hidden
        self.all: list[Life] = []
        self._shared = session
        self._own: Session | None = None
        self._defaults: dict[str, Any] = {"level": level, "upstreams": upstreams, "allow_network": allow_network}
        setting(**self._defaults)
        self._folders = folders
        self._closed = False

    def begin(self) -> None:
        """Be ready for functions."""
        if self._shared is None and self._own is None:
            self._own = Session()

    @property
    def session(self) -> Session:
        """Raises FrostlineError when it has not begun, or has ended."""
        __tracebackhide__ = hidden
        session = self._shared or self._own
        if session is None or self._closed:
            raise FrostlineError(
                "functions live within a `with` block, `with Frostline() as frostline:`, or within the test that has the fixture."
            )
        return session

    async def new(
        self,
        path: str | os.PathLike[str],
        name: str | None,
        *,
        handler: str | None,
        runtime: str | None,
        env: Mapping[str, str] | None,
        timeout_s: float | None,
        memory_mb: int | None,
        parameters: Mapping[str, str] | None,
        upstreams: Upstreams | None,
        allow_network: bool | None,
        level: Level | None,
    ) -> Life:
        """What `function(...)` asks for; in the portal's loop. Raises FrostlineError."""
        given = {"level": level, "upstreams": upstreams, "allow_network": allow_network}
        chosen = setting(**{**self._defaults, **{key: value for key, value in given.items() if value is not None}})
        source = Source(
            path=self._place(path),
            name=name,
            handler=handler,
            runtime=runtime,
            environment=dict(env or {}),
            timeout_s=timeout_s,
            memory_mb=memory_mb,
            parameters=dict(parameters or {}),
        )
        life = await self.session.life(source, chosen)
        self.all.append(life)
        return life

    def _place(self, path: str | os.PathLike[str]) -> Path:
        """A relative path is taken from the first folder that has it."""
        places = [folder / path for folder in self._folders]
        place = next((one for one in places if one.exists()), None)
        if place is None:
            looked = " and ".join(dict.fromkeys(str(one.parent.absolute()) for one in places))
            raise FrostlineError(f"there is no {Path(path).name} in {looked}. Name a template, a folder, a zip or a file.")
        return place

    def close(self) -> None:
        """End them."""
        if self._closed:
            return
        session = self._shared or self._own
        self._closed = True
        if session is not None and session.portal.open:
            session.portal.call(self._close_all())
        if self._own is not None:
            self._own.close()

    async def _close_all(self) -> None:
        for life in self.all:
            await life.close()
