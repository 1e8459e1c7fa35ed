"""`frostline invoke`: invoke a function once, of a running `frostline up` or of a project started just for it."""

from __future__ import annotations

import base64
import http.client
import json
import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import click
from click.core import ParameterSource

from ..control.plane import ControlPlane
from ..control.service import Service
from ..core.effects import FunctionFailed, Outcome, Succeeded, Throttled, Unavailable
from ..project import Project
from ..wire.invoke_api import MAX_REQUEST
from ..wire.payload_json import payload_error
from .options import DEFAULT_PORT, Failure, policy_options, project_options, source, take_policy, take_surroundings
from .running import load_project, opener, run
from .terminal import Printer

CONNECT_TIMEOUT_S = 5


@click.command()
@click.argument("target", metavar="FUNCTION|PATH")
@click.argument("function", required=False, metavar="[FUNCTION]")
@click.option(
    "--event",
    "-e",
    default=None,
    metavar="JSON|@FILE|-",
    help="The event: JSON, @ and a file (the @ is not needed for *.json), or - for standard input. Default: {}.",
)
@click.option(
    "--port", "-p", type=click.IntRange(1, 65535), default=None, help=f"Port of the running `frostline up` (default {DEFAULT_PORT})."
)
@click.option("--endpoint", default=None, metavar="URL", help="Endpoint of the running `frostline up`, instead of --port.")
@click.option("--asynchronous", "-a", is_flag=True, help="Queue the event and do not wait (running `frostline up` only).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: status, function error, payload, request id, log.")
@project_options
@policy_options
def invoke(
    target: str,
    function: str | None,
    event: str | None,
    port: int | None,
    endpoint: str | None,
    asynchronous: bool,
    as_json: bool,
    story: str | None,
    **options: Any,
) -> None:
    """Invoke a function and print its response; its log goes to standard error.

    FUNCTION names a function of a running `frostline up`. PATH (a template, folder, zip or file) starts an environment for this one invocation; with
    --after it is invoked, frozen for so long, and invoked again.
    Exit status: 0 the function answered, 1 it failed or could not be invoked.
    """
    payload = _event(event)
    if port is None and endpoint is None and ("/" in target or Path(target).exists()):
        if asynchronous:
            raise Failure("--asynchronous needs a running `frostline up`: without one, nobody would run the event.")
        surroundings = take_surroundings(options)
        chosen = take_policy(options, surroundings.freeze, spares=0)
        project = load_project(source(target, **options))
        name = _choose(project, function)
        plane = ControlPlane(opener(surroundings), policy=chosen, story=Path(story) if story else None, note=Printer(err=True).note)
        answer = run(_once(plane, project, name, payload, story, after_s=surroundings.after_s, as_json=as_json))
        assert answer is not None  # a signal exits
        _tell(name, *answer, as_json=as_json)
        return
    if function is not None:
        raise Failure(f"there is no file or folder {target!r} to take the function {function!r} from.")
    _refuse_what_up_decides()
    _remote(endpoint or f"http://127.0.0.1:{port or DEFAULT_PORT}", target, payload, asynchronous=asynchronous, as_json=as_json)


def _refuse_what_up_decides() -> None:
    """Options that say how a function runs are for whoever runs it. Raises click.UsageError."""
    context = click.get_current_context()
    own = {"target", "function", "event", "port", "endpoint", "asynchronous", "as_json"}
    given = [
        one.opts[0]
        for one in context.command.params
        if one.name not in own and context.get_parameter_source(one.name) is ParameterSource.COMMANDLINE
    ]
    if given:
        raise click.UsageError(f"{', '.join(given)}: for `frostline up`, which runs the function (or for a PATH); here it is only invoked.")


