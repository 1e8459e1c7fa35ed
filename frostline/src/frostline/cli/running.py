"""Running the control plane from a command: the event loop, signals, and errors that become one line."""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Literal, TypeVar

import click

from ..control.plane import OpenSandbox
from ..core.events import SandboxEvent
from ..project import Project, ProjectError, Source, load
from ..sandbox.choose import open_sandbox
from ..sandbox.port import Sandbox, SandboxError
from ..sandbox.router.upstreams import Upstreams
from ..upstreams import PROGRAM
from .options import Failure, Surroundings
from .terminal import Printer

Result = TypeVar("Result")

GC_YOUNG = 20_000
"""New objects before a collection, instead of 700: measured on warm invocations, 5 % less time."""


def load_project(source: Source) -> Project:
    """Read a project; what takes long (installing a runtime client, once) is said as it begins."""
    try:
        project = load(source, progress=Printer(err=True).note)
    except ProjectError as error:
        raise Failure(error.message) from error
    if not project.functions:
        reasons = "".join(f"\n  {refused.name}: {refused.message}" for refused in project.refused)
        raise Failure(f"there is no function to run in {source.path}{':' if reasons else '.'}{reasons}")
    return project


def opener(chosen: Surroundings) -> OpenSandbox:
    """Opens the best sandbox that the machine allows, or the level that was asked for, with its upstreams in the lab."""
    servers, met = chosen.upstreams, chosen.conditions
    upstreams = Upstreams(servers=servers, program=(sys.executable, PROGRAM), on_lost=Printer(err=True).note) if servers else None

    async def open_it(
        report: Callable[[SandboxEvent], None], on_output: Callable[[str, str, Literal["text", "frames"], bytes], None]
    ) -> Sandbox:
        return await open_sandbox(
            report,
            on_output,
            freezer=chosen.freeze,
            fates=met.fates,
            middleboxes=met.middleboxes,
            warp=chosen.after_s is not None,
            upstreams=upstreams,
        )

    return open_it


def run(work: Coroutine[Any, Any, Result], *, endless: bool = False, scratch: Path | None = None) -> Result | None:
    """Run a command to its end: its result. Ctrl-C, SIGTERM or SIGHUP end it in good order; a second Ctrl-C does not wait for good order.

    `scratch`: a folder that not even a second Ctrl-C leaves behind.

    A signal is the proper end of an `endless` command (then there is no result); any other exits with 128 and the signal's number, as a shell has it.
    """
    # What was imported lives as long as the process, and an invocation makes few cycles: collect seldom, and do not look at the imports.
    gc.freeze()
    gc.set_threshold(GC_YOUNG, 20, 50)
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            result, signum = runner.run(_until_signalled(work, scratch))
    except SandboxError as error:
        raise Failure(str(error)) from error
    except KeyboardInterrupt:
        work.close()  # the loop had not begun with it, or has given it up
        raise SystemExit(130) from None
    if signum is not None and not endless:
        raise SystemExit(128 + signum)
    return result


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


async def _until_signalled(work: Coroutine[Any, Any, Result], scratch: Path | None) -> tuple[Result | None, int | None]:
    loop = asyncio.get_running_loop()
    task = loop.create_task(work, name="command")
    received: list[int] = []

    def stop(signum: int) -> None:
        received.append(signum)
        if len(received) == 1:
            click.echo("", err=True) if signum == signal.SIGINT and sys.stderr.isatty() else None
            task.cancel()
        elif signum == signal.SIGINT:
            if scratch is not None:
                shutil.rmtree(scratch, ignore_errors=True)
            os._exit(130)  # the warden sees that this process is gone and cleans up after it

    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(signum, stop, signum)
    try:
        return await task, None
    except asyncio.CancelledError:
        if not received:
            raise
        return None, received[0]
