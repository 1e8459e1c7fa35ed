"""What it costs to freeze an environment's network with its processes, and to thaw both, measured beside processes alone.

    .venv/bin/python bench/network_freeze.py            a table
    .venv/bin/python bench/network_freeze.py --json     one object

One environment holds idle connections to a server on this machine, so there is nothing to drain. It is frozen and thawed over and over, in turns with one whose
network does not freeze, so that a machine that grows slower is slow for both. A time is from the order to the sandbox's answer, in milliseconds, at the median;
`network_ms` is what the network adds, and `ratio` is with the network over without.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from frostline.core.events import EnvironmentFrozen, EnvironmentStarted, EnvironmentThawed, NetworkEvent, SandboxEvent
from frostline.core.fates import Fates
from frostline.sandbox.namespaces import NamespaceSandbox
from frostline.sandbox.port import Blueprint, ProcessSpec, SandboxError

CONNECTIONS = (0, 10, 100)
HOST = "host.frostline.internal"
INTERPRETER = Path(sys.base_prefix)
PYTHON = INTERPRETER / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
SETTLE_S = 0.005
"""Between two orders: an idle machine, as between invocations."""

CLIENT = """
import socket, time
held = [socket.create_connection(("{host}", {port})) for _ in range({count})]
print("ready", flush=True)
time.sleep(3600)
"""


class Subject:
    """A sandbox with one environment, whose network freezes or does not."""

    def __init__(self, *, network: bool) -> None:
        self._network = network
        self._answers: asyncio.Queue[SandboxEvent] = asyncio.Queue()
        self._ready = asyncio.Event()
        self._sandbox = NamespaceSandbox(self._report, self._wrote, freeze_network=network, fates=Fates(default="survive"))
        self.freezes: list[float] = []
        self.thaws: list[float] = []

    def _report(self, event: SandboxEvent) -> None:
        if not isinstance(event, NetworkEvent):
            self._answers.put_nowait(event)

    def _wrote(self, *_: object) -> None:
        self._ready.set()

    async def open(self, code: Path, port: int, connections: int) -> None:
        """Start the environment and its connections. Raises SandboxError."""
        await self._sandbox.open()
        self._sandbox.start(Blueprint(environment="e", code=code, extra_read_only=(INTERPRETER,)))
        await self._answered(EnvironmentStarted)
        program = CLIENT.format(host=HOST, port=port, count=connections)
        self._sandbox.run("e", ProcessSpec(name="runtime", argv=(str(PYTHON), "-I", "-S", "-c", program), env={}))
        await asyncio.wait_for(self._ready.wait(), 30)

    async def cycle(self) -> None:
        """Freeze and thaw once."""
        self.freezes.append(await self._timed(self._sandbox.freeze, EnvironmentFrozen))
        self.thaws.append(await self._timed(self._sandbox.thaw, EnvironmentThawed))

    async def _timed(self, order: Callable[[str], None], answer: type[SandboxEvent]) -> float:
        await asyncio.sleep(SETTLE_S)
        began = time.perf_counter()
        order("e")
        await self._answered(answer)
        return (time.perf_counter() - began) * 1000

    async def _answered(self, kind: type[SandboxEvent]) -> None:
        event = await asyncio.wait_for(self._answers.get(), 30)
        if not isinstance(event, kind):
            raise SandboxError(f"the sandbox answered {event}")

    async def close(self) -> None:
        await self._sandbox.close()


async def measure(connections: int, cycles: int) -> dict[str, Any]:
    """The figures for so many connections."""

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hold, "127.0.0.1", 0, backlog=1024)
    without, with_network = Subject(network=False), Subject(network=True)
    with tempfile.TemporaryDirectory(prefix="frostline-bench-") as code:
        try:
            for subject in (without, with_network):
                await subject.open(Path(code), server.sockets[0].getsockname()[1], connections)
            for _ in range(cycles):
                await without.cycle()
                await with_network.cycle()
        finally:
            for subject in (without, with_network):
                await subject.close()
            server.close()
    return {
        "connections": connections,
        "freeze": _compared(with_network.freezes, without.freezes),
        "thaw": _compared(with_network.thaws, without.thaws),
    }


def _compared(with_network: list[float], without: list[float]) -> dict[str, float]:
    more, less = statistics.median(with_network), statistics.median(without)
    return {
        "with_network_ms": round(more, 3),
        "processes_ms": round(less, 3),
        "network_ms": round(more - less, 3),
        "ratio": round(more / less, 2),
    }


def table(result: list[dict[str, Any]]) -> str:
    """The figures for a person."""
    lines = [f"{'connections':>11} {'':<7}{'with network':>14}{'processes':>11}{'network adds':>14}{'ratio':>8}"]
    for row in result:
        for what in ("freeze", "thaw"):
            each = row[what]
            figures = f"{each['with_network_ms']:>14.3f}{each['processes_ms']:>11.3f}{each['network_ms']:>14.3f}{each['ratio']:>8.2f}"
            lines.append(f"{row['connections']:>11} {what:<7}{figures}")
    return "\n".join(lines)


async def run(cycles: int) -> list[dict[str, Any]]:
    """Everything, one number of connections after the other."""
    return [await measure(connections, cycles) for connections in CONNECTIONS]


def main() -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--cycles", type=int, default=300, help="freezes and thaws of each (default %(default)s)")
    arguments = parser.parse_args()
    try:
        import uvloop

        loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = uvloop.new_event_loop
    except ImportError:
        loop_factory = None
    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            result = runner.run(run(arguments.cycles))
    except SandboxError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print(json.dumps({"network_freeze": result}, indent=2) if arguments.json else table(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
