"""Control planes that stay open from test to test: opening one takes a third of a second, a function in an open one a tenth.

Which servers there are in the lab, and whether functions reach anything else, is settled when a sandbox is opened. So there is a plane for each such
setting, and the functions of all tests with this setting live in it, one environment each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

from msgspec import Struct

from ..control.plane import ControlPlane, OpenSandbox
from ..core.policy import Policy
from ..sandbox.port import SandboxError
from ..story.reader import Story
from ..story.records import Header, Line, decode_line
from ..trials.runner import sandbox_for
from ..trials.trial import Setting
from .errors import FrostlineError, NotFrozen

MOST_OPEN = 4
"""Planes without a function that are kept. Each is four processes, and some 60 MB."""

POLICY = Policy(spares=0, idle_timeout_s=7 * 86_400.0)
"""An environment lives as long as its test, however long somebody looks at it in a debugger."""

Opener = Callable[[Setting, Callable[[str], None]], OpenSandbox]


class SharedPlane(Struct, eq=False):
    """One control plane, and its recording."""

    setting: Setting
    plane: ControlPlane
    story: Path
    header: Header
    notes: list[str]
    """What a person should know, of all its functions."""
    broken: bool = False
    """It could not do what was asked of it once, and gets no more functions."""

    def recorded(self) -> int:
        """How far the recording goes, in bytes."""
        writer = self.plane.ring.story
        assert writer is not None, "every plane of ours is recorded"
        writer.flush()
        if writer.failed is not None:
            raise FrostlineError(writer.failed)
        return self.story.stat().st_size

    def lines(self, begin: int) -> Iterator[Line]:
        """What was recorded from there on."""
        end = self.recorded()
        with self.story.open("rb") as file:
            file.seek(begin)
            while file.tell() < end:
                yield decode_line(file.readline())


class Planes:
    """All of them. Used within one event loop."""

    def __init__(self, folder: Path, *, opener: Opener = sandbox_for) -> None:
        """`folder`: where their recordings are."""
        self._folder = folder
        self._opener = opener
        self._open: list[SharedPlane] = []
        self._opened = 0
        self._opening = asyncio.Lock()

    async def take(self, setting: Setting, function: str) -> SharedPlane:
        """A plane of this setting without a function of this name: a test that has the same function twice has two planes.

        Raises NotFrozen where the machine does not allow the level, and FrostlineError.
        """
        async with self._opening:
            for shared in self._open:
                if shared.setting == setting and function not in shared.plane.deployments and not shared.broken:
                    return shared
            await self._make_room()
            shared = await self._new(setting)
            self._open.append(shared)
            return shared

    async def _make_room(self) -> None:
        unused = [shared for shared in self._open if not shared.plane.deployments]
        surplus = unused[: max(0, len(unused) - MOST_OPEN + 1)]
        for shared in [one for one in unused if one.broken or one in surplus]:
            self._open.remove(shared)
            await shared.plane.close()

    async def _new(self, setting: Setting) -> SharedPlane:
        self._opened += 1
        story = self._folder / f"{self._opened}.story.jsonl"
        notes: list[str] = []
        plane = ControlPlane(self._opener(setting, notes.append), policy=POLICY, story=story, note=notes.append)
        try:
            level = await plane.open()
            if setting.level == "network" and not level.network_freezes:
                raise NotFrozen(_no_network("; ".join(level.notes) or "its sandbox has no network of its own"))
            if level.freezer == "off":
                raise NotFrozen("processes cannot be frozen on this machine: " + "; ".join(level.notes))
        except SandboxError as error:
            await plane.close()
            raise NotFrozen(_no_network(str(error)) if setting.level == "network" else str(error)) from None
        except OSError as error:
            await plane.close()
            raise FrostlineError(f"the recording {story} cannot be written: {error.strerror or error}") from None
        except BaseException:
            await plane.close()
            raise
        with Story.open(story) as opened:
            return SharedPlane(setting, plane, story, opened.header, notes)

    async def close(self) -> None:
        """End all of them, and every environment."""
        shared, self._open = self._open, []
        await asyncio.gather(*(one.plane.close() for one in shared))


def _no_network(why: str) -> str:
    return (
        f'functions with a network that freezes cannot be had here: {why.rstrip(".")}. With level="processes" a function is frozen and its network is not; '
        "connections that end while it is frozen are then told at once, which hides failures that there are on AWS."
    )
