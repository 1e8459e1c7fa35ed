"""`python -m frostline.sandbox.warp`: compile the time warp's library now, rather than when it is first needed; prints where it is."""

from __future__ import annotations

import sys

from .build import NoWarpError, shim


def main() -> int:
    """0, or 1 with a sentence on standard error that says what is missing."""
    try:
        sys.stdout.write(f"{shim()}\n")
    except NoWarpError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
