"""The warden, seen from Frostline: starting it, talking to it, and noticing its death."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from . import cgroups
from .channel import Channel, OnMessage
from .port import CageKind, SandboxError
from .rundir import RunDirectory
from .warden.protocol import Message

OPEN_LIMIT_S = 15.0
END_LIMIT_S = 10.0
"""How long the warden may take to end, which includes waiting for processes that hang in the kernel."""

# -I and -S keep the user's site-packages out: the warden is the standard library and ours, and small.
BOOT = "import sys; sys.path.insert(0, sys.argv[3]); from frostline.sandbox.warden.__main__ import main; main()"
KEPT_VARIABLES = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""What of our environment variables an interpreter may need to start. The others are nothing to the warden and its children."""

PACKAGES = str(Path(__file__).parents[2])


class Warden:
    """The process, and the line to it."""

    def __init__(self, run: RunDirectory, on_message: OnMessage, on_death: Callable[[], None]) -> None:
        """`on_message` is given what is about environments; `on_death` is called if the warden ends without being asked to."""
        self._run = run
        self._on_message = on_message
        self._on_death = on_death
        self._channel: Channel | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = asyncio.get_running_loop().create_future()
        self._answers: dict[str | int, asyncio.Future[Message]] = {}
        self._helpers = 0
        self._closing = False

    @property
    def alive(self) -> bool:
        return self._channel is not None and not self._ended.done()

    async def open(self, cage: CageKind, plan: cgroups.Plan) -> bool | None:
        """Start it and have it prepare. Answers whether it is root in a user namespace of its own (None for `plain`).

        Raises SandboxError.
        """
        ours, theirs = socket.socketpair()
        argv = [sys.executable, "-I", "-S", "-X", "utf8", "-c", BOOT, str(self._run.path), str(theirs.fileno()), PACKAGES]
        try:
            # A session of its own: Ctrl-C in the terminal must not reach the one process that cleans up.
            self._process = subprocess.Popen(  # noqa: ASYNC220 - once, at start, and it returns when the program runs
                argv,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), self._run.lock),
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            raise SandboxError(f"the warden could not be started with {sys.executable}: {error.strerror}") from error
        finally:
            theirs.close()
        self._channel = Channel(ours, self._received, self._lost)
        homes = [home.as_json() for home in plan.homes]
        answer = await self._ask("open", {"op": "open", "cage": cage, "homes": homes, "moved": plan.moved}, OPEN_LIMIT_S)
        if answer["op"] == "refused":
            raise SandboxError(answer["reason"])
        mapped: bool | None = answer["mapped"]
        return mapped

    def send(self, message: Message, fds: Sequence[int] = ()) -> None:
        """Send a request; the descriptors are closed here. Without a warden it goes nowhere."""
        if self._channel is not None:
            self._channel.send(message, fds)

    async def start_helper(self, argv: list[str], fds: list[int], new_netns: bool) -> int:
        """Execute a program in the warden's user namespace, `fds` as its descriptors 3, 4, ...; its process id. Raises SandboxError.

        With `new_netns` in a network namespace of its own, where it is root; else in the machine's. The caller keeps its descriptors.
        """
        self._helpers += 1
        number = self._helpers
        request = {"op": "helper", "id": number, "argv": argv, "env": dict(os.environ), "new_netns": new_netns}
        answer = await self._ask(number, request, OPEN_LIMIT_S, [os.dup(fd) for fd in fds])
        if answer["op"] == "helper_failed":
            raise SandboxError(f"{argv[0]} could not be started: {answer['reason']}")
        pid: int = answer["pid"]
        return pid

    async def close(self) -> None:
        """Have it remove everything and end. Safe to call twice."""
        self._closing = True
        if self._channel is not None:
            self._channel.send({"op": "close"})
            try:
                async with asyncio.timeout(END_LIMIT_S):
                    await asyncio.shield(self._ended)
            except TimeoutError:
                if self._process is not None:
                    self._process.kill()
            self._channel.close()
            self._give_up("Frostline is shutting down")
        if self._process is not None:
            await asyncio.to_thread(self._process.wait)

    async def _ask(self, key: str | int, request: Message, limit_s: float, fds: Sequence[int] = ()) -> Message:
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._answers[key] = answer
        self.send(request, fds)
        try:
            async with asyncio.timeout(limit_s):
                return await answer
        except TimeoutError:
            raise SandboxError(f"the warden did not answer `{request['op']}` within {limit_s:g} s") from None
        finally:
            self._answers.pop(key, None)

    def _received(self, message: Message, fds: list[int]) -> None:
        match message["op"]:
            case "opened" | "refused":
                self._answer("open", message)
            case "helper_started" | "helper_failed":
                self._answer(message["id"], message)
            case "helper_exited":
                return
            case _:
                self._on_message(message, fds)

    def _answer(self, key: str | int, message: Message) -> None:
        answer = self._answers.get(key)
        if answer is not None and not answer.done():
            answer.set_result(message)

    def _lost(self) -> None:
        self._ended.set_result(None)
        self._give_up("the warden ended unexpectedly; what it said on standard error tells why")
        if not self._closing:
            self._on_death()

    def _give_up(self, reason: str) -> None:
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(SandboxError(reason))


def _environment() -> dict[str, str]:
    return {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
