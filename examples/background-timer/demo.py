"""Invokes the background timer on two Frostlines side by side, one that freezes and one that does not, and prints what each counted.

`scripts/demo` runs it. The Node function is used where Node is installed, its Python twin otherwise.
"""

from __future__ import annotations

import argparse
import http.client
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

HERE = Path(__file__).parent
FROSTLINE = Path(sys.executable).with_name("frostline")
READY_WITHIN_S = 60
STOPS_WITHIN_S = 10


class DemoError(Exception):
    """The demo cannot go on; the message is for a person."""


class Endpoint:
    """One running `frostline up`."""

    def __init__(self, port: int, function: str) -> None:
        self._port = port
        self._path = f"/2015-03-31/functions/{function}/invocations"

    def invoke(self) -> tuple[int, int]:
        """Invoke the function; returns the seconds by the clock and by the timer. Raises `DemoError`."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=READY_WITHIN_S)
        try:
            connection.request("POST", self._path, body=b"{}", headers={"Content-Type": "application/json"})
            answer = connection.getresponse().read()
        except OSError as error:
            raise DemoError(f"the invocation on port {self._port} got no answer: {error}") from error
        finally:
            connection.close()
        try:
            seconds = json.loads(answer)
            return seconds["calculated"], seconds["counted"]
        except (ValueError, KeyError) as error:
            raise DemoError(f"the function answered {answer.decode('utf-8', 'replace')}") from error


@contextmanager
def frostline(project: list[str], *options: str) -> Iterator[Endpoint]:
    """Run `frostline up` on a project for as long as the block lasts."""
    with tempfile.TemporaryFile() as errors:
        command = [str(FROSTLINE), "up", *project, "--port", "0", "--json", *options]
        # Ctrl-C goes to this program, which then stops the servers: in a session of their own they do not get it as well.
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, start_new_session=True)
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            if not first:
                raise DemoError(f"{' '.join(command)} did not start:\n{_said(process, errors)}")
            started = json.loads(first)
            yield Endpoint(started["port"], started["functions"][0])
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOPS_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _said(process: subprocess.Popen[bytes], errors: IO[bytes]) -> str:
    process.wait(STOPS_WITHIN_S)
    errors.seek(0)
    return errors.read().decode("utf-8", "replace").strip()


def choose_project() -> tuple[list[str], str]:
    """The Node function if Node is here, else the Python twin under this very Python; with a word for each."""
    listed = subprocess.run(
        [sys.executable, "-m", "frostline.project.runtimes", "list"], capture_output=True, text=True, check=False
    ).stdout
    if "nodejs" in listed:
        return [str(HERE)], "the Node function, examples/background-timer/index.mjs"
    runtime = f"python{sys.version_info.major}.{sys.version_info.minor}"
    project = [str(HERE / "python" / "lambda_function.py"), "--handler", "lambda_function.lambda_handler", "--runtime", runtime]
    return project, "the Python twin (Node is not installed), examples/background-timer/python/lambda_function.py"


def show(invocations: int, gap: float) -> None:
    """Run the whole experiment and print it as it goes. Raises `DemoError`."""
    project, described = choose_project()
    print(f"Seconds since init, as {described}, returns them:")
    print("calculated from the clock, and counted by a timer in the background that ticks once a second.")
    print(f"{invocations} invocations, {gap:g} s apart: about {(invocations - 1) * gap:.0f} s.\n", flush=True)
    with ExitStack() as stack:
        frozen = stack.enter_context(frostline(project))
        running = stack.enter_context(frostline(project, "--freeze", "off"))
        print(f"{'':10}  {'frozen between invocations':^28}    {'never frozen':^28}")
        print(f"{'invocation':10}  {'by the clock':>13}{'by the timer':>15}    {'by the clock':>13}{'by the timer':>15}")
        next_at = time.monotonic()
        for number in range(1, invocations + 1):
            time.sleep(max(0.0, next_at - time.monotonic()))
            next_at += gap
            with_freeze, without = frozen.invoke(), running.invoke()
            print(f"{number:10}  {with_freeze[0]:13}{with_freeze[1]:15}    {without[0]:13}{without[1]:15}", flush=True)
    print(
        f"\nNever frozen, the timer counted {without[1]} of {without[0]} seconds. Frozen, it counted {with_freeze[1]} of {with_freeze[0]}: "
        "the clock ran on and the timer stood still,\n"
        "but for one tick at each thaw, which had fallen due during the freeze and fired late, before anything else."
    )


def main() -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description="A background timer in a function, frozen between invocations and not, side by side.")
    parser.add_argument("--invocations", type=int, default=10, metavar="N", help="how many (default %(default)s)")
    parser.add_argument("--gap", type=float, default=3.0, metavar="SECONDS", help="from one invocation to the next (default %(default)s)")
    arguments = parser.parse_args()
    try:
        show(max(arguments.invocations, 1), max(arguments.gap, 0.0))
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo: stopped", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
