"""Installing because an environment variable says so, and telling on stderr what was done: nobody is there to look at a return value."""

from __future__ import annotations

import logging
import os
import sys

from .._runtime.journal import LOGGER
from .installer import install

VARIABLE = "THAWSAFE"


def install_and_tell() -> None:
    """Install, and write one line of JSON about it. A client that is not known is left as it is; nothing here ends the process."""
    try:
        installation = install(strict=False)
    except ValueError as error:  # a name in THAWSAFE_ENVIRONMENT that there is not
        sys.stderr.write(f"thawsafe: nothing was made safe. {error}\n")
        return
    logger = logging.getLogger(LOGGER)
    if logger.level == logging.NOTSET:
        # Lambda's root logger begins at WARNING; whoever asked by a variable has no other way to see the lines.
        logger.setLevel(logging.INFO)
    sys.stderr.write(installation.as_json() + "\n")


def install_when_asked() -> None:
    """Install when THAWSAFE says `install`. Anything else but nothing and `off` is told, and ignored."""
    asked = os.environ.get(VARIABLE, "")
    if asked == "install":
        install_and_tell()
    elif asked not in ("", "off"):
        sys.stderr.write(f"thawsafe: {VARIABLE} is {asked!r} and was ignored. Write install, or off.\n")
