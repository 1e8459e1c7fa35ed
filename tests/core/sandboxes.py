"""What a `World` knows of a sandbox and of the processes in it."""

from __future__ import annotations

from collections import deque


class Process:
    """The runtime or an extension, alive or not, until another one takes its place."""

    def __init__(self, name: str, *, gated: bool) -> None:
        self.name = name
        self.gated = gated
        self.alive = True
        #: It got a signal, was told to shut down, or was refused what it needs: a well-behaved process ends.
        self.leaving = False
        self.extension_id: str | None = None
        self.poll: int | None = None
        #: What a runtime was handed and has not answered.
        self.request_id: str | None = None
        self.stream: int | None = None


class Sandbox:
    """One environment's sandbox: the orders that it has not carried out yet, and what runs in it."""

    def __init__(self, environment: str) -> None:
        self.environment = environment
        self.orders: deque[str] = deque(["start"])
        self.processes: dict[str, Process] = {}
        self.frozen = False

    def running(self) -> list[Process]:
        """The processes that can do something."""
        return [] if self.frozen else [process for process in self.processes.values() if process.alive and not process.gated]
