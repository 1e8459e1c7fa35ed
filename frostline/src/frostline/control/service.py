"""A project that is served: deployed, reloaded when it changes, reconfigured through the API.

Asked before every invocation whether something changed (`refresh`), so that an edit is served by the next invocation: see `watch` for what that costs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import msgspec

from ..core.function import Function
from ..project import Deployment, Project, ProjectError, fingerprint, reread, stamp
from ..project.fingerprint import aws_time
from ..project.runtimes import launch
from .plane import ControlPlane
from .watch import Watcher


class Service:
    """The functions of one project on one control plane."""

    def __init__(self, plane: ControlPlane, project: Project, *, note: Callable[[str], None] = lambda _: None, watch: bool = True) -> None:
        self.plane = plane
        self.project = project
        self._note = note
        self._overrides: dict[str, dict[str, object]] = {}
        """What UpdateFunctionConfiguration changed; it outlives a reload."""
        self._functions: dict[str, Function] | None = None
        plane.deploy(project)
        self._watcher = Watcher(project.watched) if watch else None
        self.refresh()  # it may have changed since it was read: that can take long

    @property
    def functions(self) -> Mapping[str, Function]:
        """What can be invoked, by name."""
        if self._functions is None:
            self._functions = {name: deployment.function for name, deployment in self.plane.deployments.items()}
        return self._functions

    def refresh(self) -> None:
        """Deploy what changed on disk. A project that cannot be read now keeps serving what it served, and the reason is noted."""
        watcher = self._watcher
        if watcher is None or not watcher.changed():
            return
        began = time.monotonic()
        try:
            if stamp(self.project) != self.project.stamp:
                self._reload()
        except ProjectError as error:
            self._note(f"the change was not taken over: {error.message}")
        watcher.compared(time.monotonic() - began)

    def _reload(self) -> None:
        before = self.project
        project = reread(before)
        functions = tuple(self._overridden(deployment) for deployment in project.functions)
        self.project = project
        for refused in project.refused:
            self._note(f"{refused.name} cannot be run: {refused.message}")
        self.plane.deploy(msgspec.structs.replace(project, functions=functions))
        self._functions = None
        if self.project.watched != before.watched and self._watcher is not None:
            self._watcher.close()
            self._watcher = Watcher(self.project.watched)
        self._note(f"reloaded {self.project.origin}")

    def _overridden(self, deployment: Deployment) -> Deployment:
        changes = self._overrides.get(deployment.function.name)
        return self._changed(deployment, changes) if changes else deployment

    def update(self, name: str, changes: Mapping[str, object]) -> Function:
        """UpdateFunctionConfiguration: new environments have the new configuration. Raises `ProjectError` when it cannot be run."""
        deployment = self._changed(self.plane.deployments[name], changes)
        self._overrides.setdefault(name, {}).update(changes)
        self.plane.deploy_one(deployment)
        self._functions = None
        return deployment.function

    def _changed(self, deployment: Deployment, changes: Mapping[str, object]) -> Deployment:
        function: Function = msgspec.structs.replace(deployment.function, **dict(changes))
        function = msgspec.structs.replace(function, last_modified=aws_time(self.plane.clock.now()))
        made = launch(
            function.runtime,
            function.handler,
            code=deployment.code,
            layers=deployment.layers,
            variables=function.environment,
            cache=self.project.source.cache,
            progress=self._note,
        )
        changed = msgspec.structs.replace(deployment, function=function, launch=made)
        return msgspec.structs.replace(changed, function=msgspec.structs.replace(function, revision=fingerprint(changed)))

    def close(self) -> None:
        """Watch no more."""
        if self._watcher is not None:
            self._watcher.close()
