"""What the functions of one process share: a loop, control planes, and a folder for their recordings."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from ..project import Source
from ..trials.runner import sandbox_for
from ..trials.trial import Setting
from .asked import found
from .life import Life
from .planes import Opener, Planes
from .portal import Portal


class Session:
    """Open from the beginning until `close`."""

    def __init__(self, *, opener: Opener = sandbox_for) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="frostline-")
        self._planes = Planes(Path(self._folder.name), opener=opener)
        self.portal = Portal()

    async def life(self, source: Source, setting: Setting) -> Life:
        """A function that nobody else has. In the portal's loop. Raises FrostlineError."""
        deployment = await asyncio.to_thread(found, source)
        return Life(await self._planes.take(setting, deployment.function.name), deployment)

    def close(self) -> None:
        """End everything, and leave nothing behind. Safe to call twice."""
        if self.portal.open:
            try:
                self.portal.call(self._planes.close())
            finally:
                self.portal.close()
                self._folder.cleanup()
