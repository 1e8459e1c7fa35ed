"""Start one of the router's two processes: `python -m frostline.sandbox.router lab|dialer`, or this file by its path.

By its path it works wherever the main process found the package, installed or not.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType


def main(argv: list[str]) -> None:
    """Run `lab NFT` or `dialer` on the control socket at descriptor 3, then end at once, whatever other threads are doing."""
    # Ctrl-C reaches the whole foreground group; the main process ends its helpers in its own order, and its end is ours.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from frostline.sandbox.router import messages

    control = socket.socket(fileno=messages.CONTROL_FD)
    control.set_inheritable(False)

    def report(kind: type[BaseException], error: BaseException, _: TracebackType | None) -> None:
        control.setblocking(True)
        with suppress(OSError):  # Perhaps nobody is left to be told.
            messages.send(control, messages.Failed(f"the {argv[0]} process of the lab's router failed: {kind.__name__}: {error}"))
        os._exit(1)

    sys.excepthook = report
    if argv[0] == "lab":
        from frostline.sandbox.router import lab

        lab.run(control, *argv[1:])
    else:
        from frostline.sandbox.router import dialer

        dialer.run(control)
    os._exit(0)


if __name__ == "__main__":
    if not __package__:
        # Run by its path, Python put this folder in front, where our `messages` would hide somebody else's.
        sys.path[0] = str(Path(__file__).resolve().parents[3])
    main(sys.argv[1:])
