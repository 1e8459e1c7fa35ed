"""`frostline up`: serve the functions of a project behind Lambda's Invoke API."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from ..control.invoke_server import InvokeServer
from ..control.logs import LogLine
from ..control.plane import ControlPlane
from ..control.service import Service
from ..core.upstream import Upstream
from ..project import Project
from .banner import banner, notes
from .options import DEFAULT_PORT, Failure, policy_options, project_options, source, take_policy, take_surroundings
from .outlet import Outlet
from .running import load_project, opener, run
from .terminal import Printer, colours


@click.command()
@click.argument("path", default=".", metavar="[TEMPLATE|DIR|ZIP|FILE]")
@click.option(
    "--port", "-p", type=click.IntRange(0, 65535), default=DEFAULT_PORT, show_default=True, help="The endpoint's port; 0 for a free one."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@project_options
@policy_options
@click.option(
    "--allow-invoke",
    is_flag=True,
    help="Functions may invoke functions: let them reach this endpoint, at host.frostline.internal and its port.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line: what is served, then every log line.")
@click.option("--quiet", "-q", is_flag=True, help="Do not print the functions' logs.")
def up(
    path: str,
    port: int,
    host: str,
    allow_invoke: bool,
    as_json: bool,
    quiet: bool,
    story: str | None,
    **options: Any,
) -> None:
    """Serve the functions of a project until Ctrl-C.

    The project is a SAM template, a folder (with or without a template), a zip, or a single file. boto3, the AWS CLI and every other SDK
    can invoke its functions with the printed endpoint. An edit is served by the next invocation.
    """
    surroundings = take_surroundings(options)
    chosen = take_policy(options, surroundings.freeze)
    project = load_project(source(path, **options))
    plane = ControlPlane(
        opener(surroundings),
        policy=chosen,
        story=Path(story) if story else None,
        after_s=surroundings.after_s,
        note=Printer(err=True).note,
    )
    upstreams = surroundings.upstreams
    run(_serve(plane, project, upstreams, host, port, story, allow_invoke=allow_invoke, as_json=as_json, quiet=quiet), endless=True)


async def _serve(
    plane: ControlPlane,
    project: Project,
    upstreams: Sequence[Upstream],
    host: str,
    port: int,
    story: str | None,
    *,
    allow_invoke: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    printer = Printer()
    errors = Printer(err=True)
    try:
        try:
            level = await plane.open()
        except OSError as error:
            raise Failure(f"the story {story} cannot be written: {error.strerror or error}") from error
        service = Service(plane, project, note=errors.note)
        server = InvokeServer(service)
        try:
            bound = await server.listen(host, port)
        except OSError as error:
            raise Failure(
                f"the endpoint cannot listen on {host}:{port}: {error.strerror or error}. Choose another with --port, or --port 0 for a free one."
            ) from error
        if not allow_invoke:
            plane.sandbox.protect([bound])
        endpoint = f"http://{'[' + host + ']' if ':' in host else host}:{bound}"
        functions = list(service.functions.values())
        if as_json:
            started = {
                "endpoint": endpoint,
                "port": bound,
                "functions": [f.name for f in functions],
                "refused": [{"name": refused.name, "message": refused.message} for refused in project.refused],
                "upstreams": [upstream.text() for upstream in upstreams],
                "level": msgspec.to_builtins(level),
                "notes": list(notes(project, level)),
            }
            click.echo(msgspec.json.encode(started).decode())
        else:
            block = banner(project, functions, level, endpoint, port=bound, default_port=DEFAULT_PORT, upstreams=upstreams)
            click.echo(block, color=colours())
        sys.stdout.flush()
        outlet = Outlet(sys.stdout.fileno(), _json_line if as_json else printer.form, _json_left_out if as_json else _left_out)
        if not quiet:
            plane.logs.follow(outlet.add)
        try:
            await asyncio.Event().wait()
        finally:
            await plane.close()
            await server.close()
            service.close()
            outlet.close()
    finally:
        await plane.close()


def _json_line(line: LogLine) -> str:
    return msgspec.json.encode(line).decode() + "\n"


def _json_left_out(lines: int) -> str:
    return f'{{"left_out":{lines}}}\n'


def _left_out(lines: int) -> str:
    return f"... {lines} lines were not printed: they came faster than they could be\n"
