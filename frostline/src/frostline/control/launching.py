"""A deployment in the sandbox's words: what an environment is made of, and how its processes are started.

`project` does not know the sandbox and the sandbox does not know Lambda; here the one is translated for the other.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..core.effects import OpenGate, StartProcess
from ..project import Deployment, Paths, extension_environment, runtime_environment
from ..sandbox import port
from ..sandbox.port import Blueprint, ProcessSpec, Sandbox
from .environments import Host

FRAMED_RUNTIMES = ("python", "nodejs")
"""Managed runtimes whose clients write framed log messages when `_LAMBDA_TELEMETRY_LOG_FD` is set, as on AWS."""


def blueprint(environment: str, deployment: Deployment) -> Blueprint:
    """What an environment of this deployment is made of."""
    function, launch = deployment.function, deployment.launch
    return Blueprint(
        environment=environment,
        code=deployment.code,
        layers=deployment.layers,
        runtime=launch.runtime_dir,
        extra_read_only=launch.read_only,
        tmp_mb=function.ephemeral_mb,
        memory_mb=function.memory_mb,
    )


def process_spec(process: str, deployment: Deployment, seen: port.Paths, *, api: str, log_stream: str) -> ProcessSpec:
    """How `runtime` or `extension:<file name>` is started, in an environment that sees its directories at `seen`. `api`: the Runtime API's host:port."""
    function, launch = deployment.function, deployment.launch
    paths = Paths(task=seen.task, opt=seen.opt, runtime=seen.runtime, language=seen.language)
    if process != "runtime":
        program = f"{paths.opt}/extensions/{process.removeprefix('extension:')}"
        return ProcessSpec(name=process, argv=(program,), env=extension_environment(function, api=api, paths=paths), cwd=paths.task)
    return ProcessSpec(
        name=process,
        argv=launch.command(paths),
        env=runtime_environment(function, launch, api=api, log_stream=log_stream, paths=paths),
        cwd=paths.task,
        gate=launch.gate,
        telemetry_log=function.runtime.startswith(FRAMED_RUNTIMES),
    )


class Launcher:
    """Starts processes in environments. A runtime without a gate cannot get ready before it is wanted: it is started when its gate would be opened."""

    def __init__(self, sandbox: Sandbox, hosts: Mapping[str, Host]) -> None:
        self._sandbox = sandbox
        self._hosts = hosts

    def start(self, effect: StartProcess) -> None:
        """Start a process."""
        host = self._hosts[effect.environment]
        gate = host.deployment.launch.gate
        if effect.process == "runtime" and effect.gated and not gate:
            host.deferred.add(effect.process)
            return
        self._run(host, effect.process)
        if effect.process == "runtime" and gate and not effect.gated:
            self._sandbox.open_gate(effect.environment, effect.process)

    def open_gate(self, effect: OpenGate) -> None:
        """Let a process begin its init."""
        host = self._hosts[effect.environment]
        if effect.process in host.deferred:
            host.deferred.discard(effect.process)
            self._run(host, effect.process)
        else:
            self._sandbox.open_gate(effect.environment, effect.process)

    def _run(self, host: Host, process: str) -> None:
        assert host.ports is not None
        seen = self._sandbox.paths(host.environment)
        self._sandbox.run(
            host.environment, process_spec(process, host.deployment, seen, api=host.ports.api_address, log_stream=host.log_stream)
        )