def _event(given: str | None) -> bytes:
    if given is None:
        return b"{}"
    path = given.removeprefix("@")
    try:
        if given == "-":
            data, name = sys.stdin.buffer.read(), "standard input"
        elif given.startswith("@") or (given.endswith(".json") and Path(given).is_file()):
            data, name = Path(path).read_bytes(), path
        else:
            data, name = os.fsencode(given), "--event"
    except (OSError, ValueError) as error:
        raise Failure(f"the event {path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if len(data) > MAX_REQUEST:
        raise Failure(f"the event from {name} has {len(data)} bytes; Lambda takes {MAX_REQUEST} at most.")
    if data and payload_error(data):
        hint = " (to read it from a file, write --event @FILE)" if name == "--event" and os.path.isfile(given) else ""
        raise Failure(f"the event from {name} is not JSON: {_why_not(data)}{hint}")
    return data or b"{}"


def _why_not(data: bytes) -> str:
    """What is wrong with a payload, in Python's words, which are shorter than AWS's."""
    try:
        json.loads(data)
    except (ValueError, RecursionError) as error:
        return str(error)
    return "it has NaN or Infinity, or is not UTF-8"  # Python takes them, Lambda does not


def _choose(project: Project, wanted: str | None) -> str:
    names = [deployment.function.name for deployment in project.functions]
    logical = {deployment.logical_id: deployment.function.name for deployment in project.functions if deployment.logical_id}
    if wanted is None:
        if len(names) > 1:
            raise Failure(f"{project.origin} has {len(names)} functions: say which one: {', '.join(names)}.")
        return names[0]
    if wanted in names:
        return wanted
    if wanted in logical:
        return logical[wanted]
    raise Failure(f"{project.origin} has no function {wanted!r}; it has {', '.join(names)}.")


async def _once(
    plane: ControlPlane, project: Project, name: str, payload: bytes, story: str | None, *, after_s: float | None, as_json: bool
) -> tuple[str, Outcome]:
    printer = Printer(err=True)
    try:
        try:
            await plane.open()
        except OSError as error:
            raise Failure(f"the story {story} cannot be written: {error.strerror or error}") from error
        service = Service(plane, project, note=printer.note, watch=False)
        if not as_json:
            plane.logs.follow(printer.line)
        answer = await plane.call(name, payload, tail=True)
        if after_s is not None:
            await _let_pass(plane, name, after_s)
            answer = await plane.call(name, payload, tail=True)
        service.close()
    finally:
        await plane.close()
    return answer


async def _let_pass(plane: ControlPlane, name: str, seconds: float) -> None:
    warped = await plane.pass_time(name, seconds)
    if warped is None:
        raise Failure(f"no time could pass for {name}: its environment did not freeze.")
    if warped.error:
        raise Failure(f"no time could pass for {name}: {warped.error}")
    plane.tell_clocks(name, warped)


def _tell(name: str, request_id: str, outcome: Outcome, *, as_json: bool) -> None:
    match outcome:
        case Succeeded(payload=body, log_tail=tail):
            _show(200, None, body.data, request_id, tail, as_json=as_json)
        case FunctionFailed(payload=body, log_tail=tail):
            _show(200, "Unhandled", body.data, request_id, tail, as_json=as_json)
        case Throttled(reason=reason):
            raise Failure(f"{name} was not invoked: {reason}")
        case Unavailable(message=message):
            raise Failure(message)


def _show(status: int, function_error: str | None, payload: bytes, request_id: str, log: str | None, *, as_json: bool) -> None:
    text = payload.decode("utf-8", "replace")
    if as_json:
        try:
            value: object = json.loads(text) if text else None
        except ValueError:
            value = text
        result = {"statusCode": status, "functionError": function_error, "payload": value, "requestId": request_id, "log": log}
        click.echo(json.dumps(result))
    elif text:
        click.echo(text)
    if function_error is not None:
        raise SystemExit(1)


def _remote(endpoint: str, name: str, payload: bytes, *, asynchronous: bool, as_json: bool) -> None:
    headers = {"Content-Type": "application/json", "X-Amz-Invocation-Type": "Event" if asynchronous else "RequestResponse"}
    if not asynchronous:
        headers["X-Amz-Log-Type"] = "Tail"
    response, body = request(endpoint, "POST", f"/2015-03-31/functions/{quote(name, safe=':')}/invocations", payload, headers)
    if response.status >= 300:
        try:
            problem = json.loads(body)
            message = str(problem.get("Message") or problem.get("message"))
        except (ValueError, AttributeError):
            message = body.decode("utf-8", "replace")
        raise Failure(f"{endpoint} answered {response.status} {response.getheader('x-amzn-ErrorType') or ''}: {message}")
    tail = response.getheader("X-Amz-Log-Result")
    log = base64.b64decode(tail).decode("utf-8", "replace") if tail else None
    if log and not as_json:
        click.echo(log, err=True, nl=False)
    _show(
        response.status,
        response.getheader("X-Amz-Function-Error"),
        body,
        response.getheader("x-amzn-RequestId") or "",
        log,
        as_json=as_json,
    )


def request(
    endpoint: str, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[http.client.HTTPResponse, bytes]:
    """One request to a running `frostline up`. Raises Failure when it cannot be reached."""
    connection, response = begin(endpoint, method, path, body, headers)
    try:
        return response, response.read()
    except (OSError, http.client.HTTPException) as error:
        raise Failure(f"the connection to {endpoint} broke: {str(error) or type(error).__name__}") from error
    finally:
        connection.close()


def begin(
    endpoint: str, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    """Begin a request whose answer is read as it comes. Raises Failure."""
    try:
        url = urlsplit(endpoint if "//" in endpoint else f"http://{endpoint}")
        hostname, port = url.hostname, url.port or 80
    except ValueError:
        hostname = None
    if not hostname or url.scheme != "http":
        raise Failure(f"{endpoint!r} is not an endpoint: it should look like http://127.0.0.1:{DEFAULT_PORT}.")
    connection = http.client.HTTPConnection(hostname, port, timeout=CONNECT_TIMEOUT_S)
    try:
        connection.connect()
        assert connection.sock is not None
        connection.sock.settimeout(None)  # a function may take 15 minutes
        connection.request(method, path, body, headers or {})
        return connection, connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
        raise Failure(
            f"no `frostline up` answers at {endpoint}: {reason}. Start one with `frostline up`, or say where it is with --port."
        ) from error
