"""Start the upstreams' process: `python -m frostline.upstreams UPSTREAMS`, or this file by its path."""

from __future__ import annotations

import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType


def main(argv: list[str]) -> None:
    """Run the upstreams that `argv` names (a JSON array); see `program`."""
    # Ctrl-C reaches the whole foreground group; the main process ends its helpers in its own order, and its end is ours.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import msgspec

    from frostline.core.upstream import Upstream, UpstreamsFailed
    from frostline.upstreams import program

    control = socket.socket(fileno=program.CONTROL_FD)
    control.set_inheritable(False)

    def report(kind: type[BaseException], error: BaseException, _: TracebackType | None) -> None:
        with suppress(OSError):  # perhaps nobody is left to be told
            control.setblocking(True)
            control.sendall(msgspec.json.encode(UpstreamsFailed(reason=f"{kind.__name__}: {error}")) + b"\n")
        os._exit(1)

    sys.excepthook = report
    program.run(control, msgspec.json.decode(argv[0], type=tuple[Upstream, ...]))


if __name__ == "__main__":
    if not __package__:
        # Run by its path, Python put this folder in front, where our modules would hide somebody else's.
        sys.path[0] = str(Path(__file__).resolve().parents[2])
    main(sys.argv[1:])
