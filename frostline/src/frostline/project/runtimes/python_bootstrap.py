"""Starts a Python function: `/var/runtime/bootstrap.py` inside an execution environment.

Runs under the function's own interpreter (3.8 or newer), which is not Frostline's. With the argument `gate` it imports AWS's runtime client, which is
most of a cold start, and then waits at file descriptor 3 for one byte. Nothing of the function is imported, or even on `sys.path`, before that.

The function's own packages must win over the runtime's: on AWS `/var/task` comes first on `sys.path`. So if the function or a layer brings a module
that was imported here from elsewhere (its own `simplejson`, say), the process starts over and waits with nothing imported (`bare-gate`).
"""

from __future__ import annotations

import os
import sys

_AT_START = {name.partition(".")[0] for name in sys.modules}


def _wait_at_gate() -> None:
    try:
        opened = os.read(3, 1)
    finally:
        os.close(3)
    if not opened:
        # Whoever held the gate is gone.
        os._exit(0)


def _user_directories(opt: str) -> list[str]:
    """Where a function's modules are, before the runtime's own. A function that sets PYTHONPATH says itself where its layers' are."""
    directories = [os.environ["LAMBDA_TASK_ROOT"]]
    if os.environ.get("PYTHONPATH") == os.environ["LAMBDA_RUNTIME_DIR"]:
        directories += [f"{opt}/python/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages", f"{opt}/python"]
    return directories


def _import_client() -> None:
    """Import AWS's client and what it will import later anyway."""
    import awslambdaric.__main__
    import awslambdaric.lambda_literals  # noqa: F401

    if sys.version_info >= (3, 12):
        # From here on the client polls in a thread.
        import concurrent.futures.thread  # noqa: F401


def _modules_in(directories: list[str]) -> set[str]:
    found: set[str] = set()
    for directory in directories:
        if os.path.isdir(directory):
            found.update(name.partition(".")[0] for name in os.listdir(directory))
    return found


def main() -> None:
    """Import, wait, hand over to AWS's runtime client."""
    if sys.version_info < (3, 12) and os.environ.get("LC_CTYPE") == "C.UTF-8":
        # Set by Python itself where the machine lacks the locale en_US.UTF-8 (PEP 538); AWS's images for these versions have it.
        del os.environ["LC_CTYPE"]
    opt, *gate = sys.argv[1:]
    del sys.argv[1:]
    directories = _user_directories(opt)
    if gate == ["gate"]:
        _import_client()
        imported = {name.partition(".")[0] for name in sys.modules} - _AT_START
        if imported & _modules_in(directories):
            os.execv(sys.executable, [sys.executable, sys.argv[0], opt, "bare-gate"])  # noqa: S606
    if gate:
        _wait_at_gate()

    import site

    sys.path[:] = dict.fromkeys(directories + sys.path)
    for directory in directories:
        site.addsitedir(directory)  # as AWS's bootstrap does: `.pth` files count

    import awslambdaric.__main__ as client

    client.main([sys.argv[0], os.environ["_HANDLER"]])


if __name__ == "__main__":
    main()
