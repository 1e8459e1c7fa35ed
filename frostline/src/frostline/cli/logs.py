"""`frostline logs`: the log lines of a running `frostline up`."""

from __future__ import annotations

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
        if response.status != 200:
            raise Failure(f"{where} is not a `frostline up`: it answered {response.status}.")
        for line in msgspec.json.decode(body, type=dict[str, list[LogLine]])["lines"]:
            show(line)
        return
    connection, response = begin(where, "GET", path)
    try:
        for data in response:
            show(msgspec.json.decode(data, type=LogLine))
    except KeyboardInterrupt:
        pass
    finally:
        connection.close()
