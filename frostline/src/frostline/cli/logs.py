"""`frostline logs`: the log lines of a running `frostline up`."""

from __future__ import annotations

import http.client
from urllib.parse import urlencode

import click
import msgspec

from ..control.logs import LogLine
from .invoke import begin, request
from .options import DEFAULT_PORT, Failure
from .terminal import Printer


@click.command()
@click.argument("function", required=False)
@click.option(
    "--port", "-p", type=click.IntRange(1, 65535), default=DEFAULT_PORT, show_default=True, help="Port of the running `frostline up`."
)
@click.option("--endpoint", default=None, metavar="URL", help="Its endpoint, instead of --port.")
@click.option("--follow", "-f", is_flag=True, help="Go on with new lines until Ctrl-C.")
@click.option("--lines", "-n", type=click.IntRange(0), default=None, metavar="N", help="Only the last N lines.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line: time, function, log stream, request id, text.")
def logs(function: str | None, port: int, endpoint: str | None, follow: bool, lines: int | None, as_json: bool) -> None:
    """Print the log of one function, or of all."""
    where = endpoint or f"http://127.0.0.1:{port}"
    query = {
        name: str(value)
        for name, value in (("function", function), ("limit", lines), ("follow", 1 if follow else None))
        if value is not None
    }
    path = f"/_frostline/logs?{urlencode(query)}"
    printer = Printer()

    def show(line: LogLine) -> None:
        if as_json:
            click.echo(msgspec.json.encode(line))
        else:
            printer.line(line)

    if not follow:
        response, body = request(where, "GET", path)
        try:
            found = msgspec.json.decode(body, type=dict[str, list[LogLine]]) if response.status == 200 else {}
        except msgspec.DecodeError:
            found = {}
        if "lines" not in found:
            raise _stranger(where, response.status)
        for line in found["lines"]:
            show(line)
        return
    connection, response = begin(where, "GET", path)
    try:
        if response.status != 200 or response.getheader("Content-Type") != "application/x-ndjson":
            raise _stranger(where, response.status)
        for data in response:
            show(msgspec.json.decode(data, type=LogLine))
    except KeyboardInterrupt:
        pass
    except (http.client.HTTPException, ConnectionError, msgspec.DecodeError) as error:
        raise Failure(f"the connection to {where} broke: {str(error) or type(error).__name__}") from error
    finally:
        connection.close()


def _stranger(where: str, status: int) -> Failure:
    return Failure(f"what answers at {where} is not a `frostline up`: it sent {status} and no log.")
