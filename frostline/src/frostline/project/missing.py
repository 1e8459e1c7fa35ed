"""Packages that a function asks for and does not bring along.

An environment has what is in the function's package, in its layers and in the runtime, as on AWS, and nothing that is installed on this machine. Whoever
runs sources that were never built sees an import fail; the sentence made here says why.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""How a requirement begins (PEP 508)."""

_PYTHON_HAS = frozenset({"boto3", "botocore", "s3transfer", "jmespath", "python-dateutil", "six", "urllib3", "awslambdaric"})
"""What is in AWS's Python runtimes, and here at `/var/runtime`: boto3 and what it needs."""

_NODE_HAS = "@aws-sdk/", "@smithy/"
"""What is in AWS's Node runtimes."""

MOST_NAMED = 3


def missing(name: str, runtime: str, code: Path) -> str | None:
    """A sentence for the user of the function `name`, whose sources are in `code`; None where nothing is known to be missing."""
    if runtime.startswith("python"):
        listed, names, how = code / "requirements.txt", sorted(_python(code)), "pip install --requirement requirements.txt --target ."
    elif runtime.startswith("nodejs"):
        listed, names, how = code / "package.json", sorted(_node(code)), "npm install"
    else:
        return None
    if not names:
        return None
    named = ", ".join(names[:MOST_NAMED]) + (f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else "")
    return f"{name} does not bring along what {listed} lists: {named}. Run `sam build`, or `{how}` in that folder."


def _python(code: Path) -> set[str]:
    """Names that are not there, as PEP 503 spells them."""
    wanted = set(_required(_text(code / "requirements.txt")))
    # A package that was slimmed has no `.dist-info` any more; most are called like what they are imported as.
    there = {_spelled(found.name.partition("-")[0].removesuffix(".py")) for found in code.iterdir()} if wanted else set()
    return wanted - there - _PYTHON_HAS


def _required(text: str) -> Iterator[str]:
    for line in text.splitlines():
        # Options and addresses name no package, and what a marker says of this Python is pip's business.
        if (found := _NAME.match(line.strip())) and ";" not in line and "://" not in line:
            yield _spelled(found[0])


def _spelled(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _node(code: Path) -> set[str]:
    try:
        content = json.loads(_text(code / "package.json") or "{}")
    except ValueError:
        return set()
    wanted = content.get("dependencies") if isinstance(content, dict) else None
    return {str(name) for name in wanted or () if not str(name).startswith(_NODE_HAS) and not (code / "node_modules" / name).exists()}


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
