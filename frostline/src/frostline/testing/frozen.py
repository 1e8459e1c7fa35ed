"""Functions that freeze, for tests and scripts that wait.

::

    with Frostline() as frostline:
        fn = frostline.function("template.yaml", "Orders")
        fn.invoke({"id": 1})
        fn.idle(hours=8, fate="lost")
        print(fn.invoke({"id": 2}).ok, fn.findings)

`frostline_async` has the same for coroutines, and `plugin` both as fixtures of pytest. docs/testing.md tells it from the beginning.
"""

from __future__ import annotations

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


class Frostline:
    """Runs functions and freezes them between invocations."""

    def __init__(
        self,
        *,
        level: Level = "network",
        upstreams: Upstreams = (),
        allow_network: bool = False,
        folders: tuple[Path, ...] = (Path(),),
        session: Session | None = None,
    ) -> None:
        """What is said here is the default of each `function`. `folders`: where relative paths may begin; `session`: what is shared with others.

        Raises FrostlineError for a level or an upstream that is none.
        """
        __tracebackhide__ = hidden
        self.lives = Lives(session, level=level, upstreams=upstreams, allow_network=allow_network, folders=folders)

    def __enter__(self) -> Frostline:
        self.lives.begin()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End all functions; nothing is left behind. Safe to call twice."""
        self.lives.close()

    def function(
        self,
        path: str | os.PathLike[str],
        name: str | None = None,
        *,
        handler: str | None = None,
        runtime: str | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
        memory: int | None = None,
        parameters: Mapping[str, str] | None = None,
        upstreams: Upstreams | None = None,
        allow_network: bool | None = None,
        level: Level | None = None,
    ) -> Function:
        """A function with an environment of its own, which starts at the first invocation. Asked for again, it has another one.

        `path`: a SAM template, a folder, a zip or a single file, as `frostline up` takes them; `name`: which of a template's functions, by its logical id
        or its name. `handler` and `runtime` are for code without a template; `env` adds variables to the function's own; `timeout` (seconds) and
        `memory` (MB) replace what the template says; `parameters` are the template's.

        `upstreams`: servers in the place of real ones, as `frostline up --upstream` takes them. Nothing else is reached without `allow_network`.
        `level`: with `processes` the network goes on while the function is frozen, and failures stay hidden that there are on AWS.

        Raises FrostlineError for what cannot be found or used, NotFrozen where this machine cannot freeze as much.
        """
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
        return Function(portal.call(life), portal)


class Function:
    """One function, and its environment."""

    def __init__(self, life: Life, portal: Portal) -> None:
        """Made by `Frostline.function`."""
        self._life = life
        self._portal = portal

    def __repr__(self) -> str:
        return f"<Function {self.name}>"

    @property
    def name(self) -> str:
        """As the function itself sees it."""
        return self._life.name

    def invoke(self, event: object = None) -> Invocation:
        """Invoke it with an event (whatever `json.dumps` takes), and wait for its answer. A function that fails raises nothing: see `Invocation.ok`.

        Raises NotInvoked where it could not be invoked, and FrostlineError for an event that is not JSON.
        """
        __tracebackhide__ = hidden
        return self._portal.call(self._life.invoke(event))

    def idle(
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
        """The environment is frozen for so long: `idle("8h")` or `idle(hours=8)`. Nobody waits: its clocks are moved, and the lab's idle times pass.

        `fate`: what becomes of its connections meanwhile. `survive`: nothing; `lost`: their peers end them, and nobody is told; `fin_delivered`: they do,
        and the environment's kernel is told; `blackhole`: they carry nothing any more. Upstreams of the lab end a connection by their own idle limit, all
        other peers are taken to within the gap. Without a fate only upstreams end connections, and those are lost.
        `middlebox`: what is on the path and forgets idle connections: `nat-gateway`, `nlb`, `alb`, `azure-lb`, or by numbers, `idle=30,then=rst`.
        `to`: for connections to `HOST:PORT` or `HOST` only; others survive.
        `real`: wait in earnest.

        What was chosen is met in this gap, and by what was open in it. Raises ClocksNotMoved where time cannot be made to pass for every process of the
        environment, NotFrozen where it does not come to stand still, and FrostlineError for what is no gap, fate, middlebox or destination.
        """
        __tracebackhide__ = hidden
        length = gap, hours, minutes, seconds
        self._portal.call(self._life.idle(*length, fate=fate, middlebox=middlebox, to=to, real=real))

    @property
    def findings(self) -> list[Finding]:
        """What its recording proves so far, failures and then risks: docs/findings.md has them all."""
        __tracebackhide__ = hidden
        return self._portal.call(self._life.findings())

    @property
    def costs(self) -> list[Finding]:
        """What its recording proves that it survives, and pays for with time: it may be meant so."""
        __tracebackhide__ = hidden
        return self._portal.call(self._life.costs())

    @property
    def connections(self) -> list[Connection]:
        """The connections that it has opened so far, in order."""
        __tracebackhide__ = hidden
        return self._portal.call(self._life.connections())

    @property
    def story(self) -> Timeline:
        """Its whole recording so far, put together."""
        __tracebackhide__ = hidden
        return self._portal.call(self._life.story())

    def write(self, page: str | os.PathLike[str], story: str | os.PathLike[str] | None = None) -> None:
        """Write its timeline as a page for a browser and, if asked, its recording for `frostline story`. Raises FrostlineError."""
        __tracebackhide__ = hidden
        self._portal.call(self._life.write(Path(page), None if story is None else Path(story)))
