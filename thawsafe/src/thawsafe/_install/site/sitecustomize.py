# ruff: noqa: INP001 - a folder for PYTHONPATH, and no package
"""What Python imports at its start when this folder is on PYTHONPATH: `thawsafe run` puts it there. The next sitecustomize has its turn as well."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys

_here = os.path.dirname(os.path.abspath(__file__))
_elsewhere = [path for path in sys.path if os.path.abspath(path or ".") != _here]
_mine = sys.modules.pop("sitecustomize", None)
_path, sys.path = sys.path, _elsewhere
try:
    with contextlib.suppress(ModuleNotFoundError):
        importlib.import_module("sitecustomize")
finally:
    sys.path = _path
    if _mine is not None:
        sys.modules.setdefault("sitecustomize", _mine)

with contextlib.suppress(ModuleNotFoundError):  # another Python of the same process tree, without thawsafe
    from thawsafe._install.environment import install_when_asked

    install_when_asked()
