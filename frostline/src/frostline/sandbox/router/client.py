"""The main process's side of the router: starts its two processes, attaches environments, and notices when one of them is lost."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import msgspec

from ...core.conditions import Conditions
from ...core.events import AnyNetworkEvent
from .channel import Channel
from .hosts import LabHost
from .messages import (
    AnyMessage,
    Attach,
    Attached,
    AttachFailed,
    Decide,
    Denied,
    Detach,
    Failed,
    Forget,
    Furnished,
    Held,
    Hold,
    Observe,
    OwnHosts,
    OwnPorts,
    PassTime,
    Ready,
    Release,
    Released,
    Seen,
    Serve,
)

OPEN_TIMEOUT_S = 15.0
"""Both processes are there within a few tenths of a second on an idle machine."""

CLOSE_TIMEOUT_S = 2.0
"""They end at end-of-file; what has not ended by then is killed."""

PROGRAM = str(Path(__file__).with_name("__main__.py"))


class RouterError(Exception):
    """There is no router, or it could not do something. The text is a sentence for a person."""


class Spawn(Protocol):
    """Starts a process for the router."""

    async def __call__(self, argv: list[str], fds: list[int], new_netns: bool) -> int:
        """Execute `argv` with `fds` as descriptors 3, 4, ...; answer its process id.

        With `new_netns`: in a fresh network namespace where it has CAP_NET_ADMIN, CAP_NET_RAW and CAP_NET_BIND_SERVICE, and with
        CAP_SYS_ADMIN and CAP_NET_ADMIN over the environments' network namespaces (being root in the user namespace that owns them, or in
        one above it). Without: in the machine's own network. The caller closes its descriptors when this returns.
        """


class Router:
    """The router of one sandbox. Everything is called in the event loop's thread.

    `on_lost(reason)` is called at most once, when either process ended without being asked to: environments have no way out from then on.
    `on_denied(environment, destination, reason)` is called when a function dialed what it may not, once for each destination.
    `on_seen(event)` is called with what became of environments' connections, in order.
    `allow` are ports of Frostline's own (see `protect`) that functions may reach all the same.
    `hosts` are the lab's own; `on_listening(fds)` is called while it opens, with the listening sockets of their servers (`hosts.served`), which
    it may use until it returns.
    """

    def __init__(
        self,
        on_lost: Callable[[str], None],
        on_denied: Callable[[str, str, str], None] | None = None,
        on_seen: Callable[[AnyNetworkEvent], None] = lambda _: None,
        allow: Iterable[int] = (),
        nft: str = "nft",
        hosts: tuple[LabHost, ...] = (),
        on_listening: Callable[[list[int]], None] = lambda _: None,
        *,
        outside: bool = True,
    ) -> None:
        """`outside`: functions reach what is outside of the lab."""
        self._on_lost = on_lost
        self._on_denied = on_denied
        self._on_seen = on_seen
        self._allow = frozenset(allow)
        self._nft = nft
        self._hosts = hosts
        self._outside = outside
        self._on_listening = on_listening
        self._furniture: list[int] = []
        """The router's namespace, and the sockets of its own hosts, until they are handed on."""
        self._own_ports: frozenset[int] = frozenset()
        self._helpers: dict[str, _Helper] = {}
        self._pending: dict[str, Callable[[Exception | None], None]] = {}
        self._addresses: dict[str, str] = {}
        self._names: dict[str, str] = {}
        """Environments by their addresses. One that is detached keeps its place until another gets its address, for late news."""
        self._conditions = Conditions()
        self._own_conditions: dict[str, Conditions] = {}
        """Of environments, which may not be attached yet."""
        self._observe: Observe | None = None
        self._turns: dict[int, Callable[[], None]] = {}
        """Who waits for Held and Released."""
        self._holds: dict[str, int] = {}
        """Environments' last holds."""
        self._numbers = itertools.count(1)
        self._leaving: set[str] = set()
        self._opened: asyncio.Future[None] | None = None
        self._usable = False
        self._ending = False

    async def open(self, spawn: Spawn) -> None:
        """Start both processes. Raises RouterError when there can be no router here, and what `spawn` raises; nothing runs on then."""
        if self._helpers:
            raise RouterError("the router is open already")
        self._opened = asyncio.get_running_loop().create_future()
        self._ending = False
        try:
            # Both outcomes are awaited, so that a process whose twin could not be started is not started after `close`.
            hosts = msgspec.json.encode(self._hosts).decode()
            starts = self._start(spawn, "lab", [self._nft, hosts], new_netns=True), self._start(spawn, "dialer", [], new_netns=False)
            for outcome in await asyncio.gather(*starts, return_exceptions=True):
                if outcome is not None:
                    raise outcome
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                await self._opened
        except TimeoutError:
            await self.close()
            raise RouterError(f"the lab's router was not ready after {OPEN_TIMEOUT_S:.0f} s") from None
        except BaseException:
            await self.close()
            raise
        finally:
            if not self._opened.cancel() and not self._opened.cancelled():
                # A failure that came after another one was raised; asyncio would complain that nobody looked at it.
                self._opened.exception()

    async def _start(self, spawn: Spawn, role: str, arguments: list[str], new_netns: bool) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        helper = _Helper(role)
        helper.channel = Channel(ours, self._told, lambda: self._ended(helper))
        self._helpers[role] = helper
        with theirs:
            helper.pid = await spawn([sys.executable, PROGRAM, role, *arguments], [theirs.fileno()], new_netns=new_netns)

    def attach(self, environment: str, netns_fd: int, done: Callable[[Exception | None], None]) -> None:
        """Give an environment's network namespace its way out. The caller keeps `netns_fd`.

        `done` is called later, with None or with a RouterError, and always exactly once.
        """
        if not self._usable or environment in self._pending:
            reason = (
                f"environment {environment} is being attached already"
                if self._usable
                else "the lab's router has ended; start Frostline again"
            )
            asyncio.get_running_loop().call_soon(done, RouterError(reason))
            return
        self._pending[environment] = done
        self._helpers["lab"].channel.send(Attach(environment), [netns_fd])

    def detach(self, environment: str) -> None:
        """The environment is gone: its veth, its address and its connections go too. Unknown environments are ignored."""
        if not self._usable:
            return
        self._helpers["lab"].channel.send(Detach(environment))
        if environment in self._pending:
            self._leaving.add(environment)
        self._turns.pop(self._holds.pop(environment, 0), None)
        self._own_conditions.pop(environment, None)
        address = self._addresses.pop(environment, None)
        if address is not None:
            self._helpers["dialer"].channel.send(Forget(address))

    def protect(self, ports: Iterable[int]) -> None:
        """Name the TCP ports at which Frostline itself listens on this machine; functions are kept from them, but for those in `allow`.

        Replaces what was named before, and may be called at any time.
        """
        self._own_ports = frozenset(ports) - self._allow
        if self._usable:
            self._send_own_ports()

    def decide(self, conditions: Conditions | None, environment: str | None = None) -> None:
        """Say what connections meet. May be called at any time; what a connection has met in a freeze that has begun, it keeps.

        With `environment`: that one alone, attached or not yet; None: it has no conditions of its own any more.
        """
        if environment is None:
            self._conditions = conditions if conditions is not None else Conditions()
            self._tell_dialer(Decide(self._conditions))
            return
        if conditions is None:
            self._own_conditions.pop(environment, None)
        else:
            self._own_conditions[environment] = conditions
        if (address := self._addresses.get(environment)) is not None:
            self._tell_dialer(Decide(conditions, address))

    def observe(self, offset: float, *, recording: bool) -> None:
        """Tell when things happen by a clock that is CLOCK_MONOTONIC and this offset; and tell of traffic only if somebody records it."""
        self._observe = Observe(offset, recording)
        self._tell_dialer(self._observe)

    def pass_time(self, environment: str, seconds: float) -> None:
        """Have its connections be idle for so much longer, as if its freeze had lasted longer: paths and peers give up what is over their limits.

        Comes into effect before a `release` that follows.
        """
        if (address := self._addresses.get(environment)) is not None:
            self._tell_dialer(PassTime(address, seconds))

    def _tell_dialer(self, message: AnyMessage) -> None:
        if self._usable:
            self._helpers["dialer"].channel.send(message)

    def hold(self, environment: str, done: Callable[[], None]) -> None:
        """The environment's processes stand still: let its network stand still too.

        What it has sent is let on its way first. `done` is called later; not when `release` came first. Where the environment has no
        network, or the router is lost, it is called too: nothing passes then.
        """
        address = self._addresses.get(environment)
        if address is None or not self._usable:
            asyncio.get_running_loop().call_soon(done)
            return
        number = self._holds[environment] = self._turn(done)
        self._helpers["dialer"].channel.send(Hold(address, number))

    def release(self, environment: str, done: Callable[[], None]) -> None:
        """Let its network go on, or call off a hold; `done` is called later, always, and only then may its processes go on."""
        address = self._addresses.get(environment)
        self._turns.pop(self._holds.pop(environment, 0), None)
        if address is None or not self._usable:
            asyncio.get_running_loop().call_soon(done)
            return
        self._helpers["dialer"].channel.send(Release(address, self._turn(done)))

    def _turn(self, done: Callable[[], None]) -> int:
        number = next(self._numbers)
        self._turns[number] = done
        return number

    async def close(self) -> None:
        """End both processes and wait until they have ended. Safe to call twice, and while `open` is under way."""
        self._end(RouterError("the router was closed"))
        helpers = list(self._helpers.values())
        self._helpers.clear()
        await asyncio.gather(*(helper.wait() for helper in helpers))

    def _send_own_ports(self) -> None:
        self._helpers["dialer"].channel.send(OwnPorts(tuple(sorted(self._own_ports))))

    def _told(self, message: AnyMessage, fds: list[int]) -> None:
        match message:
            case Ready() | Furnished() if self._ending:
                pass
            case Furnished():
                self._furniture += [os.dup(fd) for fd in fds]
            case Ready() if fds:
                # The lab's: the dialer takes over its sockets, and must know what to deny before the first connection.
                self._hand_on_furniture()
                self._send_own_ports()
                self._helpers["dialer"].channel.send(Decide(self._conditions))
                if self._observe is not None:
                    self._helpers["dialer"].channel.send(self._observe)
                self._helpers["dialer"].channel.send(Serve(self._outside), fds)
            case Ready():
                self._usable = True
                self._settle(None)
            case Failed(reason):
                self._lose(reason)
            case _:
                self._told_of_environments(message)
        _close(fds)

    def _hand_on_furniture(self) -> None:
        furniture, self._furniture = self._furniture, []
        if furniture:
            self._helpers["dialer"].channel.send(OwnHosts(self._hosts), furniture[:1])
            self._on_listening(furniture[1:])
        _close(furniture)

    def _told_of_environments(self, message: AnyMessage) -> None:
        match message:
            case Attached(environment, address):
                if environment not in self._leaving:
                    self._addresses[environment] = address
                    self._names[address] = environment
                    if (own := self._own_conditions.get(environment)) is not None:
                        self._tell_dialer(Decide(own, address))
                self._answer(environment, None)
            case AttachFailed(environment, reason):
                self._answer(environment, RouterError(f"environment {environment} could not be attached to the network: {reason}"))
            case Held(number) | Released(number):
                if (turn := self._turns.pop(number, None)) is not None:
                    turn()
            case Seen(events):
                for event in events:
                    if (who := self._names.get(event.environment)) is not None:
                        self._on_seen(msgspec.structs.replace(event, environment=who))
            case Denied(address, destination, reason):
                who = self._names.get(address)
                if self._on_denied is not None and who is not None and who in self._addresses:
                    self._on_denied(who, destination, reason)
            case _:
                raise RuntimeError(f"the router said {message!r}")

    def _answer(self, environment: str, error: Exception | None) -> None:
        self._leaving.discard(environment)
        done = self._pending.pop(environment, None)
        if done is not None:
            done(error)

    def _ended(self, helper: _Helper) -> None:
        helper.ended.set()
        if not self._ending:
            self._lose(f"the {helper.role} process of the lab's router ended unexpectedly")

    def _lose(self, reason: str) -> None:
        """Either process is nothing without the other."""
        was_usable = self._usable
        self._end(RouterError(reason))
        if was_usable:
            self._on_lost(reason)

    def _end(self, error: RouterError) -> None:
        """Answer everybody who waits, and let both processes see that nothing more comes."""
        self._usable, self._ending = False, True
        for helper in self._helpers.values():
            with suppress(OSError):
                helper.channel.finish()
        self._settle(error)
        furniture, self._furniture = self._furniture, []
        _close(furniture)
        self._addresses.clear()
        self._leaving.clear()
        self._holds.clear()
        turns, self._turns = self._turns, {}
        for turn in turns.values():
            turn()
        pending, self._pending = self._pending, {}
        for done in pending.values():
            done(error)

    def _settle(self, error: RouterError | None) -> None:
        if self._opened is not None and not self._opened.done():
            if error is None:
                self._opened.set_result(None)
            else:
                self._opened.set_exception(error)


def _close(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)


class _Helper:
    """One of the two processes."""

    def __init__(self, role: str) -> None:
        self.role = role
        self.channel: Channel
        self.pid: int | None = None
        self.ended = asyncio.Event()

    async def wait(self) -> None:
        """Until it has let go of its socket, by itself or killed. Reaping it is its parent's business."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self.ended.wait()
        except TimeoutError:
            # It still holds its socket, so the number is still its own.
            if self.pid is not None:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(self.pid, signal.SIGKILL)
        self.channel.close()
